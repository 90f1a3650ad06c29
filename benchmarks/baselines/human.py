"""Human experts with the agent's own tools (the paper's appendix C3): the same task text, the same `system` and
`tools`, and labels in a run directory like any other, whose backbone is "human".

`human_notebook.write_notebook` writes the notebooks in which people work; their cells only call what is here. People
use Jupyter, which they install themselves (`pip install jupyterlab`); nothing here needs it.
"""

import asyncio
import base64
import concurrent.futures
import html
import json
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ...agent.api import api_methods
from ...agent.backbones.base import Message
from ...agent.backbones.registry import model_of
from ...agent.experiment import Settings, UnitRun, prompts_of
from ...agent.replies import parse_reply
from ...agent.run import (
    RunProgress,
    describer_of,
    locked,
    open_services,
    write_metrics,
    write_truths,
)
from ...agent.run_facts import facts_of, joined
from ...agent.services import Services, running, scheduler_of
from ...agent.system import System
from ...agent.tools import Tools
from ...agent.transcript import Conclusion, Experiment, ImageStore, LogEntry, Reply, Transcript
from ...engine.profile import Profile, load_profile
from ...engine.vlm_runner import close_model
from ...models.errors import ExperimentError, UserError
from ...models.files import write_whole
from ...models.targets import Unit
from .human_calls import CallNames, Plain, by_name

BACKBONE = "human"
"""Of transcripts and run.json; the tables' method."""

T = TypeVar("T")


class Human:
    """A backbone in name: what runs call whoever writes the experiments."""

    name = BACKBONE

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """People are not asked: they call."""
        raise NotImplementedError("a human session has no backbone that answers")


class _Said(RunProgress):
    """Prints what a person would otherwise wait for in silence."""

    def __init__(self) -> None:
        self._tenths = 0

    def index(self, target: str, done: int, total: int) -> None:
        """A line for each tenth of an index that has to be built. (Its name would give a neuron's kind away.)"""
        tenths = 10 * done // max(1, total)
        if tenths != self._tenths:
            self._tenths = tenths
            print(f"Looking at the dataset: {done} of {total} images.")

    def server(self, what: str) -> None:
        """A vision-language model is being started."""
        print(what)


@dataclass(frozen=True)
class Shown:
    """Log entries as a notebook shows them: pictures with titles and activations, and texts. images: where they lie."""

    heading: str
    entries: Sequence[LogEntry]
    images: ImageStore

    def __repr__(self) -> str:
        """For consoles."""
        lines = [self.heading]
        for entry in self.entries:
            values: Sequence[float | None] = entry.activations or [None] * len(entry.titles)
            lines += [
                title if value is None else f"{title}: {value:g}"
                for title, value in zip(entry.titles, values, strict=True)
            ]
            lines += [entry.text] if entry.text else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """For Jupyter; pictures are in it, so that a saved notebook shows them anywhere."""
        parts = [f"<h4>{html.escape(self.heading)}</h4>"]
        for entry in self.entries:
            figures = []
            for place, (image, title) in enumerate(zip(entry.images, entry.titles, strict=True)):
                value = f"<b>{entry.activations[place]:g}</b> " if entry.activations else ""
                data = base64.b64encode(self.images.path(image).read_bytes()).decode("ascii")
                figures.append(
                    '<figure style="margin:0;width:170px">'
                    f'<img style="width:170px;display:block" src="data:image/png;base64,{data}" alt="">'
                    f'<figcaption style="font-size:12px;overflow-wrap:anywhere">{value}{html.escape(title)}'
                    "</figcaption></figure>"
                )
            if figures:
                parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:10px">{"".join(figures)}</div>')
            if entry.text:
                parts.append(f'<pre style="white-space:pre-wrap">{html.escape(entry.text)}</pre>')
        return "".join(parts)


