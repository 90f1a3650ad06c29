"""A vision-language model in a server behind the scheduler: one of our own, or one that is there already."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Any

from ...models.errors import UserError
from ...models.vlm.chat import ChatReply, ChatRequest, ContextOverflow, RequestFailed
from ..chat_client import ChatClient, TimedOut, Unreachable
from ..plan import ModelFacts
from ..serving import VllmServer
from .base import ModelUnavailable
from .chat_counts import ChatCounts

PATIENCE_S = 600.0
"""Seconds that a server elsewhere may be away, once it has answered."""
FIRST_PATIENCE_S = 20.0
"""Seconds that it may be away at first: the address may be wrong."""
LOST_TOGETHER = 1
"""Times that a request may be lost among others; then it is asked alone, which shows whether the server dies of it."""
LOST_AT_ALL = 4
"""Times that it may be lost though the server lives."""
POLL_S = 0.1
LONGEST_POLL_S = 10.0


class ServedRunner:
    """Answers ChatRequest items with ChatReply, all at the same time.

    A request that is lost since the server died, hangs or cannot be reached waits until it is back, and is asked again.
    One that takes the server down whenever it is asked alone fails.
    """

    def __init__(
        self,
        facts: ModelFacts,
        client: Callable[[], ChatClient],
        server: VllmServer | None,
        vision: bool = True,
        patience: float = PATIENCE_S,
        first_patience: float = FIRST_PATIENCE_S,
    ) -> None:
        """facts: of kind "server". client: makes a client for the running event loop, at the server's present address.
        server: our own, started by `load`; stopping it is the caller's. None: a server elsewhere. vision: it must take
        pictures. patience, first_patience: see PATIENCE_S and FIRST_PATIENCE_S."""
        self.facts = facts
        self.counts = ChatCounts()
        self.server = server
        self._make, self._vision = client, vision
        self._patience, self._first_patience = patience, first_patience
        self._heres: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Here] = weakref.WeakKeyDictionary()
        self._checked = ""

    def keep(self, device: str) -> None:
        """No other model shares its weights."""

    async def load(self, device: str) -> None:
        """Start the server, or wake it; see that it knows the model and takes pictures. See Runner.load."""
        try:
            if self.server is not None:
                if self.server.state in ("stopped", "failed"):
                    await asyncio.to_thread(self.server.start)
                elif self.server.state == "asleep":
                    await asyncio.to_thread(self.server.wake)
            await self._preflight()
        except ModelUnavailable:
            raise
        except UserError as problem:
            raise ModelUnavailable(str(problem)) from problem

    async def offload(self) -> None:
        """Put our own server to sleep, where it can; else it stays as it is."""
        if self.server is not None and self.server.can_sleep:
            try:
                await asyncio.to_thread(self.server.sleep)
            except UserError as problem:
                raise ModelUnavailable(str(problem)) from problem

    def group(self, item: Any) -> Hashable:
        """Any requests may be under way together."""
        return self.facts.name

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """See Runner.run. A request's RequestFailed, ContextOverflow or ModelUnavailable stands in its place. Raises
        TypeError for items that are no requests."""
        for item in items:
            if not isinstance(item, ChatRequest):
                raise TypeError(f"{self.facts.name} takes ChatRequest items, not {type(item).__name__}")
        answers = await asyncio.gather(*(self._answer(item) for item in items))
        return list(answers)

    async def prefix_counts(self) -> tuple[int, int] | None:
        """See ChatClient.prefix_counts."""
        return await self._here().client.prefix_counts()

    async def close(self) -> None:
        """Close the connections of this event loop."""
        here = self._heres.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.client.close()

    # One request

    async def _answer(self, request: ChatRequest) -> ChatReply | Exception:
        self.counts.requests += 1
        try:
            reply = await self._until_answered(request)
        except (RequestFailed, ContextOverflow, ModelUnavailable) as problem:
            self.counts.failed += 1
            return problem
        except UserError as problem:
            self.counts.failed += 1
            return ModelUnavailable(str(problem))
        self.counts.prompt_tokens += reply.prompt_tokens
        self.counts.answer_tokens += reply.answer_tokens
        self.counts.cached_tokens += reply.cached_tokens or 0
        return reply

    async def _until_answered(self, request: ChatRequest) -> ChatReply:
        lost = late = 0
        while True:
            alone = lost >= LOST_TOGETHER
            gate = self._here().gate
            try:
                async with gate.alone() if alone else gate.shared():
                    here, restarts = self._here(), self._restarts()
                    try:
                        return await here.complete(request, self.counts)
                    except Unreachable as problem:
                        if alone:  # the next one is to meet a server that works
                            await self._recovered(here, problem, self._patience)
                        raise
            except Unreachable as problem:
                if not alone:
                    await self._recovered(here, problem, self._patience)
                lost += 1
                died = self._restarts() != restarts
                late += isinstance(problem, TimedOut) and not died
                if late > 1:
                    raise RequestFailed(
                        f"the model did not answer in time ({problem}), and works: lower vlm: max_tokens or "
                        "concurrent, or raise timeout."
                    ) from None
                if (alone and died) or lost > LOST_AT_ALL:
                    raise RequestFailed(f"the server fails whenever it is asked this ({problem}).") from None
                self.counts.retries += 1

    def _restarts(self) -> int:
        return self.server.restarts if self.server is not None else 0

    async def _recovered(self, here: "_Here", problem: Unreachable, patience: float) -> None:
        """Wait until the server answers again. Raises ModelUnavailable, with what to do, when it does not."""
        if self.server is None:
            await self._answers_again(here, problem, patience)
            return
        self.server.suspect()
        while self.server.state != "ready":
            if self.server.state in ("failed", "stopped"):
                try:
                    self.server.wait_ready(0.0)
                except UserError as reason:
                    raise ModelUnavailable(str(reason)) from None
            await asyncio.sleep(POLL_S)

    async def _answers_again(self, here: "_Here", problem: Unreachable, patience: float) -> None:
        """For a server elsewhere. Of those that wait, one asks."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + patience, POLL_S
        while True:
            async with here.asking:
                try:
                    await here.client.reach()
                    return
                except Unreachable as still:
                    problem = still
            if loop.time() + pause > until:
                raise ModelUnavailable(
                    f"the server at {here.client.url} did not answer for {patience:.0f} seconds ({problem}): start it, "
                    "or correct vlm: url; the same command then goes on."
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL_S)

    async def _preflight(self) -> None:
        """Once for each address."""
        here = self._here()
        if self._checked == here.client.url:
            return
        patience = self._patience if self._checked else self._first_patience
        for last in (False, True):
            try:
                await here.client.preflight(self._vision)
                break
            except Unreachable as problem:
                await self._recovered(here, problem, patience)
                if last:
                    raise ModelUnavailable(
                        f"the server at {here.client.url} lists its models but answers no request ({problem}): see its "
                        "log."
                    ) from None
                here = self._here()
        self._checked = here.client.url

    def _here(self) -> "_Here":
        """What belongs to the running event loop, at the server's present address."""
        loop = asyncio.get_running_loop()
        here = self._heres.get(loop)
        if here is None or (self.server is not None and here.client.url != self.server.url.rstrip("/")):
            gate = here.gate if here is not None else None
            here = self._heres[loop] = _Here(self._make(), gate or _Gate())
        return here


class _Here:
    """What a runner has in one event loop."""

    def __init__(self, client: ChatClient, gate: "_Gate") -> None:
        self.client, self.gate = client, gate
        self.asking = asyncio.Lock()
        self._retries = 0

    async def complete(self, request: ChatRequest, counts: ChatCounts) -> ChatReply:
        """The client's answer; its further attempts are counted."""
        try:
            # Not tried again by the client: a request that takes servers down would do so several times.
            return await self.client.complete(request, reconnect=False)
        finally:
            counts.retries += self.client.retries - self._retries
            self._retries = self.client.retries


class _Gate:
    """Many at a time, or one alone."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = self._waiting_alone = 0

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Beside others, but not while one is alone or waits for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting_alone)
            self._inside += 1
        try:
            yield
        finally:
            await self._leave()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Once all others have left."""
        self._waiting_alone += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._inside)
                self._inside += 1
            try:
                yield
            finally:
                await self._leave()
        finally:
            self._waiting_alone -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _leave(self) -> None:
        self._inside -= 1
        async with self._changed:
            self._changed.notify_all()
