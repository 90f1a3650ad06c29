"""The last experiment: the best explanations compete on fresh images.

The fit says which hypothesis explains all that was seen; a unit with graded responses may still respond more to a
narrower or another one. Each candidate gets images of its own, so that a candidate picked for high values that were
luck is found out.
"""

from dataclasses import dataclass

import numpy as np

from .design import Designer, Setting
from .evidence import Evidence
from .hypotheses import SPACE, Fit, Hypothesis

STEP = "contest"
IMAGES = 8
"""Fresh images for each candidate."""
CANDIDATES = 9
GAIN = 0.2
"""How much more than the best-fitting hypothesis a candidate must raise the activation to take its place, as a share
of its rise."""
DEVIATIONS = 2.0
WEAK_SIDE = 0.6
"""A side of an OR must raise the activation by this share of what the other side does."""
SHRINKAGE = 6
"""Images' worth of the overall mean that a mean is shrunk by before candidates are picked by it."""


def leading(evidence: Evidence, fit: Fit) -> Hypothesis:
    """The best-fitting hypothesis; of an OR with one weak side only the strong side.

    A graded unit may answer a little to much; that is no second concept.
    """
    best = fit.best(1)[0]
    hypothesis, low = SPACE[best], float(fit.low[best])
    if hypothesis.kind != "or":
        return hypothesis
    sides = [Hypothesis("single", hypothesis.a), Hypothesis("single", hypothesis.b)]
    rises = []
    for side, other in (sides, sides[::-1]):
        values = [o.activation for o in evidence.observations if side.holds(o.concepts) and not other.holds(o.concepts)]
        rises.append((sum(values) / len(values) - low) if values else 0.0)
    if min(rises) >= WEAK_SIDE * max(rises):
        return hypothesis
    return sides[rises.index(max(rises))]


def candidates(evidence: Evidence, fit: Fit) -> list[Hypothesis]:
    """The leading hypothesis, then the best fits, the best of each kind, and those with the highest (shrunken)
    means."""
    best = fit.best(400)
    chosen = [SPACE.index(leading(evidence, fit)), *best[:3]]
    for kind in ("single", "or", "given"):
        chosen += [i for i in best if SPACE[i].kind == kind][:1]
    overall = float((fit.high * fit.count).sum() / max(fit.count.sum(), 1))
    shrunken = (fit.high * fit.count + overall * SHRINKAGE) / (fit.count + SHRINKAGE)
    order = np.argsort(-np.where(fit.count >= 4, shrunken, -np.inf), kind="stable")
    chosen += [int(i) for i in order if SPACE[i].kind != "or"][:CANDIDATES]
    return [SPACE[i] for i in list(dict.fromkeys(chosen))[:CANDIDATES]]


def settings(designer: Designer, evidence: Evidence, fit: Fit) -> list[Setting]:
    """IMAGES settings for each candidate, in the order of `candidates`."""
    return [designer.positive(hypothesis) for hypothesis in candidates(evidence, fit) for _ in range(IMAGES)]


@dataclass(frozen=True)
class Result:
    """Who won, with its mean, and the leading hypothesis with its; they are the same where it was not beaten."""

    winner: Hypothesis
    mean: float
    leader: Hypothesis
    leader_mean: float


def result(evidence: Evidence, fit: Fit) -> Result | None:
    """The outcome of the contest in the evidence; None when there was none. fit: of the evidence before the contest."""
    values = [o.activation for o in evidence.observations if o.step == STEP]
    competing = candidates(evidence.before(STEP), fit)
    groups = [np.array(values[i * IMAGES : (i + 1) * IMAGES]) for i in range(len(competing))]
    if len(groups[0]) < IMAGES:
        return None
    fitted, low = groups[0], float(fit.low[SPACE.index(competing[0])])
    winner, best = competing[0], fitted
    for hypothesis, group in zip(competing[1:], groups[1:], strict=True):
        if len(group) < IMAGES or group.mean() <= best.mean():
            continue
        rise = group.mean() - fitted.mean()
        error = np.sqrt(group.var(ddof=1) / len(group) + fitted.var(ddof=1) / len(fitted))
        if rise > GAIN * max(fitted.mean() - low, 0.0) and rise > DEVIATIONS * error:
            winner, best = hypothesis, group
    return Result(winner, float(best.mean()), competing[0], float(fitted.mean()))
