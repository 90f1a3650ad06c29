"""The rule of which room may import which, read from the source of every file."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each room may import of the others; "" is the root (__init__.py and __main__.py). Nothing imports upwards.
MAY_IMPORT: dict[str, set[str]] = {
    "kernels": set(),
    "models": {"kernels"},
    "engine": {"kernels", "models"},
    "prompts": set(),
    "agent": {"kernels", "models", "engine", "prompts"},
    "benchmarks": {"kernels", "models", "engine", "prompts", "agent"},
    "": {"kernels", "models", "engine", "prompts", "agent", "benchmarks"},
}
# The only name of the root that a room may take: the others lead to every room.
ROOT_NAMES = {"__version__"}
# The ground floor needs no more than these from outside.
KERNEL_LIBRARIES = {"torch", "triton", "numpy"}


def imported_modules(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and absolute dotted path of each import, wherever it stands (in functions and under TYPE_CHECKING too).

    `package` is the path of the package that the file is in, as ("maia", "models", "testbed"). The names of
    `from x import name` are part of the path, since each may be a module. Raises ValueError for a relative import
    that leaves the package.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            if node.level > len(package):
                raise ValueError(f"line {node.lineno}: relative import beyond the package")
            base = package[: len(package) - node.level + 1] if node.level else ()
            path = base + tuple(node.module.split(".") if node.module else ())
            for alias in node.names:
                yield node.lineno, (*path, alias.name)


def find_violations(root: Path) -> list[str]:
    """One line, "file:line: what is wrong", for each import under `root` that breaks the rule."""
    found = []
    for room, allowed in MAY_IMPORT.items():
        files = sorted((root / room).rglob("*.py")) if room else [root / "__init__.py", root / "__main__.py"]
        for file in filter(Path.is_file, files):
            where = file.relative_to(root)
            if room and file.name == "__init__.py":
                found.append(f"{where}:1: rooms have no __init__.py, which would shadow other libraries")
            package = ("maia", *where.parent.parts)
            for line, path in imported_modules(file.read_text(encoding="utf-8"), package):
                if problem := _problem(room, allowed, path):
                    found.append(f"{where}:{line}: {problem}")
    return found


def _problem(room: str, allowed: set[str], path: tuple[str, ...]) -> str | None:
    library = path[0]
    if library != "maia":
        foreign = library not in KERNEL_LIBRARIES and library not in sys.stdlib_module_names
        libraries = ", ".join(sorted(KERNEL_LIBRARIES))
        return f"kernels import {libraries} only, not {library}" if room == "kernels" and foreign else None
    target = path[1] if len(path) > 1 else ""
    if target in MAY_IMPORT:
        if target and (target == room or target in allowed):
            return None
        return f"{room or 'the root'} may not import {target or 'the root'}"
    if room and target not in ROOT_NAMES:
        return f"{room} may not import {target} of the root, only {', '.join(sorted(ROOT_NAMES))}"
    return None


def test_no_room_imports_upwards() -> None:
    violations = find_violations(ROOT)
    assert not violations, "\n" + "\n".join(violations)


def test_the_real_tree_is_read() -> None:
    """The rule would hold of nothing if the files were not found, or relative imports not resolved."""
    seen = set()
    for file in (ROOT / "models" / "testbed").glob("*.py"):
        for _, path in imported_modules(file.read_text(encoding="utf-8"), ("maia", "models", "testbed")):
            seen.add(path[:2])
    assert ("maia", "models") in seen


@pytest.mark.parametrize(
    ("file", "source", "wrong"),
    [
        ("kernels/a.py", "from ..models.errors import UserError", True),
        ("kernels/a.py", "import scipy.ndimage", True),
        ("kernels/a.py", "import math, torch, numpy as np\nimport triton.language as tl\nfrom . import b", False),
        ("models/a.py", "from ..engine import exemplars", True),
        ("models/a.py", "from .. import engine", True),
        ("models/a.py", "from .. import UserError", True),
        ("models/a.py", "from .. import __version__", False),
        ("models/a.py", "import maia", True),
        ("models/a.py", "import maia.agent.system", True),
        ("models/testbed/a.py", "from ...agent.system import System", True),
        ("models/testbed/a.py", "from ..errors import UserError\nfrom ...kernels.mask import m\nimport numpy", False),
        ("models/testbed/drawings/a.py", "def f():\n    from ....engine.exemplars import x", True),
        ("engine/a.py", "if TYPE_CHECKING:\n    from ..agent.system import System", True),
        ("engine/a.py", "from ..models.errors import UserError", False),
        ("prompts/a.py", "from ..models.errors import UserError", True),
        ("prompts/a.py", "import jinja2\nfrom .b import c", False),
        ("agent/a.py", "from ..benchmarks import scores", True),
        ("agent/a.py", "from ..__main__ import main", True),
        ("agent/sandbox/a.py", "from ..transcript import T\nfrom ...prompts import render", False),
        ("agent/__init__.py", "", True),
        ("__main__.py", "from .agent import system\nfrom . import __version__\nimport typer", False),
        ("__init__.py", "from maia.models.errors import UserError", False),
    ],
)
def test_the_rule_can_fail(tmp_path: Path, file: str, source: str, wrong: bool) -> None:
    target = tmp_path / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source)
    violations = find_violations(tmp_path)
    assert bool(violations) == wrong, violations
    assert all(line.startswith(f"{file}:") for line in violations)


def test_a_relative_import_beyond_the_package_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(imported_modules("from ....x import y", ("maia", "models")))
