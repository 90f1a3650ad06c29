"""Grammars of the replies that can be read: the EBNF that xgrammar reads, in this process or inside a vLLM server.

A model that is held to one cannot leave out a section, write code outside its block, or go on for ever. What the
code says is not held: it is checked before it runs. Every text that a grammar accepts is read by
`agent.replies.parse_reply` as an experiment or as a conclusion.
"""

from collections.abc import Sequence
from typing import Protocol

# xgrammar makes a mask over the vocabulary for each state of a bounded repetition: `char{0,400}` compiles for half a
# minute. So prose is bounded in lines, words and their letters, code in lines: how long a line of code gets is left to
# the limit on tokens.
THOUGHT_LINES = 6
"""Lines in which a model may think before the sections."""
WORDS = 60
"""Words of a line of prose at most."""
LETTERS = 24
"""Characters of a word at most: a model that writes without spaces comes to an end too."""
HYPOTHESES = 6
CODE_LINES = 120
INDENTS = 8
"""Levels of indentation, of four spaces each."""
DESCRIPTION_LINES = 4
LAST_WORDS, LAST_LINES = 30, 3
"""Words of a line, and lines of a description, of the answer that is asked for at the end: so few that its labels come
before the limit on tokens."""
LABEL_WORDS = 12
ANSWER_WORDS = 30
"""Words of an answer in prose that follows another section."""
LABELS = 4

# A line of prose begins with none of the characters by which headings, fences, quotes and tags begin, and with no
# space of Unicode, so that no section is empty.
_COMMON = """\
first ::= [^\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200f\\u2028-\\u202f\\u205f\\u3000\\ufeff`~<>*#_:,;"'\\[\\]|\\\\]
char ::= [^\\x00-\\x20\\x7f-\\x9f]
line ::= first char{0,LETTERS} (" " char{0,LETTERS}){0,WORDS} "\\n"
text ::= line{1,LINES}
label ::= first inlabel{0,LETTERS} (" " inlabel{1,LETTERS}){0,LABEL_WORDS}
inlabel ::= [^\\x00-\\x20\\x7f-\\x9f\\[\\]]
"""
_FREE = f"""\
thought ::= "" | (line "\\n"?){{1,{THOUGHT_LINES}}}
hypotheses ::= "[HYPOTHESIS LIST]:\\n" hypothesis{{1,{HYPOTHESES}}} "\\n"?
hypothesis ::= "Hypothesis_" [1-9] ": " line
"""

_EXPERIMENT = f"""\
experiment ::= "[CODE]:\\n```python\\ndef run_experiment(system, tools):\\n" codeline{{1,{CODE_LINES}}} "```" "\\n"?
codeline ::= "\\n"? ("    "){{1,{INDENTS}}} " "{{0,3}} [^\\x00-\\x20\\x7f-\\xa0`~<] [^\\x00-\\x1f\\x7f-\\x9f]* "\\n"
"""


class Section(Protocol):
    """A section of the final answer, as `agent.tasks.Ending`."""

    @property
    def heading(self) -> str:
        """What stands in the square brackets."""

    @property
    def kind(self) -> str:
        """ "text", "labels" or "choice"."""

    @property
    def choices(self) -> tuple[str, ...]:
        """Of a choice; none holds a quote or a backslash."""


def reply_grammar(endings: Sequence[Section], final: bool) -> str:
    """EBNF of the replies to a task whose answer ends in these sections. final: no experiments are left, only a
    conclusion counts.

    All sections but the last one are texts. A text that is the answer beside others is one line.
    """
    if final:
        root = 'root ::= ("" | line) conclusion\n'
        return root + _common(LAST_WORDS, LAST_LINES) + _conclusion(endings)
    root = "root ::= thought (hypotheses (experiment | conclusion) | conclusion)\n"
    return root + _common(WORDS, DESCRIPTION_LINES) + _FREE + _EXPERIMENT + _conclusion(endings)


def _conclusion(endings: Sequence[Section]) -> str:
    *before, answer = endings
    heading = answer.heading
    parts = [f'"[{section.heading}]: " text' for section in before]
    rules = ""
    if answer.kind == "labels":
        parts.append("labels")
        rules = (
            f'labels ::= "[{heading}]: " label | "[{heading} 1]: " label '
            f'("\\n[{heading} " [2-{LABELS}] "]: " label){{1,{LABELS - 1}}}\n'
        )
    elif answer.kind == "choice":
        parts.append(f'"[{heading}]: " ({" | ".join(f"{chr(34)}{choice}{chr(34)}" for choice in answer.choices)})')
    elif before:
        parts.append(f'"[{heading}]: " answer')
        rules = f'answer ::= first inlabel{{0,{LETTERS}}} (" " inlabel{{1,{LETTERS}}}){{0,{ANSWER_WORDS - 1}}}\n'
    else:
        parts.append(f'"[{heading}]: " text')
    return f'conclusion ::= {" ".join(parts)} "\\n"?\n{rules}'


def _common(words: int, lines: int) -> str:
    bounds = {"LETTERS": LETTERS, "LABEL_WORDS": LABEL_WORDS - 1, "WORDS": words - 1, "LINES": lines}
    text = _COMMON
    for name, bound in bounds.items():
        text = text.replace(f",{name}}}", f",{bound}}}")
    return text
