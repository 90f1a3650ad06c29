"""`maia sandbox check`: run every hostile program in the real sandbox and see that each is contained.

Around each program there is something to get at: a secret in a file that everybody may read and write, the same
secret in our environment, and listening sockets that write down who comes. Contained means: the outcome is one of
those expected, in time; no LEAK and no secret came out; nobody came to the sockets; the file is as it was; and no
process of the run's process namespace is alive.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...models.errors import ExperimentError, UserError
from .hostile import PROGRAMS, Program
from .supervisor import Limits, Outcome, Sandbox
from .tree import stat_fields

LIMITS = Limits(
    wall_s=2.0, cpu_s=20.0, memory_bytes=192 << 20, disk_bytes=8 << 20, processes=12, output_bytes=4096, calls=60
)
API = {"system": ["neuron"], "tools": ["text2image"]}
PATIENT_WALL_S = 15.0  # for programs that must end in another way than by time, also on a busy machine
OVERHEAD_S = 15.0  # start, end and a busy machine
BIG_RESULT = "x" * 100_000


@dataclass(frozen=True)
class CheckResult:
    """What came of one program. problems: what was not contained, in words; empty is good. survivors: process ids."""

    name: str
    outcome: str
    elapsed_s: float
    survivors: list[int]
    problems: list[str]

    @property
    def contained(self) -> bool:
        """Whether nothing went wrong."""
        return not self.problems


@dataclass
class Bait:
    """Things worth stealing, and who came for them."""

    secret: str
    file: Path
    fields: dict[str, str]
    listeners: list[socket.socket]
    visits: list[str] = field(default_factory=list)

    def fill(self, code: str) -> str:
        """The program with its @NAMES@ filled in."""
        for name, value in self.fields.items():
            code = code.replace(f"@{name}@", value)
        return code

    def visitors(self) -> list[str]:
        """What reached the sockets since they were opened."""
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_DGRAM:
                    self.visits.append(f"a datagram {listener.recv(100)!r}")
                else:
                    listener.accept()[0].close()
                    self.visits.append(f"a connection to {listener.getsockname()!r}")
        return self.visits


@contextmanager
def lay_bait() -> Iterator[Bait]:
    """Secret, file, environment variable and sockets, gone afterwards."""
    secret, name = secrets.token_hex(16), "MAIA_CHECK_SECRET"
    abstract = f"maia-check-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maia-check-")))
        directory.chmod(0o777)
        file = directory / "secret"
        file.write_text(secret, encoding="ascii")
        file.chmod(0o666)
        listeners = []
        for family, kind, address in (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        ):
            listener = stack.enter_context(socket.socket(family, kind))
            listener.bind(address)
            listener.setblocking(False)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            listeners.append(listener)
        os.environ[name] = secret
        stack.callback(os.environ.pop, name, None)
        yield Bait(
            secret,
            file,
            {
                "SECRET_FILE": str(file),
                "SECRET_NAME": name,
                "TCP": str(listeners[0].getsockname()[1]),
                "UDP": str(listeners[1].getsockname()[1]),
                "ABSTRACT": abstract,
                "REPOSITORY": str(Path(__file__).resolve().parents[2]),
                "HOME": str(Path.home()),
                "PID": str(os.getpid()),
            },
            listeners,
        )


def namespace_members(namespace: int) -> list[int]:
    """Living processes of a process namespace. namespace: a descriptor, without which the number is used again."""
    members, wanted = [], os.fstat(namespace).st_ino
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            fields = stat_fields(pid)
            # A dead process stays listed until its parent has asked for its exit code.
            if fields is not None and fields[0] not in (b"Z", b"X") and os.stat(f"/proc/{pid}/ns/pid").st_ino == wanted:
                members.append(pid)
    return members


async def check_program(program: Program, bait: Bait, mode: str, limits: Limits) -> CheckResult:
    """Run one program and look at everything that must hold."""
    if "timeout" not in program.outcomes:
        limits = replace(limits, wall_s=PATIENT_WALL_S)
    sandbox = Sandbox(mode, limits, API)
    namespaces: list[int] = []
    problems: list[str] = []

    def started(root: int) -> None:
        namespaces.append(os.open(f"/proc/{root}/ns/pid", os.O_RDONLY))

    async def handle(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if name not in {f"{owner}.{method}" for owner, methods in API.items() for method in methods}:
            problems.append(f"the forged call {name!r} got through")
        if bait.secret in repr((args, kwargs)):
            problems.append("the secret came out in a call")
        if args == ["refuse"]:
            raise ExperimentError("refused")
        return BIG_RESULT if args == ["big"] else 0.5

    began = time.monotonic()
    outcome = await sandbox.run(bait.fill(program.source), handle, started)
    elapsed_s = time.monotonic() - began
    survivors = [pid for namespace in namespaces for pid in namespace_members(namespace)]
    if not namespaces or os.fstat(namespaces[0]).st_ino == os.stat("/proc/self/ns/pid").st_ino:
        problems.append("it did not run in a process namespace of its own")
    for namespace in namespaces:
        os.close(namespace)
    problems += find_problems(program, outcome, elapsed_s, limits, bait)
    if survivors:
        problems.append(f"processes survived: {survivors}")
    return CheckResult(program.name, outcome.outcome, elapsed_s, survivors, problems)


def find_problems(program: Program, outcome: Outcome, elapsed_s: float, limits: Limits, bait: Bait) -> list[str]:
    """What an outcome, the clock and the bait say against a program's being contained."""
    problems, text = [], f"{outcome.stdout}\n{outcome.error}"
    if outcome.outcome not in program.outcomes:
        problems.append(f"outcome {outcome.outcome!r}, not {' or '.join(program.outcomes)}: {text[-300:]}")
    if "LEAK" in text:
        problems.append(f"it got something: {text[text.index('LEAK') :][:200]}")
    if bait.secret in text:
        problems.append("the secret came out")
    if program.says not in text:
        problems.append(f"{program.says!r} is not in what it said: {text[-300:]}")
    bound_s = limits.wall_s + OVERHEAD_S
    if elapsed_s > bound_s:
        problems.append(f"it took {elapsed_s:.1f} s, more than {bound_s:.1f} s")
    if len(outcome.stdout.encode()) > 4 * limits.output_bytes or len(outcome.error) > 10_000:
        problems.append("more output was kept than allowed")
    if bait.file.read_text(encoding="ascii") != bait.secret:
        problems.append("a file outside was changed")
    if bait.visitors():
        problems.append(f"something reached our sockets: {', '.join(bait.visitors())}")
    return problems


