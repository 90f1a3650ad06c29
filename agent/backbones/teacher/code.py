"""The experiments that the teacher writes. Each stands by itself: nothing survives from one to the next. What can be
counted or compared is left to the code, so that the next reply is decided by words in the log."""

from collections.abc import Mapping, Sequence

SHOWN = 4
"""Exemplars whose pictures are logged."""
LISTED = 12
"""Words of each list that are logged."""
FULL, LOW, APART = 0.6, 0.3, 1.5
"""A test is high if its mean comes FULL of the way from the lowest to the highest, LOW of the best exemplar's
activation, and APART times the lowest."""

_EXEMPLARS = f"""\
def run_experiment(system, tools):
    activations, images = tools.dataset_exemplars(system)
    titles = ["exemplar"] * len(images)
    bright, picture = {{}}, {{}}
    for line in tools.describe_images(images, titles).split("\\n"):
        parts = line.split(": ", 1)[1].split(" | ")
        for word in set(parts[0].split(", ")):
            bright[word] = bright.get(word, 0) + 1
        for word in set(", ".join(parts).split(", ")):
            picture[word] = picture.get(word, 0) + 1
    text = f"{{len(images)}} exemplars"
    for name, counts in (("bright", bright), ("picture", picture)):
        often = sorted(counts, key=lambda word: (-counts[word], word))[:{LISTED}]
        text += f"\\n{{name}}: " + ", ".join(f"{{word}} {{counts[word]}}" for word in often)
    tools.log_experiment(activations[:{SHOWN}], images[:{SHOWN}], titles[:{SHOWN}], text)
"""

_TESTS = f"""\
def run_experiment(system, tools):
FILLERS
    tests = {{
TESTS    }}
    best = BEST
    means, values, shown, titles = {{}}, [], [], []
    for name, form in tests.items():
        prompts = [form.format(c=c, n=n, p=p) for c, n, p in zip(colours, nouns, places)]
        activations, images = system.neuron(tools.text2image(prompts))
        means[name] = sum(activations) / len(activations)
        values, shown, titles = values + activations[:2], shown + images[:2], titles + [name] * 2
    low, top = min(means.values()), max(means.values())
    line = max(low + {FULL} * (top - low), {LOW} * best, {APART} * low)
    high = [name for name in tests if means[name] >= line]
    rest = [name for name in tests if means[name] < line]
    text = "high: " + (", ".join(high) or "nothing") + "\\nlow: " + ", ".join(rest)
    tools.log_experiment(values, shown, titles, text)
"""


def exemplar_code() -> str:
    """Count what an observer says of the dataset's exemplars: of the bright regions, and of the whole pictures."""
    return _EXEMPLARS


def tests_code(tests: Mapping[str, str], fillers: Mapping[str, Sequence[str]], exemplars: bool = True) -> str:
    """Pictures for a few explanations. tests: a prompt by name, with places {c}, {n} and {p} for a colour, a noun and a
    background that are none of them; fillers: what stands there ("colours", "nouns", "places"), as many of each.
    exemplars: whether the unit has some to compare with."""
    lines = "".join(f'        "{name}": "{form}",\n' for name, form in tests.items())
    filled = "\n".join(f"    {name} = {_list(words)}" for name, words in fillers.items())
    best = "tools.dataset_exemplars(system)[0][0]" if exemplars else "0"
    return _TESTS.replace("FILLERS", filled).replace("TESTS", lines).replace("BEST", best)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
