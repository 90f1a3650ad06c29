"""Choosing tokens in a batch so that a row's answer does not depend on the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .chat import Sampling


@dataclass(frozen=True)
class Row:
    """A request's place in a batch. limit: tokens that its answer may have; seed: of its random numbers."""

    sampling: Sampling
    seed: int
    limit: int


def uniforms(seed: int, count: int) -> torch.Tensor:
    """`count` numbers in [0, 1), float64, always the same for a seed: a row draws its k-th token with the k-th."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distribution(scores: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Probabilities from which tokens are drawn, float64 [rows, vocabulary].

    scores: logits [rows, vocabulary], -inf for what must not be drawn. temperature: > 0, [rows]. top_p: in (0, 1],
    [rows]; of a row only the fewest most likely tokens are kept whose probabilities sum to it (nucleus sampling,
    Holtzman et al. 2020, "The curious case of neural text degeneration").
    """
    probabilities = torch.softmax(scores.double() / temperature[:, None], dim=-1)
    if bool((top_p < 1).any()):
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        # What precedes a token decides, so that the most likely one always stays.
        beyond = ordered.cumsum(dim=-1) - ordered >= top_p[:, None]
        beyond &= (top_p < 1)[:, None]
        dropped = torch.zeros_like(beyond).scatter(-1, order, beyond)
        probabilities = probabilities.masked_fill(dropped, 0.0)
        probabilities /= probabilities.sum(dim=-1, keepdim=True)
    return probabilities


def draw(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Tokens [rows] by inversion: the first whose cumulative probability exceeds the row's number in [0, 1).

    In the vocabulary's order, not that of likelihood: rounding then moves the bounds between tokens by as little as
    itself, where it would swap tokens that are nearly as likely as each other.
    """
    cumulative = probabilities.cumsum(dim=-1)
    total = cumulative[:, -1:].contiguous()
    found = torch.searchsorted(cumulative, uniform[:, None] * total, right=True)
    # A number that rounding brought to the total itself stands for the last token that has a probability.
    last = torch.searchsorted(cumulative, total, right=False)
    return torch.minimum(found, last).squeeze(1)


class RowSampling:
    """A logits processor that draws every row's next token from its own random numbers, for greedy decoding after it.

    Rows with temperature 0 keep their scores. A row without one finite score is given up: it ends, and stands in
    `dead`.
    """

    def __init__(self, rows: Sequence[Row], prompt: int, end: int, device: torch.device) -> None:
        """prompt: tokens of the padded prompts; end: a token that ends an answer."""
        self.dead: set[int] = set()
        self._prompt = prompt
        self._end = end
        self._sampled = [number for number, row in enumerate(rows) if row.sampling.temperature > 0]
        if self._sampled:
            drawn = [rows[number] for number in self._sampled]
            longest = max(row.limit for row in drawn)
            # Rows that end earlier are not asked any more: what stands there for them is never used.
            numbers = [
                torch.nn.functional.pad(uniforms(row.seed, row.limit), (0, longest - row.limit)) for row in drawn
            ]
            self._numbers = torch.stack(numbers).to(device)
            self._rows = torch.tensor(self._sampled, device=device)
            self._temperature = torch.tensor([row.sampling.temperature for row in drawn], dtype=torch.float64).to(
                device
            )
            self._top_p = torch.tensor([row.sampling.top_p for row in drawn], dtype=torch.float64).to(device)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [rows, vocabulary] in which the drawn token of a sampled row is the highest."""
        broken = ~torch.isfinite(scores.max(dim=-1).values)
        if bool(broken.any()):
            self.dead.update(broken.nonzero().flatten().tolist())
            scores = torch.where(
                broken[:, None], self._only(torch.full_like(scores[:, 0], self._end).long(), scores), scores
            )
        if not self._sampled:
            return scores
        step = min(input_ids.shape[1] - self._prompt, self._numbers.shape[1] - 1)
        tokens = draw(distribution(scores[self._rows], self._temperature, self._top_p), self._numbers[:, step])
        chosen = scores.clone()
        chosen[self._rows] = self._only(tokens, scores)
        return chosen

    @staticmethod
    def _only(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Scores that are -inf but for one token of each row."""
        blank = torch.full((len(tokens), like.shape[1]), float("-inf"), dtype=like.dtype, device=like.device)
        return blank.scatter(1, tokens[:, None], 0.0)


class RowLimits:
    """A stopping criterion: a row ends with as many tokens as its own limit allows."""

    def __init__(self, rows: Sequence[Row], prompt: int, device: torch.device) -> None:
        self._limits = torch.tensor([row.limit for row in rows], device=device)
        self._prompt = prompt

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether each row has ended, bool [rows]."""
        return input_ids.shape[1] - self._prompt >= self._limits
