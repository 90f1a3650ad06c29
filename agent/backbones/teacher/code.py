"""The experiments that the teacher writes. Each stands by itself: nothing survives from one to the next."""

from collections.abc import Mapping, Sequence

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS

EXEMPLARS = 12
"""Exemplars that are looked at, of those that the tools give."""
SWEEP = 50
"""Pictures of a sweep."""
SLOTS = {"colour": 0, "pattern": 1, "noun": 2, "background": 6}
"""Where a word of each family stands in a sweep's prompts."""
LISTED = 8
"""Words of a sweep that are logged, those with the highest means first. A word's mean counts less the fewer its
pictures are (the sum over n + 1), so that one lucky picture does not lead."""

_EXEMPLARS = f"""\
def run_experiment(system, tools):
    activations, images = tools.dataset_exemplars(system)
    activations, images = activations[:{EXEMPLARS}], images[:{EXEMPLARS}]
    tools.log_experiment(activations, images, ["exemplar"] * len(images))
"""

_GROUPS = ", ".join(f'"{name}": "{" ".join(members)}"' for name, (_, members) in GROUPS.items() if name != "striped")

_SWEEP = f"""\
def run_experiment(system, tools):
    from random import choice, seed
    seed(SEED)
    nouns = "{" ".join(NOUNS)}".split()
    colours = "{" ".join(COLOURS)}".split()
    patterns = "{",".join(PATTERNS)}".split(",")
    places = "{",".join(BACKGROUNDS)}".split(",")
    groups = {{{_GROUPS}}}
    lines, values, shown, titles = [], [], [], []
    for word, slot in SWEEPS:
        rows = [[choice(k) for k in (colours, patterns, nouns, colours, patterns, nouns, places)]\
 for _ in range({SWEEP})]
        for row in rows:
            row[slot] = word or row[slot]
        prompts = ["a {{}} {{}} {{}} and a {{}} {{}} {{}}, {{}}".format(*row) for row in rows]
        activations, images = system.neuron(tools.text2image(prompts))
        seen = {{}}
        for a, p in zip(activations, prompts):
            words = set(p.replace(",", "").split())
            words |= {{g for g in groups if words & set(groups[g].split())}}
            for w in words - {{"a", "and", *word.split()}}:
                seen.setdefault(w, []).append(a)
        best = sorted(seen, key=lambda w: -sum(seen[w]) / (len(seen[w]) + 1))[:{LISTED}]
        line = f"{{word or 'anything'}}: mean {{sum(activations) / len(rows):.2f}}, \
lowest {{min(activations):.2f}}, highest {{max(activations):.2f}}. "
        lines.append(line + ", ".join(f"{{w}} {{sum(seen[w]) / len(seen[w]):.2f}} of {{len(seen[w])}}" for w in best))
        i = activations.index(max(activations))
        values, shown, titles = values + [activations[i]], shown + [images[i]], titles + [prompts[i]]
    tools.log_experiment(values, shown, titles, lines)
"""

_TESTS = """\
def run_experiment(system, tools):
    others = OTHERS
    tests = {
TESTS    }
    lines, values, shown = [], [], []
    for name, forms in tests.items():
        prompts = [form.format(other) for form in forms for other in others]
        activations, images = system.neuron(tools.text2image(prompts))
        mean = sum(activations) / len(activations)
        lines.append(f"{name}: mean {mean:.2f}, lowest {min(activations):.2f}, highest {max(activations):.2f}")
        values.append(activations[0])
        shown.append(images[0])
    tools.log_experiment(values, shown, list(tests), lines)
"""


def exemplar_code() -> str:
    """Look at what the dataset shows."""
    return _EXEMPLARS


def sweep_code(sweeps: Sequence[tuple[str, int]], seed: int) -> str:
    """Pictures of two objects of random words. sweeps: (a word that is in all pictures, its place in the prompt: see
    `SLOTS`); ("", 0): no such word."""
    listed = ", ".join(f'("{word}", {slot})' for word, slot in sweeps)
    return _SWEEP.replace("SEED", str(seed)).replace("SWEEPS", f"[{listed}]")


def tests_code(tests: Mapping[str, Sequence[str]], others: Sequence[str]) -> str:
    """Pictures for a few explanations. tests: prompts by name, each with a place {} for something else; others: what
    stands there."""
    lines = "".join(f'        "{name}": {_list(forms)},\n' for name, forms in tests.items())
    return _TESTS.replace("OTHERS", _list(others)).replace("TESTS", lines)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
