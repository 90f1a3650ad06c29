"""Sentence embeddings: pooling against a reference, independence of the batch, and folders that are not usable."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from maia.models import text_embeddings
from maia.models.errors import UserError
from maia.models.text_embeddings import BATCH, INSTALL, TextEmbedder, default_folder, load_embedder
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, BertTokenizer

WORDS = ["a", "dog", "cat", "on", "the", "leash", "train", "red", "bridge", "sky"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights, large enough that texts differ."""
    path = tmp_path_factory.mktemp("encoder")
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=20,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(path)
    BertTokenizer(str(path / "vocab.txt")).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def embedder(folder: Path) -> TextEmbedder:
    return load_embedder(folder)


def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "encoder"))


def test_rows_are_unit_means_over_all_tokens(folder: Path, embedder: TextEmbedder) -> None:
    texts = ["a dog", "the cat on the leash", "sky"]
    model, tokenizer = BertModel.from_pretrained(folder).eval(), BertTokenizer.from_pretrained(folder)
    for text, row in zip(texts, embedder.embed(texts), strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        mean = states.mean(0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
        assert np.abs(row - states[0] / np.linalg.norm(states[0])).max() > 0.01, (
            "the first token alone is something else"
        )


def test_bits_depend_on_the_text_alone(embedder: TextEmbedder) -> None:
    texts = [f"{word} on the {other}" for word in WORDS for other in WORDS] + WORDS
    together = embedder.embed(texts)
    assert together.dtype == np.float32 and together.shape == (len(texts), 16) and len(texts) > 3 * BATCH
    for place in (0, 7, 55, 99, 104):
        np.testing.assert_array_equal(embedder.embed([texts[place]])[0], together[place])
    np.testing.assert_array_equal(embedder.embed(texts[::-1])[::-1], together)
    assert embedder.embed([]).shape == (0, 16)


def test_similarity_is_the_cosine(embedder: TextEmbedder) -> None:
    a, b = ["dog", "red train", "dog"], ["dog", "sky", "cat"]
    rows, others = embedder.embed(a), embedder.embed(b)
    np.testing.assert_allclose(embedder.similarity(a, b), (rows * others).sum(1), atol=1e-6)
    assert embedder.similarity(a, b)[0] == pytest.approx(1.0) and embedder.similarity(a, b)[1] < 0.999
    with pytest.raises(ValueError, match="3 texts cannot be compared with 1"):
        embedder.similarity(a, b[:1])


def test_long_texts_are_cut_and_counted(folder: Path, tmp_path: Path) -> None:
    path = copy(folder, tmp_path)
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    embedder = load_embedder(path)
    assert embedder.max_tokens == 6
    exact, longer = embedder.embed(["a dog on leash", "a dog on leash the sky"])
    assert embedder.truncated == 1, "the one that just fits is whole"
    np.testing.assert_array_equal(exact, longer)


def test_the_fingerprint_tells_weights_and_limit(folder: Path, embedder: TextEmbedder, tmp_path: Path) -> None:
    path = copy(folder, tmp_path)
    assert load_embedder(path).fingerprint == embedder.fingerprint
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    shorter = load_embedder(path).fingerprint
    weights = load_file(path / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"] += 1
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    assert len({embedder.fingerprint, shorter, load_embedder(path).fingerprint}) == 3


def test_folders_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no sentence encoder"):
        load_embedder(tmp_path)
    path = copy(folder, tmp_path)
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    with pytest.raises(UserError, match="pools by cls_token"):
        load_embedder(path)
    (path / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        load_embedder(path)
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 21}')
    with pytest.raises(UserError, match="from 3 to 20"):
        load_embedder(path)
    (path / "sentence_bert_config.json").unlink()
    weights = load_file(path / "model.safetensors")
    without_pooler = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    save_file(without_pooler, path / "model.safetensors", {"format": "pt"})
    load_embedder(path)
    del without_pooler["encoder.layer.1.output.dense.weight"]
    save_file(without_pooler, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lack encoder\.layer\.1\.output\.dense\.weight"):
        load_embedder(path)
    (path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        load_embedder(path)


@pytest.mark.skipif(
    importlib.util.find_spec(text_embeddings.PACKAGE) is None, reason=f"the default model is not installed: {INSTALL}"
)
def test_the_default_model_gives_its_published_cosines() -> None:
    """As the documentation of sentence-transformers prints them (semantic textual similarity, all-MiniLM-L6-v2)."""
    sentences = {
        ("The new movie is awesome", "The new movie is so great"): 0.8939,
        ("The cat sits outside", "The dog plays in the garden"): 0.2838,
        ("A man is playing guitar", "A woman watches TV"): -0.0327,
    }
    found = load_embedder().similarity([one for one, _ in sentences], [other for _, other in sentences])
    np.testing.assert_allclose(found, list(sentences.values()), atol=1e-4)


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_embeddings, "PACKAGE", "no_such_package_of_embeddings")
    with pytest.raises(UserError) as told:
        default_folder()
    assert INSTALL in str(told.value)
