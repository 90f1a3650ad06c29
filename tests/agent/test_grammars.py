"""Grammars of replies: what they accept can be read, what the prompts ask for is accepted."""

import random

import numpy as np
import pytest
import xgrammar
from maia.agent.backbones.scripted import design, write
from maia.agent.backbones.scripted.evidence import Evidence
from maia.agent.backbones.scripted.hypotheses import Hypothesis, fit
from maia.agent.replies import parse_reply
from maia.agent.tasks import Ending, load_task
from maia.prompts.grammars import CODE_LINES, reply_grammar
from xgrammar.testing import _is_grammar_accept_string as accepts

TASK = "neuron-description"
_TEXT = Ending("REASONING", "text")
# By name: the endings of the built-in tasks, and of tasks that users may write.
ENDINGS = {
    TASK: load_task(TASK).endings,
    "spurious-feature": load_task("spurious-feature", {"classes": ["pug"], "surroundings": ["sea"]}).endings,
    "bias-identification": load_task("bias-identification", {"class_name": "pug"}).endings,
    "one text": (Ending("ANSWER", "text"),),
    "one choice": (Ending("FINAL VERDICT", "choice", ("NOT SURE", "NOT SURE AT ALL", "yes-1")),),
    "many": (_TEXT, Ending("CAVEATS", "text"), Ending("CONCEPT", "labels")),
}
_CASES = [(task, final) for task in ENDINGS for final in (False, True)]

# Pieces that a walk may take beside the 256 bytes: they make it reach the ends of rules.
_PIECES = [
    *("[HYPOTHESIS LIST]:\n", "Hypothesis_1: ", "[CODE]:\n```python\n", "def run_experiment(system, tools):\n    x"),
    *("```", "```\n", "[DESCRIPTION]: a", "[REASONING]: a", "[LABEL]: b", "[LABEL 1]: ", "\n[LABEL 2]: ", "[BIAS]: b"),
    *(
        "SPURIOUS",
        *("[ANSWER]: a", "[FINAL VERDICT]: ", "NOT SURE", " AT ALL", "yes-1", "[CAVEATS]: a", "[CONCEPT]: b"),
        *("[CONCEPT 1]: ", "\n[CONCEPT 2]: ", "[label]"),
        "SELECTIVE",
        " word",
        "é",
        "日本",
        "🎉",
        "\n",
        "\n\n",
        "\n    y",
        "\n        [LABEL]: z",
        "\u3000",
        "<think>",
    ),
    *("</think>", "'''", "label: ", "[CODE]", "~~~", ":", "'", "\u200b", "\x85", "\u2028", "[LABEL]"),
]
_VOCABULARY = list(dict.fromkeys([*(bytes([byte]) for byte in range(256)), *(p.encode() for p in _PIECES), b"</s>"]))
_STOP = len(_VOCABULARY) - 1


def _compile(task: str, final: bool) -> xgrammar.CompiledGrammar:
    info = xgrammar.TokenizerInfo(
        _VOCABULARY, vocab_type=xgrammar.VocabType.RAW, vocab_size=len(_VOCABULARY), stop_token_ids=[_STOP]
    )
    return xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False).compile_grammar(
        reply_grammar(ENDINGS[task], final)
    )


def _walk(compiled: xgrammar.CompiledGrammar, rng: random.Random) -> str:
    """A random text of the grammar: pieces more often than bytes, towards the end what ends it."""
    matcher = xgrammar.GrammarMatcher(compiled)
    mask = xgrammar.allocate_token_bitmask(1, len(_VOCABULARY))
    out = b""
    patience = rng.choice([5, 20, 60])
    for step in range(2000):
        matcher.fill_next_token_bitmask(mask)
        allowed = np.unpackbits(mask.numpy().view(np.uint8).ravel(), bitorder="little").nonzero()[0]
        allowed = allowed[allowed < len(_VOCABULARY)].tolist()
        pieces = [token for token in allowed if token >= 256]
        closing = [token for token in pieces if _VOCABULARY[token].startswith((b"[", b"```", b"\n", b"</s", b"S"))]
        if step > patience and closing:
            token = rng.choice(closing)
        else:
            token = rng.choice(pieces) if pieces and rng.random() < 0.7 else rng.choice(allowed)
        assert matcher.accept_token(token)
        if token == _STOP:
            return out.decode("utf-8", "replace")
        out += _VOCABULARY[token]
    raise AssertionError(f"no end: {out[-200:]!r}")


