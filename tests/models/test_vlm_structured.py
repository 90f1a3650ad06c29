"""Answers held to grammars: every text that random weights write matches, whatever grammars share a batch."""

import re

import pytest
from maia.models.vlm.chat import ChatMessage, ChatReply, ChatRequest, RequestFailed, Sampling
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from tiny_vlm import tiny_checkpoint

GRAMMARS = {
    'root ::= "[TRY] " ("dog" | "cat" | "Straße") " = " [0-9]{1,3} "\\n"': r"\[TRY\] (dog|cat|Straße) = \d{1,3}\n",
    'root ::= "(" inner ")"\ninner ::= "" | "[" [a-z ]{0,6} "]"': r"\((\[[a-z ]{0,6}\])?\)",
    'root ::= line{1,3}\nline ::= "- " [^\\n]{1,5} "\\n"': r"(- [^\n]{1,5}\n){1,3}",
    'root ::= ("<" [a-f]{2} ">"){2}': r"(<[a-f]{2}>){2}",
}
"""Each with the regular expression of its texts; none takes more than 40 tokens."""
HOT = Sampling(temperature=1.5, top_p=1.0, max_tokens=64)
LONG = "root ::= [a-z]{90,99}"


@pytest.fixture(scope="module")
def model() -> InProcessModel:
    return InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32")


def asked(seed: int, grammar: str | None, sampling: Sampling = HOT) -> ChatRequest:
    return ChatRequest((ChatMessage("user", ("Go on " * (seed % 3 + 1),)),), seed, sampling, grammar)


def test_every_reply_matches_its_grammar(model):
    texts: dict[str, set[str]] = {grammar: set() for grammar in GRAMMARS}
    count = 1000
    grammars = list(GRAMMARS)
    wanted = [asked(seed, grammars[seed % len(grammars)]) for seed in range(count)]
    for start in range(0, count, 100):
        batch = wanted[start : start + 100]
        for request, reply in zip(batch, model.generate(batch), strict=True):
            assert isinstance(reply, ChatReply) and reply.finish == "stop"
            # xgrammar takes the bytes of half a surrogate pair for a character; read as UTF-8 they are three.
            text = reply.text.replace("\ufffd" * 3, "\ufffd")
            assert re.fullmatch(GRAMMARS[request.grammar], text), (request.grammar, reply.text)
            texts[request.grammar].add(reply.text)
    # They were drawn, not recited.
    assert all(len(found) > 20 for found in texts.values()), {text: len(found) for text, found in texts.items()}


def test_rows_with_and_without_grammars_share_a_batch(model):
    free = [asked(seed, None) for seed in range(3)]
    alone = [model.generate([request])[0] for request in free]
    held = [asked(seed, grammar) for seed, grammar in enumerate(GRAMMARS)]
    cut = asked(5, LONG, Sampling(1.5, 1.0, 3))
    first, second, third, *others = model.generate([free[0], cut, *free[1:], *held])
    assert [first, third, others[0]] == alone
    assert second.finish == "length" and second.answer_tokens == 3 and re.fullmatch("[a-z]+", second.text)
    for reply, pattern in zip(others[1:], GRAMMARS.values(), strict=True):
        assert re.fullmatch(pattern, reply.text)
    # What is not held to a grammar leaves it at once.
    assert not any(re.fullmatch(pattern, reply.text) for reply in alone for pattern in GRAMMARS.values())


def test_the_same_request_gives_the_same_text_in_any_company(model):
    wanted = [asked(seed, list(GRAMMARS)[seed % 4]) for seed in range(8)]
    alone = [model.generate([request])[0] for request in wanted]
    assert model.generate(wanted) == alone
    assert model.generate(wanted[::-1]) == alone[::-1]


def test_a_grammar_is_compiled_once(model):
    grammar = 'root ::= "once" [0-9]{1,4}'
    first = model._matcher(grammar)
    size = model._grammars._compiler.get_cache_size_bytes()
    second = model._matcher(grammar)
    assert model._grammars._compiler.get_cache_size_bytes() == size > 0
    # Matchers of one grammar have states of their own.
    assert first.accept_string("on") and second.accept_string("once1") and first.accept_string("ce")


def test_logits_that_go_beyond_the_tokenizer_are_masked(tmp_path):
    """Models round their vocabulary up: no token may be chosen there that the tokenizer does not have."""
    wide = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32")
    known = len(wide._processor.tokenizer)
    wide.module.resize_token_embeddings(known + 70)
    with_bias = wide.module.get_output_embeddings()
    with_bias.weight.data[known:] = with_bias.weight.data[:70] * 3
    wide._vocabulary = known + 70
    grammar = list(GRAMMARS)[2]
    for reply in wide.generate([asked(seed, grammar) for seed in range(20)]):
        assert isinstance(reply, ChatReply) and re.fullmatch(GRAMMARS[grammar], reply.text)


@pytest.mark.parametrize("grammar", ["", "root ::=", "a ::= b", 'root ::= "open', "root ::= [z-a]"])
def test_what_is_no_grammar_costs_its_request(model, grammar):
    bad, good = model.generate([asked(1, grammar), asked(1, next(iter(GRAMMARS)))])
    assert isinstance(bad, RequestFailed) and "grammar" in str(bad)
    assert isinstance(good, ChatReply)
