"""A small backbone that is bad on purpose: it shows each failure of weak models at a chosen rate, and mends what the
dialogue tells it to mend, so that the cure can be measured. Otherwise it follows a sane plan: exemplars, a broad sweep,
images of the leading concepts, edits, and a conclusion by the best fit.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...agent.backbones.base import Message
from ...agent.backbones.scripted import design, write
from ...agent.backbones.scripted.evidence import Evidence, read
from ...agent.backbones.scripted.hypotheses import SPACE, Fit, Hypothesis, fit

IMAGES = 24
"""Images of an experiment that only makes images."""
RELAPSE = 0.3
"""What is left of a failure's rate each time that the dialogue has told of it."""

COMPLAINTS: dict[str, re.Pattern[str]] = {
    mode: re.compile(pattern, re.IGNORECASE)
    for mode, pattern in {
        "invented-result": r"no result of this unit has|which the log does not have",
        "copied-example": r"examples of the instructions",
        "thin-evidence": r"too early to conclude",
        "repeated-experiment": r"This is experiment \d+ again",
        "picture-description": r"describes a picture|tells of a picture|is a sentence of",
        "unreadable-reply": r"neither a \[CODE\] section|nor a final \[LABEL\]|is empty|not closed",
        "several-blocks": r"several blocks of code",
        "syntax-error": r"SyntaxError|expected ':'",
        "unknown-method": r"has no attribute|There is no (?:system|tools)\b|(?:system|tools) has no ",
        "code-after-last-turn": r"no experiments left|Do not write code",
    }.items()
}
"""How the dialogue tells of each failure."""
COMPLAINTS["empty-reply"] = COMPLAINTS["endless-reply"] = COMPLAINTS["unreadable-reply"]
MODES: tuple[str, ...] = tuple(COMPLAINTS)
DEFAULT_RATES: dict[str, float] = {mode: 0.15 for mode in MODES} | {
    "thin-evidence": 0.2,
    "copied-example": 0.3,
    "code-after-last-turn": 0.5,
    "unreadable-reply": 0.06,
    "empty-reply": 0.04,
    "endless-reply": 0.04,
    "several-blocks": 0.06,
    "syntax-error": 0.08,
    "unknown-method": 0.1,
}
"""Chances of each failure at each reply that has the occasion."""

_ENDLESS = "The image shows a dog on the grass and the sky is blue. " * 400
_UNREADABLE = "I think that this unit likes round things. Let me look at some more images and then tell you."
_COPIED = """\
def run_experiment(system, tools):
    # step: copied
    titles = ["a dog on the grass", "a cat on the grass"]
    activations, masked_images = system.neuron(tools.text2image(titles))
    tools.log_experiment(activations, masked_images, titles, "")
"""


