"""Which concepts a detector is asked for in which pictures, by the pictures' captions.

A detector costs the same whether it finds anything or not, and most concepts are in few pictures. A caption filter asks
for a concept only where the caption hints at it. That is cheaper and loses what captions do not mention:
`benchmarks/quality/caption_recall.py` measures how much. A picture without a caption is asked for every concept.

    off        every concept in every picture: nothing is lost
    keyword    the concept's words stand in the caption (`caption_words`), or one of the synonyms that the user gave
    embedding  the cosine of the sentence embeddings of caption and concept reaches a threshold
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..models.errors import UserError
from .caption_words import Phrases, related, words_of
from .readers.entries import CAPTION_BATCH, Dataset

MODES = ("off", "keyword", "embedding")
THRESHOLD = 0.25
"""Cosine from which a caption hints at a concept, where the user gives none."""
BLOCK = 256
"""Captions of one call of the embedding model."""
_KEPT_BLOCKS = 4
_RULES = 1
"""Changes with the rules by which words are compared."""

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to float32 [n, d], finite; of any length, since cosines are taken."""


@dataclass
class Tally:
    """What a filter was asked in this process. lacking: images without a usable caption; None: they are not read."""

    images: int = 0
    pairs: int = 0
    asked: int = 0
    lacking: int | None = 0

    def add(self, asked: np.ndarray, lacking: int | None) -> None:
        """asked: bool [n, concepts]. lacking: how many of the n images have no usable caption."""
        self.images += len(asked)
        self.pairs += asked.size
        self.asked += int(asked.sum())
        self.lacking = None if self.lacking is None or lacking is None else self.lacking + lacking

    def sentence(self) -> str:
        """For people: how many pairs were asked, and of how many images the caption is missing."""
        share = self.asked / self.pairs if self.pairs else 0.0
        text = f"{self.asked} of {self.pairs} pairs of image and concept asked ({share:.1%})"
        if self.lacking is None:
            return text
        return f"{text}; {self.lacking} of {self.images} images without a caption, asked for every concept"


class CaptionFilter(Protocol):
    """Decides which (image, concept) pairs are asked. An answer depends on the image's caption and that concept alone,
    never on the order, nor on what else is asked: how conditions combine pairs is for the caller.

    fingerprint: 64 hex digits of mode, rules and options; not of the captions. tally: what was asked so far.
    """

    @property
    def fingerprint(self) -> str: ...
    @property
    def tally(self) -> Tally: ...

    def asked(self, ordinals: Sequence[int], concepts: Sequence[str]) -> np.ndarray:
        """bool [n, concepts]: whether each concept is to be asked for in each image. Raises UserError for a concept
        without a word."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain facts for manifests and reports, the same in every process: mode, threshold, model, synonyms, and
        what happens to images without a caption."""
        ...


def caption_filter(
    mode: str,
    dataset: Dataset,
    concepts: Sequence[str],
    *,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    embed: Embed | None = None,
    model: str | None = None,
    threshold: float | None = None,
) -> CaptionFilter:
    """The filter of a mode, with all that can be wrong found before the pass.

    concepts: all that will be asked. synonyms (keyword only): further words for a concept, {dog: [puppy, retriever]};
    those of concepts that are not asked do nothing. embed, model (embedding only): the model, and its name with
    whatever its answers depend on. threshold (embedding only): least cosine, -1 to 1; None: THRESHOLD.
    Raises UserError: a mode that there is not, an option of another mode, a concept without a word, or a dataset in
    which no entry has a caption.
    """
    if mode not in MODES:
        raise UserError(f"there is no caption filter {mode!r}: choose from {', '.join(MODES)}.")
    _check_options(mode, synonyms is not None, embed is not None or model is not None, threshold is not None)
    for concept in concepts:
        _concept_words(concept)
    if mode == "off":
        return AskAll()
    if not _any_caption(dataset):
        raise UserError(
            f"the caption filter {mode} needs captions, and none of the {len(dataset)} entries of {dataset.name} has a "
            f"usable one ({_PLACES.get(dataset.kind, 'its format has none')}): add them, or choose the caption filter "
            "off, which asks for every concept in every image."
        )
    if mode == "keyword":
        return KeywordFilter(dataset, synonyms or {})
    if embed is None or model is None:
        raise UserError(
            "the caption filter embedding needs a model of sentence embeddings: name one, or choose the caption filter "
            "keyword."
        )
    return EmbeddingFilter(dataset, embed, model, THRESHOLD if threshold is None else threshold)


