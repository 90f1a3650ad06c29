"""Our side of the sandbox in which model-written code runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...models.errors import UserError
from . import launch
from .limits import Limits, Outcome
from .seccomp import build_filter
from .session import Handle, Session

MODES = ("bubblewrap", "none")
__all__ = ["MODES", "Handle", "Limits", "Outcome", "Sandbox"]


class Sandbox:
    """Runs model-written code in a process of its own; each run starts with nothing and leaves nothing.

    mode: "bubblewrap", or "none" for a plain process with limits, which protects nothing. api: method names of
    `system` and `tools`. attributes: their plain, read-only attributes (values as the protocol carries them). An
    object may serve many concurrent runs of one event loop.
    """

    def __init__(
        self,
        mode: str = "bubblewrap",
        limits: Limits | None = None,
        api: Mapping[str, Sequence[str]] | None = None,
        attributes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if mode not in MODES:
            raise UserError(f"There is no sandbox mode {mode!r}: choose one of {', '.join(MODES)} with --sandbox.")
        self.mode = mode
        self.limits = limits or Limits()
        self.api = api or {}
        self.attributes = attributes or {}

    @property
    def banner(self) -> str:
        """One loud sentence where nothing is protected, "" otherwise."""
        if self.mode == "bubblewrap":
            return ""
        return (
            "WARNING: --sandbox none: model-written code runs with all your rights on this machine; "
            "it can read, change and send everything that you can."
        )

    def check_available(self) -> None:
        """Start one empty sandbox. Raises UserError, which says why it cannot run here and how to mend that."""
        if self.mode == "bubblewrap":
            build_filter()
            launch.check_bubblewrap()
        else:
            launch.package_directories()

    async def run(self, code: str, handle: Handle, started: Callable[[int], None] | None = None) -> Outcome:
        """Run code; `handle(name, args, kwargs)` answers each of its calls, as in ("tools.display", [image], {}).

        Calls come one at a time, in the order made. When `handle` raises ExperimentError, the code sees an
        ExperimentError with that message; anything else that it raises ends the run and is raised here. Where the
        code defines run_experiment(system, tools), that is called after the module's own statements, unless these
        call it. Raises UserError where no sandbox can start. When this returns, raises or is cancelled, every
        process of the run is dead. started: told the first process of the run's tree.
        """
        contained = self.mode == "bubblewrap"
        return await Session(contained, self.limits, self.api, self.attributes, code, handle, started).run()
