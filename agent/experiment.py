"""The experiment loop: one unit's dialogue between a backbone and the sandbox, and many of them at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ..engine.items import Purpose
from ..models.errors import ExperimentError, UserError
from ..models.targets import Unit
from ..prompts.brief import BRIEF_SYSTEM, BRIEF_TASKS
from ..prompts.grammars import reply_grammar
from ..prompts.system import SYSTEM_PROMPT
from .api import api_methods, api_text, methods_of
from .backbones.base import Backbone
from .code_check import check_code
from .dialogue import messages
from .guards import GUARDS, Verdict, on_conclusion, on_experiment, refused_conclusion
from .replies import ParsedReply, parse_reply
from .sandbox.supervisor import Handle, Limits, Outcome, Sandbox
from .seeds import derive_seed
from .services import Services, running
from .system import System
from .tasks import DESCRIPTION, Task, record_of_task, task_of
from .tools import Tools
from .transcript import (
    NOT_RUN,
    Conclusion,
    Experiment,
    Failure,
    Notice,
    Record,
    Remark,
    Reply,
    Start,
    Transcript,
    unit_directory,
)

TURNS = 12
"""Experiments after which a final answer is asked for."""
FINAL_ATTEMPTS = 2
"""Replies that may be spent on the final answer before the unit is given up."""


@dataclass(frozen=True)
class Settings:
    """What the outcome of a run depends on, beside target, unit and backbone. task: a built-in one that needs no fills
    may be named. guards: names of those that watch over replies, where the task has them. check_code: look for faults
    before code runs. drawings: those that experiments' pictures are made of (edits keep to those of the picture that
    they change; the dataset's exemplars always show exploration's)."""

    task: Task | str = DESCRIPTION
    turns: int = TURNS
    seed: int = 0
    removed_tools: tuple[str, ...] = ()
    guards: tuple[str, ...] = GUARDS
    check_code: bool = True
    sandbox: str = "bubblewrap"
    limits: Limits = field(default_factory=Limits)
    drawings: Purpose = "exploration"


Progress = Callable[[Unit, Transcript], None]
"""Called after every record: for live display."""


class Box(Protocol):
    """Where an experiment's code runs: a `Sandbox`, or what stands in for one."""

    async def run(self, code: str, handle: Handle) -> Outcome:
        """See `Sandbox.run`."""
        ...


def prompts_of(settings: Settings, backbone: Backbone) -> tuple[str, str]:
    """System and task prompt: in full, or in brief for a backbone that was fine-tuned on these (its attribute `prompts`
    is "brief"), if the task has a brief one."""
    task = task_of(settings.task)
    if getattr(backbone, "prompts", "full") == "brief" and task.name in BRIEF_TASKS:
        return BRIEF_SYSTEM, BRIEF_TASKS[task.name]
    system_prompt = SYSTEM_PROMPT.format(
        api=api_text(settings.removed_tools), wall_s=settings.limits.wall_s, calls=settings.limits.calls
    )
    return system_prompt, task.prompt


