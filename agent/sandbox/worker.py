"""The process in which model-written code runs: `python worker.py READ_FD WRITE_FD`, started by `launch`.

It is a script, not a module of the package: inside the sandbox it lies alone with `protocol.py`, and the standard
library, numpy and PIL are all there is to import. The supervisor's first frame says who to become, the limits, the
API and the code. After that the code shares this process and may do anything to it, so nothing here guards
anything: limits set here are a courtesy (an exception that the code can read) before the supervisor's own.
"""

import _thread
import io
import os
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import protocol
else:
    import protocol

FILE_NAME = "<experiment>"
ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without importing ast
MAX_FRAMES = 8
MAX_LINE = 200
MAX_MESSAGE = 4000


class ExperimentError(Exception):
    """A call to the API was refused; the message says what would be accepted."""


class Channel:
    """The worker's end of the pipe: one call at a time, from the first process only."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self.write_fd = read_fd, write_fd
        self.limit = 0
        self._lock = _thread.RLock()
        self._busy = False
        self._process = os.getpid()

    def receive(self) -> tuple[dict[str, Any], protocol.Decoder]:
        """The next frame."""
        lengths = protocol.HEADER.unpack(self._read(protocol.HEADER.size))
        message, images, _ = protocol.parse_frame(self._read(lengths[0]))
        return message, protocol.Decoder(protocol.cut_pixels(self._read(lengths[1]), images))

    def send(self, chunks: list[bytes]) -> None:
        """Write one frame."""
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self.write_fd, view) :]

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ask the supervisor for one call of the API and wait for its result."""
        if os.getpid() != self._process:
            raise RuntimeError(f"{name} cannot be called from a child process")
        # The API's own objects travel as their names: tools.dataset_exemplars(system).
        plain = {key: value._name if isinstance(value, Api) else value for key, value in kwargs.items()}
        values = {"args": [value._name if isinstance(value, Api) else value for value in args], "kwargs": plain}
        chunks = protocol.build_frame({"type": "call", "name": name}, values, self.limit, finite=True)
        with self._lock:
            if self._busy:
                raise RuntimeError(f"{name} cannot be called while another call is under way")
            self._busy = True
            try:
                self.send(chunks)
                message, decoder = self.receive()
            finally:
                self._busy = False
        if message["type"] == "raise":
            raise ExperimentError(message["message"])
        return decoder.decode(message["value"])

    def finish(self, outcome: str, error: str) -> None:
        """Send the last frame and leave without running anything more of the code (atexit, __del__, threads)."""
        if os.getpid() == self._process:
            self.send(protocol.build_frame({"type": "done", "outcome": outcome, "error": error}, {}, self.limit))
        os._exit(0)

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            chunk = os.read(self.read_fd, min(length - len(data), 1 << 20))
            if not chunk:
                os._exit(1)
            data += chunk
        return bytes(data)


class Api:
    """`system` or `tools`: methods that go over the pipe, and plain read-only attributes."""

    def __init__(self, name: str, methods: list[str], attributes: dict[str, Any], call: Callable[..., Any]) -> None:
        set_field = super().__setattr__
        set_field("_name", name)
        set_field("_names", [*methods, *attributes])
        for key, value in attributes.items():
            set_field(key, value)
        for method in methods:
            set_field(method, _make_method(f"{name}.{method}", call))

    def __getattr__(self, key: str) -> Any:
        raise AttributeError(f"{self._name} has no attribute {key!r}; it has {', '.join(self._names)}")

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"attributes of {self._name} cannot be set")

    def __dir__(self) -> list[str]:
        return list(self._names)

    def __repr__(self) -> str:
        return f"<{self._name}: {', '.join(self._names)}>"


