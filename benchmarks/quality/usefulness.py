"""How useful descriptions are for predicting what a unit responds to (the paper's appendix E): given a description,
which of four sets of pictures activates the unit? Shares right by method and participant, with intervals."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from ...models.errors import UserError
from .agreement import sign_test
from .agreement_data import Procedure, Text
from .predictive import bootstrap_mean
from .testbed_study import wilson
from .usefulness_sets import CHANCE

PARTICIPANTS = 10
"""People for each method (the paper's appendix E: "10 human participants performed each task")."""
UNITS = 25
"""Units of each network (the same)."""
LONGEST_TEXT = 1200
"""Characters of a description that people are asked to read; the paper's are a sentence."""

PAPER: dict[str, dict[str, tuple[float, float]]] = {
    "resnet152": {"MILAN": (0.66, 0.06), "MAIA": (0.785, 0.05), "Human": (0.8545, 0.04)},
    "clip-rn50": {"MILAN": (0.5719, 0.06), "MAIA": (0.6521, 0.06), "Human": (0.696, 0.06)},
    "dino-vits8": {"MILAN": (0.48, 0.06), "MAIA": (0.6739, 0.06), "Human": (0.812, 0.05)},
}
"""The paper's table A7: share right and half width of its 95 % interval, by network and method."""


@dataclass(frozen=True)
class Task:
    """What is asked. methods: their names. texts: unit -> one text for each method, in their order. left_out: unit or
    entry -> why nothing is asked about it."""

    methods: tuple[str, ...]
    text: Text
    texts: dict[str, tuple[str, ...]]
    left_out: dict[str, str] = field(default_factory=dict)

    def methods_with(self, unit: str, text: str) -> list[str]:
        """Methods that say this of the unit; case and white space aside, since nobody is asked the same twice."""
        return [name for name, other in zip(self.methods, self.texts[unit], strict=True) if plain(other) == plain(text)]

    def without(self, units: Mapping[str, str]) -> "Task":
        """The task without these units. units: name -> why. Raises UserError where nothing is left."""
        kept = {unit: texts for unit, texts in self.texts.items() if unit not in units}
        left_out = {**self.left_out, **{unit: why for unit, why in units.items() if unit in self.texts}}
        if not kept:
            raise UserError(f"no unit is left to ask about ({_some(units)}): give units with exemplars.")
        return replace(self, texts=kept, left_out=left_out)


def plain(text: str) -> str:
    """What makes two texts the same."""
    return " ".join(text.split()).casefold()


def gather(procedures: Sequence[Procedure], text: Text = "label") -> Task:
    """The units that all methods described, so that methods are compared on the same units, in the first one's order.

    text: whether labels or descriptions are shown; the paper's example ("human hands interacting with weightlifting
    equipment") is a label's length. A text that is empty or longer than LONGEST_TEXT costs its unit. Raises UserError
    where there is no method, two have one name, or no unit is left.
    """
    names = tuple(procedure.name for procedure in procedures)
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"methods need names of their own, at least one ({', '.join(names)}): write NAME=PATH for each."
        )
    left_out = {f"{entry} ({one.name})": why for one in procedures for entry, why in one.left_out.items()}
    texts: dict[str, tuple[str, ...]] = {}
    for unit in dict.fromkeys(unit for procedure in procedures for unit in procedure.units):
        try:
            texts[unit] = tuple(_text(procedure, unit, text) for procedure in procedures)
        except ValueError as problem:
            left_out[unit] = str(problem)
    if not texts:
        raise UserError(f"no unit has a {text} of every method ({_some(left_out)}): give runs about the same units.")
    return Task(names, text, texts, left_out)


def _text(procedure: Procedure, unit: str, text: Text) -> str:
    """Raises ValueError that says why there is none to show."""
    if unit not in procedure.units:
        raise ValueError(f"{procedure.name} has no description of it")
    found = " ".join(getattr(procedure.units[unit], text).split())
    if not found:
        raise ValueError(f"{procedure.name} has no {text} of it")
    if len(found) > LONGEST_TEXT:
        raise ValueError(f"{procedure.name}'s {text} of it has {len(found)} characters, more than {LONGEST_TEXT}")
    return found


def _some(entries: Mapping[str, str]) -> str:
    return "; ".join(f"{entry}: {why}" for entry, why in list(entries.items())[:3]) or "nothing was given"


@dataclass(frozen=True)
class Choice:
    """What one participant made of one method's description of one unit. value: 1.0 for the right set, 0.0 for another;
    between them where it was asked more than once: the share right. consistent: whether it always chose one set, None
    where it was asked once. Where several methods say the same, there is a choice for each of them."""

    participant: str
    unit: str
    method: str
    value: float
    consistent: bool | None = None


