"""A look at code before it runs: mistakes that are certain are answered at once, without spending an experiment."""

import ast
import builtins
import difflib
import inspect
import sys
import types
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence

from .code_scopes import ENTRY, OBJECTS, Known, Scopes, Use, is_plain

MAX_PROBLEMS = 6
MAX_CODE = 60_000
"""Characters; longer code is not looked at, only run."""
MAX_SHOWN = 120  # characters of a line of code in a message
PACKAGES = frozenset({"numpy", "PIL"})
"""What the sandbox offers beside the standard library."""
_OTHER_MODULES = frozenset({"experiment", "protocol", "__main__"})  # in the worker's sys.modules
_IMPORTS = {"np": "import numpy as np", "numpy": "import numpy", "Image": "from PIL import Image", "PIL": "import PIL"}
_NAMES = frozenset(dir(builtins)) | {
    *(*OBJECTS, "ExperimentError", "__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__"),
    *("__class__", "__annotations__", "__module__", "__qualname__", "__dict__", "__debug__"),
}
_DYNAMIC = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "hasattr", "getattr", "delattr", "dir"})
_DYNAMIC_MODULES = frozenset({"sys", "importlib", "builtins", "inspect", "ctypes", "gc", "runpy", "imp"})
_OUTPUTS = frozenset({"print", "write", "writelines", "log_experiment", "display", "stdout", "stderr", "warn", "input"})
_LOGGING_MODULES = frozenset({"sys", "os", "logging", "warnings", "traceback", "pprint", "subprocess"})

Methods = Mapping[str, Mapping[str, inspect.Signature]]
Problem = tuple[int, str]


def check_code(code: str, methods: Methods, contained: bool = True) -> str | None:
    """What is certainly wrong with an experiment's code, as a text for the backbone; None: nothing was found.

    methods: signatures by object and method (`agent.api.methods_of`). contained: it will run where only numpy and PIL
    can be imported beside the standard library. Never raises, whatever the code. Code that this refuses fails in the
    sandbox or shows nothing; code that it lets pass may fail all the same.
    """
    if len(code) > MAX_CODE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes: they are the code's own matter
            tree, problems = _parse(code)
            if tree is not None:
                problems = list(_problems(tree, methods, contained)) or _compile(code)
    except (RecursionError, MemoryError, OverflowError):
        return None  # nested too deeply to be judged here; the sandbox will tell
    return _message(code, problems) if problems else None


def _parse(code: str) -> tuple[ast.Module | None, list[Problem]]:
    if "\0" in code:
        return None, [(0, "the code contains a null character: leave it out.")]
    try:
        return ast.parse(code), []
    except SyntaxError as error:
        return None, [_syntax_problem(error)]
    except UnicodeError:
        return None, [(0, "the code contains half a character (a lone surrogate): write plain text.")]
    except ValueError as error:
        return None, [(0, f"it cannot be read: {error}.")]


def _compile(code: str) -> list[Problem]:
    """What only the compiler finds, such as `return` outside a function. Nothing of the code runs."""
    try:
        compile(code, "<experiment>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return [_syntax_problem(error)]
    except ValueError:
        return []
    return []


def _syntax_problem(error: SyntaxError) -> Problem:
    what = f"{type(error).__name__}: {error.msg}."
    if "'await'" in str(error.msg) or "asynchronous" in str(error.msg):
        what += " Calls of system and tools are plain calls: leave out async and await."
    return error.lineno or 0, what


def _problems(tree: ast.Module, methods: Methods, contained: bool) -> Iterator[Problem]:
    scopes = Scopes(tree)
    loads = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = {name for node in ast.walk(tree) for name in _modules(node)}
    dynamic = bool(loads & _DYNAMIC) or scopes.star_import or bool(modules & _DYNAMIC_MODULES)
    yield from _entry_problems(tree, scopes)
    for use in scopes.uses:
        if use.guarded:
            continue
        if contained and not dynamic:
            yield from _import_problems(use)
        if not dynamic:
            yield from _name_problems(use, scopes)
            yield from _use_problems(use, scopes, methods)
    if not dynamic:
        yield from _silence(tree, modules, methods)


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) else []


# The function run_experiment


