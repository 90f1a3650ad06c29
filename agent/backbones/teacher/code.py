"""The experiments that the teacher writes: short, since a student writes every word of them by heart. Each stands by
itself: nothing survives from one to the next. What can be counted or compared is left to the code, so that the next
reply is decided by words in the log."""

from collections.abc import Mapping, Sequence

SHOWN = 3
"""Exemplars, and tests, whose pictures are logged."""
FULL, LOW, APART = 0.6, 0.3, 1.5
"""A test is high if its mean is more than FULL of the way from that of the test without concepts to the highest, LOW
of the best exemplar's activation, and APART times that of the test without concepts."""
NEITHER = "none of these"
"""Name of the test whose pictures hold no concept in question."""
ALONE = 2
"""Words high alone that are told: the answer is one, or one OR the other."""

_EXEMPLARS = f"""\
def run_experiment(system, tools):
    activations, images = tools.dataset_exemplars(system)
    text = tools.summarize_images(images)
    tools.log_experiment(activations[:{SHOWN}], images[:{SHOWN}], ["exemplar"] * len(images[:{SHOWN}]), text)
"""

_TESTS = f"""\
def run_experiment(system, tools):
    fill = FILL
    tests = {{
TESTS    }}
    best = BEST
    seen, means = {{}}, {{}}
    for name, form in tests.items():
        try:
            seen[name] = system.neuron(tools.text2image([form.format(c=c, n=n, p=p) for c, n, p in fill]))
            means[name] = sum(seen[name][0]) / len(fill)
        except Exception as error:
            print(name, str(error)[:80])
    low, top = means["{NEITHER}"], max(means.values())
    line = max(low + {FULL} * (top - low), {LOW} * best, {APART} * low)
    high = []
    for name in means:
        if means[name] > line and (" + " not in name or not high):
            high.append(name)
    names = list(dict.fromkeys([*high, *means]))[:{SHOWN}]
    shown = [(a, i, name) for name in names for a, i in zip(seen[name][0][:2], seen[name][1])]
    text = " OR ".join(high[:{ALONE}]).replace(" + ", " given ") or "nothing"
    tools.log_experiment(*zip(*shown), "high: " + text)
"""


def exemplar_code() -> str:
    """Have an observer count what the dataset's exemplars show: in the bright regions, and in the whole pictures."""
    return _EXEMPLARS


def tests_code(tests: Mapping[str, str], fill: Sequence[Sequence[str]], exemplars: bool = True) -> str:
    """Pictures for a few explanations. A test that cannot be drawn is told and left out.

    tests: a prompt by name, with places {c}, {n} and {p} for a colour, a noun and a background that are none of them;
    words alone come before pairs, "a + b", of which the first that is high counts, and only where no word is high
    alone; NEITHER comes last. The log says what is high as a label does. fill: what stands there, a (colour, noun,
    background) for each picture of a test. exemplars: whether the unit has some to compare with.
    """
    lines = "".join(f'        "{name}": "{form}",\n' for name, form in tests.items())
    filled = ", ".join("(" + ", ".join(f'"{word}"' for word in words) + ")" for words in fill)
    best = "tools.dataset_exemplars(system)[0][0]" if exemplars else "0"
    return _TESTS.replace("FILL", f"[{filled}]").replace("TESTS", lines).replace("BEST", best)
