"""The package as others meet it: a light import, a wheel that works away from the checkout, no quarrel over names."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("kernels", "models", "engine", "prompts", "agent", "benchmarks")
# What a room holds besides code: everything but the sign on its door goes into the wheel.
NOT_SHIPPED = {".md", ".pyc"}


def run_python(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter in a fresh process and return what it printed; `check` is left to the caller."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


def evaluate(expression: str, *, cwd: Path, imports: str = "maia", **environment: str) -> object:
    """The value of a Python expression (as JSON) in a fresh interpreter after `import …`."""
    code = f"import json, sys, {imports}\nprint(json.dumps({expression}))"
    result = run_python("-c", code, cwd=cwd, **environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def shipped_files(root: Path) -> set[str]:
    """Paths below `root`, as in "models/errors.py", of all that the rooms hold and the wheel must have."""
    return {
        file.relative_to(root).as_posix()
        for room in ROOMS
        for file in (root / room).rglob("*")
        if file.is_file() and file.suffix not in NOT_SHIPPED and "__pycache__" not in file.parts
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged: building leaves files behind, and old ones would hide a fault."""
    copy = tmp_path_factory.mktemp("source") / "any-name"
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy2(file, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    out = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out))
    result = run_python(*pip, str(source), cwd=source)
    assert result.returncode == 0, result.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in it and nothing else of ours, to be put first on PYTHONPATH."""
    target = tmp_path_factory.mktemp("site")
    pip = ("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target))
    result = run_python(*pip, str(wheel), cwd=target)
    assert result.returncode == 0, result.stderr
    return target


def test_import_is_light(tmp_path: Path) -> None:
    heavy = ["torch", "numpy", "scipy", "skia", "PIL", "transformers", "asyncio"]
    assert evaluate(f"[name for name in {heavy} if name in sys.modules]", cwd=tmp_path) == []


def test_public_names_resolve_and_unknown_ones_do_not(tmp_path: Path) -> None:
    assert evaluate("[name for name in dir(maia) if getattr(maia, name) is None]", cwd=tmp_path) == []
    assert evaluate("hasattr(maia, 'no_such_name')", cwd=tmp_path) is False


def test_readme_names_what_there_is(tmp_path: Path) -> None:
    used = set(re.findall(r"\bmaia\.([a-z]\w*)\(", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert used
    public = evaluate("dir(maia)", cwd=tmp_path)
    assert isinstance(public, list)
    assert used <= set(public)


def test_wheel_holds_every_file_of_the_rooms(source: Path, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"maia/{path}" for path in shipped_files(source)} | {"maia/__init__.py", "maia/py.typed"}
    assert not expected - names
    ours = {name for name in names if ".dist-info/" not in name}
    at_the_root = {name for name in ours if name.count("/") == 1}
    assert at_the_root <= {"maia/__init__.py", "maia/__main__.py", "maia/py.typed"}
    # Nothing of ours may lie beside maia/, where it would be a top-level module of the whole environment.
    assert all(name.startswith("maia/") for name in ours)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_takes_data_files_along(tmp_path: Path, source: Path) -> None:
    """Data in a folder without code is found too; other file types, caches and unlisted folders are not."""
    copy = tmp_path / "copy"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    wanted = ["prompts/new/a.j2", "models/new/deep/b.safetensors", "engine/new/c.yaml"]
    unwanted = ["prompts/new/__pycache__/a.j2", "stray/d.py", "engine/new/e.bak"]
    for path in wanted + unwanted:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text("")
    pip = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path))
    result = run_python(*pip, str(copy), cwd=copy)
    assert result.returncode == 0, result.stderr
    (built,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(built).namelist()
    assert {f"maia/{path}" for path in wanted} <= set(names)
    assert not [name for name in names if "stray" in name or "__pycache__" in name or name.endswith(".bak")]


def test_wheel_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    path = evaluate(
        "[maia.__file__, maia.models.testbed.vocabulary.__file__]",
        cwd=tmp_path,
        imports="maia, maia.models.testbed.vocabulary",
        PYTHONPATH=str(installed),
    )
    assert isinstance(path, list)
    assert all(Path(file).is_relative_to(installed) for file in path)
    shown = run_python("-m", "maia", "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    assert shown.returncode == 0, shown.stderr
    assert "describe" in shown.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_of_the_wheel_can_be_found(room: str, installed: Path, tmp_path: Path) -> None:
    """Each file is found as maia.…, by its dotted name, in the wheel: found, not imported, which would take long."""
    names = [
        ".".join(("maia", *file.relative_to(ROOT).with_suffix("").parts))
        for file in sorted((ROOT / room).rglob("*.py"))
    ]
    found = evaluate(
        f"[importlib.util.find_spec(name).origin for name in {names}]",
        cwd=tmp_path,
        imports="importlib.util, maia",
        PYTHONPATH=str(installed),
    )
    assert isinstance(found, list) and len(found) == len(names)
    assert all(Path(origin).is_relative_to(installed) for origin in found)


@pytest.mark.parametrize("place", ["the checkout", "elsewhere"])
def test_kernels_of_hugging_face_is_not_shadowed(place: str, tmp_path: Path) -> None:
    """Our room of that name has no __init__.py, so the installed library wins even from the root of the checkout."""
    cwd = ROOT if place == "the checkout" else tmp_path
    found = evaluate(
        "[kernels.__file__, callable(kernels.get_kernel), list(importlib.import_module('maia.kernels').__path__)]",
        cwd=cwd,
        imports="importlib, maia, kernels",
    )
    assert isinstance(found, list)
    origin, get_kernel, ours = found
    assert "site-packages" in Path(origin).parts and get_kernel
    assert any(Path(path).resolve() == ROOT / "kernels" for path in ours)


def test_transformers_imports_from_the_root_of_the_checkout() -> None:
    """transformers looks for `kernels` when it is imported; it must meet neither our room nor an error."""
    assert evaluate("transformers.utils.is_torch_available()", cwd=ROOT, imports="transformers, maia") is True


@pytest.mark.parametrize("room", [*ROOMS, "tests"])
def test_every_room_has_a_sign_on_its_door(room: str) -> None:
    text = (ROOT / room / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {room}")
    assert "**May import**" in text


def test_no_code_lives_outside_the_rooms() -> None:
    """The top level is fixed: a new folder with code in it would be neither packaged nor checked."""
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tops = {Path(line).parts[0] for line in tracked.splitlines() if len(Path(line).parts) > 1}
    assert tops <= {*ROOMS, "tests", "docs"}
