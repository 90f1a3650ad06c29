"""What agents ask of models, and when: closed-loop traces, made up or read from a real run's record.

Closed loop: an agent's next request comes a given time after its last one was answered, so a scheduler that is slow
gets its requests later, as in a real run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ...engine.plan import ModelFacts
from ...models.errors import UserError


@dataclass(frozen=True)
class Request:
    """So many items for a model, asked for in one call."""

    model: str
    items: int


@dataclass(frozen=True)
class Step:
    """Requests that an agent makes at the same time. think: seconds that it takes before, after the last answer."""

    requests: tuple[Request, ...]
    think: float = 0.0


Agent = tuple[Step, ...]
Trace = Mapping[str, Agent]


@dataclass(frozen=True)
class Roles:
    """Which model does what in a made-up trace. measures: models that answer for a unit; each unit has one of them,
    each as often. draws, edits: likewise, text to image and editing."""

    backbone: str
    draws: Sequence[str]
    edits: Sequence[str]
    measures: Sequence[str]


def synthetic(agents: int, units: int, roles: Roles, seed: int) -> dict[str, Agent]:
    """Agents that describe `units` units each, by the pattern of the paper's experiments.

    A unit takes 4 to 8 turns of the backbone. The first measures 15 dataset exemplars; each later one draws 4 to 10
    prompts (in half of the turns, instead draws 2 to 4 and makes 2 to 3 edits of each), measures all pictures, and in 6
    of 10 turns has the backbone, as a fresh describer, say in one line each what it sees. At the end the label is put
    to the test as in the paper's predictive evaluation: the backbone writes prompts, 14 pictures are drawn and
    measured. Between an answer and the next request lie 0.05 to 0.5 s of the experiment's own code. Agents start
    within the first 2 s. The numbers of turns and prompts are those of the paper's sample transcripts, roughly.
    """
    made: dict[str, Agent] = {}
    for number in range(agents):
        random = Random(f"{seed}/{number}")
        steps: list[Step] = []
        for unit in range(units):
            measure = roles.measures[(number + unit) % len(roles.measures)]
            steps += _unit(roles, measure, random)
        first = Step(steps[0].requests, random.uniform(0.0, 2.0))
        made[f"agent-{number}"] = (first, *steps[1:])
    return made


def _unit(roles: Roles, measure: str, random: Random) -> list[Step]:
    draw, edit = random.choice(list(roles.draws)), random.choice(list(roles.edits))
    asked: list[tuple[str, int]] = []
    for turn in range(random.randint(4, 8)):
        asked.append((roles.backbone, 1))
        if turn == 0:
            pictures = 15
        elif random.random() < 0.5:
            pictures = random.randint(4, 10)
            asked.append((draw, pictures))
        else:
            drawn = random.randint(2, 4)
            edited = drawn * random.randint(2, 3)
            asked += [(draw, drawn), (edit, edited)]
            pictures = drawn + edited
        asked.append((measure, pictures))
        if random.random() < 0.6:
            asked.append((roles.backbone, pictures))
    asked += [(roles.backbone, 1), (roles.backbone, 1), (draw, 14), (measure, 14)]
    return [Step((Request(model, items),), random.uniform(0.05, 0.5)) for model, items in asked]


def recorded(path: Path) -> dict[str, Agent]:
    """The trace of a real run: JSON lines with agent, model, items, asked and answered (seconds), a call each.

    What an agent asked for before its earlier calls were answered becomes one step with them; the time between the
    last answer and the next question is its thinking. Raises UserError for what is not such a file.
    """
    calls: dict[str, list[tuple[float, float, Request]]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            request = Request(str(entry["model"]), int(entry["items"]))
            asked, answered = float(entry["asked"]), float(entry["answered"])
            calls.setdefault(str(entry["agent"]), []).append((asked, answered, request))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number}: not a call of a scheduler's record ({error}). A line is a JSON object with"
                ' "agent", "model", "items", "asked" and "answered", as a run with recording on writes it.'
            ) from error
    if not calls:
        raise UserError(f"{path} holds no call. Record a run first.")
    start = min(asked for entries in calls.values() for asked, _, _ in entries)
    return {agent: _steps(sorted(entries, key=lambda e: e[:2]), start) for agent, entries in calls.items()}


def _steps(calls: Sequence[tuple[float, float, Request]], start: float) -> Agent:
    steps: list[Step] = []
    together: list[Request] = []
    think, free_at = 0.0, start
    for asked, answered, request in calls:
        if together and asked < free_at:
            together.append(request)
            free_at = max(free_at, answered)
            continue
        if together:
            steps.append(Step(tuple(together), think))
        together, think, free_at = [request], max(0.0, asked - free_at), answered
    return (*steps, Step(tuple(together), think))


def with_demand(models: Sequence[ModelFacts], trace: Trace, units: int) -> tuple[ModelFacts, ...]:
    """The facts with the trace's items per unit and per call, for `units` units in all; models not asked for excepted.

    A recorded trace does not say how many units it holds: its agents then count as one unit each.
    """
    items: dict[str, int] = {}
    calls: dict[str, int] = {}
    for request in (request for agent in trace.values() for step in agent for request in step.requests):
        items[request.model] = items.get(request.model, 0) + request.items
        calls[request.model] = calls.get(request.model, 0) + 1
    return tuple(
        replace(f, items_per_unit=items[f.name] / units, items_per_call=items[f.name] / calls[f.name])
        for f in models
        if f.name in items
    )
