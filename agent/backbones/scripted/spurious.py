"""The scripted experimenter of the task "spurious-feature": does a unit answer to one class, wherever that stands?

It reads only the text of the dialogue: exemplars first, then every class in all surroundings, several pictures each;
then all of it again on fresh pictures. Its code says of each picture whether it is active, by the two signs that the
paper's task names (F4): whether a region is highlighted, and how high the activation is.

Its verdict is graded where F4's is strict ("does not activate for any other breed, even at lower magnitudes"): units of
a network that was not trained on these classes are hardly ever silent for all but one. A unit is selective if classes
move it clearly more than surroundings do, wherever its class stands, and no other class moves it alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance

from ....kernels.mask import DARKEN
from ..base import Message
from .evidence import EXEMPLAR_LINE, EXEMPLAR_VALUE
from .write import exemplar_code, experiment_reply

PICTURES = 4
"""Pictures of a class in one surrounding, in an experiment."""
MOST = 120
"""Pictures of an experiment at most."""
ACTIVE = 0.5
"""A picture activates the unit if a region of it is highlighted, and its activation lies this far up the way from the
lowest one of the grid to the exemplars' mean."""
RATIO = 1.5
"""Times the variance that surroundings explain which classes have to explain for a unit to be selective."""
ALIKE = 0.95
"""Two classes are alike if the second lies this far up the way from the lowest class's mean to the highest one's."""
FLOOR = 0.1
"""In each surrounding its class has to stand this far up the way from the other classes' mean to its own."""
TRIES = 2
"""Experiments of one kind that may fail before it is given up."""

SELECTIVE, SPURIOUS = "SELECTIVE", "SPURIOUS"

_DARK = round(DARKEN * 255)
_PREPOSITIONS = frozenset(
    ["in", "on", "at", "by", "under", "near", "inside", "among", "against", "beside", "before", "with"]
)
_STEP = re.compile(r"^\s*# step: (\S+)", re.MULTILINE)
_CELL = re.compile(
    r"^cell \| (?P<name>.+) \| (?P<place>.+) \| active (?P<active>\d+) of \d+ \| (?P<values>-?\d[\d.e+ -]*)$",
    re.MULTILINE,
)
_LINE = re.compile(r"^active from (-?[\d.e+-]+)", re.MULTILINE)
_METHOD = re.compile(r"^ +def (\w+)\(self", re.MULTILINE)

_GRID = """\
def run_experiment(system, tools):
    # step: STEP
    tests = [  # class, surroundings, prompt
TESTS    ]
    measured = []
    for name, place, prompt in tests:
        activations, masked = system.neuron(tools.text2image([prompt] * PICTURES))
        # What is not highlighted is darkened: a picture with a region has brighter pixels.
        lit = [max(high for low, high in image.getextrema()) > DARK for image in masked]
        measured.append((name, place, activations, masked, lit))
    LINE
    lines, shown = [f"active from {line:.4g} on, with a highlighted region"], []
    for name, place, activations, masked, lit in measured:
        active = sum(a >= line and seen for a, seen in zip(activations, lit))
        values = " ".join(f"{a:.4g}" for a in activations)
        lines.append(f"cell | {name} | {place} | active {active} of {len(activations)} | {values}")
        best = max(range(len(activations)), key=lambda i: activations[i])
        shown.append((activations[best], masked[best], f"{name} {place}"))
    tools.log_experiment(*[list(column) for column in zip(*shown)], "\\n".join(lines))
"""
_FIRST_LINE = "low = min(min(row[2]) for row in measured)\n    line = low + SHARE * (EXEMPLARS - low)"


@dataclass(frozen=True)
class Cell:
    """A class in one surrounding: the activation of each picture, and how many of them are active."""

    values: tuple[float, ...] = ()
    active: int = 0

    @property
    def count(self) -> int:
        """Pictures."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Of the activations; 0 without pictures."""
        return fmean(self.values) if self.values else 0.0


Grid = dict[tuple[str, str], Cell]
"""Cells by (class, surroundings)."""


@dataclass(frozen=True)
class Verdict:
    """What a grid says. name: the class to which the unit answers most; reasons: why it is SPURIOUS, none if not."""

    name: str
    reasons: tuple[str, ...]

    @property
    def label(self) -> str:
        """SELECTIVE or SPURIOUS."""
        return SPURIOUS if self.reasons else SELECTIVE


@dataclass
class _Seen:
    """What the dialogue shows so far. tries: experiments begun, by step. line: from which a picture is active."""

    exemplars: list[float] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    grid: Grid = field(default_factory=dict)
    tries: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    line: float | None = None
    trouble: str = ""
    last_turn: bool = False
    tools: frozenset[str] | None = None

    def wants(self, step: str) -> bool:
        """Whether the step is still to be made, and may be tried (again)."""
        return step not in self.finished and self.tries.count(step) < TRIES


