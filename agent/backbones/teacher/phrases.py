"""How the teacher writes: short, and always what was seen before what is believed."""

import random
from collections.abc import Mapping, Sequence

from .beliefs import FULL, LOW, Guess
from .readings import Reading

NO_EXEMPLARS = "The dataset shows nothing; I look for what activates the unit."
PER_LINE = 4
"""Readings on a line."""


def first() -> str:
    """Before anything is known."""
    return hypotheses("", ["not known yet"])


def seen(readings: Sequence[Reading]) -> str:
    """Each exemplar in a few words: what is bright | what is around."""
    lines = []
    for start in range(0, len(readings), PER_LINE):
        part = readings[start : start + PER_LINE]
        lines.append("; ".join(f"{start + i} {reading.text()}" for i, reading in enumerate(part, start=1)))
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.2f}"


def result(means: Mapping[str, float], scale: float, guess: Guess | None) -> str:
    """What the tests say: each high or low, then what follows."""
    top, low = max(means.values(), default=0.0), min(means.values(), default=0.0)
    high = max(low + FULL * (top - low), LOW * scale)
    told = "; ".join(f"{name} {'high' if mean >= high else 'low'}" for name, mean in means.items())
    return f"{told}: {guess.label if guess else 'something else'}."


def hypotheses(before: str, labels: Sequence[str]) -> str:
    """What was seen, then the list."""
    lines = "\n".join(f"Hypothesis_{i}: {label}" for i, label in enumerate(labels, start=1))
    return f"{before}\n[HYPOTHESIS LIST]:\n{lines}" if before else f"[HYPOTHESIS LIST]:\n{lines}"


def experiment(before: str, code: str) -> str:
    """A reply that runs an experiment."""
    return f"{before}\n[CODE]:\n```python\n{code}```"


def conclusion(guess: Guess, means: Mapping[str, float], rng: random.Random) -> str:
    """A reply that ends the unit's experiments."""
    told = ", ".join(f"{name} {_number(mean)}" for name, mean in means.items())
    a, b = guess.a, guess.b
    says = {
        "single": [f"The unit responds to {a}.", f"{a.capitalize()} activates the unit, whatever is around it."],
        "or": [f"The unit responds to {a} and to {b}.", f"Either of {a} and {b} activates the unit."],
        "given": [
            f"The unit responds to {a} only together with {b}.",
            f"{a.capitalize()} activates the unit if {b} is there too.",
        ],
    }[guess.kind]
    labels = f"[LABEL 1]: {a}\n[LABEL 2]: {b}" if guess.kind == "or" else f"[LABEL]: {guess.label}"
    means_told = f" Means: {told}." if told else ""
    return f"[DESCRIPTION]: {rng.choice(says)}{means_told}\n{labels}"


_SLIPS = (
    ("tools.text2image(", "tools.text_to_image("),
    ("system.neuron(", "system.neurons("),
    ("tools.log_experiment(", "tools.log("),
    ("values += ", "value += "),
    ("tools.dataset_exemplars(system)", "tools.dataset_exemplars()"),
    ("len(activations)", "len(activation)"),
    ("shown, titles, text)", "shown titles, text)"),
)


def slipped(code: str, rng: random.Random) -> str:
    """The code with a mistake; as it is where none applies."""
    fitting = [slip for slip in _SLIPS if slip[0] in code]
    if not fitting:
        return code
    right, wrong = rng.choice(fitting)
    return code.replace(right, wrong, 1)
