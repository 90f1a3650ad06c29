"""What the check finds, as rows {name, value, unit, goal, met, …}, and how a failure costs one row and not the run."""

import gc
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from ..throughput.timing import summary

Row = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What a value is meant to be: at most or at least a number."""

    sense: Literal["<=", ">="]
    value: float

    def met(self, value: float) -> bool:
        """Whether the value is so; NaN never is."""
        return value <= self.value if self.sense == "<=" else value >= self.value

    def __str__(self) -> str:
        return f"{self.sense} {self.value:.4g}"


def row(name: str, value: float, unit: str, goal: Goal | None = None, **more: Any) -> Row:
    """A row. goal: None: the value is told without one, and `met` is None. more: further fields."""
    met = None if goal is None else goal.met(value)
    return {"name": name, "value": value, "unit": unit, "goal": str(goal or ""), "met": met, **more}


def spread_row(name: str, values: Sequence[float], unit: str, goal: Goal | None = None, **more: Any) -> Row:
    """A row of repeated measurements: the value is their median; also p20 and p80, and the repeats' number."""
    of = summary(values)
    return row(name, of["median"], unit, goal, p20=of["p20"], p80=of["p80"], repeats=len(values), **more)


def promise_row(name: str, kept: bool, **more: Any) -> Row:
    """A row of something that is right or wrong: the check ends with exit code 1 where it is wrong."""
    return {"name": name, "value": kept, "unit": "", "goal": "yes", "met": kept, "promise": True, **more}


def failed_row(name: str, error: str) -> Row:
    """The row of what could not be measured."""
    return {"name": name, "value": None, "unit": "", "goal": "", "met": None, "error": error}


def as_line(found: Row) -> str:
    """One line for a person."""
    if "error" in found:
        return f"  not measured  {found['name']}: {found['error']}"
    mark = {True: "ok", False: "MISSED", None: ""}[found["met"]]
    value = found["value"]
    if value is None:
        return f"  MISSED  {found['name']}: not a finite number"
    shown = ("yes" if value else "NO") if isinstance(value, bool) else f"{value:.4g} {found['unit']}".strip()
    goal = f" (goal {found['goal']})" if found["goal"] else ""
    spread = f" [{found['p20']:.4g} … {found['p80']:.4g}]" if "p20" in found else ""
    note = f"; {found['note']}" if found.get("note") else ""
    return f"  {mark:6}  {found['name']}: {shown}{spread}{goal}{note}"


@dataclass
class Findings:
    """Rows as they are found. deadline: on `clock`; nothing is begun that would not end by then."""

    deadline: float = float("inf")
    say: Callable[[str], None] = print
    clock: Callable[[], float] = time.monotonic
    rows: list[Row] = field(default_factory=list)

    def attempt(self, name: str, measure: Callable[[], Iterable[Row]], needs: float = 0.0) -> bool:
        """Adds the rows that `measure` gives, each as it comes. Returns whether all came.

        Whatever it raises becomes a row that is called `name`. needs: seconds that it takes, roughly: with less left it
        is not begun.
        """
        left = self.deadline - self.clock()
        if left < needs:
            problem: str | None = f"skipped: it takes about {needs:.0f} s, and {max(0.0, left):.0f} s are left"
        else:
            problem = self._measured(measure)
        if problem is not None:
            self._add(failed_row(name, problem))
            # Here, where the error's frames no longer hold tensors.
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return problem is None

    def _measured(self, measure: Callable[[], Iterable[Row]]) -> str | None:
        try:
            for found in measure():
                self._add(found)
        # What a library lacks, memory that runs out, a fault of ours: each costs its row, whatever its type.
        except Exception as error:
            return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"
        return None

    def _add(self, found: Row) -> None:
        # JSON has no NaN; `met` was decided with it.
        finite = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in found.items()}
        self.rows.append(finite)
        self.say(as_line(finite))
