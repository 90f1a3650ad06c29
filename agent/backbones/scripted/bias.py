"""The scripted experimenter of the task bias-identification: matched pictures, screening, confirmation, conclusion.

It reads the text of the dialogue and nothing else: means, spreads and activations that its own code logged. It looks
for what changes the activation of a class although the class stays: background, colour, size, company, pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..base import Message
from .bias_design import (
    FACTORS,
    FRESH,
    SCREEN_BASE,
    SCREENED,
    contexts,
    fresh_base,
    instruction,
    matched_code,
    place,
    references,
)
from .bias_rule import ALPHA, Confirmed, Effect, confirm, read_table, screen
from .evidence import read
from .write import exemplar_code, experiment_reply

RULE_SEED = 0
"""Of the screening's permutations: a property of the rule, not of the run, so that reading a log again gives the same
candidates."""
NONE_FOUND = "no bias found in what was tested"
"""How a [BIAS] section begins that claims none."""
_RESULT = "[RESULT OF EXPERIMENT"


@dataclass
class Seen:
    """What the dialogue holds. tables: activations by context, by step (a factor, or "confirm-factor-context"); a step
    that failed has an empty one. last: whether only an answer is wanted. exemplars: whether they were looked at."""

    tables: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    last: bool = False
    exemplars: bool = False
    able: bool = True


def seen(messages: Sequence[Message]) -> Seen:
    """The dialogue's steps and what they measured."""
    evidence = read(messages)
    found = Seen(last=evidence.last_turn, able=evidence.can("text2image") and evidence.can("edit_images"))
    found.exemplars = not evidence.can("dataset_exemplars")
    for reply, answer in pairwise(messages):
        if reply.role != "assistant" or _RESULT not in answer.text:
            continue
        for step in read([reply]).steps:
            if step == "exemplars":
                found.exemplars = True
            else:
                found.tables[step] = read_table(answer.text)
    return found


class BiasExperimenter:
    """Implements `Backbone` for units that stand for the class of that name. Stateless: the reply is a function of the
    messages."""

    name = "scripted"

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name
        self.thing = class_name.replace("_", " ").lower()

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The next experiment, or the conclusion. seed, grammar: not needed."""
        found = seen(messages)
        if found.last or not found.able:
            return self._conclude(found)
        if not found.exemplars:
            return experiment_reply(
                f"Hypothesis_1: nothing but '{self.class_name}' itself matters",
                "I begin with the images of the dataset that activate the unit most.",
                exemplar_code(),
            )
        for factor in FACTORS:
            if factor not in found.tables:
                return self._screening(factor, found)
            if not found.tables[factor] and not any(found.tables.values()):
                return self._conclude(found)  # the class itself cannot be drawn: no other factor will do better
        for effect in self.candidates(found):
            if _step(effect) not in found.tables:
                return self._confirmation(effect, found)
        return self._conclude(found)

    def candidates(self, found: Seen) -> list[Effect]:
        """What the screening singled out."""
        return screen({factor: found.tables[factor] for factor in FACTORS if found.tables.get(factor)}, RULE_SEED)

    def confirmed(self, found: Seen) -> list[Confirmed]:
        """The candidates that were tested again, claimed or not."""
        candidates = self.candidates(found)
        results = [confirm(effect, found.tables.get(_step(effect), {}), len(candidates)) for effect in candidates]
        return [result for result in results if result is not None]

    # --- writing

    def _screening(self, factor: str, found: Seen) -> str:
        names = contexts(factor, self.thing, SCREEN_BASE)
        edits = {name: instruction(factor, name, self.thing, SCREEN_BASE) for name in names}
        code = matched_code(factor, SCREEN_BASE.prompt(self.thing), SCREENED, edits, shown=1)
        remark = (
            f"The same pictures of a {self.thing}, with nothing but the {factor} changed: does the activation change?"
        )
        return experiment_reply(self._hypotheses(found), remark, code)

    def _confirmation(self, effect: Effect, found: Seen) -> str:
        pairs = [(one.factor, one.context) for one in self.candidates(found)]
        base = fresh_base(pairs)
        names = references(effect.factor, effect.context, self.thing, base, pairs)
        edits = {name: instruction(effect.factor, name, self.thing, base) for name in names}
        code = matched_code(_step(effect), base.prompt(self.thing), FRESH, edits, shown=4)
        remark = (
            f"The largest of many differences may be chance. I test '{effect.context}' again, on fresh pictures with "
            "other surroundings."
        )
        return experiment_reply(self._hypotheses(found), remark, code)

    def _hypotheses(self, found: Seen) -> str:
        lines = [self._sentence(effect.factor, effect.context, effect.relative) for effect in self.candidates(found)]
        lines.append(f"nothing but '{self.class_name}' itself matters")
        return "\n".join(f"Hypothesis_{number}: {line}" for number, line in enumerate(lines, start=1))

    def _sentence(self, factor: str, context: str, relative: float) -> str:
        where = place(factor, context, self.thing)
        return f"activations for '{self.class_name}' are {'lower' if relative < 0 else 'higher'} {where}"

    def _conclude(self, found: Seen) -> str:
        results = self.confirmed(found)
        claimed = [result for result in results if result.claimed]
        screened = {factor: found.tables[factor] for factor in FACTORS if found.tables.get(factor)}
        if not screened:
            text = (
                f"Pictures of '{self.class_name}' could not be made and changed, so that no context could be compared."
            )
            return _conclusion(self._hypotheses(found), text, f"{NONE_FOUND}: pictures of it could not be made")
        tested = "; ".join(f"{factor} ({len(table)} contexts)" for factor, table in screened.items())
        text = f"Compared on matched pictures: {tested}. " + " ".join(self._told(result) for result in results)
        if not results:
            text += "No context stood out enough to be tested again."
        text += f" By this rule at most {ALPHA:.0%} of units without a bias get a claim."
        sentence = self._claims(claimed) if claimed else NONE_FOUND
        return _conclusion(self._hypotheses(found), text, sentence)

    def _claims(self, claimed: Sequence[Confirmed]) -> str:
        first, *rest = (self._sentence(one.effect.factor, one.effect.context, one.relative) for one in claimed)
        return " and ".join([first, *(text.partition(" are ")[2] for text in rest)])

    def _told(self, result: Confirmed) -> str:
        effect, (low, high) = result.effect, result.interval
        means = f"mean {result.mean:.3g} over {result.pictures} fresh pictures against a mean of {result.others:.3g}"
        change = f"a change of {result.relative:+.0%} (95 % interval {low:+.0%} to {high:+.0%})"
        verdict = "confirmed" if result.claimed else "not confirmed"
        where = place(effect.factor, effect.context, self.thing)
        return f"{where[0].upper()}{where[1:]}: {means} otherwise, {change}, {verdict}."


def _step(effect: Effect) -> str:
    return f"confirm-{effect.factor}-{effect.context.replace(' ', '_')}"


def _conclusion(hypotheses: str, description: str, bias: str) -> str:
    return f"[HYPOTHESIS LIST]:\n{hypotheses}\n\n[DESCRIPTION]: {description}\n[BIAS]: {bias}\n"
