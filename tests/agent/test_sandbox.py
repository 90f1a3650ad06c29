"""The sandbox: values through the pipe, errors, limits, and no process left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.sandbox import launch, tree
from maia.agent.sandbox.check import namespace_members
from maia.agent.sandbox.supervisor import Limits, Outcome, Sandbox
from maia.models.errors import ExperimentError, UserError
from PIL import Image

API = {"system": ["neuron"], "tools": ["text2image", "display"]}
ATTRIBUTES = {"system": {"layer": "blocks.10", "unit": 3}}
LIMITS = Limits(wall_s=30.0, memory_bytes=256 << 20)
BOTH = pytest.mark.parametrize("mode", ["bubblewrap", "none"])


def make(mode: str = "bubblewrap", **limits: Any) -> Sandbox:
    return Sandbox(mode, Limits(**{**vars(LIMITS), **limits}), API, ATTRIBUTES)


class Recorder:
    """Answers calls: by `answer`, or with the first argument."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[str, list[Any], dict[str, Any]]] = []
        self.answer = answer

    async def __call__(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        self.calls.append((name, list(args), kwargs))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer if self.answer is not None else args[0]


class Namespace:
    """The process namespace of a run, held open."""

    def __init__(self) -> None:
        self.descriptor = -1
        self.root = -1

    def __call__(self, root: int) -> None:
        self.root = root
        self.descriptor = os.open(f"/proc/{root}/ns/pid", os.O_RDONLY)

    def members(self) -> list[int]:
        return namespace_members(self.descriptor)


async def run(code: str, answer: Any = None, mode: str = "bubblewrap", **limits: Any) -> tuple[Outcome, Recorder]:
    recorder = Recorder(answer)
    return await make(mode, **limits).run(textwrap.dedent(code), recorder), recorder


# --- what the code is given


@BOTH
async def test_run_experiment_gets_system_and_tools(mode: str) -> None:
    code = """
        def run_experiment(system, tools):
            image = tools.text2image("a dog", seed=4)
            print(system.layer, system.unit, system.neuron([image]))
    """
    outcome, recorder = await run(code, 1.5, mode)
    assert (outcome.outcome, outcome.error, outcome.stdout) == ("ok", "", "blocks.10 3 1.5\n")
    assert recorder.calls == [("tools.text2image", ["a dog"], {"seed": 4}), ("system.neuron", [[1.5]], {})]


async def test_code_that_calls_run_experiment_itself_runs_it_once() -> None:
    code = "def run_experiment(system, tools):\n    print('once')\n\nresult = run_experiment(system, tools)\n"
    assert (await run(code))[0].stdout == "once\n"
    guarded = (
        "def run_experiment(system, tools):\n    print('once')\n\nif __name__ == '__main__':\n    print('twice')\n"
    )
    assert (await run(guarded))[0].stdout == "once\n"


async def test_free_form_code_has_the_globals_and_libraries() -> None:
    code = "import numpy, PIL.Image, json, math\nprint(tools.text2image(numpy.float32(0.5)), numpy.arange(3).sum())"
    outcome, recorder = await run(code)
    assert outcome.stdout == "0.5 3\n"
    assert recorder.calls == [("tools.text2image", [0.5], {})]


async def test_torch_and_our_package_are_not_there() -> None:
    code = """
        for name in ("torch", "maia", "scipy", "pip"):
            try: __import__(name)
            except ModuleNotFoundError as error: print(error)
    """
    assert (await run(code))[0].stdout.count("No module named") == 4


async def test_attributes_are_read_only_and_unknown_ones_name_the_valid() -> None:
    outcome, _ = await run("system.unit = 5")
    assert "attributes of system cannot be set" in outcome.error
    outcome, _ = await run("tools.dataset_exemplar()")
    assert "AttributeError: tools has no attribute 'dataset_exemplar'; it has text2image, display" in outcome.error


async def test_the_same_set_prints_in_the_same_order() -> None:
    code = "print({'a', 'b', 'c', 'd', 'e', 'zebra', 'dog'})"
    outcomes = [(await run(code))[0].stdout for _ in range(3)]
    assert len(set(outcomes)) == 1


# --- values

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
scalars |= st.floats(allow_nan=False, allow_infinity=False)
pictures = st.tuples(
    st.sampled_from(["L", "LA", "RGB", "RGBA"]), st.integers(1, 9), st.integers(1, 9), st.binary(max_size=4)
)
images = pictures.map(lambda p: picture(*p))
values = st.recursive(
    scalars | images,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(-9, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


def picture(mode: str, width: int, height: int, seed: bytes = b"\x07") -> Image.Image:
    length = width * height * len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(
        mode, (width, height), bytes((i * 37 + len(seed) * 11 + sum(seed)) % 256 for i in range(length))
    )


def plain(value: Any) -> Any:
    """The value with pictures as (mode, size, bytes) and types spelled out, for comparison."""
    if isinstance(value, Image.Image):
        return ("image", value.mode, value.size, value.tobytes())
    if isinstance(value, list | tuple):
        return (type(value).__name__, [plain(item) for item in value])
    if isinstance(value, dict):
        return ("dict", [(plain(key), plain(item)) for key, item in value.items()])
    return (type(value).__name__, value)


async def echo(value: Any) -> tuple[Any, Any]:
    """The value sent into the sandbox as a result, and back as an argument."""
    back = []

    async def handle(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        back.append((list(args), kwargs))
        return value

    outcome = await make().run("x = tools.text2image()\ntools.display(x, key=x)", handle)
    assert outcome.outcome == "ok", outcome.error
    return back[1][0][0], back[1][1]["key"]


@given(value=values)
@settings(max_examples=25, deadline=None)
def test_values_and_pictures_come_through_both_ways_exactly(value: Any) -> None:
    argument, keyword = asyncio.run(echo(value))
    assert plain(argument) == plain(value)
    assert plain(keyword) == plain(value)


@pytest.mark.parametrize(
    ("mode", "size"), [("RGB", (1, 1)), ("L", (4096, 3)), ("RGBA", (3, 4096)), ("RGB", (640, 480))]
)
async def test_pictures_of_all_shapes_are_bit_exact(mode: str, size: tuple[int, int]) -> None:
    image = picture(mode, *size)
    argument, _ = await echo([image, image])
    assert plain(argument) == plain([image, image])


async def test_other_modes_become_rgb() -> None:
    outcome, recorder = await run(
        "from PIL import Image\ntools.display(Image.new('P', (2, 2)), Image.new('CMYK', (1, 1)))", 1
    )
    assert outcome.outcome == "ok"
    assert [image.mode for image in recorder.calls[0][1]] == ["RGB", "RGB"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("object()", "cannot pass a object"),
        ("{1, 2}", "cannot pass a set"),
        ("float('nan')", "must be finite"),
        ("2 ** 64", "64 bits"),
        ("{(1, 2): 3}", "keys of dicts"),
    ],
)
async def test_what_cannot_be_sent_is_said_in_words_and_can_be_caught(argument: str, message: str) -> None:
    attempt = f"try:\n    system.neuron({argument})\nexcept (TypeError, ValueError) as error:\n    print(error)\n"
    outcome, recorder = await run(attempt + "system.neuron(1)")
    assert message in outcome.stdout
    assert len(recorder.calls) == 1


# --- errors


@BOTH
async def test_a_traceback_shows_the_codes_own_lines_and_no_path(mode: str) -> None:
    code = """\
        import json

        def inner(text):
            return json.loads(text)

        def run_experiment(system, tools):
            inner("{")
    """
    outcome, _ = await run(code, mode=mode)
    assert outcome.outcome == "error"
    assert outcome.error == (
        "Traceback (most recent call last):\n"
        '  line 7, in run_experiment\n    inner("{")\n'
        "  line 4, in inner\n    return json.loads(text)\n"
        "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )


async def test_a_syntax_error_shows_the_line() -> None:
    outcome, _ = await run("x = 1\ny = = 2\n")
    assert outcome.error == "  line 2\n    y = = 2\nSyntaxError: invalid syntax"


@BOTH
async def test_an_experiment_error_can_be_caught(mode: str) -> None:
    code = "try:\n    system.neuron(1)\nexcept ExperimentError as error:\n    print('caught', error)"
    outcome, _ = await run(code, ExperimentError("no such “unit”"), mode)
    assert (outcome.outcome, outcome.stdout) == ("ok", "caught no such “unit”\n")
    outcome, _ = await run("system.neuron(1)", ExperimentError("no such unit"), mode)
    assert outcome.error.endswith("    system.neuron(1)\nExperimentError: no such unit")


async def test_another_exception_of_the_handler_ends_the_run_and_is_raised() -> None:
    namespace = Namespace()
    with pytest.raises(ZeroDivisionError, match="ours"):
        await make().run("system.neuron(1)", Recorder(ZeroDivisionError("ours")), namespace)
    assert namespace.members() == []


async def test_output_is_kept_when_time_runs_out_and_cut_when_long() -> None:
    outcome, _ = await run("print('before')\nwhile True: pass", wall_s=1.0)
    assert (outcome.outcome, outcome.stdout) == ("timeout", "before\n")
    outcome, _ = await run("print('x' * 5000)", output_bytes=1000)
    assert outcome.stdout == "x" * 1000 + "\n[output cut: only the first 1000 bytes are kept]"


async def test_what_drives_a_terminal_does_not_come_out() -> None:
    outcome, _ = await run("print('a\\x1b[2Jb\\tc\\x00\\x9b')\nraise ValueError('\\x1b]0;x\\x07')")
    assert outcome.stdout == "a\ufffd[2Jb\tc\ufffd\ufffd\n"
    assert outcome.error.endswith("ValueError: \ufffd]0;x\ufffd")


# --- limits and the end of the tree

TREE = """
import os, time
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        while True: time.sleep(1)
"""


async def test_a_time_out_kills_the_whole_tree() -> None:
    namespace, sizes = Namespace(), []

    async def handle(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        sizes.append(len(namespace.members()))

    began = time.monotonic()
    code = TREE + "time.sleep(0.3)\nsystem.neuron()\nwhile True: pass"
    outcome = await make(wall_s=2.0).run(code, handle, namespace)
    assert outcome.outcome == "timeout"
    assert outcome.error == "The code was stopped: it ran for more than 2 seconds."
    assert outcome.elapsed_s >= 2.0 and time.monotonic() - began < 15
    assert sizes[0] >= 5  # the namespace's first process, the worker, three orphans
    assert namespace.members() == []


async def test_time_inside_calls_does_not_count() -> None:
    async def handle(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        await asyncio.sleep(1.5)

    outcome = await make(wall_s=1.2).run("system.neuron()\nprint('done')", handle)
    assert (outcome.outcome, outcome.stdout) == ("ok", "done\n")
    assert outcome.elapsed_s < 1.2


async def test_limits_hold_while_the_event_loop_is_blocked() -> None:
    namespace = Namespace()
    task = asyncio.create_task(make(wall_s=0.5).run("print(1)\nwhile True: pass", Recorder(), namespace))
    while namespace.root < 0:
        await asyncio.sleep(0.01)
    while len(namespace.members()) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.4)  # the first frames
    time.sleep(2.5)
    assert namespace.members() == []
    assert (await task).outcome == "timeout"


async def test_cancelling_kills_the_tree() -> None:
    namespace, called = Namespace(), asyncio.Event()

    async def handle(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        called.set()
        await asyncio.sleep(1000)

    task = asyncio.create_task(make().run(TREE + "system.neuron()", handle, namespace))
    await asyncio.wait_for(called.wait(), 30)
    assert len(namespace.members()) >= 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert namespace.members() == []


async def test_the_tree_dies_with_us() -> None:
    program = f"""
import asyncio
from maia.agent.sandbox.supervisor import Sandbox

async def handle(name, args, kwargs):
    pass

code = {TREE + "while True: pass"!r}
asyncio.run(Sandbox().run(code, handle, lambda root: print(root, flush=True)))
"""
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert supervisor.stdout is not None
        namespace = Namespace()
        namespace(int(supervisor.stdout.readline()))
        await asyncio.sleep(1)
        assert namespace.members() != []
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        deadline = time.monotonic() + 10
        while namespace.members() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert namespace.members() == []
    finally:
        supervisor.kill()
        supervisor.wait()


@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        ("import os\nos.fork()\nwhile True: pass", {"cpu_s": 1.0}, "CPU time"),
        ("i = 0\nwhile True:\n    open(f'{i}', 'w').close()\n    i += 1", {"memory_bytes": 40 << 20}, "memory"),
        ("open('x', 'wb').write(bytes(40 << 20))\nimport time\ntime.sleep(9)", {"memory_bytes": 44 << 20}, "memory"),
        ("for i in range(9): system.neuron(i)", {"calls": 8}, "more than 8 calls"),
        ("while True: print('x' * 1000)", {"output_bytes": 100}, "printed more"),
    ],
)
async def test_limits_are_enforced_and_named(code: str, limits: dict[str, Any], words: str) -> None:
    outcome, _ = await run(code, **limits)
    assert outcome.outcome == "limit"
    assert words in outcome.error


async def test_as_root_no_user_id_is_shared_and_none_is_roots() -> None:
    outcomes = [await run("import os\nprint(os.getuid(), os.geteuid(), os.getgid(), os.getgroups())") for _ in range(2)]
    users = [outcome.stdout.split()[0] for outcome, _ in outcomes]
    assert "0" not in users
    assert (users[0] != users[1]) == launch.is_privileged()


async def test_eight_at_once_do_not_mix() -> None:
    @asynccontextmanager
    async def one(number: int) -> AsyncIterator[tuple[Outcome, Recorder]]:
        code = f"for i in range(20):\n    assert system.neuron([{number}, i]) == [{number}, i]\nprint({number})"
        yield await run(code)

    async def whole(number: int) -> None:
        async with one(number) as (outcome, recorder):
            assert (outcome.outcome, outcome.stdout) == ("ok", f"{number}\n")
            assert [args[0] for _, args, _ in recorder.calls] == [[number, i] for i in range(20)]

    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*map(whole, range(8)))
    assert len(os.listdir("/proc/self/fd")) == before


# --- without bubblewrap


async def test_mode_none_says_so_loudly_and_kills_its_orphans() -> None:
    assert "WARNING" in Sandbox("none").banner and Sandbox("bubblewrap").banner == ""
    pids: list[int] = []

    async def handle(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        pids.extend(args[0])

    code = """
        import os, time
        children = []
        for i in range(3):
            child = os.fork()
            if child == 0:
                os.setsid()
                while True: time.sleep(1)
            children.append(child)
        time.sleep(0.5)
        system.neuron([os.getpid(), *children])
        while True: pass
    """
    outcome = await make("none", wall_s=2.0).run(textwrap.dedent(code), handle)
    assert outcome.outcome == "timeout"
    assert len(pids) == 4
    states = [(tree.stat_fields(pid) or [b"X"])[0] for pid in pids]
    assert set(states) <= {b"Z", b"X"}


def test_missing_bubblewrap_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match=r"not installed: install bubblewrap .*--sandbox none"):
        Sandbox().check_available()
    Sandbox("none").check_available()


async def test_bubblewrap_that_fails_is_said_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UserError, match=r"uid map: Permission denied\): install .*sysctl .* --sandbox none"):
        Sandbox().check_available()
    with pytest.raises(UserError, match="uid map: Permission denied"):
        await Sandbox().run("pass", Recorder())


def test_an_unknown_mode_names_the_valid_ones() -> None:
    with pytest.raises(UserError, match="bubblewrap, none"):
        Sandbox("docker")
