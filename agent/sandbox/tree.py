"""Measuring and killing a tree of processes from outside, through /proc.

Memory that counts: resident and swapped pages of every process (pages shared between processes once, by PSS, when
the quick sum is over the limit) plus the blocks and inodes of the tree's own /tmp. What else could hold memory,
shared memory that no process has mapped, is refused by the system call filter.
"""

import contextlib
import os
import select
import signal
import threading
import time
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
INODE_BYTES = 2048  # about what the kernel holds for an empty file of a tmpfs
_TABLE_AGE_S = 0.025
_table_lock = threading.Lock()
_table: tuple[float, dict[int, list[int]]] = (0.0, {})


@dataclass(frozen=True)
class Usage:
    """What a tree uses now. tasks: processes and threads. cpu_s: with the children that it has waited for."""

    tasks: int
    cpu_s: float
    memory_bytes: int


def children_of_all() -> dict[int, list[int]]:
    """Every process's children. One scan of /proc serves all callers within 25 ms."""
    global _table
    with _table_lock:
        taken, table = _table
        if time.monotonic() - taken > _TABLE_AGE_S:
            table = {}
            for name in os.listdir("/proc"):
                fields = stat_fields(int(name)) if name.isdigit() else None
                if fields is not None:
                    table.setdefault(int(fields[1]), []).append(int(name))
            _table = (time.monotonic(), table)
        return table


def stat_fields(pid: int) -> list[bytes] | None:
    """/proc/PID/stat after the command's name (which may hold anything): state, parent, … None: no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def find_tree(root: int) -> list[int]:
    """The process and all its descendants. In a process namespace orphans become children of its first process."""
    found, waiting = [], [root]
    quick = os.path.exists(f"/proc/self/task/{threading.get_native_id()}/children")
    table = {} if quick else children_of_all()
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += _children_files(pid) if quick else table.get(pid, [])
    return found


def _children_files(pid: int) -> list[int]:
    """Children by /proc/PID/task/*/children, which not every kernel is built with."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                children += map(int, file.read().split())
    return children


def measure(pids: list[int], files_root: str | None, memory_limit: int) -> Usage:
    """Sum over processes. files_root: a path on the tree's own tmpfs, or None. memory_limit: when to look closer."""
    tasks, ticks, resident = 0, 0, 0
    for pid in pids:
        fields = stat_fields(pid)
        if fields is not None and fields[0] != b"Z":
            ticks += sum(map(int, fields[11:15]))
            tasks += int(fields[17])
            resident += _resident_and_swapped(pid)
    files = _file_bytes(files_root)
    if resident + files > memory_limit:
        resident = sum(map(_proportional, pids))
    return Usage(tasks, ticks / TICKS, resident + files)


def _resident_and_swapped(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith((b"VmRSS:", b"VmSwap:")):
                total += int(line.split()[1]) << 10
    return total


def _proportional(pid: int) -> int:
    """PSS with swap; where it cannot be read, what is resident, which is more."""
    total = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith((b"Pss:", b"SwapPss:")):
                    total += int(line.split()[1]) << 10
    except OSError:
        return _resident_and_swapped(pid)
    return total


def _file_bytes(root: str | None) -> int:
    if root is None:
        return 0
    try:
        state = os.statvfs(root)
    except OSError:
        return 0
    return (state.f_blocks - state.f_bfree) * state.f_frsize + (state.f_files - state.f_ffree) * INODE_BYTES


def open_process(pid: int) -> int | None:
    """A descriptor that means this process and no later one with its number. None: it is gone."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def kill_process(descriptor: int) -> None:
    """SIGKILL, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def wait_gone(descriptor: int, timeout_s: float) -> bool:
    """Whether the process ended in time. A namespace's first process ends after all others in it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