class SpuriousExperimenter:
    """Implements `Backbone`. Stateless: the reply is a function of the messages.

    classes, surroundings: at least two of each, as the task tells them; a surrounding may be a phrase ("in the snow")
    or a word ("snow"). Raises ValueError for fewer.
    """

    name = "scripted"

    def __init__(self, classes: Sequence[str], surroundings: Sequence[str]) -> None:
        if min(len(set(classes)), len(set(surroundings))) < 2:
            raise ValueError("whether a unit is selective shows with two classes and two surroundings at least")
        self.classes, self.surroundings = tuple(classes), tuple(surroundings)

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The next experiment, or the conclusion. grammar: not needed, its replies follow it."""
        seen = _read(messages)
        usable = seen.tools is None or {"dataset_exemplars", "text2image"} <= seen.tools
        if seen.last_turn or not usable:
            return self._conclude(seen)
        if seen.wants("exemplars") and not seen.exemplars:
            return experiment_reply(self._hypotheses(seen), "The dataset's exemplars come first.", exemplar_code())
        if not seen.exemplars:
            return self._conclude(seen)
        if seen.wants("grid"):
            remark = "Every class in all surroundings: which of them activate the unit?"
            return experiment_reply(self._hypotheses(seen), remark, self._grid_code(seen))
        if seen.grid and seen.wants("again"):
            remark = "The same again on fresh pictures: what was chance does not come twice."
            return experiment_reply(self._hypotheses(seen), remark, self._again_code(seen))
        return self._conclude(seen)

    # --- writing

    def _grid_code(self, seen: _Seen) -> str:
        cells = [(name, place) for name in self.classes for place in self.surroundings]
        exemplars = sum(seen.exemplars) / len(seen.exemplars)
        line = _FIRST_LINE.replace("SHARE", f"{ACTIVE}").replace("EXEMPLARS", f"{exemplars:.4g}")
        return _code("grid", cells, line)

    def _again_code(self, seen: _Seen) -> str:
        cells = [(name, place) for name in self.classes for place in self.surroundings]
        return _code("again", cells, f"line = {seen.line!r}", "a photo of ")

    def _hypotheses(self, seen: _Seen) -> str:
        if seen.grid:
            verdict = judged(seen.grid)
            told = "; ".join(verdict.reasons) or "in all surroundings, and to no other class"
            return f"Hypothesis_1: {verdict.label}, most active for {verdict.name}: {told}"
        words = [
            f"Hypothesis_{number}: the unit answers to {word} (in {count} of {len(seen.descriptions)} descriptions)"
            for number, (word, count) in enumerate(self._counted(seen.descriptions), 1)
        ]
        return "\n".join(words) or "Hypothesis_1: nothing is known yet of the unit"

    def _counted(self, descriptions: Sequence[str]) -> list[tuple[str, int]]:
        words = {word: word.lower().split()[-1] for word in (*self.classes, *self.surroundings)}
        counts = {word: sum(end in text.lower() for text in descriptions) for word, end in words.items()}
        return sorted(((word, count) for word, count in counts.items() if count), key=lambda entry: -entry[1])[:5]

    def _conclude(self, seen: _Seen) -> str:
        """The verdict on all pictures together. What could not be tested is called spurious, as the task asks."""
        if not seen.grid:
            why = seen.trouble or "it has no exemplars, or experiments were not possible"
            return _conclusion(f"The unit could not be tested, and in doubt it counts as spurious: {why}", SPURIOUS)
        verdict = judged(seen.grid)
        own = " ".join(
            f"{place}: mean {cell.mean:.4g}, active in {cell.active} of {cell.count} pictures;"
            for (name, place), cell in seen.grid.items()
            if name == verdict.name
        )
        others = ", ".join(
            f"{name} in {sum(c.active for c in row)} of {sum(c.count for c in row)}"
            for name, row in _rows(seen.grid).items()
            if name != verdict.name
        )
        told = (
            f"The unit's activations are highest for {verdict.name}. {own} Active pictures of other classes: {others}. "
        )
        if verdict.reasons:
            return _conclusion(f"{told}It is spurious: {'; '.join(verdict.reasons)}.", SPURIOUS)
        return _conclusion(
            f"{told}It is selective for {verdict.name}, in all surroundings that were tested.", SELECTIVE
        )


def judged(grid: Grid) -> Verdict:
    """The class with the highest mean, and all that speaks against the unit's being selective for it.

    grid: of at least two classes and two surroundings, two pictures in each cell, else ValueError.
    """
    rows = _rows(grid)
    means = {name: fmean(cell.mean for cell in row) for name, row in rows.items()}
    by_class, by_place = variance_components(grid)
    leading, second, *_ = sorted(means, key=lambda name: -means[name])
    reasons = []
    if by_class <= 0 or not any(cell.active for cell in rows[leading]):
        reasons.append("no class stands out")
    elif by_class <= RATIO * by_place:
        ratio = by_class / by_place
        reasons.append(f"classes and surroundings explain its variance in a ratio of {ratio:.2f} ({RATIO} is wanted)")
    low = min(means.values())
    if by_class > 0 and means[second] - low >= ALIKE * (means[leading] - low):
        reasons.append(
            f"{second} activates it alike: a mean of {means[second]:.4g}, {leading}'s is {means[leading]:.4g}"
        )
    others = fmean(mean for name, mean in means.items() if name != leading)
    floor = others + FLOOR * (means[leading] - others)
    for (name, place), cell in grid.items():
        if name == leading and cell.mean <= floor:
            reasons.append(
                f"{leading} {place} has a mean of {cell.mean:.4g}, hardly more than the others' {others:.4g}"
            )
    return Verdict(leading, tuple(reasons))


def variance_components(grid: Grid) -> tuple[float, float]:
    """(of classes, of surroundings): the variance of their means over a whole grid, less what chance adds to it.

    Chance is the variance within cells, so that a component may come out below 0. Raises ValueError for fewer than two
    classes, surroundings, or pictures in a cell.
    """
    if min((cell.count for cell in grid.values()), default=0) < 2:
        raise ValueError("each cell of the grid needs two pictures")
    noise = fmean(variance(cell.values) / cell.count for cell in grid.values())
    columns: dict[str, list[float]] = {}
    for (_, place), cell in grid.items():
        columns.setdefault(place, []).append(cell.mean)
    classes = [[cell.mean for cell in row] for row in _rows(grid).values()]

    def component(groups: Sequence[Sequence[float]]) -> float:
        if len(groups) < 2:
            raise ValueError("the grid needs two classes and two surroundings")
        return variance([fmean(group) for group in groups]) - noise / fmean(len(group) for group in groups)

    return component(classes), component(list(columns.values()))


def prompt_of(name: str, place: str) -> str:
    """ "a clock in the snow" of a class and a phrase, "a clock with snow in the background" of a class and a word."""
    article = "an" if name[:1].lower() in "aeiou" else "a"
    where = place if place.split()[0].lower() in _PREPOSITIONS else f"with {place} in the background"
    return f"{article} {name} {where}"


def read_grid(text: str) -> Grid:
    """The cells that a log of the grid's code tells of; cells that are told several times hold all their pictures."""
    grid: Grid = {}
    for found in _CELL.finditer(text):
        key = found["name"], found["place"]
        old = grid.get(key, Cell())
        values = tuple(float(value) for value in found["values"].split())
        grid[key] = Cell((*old.values, *values), old.active + int(found["active"]))
    return grid


