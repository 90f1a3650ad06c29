"""What an experiment's code says without being run: the methods that it calls, its prompts, and its shape."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAKING = frozenset({"text2image", "edit_images"})
"""Methods that make images from prompts."""


@dataclass(frozen=True)
class Code:
    """methods: attributes that are called. prompts: literal texts that reach text2image or edit_images. templates: the
    same for f-strings, with {} where values go. numbers: numeric constants. shape: the program with its variables
    renamed in order of appearance, without comments, docstrings and layout; empty where it does not parse."""

    methods: frozenset[str] = frozenset()
    prompts: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    shape: str = ""
    draws_itself: bool = False

    @property
    def makes_images(self) -> bool:
        """Whether it measures anything else than exemplars: images from prompts, edits, or drawn by the code itself."""
        return bool(self.methods & MAKING) or self.draws_itself


@lru_cache(maxsize=512)
def read_code(source: str) -> Code:
    """What the code says. Code that does not parse has nothing but the methods that its text names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of "\\d" in a text of the code
            return _read(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Code(methods=frozenset(re.findall(r"\.\s*([A-Za-z_]\w*)\s*\(", source)))


def _read(tree: ast.Module) -> Code:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    methods = frozenset(call.func.attr for call in calls if isinstance(call.func, ast.Attribute))
    # A method that is only named may be called under another name.
    methods |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in MAKING}
    bound = _bindings(tree)
    prompts: dict[str, None] = {}
    templates: dict[str, None] = {}
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in MAKING:
            for text, whole in _texts([*call.args, *(keyword.value for keyword in call.keywords)], bound):
                (prompts if whole else templates)[text] = None
    numbers = sorted(
        repr(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    )
    draws_itself = bool(methods & {"fromarray", "new", "Draw", "paste"})
    return Code(methods, tuple(prompts), tuple(templates), tuple(numbers), _shape(tree), draws_itself)


def _bindings(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What each name may stand for: values that are assigned, looped over, or appended to it."""
    bound: dict[str, list[ast.expr]] = {}

    def bind(target: ast.expr, value: ast.expr) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                bound.setdefault(node.id, []).append(value)

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                bind(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
            bind(node.target, node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            bind(node.target, node.iter)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("append", "extend", "insert")
        ):
            for argument in node.args:
                bind(node.func.value, argument)
    return bound


def _texts(roots: list[ast.expr], bound: dict[str, list[ast.expr]]) -> Iterator[tuple[str, bool]]:
    """Texts below these expressions and behind their names; False beside those with values put in."""
    waiting: list[ast.AST] = list(roots)
    seen: set[str] = set()
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value, True
            continue
        if isinstance(node, ast.JoinedStr):
            pieces = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield "".join(pieces), False
            waiting += [part for part in node.values if isinstance(part, ast.FormattedValue)]
            continue
        if isinstance(node, ast.Name) and node.id not in seen:
            seen.add(node.id)
            waiting += bound.get(node.id, [])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _RESULTS:
            continue  # its texts made images, or tell of them: they are no prompts of this call
        waiting += ast.iter_child_nodes(node)


_RESULTS = MAKING | {"neuron", "dataset_exemplars", "describe_images", "summarize_images"}


def _shape(tree: ast.Module) -> str:
    tree = ast.parse(ast.unparse(tree))  # a copy to rename in
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names: dict[str, str] = {}

    def renamed(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}") if name in own else name

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.name = renamed(node.name)
            node.returns = None
            if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Name):
            node.id = renamed(node.id)
        elif isinstance(node, ast.arg):
            node.arg, node.annotation = renamed(node.arg), None
    return ast.dump(tree)
