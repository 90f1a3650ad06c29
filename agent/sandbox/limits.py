"""What model-written code may use, and what came of running it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one run of model-written code, for its whole tree of processes unless said otherwise.

    wall_s: seconds of the code's own time; time spent inside answered calls is not counted. cpu_s: seconds of CPU.
    memory_bytes: everything that the tree holds, with its files in /tmp. disk_bytes: files in /tmp. processes:
    processes and threads. output_bytes: what is kept of stdout and stderr together; more is cut, and said.
    calls: calls to `system` and `tools`. message_bytes: pixels in one call or one result. start_s: seconds until the
    interpreter is up. files: open files of one process.
    """

    wall_s: float = 120.0
    cpu_s: float = 30.0
    memory_bytes: int = 1 << 30
    disk_bytes: int = 64 << 20
    processes: int = 16
    output_bytes: int = 64 << 10
    calls: int = 200
    message_bytes: int = 256 << 20
    start_s: float = 60.0
    files: int = 64


@dataclass(frozen=True)
class Outcome:
    """What came of one run of model-written code.

    outcome: "ok"; "error" (the code raised, ended its process, or broke the protocol); "timeout" (wall_s is used up);
    "limit" (another limit). error: what the model reads, "" when ok. stdout: stdout and stderr as the code wrote
    them, cut to output_bytes. elapsed_s: seconds of the code's own time, without answered calls.
    """

    outcome: str
    error: str
    stdout: str
    elapsed_s: float