@pytest.mark.parametrize(("task", "final"), _CASES)
def test_whatever_is_accepted_can_be_read(task: str, final: bool) -> None:
    compiled, rng = _compile(task, final), random.Random(11)
    kinds = set()
    for _ in range(1200 // len(_CASES) + 1):
        text = _walk(compiled, rng)
        parsed = parse_reply(text, ENDINGS[task])
        kinds.add(parsed.code is not None)
        if parsed.code is None:
            *before, answer = ENDINGS[task]
            assert all(parsed.labels) and parsed.labels and bool(parsed.description) == bool(before), text
            assert not answer.choices or parsed.labels[0] in answer.choices
            assert answer.kind == "labels" or len(parsed.labels) == 1
        else:
            assert not final
            assert parsed.code.startswith("def run_experiment(system, tools):\n"), text
            assert parsed.hypotheses.startswith("Hypothesis_"), text
            body = text.partition("[CODE]:\n```python\n")[2].rstrip("\n").removesuffix("```")
            assert parsed.code == body.rstrip() + "\n", text
    assert kinds == ({False} if final else {True, False})


def _scripted_replies() -> list[str]:
    designer, fitted = design.Designer(3), fit(Evidence())
    codes = [
        write.exemplar_code(),
        write.image_code("screen", design.screen(designer)),
        write.image_code("focus", design.focus(designer, ["dog", "red", "snow", "cat", "car", "blue"])),
        write.image_code("discriminate-1", design.discriminate(designer, fitted)),
        write.edit_code("edit-1", design.edits(designer, Hypothesis("given", "dog", "snow"))),
    ]
    lists = [write.hypothesis_list(None), write.hypothesis_list(fitted)]
    return [write.experiment_reply(lists[i > 0], "I look at 'dog OR cat' next.", code) for i, code in enumerate(codes)]


def test_the_scripted_backbone_writes_what_is_accepted() -> None:
    grammar = reply_grammar(ENDINGS[TASK], final=False)
    for reply in _scripted_replies():
        assert accepts(grammar, reply), reply
        assert not accepts(reply_grammar(ENDINGS[TASK], final=True), reply)
    for hypothesis in (
        Hypothesis("single", "dog"),
        Hypothesis("or", "dog", "snow"),
        Hypothesis("given", "dog", "snow"),
    ):
        reply = write.conclusion_reply(write.hypothesis_list(fit(Evidence())), "The unit responds to dogs.", hypothesis)
        assert accepts(grammar, reply)


_CODE = "[CODE]:\n```python\ndef run_experiment(system, tools):\n    print(1)\n```"
_LIST = "[HYPOTHESIS LIST]:\nHypothesis_1: é 日本 🎉\n"


@pytest.mark.parametrize(
    ("task", "text", "wanted"),
    [
        (TASK, _LIST + _CODE, True),
        (TASK, "I think first – 日本.\n\nThen I act.\n" + _LIST + _CODE + "\n", True),
        (TASK, _CODE, False),
        (TASK, _LIST + _CODE + "\nand more", False),
        (TASK, _LIST + _CODE.replace("    print", "print"), False),
        (TASK, _LIST + _CODE.replace("    print(1)", "    x = '''\n```\n'''"), False),
        (TASK, _LIST + _CODE.replace("    print(1)", "    if x:\n\n        y = 1\n\n    print(y, '日本')"), True),
        (TASK, _LIST + _CODE.replace("    print(1)\n", "    print(1)\n" * (CODE_LINES + 1)), False),
        (TASK, "[DESCRIPTION]: fires\n[LABEL]: dogs", True),
        (TASK, "[DESCRIPTION]: fires\n[LABEL]: " + "dog " * 20 + "s", False),
        (TASK, "[DESCRIPTION]: fires\n[LABEL 1]: dogs\n[LABEL 2]: red 日本\n", True),
        (TASK, "[DESCRIPTION]: fires\n", False),
        (TASK, "[LABEL]: dogs", False),
        ("spurious-feature", "[REASONING]: beach\n[LABEL]: SPURIOUS", True),
        ("spurious-feature", "[REASONING]: beach\n[LABEL]: dogs", False),
        ("bias-identification", "[DESCRIPTION]: means\n[BIAS]: low for dogs on snow, 0.2 against 0.9", True),
        ("bias-identification", "[DESCRIPTION]: means\n[LABEL]: snow", False),
        ("one text", "[ANSWER]: first line\nsecond line\n", True),
        ("one choice", "[FINAL VERDICT]: NOT SURE AT ALL", True),
        ("one choice", "[FINAL VERDICT]: SURE", False),
        ("many", "[REASONING]: a\n[CAVEATS]: none\n[CONCEPT 1]: dogs\n[CONCEPT 2]: cats", True),
        ("many", "[CAVEATS]: none\n[CONCEPT]: dogs", False),
    ],
)
def test_what_is_accepted(task: str, text: str, wanted: bool) -> None:
    assert accepts(reply_grammar(ENDINGS[task], final=False), text) is wanted