_PLACES = {
    "tar": 'looked for KEY.txt and for "caption" in KEY.json beside KEY.jpg in the shards',
    "folder": 'looked for NAME.txt and for "caption" in NAME.json beside each picture',
    "parquet": "looked for a column of texts named caption, text or TEXT",
}


def _check_options(mode: str, synonyms: bool, model: bool, threshold: bool) -> None:
    given = {
        "synonyms": (synonyms, "keyword"),
        "a model": (model, "embedding"),
        "a threshold": (threshold, "embedding"),
    }
    for what, (there, wanted) in given.items():
        if there and mode != wanted:
            raise UserError(
                f"{what} means nothing to the caption filter {mode}: leave it out, or choose the filter {wanted}."
            )


def _any_caption(dataset: Dataset) -> bool:
    """Looks until one is found."""
    starts = range(0, len(dataset), CAPTION_BATCH)
    first = range(min(len(dataset), BLOCK))  # nearly always enough
    return any(
        any(text is not None for text in dataset.captions(ordinals))
        for ordinals in (first, *(range(start, min(start + CAPTION_BATCH, len(dataset))) for start in starts))
    )


def _concept_words(concept: str) -> tuple[str, ...]:
    words = tuple(words_of(concept))
    if not words:
        raise UserError(
            f"the concept {concept!r} holds no word: name something that a caption can mention, such as dog."
        )
    return words


