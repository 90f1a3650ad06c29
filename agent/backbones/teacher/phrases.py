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


def conclusion(guess: Guess) -> str:
    """A reply that ends the unit's experiments."""
    responds = {
        "single": f"to {guess.a}",
        "or": f"to {guess.a} and to {guess.b}",
        "given": f"to {guess.a} only together with {guess.b}",
    }[guess.kind]
    return f"[DESCRIPTION]: The unit responds {responds}.\n[LABEL]: {guess.label}"


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
