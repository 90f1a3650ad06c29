"""Replies that nobody meant: anything parses or is told, and soon."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.answers import LABEL_LIMIT
from maia.agent.api import methods_of
from maia.agent.code_check import check_code
from maia.agent.replies import parse_reply
from maia.models.errors import ExperimentError

_HEADINGS = ["HYPOTHESIS LIST", "CODE", "DESCRIPTION", "LABEL", "LABEL 1", "LABEL 2", "REASONING", "BIAS"]
_SPLICES = st.sampled_from(
    [
        *(f"[{name}]:" for name in _HEADINGS),
        *(f"\n**[{name}]:** " for name in _HEADINGS),
        *("\n### [code]\n", "\n> [Label]: ", "\n[ LABEL  2 ]:", "\n[LABEL_3]: x", "[", "]", ":", "**", "label: "),
        *("```", "\n```\n", "\n```python\n", "```py", "~~~\n", "````markdown\n", "\n    ```\n", "`"),
        *("def run_experiment(system, tools):\n    tools.display(1)\n", "    print('''\n```\n''')\n", "x = (", "'''"),
        *(
            "<think>",
            "\n<think>\n",
            "</think>",
            "\n</think>\n",
            "[THINK]",
            "[/THINK]",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            "    ",
        ),
        *("\0", "\ud800", "\udfff", "\ufeff", "\u2028", "\x85", "\x0c", "é", "日本", "🎉", "\u200b", "\u3000"),
    ]
)


@settings(max_examples=10_000)
@given(st.lists(st.one_of(_SPLICES, st.characters()), max_size=10).map("".join))
def test_any_reply_parses_or_is_told(text: str) -> None:
    try:
        parsed = parse_reply(text)
    except ExperimentError as error:
        assert str(error)
        return
    assert (parsed.code is None) != (not parsed.labels)
    assert parsed.code is None or (parsed.code.strip() and parsed.code.endswith("\n"))
    assert all(label.strip() and len(label) <= LABEL_LIMIT for label in parsed.labels)
    for part in (parsed.hypotheses, parsed.code or "", parsed.description, *parsed.labels):
        part.encode("utf-8")  # no half characters
        assert "\0" not in part and "\r" not in part


_ADVERSARIAL = {
    "spaces": (" ", "[LABEL]: x"),
    "stars": ("*", "x"),
    "prefixes": (" >*#_`", "["),
    "open brackets": ("[", ""),
    "headings": ("[LABEL]: ", ""),
    "heading lines": ("[LABEL]: x\n", ""),
    "half headings": ("[HYPOTHESIS \n", ""),
    "fences": ("```\n", ""),
    "opening fences": ("```python\n", ""),
    "fences with code": ("```python\nx = 1\n", ""),
    "broken code between fences": ("```\nx = (\n", ""),
    "fenced headings": ("```\nwords (\n[CODE]\n", ""),
    "blank lines in a fence": ("\n", "```"),
    "backticks": ("`", "\n"),
    "thinking": ("<think>", ""),
    "thoughts on one line": ("<think></think>", "x"),
    "thought lines": ("<think>\n</think>\n", ""),
    "closing tags": ("</think>", ""),
    "closing lines": ("x</think>\n", ""),
    "labels again": ("label:", ""),
    "several labels": ("a, [LABEL 2]: ", ""),
    "white space in a label": ("\t \u3000", "a"),
    "def": ("def run_experiment \n", ""),
    "async": ("async \t ", "def"),
}


@pytest.mark.parametrize("start", ["[CODE]:\n", "[DESCRIPTION]: d\n[LABEL]: "])
@pytest.mark.parametrize("name", _ADVERSARIAL)
def test_time_grows_no_faster_than_the_reply(name: str, start: str) -> None:
    piece, end = _ADVERSARIAL[name]

    def seconds(size: int, runs: int) -> float:
        text = start + piece * (size // len(piece)) + end
        best = float("inf")
        for _ in range(runs):
            began = time.process_time()
            with contextlib.suppress(ExperimentError):
                parse_reply(text)
            best = min(best, time.process_time() - began)
        return best

    small, large = seconds(20_000, 3), seconds(200_000, 1)
    # Ten times the text: ten times the time, a hundred times were it quadratic. The constant is for the clock's grain.
    assert large < 40 * small + 0.02, (small, large)


def test_code_of_a_reply_can_always_be_checked() -> None:
    parsed = parse_reply("[CODE]:\n```python\nprint('\0\ud800')\n```")
    assert parsed.code == "print('\ufffd')\n" and check_code(parsed.code, methods_of()) is None