async def check(
    mode: str = "bubblewrap", jobs: int = 4, programs: Sequence[Program] = PROGRAMS, limits: Limits = LIMITS
) -> list[CheckResult]:
    """Run the programs, at most `jobs` at a time, in their order. Raises UserError where no sandbox runs."""
    await asyncio.to_thread(Sandbox(mode).check_available)
    turns = asyncio.Semaphore(jobs)
    with lay_bait() as bait:

        async def one(program: Program) -> CheckResult:
            async with turns:
                return await check_program(program, bait, mode, limits)

        return await asyncio.gather(*map(one, programs))


def render(results: Sequence[CheckResult]) -> Table:
    """The results as a table."""
    table = Table("", "program", "outcome", "seconds", "survivors", "not contained")
    for result in results:
        mark = "[green]✓[/]" if result.contained else "[red]✗[/]"
        row = (result.outcome, f"{result.elapsed_s:.2f}", str(len(result.survivors)), "; ".join(result.problems))
        table.add_row(mark, result.name, *(text.replace("[", r"\[") for text in row))
    return table


def run_check(console: Console, mode: str = "bubblewrap", jobs: int | None = None) -> bool:
    """Run all programs and print the table. True when every one is contained.

    Raises UserError where no sandbox runs, and for mode "none", which contains nothing.
    """
    sandbox = Sandbox(mode)
    if sandbox.banner:
        raise UserError("There is nothing to check with --sandbox none: it protects nothing. Leave the option out.")
    began = time.monotonic()
    results = asyncio.run(check(mode, jobs or 2 * (os.cpu_count() or 1)))
    contained = sum(result.contained for result in results)
    console.print(render(results))
    console.print(f"{contained} of {len(results)} hostile programs contained in {time.monotonic() - began:.0f} s.")
    return contained == len(results)