def _code(step: str, cells: Sequence[tuple[str, str]], line: str, before: str = "") -> str:
    pictures = max(2, min(PICTURES, MOST // len(cells)))
    tests = "".join(f"        ({name!r}, {place!r}, {before + prompt_of(name, place)!r}),\n" for name, place in cells)
    code = _GRID.replace("STEP", step).replace("DARK", str(_DARK)).replace("LINE", line)
    return code.replace("PICTURES", str(pictures)).replace("TESTS", tests)


def _conclusion(reasoning: str, label: str) -> str:
    return f"[REASONING]: {' '.join(reasoning.split())}\n[LABEL]: {label}\n"


def _rows(grid: Grid) -> dict[str, list[Cell]]:
    rows: dict[str, list[Cell]] = {}
    for (name, _), cell in grid.items():
        rows.setdefault(name, []).append(cell)
    return rows


def _read(messages: Sequence[Message]) -> _Seen:
    seen = _Seen()
    if messages and messages[0].role == "system":
        seen.tools = frozenset(_METHOD.findall(messages[0].text)) or None
    results = []
    for message in messages:
        if message.role == "assistant":
            seen.tries += _STEP.findall(message.text)
        elif message.role == "user":
            results.append(message.text)
            _read_result(message.text, seen)
    seen.grid = read_grid("\n".join(results))
    return seen


def _read_result(text: str, seen: _Seen) -> None:
    seen.last_turn = "This was the last experiment" in text
    if not seen.tries:  # the task's own text
        return
    step = seen.tries[-1]
    values = [float(value) for _, value in EXEMPLAR_VALUE.findall(text)]
    if step == "exemplars" and values:
        seen.exemplars = values
        seen.descriptions = [description for _, description in EXEMPLAR_LINE.findall(text)]
    if values if step == "exemplars" else _CELL.search(text):
        seen.finished.add(step)
        seen.trouble = ""
        found = _LINE.search(text)
        seen.line = float(found[1]) if found and seen.line is None else seen.line
    elif failed := re.search(r"^Your code (?:raised|ran out|broke|was not run).*(?:\n.*)?", text, re.MULTILINE):
        seen.trouble = " ".join(failed[0].split())
