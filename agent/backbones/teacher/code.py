"""The experiments that the teacher writes. Each stands by itself: nothing survives from one to the next."""

from collections.abc import Mapping, Sequence

EXEMPLARS = 12
"""Exemplars that are looked at, of those that the tools give."""
_EXEMPLARS = f"""\
def run_experiment(system, tools):
    activations, images = tools.dataset_exemplars(system)
    activations, images = activations[:{EXEMPLARS}], images[:{EXEMPLARS}]
    tools.log_experiment(activations, images, ["exemplar"] * len(images))
"""

_TESTS = """\
def run_experiment(system, tools):
    others = OTHERS
    tests = {
TESTS    }
    text, values, shown, titles = "", [], [], []
    for name, forms in tests.items():
        activations, images = system.neuron(tools.text2image([f.format(o) for f in forms for o in others]))
        text += f"{name}: mean {sum(activations) / len(activations):.2f}\\n"
        values += activations[:2]
        shown += images[:2]
        titles += [name, name]
    tools.log_experiment(values, shown, titles, text)
"""


def exemplar_code() -> str:
    """Look at what the dataset shows."""
    return _EXEMPLARS


def tests_code(tests: Mapping[str, Sequence[str]], others: Sequence[str]) -> str:
    """Pictures for a few explanations. tests: prompts by name, each with a place {} for something else; others: what
    stands there."""
    lines = "".join(f'        "{name}": {_list(forms)},\n' for name, forms in tests.items())
    return _TESTS.replace("OTHERS", _list(others)).replace("TESTS", lines)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
