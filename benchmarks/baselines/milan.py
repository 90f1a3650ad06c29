"""MILAN: a unit's exemplars with their masks are encoded, described by an LSTM with attention, and weighed by PMI.

Hernandez, Schwettmann, Bau, Bagashvili, Torralba, Andreas, "Natural Language Descriptions of Deep Visual Features",
ICLR 2022 (arXiv 2201.11114). A description d of the exemplars E is chosen by its pointwise mutual information with E,

    score(d) = log p(d | E) - weight * log p(d),

p(d | E) by a decoder as in Xu et al. 2015 (arXiv 1502.03044), p(d) by a language model of two LSTM layers.

The published weights could not be had where this was written, so that these modules never ran with them: what was
tested is the architecture with random weights. Modules are named after those of the authors' code
(evandez/neuron-descriptions, src/milan: encoders.py, decoders.py, lms.py; src/deps/netdissect/nethook.py), which was
read and not copied. The names of a state dict that follow from it:

    encoder.mean, encoder.std, encoder.encoder.model.*                   torchvision's classifier, whole
    init_h.0.*, init_c.0.*, embedding.weight, attend.query_to_hidden.*, attend.key_to_hidden.*, attend.output.0.*,
    feature_gate.0.*, lstm.{weight,bias}_{ih,hh}, output.1.*             decoder
    lm.embedding.weight, lm.lstm.*, lm.output.0.*                        language model

Token ids: the vocabulary's words, then <start>, <stop>, <pad>, <unk>.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

BEAM, LENGTH, WEIGHT = 50, 15, 0.2
"""Defaults of the authors' code: width of the beam, tokens of a description, weight of log p(d)."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SPECIALS = 4
_RESNET = ("conv1", "layer1", "layer2", "layer3", "layer4")

ENCODERS: dict[str, tuple[tuple[str, ...], int]] = {
    "resnet18": (_RESNET, 1024),
    "resnet50": (_RESNET, 3904),
    "resnet101": (_RESNET, 3904),
}
"""Classifiers of torchvision whose layers are read, and how many channels these have together. The published models
have resnet101."""


@dataclass(frozen=True)
class MilanShape:
    """Sizes of the modules; defaults are those of the authors' code. tokens: the vocabulary's words. attention: of the
    attention's hidden layer (None: the smaller one of hidden and the features). lm_layers: 0 without a language model,
    as some checkpoints are."""

    tokens: tuple[str, ...]
    encoder: str = "resnet101"
    embedding: int = 128
    hidden: int = 512
    attention: int | None = None
    lm_embedding: int = 128
    lm_hidden: int = 512
    lm_layers: int = 2

    @property
    def size(self) -> int:
        """Token ids that there are."""
        return len(self.tokens) + _SPECIALS

    @property
    def start(self) -> int:
        """The id that a description begins with."""
        return len(self.tokens)

    @property
    def stop(self) -> int:
        """The id that ends one."""
        return len(self.tokens) + 1