class HumanSession:
    """One unit, in a person's hands. Experiments are called from ordinary code, in a notebook or elsewhere.

    system, tools: the agent's, without `await`. task: what the agent is told, API and task. Results that are logged
    are kept; `show()` ends an experiment and shows its log, `conclude(…)` ends the session's work, `close()` frees the
    models. A session on a directory that holds the unit's earlier experiments goes on where they ended.
    """

    def __init__(
        self,
        unit: str | Unit,
        out: str | Path,
        profile: str | Profile = "testbed",
        seed: int = 0,
        settings: Settings | None = None,
        progress: RunProgress | None = None,
    ) -> None:
        """unit: as "efficientnet-lite0.blocks.10.47". out: the run's directory, the same for many units. settings:
        task, removed tools and the like; guards and the check of code do not watch people, and no sandbox holds them.

        Raises UserError for a unit, target or profile that there is not, for a directory that holds another run or that
        somebody else's open session holds.
        """
        self.unit = unit if isinstance(unit, Unit) else Unit.parse(unit)
        self.out = Path(out)
        chosen = profile if isinstance(profile, Profile) else load_profile(profile)
        settings = settings or Settings(turns=chosen.turns, seed=seed)
        settings = replace(settings, guards=(), check_code=False, sandbox="none")
        vlm = model_of(chosen)  # describes pictures where the agent's would
        describer_of(chosen, vlm)
        facts = facts_of([self.unit], BACKBONE, chosen, settings, vlm)
        self._closed = False
        try:
            self._machine = _Machine(self.out)
        except UserError as problem:
            raise UserError(f"{problem} If another notebook is open, run its last cell.") from None
        try:
            joined(self.out, facts)  # refused before an index is built for it
            opened = open_services(
                [self.unit.target], {self.unit.target: [self.unit.layer]}, chosen, self.out, progress or _Said(), vlm
            )
            self._services = replace(opened[self.unit.target], drawings=settings.drawings)
            self._services.target.check(self.unit)
            run = UnitRun(self.unit, Human(), self._services, settings, self.out, lambda unit, transcript: None)
            self._transcript = run.transcript
            start = run.start_record()
            if self._transcript.records and self._transcript.records[0] != start:
                raise UserError(
                    f"{self.out} holds this unit's work with other settings: give the same ones, or another directory."
                )
            self._machine.start(self._services, f"human/{self.unit}")
            write_whole(self.out / "run.json", (json.dumps(joined(self.out, facts), indent=2) + "\n").encode())
            if not self._transcript.records:
                self._transcript.append(start)
        except BaseException:
            self._machine.stop()
            raise
        self._settings = settings
        self.task = "\n".join(prompts_of(settings, Human()))
        self._calls: list[str] = []
        self._named = CallNames()
        self._tools: Tools | None = None
        methods = api_methods(settings.removed_tools)
        self.system = Plain("system", methods["system"], System, self._call)
        self.tools = Plain("tools", methods["tools"], Tools, self._call)

    @property
    def transcript(self) -> Transcript:
        """What was recorded so far."""
        return self._transcript

    def _call(self, name: str, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """One call of `system` or `tools`, waited for. Raises ExperimentError as the agent's code would see it."""
        self._check_open()
        if self._tools is None:
            thresholds = [record.activation_threshold for record in self._transcript.of(Experiment)]
            stream = f"{self._settings.seed}/{self.unit}/{self._turn()}"
            self._tools = Tools(self._services, self.unit, stream, thresholds[-1] if thresholds else None)
        written = [*map(self._named.written, args), *(f"{k}={self._named.written(v)}" for k, v in kwargs.items())]
        call = f"{name}.{method}({', '.join(written)})"
        target = System(self._services, self.unit) if name == "system" else self._tools
        try:
            pending = getattr(target, method)(*map(by_name, args), **{k: by_name(v) for k, v in kwargs.items()})
        except TypeError as error:
            raise ExperimentError(f"{name}.{method}: {str(error).partition('.')[2] or error}") from None
        try:
            result = self._machine.wait(pending)
        except ExperimentError as error:
            told = " ".join(str(error).split())
            self._calls.append(f"{call}  # {told}")
            raise
        self._calls.append(self._named.assigned(result) + call)
        return result

    def show(self, hypotheses: str = "") -> Shown:
        """End the experiment: record the calls since the last time with what they logged, and show the log.

        hypotheses: what the person believes now, kept with the experiment as the agent's list is.
        """
        self._check_open()
        return self._recorded(hypotheses)

    def _recorded(self, hypotheses: str = "") -> Shown:
        turn = self._turn()
        entries = list(self._tools.logged) if self._tools is not None else []
        heading = f"Experiment {turn} (the agent may make {self._settings.turns})"
        if self._calls:
            code = "\n".join(["def run_experiment(system, tools):", *(f"    {call}" for call in self._calls)])
            text = f"[HYPOTHESIS LIST]:\n{hypotheses.strip()}\n[CODE]:\n```python\n{code}\n```\n"
            threshold = self._tools.threshold if self._tools is not None else None
            self._transcript.append(
                Reply(turn, text),
                Experiment(turn, code, "ok", log=entries, activation_threshold=threshold),
            )
            self._calls, self._tools = [], None
        elif not entries:
            heading = "Nothing was called since the last time."
        return Shown(heading, entries, self._services.images)

    def conclude(self, description: str, labels: Sequence[str] | str) -> None:
        """The end: what activates the unit in sentences, and a label for each concept, as the agent gives them.

        Raises UserError, and records nothing, where there is no label or description, one that cannot be told from the
        form around it, or the session has ended already.
        """
        self._check_open()
        given = [labels] if isinstance(labels, str) else list(labels)
        given = [" ".join(str(label).split()) for label in given if str(label).strip()]
        described = description.strip()
        if not given:
            raise UserError("there is no label: give conclude(description, labels) a list with a few words in it.")
        if not described:
            raise UserError("there is no description: give conclude(description, labels) two or three sentences.")
        lines = (
            [f"[LABEL]: {given[0]}"]
            if len(given) == 1
            else [f"[LABEL {number}]: {label}" for number, label in enumerate(given, 1)]
        )
        text = "\n".join([f"[DESCRIPTION]: {described}", *lines]) + "\n"
        try:
            parsed = parse_reply(text)
        except ExperimentError as problem:
            raise UserError(f"the answer cannot be read ({problem}) Leave brackets and code out of it.") from None
        if parsed.code is not None or parsed.labels != given or parsed.description != described:
            raise UserError(
                f"the labels would be read as {parsed.labels}: give plain words without quotes, brackets and headings."
            )
        self._recorded()
        turn = self._turn()
        write_truths(self.out, [self.unit], {self.unit.target: self._services})
        self._transcript.append(Reply(turn, text), Conclusion(turn, parsed.description, parsed.labels))

    def close(self) -> None:
        """Free the models and the directory. What was called since the last `show()` is recorded first."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._transcript.end is None:
                self._recorded()
            write_metrics(self.out, {self.unit.target: self._services})
        finally:
            self._machine.stop()
            close_model(scheduler_of({self.unit.target: self._services}))

    def __enter__(self) -> "HumanSession":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _turn(self) -> int:
        return 1 + sum(1 for _ in self._transcript.of(Reply))

    def _check_open(self) -> None:
        if self._closed:
            raise UserError("this session was closed: run the notebook's first cell again.")
        if self._transcript.end is not None:
            raise UserError(
                f"this unit was concluded already: delete {self._transcript.path} to describe it again, or go on with "
                "the next notebook."
            )


class _Machine:
    """An event loop in a thread of its own, which holds the directory and runs the scheduler until it is stopped. A
    notebook has an event loop already, in which nothing can be waited for."""

    def __init__(self, out: Path) -> None:
        """Takes the directory. Raises UserError where another run has it."""
        self._out = out
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._work: asyncio.Event = asyncio.Event()
        self._given: tuple[Services, str] | None = None
        self._held: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._runs: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._live, name="human session", daemon=True)
        self._thread.start()
        self._held.result()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._hold())
        except BaseException as error:
            for told in (self._held, self._runs):
                if not told.done():
                    told.set_exception(error)
        finally:
            self._loop.close()

    async def _hold(self) -> None:
        with locked(self._out):
            self._held.set_result(None)
            await self._work.wait()
            if self._given is not None:
                services, name = self._given
                async with running([services]), services.scheduler.agent(name):
                    self._runs.set_result(None)
                    await self._stop.wait()

    def start(self, services: Services, name: str) -> None:
        """Start the scheduler. name: of the agent that asks."""
        self._given = (services, name)
        self._loop.call_soon_threadsafe(self._work.set)
        self._runs.result()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, run in the loop. An interrupt (the notebook's stop button) ends it."""
        pending = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return pending.result()
        except KeyboardInterrupt:
            pending.cancel()
            raise

    def stop(self) -> None:
        """End the scheduler, give the directory back, and wait until both are done."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join()

    def _end(self) -> None:
        """In the loop, in one go: between two calls it might have ended."""
        self._stop.set()
        self._work.set()
