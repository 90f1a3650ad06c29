"""Which names of a piece of code certainly are `system`, `tools` or one of their methods.

Conservative on purpose: a name that is bound twice, handed around or declared global is unknown, and what stands
where an exception is caught, or where nothing gets to, counts as guarded.
"""

import ast
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

OBJECTS = ("system", "tools")
"""Names that exist before the code runs, in the order in which run_experiment gets them."""
ENTRY = "run_experiment"
_DEPTH = 8  # aliases of aliases that are followed
_PASSES = 3  # helper functions that hand the objects on to helper functions

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Known:
    """object: "system" or "tools". method: of it, or None for the object itself."""

    object: str
    method: str | None = None


@dataclass(frozen=True)
class Binding:
    """What a scope binds a name to: a parameter, an expression, a function, or something unknown."""

    kind: str
    node: ast.AST | None = None


@dataclass
class Scope:
    """kind: "module", "function", "class" or "comprehension". known: parameters that certainly are API objects."""

    kind: str
    parent: "Scope | None"
    node: ast.AST | None = None
    names: dict[str, list[Binding]] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)

    def bind(self, name: str, kind: str, node: ast.AST | None = None) -> None:
        """Add one binding."""
        self.names.setdefault(name, []).append(Binding(kind, node))


@dataclass(frozen=True)
class Use:
    """One expression or statement that a check may look at, and where it stands."""

    node: Any
    scope: Scope
    guarded: bool


