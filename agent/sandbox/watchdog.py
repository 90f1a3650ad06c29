"""The guard of one running sandbox: a thread, so that limits hold while the event loop is busy."""

import asyncio
import contextlib
import os
import subprocess
import threading
import time

from . import tree
from .limits import Limits

INTERVAL_S = 0.05
GRACE_S = 5.0  # for the kernel to take a killed tree apart


class Stopwatch:
    """The code's own time: runs, and stands still while a call is being answered."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None
        self._lock = threading.Lock()

    def resume(self) -> None:
        """Let it run."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()

    def pause(self) -> None:
        """Let it stand."""
        with self._lock:
            if self._since is not None:
                self._total += time.monotonic() - self._since
                self._since = None

    @property
    def elapsed_s(self) -> float:
        """Seconds it ran until now."""
        with self._lock:
            return self._total + (time.monotonic() - self._since if self._since is not None else 0.0)


class Watchdog(threading.Thread):
    """Measures the tree some 20 times a second and kills all of it over a limit.

    process: what was started (bwrap, or the worker itself). root_pid: the first process of the tree, which is
    bwrap's child, or the worker. contained: whether the tree has its own process namespace and /tmp. `verdict`:
    None, or (outcome, text) of the limit that it enforced; read it after `stop`. `ended_itself`: whether the tree
    was gone before `stop` killed it.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], root_pid: int, limits: Limits, clock: Stopwatch, contained: bool
    ) -> None:
        super().__init__(name="sandbox-watchdog", daemon=True)
        self.verdict: tuple[str, str] | None = None
        self.ended_itself = False
        self._process, self._limits, self._clock, self._contained = process, limits, clock, contained
        self._root_pid = root_pid
        self._root = tree.open_process(root_pid)
        self._seen: dict[int, bytes] = {}
        self._stop_event = threading.Event()
        self._kill_lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()

    async def wait_verdict(self) -> None:
        """Until a limit was enforced; for ever otherwise."""
        await self._ended.wait()

    def run(self) -> None:
        """The thread: until `stop`, or until a limit is passed."""
        cost = 0.0
        # Never more than a quarter of a core, on machines with very many processes.
        while not self._stop_event.wait(max(INTERVAL_S, 4 * cost)):
            start = time.monotonic()
            self.verdict = self._judge()
            if self.verdict is not None:
                self.kill()
                with contextlib.suppress(RuntimeError):  # a closed loop has nobody waiting
                    self._loop.call_soon_threadsafe(self._ended.set)
                return
            cost = time.monotonic() - start

    def stop(self, patience_s: float = 0.0) -> None:
        """End the thread, kill what is left of the tree, and wait until it is gone. Blocks at most some seconds.

        patience_s: how long the tree may take to end by itself first.
        """
        if self._root is not None and patience_s:
            self.ended_itself = tree.wait_gone(self._root, patience_s)
        self._stop_event.set()
        if self.is_alive():
            self.join()
        self.kill()
        if self._root is not None:
            if not tree.wait_gone(self._root, GRACE_S):
                raise RuntimeError("a killed sandbox did not end")
            os.close(self._root)
            self._root = None
        try:
            self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=GRACE_S)
        # bwrap leaves its child to whoever adopts orphans, which in a container may be this process.
        if self._contained:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._root_pid, os.WNOHANG)

    def kill(self) -> None:
        """SIGKILL to the tree. In a process namespace the kernel takes all of it along with the first process."""
        with self._kill_lock:
            if self._root is not None:
                tree.kill_process(self._root)
            if not self._contained:
                self._kill_seen()

    def _judge(self) -> tuple[str, str] | None:
        limits = self._limits
        if self._clock.elapsed_s > limits.wall_s:
            return "timeout", f"The code was stopped: it ran for more than {limits.wall_s:g} seconds."
        pids = tree.find_tree(self._root_pid)
        if not self._contained:
            self._remember(pids)
        # Until the worker is up, the tree's /tmp may still be the machine's.
        own_files = self._contained and self._clock.elapsed_s > 0
        files = f"/proc/{self._root_pid}/root/tmp" if own_files else None
        usage = tree.measure(pids, files, limits.memory_bytes)
        if usage.memory_bytes > limits.memory_bytes:
            return "limit", f"The code was stopped: it used more than {limits.memory_bytes >> 20} MiB of memory."
        if usage.cpu_s > limits.cpu_s:
            return "limit", f"The code was stopped: it used more than {limits.cpu_s:g} seconds of CPU time."
        # Beside the code's own there are bwrap's first process and the moment between a fork and its refusal.
        if usage.tasks > limits.processes + 4:
            return "limit", f"The code was stopped: it ran more than {limits.processes} processes or threads."
        return None

    def _remember(self, pids: list[int]) -> None:
        """Without a namespace, orphans leave the tree: whoever was once seen in it is killed by number and age."""
        for pid in pids:
            fields = tree.stat_fields(pid)
            if fields is not None:
                self._seen[pid] = fields[19]

    def _kill_seen(self) -> None:
        # Those seen have children of their own, which keep forking until nothing is left to fork.
        for _ in range(20):
            alive = [pid for pid, born in self._seen.items() if self._is_same(pid, born)]
            if not alive:
                return
            for pid in alive:
                self._remember(tree.find_tree(pid))
            for pid, born in list(self._seen.items()):
                if self._is_same(pid, born):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, 9)
            time.sleep(0.01)

    def _is_same(self, pid: int, born: bytes) -> bool:
        fields = tree.stat_fields(pid)
        return fields is not None and fields[0] not in (b"Z", b"X") and fields[19] == born