@dataclass(frozen=True)
class Answers:
    """What participants of one sort chose. places: how often a set at each place was chosen, of the four; a participant
    that looks at the pictures chooses all of them alike. problems: file, answer or question -> what cost it. facts: of
    the participants."""

    name: str
    sort: Literal["people", "model"]
    choices: Sequence[Choice]
    places: Sequence[int] = (0, 0, 0, 0)
    problems: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def score(task: Task, answers: Answers, seed: int = 0) -> dict[str, Any]:
    """The result in JSON's types.

    methods: by name `share`, with the participants' own shares. differences: "A minus B" over the units that both have
    answers of. chance: 0.25. paper: the numbers of participants and units of the paper. seed: of the bootstrap.
    """
    known = [choice for choice in answers.choices if choice.unit in task.texts and choice.method in task.methods]
    by_method = {name: [choice for choice in known if choice.method == name] for name in task.methods}
    repeated = [choice.consistent for choice in known if choice.consistent is not None]
    return {
        "name": answers.name,
        "sort": answers.sort,
        "text": task.text,
        "chance": CHANCE,
        "units": len(task.texts),
        "participants": len({choice.participant for choice in known}),
        "methods": {name: _method(choices, seed) for name, choices in by_method.items()},
        "differences": {
            f"{a} minus {b}": _difference(by_method[a], by_method[b], seed) for a, b in combinations(task.methods, 2)
        },
        "consistent": {"count": sum(repeated), "of": len(repeated)} if repeated else None,
        "places": list(answers.places),
        "problems": dict(answers.problems),
        "left_out": dict(task.left_out),
        "facts": dict(answers.facts),
        "paper": {"participants a method": PARTICIPANTS, "units a network": UNITS},
    }


def _method(choices: Sequence[Choice], seed: int) -> dict[str, Any]:
    people: defaultdict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        people[choice.participant].append(choice)
    by_participant = {name: share(people[name], seed) for name in sorted(people)}
    return {**share(choices, seed), "participants": len(people), "by_participant": by_participant}


def share(choices: Sequence[Choice], seed: int = 0) -> dict[str, Any]:
    """Share of answers that named the right set.

    interval: 95 %, Wilson's, with every answer as a trial of its own, as the paper's; interval_units: 95 %, bootstrap
    over units, which knows that answers about one unit see the same pictures: what other units would show. None
    where there is no answer; interval_units also where all units have one value, so that it knows no spread.
    """
    by_unit = _by_unit(choices)
    right, means = float(sum(choice.value for choice in choices)), [float(np.mean(v)) for v in by_unit.values()]
    spread = bool(means) and max(means) > min(means)
    return {
        "answers": len(choices),
        "units": len(by_unit),
        "right": right,
        "rate": right / len(choices) if choices else None,
        "interval": list(wilson(right, len(choices))) if choices else None,
        "interval_units": list(bootstrap_mean(means, seed)) if spread else None,
    }


def _by_unit(choices: Sequence[Choice]) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for choice in choices:
        found[choice.unit].append(choice.value)
    return dict(found)


def _difference(a: Sequence[Choice], b: Sequence[Choice], seed: int) -> dict[str, Any]:
    """Of shares right, unit by unit, with a bootstrap interval and the exact sign test over units that differ."""
    of_a, of_b = _by_unit(a), _by_unit(b)
    found = [float(np.mean(of_a[unit]) - np.mean(of_b[unit])) for unit in of_a if unit in of_b]
    wins, losses = sum(value > 0 for value in found), sum(value < 0 for value in found)
    return {
        "units": len(found),
        "mean": float(np.mean(found)) if found else None,
        "interval": list(bootstrap_mean(found, seed)) if found and max(found) > min(found) else None,
        "wins": wins,
        "losses": losses,
        "p": sign_test(wins, losses),
    }


HEADS = ("participants", "method", "people", "units", "answers", "right", "95 % interval", "over units")


def rows(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """A row for each result of `score` and method, under HEADS."""
    for result in results:
        for place, (method, entry) in enumerate(result["methods"].items()):
            yield (
                result["name"] if place == 0 else "",
                method,
                str(entry["participants"]),
                str(entry["units"]),
                str(entry["answers"]),
                _percent(entry["rate"]),
                _bounds(entry["interval"]),
                _bounds(entry["interval_units"]),
            )


def to_markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """The table, and what it does not say."""
    cells = [HEADS, ("---",) * len(HEADS), *rows(results)]
    table = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in cells)
    return table + "\n" + "".join(f"- {note}\n" for result in results for note in notes(result))


def notes(result: Mapping[str, Any]) -> list[str]:
    """Chance and the paper's numbers, differences between methods, what was left out and what went wrong."""
    said = [
        f"{result['name']}: share of choices of the strongly activating set by {result['text']}, chance "
        f"{_percent(result['chance'])}. The paper had {PARTICIPANTS} participants a method and {UNITS} units a network."
    ]
    for name, entry in result["differences"].items():
        if entry["mean"] is not None:
            said.append(
                f"{result['name']}, {name}: {100 * entry['mean']:+.1f} points {_bounds(entry['interval'])} over "
                f"{entry['units']} units, {entry['wins']} : {entry['losses']}, sign test p {entry['p']:.2g}."
            )
    if result["consistent"]:
        said.append(
            f"{result['name']}: chose one set however the sets were ordered in {result['consistent']['count']} of "
            f"{result['consistent']['of']} questions."
        )
    if sum(result["places"]):
        said.append(
            f"{result['name']}: chose the sets at places 1 to 4 {' : '.join(map(str, result['places']))} times."
        )
    for what, entries in (("problems", result["problems"]), ("not asked", result["left_out"])):
        if entries:
            more = f"; and {len(entries) - 3} more" if len(entries) > 3 else ""
            said.append(f"{result['name']}, {what} ({len(entries)}): {_some(entries)}{more}.")
    return said


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _bounds(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:.1f} … {100 * interval[1]:.1f}"
