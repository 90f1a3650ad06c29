"""Answers that follow a grammar: what may come next is masked in the logits, row by row, by xgrammar."""

from collections.abc import Sequence
from typing import Any

import torch

from .chat import RequestFailed

CACHE = 512 * 2**20
"""Bytes of compiled grammars that are kept."""


class Grammars:
    """Compiled grammars of a tokenizer, each compiled once."""

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int], threads: int = 1) -> None:
        """vocabulary: width of the model's logits, which may be more than the tokenizer's tokens. ends: tokens of which
        any ends an answer. threads: that compile one grammar."""
        import xgrammar

        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary, stop_token_ids=list(ends))
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=threads, cache_limit_bytes=CACHE)
        self.vocabulary = vocabulary

    def matcher(self, grammar: str) -> Any:
        """An xgrammar.GrammarMatcher at the start of an answer. Raises RequestFailed for text that is no grammar."""
        import xgrammar

        try:
            return xgrammar.GrammarMatcher(self._compiler.compile_grammar(grammar))
        except (RuntimeError, ValueError) as problem:
            raise RequestFailed(f"the grammar cannot be compiled: {problem}") from problem


class GrammarMask:
    """A logits processor: -inf for every token with which a row's answer would leave the row's grammar.

    Rows without a grammar, and rows that have ended, are left as they are.
    """

    def __init__(self, matchers: Sequence[Any | None], limits: Sequence[int], prompt: int, vocabulary: int) -> None:
        """matchers: of each row, None where anything may come. limits: tokens after which a row ends. prompt: tokens
        of the padded prompts. vocabulary: width of the logits."""
        import xgrammar

        self._matchers = matchers
        self._limits = limits
        self._prompt = prompt
        self._mask = xgrammar.allocate_token_bitmask(len(matchers), vocabulary)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Masked scores [rows, vocabulary]."""
        import xgrammar

        step = input_ids.shape[1] - self._prompt
        last = input_ids[:, -1].tolist()
        masked = []
        for row, matcher in enumerate(self._matchers):
            if matcher is None or step >= self._limits[row] or matcher.is_terminated():
                continue
            if step and not matcher.accept_token(last[row]):
                raise RuntimeError(f"token {last[row]} was chosen although the grammar forbids it")
            if not matcher.is_terminated():
                # Called for its effect: it answers whether anything at all is forbidden.
                matcher.fill_next_token_bitmask(self._mask, row)
                masked.append(row)
        if masked:
            scores = scores.clone()
            xgrammar.apply_token_bitmask_inplace(scores, self._mask.to(scores.device), indices=masked)
        return scores
