"""Grammars of the replies that can be read: the EBNF that xgrammar reads, in this process or inside a vLLM server.

A model that is held to one cannot leave out a section, write code outside its block, or go on for ever. What the
code says is not held: it is checked before it runs. Every text that a grammar accepts is read by
`agent.replies.parse_reply` as an experiment or as a conclusion.
"""

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
BIAS_WORDS = 30
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

_CONCLUSIONS: dict[str, str] = {
    "neuron-description": f"""\
conclusion ::= "[DESCRIPTION]: " text labels "\\n"?
labels ::= "[LABEL]: " label | "[LABEL 1]: " label ("\\n[LABEL " [2-{LABELS}] "]: " label){{1,{LABELS - 1}}}
""",
    "spurious-feature": """\
conclusion ::= "[REASONING]: " text "[LABEL]: " ("SELECTIVE" | "SPURIOUS") "\\n"?
""",
    "bias-identification": f"""\
conclusion ::= "[DESCRIPTION]: " text "[BIAS]: " bias "\\n"?
bias ::= first inlabel{{0,{LETTERS}}} (" " inlabel{{1,{LETTERS}}}){{0,{BIAS_WORDS - 1}}}
""",
}
"""By task, as in `prompts.tasks.TASKS`."""


def reply_grammar(task: str, final: bool) -> str:
    """EBNF of the replies to a task of `prompts.tasks`. final: no experiments are left, only a conclusion counts.

    Raises KeyError for a task that does not exist.
    """
    if final:
        root = 'root ::= ("" | line) conclusion\n'
        return root + _common(LAST_WORDS, LAST_LINES) + _CONCLUSIONS[task]
    root = "root ::= thought (hypotheses (experiment | conclusion) | conclusion)\n"
    return root + _common(WORDS, DESCRIPTION_LINES) + _FREE + _EXPERIMENT + _CONCLUSIONS[task]


def _common(words: int, lines: int) -> str:
    bounds = {"LETTERS": LETTERS, "LABEL_WORDS": LABEL_WORDS - 1, "WORDS": words - 1, "LINES": lines}
    text = _COMMON
    for name, bound in bounds.items():
        text = text.replace(f",{name}}}", f",{bound}}}")
    return text
