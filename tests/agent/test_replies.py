"""Replies of backbones: what parses, and what the backbone is told when it does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.replies import parse_reply
from maia.models.errors import ExperimentError

EXPERIMENT = """Let me look.

[HYPOTHESIS LIST]:
Hypothesis_1: dogs
[CODE]:
```python
def run_experiment(system, tools):
    x = '''
[LABEL]: not a label
'''
    tools.log_experiment([], [], [], x)
```
"""


def test_experiment() -> None:
    parsed = parse_reply(EXPERIMENT)
    assert parsed.hypotheses == "Hypothesis_1: dogs"
    assert parsed.code is not None and parsed.code.startswith("def run_experiment") and "[LABEL]" in parsed.code


def test_conclusion_with_several_labels() -> None:
    parsed = parse_reply('[DESCRIPTION]: fires for two things\n[LABEL 1]: dogs\n**[LABEL 2]:** "red cars"\n')
    assert parsed.code is None
    assert parsed.description == "fires for two things"
    assert parsed.labels == ["dogs", "red cars"]


def test_code_wins_over_a_conclusion_in_the_same_reply() -> None:
    parsed = parse_reply(EXPERIMENT + "\n[DESCRIPTION]: dogs\n[LABEL]: dogs\n")
    assert parsed.code is not None and parsed.labels == []


def test_a_lone_block_of_code_without_heading_is_an_experiment() -> None:
    assert parse_reply("```python\nprint(1)\n```").code == "print(1)\n"


def test_other_tasks() -> None:
    parsed = parse_reply("[REASONING]: it follows the beach\n[LABEL]: SPURIOUS")
    assert (parsed.description, parsed.labels) == ("it follows the beach", ["SPURIOUS"])
    assert parse_reply("[DESCRIPTION]: compared\n[BIAS]: no bias found in what was tested").labels == [
        "no bias found in what was tested"
    ]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("", "neither a [CODE]"),
        ("I think it is a dog.", "neither a [CODE]"),
        ("[DESCRIPTION]: a dog", "no [LABEL]"),
        ("[DESCRIPTION]: a dog\n[LABEL]:  ", "empty"),
        ("[LABEL]: " + "dog " * 200, "300 characters"),
        ("[CODE]:\n```python\n```", "empty"),
        ("[CODE]:\n```python\nx = 1\n", "not closed"),
        ("[CODE]:\n```python\nx = 1\n```\nand\n```python\ny = 2\n```", "several blocks"),
    ],
)
def test_what_the_backbone_is_told(reply: str, told: str) -> None:
    with pytest.raises(ExperimentError) as raised:
        parse_reply(reply)
    assert told in str(raised.value)


_PIECES = st.sampled_from(
    [
        *("[CODE]", "[CODE]:", "[LABEL]:", "[LABEL 3]: x", "[DESCRIPTION]", "[HYPOTHESIS LIST]"),
        *("```python\n", "```", "\n", "[", "]", "def f():"),
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.one_of(_PIECES, st.text(max_size=12)), max_size=14).map("".join))
def test_any_text_parses_or_is_told(text: str) -> None:
    try:
        parsed = parse_reply(text)
    except ExperimentError as error:
        assert str(error)
    else:
        assert (parsed.code is None) != (not parsed.labels)
        assert parsed.code is None or parsed.code.strip()
        assert all(label and len(label) <= 300 for label in parsed.labels)
