"""What the bias experiments vary, in the words of prompts and edits, and the code that varies it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS

SCREENED, FRESH = 8, 12
"""Base pictures of a screening, and of the experiment that confirms."""
REFERENCES = 3
"""Contexts that a candidate is compared with when it is confirmed."""
COMPANIONS = ("ball", "tree", "car", "cat", "chair")

FACTORS: dict[str, tuple[str, ...]] = {
    "background": tuple(BACKGROUNDS),
    "colour": tuple(COLOURS),
    "size": ("medium", "small", "large"),
    "company": ("nothing", *COMPANIONS),
    "pattern": ("plain", "vertically striped", "dotted", "checkered", "furry"),
}
"""What is varied, with its contexts."""


@dataclass(frozen=True)
class Base:
    """What base pictures show: a context of every factor, which the edits change one at a time."""

    background: str = "studio"
    colour: str = "gray"
    size: str = "medium"
    company: str = "nothing"
    pattern: str = "plain"

    def prompt(self, thing: str) -> str:
        """The prompt of base pictures."""
        return f"a {self.size} {self.colour} {self.pattern} {thing} {BACKGROUNDS[self.background].phrase}"


SCREEN_BASE = Base()
FRESH_BASES = (Base("room", "brown"), Base("grass", "blue"), Base("brick wall", "green"), Base("beach", "white"))
"""Of confirmations: other surroundings and colours than the screening's, so that a bias holds beyond one base."""


def contexts(factor: str, thing: str, base: Base) -> list[str]:
    """The factor's contexts, the base's first; a thing is no company of its own kind."""
    own = getattr(base, factor)
    return [own, *(name for name in FACTORS[factor] if name not in (own, thing))]


def fresh_base(candidates: Sequence[tuple[str, str]]) -> Base:
    """Base pictures that hold none of the candidates, each a (factor, context)."""
    taken = set(candidates)
    return next(
        (base for base in FRESH_BASES if not {("background", base.background), ("colour", base.colour)} & taken),
        FRESH_BASES[0],
    )


def references(factor: str, context: str, thing: str, base: Base, candidates: Sequence[tuple[str, str]]) -> list[str]:
    """The candidate's context and what it is compared with: the base's, then others that are no candidates."""
    free = [name for name in contexts(factor, thing, base) if name != context and (factor, name) not in candidates]
    return [context, *free[:REFERENCES]]


def instruction(factor: str, context: str, thing: str, base: Base) -> str:
    """The edit that turns a base picture into the context; empty where it is the base's own."""
    if getattr(base, factor) == context:
        return ""
    if factor == "background":
        return f"change the background to {context}"
    return f"add a {context}" if factor == "company" else f"make the {thing} {context}"


def place(factor: str, context: str, thing: str) -> str:
    """Where a bias is, as a sentence goes on after "activations are lower"."""
    if factor == "background":
        return BACKGROUNDS[context].phrase
    if factor == "company":
        return f"when there is {'nothing' if context == 'nothing' else f'a {context}'} beside the {thing}"
    return f"when the {thing} is {context}"


def matched_code(step: str, prompt: str, count: int, edits: dict[str, str], shown: int) -> str:
    """Make `count` base pictures, change each into every context, and log means and spreads by context. shown: pictures
    of each context that are logged, of the same base pictures in all."""
    rows = "\n".join(f"        {name!r}: {edit!r}," for name, edit in edits.items())
    return _MATCHED.format(step=step, prompt=prompt, count=count, rows=rows, shown=shown)


_MATCHED = """\
def run_experiment(system, tools):
    # step: {step}
    base = tools.text2image([{prompt!r}] * {count})
    # What is changed in all of them, by context; nothing in the first with an empty edit.
    edits = {{
{rows}
    }}
    lines, shown = [], []
    for context, edit in edits.items():
        try:
            images = tools.edit_images(base, [edit])[0][1::2] if edit else base
        except Exception as error:
            lines.append("not made: " + context + " (" + str(error)[:120] + ")")
            continue
        values = system.neuron(images)[0]
        mean = sum(values) / len(values)
        sd = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        listed = " ".join(f"{{value:.4g}}" for value in values)
        lines.append(f"{{context}}: mean {{mean:.4g}}, sd {{sd:.4g}}, {{len(values)}} pictures ({{listed}})")
        shown += [(values[i], images[i], context) for i in range(min({shown}, len(values)))]
    tools.log_experiment(
        [row[0] for row in shown], [row[1] for row in shown], [row[2] for row in shown], "\\n".join(lines)
    )
"""
