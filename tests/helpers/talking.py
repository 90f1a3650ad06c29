"""A model behind a real scheduler whose answers a test writes: in the place of a vision-language model."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from maia.engine.plan import Device, ModelFacts, Place, Plan
from maia.engine.profile import Profile
from maia.engine.runners.chat_counts import ChatCounts
from maia.engine.scheduler import Scheduler
from maia.engine.vlm import Vlm, resolve_vlm
from maia.models.vlm.chat import ChatReply, ChatRequest
from tiny_vlm import tiny_checkpoint

Answer = Callable[[ChatRequest], str | Exception | ChatReply]


class TalkingRunner:
    """Answers each request with what the function says. asked: all requests."""

    def __init__(self, answer: Answer) -> None:
        self.facts = ModelFacts("vlm", max_batch=8, kind="server")
        self.asked: list[ChatRequest] = []
        self.counts = ChatCounts()
        self._answer = answer

    def keep(self, device: str) -> None: ...

    async def load(self, device: str) -> None: ...

    async def offload(self) -> None: ...

    def group(self, item: Any) -> Hashable:
        return "vlm"

    async def run(self, items: Sequence[ChatRequest]) -> list[Any]:
        self.asked += items
        answers = [self._answer(item) for item in items]
        return [ChatReply(answer, "stop", 10, 3) if isinstance(answer, str) else answer for answer in answers]


def talking(answer: Answer) -> tuple[Scheduler, TalkingRunner]:
    """A scheduler with nothing else."""
    runner = TalkingRunner(answer)
    plan = Plan((Device("cpu", 10, 1.0),), (runner.facts,), {"vlm": Place("cpu", True, 8)})
    return Scheduler(plan, {"vlm": runner}), runner


def profile_of(path: Path | None = None, backbone: str = "served", **vlm: Any) -> Profile:
    """The offline world with a vision-language model: the tiny one if none is given."""
    entries = {"model": "tiny", "path": str(path or tiny_checkpoint()), "dtype": "fp32", "context": 8192, **vlm}
    return Profile("testbed", "ground-truth", backbone, 64, 2, 3, vlm=entries, device="cpu")


def tiny_vlm(**vlm: Any) -> Vlm:
    """The tiny model as a run uses it."""
    return resolve_vlm(profile_of(**vlm))