def _fingerprint(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class AskAll:
    """The filter "off": every concept is asked for in every image. Reads no caption."""

    def __init__(self) -> None:
        self.tally = Tally(lacking=None)
        self.fingerprint = _fingerprint({"mode": "off"})

    def asked(self, ordinals: Sequence[int], concepts: Sequence[str]) -> np.ndarray:
        for concept in concepts:
            _concept_words(concept)
        result = np.ones((len(ordinals), len(concepts)), bool)
        self.tally.add(result, None)
        return result

    def describe(self) -> dict[str, Any]:
        return {"mode": "off"}


class KeywordFilter:
    """The filter "keyword": a concept's words stand in the caption, whole, side by side, in any case and inflection.

    Compares as English is written: captions of scripts without blanks between words hardly ever match.
    """

    def __init__(self, dataset: Dataset, synonyms: Mapping[str, Sequence[str]]) -> None:
        """Raises UserError for synonyms without a word."""
        self._dataset = dataset
        self._synonyms = [
            (_concept_words(concept), [_concept_words(word) for word in words]) for concept, words in synonyms.items()
        ]
        self._facts = {
            "mode": "keyword",
            "synonyms": {concept: sorted(set(words)) for concept, words in sorted(synonyms.items())},
            "without_caption": "asked",
        }
        self._phrases: dict[tuple[str, ...], Phrases] = {}
        self.fingerprint = _fingerprint({**self._facts, "rules": _RULES})
        self.tally = Tally()

    def asked(self, ordinals: Sequence[int], concepts: Sequence[str]) -> np.ndarray:
        key = tuple(concepts)
        if key not in self._phrases:
            self._phrases[key] = Phrases([self._of(concept) for concept in concepts])
        captions = self._dataset.captions(ordinals)
        result = np.zeros((len(captions), len(concepts)), bool)
        for row, text in zip(result, captions, strict=True):
            row[slice(None) if text is None else list(self._phrases[key].within(words_of(text)))] = True
        self.tally.add(result, captions.count(None))
        return result

    def describe(self) -> dict[str, Any]:
        return dict(self._facts)

    def _of(self, concept: str) -> list[tuple[str, ...]]:
        """What stands for a concept: its own words, and the synonyms of what is the same phrase ("dogs" has dog's)."""
        own = _concept_words(concept)
        more = [phrases for name, phrases in self._synonyms if len(name) == len(own) and all(map(related, name, own))]
        return [own, *(phrase for phrases in more for phrase in phrases)]


@dataclass
class EmbeddingFilter:
    """The filter "embedding": cosine of the embeddings of caption and concept, at least `threshold`.

    A model's last bits may depend on what else is in its batch. So that a pair's answer does not, captions are embedded
    in blocks of BLOCK neighbours of the dataset, whole ones whoever asks for a part, and concepts one by one: rising
    order is quick, any other costs up to BLOCK times as much. An embedding of length 0 says nothing: all is asked.
    """

    dataset: Dataset
    embed: Embed
    model: str
    threshold: float
    tally: Tally = field(default_factory=Tally)
    _blocks: OrderedDict[int, tuple[list[str | None], np.ndarray]] = field(default_factory=OrderedDict, init=False)
    _concepts: dict[str, np.ndarray] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Raises UserError for a threshold that no cosine can have."""
        if not -1.0 <= self.threshold <= 1.0:
            raise UserError(
                f"the caption filter's threshold {self.threshold} is no cosine: give a number from -1 to 1."
            )

    @property
    def fingerprint(self) -> str:
        return _fingerprint({**self.describe(), "block": BLOCK})

    def describe(self) -> dict[str, Any]:
        return {
            "mode": "embedding",
            "model": self.model,
            "threshold": float(self.threshold),
            "without_caption": "asked",
        }

    def asked(self, ordinals: Sequence[int], concepts: Sequence[str]) -> np.ndarray:
        captions, cosines = self._cosines(ordinals, concepts)
        result = ~(cosines < self.threshold)  # NaN, where there is no caption or embedding, is asked
        self.tally.add(result, captions.count(None))
        return result

    def cosines(self, ordinals: Sequence[int], concepts: Sequence[str]) -> np.ndarray:
        """float64 [n, concepts]: what the threshold is compared with; NaN where there is no caption."""
        return self._cosines(ordinals, concepts)[1]

    def _cosines(self, ordinals: Sequence[int], concepts: Sequence[str]) -> tuple[list[str | None], np.ndarray]:
        directions = [self._concept(concept) for concept in concepts]
        captions: list[str | None] = []
        rows: list[np.ndarray] = []
        for i in ordinals:
            texts, embeddings = self._block(i // BLOCK)
            captions.append(texts[i % BLOCK])
            rows.append(embeddings[i % BLOCK])
        result = np.empty((len(rows), len(directions)))
        if result.size:
            matrix = np.stack([np.broadcast_to(row, directions[0].shape) for row in rows])
            for column, direction in enumerate(directions):
                # Sums along rows, not a matrix product, whose last bits would depend on its shape.
                result[:, column] = (matrix * direction).sum(1)
        return captions, result

    def _block(self, number: int) -> tuple[list[str | None], np.ndarray]:
        """Captions of a block, and their directions, float64 [n, d]; NaN for those that are None."""
        if number not in self._blocks:
            texts = self.dataset.captions(range(number * BLOCK, min((number + 1) * BLOCK, len(self.dataset))))
            there = [text for text in texts if text is not None]
            embeddings = np.full((len(texts), 1), np.nan)
            if there:
                directions = self._directions(there)
                embeddings = np.full((len(texts), directions.shape[1]), np.nan)
                embeddings[[text is not None for text in texts]] = directions
            self._blocks[number] = (texts, embeddings)
            if len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _concept(self, concept: str) -> np.ndarray:
        if concept not in self._concepts:
            _concept_words(concept)
            self._concepts[concept] = self._directions([concept])[0]
        return self._concepts[concept]

    def _directions(self, texts: Sequence[str]) -> np.ndarray:
        """float64 [n, d] of length 1; NaN for an embedding of length 0."""
        found = np.asarray(self.embed(texts), np.float64)
        if found.ndim != 2 or len(found) != len(texts) or not np.isfinite(found).all():
            raise ValueError(f"{self.model} gave {found.shape} for {len(texts)} texts, or numbers that are not finite")
        lengths = np.sqrt((found * found).sum(1, keepdims=True))
        return found / np.where(lengths == 0, np.nan, lengths)


def load_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Further words for concepts, from a YAML file such as {dog: [puppy, retriever], car window: [windscreen]}.

    Raises UserError for a file that is missing or not of this form.
    """
    import yaml

    form = "write concepts with lists of words, such as dog: [puppy, retriever] (quote yes, no, on, off)."
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the synonyms {path} cannot be read ({error.strerror}): {form}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML ({' '.join(str(error).split())}): {form}") from None
    if not isinstance(data, dict) or not data:
        raise UserError(f"{path} holds no synonyms: {form}")
    for concept, words in data.items():
        strings = isinstance(words, list) and words and all(isinstance(word, str) for word in words)
        if not isinstance(concept, str) or not strings or not all(map(words_of, (concept, *words))):
            raise UserError(f"{path}: {concept!r} has no list of words: {form}")
    return {concept: tuple(words) for concept, words in data.items()}