class UnitRun:
    """One unit's experiment. Its state is the transcript: a new UnitRun on an old file goes on where it stood."""

    def __init__(
        self, unit: Unit, backbone: Backbone, services: Services, settings: Settings, run: Path, progress: Progress
    ) -> None:
        self.unit, self.backbone, self.settings = unit, backbone, settings
        self.task = task_of(settings.task)
        self._guards = tuple(g for g in settings.guards if self.task.guards is None or g in self.task.guards)
        self.services = replace(services, drawings=settings.drawings)
        self.transcript = Transcript(unit_directory(run, str(unit)) / "transcript.jsonl")
        self._progress = progress
        methods = api_methods(settings.removed_tools)
        self._methods = {f"{name}.{method}" for name, entries in methods.items() for method in entries}
        self._signatures = methods_of(settings.removed_tools)
        self.sandbox: Box = Sandbox(mode=settings.sandbox, limits=settings.limits, api=methods)

    def _append(self, *records: Record) -> None:
        self.transcript.append(*records)
        self._progress(self.unit, self.transcript)

    async def run(self) -> Transcript:
        """Go on until a conclusion or a failure. Raises UserError for what only a person can mend."""
        start = self.start_record()
        if not self.transcript.records:
            self._append(start)
        elif self.transcript.records[0] != start:
            raise UserError(
                f"{self.transcript.path} was written with other settings "
                f"({_difference(self.transcript.records[0], start)}): "
                "give the same options as then, or another --out directory."
            )
        else:
            self._progress(self.unit, self.transcript)  # what an earlier run left counts as done
        while self.transcript.end is None:
            if isinstance(self.transcript.records[-1], Reply):
                await self._act(self.transcript.records[-1])
            else:
                await self._ask()
        return self.transcript

    def start_record(self) -> Start:
        """The record that a transcript of this unit begins with."""
        settings = self.settings
        system_prompt, task_prompt = prompts_of(settings, self.backbone)
        return Start(
            unit=str(self.unit),
            target=self.unit.target,
            layer=self.unit.layer,
            index=self.unit.index,
            backbone=self.backbone.name,
            task=self.task.name,
            seed=settings.seed,
            turns=settings.turns,
            system_prompt=system_prompt,
            task_prompt=task_prompt,
            settings={
                "removed_tools": list(settings.removed_tools),
                "guards": list(self._guards),
                "check_code": settings.check_code,
                "target_fingerprint": self.services.target.fingerprint,
                # Only where it was chosen, so that transcripts from before the choice go on.
                **({"drawings": settings.drawings} if settings.drawings != "exploration" else {}),
                **record_of_task(self.task),
            },
        )

    def _stream(self, turn: int) -> str:
        return f"{self.settings.seed}/{self.unit}/{turn}"

    async def _ask(self) -> None:
        """Get the next reply; once the turns are used up, ask for the final answer first."""
        replies, spent = sum(1 for _ in self.transcript.of(Reply)), turns_spent(self.transcript.records)
        if spent >= self.settings.turns + FINAL_ATTEMPTS:
            self._append(self._without_answer(replies))
            return
        final, last = spent >= self.settings.turns, self.transcript.records[-1]
        if final and not (isinstance(last, Notice) and last.kind == LAST):
            self._append(Notice(replies, LAST, self.task.last_turn))
        dialogue = messages(self.transcript.records, self.services.images)
        seed = derive_seed(f"{self._stream(replies + 1)}/reply")
        text = await self.backbone.reply(dialogue, seed, reply_grammar(self.task.endings, final))
        self._append(Reply(replies + 1, text))

    async def _act(self, reply: Reply) -> None:
        """Turn a reply into an experiment, a conclusion, or a notice that says what to mend."""
        records = self.transcript.records
        forced = turns_spent(records) > self.settings.turns
        try:
            parsed = parse_reply(reply.text, self.task.endings)
        except ExperimentError as error:
            long = _TOO_LONG if len(reply.text) > LONG_REPLY else ""
            self._append(Notice(reply.turn, "unreadable-reply", f"{error}{long}"))
            return
        if parsed.code is not None and forced:
            self._append(
                Notice(reply.turn, "code-after-last-turn", "There are no experiments left; your code was not run.")
            )
            return
        wrong = self._wrong(parsed.code) if parsed.code is not None else None
        if wrong is not None:
            self._append(self._to_mend(reply.turn, parsed.code or "", wrong))
            return
        verdict = self._judged(parsed)
        if verdict.refusals:
            self._append(*verdict.notices(reply.turn))
        elif parsed.code is None:
            self._append(Conclusion(reply.turn, parsed.description, parsed.labels, forced, verdict.recorded))
        else:
            self._append(await self._experiment(reply.turn, parsed.code, verdict.recorded))

    def _judged(self, parsed: ParsedReply) -> Verdict:
        records, settings = self.transcript.records, self.settings
        if parsed.code is not None:
            return on_experiment(records, parsed, self._guards)
        left = settings.turns - turns_spent(records)
        return on_conclusion(
            records, parsed, self._guards, experiments_left=max(0, left), answers_left=left + FINAL_ATTEMPTS
        )

    def _without_answer(self, turn: int) -> Record:
        """The end of a unit that gave no answer when it was asked: an answer that guards had refused serves."""
        refused = refused_conclusion(self.transcript.records)
        if refused is None:
            return Failure(turn, "no final answer was given when it was asked for")
        given, parsed = refused
        return Conclusion(given, parsed.description, parsed.labels, True, [Remark(REFUSED_ANSWER, _REFUSED_TEXT)])

    def _wrong(self, code: str) -> str | None:
        return check_code(code, self._signatures, self.settings.sandbox != "none") if self.settings.check_code else None

    def _to_mend(self, turn: int, code: str, wrong: str) -> Record:
        """The first time, the reply may be written again without a turn being spent; then it was an experiment that
        failed."""
        if _repairing(self.transcript.records):
            return Experiment(turn, code, NOT_RUN, wrong)
        return Notice(turn, CHECK, f"{wrong}\nThis reply does not count as an experiment.")

    async def _experiment(self, turn: int, code: str, remarks: list[Remark]) -> Experiment:
        thresholds = [record.activation_threshold for record in self.transcript.of(Experiment)]
        system = System(self.services, self.unit)
        tools = Tools(self.services, self.unit, self._stream(turn), thresholds[-1] if thresholds else None)
        objects = {"system": system, "tools": tools}

        async def handle(method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            if method not in self._methods:
                raise ExperimentError(f"There is no {method}.")
            name, _, attribute = method.partition(".")
            call: Callable[..., Awaitable[Any]] = getattr(objects[name], attribute)
            try:
                pending = call(*args, **kwargs)
            except TypeError as error:
                raise ExperimentError(f"{method}: {str(error).partition('.')[2] or error}") from None
            return await pending

        outcome = await self.sandbox.run(code, handle)
        return Experiment(
            turn, code, outcome.outcome, outcome.error, outcome.stdout, tools.logged, tools.threshold, remarks
        )


CHECK, LAST = "code-check", "last-turn"
"""Kinds of notices."""
LONG_REPLY = 3000
"""Characters of an unreadable reply from which its length is mentioned: it may have been cut off."""
_TOO_LONG = " It was very long and may have been cut off: write little before the sections, and little in them."
REFUSED_ANSWER = "refused-answer"
"""Kind of the remark on a conclusion that guards had refused, and that was taken since no other came."""
_REFUSED_TEXT = "Guards had refused this answer; no better one was given when it was asked for."


def turns_spent(records: Sequence[Record]) -> int:
    """Replies so far, but for those whose code was found wrong before it ran."""
    return sum(isinstance(record, Reply) - _is_check(record) for record in records)


def _is_check(record: Record) -> bool:
    return isinstance(record, Notice) and record.kind == CHECK


def _repairing(records: Sequence[Record]) -> bool:
    """Whether the last reply was asked for to mend the code of the one before."""
    return len(records) > 1 and isinstance(records[-1], Reply) and _is_check(records[-2])


def _difference(old: Any, new: Any) -> str:
    names = [name for name in vars(new) if getattr(old, name, None) != getattr(new, name)]
    return ", ".join(names)


async def run_units(
    units: Sequence[Unit],
    backbone: Backbone,
    services: Mapping[str, Services],
    settings: Settings,
    run: Path,
    jobs: int,
    progress: Progress = lambda unit, transcript: None,
) -> list[Transcript]:
    """All units, at most `jobs` at a time. services: by the target's name.

    A unit that fails costs itself: its transcript ends with a Failure. UserError (no sandbox, no weights, a
    transcript of other settings) and OSError (a full disk) end the whole run; finished and half-finished units keep
    their transcripts.
    """
    gate = asyncio.Semaphore(jobs)

    async def one(unit: Unit) -> Transcript:
        async with gate, services[unit.target].scheduler.agent(str(unit)):
            unit_run = UnitRun(unit, backbone, services[unit.target], settings, run, progress)
            try:
                return await unit_run.run()
            except (UserError, OSError):
                raise
            except Exception as error:  # one unit's trouble must not cost the others: it is named in the report
                turn = sum(1 for _ in unit_run.transcript.of(Reply))
                unit_run.transcript.append(Failure(turn, f"{type(error).__name__}: {error}"))
                progress(unit, unit_run.transcript)
                return unit_run.transcript

    try:
        async with running(services.values()), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(unit)) for unit in units]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
