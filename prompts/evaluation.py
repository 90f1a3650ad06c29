"""What the predictive evaluation asks (the paper's section 4): a writer of prompts, and a selector among them."""

WRITE = """\
A neuron of a vision network responds to: {label}

Write {count} prompts for a text-to-image model whose pictures should activate this neuron as much as possible, as
varied as the description allows; then {count} prompts whose pictures should leave it at its baseline: everyday pictures
that have nothing to do with the description. Each prompt is one short, concrete description of a picture. Write nothing
else than this list:

POSITIVE
1. <prompt>
NEUTRAL
1. <prompt>
"""

SELECT = """\
A neuron of a vision network responds to: {label}

These prompts were given to a text-to-image model:

{prompts}

If the description is right, which {count} of them make pictures that activate the neuron most, and which {count} least?
Answer with their numbers, the most certain first, and nothing else:

MOST: <{count} numbers with commas between>
LEAST: <{count} other numbers with commas between>
"""


def write_grammar(count: int) -> str:
    """EBNF of a writer's answer."""
    numbers = [" ".join(f'"{place}. " line' for place in range(1, count + 1))] * 2
    return f"""\
root ::= "POSITIVE\\n" {numbers[0]} "NEUTRAL\\n" {numbers[1]}
line ::= [A-Za-z] word{{0,20}} (" " word{{1,20}}){{0,30}} "\\n"
word ::= [A-Za-z0-9',()-]
"""


def select_grammar(count: int, pool: int) -> str:
    """EBNF of a selector's answer over `pool` prompts, numbered from 1. That numbers differ is not held."""
    number = " | ".join(f'"{place}"' for place in range(1, pool + 1))
    row = " ".join(["number"] + ['", " number'] * (count - 1))
    return f"""\
root ::= "MOST: " {row} "\\n" "LEAST: " {row} "\\n"?
number ::= {number}
"""
