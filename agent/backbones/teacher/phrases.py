"""How the teacher writes: short."""

import random
from collections.abc import Sequence

from .beliefs import Guess

NO_EXEMPLARS = "The dataset shows nothing; I look for what activates the unit."


def first() -> str:
    """Before anything is known."""
    return hypotheses("", ["not known yet"])


def hypotheses(before: str, labels: Sequence[str]) -> str:
    """What was seen, then the list."""
    lines = "\n".join(f"Hypothesis_{i}: {label}" for i, label in enumerate(labels, start=1))
    return f"{before}\n[HYPOTHESIS LIST]:\n{lines}" if before else f"[HYPOTHESIS LIST]:\n{lines}"


def experiment(before: str, code: str) -> str:
    """A reply that runs an experiment."""
    return f"{before}\n[CODE]:\n```python\n{code}```"


def conclusion(guess: Guess, rng: random.Random) -> str:
    """A reply that ends the unit's experiments."""
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
    return f"[DESCRIPTION]: {rng.choice(says)}\n{labels}"


_SLIPS = (
    ("tools.text2image(", "tools.text_to_image("),
    ("system.neuron(", "system.neurons("),
    ("tools.log_experiment(", "tools.log("),
    ("tools.summarize_images(images)", "tools.summarize(images)"),
    ("means[name] = ", "mean[name] = "),
    ("tools.dataset_exemplars(system)", "tools.dataset_exemplars()"),
    ("/ len(fill)", "/ len(fills)"),
    ("images[:3]), text)", "images[:3]), text"),
    ("list(dict", "list dict"),
)


def slipped(code: str, rng: random.Random) -> str:
    """The code with a mistake; as it is where none applies."""
    fitting = [slip for slip in _SLIPS if slip[0] in code]
    if not fitting:
        return code
    right, wrong = rng.choice(fitting)
    return code.replace(right, wrong, 1)