def _make_method(path: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        return call(path, args, kwargs)

    method.__name__ = path.rpartition(".")[2]
    method.__qualname__ = path
    return method


def apply_limits(limits: dict[str, int], user: int | None) -> None:
    """Set the process limits, then give up being root (`user`: the id to take, None: stay)."""
    import contextlib

    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_FSIZE: limits["disk_bytes"],
        resource.RLIMIT_AS: limits["address_bytes"],
        resource.RLIMIT_NOFILE: limits["files"],
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if limits["processes"]:
        wanted[resource.RLIMIT_NPROC] = limits["processes"]
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    with contextlib.suppress(OSError):
        os.nice(5)


def calls_itself(tree: Any) -> bool:
    """Whether the module's own statements call run_experiment, so that it must not be called a second time."""
    for node in tree.body:
        value = getattr(node, "value", None)
        function = getattr(value, "func", None)
        if getattr(function, "id", None) == "run_experiment":
            return True
    return False


def run_code(code: str, system: Api, tools: Api) -> None:
    """Run the code as a module; then run_experiment(system, tools), if it defines that and did not call it."""
    import random
    import types

    random.seed(0)  # so that an experiment that is run again after a crash draws the same numbers
    module = types.ModuleType("experiment")  # not "__main__": a guarded second start must not run
    sys.modules["experiment"] = module
    scope = module.__dict__
    scope.update(system=system, tools=tools, ExperimentError=ExperimentError)
    tree = compile(code, FILE_NAME, "exec", ONLY_AST, dont_inherit=True)
    called = calls_itself(tree)
    exec(compile(tree, FILE_NAME, "exec", dont_inherit=True), scope)
    function = scope.get("run_experiment")
    if callable(function) and not called:
        function(system, tools)


def describe_error(error: BaseException, code: str) -> str:
    """A traceback of the code's own lines with their text, the exception's type and its message."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename in (FILE_NAME, None):
        where = f"  line {error.lineno}\n    {(error.text or '').strip()[:MAX_LINE]}\n" if error.lineno else ""
        return f"{where}{kind}: {error.msg}"
    try:
        message = str(error)[:MAX_MESSAGE]
    except BaseException:
        message = "(its message could not be read)"
    lines, frames, trace = code.splitlines(), [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            number = trace.tb_lineno
            text = lines[number - 1].strip()[:MAX_LINE] if 0 < number <= len(lines) else ""
            frames.append(f"  line {number}, in {trace.tb_frame.f_code.co_name}\n    {text}\n")
        trace = trace.tb_next
    if len(frames) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        frames[half:-half] = [f"  ... {len(frames) - MAX_FRAMES} more lines ...\n"]
    head = "Traceback (most recent call last):\n" if frames else ""
    return f"{head}{''.join(frames)}{kind}: {message}" if message else f"{head}{''.join(frames)}{kind}"


def flush_output() -> None:
    """Push what the code printed into the pipe, whatever it made of sys.stdout."""
    import contextlib

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


def main() -> None:
    """Read the first frame, shed rights, run the code, report."""
    channel = Channel(int(sys.argv[1]), int(sys.argv[2]))
    for descriptor in (channel.read_fd, channel.write_fd):
        os.set_inheritable(descriptor, False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what was printed before a time-out shall be seen
    start, decoder = channel.receive()
    channel.limit = start["limits"]["message_bytes"]
    os.environ.clear()
    # One thread each: more would count against the process limit.
    os.environ.update(
        HOME=os.getcwd(), TMPDIR=os.getcwd(), LANG="C.UTF-8", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"
    )
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    sys.path += start["packages"]
    sys.argv[:] = ["experiment"]
    attributes = decoder.decode(start["attributes"])
    apis = {
        name: Api(name, start["api"].get(name, []), attributes.get(name, {}), channel.call)
        for name in ("system", "tools")
    }
    apply_limits(start["limits"], start["user"])
    channel.send(protocol.build_frame({"type": "ready"}, {}, channel.limit))
    code, outcome, error = start["code"], "ok", ""
    try:
        run_code(code, apis["system"], apis["tools"])
    except BaseException as raised:
        outcome = "error"
        try:
            error = describe_error(raised, code)
        except BaseException:
            error = "The code raised an exception that could not be described."
    flush_output()
    channel.finish(outcome, error)


if __name__ == "__main__":
    main()
