"""The scripted experimenter: a backbone without a language model.

It reads only the text of the dialogue, holds explicit hypotheses about the unit, and chooses experiments that tell
them apart:
exemplars, a broad sweep, the leading concepts in changing company, the images on which the best hypotheses
disagree, and edits of one factor at a time. It is named "scripted" wherever it appears.
"""

from collections.abc import Sequence

from ....models.testbed.vocabulary import GROUPS
from ..base import Message
from . import contest, design, write
from .evidence import Evidence, read
from .hypotheses import CONCEPTS, SPACE, Fit, Hypothesis, fit

ROUNDS = 3
"""Rounds of telling the best hypotheses apart before the contest comes anyway."""
MARGIN = 6.0
"""Nats by which the best hypothesis must lead the next to be decided early: odds of about 400 to 1."""


class ScriptedBackbone:
    """Implements `Backbone`. Stateless: the reply is a function of the messages and the seed."""

    name = "scripted"

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The next experiment, or the conclusion. grammar: not needed, its replies follow it."""
        evidence = read(messages)
        if "exemplars" not in evidence.steps and evidence.can("dataset_exemplars"):
            return write.experiment_reply(
                write.hypothesis_list(None),
                "I begin with the images of the dataset that activate the unit most.",
                write.exemplar_code(),
            )
        if _silent(evidence):
            return _nothing_found()
        if evidence.last_turn or contest.STEP in evidence.steps or not evidence.can("text2image"):
            return _conclude(evidence)
        current = fit(evidence)
        remark, code = _next_experiment(evidence, current, seed)
        return write.experiment_reply(write.hypothesis_list(current), remark, code)


def _next_experiment(evidence: Evidence, current: Fit, seed: int) -> tuple[str, str]:
    """What to do next, and why."""
    designer = design.Designer(seed)
    done = [step.partition("-")[0] for step in evidence.steps]
    if "screen" not in done:
        settings = design.screen(designer)
        return _plan("screen", "Next, a broad sweep: does anything else activate the unit?", settings, evidence)
    if "focus" not in done:
        settings = design.focus(designer, _leading_concepts(current))
        return _plan("focus", "Now the leading concepts, each in changing company.", settings, evidence)
    if _decided(evidence, current):
        remark = "The best explanations compete on fresh images of their own."
        return remark, write.image_code(contest.STEP, contest.settings(designer, evidence, current))
    rounds = done.count("discriminate")
    if rounds > done.count("edit") and evidence.can("edit_images"):
        best = SPACE[current.best(1)[0]]
        pairs = design.edits(designer, best)
        remark = f"I edit images in which '{best.label}' holds, one factor at a time: what makes the activation drop?"
        return remark, write.edit_code(f"edit-{rounds}", pairs[: _allowed(len(pairs), evidence)])
    settings = design.discriminate(designer, current)
    remark = "These images should tell the best hypotheses apart, counter-examples included."
    return _plan(f"discriminate-{rounds + 1}", remark, settings, evidence)


def _plan(step: str, remark: str, settings: list[design.Setting], evidence: Evidence) -> tuple[str, str]:
    return remark, write.image_code(step, settings[: _allowed(len(settings), evidence)])


def _allowed(count: int, evidence: Evidence) -> int:
    """After an experiment that failed, a smaller one."""
    return max(4, count // 3) if evidence.last_error else count


def _leading_concepts(current: Fit, count: int = 6) -> list[str]:
    """Concepts by the weight of the hypotheses that rest on them, the most important first."""
    weight: dict[str, float] = {}
    for rank, i in enumerate(current.best(60)):
        hypothesis = SPACE[i]
        weight[hypothesis.a] = weight.get(hypothesis.a, 0.0) + 1.0 / (1 + rank)
        if hypothesis.b:
            weight[hypothesis.b] = weight.get(hypothesis.b, 0.0) + 0.5 / (1 + rank)
    ranked = sorted(weight, key=lambda concept: (-weight[concept], CONCEPTS.index(concept)))
    return ranked[:count]


def _silent(evidence: Evidence) -> bool:
    """Whether nothing has activated the unit: no exemplars, and one and the same activation on every image made."""
    values = {observation.activation for observation in evidence.observations}
    return not evidence.exemplars and "screen" in evidence.steps and len(values) <= 1 and not evidence.last_error


def _decided(evidence: Evidence, current: Fit) -> bool:
    """Whether experiments that tell hypotheses apart can stop: the best leads clearly, or stayed the best for a
    round."""
    rounds = [step for step in evidence.steps if step.startswith("discriminate")]
    edited = sum(step.startswith("edit") for step in evidence.steps) if evidence.can("edit_images") else len(rounds)
    if edited >= ROUNDS:
        return True
    if edited < 1 or edited < len(rounds):
        return False
    first, second = current.best(2)
    if current.score[first] - current.score[second] >= MARGIN:
        return True
    return edited >= 2 and fit(evidence.before(rounds[-1])).best(1)[0] == first


def _conclude(evidence: Evidence) -> str:
    """The best-fitting hypothesis, unless another one won the contest clearly."""
    before = evidence.before(contest.STEP)
    fitted = fit(before)
    second = fitted.best(2)[1]
    hypothesis, remark = contest.leading(before, fitted), ""
    outcome = contest.result(evidence, fitted)
    if outcome is not None:
        hypothesis = outcome.winner
        remark = f" On fresh images made for it, it reached a mean of {outcome.mean:.3g}."
        if outcome.leader != outcome.winner:
            remark += f" '{outcome.leader.label}' explains as much, but reached {outcome.leader_mean:.3g} only."
    chosen = SPACE.index(hypothesis)
    high, low, count = fitted.high[chosen], fitted.low[chosen], int(fitted.count[chosen])
    description = (
        f"The unit responds to {_in_words(hypothesis)}. Over {len(evidence.observations)} images that were made "
        f"for it, the mean activation was {high:.3g} in the {count} images where this holds and {low:.3g} elsewhere."
        f"{remark} The next best explanation was '{SPACE[second].label}'."
    )
    if not evidence.observations or high <= low:
        description = f"The exemplars show {_in_words(hypothesis)}; no experiment confirmed it."
    return write.conclusion_reply(write.hypothesis_list(fitted), description, hypothesis)


def _in_words(hypothesis: Hypothesis) -> str:
    def words(concept: str) -> str:
        return f"{concept} ({', '.join(GROUPS[concept][1])})" if concept in GROUPS else concept

    if hypothesis.kind == "or":
        return f"{words(hypothesis.a)} OR {words(hypothesis.b)}"
    if hypothesis.kind == "given":
        return f"{words(hypothesis.a)}, but only when {words(hypothesis.b)} is also in the image"
    return words(hypothesis.a)


def _nothing_found() -> str:
    return (
        "[HYPOTHESIS LIST]:\nHypothesis_1: nothing activates this unit\n\n"
        "[DESCRIPTION]: Neither the dataset nor the images that were made activated the unit.\n"
        "[LABEL]: no visual concept found\n"
    )
