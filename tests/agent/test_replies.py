"""Replies of backbones: what parses, and what the backbone is told when it does not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.replies import parse_reply
from maia.agent.tasks import load_task
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
    spurious = load_task("spurious-feature", {"classes": ["pug"], "surroundings": ["beach"]})
    parsed = parse_reply("[REASONING]: it follows the beach\n[LABEL]: SPURIOUS", spurious.endings)
    assert (parsed.description, parsed.labels) == ("it follows the beach", ["SPURIOUS"])
    bias = load_task("bias-identification", {"class_name": "pug"})
    assert parse_reply("[DESCRIPTION]: compared\n[BIAS]: no bias found in what was tested", bias.endings).labels == [
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


_CODE = "def run_experiment(system, tools):\n    tools.display('x')\n"
_LIST = "[HYPOTHESIS LIST]:\nHypothesis_1: dogs\n"
_FENCED = f"```python\n{_CODE}```\n"


@pytest.mark.parametrize(
    "reply",
    [
        f"{_LIST}[CODE]:\n{_FENCED}",
        f"{_LIST}**[CODE]:**\n{_FENCED}",
        f"### [HYPOTHESIS LIST]\nHypothesis_1: dogs\n### [CODE]\n{_FENCED}",
        f"**[Hypothesis List]**:\nHypothesis_1: dogs\n\n__[Code]__\n{_FENCED}",
        f"```\n{_LIST}[CODE]:\n{_FENCED}```\n",
        f"````markdown\n{_LIST}[CODE]:\n{_FENCED}````",
        f"{_LIST}[CODE]:\n```\n{_FENCED}```\n",
        f"{_LIST}[CODE]:\n```python\n{_FENCED}",
        f"{_LIST}[CODE]: ```python\n{_CODE}```",
        f"{_LIST}[CODE]:\n~~~\n{_CODE}~~~",
        f"{_LIST}[CODE]:\n```python {_CODE}```",
        f"{_LIST}[CODE]:\n```python\n{_CODE}",  # never closed, but whole
        f"{_LIST}[CODE]:\n```python\n{_CODE}[DESCRIPTION]: early\n[LABEL]: cats",
        f"{_LIST}[CODE]:\n{_CODE}",
        f"{_LIST}[CODE]:\n" + "".join(f"   {line}\n" for line in _FENCED.splitlines()),
        f"{_LIST}[CODE]:\n```python\nimport numpy\n```\nThen:\n{_FENCED}",
        f"{_LIST}[CODE]:\n{_FENCED}It prints:\n```\nx\n```\n",
        f"{_LIST}[CODE]:\n{_FENCED}\nAgain, in full:\n{_FENCED}",
        f"<think>\n[CODE]:\n```python\nprint(0)\n```\n[LABEL]: cats\n</think>\n\n{_LIST}[CODE]:\n{_FENCED}",
        f"<think>Hm. [LABEL]: cats</think>{_LIST}[CODE]:\n{_FENCED}",
        f"Let me see.\n[LABEL]: cats\n</think>\n{_LIST}[CODE]:\n{_FENCED}",
        f"I see.</think>\n{_LIST}[CODE]:\n{_FENCED}",
        f"[THINK]no[/THINK]\n{_LIST}[CODE]:\n{_FENCED}",
        f"{_LIST}[CODE]:\n{_FENCED}".replace("\n", "\r\n"),
        f"\ufeff{_LIST}[CODE]:\n{_FENCED}",
        f"{_LIST}[CODE]:\n{_FENCED}\n[DESCRIPTION]: dogs\n[LABEL]: dogs\n",
    ],
)
def test_one_experiment_in_many_dresses(reply: str) -> None:
    parsed = parse_reply(reply)
    assert parsed.code == _CODE
    assert parsed.hypotheses == "Hypothesis_1: dogs"
    assert parsed.labels == []


def test_a_fence_inside_a_text_of_the_code_does_not_end_it() -> None:
    code = "def run_experiment(system, tools):\n    note = '''\n```\n[LABEL]: no\n```\n'''\n    print(note)\n"
    assert parse_reply(f"{_LIST}[CODE]:\n```python\n{code}```\n").code == code


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("[DESCRIPTION]: d\n[LABEL]: label: dogs", ["dogs"]),
        ("[DESCRIPTION]: d\n[LABEL]: Label 1: **dogs**", ["dogs"]),
        ("[DESCRIPTION]: d\n[LABEL]: [LABEL]: dogs", ["dogs"]),
        ("[DESCRIPTION]: d\n[LABEL]:\ndogs\n\nThis label says it all.", ["dogs"]),
        ("[DESCRIPTION]: d\n[LABEL 1]: dogs, [LABEL 2]: cats", ["dogs", "cats"]),
        ("[DESCRIPTION]: d\n## [LABEL_1]: dogs\n## [LABEL_2]: cats", ["dogs", "cats"]),
        ("```\n[DESCRIPTION]: d\n[LABEL]: dogs\n```", ["dogs"]),
        ("```\nMy answer (final)\n[DESCRIPTION]: d\n[LABEL]: dogs\n```\n", ["dogs"]),
        ("[CODE]: none\n[DESCRIPTION]: d\n[LABEL]: dogs", ["dogs"]),
        ("[CODE]:\n[DESCRIPTION]: d\n[LABEL]: dogs", ["dogs"]),
        ("<think>\n[LABEL]: cats\n</think>\n[DESCRIPTION]: d\n[LABEL]: dogs", ["dogs"]),
        ("[DESCRIPTION]: d\r\n[LABEL]: dogs\r\n", ["dogs"]),
        ("[DESCRIPTION]: d\n[LABEL]: labelled dogs", ["labelled dogs"]),
        ("[DESCRIPTION]: d\n[LABEL]: label:", ["label"]),
        ("[DESCRIPTION]: d\n[LABEL]: " + "x" * 900, ["x" * 300]),
    ],
)
def test_one_conclusion_in_many_dresses(reply: str, labels: list[str]) -> None:
    parsed = parse_reply(reply)
    assert (parsed.code, parsed.labels, parsed.description) == (None, labels, "d")


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("<think>\nWell, [LABEL]: dogs", "done thinking"),
        ("<think>\n[LABEL]: cats\n</think>\nDone.", "neither a [CODE]"),
        (f"[CODE]:\n```python\n{_CODE}    tools.display(", "not closed"),
        ("[CODE]:\n" + _FENCED + _FENCED.replace("('x')", "('y')"), "several blocks"),
        ("[CODE]:\n```python\n```python\n", "empty"),
    ],
)
def test_what_cannot_be_meant_is_told(reply: str, told: str) -> None:
    with pytest.raises(ExperimentError, match=re.escape(told)):
        parse_reply(reply)


@pytest.mark.parametrize(
    "text", ["[LABEL]: <a few words>", "[DESCRIPTION]: d\n[LABEL]: **<a few words>** (or more)", "[LABEL 1]: <one>\n"]
)
def test_the_form_copied_is_no_label(text: str) -> None:
    with pytest.raises(ExperimentError, match="repeats the form"):
        parse_reply(text)


@pytest.mark.parametrize("label", ["**", "_", "``"])
def test_a_label_without_a_word_is_empty(label: str) -> None:
    with pytest.raises(ExperimentError, match="empty"):
        parse_reply(f"[DESCRIPTION]: d\n[LABEL]: {label}\n")


def test_a_label_that_only_holds_such_signs_is_one() -> None:
    assert parse_reply("[LABEL]: A<B and dogs>cats").labels == ["A<B and dogs>cats"]
