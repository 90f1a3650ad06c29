"""The rule by which the scripted experimenter calls a difference a bias.

First every context of every factor is screened on matched pictures (one base picture each, one thing changed). What
stands out is a candidate, no more: of dozens of contexts some always do. A candidate is claimed if a second experiment
on fresh pictures shows the same difference. That experiment alone bounds the false alarms: its test is exact, and ALPHA
is shared out over a unit's candidates, so that at most ALPHA of the units without a bias get a claim, whatever the
screening let through.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05
"""Share of units without any bias for which at most a bias is claimed."""
SCREEN = 0.2
"""Familywise level of the screening, over all factors and contexts: loose, since candidates are confirmed."""
LEAST = 0.05
"""A difference of less than this share of the mean is no bias, however certain."""
CANDIDATES = 3
"""Contexts that are tested again at most: the largest differences."""
EACH = 2
"""Of one factor, at most."""
PERMUTATIONS = 999
T_95 = {7: 2.365, 9: 2.262, 11: 2.201, 15: 2.131}
"""Student's t for a two-sided 95 % interval, by degrees of freedom."""

_LINE = re.compile(
    r"^[ \t]*(?P<context>[^:\n]{1,60}): mean \S+, sd \S+, (?P<count>\d+) pictures? \((?P<values>[-+\d.eE ]+)\)[ \t]*$",
    re.MULTILINE,
)

Table = Mapping[str, Sequence[float]]
"""Activations by context; place i of every context is a change of base picture i."""


@dataclass(frozen=True)
class Effect:
    """What a context does. relative: change of the activation as a share of its mean in the other contexts (of its
    size, where that is negative, as logits may be)."""

    factor: str
    context: str
    relative: float
    p: float


@dataclass(frozen=True)
class Confirmed:
    """A candidate after its second experiment. interval: 95 % of `relative`. mean, others: activations in the context
    and in those compared with."""

    effect: Effect
    relative: float
    interval: tuple[float, float]
    mean: float
    others: float
    pictures: int
    p: float
    claimed: bool


def table_line(context: str, values: Sequence[float]) -> str:
    """A context's line as experiments log it (their code writes the same)."""
    mean = sum(values) / len(values)
    sd = (sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)) ** 0.5
    listed = " ".join(f"{value:.4g}" for value in values)
    return f"{context}: mean {mean:.4g}, sd {sd:.4g}, {len(values)} pictures ({listed})"


def read_table(text: str) -> dict[str, tuple[float, ...]]:
    """The contexts that a log's text tells of, in order; lines of another form, or whose count is wrong, are none."""
    found = {}
    for match in _LINE.finditer(text):
        try:
            values = tuple(float(value) for value in match["values"].split())
        except ValueError:
            continue
        if len(values) == int(match["count"]) and np.isfinite(values).all():
            found[match["context"].strip()] = values
    return found


def screen(tables: Mapping[str, Table], seed: int) -> list[Effect]:
    """Candidates, the largest difference first, CANDIDATES at most. tables: by factor, the base's context first.

    Each factor: how far each context's mean is from that of the others on the same base pictures; the largest of these
    against the largest when contexts are shuffled within every base picture (PERMUTATIONS times, Bonferroni over the
    factors). What was found is taken out, and the rest is looked at again, so that one strong context does not make
    the others look biased the other way.
    """
    found: list[Effect] = []
    rng = np.random.default_rng(seed)
    tested = {factor: table for factor, table in tables.items() if _matched(table)}
    for factor, table in tested.items():
        left = dict(table)
        for _ in range(EACH):
            effect = _strongest(factor, left, rng) if len(left) > 1 else None
            if effect is None or effect.p * len(tested) > SCREEN or abs(effect.relative) < LEAST:
                break
            found.append(effect)
            del left[effect.context]
    return sorted(found, key=lambda effect: -abs(effect.relative))[:CANDIDATES]


def _matched(table: Table) -> bool:
    return len(table) > 1 and len({len(values) for values in table.values()}) == 1 and min(map(len, table.values())) > 2


def _strongest(factor: str, table: Table, rng: np.random.Generator) -> Effect | None:
    names, values = list(table), np.array([list(row) for row in table.values()])
    differences = _differences(values)
    # Of two contexts the differences are each other's opposite: the base is what the other is compared with.
    place = 1 if len(names) == 2 else int(np.abs(differences).argmax())
    others = float(np.delete(values, place, axis=0).mean())
    if not others:
        return None
    shuffled = rng.permuted(np.broadcast_to(values, (PERMUTATIONS, *values.shape)), axis=1)
    largest = np.abs(_differences(shuffled)).max(-1)
    p = (1 + int((largest >= abs(differences[place]) - 1e-12).sum())) / (PERMUTATIONS + 1)
    return Effect(factor, names[place], float(differences[place]) / abs(others), p)


def _differences(values: np.ndarray) -> np.ndarray:
    """[..., contexts, pictures] to [..., contexts]: each context's mean less that of the others."""
    means = values.mean(-1)
    count = means.shape[-1]
    return (means - means.mean(-1, keepdims=True)) * count / (count - 1)


def confirm(effect: Effect, table: Table, candidates: int) -> Confirmed | None:
    """The candidate on its fresh pictures; None where the table lacks it, or something to compare it with.

    table: the candidate's context and others. candidates: of the unit, over whom ALPHA is shared out. If the
    context does nothing, the differences to the mean of the others, picture by picture, have either sign alike often:
    p is the share of all 2^n ways to choose signs whose mean is as far in the candidate's direction.
    """
    if effect.context not in table or not _matched(table):
        return None
    own = np.array(table[effect.context])
    rest = np.mean([values for name, values in table.items() if name != effect.context], axis=0)
    others, differences = float(rest.mean()), own - rest
    if not others:
        return None
    p = sign_flip(differences * np.sign(effect.relative))
    relative = float(differences.mean()) / abs(others)
    half = T_95.get(len(own) - 1, 2.5) * float(differences.std(ddof=1)) / np.sqrt(len(own)) / abs(others)
    claimed = p <= ALPHA / candidates and abs(relative) >= LEAST and relative * effect.relative > 0
    return Confirmed(
        effect, relative, (relative - half, relative + half), float(own.mean()), others, len(own), p, claimed
    )


def sign_flip(differences: np.ndarray) -> float:
    """One-sided p of "the mean is above 0", by all 2^n choices of signs. differences: [n], at most 16 are used."""
    used = np.asarray(differences, float)[:16]
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(used))))
    return float((signs @ used >= used.sum() - 1e-12).mean())