class Scopes(ast.NodeVisitor):
    """All scopes of a module and what is used in them, in the order of the code."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope("module", None, tree)
        self.uses: list[Use] = []
        self.calls: dict[int, ast.Call] = {}  # by the id of what is called
        self.shared: set[str] = set()  # names declared global or nonlocal: anything may bind them
        self.functions: list[Scope] = []
        self.star_import = False
        self._scope = self.module
        self._guards = 0
        self._late = any(
            isinstance(node, ast.ImportFrom)
            and node.module == "__future__"
            and any(alias.name == "annotations" for alias in node.names)
            for node in tree.body
        )
        self._attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        self._loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        # A function may be called where its exceptions are caught: only what run_experiment itself does is certain.
        words = self._attributes | self._loaded
        self._caught = "suppress" in words or any(getattr(node, "handlers", None) for node in ast.walk(tree))
        self.visit(tree)
        self._readings: dict[str, list[Use]] = {}
        for use in self.uses:
            if isinstance(use.node, ast.Name):
                self._readings.setdefault(use.node.id, []).append(use)
        for _ in range(_PASSES):
            self._infer_parameters()

    # Looking names up

    def find(self, name: str, scope: Scope) -> Scope | None:
        """The scope that binds the name as it is read in `scope`; None: nothing in the code binds it."""
        inner: Scope | None = scope
        while inner is not None:
            if name in inner.names and (inner.kind != "class" or inner is scope):
                return inner
            inner = inner.parent
        return None

    def resolve(self, node: ast.AST | None, scope: Scope, depth: int = 0) -> Known | None:
        """What an expression certainly is; None: unknown."""
        if depth > _DEPTH:
            return None
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value, scope, depth + 1)
            return Known(base.object, node.attr) if base is not None and base.method is None else None
        if not isinstance(node, ast.Name) or node.id in self.shared:
            return None
        home = self.find(node.id, scope)
        if home is None:
            return Known(node.id) if node.id in OBJECTS else None
        bindings = home.names[node.id]
        if len(bindings) != 1:
            return None
        if bindings[0].kind == "parameter":
            return home.known.get(node.id)
        return self.resolve(bindings[0].node, home, depth + 1) if bindings[0].kind == "value" else None

    def entry(self) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function run_experiment, where it is certain which one that is."""
        bindings = self.module.names.get(ENTRY, [])
        if len(bindings) != 1 or ENTRY in self.shared or self.star_import:
            return None
        node = bindings[0].node
        plain = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list
        return node if plain and bindings[0].kind == "function" else None  # type: ignore[return-value]

    def calls_itself(self) -> bool:
        """Whether the module's own statements call run_experiment; then the sandbox does not."""
        assert isinstance(self.module.node, ast.Module)
        functions = [getattr(getattr(node, "value", None), "func", None) for node in self.module.node.body]
        return any(getattr(function, "id", None) == ENTRY for function in functions)

    def _infer_parameters(self) -> None:
        for scope in self.functions:
            node = scope.node
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.decorator_list:
                continue
            home = scope.parent
            if home is None or home.kind == "class" or len(home.names.get(node.name, [])) != 1:
                continue
            if node.name in self.shared:
                continue
            handed = self._handed_over(node, home)
            positional = [*node.args.posonlyargs, *node.args.args]
            for place, parameter in enumerate(positional):
                values = {
                    entry[place] if place < len(entry) else named.get(parameter.arg) for entry, named in handed or []
                }
                if len(values) == 1 and (value := values.pop()) is not None:
                    scope.known[parameter.arg] = value

    def _handed_over(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, home: Scope
    ) -> list[tuple[list[Known | None], dict[str, Known | None]]] | None:
        """Arguments of every call of a function; None where it is used in another way than by plain calls."""
        found: list[tuple[list[Known | None], dict[str, Known | None]]] = []
        if function.name == ENTRY and home is self.module and not self.calls_itself():
            found.append(([Known(name) for name in OBJECTS], {}))
        for use in self._readings.get(function.name, []):
            if self.find(function.name, use.scope) is not home:
                continue
            call = self.calls.get(id(use.node))
            if call is None or not is_plain(call):
                return None
            args = [self.resolve(value, use.scope) for value in call.args]
            found.append((args, {str(k.arg): self.resolve(k.value, use.scope) for k in call.keywords}))
        return found

    # Building

    def _use(self, node: ast.AST) -> None:
        self.uses.append(Use(node, self._scope, self._guards > 0))

    @contextmanager
    def _guard(self, wanted: bool = True) -> Any:
        self._guards += wanted
        yield
        self._guards -= wanted

    @contextmanager
    def _inside(self, kind: str, node: ast.AST) -> Any:
        self._scope = Scope(kind, self._scope, node)
        yield self._scope
        self._scope = self._scope.parent or self.module

    def _visit_all(self, nodes: Sequence[ast.AST | None]) -> None:
        guards = self._guards
        for node in nodes:
            if node is not None:
                self.visit(node)
            if isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue):
                self._guards += 1  # nothing gets past it
        self._guards = guards

    def _arguments(self, node: Function) -> list[ast.arg]:
        a = node.args
        return [*a.posonlyargs, *a.args, *a.kwonlyargs, *(arg for arg in (a.vararg, a.kwarg) if arg is not None)]

    def _function(self, node: Any) -> None:
        self._visit_all([*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults])
        arguments = self._arguments(node)
        if not isinstance(node, ast.Lambda):
            if not self._late:
                self._visit_all([*(argument.annotation for argument in arguments), node.returns])
            self._scope.bind(node.name, "function", node)
        # What nothing calls does not run: a method by its name as an attribute, a function by its name.
        name = getattr(node, "name", "__")
        called = name == ENTRY or name in self._loaded or name in self._attributes or name.startswith("__")
        idle = not called or (self._caught and (name != ENTRY or ENTRY in self._loaded))
        guards, self._guards = self._guards, int(idle or self._guards > 0)
        with self._inside("function", node) as scope:
            self.functions.append(scope)
            for argument in arguments:
                scope.bind(argument.arg, "parameter")
            self._visit_all(node.body if isinstance(node.body, list) else [node.body])
        self._guards = guards

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class: its body is a scope that its methods do not see."""
        self._visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        self._scope.bind(node.name, "other")
        with self._inside("class", node):
            self._visit_all(node.body)

    def _comprehension(self, node: Any) -> None:
        first = node.generators[0]
        self.visit(first.iter)
        with self._inside("comprehension", node):
            for generator in node.generators:
                if generator is not first:
                    self.visit(generator.iter)
                self._visit_all([generator.target, *generator.ifs])
            parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
            self._visit_all(parts)
        self._use(first)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Name(self, node: ast.Name) -> None:
        """A name that is read, or bound in a way that says nothing about what it is."""
        if isinstance(node.ctx, ast.Load):
            self._use(node)
        else:
            self._scope.bind(node.id, "other")

    def visit_Assign(self, node: ast.Assign) -> None:
        """`name = expression` is an alias; all else is unknown."""
        self.visit(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._scope.bind(target.id, "value", node.value)
            else:
                self.visit(target)
        self._use(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Annotations of a function's variables are never evaluated."""
        if self._scope.kind != "function" and not self._late:
            self.visit(node.annotation)
        self._visit_all([node.value])
        if isinstance(node.target, ast.Name):
            self._scope.bind(node.target.id, "value" if node.value else "other", node.value)
        else:
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """`:=` binds outside of comprehensions."""
        self.visit(node.value)
        scope = self._scope
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        scope.bind(node.target.id, "other")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Recorded, then what it is an attribute of."""
        self.visit(node.value)
        self._use(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Recorded, with its parts before it."""
        self.calls[id(node.func)] = node
        self.generic_visit(node)
        self._use(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Recorded, with its parts before it."""
        self.generic_visit(node)
        self._use(node)

    def visit_Await(self, node: ast.Await) -> None:
        """Recorded, with its parts before it."""
        self.generic_visit(node)
        self._use(node)

    def visit_For(self, node: ast.For) -> None:
        """Recorded, with its parts before it."""
        self._visit_all([node.iter, node.target])
        self._visit_all(node.body)
        self._visit_all(node.orelse)
        self._use(node)

    def visit_While(self, node: ast.While) -> None:
        """A loop's body is a block."""
        self.visit(node.test)
        self._visit_all(node.body)
        self._visit_all(node.orelse)

    def _import(self, node: Any) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.star_import = True
            else:
                self._scope.bind(alias.asname or alias.name.partition(".")[0], "other")
        self._use(node)

    visit_Import = visit_ImportFrom = _import

    def _shared(self, node: Any) -> None:
        self.shared.update(node.names)

    visit_Global = visit_Nonlocal = _shared

    def _try(self, node: Any) -> None:
        with self._guard(bool(node.handlers)):
            self._visit_all(node.body)
        for block in (node.handlers, node.orelse, node.finalbody):
            self._visit_all(block)

    visit_Try = visit_TryStar = _try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """`except … as name`; what stands there runs after a failure only."""
        if node.name:
            self._scope.bind(node.name, "other")
        with self._guard():
            self._visit_all([node.type])
            self._visit_all(node.body)

    def visit_With(self, node: ast.With) -> None:
        """A context manager such as contextlib.suppress may catch what is raised inside."""
        self._visit_all(node.items)
        with self._guard():
            self._visit_all(node.body)

    def visit_If(self, node: ast.If) -> None:
        """`if __name__ == …` and constants: the sandbox's module has a name of its own."""
        self.visit(node.test)
        named = any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
        with self._guard(named or isinstance(node.test, ast.Constant)):
            self._visit_all(node.body)
            self._visit_all(node.orelse)

    def _match(self, node: Any) -> None:
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name:
            self._scope.bind(name, "other")
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _match


def is_plain(call: ast.Call) -> bool:
    """Whether a call has neither *args nor **kwargs, so that its arguments are known."""
    return not any(isinstance(arg, ast.Starred) for arg in call.args) and all(k.arg is not None for k in call.keywords)
