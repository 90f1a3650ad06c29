"""What the scheduler needs of a model that it runs: loading, batches, and which items may share one."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...models.errors import UserError
from ..plan import ModelFacts


class OutOfMemory(Exception):
    """A batch did not fit into the device's memory: it is tried again in halves."""


class ModelUnavailable(UserError):
    """The model cannot be loaded or has died; what is asked of it fails with this text, other models go on."""


@dataclass(frozen=True)
class Brief:
    """A group whose batches are done sooner than the model's others. key: tells it from others. share: of the duration
    that the plan has for a batch, above 0 and at most 1."""

    key: Hashable
    share: float


class Runner(Protocol):
    """A model behind the scheduler. Every method is called from the scheduler's event loop and must not block it.

    `load`, `run` and `offload` of one runner never overlap, except that a server's `run` may be called again while
    others are under way.
    """

    facts: ModelFacts

    def keep(self, device: str) -> None:
        """`load` follows, once others have been offloaded: what they share with this model stays on the device."""
        ...

    async def load(self, device: str) -> None:
        """Bring the weights from the host's memory to the device, but for what is there already.

        Raises ModelUnavailable, or OutOfMemory; then nothing of it is left on the device, nor kept.
        """
        ...

    async def offload(self) -> None:
        """Free all that `load` took on the device; the host's copy stays. (A server: sleep.)"""
        ...

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """Results in the order of the items, at most the plan's batch of them, all of one group.

        An item that fails has its exception in its place. Raises OutOfMemory when the batch is too large for the
        device; any other exception is the whole batch's.
        """
        ...

    def group(self, item: Any) -> Hashable:
        """Items of equal groups may share a batch."""
        ...