def _entry_problems(tree: ast.Module, scopes: Scopes) -> Iterator[Problem]:
    idle = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Pass
    if ENTRY not in scopes.module.names and not scopes.star_import:
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        does_nothing = all(
            (isinstance(node, idle) and not getattr(node, "decorator_list", None))
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            for node in tree.body
        )
        if does_nothing and not any(isinstance(node, ast.ClassDef) for node in tree.body):
            what = f"{', '.join(defined)} would never be called" if defined else "nothing in it would run"
            yield 0, f"{what}: put the experiment into `def {ENTRY}(system, tools):`."
        return
    function = scopes.entry()
    if function is None or scopes.calls_itself():
        return
    referenced = any(isinstance(use.node, ast.Name) and use.node.id == ENTRY for use in scopes.uses)
    right = f"write `def {ENTRY}(system, tools):`"
    if not _takes_two(function.args):
        yield function.lineno, f"{ENTRY} is called with system and tools: {right}."
    elif not referenced and isinstance(function, ast.AsyncFunctionDef):
        yield function.lineno, f"{ENTRY} must not be async, it would not run: {right}, and leave out await."
    elif not referenced and _yields(function):
        yield function.lineno, f"{ENTRY} contains yield, so that calling it runs nothing: leave out yield."


def _takes_two(args: ast.arguments) -> bool:
    positional = len(args.posonlyargs) + len(args.args)
    required = positional - len(args.defaults)
    return required <= 2 and (positional >= 2 or args.vararg is not None) and None not in args.kw_defaults


def _yields(function: ast.AST) -> bool:
    nodes = list(ast.iter_child_nodes(function))
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            nodes.extend(ast.iter_child_nodes(node))
    return False


# Names and modules


def _import_problems(use: Use) -> Iterator[Problem]:
    node = use.node
    if isinstance(node, ast.ImportFrom) and node.level:
        yield node.lineno, "there is no package to import from: system and tools exist when the code runs."
        return
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return
    for name in _modules(node):
        if name in OBJECTS:
            yield node.lineno, f"{name} cannot be imported: it exists when the code runs; leave out this line."
        elif name not in sys.stdlib_module_names | PACKAGES | _OTHER_MODULES:
            yield (
                node.lineno,
                f"there is no module {name}: only numpy, PIL and the standard library can be imported; images come "
                "from tools, activations from system.",
            )


def _name_problems(use: Use, scopes: Scopes) -> Iterator[Problem]:
    node = use.node
    if not isinstance(node, ast.Name) or node.id in _NAMES or node.id in scopes.shared:
        return
    if scopes.find(node.id, use.scope) is not None:
        return
    if node.id in _IMPORTS:
        hint = f"write `{_IMPORTS[node.id]}` first"
    elif node.id in sys.stdlib_module_names:
        hint = f"write `import {node.id}` first"
    elif node.id.lower() in OBJECTS:
        hint = f"the object is called {node.id.lower()}; leave types out"
    else:
        hint = _nearest(node.id, _visible(use)) or "give it a value before it is used"
    yield node.lineno, f"{node.id} is not defined: {hint}."


def _visible(use: Use) -> list[str]:
    scope, names = use.scope, [*OBJECTS]
    while scope is not None:
        names += scope.names
        scope = scope.parent  # type: ignore[assignment]
    return names