class _Wrapped(nn.Module):
    """Puts "model." before the names of a module's weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class PyramidEncoder(nn.Module):
    """A vector for each region of a picture: means of a classifier's maps over the mask, of several layers in a row."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, name: str) -> None:
        """name: of ENCODERS. Its weights are random; a state dict brings them."""
        from torchvision import models

        super().__init__()
        self.layers, self.features = ENCODERS[name]
        self.encoder = _Wrapped(getattr(models, name)(weights=None))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """float [B, features] from RGB 0..1 [B, 3, H, W] and masks 0..1 [B, 1, H, W].

        The pictures are seen whole; the mask, brought to each map's size (bilinear), weighs its positions, with weights
        that sum to 1. An empty mask gives zeros.
        """
        pooled = []
        for maps in self._maps((images - self.mean) / self.std):
            weights = functional.interpolate(masks, size=maps.shape[-2:], mode="bilinear", align_corners=False)
            total = weights.sum(dim=(-1, -2), keepdim=True)
            share = torch.where(total > 0, weights / total, torch.zeros_like(weights))
            pooled.append((maps * share).sum(dim=(-1, -2)))
        return torch.cat(pooled, dim=1)

    def _maps(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            return lambda module, given, output: found.__setitem__(name, output)

        hooks = [self.encoder.model.get_submodule(name).register_forward_hook(keep(name)) for name in self.layers]
        try:
            self.encoder.model(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return [found[name] for name in self.layers]


class Attention(nn.Module):
    """Additive attention: weights that sum to 1 over the exemplars."""

    def __init__(self, query: int, key: int, hidden: int) -> None:
        super().__init__()
        self.query_to_hidden = nn.Linear(query, hidden)
        self.key_to_hidden = nn.Linear(key, hidden)
        self.output = nn.Sequential(nn.Linear(hidden, 1), nn.Softmax(dim=1))

    def forward(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """float [B, n] from query [B, q] and keys [B, n, k]."""
        mixed = torch.tanh(self.query_to_hidden(query)[:, None] + self.key_to_hidden(keys))
        weights: torch.Tensor = self.output(mixed)[..., 0]
        return weights


class LanguageModel(nn.Module):
    """log p of a description whatever it describes."""

    def __init__(self, shape: MilanShape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.size, shape.lm_embedding, padding_idx=len(shape.tokens) + 2)
        self.lstm = nn.LSTM(shape.lm_embedding, shape.lm_hidden, shape.lm_layers, batch_first=True)
        self.output = nn.Sequential(nn.Linear(shape.lm_hidden, shape.size), nn.LogSoftmax(dim=-1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """log p of the next token after each: float [B, n, size] from int64 [B, n]."""
        following: torch.Tensor = self.output(self.lstm(self.embedding(tokens))[0])
        return following


State = tuple[torch.Tensor, torch.Tensor]
"""An LSTM cell's hidden and cell state, each [B, hidden]."""


class Milan(nn.Module):
    """Encoder, decoder and language model. In eval mode it is deterministic."""

    def __init__(self, shape: MilanShape) -> None:
        """Weights are random. Raises KeyError for an encoder that is not in ENCODERS."""
        super().__init__()
        self.shape = shape
        self.encoder = PyramidEncoder(shape.encoder)
        features, hidden = self.encoder.features, shape.hidden
        self.init_h = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.init_c = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.embedding = nn.Embedding(shape.size, shape.embedding)
        self.attend = Attention(hidden, features, shape.attention or min(hidden, features))
        self.feature_gate = nn.Sequential(nn.Linear(hidden, features), nn.Sigmoid())
        self.lstm = nn.LSTMCell(shape.embedding + features, hidden)
        self.output = nn.Sequential(nn.Dropout(), nn.Linear(hidden, shape.size), nn.LogSoftmax(dim=-1))
        self.lm = LanguageModel(shape) if shape.lm_layers else None
        self.eval()

    def encode(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """A unit's exemplars: float [n, features]; see `PyramidEncoder`."""
        encoded: torch.Tensor = self.encoder(images, masks)
        return encoded

    def begin(self, features: torch.Tensor) -> State:
        """The decoder's state before the first token, from features [B, n, features]."""
        pooled = features.mean(dim=1)
        return self.init_h(pooled), self.init_c(pooled)

    def step(self, features: torch.Tensor, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """log p of the next token given the exemplars, [B, size], and the next state. tokens: the last ones, int64
        [B]."""
        weights = self.attend(state[0], features)
        context = (weights[..., None] * features).sum(dim=1) * self.feature_gate(state[0])
        following = self.lstm(torch.cat([self.embedding(tokens), context], dim=1), state)
        return self.output(following[0]), following

    def prior(self, descriptions: Sequence[Sequence[int]]) -> torch.Tensor:
        """log p(d) by the language model: float [B]. A description is its token ids without <start>, with <stop> if it
        ended. Raises ValueError where there is no language model."""
        if self.lm is None:
            raise ValueError("this MILAN has no language model")
        longest = max(map(len, descriptions))
        pad = self.shape.stop + 1
        rows = torch.tensor([[self.shape.start, *own, *[pad] * (longest - len(own))] for own in descriptions])
        rows = rows.to(self.embedding.weight.device)
        chosen = self.lm(rows[:, :-1]).gather(2, rows[:, 1:, None])[..., 0]
        # By length: <pad> may also be a token that was chosen.
        lengths = torch.tensor([len(own) for own in descriptions], device=rows.device)
        past = torch.arange(longest, device=rows.device) >= lengths[:, None]
        return chosen.masked_fill(past, 0.0).sum(dim=1)


@dataclass(frozen=True)
class Candidate:
    """tokens: ids without <start>, with <stop> if the description ended. likelihood: log p(d | E). score: what was
    maximised."""

    tokens: tuple[int, ...]
    likelihood: float
    score: float


Strategy = Literal["rerank", "stepwise", "likelihood"]


@torch.no_grad()
def describe(
    milan: Milan,
    features: torch.Tensor,
    beam: int = BEAM,
    length: int = LENGTH,
    weight: float = WEIGHT,
    strategy: Strategy = "rerank",
) -> list[Candidate]:
    """Descriptions of one unit's exemplars, float [n, features], the best first; equal ones in the order of their ids.

    beam: candidates that are kept after each token. length: tokens at most, <stop> among them. strategy: "rerank", as
    published, searches by log p(d | E) and then orders the beam by the score with log p(d); "stepwise" searches by the
    score itself; "likelihood" does without log p(d). Raises ValueError for a beam or length below 1 and, unless
    the strategy is "likelihood", for a model without a language model.
    """
    if beam < 1 or length < 1:
        raise ValueError(f"beam {beam} and length {length} must be at least 1")
    if strategy != "likelihood" and milan.lm is None:
        raise ValueError("this MILAN has no language model: describe by likelihood")
    found = _search(milan, features, beam, length, weight if strategy == "stepwise" else 0.0)
    if strategy == "rerank":
        prior = milan.prior([one.tokens for one in found]).tolist()
        found = [
            Candidate(one.tokens, one.likelihood, one.likelihood - weight * lm)
            for one, lm in zip(found, prior, strict=True)
        ]
    return sorted(found, key=lambda one: (-one.score, one.tokens))


def _search(milan: Milan, features: torch.Tensor, beam: int, length: int, weight: float) -> list[Candidate]:
    """Beam search by log p(d | E) - weight log p(d). Descriptions that ended keep their place in the beam."""
    ended: list[Candidate] = []
    going = [Candidate((), 0.0, 0.0)]
    state = milan.begin(features[None])
    for _ in range(length):
        last = [one.tokens[-1] if one.tokens else milan.shape.start for one in going]
        tokens = torch.tensor(last, device=features.device)
        likelihood, state = milan.step(features.expand(len(going), -1, -1), tokens, state)
        gained = likelihood - weight * _prior_step(milan, going) if weight else likelihood
        totals = gained.double() + torch.tensor(
            [[one.score] for one in going], dtype=torch.float64, device=features.device
        )
        best = totals.flatten().topk(min(beam, totals.numel())).indices.tolist()
        grown: list[tuple[int, Candidate]] = []
        for place in best:
            row, token = divmod(place, milan.shape.size)
            total = going[row].likelihood + float(likelihood[row, token])
            grown.append((row, Candidate((*going[row].tokens, token), total, float(totals[row, token]))))
        kept = sorted([(-1, one) for one in ended] + grown, key=lambda pair: (-pair[1].score, pair[1].tokens))[:beam]
        ended = [one for _, one in kept if one.tokens[-1] == milan.shape.stop]
        rows = [(row, one) for row, one in kept if one.tokens[-1] != milan.shape.stop]
        going = [one for _, one in rows]
        if not going:
            break
        order = torch.tensor([row for row, _ in rows], device=features.device)
        state = (state[0][order], state[1][order])
    return ended + going


def _prior_step(milan: Milan, going: Sequence[Candidate]) -> torch.Tensor:
    """log p of each next token by the language model, [B, size]; the candidates are equally long."""
    assert milan.lm is not None
    rows = torch.tensor([[milan.shape.start, *one.tokens] for one in going], device=milan.embedding.weight.device)
    following: torch.Tensor = milan.lm(rows)[:, -1]
    return following


def wording(tokens: Sequence[int], shape: MilanShape) -> str:
    """A description's text: words up to <stop>, without the special tokens; no space before punctuation and at
    hyphens."""
    words: list[str] = []
    for token in tokens:
        if token == shape.stop:
            break
        if token < len(shape.tokens):
            words.append(shape.tokens[token])
    text = re.sub(r" ?- ?", "-", " ".join(words))
    return re.sub(r" +(?=[.,;:'])", "", text).strip()