@dataclass
class FlawedBackbone:
    """Implements `Backbone`. Stateless: the reply is a function of the messages and the seed.

    rates: chance of each of MODES where a reply has the occasion for it; modes that are left out never happen. A
    failure that the last message complains of is not shown in the next reply, and afterwards at RELAPSE times its rate
    for each complaint; deaf: complaints change nothing.
    """

    rates: Mapping[str, float] = field(default_factory=lambda: DEFAULT_RATES)
    deaf: bool = False
    name: str = "flawed"

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The next step of the plan, with the failures that chance picks."""
        told = [message.text for message in messages if message.role == "user"]
        replies = [message.text for message in messages if message.role == "assistant"]
        failing = self._failing(told, seed)
        evidence, done = read(messages), _done(told, replies)
        text = self._answer(evidence, done, failing, seed) if _asked_to_end(told) else None
        text = text or self._experiment_or_end(evidence, done, failing, seed)
        return _spoilt(text, failing)

    def _failing(self, told: Sequence[str], seed: int) -> frozenset[str]:
        """Failures of this reply. Each has a random stream of its own, so that runs with and without guards differ by
        what the dialogue tells only."""
        failing = set()
        for mode, rate in self.rates.items():
            complaint = COMPLAINTS[mode]
            if not self.deaf and told[1:]:
                if complaint.search(told[-1]):
                    continue
                rate *= RELAPSE ** sum(complaint.search(text) is not None for text in told[1:])
            if random.Random(f"{seed}/{mode}").random() < rate:
                failing.add(mode)
        return frozenset(failing)

    def _answer(self, evidence: Evidence, done: dict[str, str], failing: frozenset[str], seed: int) -> str:
        if "code-after-last-turn" in failing:
            return write.experiment_reply("Hypothesis_1: one more test is needed", "One more.", write.exemplar_code())
        return _conclusion(evidence, failing, hasty="edit" not in done)

    def _experiment_or_end(self, evidence: Evidence, done: dict[str, str], failing: frozenset[str], seed: int) -> str:
        if "exemplars" not in done:
            return _experiment(_hypotheses(None, failing), write.exemplar_code(), failing)
        if "thin-evidence" in failing and "edit" not in done:
            return _conclusion(evidence, failing, hasty=True)
        fitted = fit(evidence)
        hypotheses = _hypotheses(fitted, failing)
        if "copied-example" in failing:
            return _experiment(hypotheses, _COPIED, failing)
        if "repeated-experiment" in failing:
            return _experiment(hypotheses, list(done.values())[-1], failing)
        designer = design.Designer(seed)
        best = [SPACE[i] for i in fitted.best(4)]
        if "sweep" not in done:
            settings = [designer.positive(h) for h in best for _ in range(3)]
            settings += [designer.setting() for _ in range(IMAGES - len(settings))]
            return _experiment(hypotheses, write.image_code("sweep", settings), failing)
        if "test" not in done:
            settings = design.discriminate(designer, fitted)[:IMAGES]
            return _experiment(hypotheses, write.image_code("test", settings), failing)
        if "edit" not in done:
            return _experiment(hypotheses, write.edit_code("edit", design.edits(designer, best[0])[:12]), failing)
        return _conclusion(evidence, failing, hasty=False)


def _asked_to_end(told: Sequence[str]) -> bool:
    return any("This was the last experiment" in text for text in told[1:])


def _done(told: Sequence[str], replies: Sequence[str]) -> dict[str, str]:
    """Code of the steps that ran without an error, by name, in order. told[k + 1] answers replies[k]."""
    done: dict[str, str] = {}
    for reply, answer in zip(replies, told[1:], strict=False):
        step = re.search(r"# step: (\S+)", reply)
        code = re.search(r"```python\n(.*?)```", reply, re.DOTALL)
        ran = "[RESULT OF EXPERIMENT" in answer and not re.search(r"^Your code (?:raised|ran out|broke)", answer, re.M)
        # A unit without exemplars says so by an error: that is an answer.
        if step and code and (ran or "it has no exemplars" in answer):
            done[step.group(1)] = code.group(1)
    return done


def _hypotheses(fitted: Fit | None, failing: frozenset[str]) -> str:
    lines = [write.hypothesis_list(fitted, 3)]
    if "picture-description" in failing:
        lines.append("Hypothesis_4: The image shows a dog on the left and a tree in the background.")
    if "invented-result" in failing:
        lines.append("Hypothesis_5: cats (a cat laying on the grass, activation: 14.21)")
    return "\n".join(lines)


def _experiment(hypotheses: str, code: str, failing: frozenset[str]) -> str:
    if "syntax-error" in failing:
        code = code.replace("def run_experiment(system, tools):", "def run_experiment(system, tools)", 1)
    if "unknown-method" in failing:
        code = code.replace("tools.dataset_exemplars", "system.dataset_exemplars").replace(
            "system.neuron(", "system.call_neuron("
        )
    reply = write.experiment_reply(hypotheses, "Next:", code)
    if "several-blocks" in failing:
        reply += "\n```python\ndef run_experiment(system, tools):\n    print('and then this')\n```\n"
    return reply


def _conclusion(evidence: Evidence, failing: frozenset[str], hasty: bool) -> str:
    """By the best fit; a hasty one without an experiment is about the first exemplar alone."""
    first = sorted(evidence.exemplars[0].region) if evidence.exemplars else []
    if hasty and first and not evidence.observations:
        hypothesis = Hypothesis("single", first[0])
    else:
        hypothesis = SPACE[fit(evidence).best(1)[0]]
    description = f"The unit responds to {hypothesis.label}."
    if "invented-result" in failing:
        description += " A cat laying on the grass reached an activation of 14.21."
    reply = write.conclusion_reply(f"Hypothesis_1: {hypothesis.label}", description, hypothesis)
    if "picture-description" in failing:
        shown = re.sub(r"^\[LABEL.*\n", "", reply, flags=re.MULTILINE)
        return f"{shown}[LABEL]: The image shows {hypothesis.label} in the middle of the picture\n"
    return reply


def _spoilt(text: str, failing: frozenset[str]) -> str:
    for mode, spoilt in (("empty-reply", ""), ("endless-reply", _ENDLESS), ("unreadable-reply", _UNREADABLE)):
        if mode in failing:
            return spoilt
    return text