def _nearest(name: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(name[:60], list(valid)[:200], 1, 0.6)
    return f"did you mean {close[0]}?" if close else ""


# Uses of system and tools


def _use_problems(use: Use, scopes: Scopes, methods: Methods) -> Iterator[Problem]:
    node = use.node
    if isinstance(node, ast.Attribute):
        yield from _attribute_problems(node, scopes.resolve(node.value, use.scope), methods)
    elif isinstance(node, ast.Call):
        yield from _call_problems(node, scopes.resolve(node.func, use.scope), methods)
    elif isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
        if _method(scopes.resolve(node.value.func, use.scope), methods) is not None:
            yield node.lineno, "calls of system and tools are plain calls: leave out await."
    elif isinstance(node, ast.Assign):
        yield from _unpacking_problems(node, use, scopes, methods)
    else:
        values = {ast.Subscript: "value", ast.For: "iter", ast.comprehension: "iter"}
        value = getattr(node, values.get(type(node), ""), None)
        known = scopes.resolve(value, use.scope)
        if value is not None and known is not None and _method(known, methods) is not None:
            yield value.lineno, f"{_written(known)} is a method: call it, {_form(known, methods)}."


def _method(known: Known | None, methods: Methods) -> inspect.Signature | None:
    return methods.get(known.object, {}).get(known.method) if known is not None and known.method else None


def _written(known: Known) -> str:
    return f"{known.object}.{known.method}"


def _form(known: Known, methods: Methods) -> str:
    """A call as it may be written: tools.log_experiment(activations, images, titles, text='')."""
    signature = _method(known, methods)
    assert signature is not None
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return f"`{_written(known)}{inspect.Signature(plain)}`"


def _attribute_problems(node: ast.Attribute, base: Known | None, methods: Methods) -> Iterator[Problem]:
    if base is None or node.attr.startswith("_"):
        return
    if base.method is not None:
        return
    valid = methods.get(base.object, {})
    if not isinstance(node.ctx, ast.Load):
        yield node.lineno, f"attributes of {base.object} cannot be set: keep values in variables of your own."
    elif node.attr not in valid:
        others = [name for name in methods if name != base.object and node.attr in methods[name]]
        hint = f"it is {others[0]}.{node.attr}" if others else _nearest(node.attr, list(valid))
        has = f"{base.object} has {', '.join(valid)}"
        yield node.lineno, f"{base.object} has no {node.attr}: {hint + '; ' if hint else ''}{has}."


def _call_problems(node: ast.Call, known: Known | None, methods: Methods) -> Iterator[Problem]:
    if known is None:
        return
    if known.method is None:
        valid = ", ".join(f"{known.object}.{name}" for name in methods.get(known.object, {}))
        yield node.lineno, f"{known.object} cannot be called: call one of {valid}."
        return
    signature = _method(known, methods)
    if signature is None or not is_plain(node):
        return
    try:
        bound = signature.bind(*node.args, **{str(keyword.arg): keyword.value for keyword in node.keywords})
    except TypeError as error:
        yield node.lineno, f"{_written(known)}: {error}: write {_form(known, methods)}."
        return
    for name, value in bound.arguments.items():
        annotation = signature.parameters[name].annotation
        if isinstance(value, ast.Constant | ast.JoinedStr) and _is_list(annotation):
            yield node.lineno, f"{_written(known)}: {name} must be a list: put it into square brackets."


def _is_list(annotation: object) -> bool:
    if isinstance(annotation, types.UnionType):
        return all(_is_list(member) for member in typing.get_args(annotation))
    return typing.get_origin(annotation) is list


def _unpacking_problems(node: ast.Assign, use: Use, scopes: Scopes, methods: Methods) -> Iterator[Problem]:
    target = node.targets[0]
    if not isinstance(target, ast.Tuple | ast.List) or any(isinstance(entry, ast.Starred) for entry in target.elts):
        return
    called = isinstance(node.value, ast.Call)
    known = scopes.resolve(node.value.func if isinstance(node.value, ast.Call) else node.value, use.scope)
    signature = _method(known, methods)
    if known is None or signature is None:
        return
    if not called:
        yield node.lineno, f"{_written(known)} is a method: call it, {_form(known, methods)}."
        return
    returned = signature.return_annotation
    count = len(typing.get_args(returned)) if typing.get_origin(returned) is tuple else None
    if count is not None and count != len(target.elts):
        yield node.lineno, f"{_written(known)} returns {count} values, not {len(target.elts)}."
    elif returned is None:
        yield node.lineno, f"{_written(known)} returns nothing."


def _silence(tree: ast.Module, modules: set[str], methods: Methods) -> Iterator[Problem]:
    """Nothing that the code does could be seen afterwards."""
    if modules & _LOGGING_MODULES:
        return
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
        if name in _OUTPUTS or isinstance(node, ast.Raise | ast.Assert):
            return
    if "log_experiment" in methods.get("tools", {}):
        form = _form(Known("tools", "log_experiment"), methods)
        yield 0, f"nothing is logged, so that you would see no results: end with {form}."
    else:
        yield 0, "nothing is printed, so that you would see no results."


def _message(code: str, problems: Sequence[Problem]) -> str:
    lines = code.split("\n")
    told: list[str] = []
    for number, what in sorted(set(problems), key=lambda problem: (problem[0] == 0, problem[0])):
        shown = lines[number - 1].strip()[:MAX_SHOWN] if 0 < number <= len(lines) else ""
        told.append(f"- line {number}: `{shown}`: {what}" if shown else f"- {what}")
    more = f"\n(and {len(told) - MAX_PROBLEMS} more)" if len(told) > MAX_PROBLEMS else ""
    return (
        "Your code was not run, because it cannot work as it stands. Mend this and send the whole reply again:\n"
        + "\n".join(told[:MAX_PROBLEMS])
        + more
    )
