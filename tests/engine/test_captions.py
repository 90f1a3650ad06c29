"""Captions as the readers give them, and the filters that decide by them which concepts are asked for where."""

import io
import json
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine import captions
from maia.engine.caption_text import CAPTION_LIMIT, Captioned, caption_in_json, caption_in_text
from maia.engine.captions import MODES, Embed, EmbeddingFilter, caption_filter, load_synonyms
from maia.engine.dataset import Dataset, open_dataset
from maia.models.errors import UserError
from PIL import Image

PICTURE = io.BytesIO()
Image.new("RGB", (8, 8), (200, 30, 30)).save(PICTURE, "PNG")

SAMPLES: dict[str, tuple[dict[str, bytes], str | None]] = {
    "both": ({"txt": b"from the text\n", "json": b'{"caption": "from the json"}'}, "from the text"),
    "json-only": ({"json": '{"caption": " ein Fuß ", "url": "x"}'.encode()}, "ein Fuß"),
    "unicode": ({"txt": "犬と猫 – « naïve » 🐕".encode()}, "犬と猫 – « naïve » 🐕"),
    "marked": ({"txt": b"\xef\xbb\xbfwith a mark"}, "with a mark"),
    "missing": ({}, None),
    "empty": ({"txt": b""}, None),
    "blank": ({"txt": b" \n\t"}, None),
    "latin-1": ({"txt": "à la carte".encode("latin-1")}, None),
    "empty-text": ({"txt": b"", "json": b'{"caption": "of the json"}'}, "of the json"),
    "broken-json": ({"json": b'{"caption": "cut'}, None),
    "deep-json": ({"json": b"[" * 200_000}, None),
    "no-key": ({"json": b'{"url": "x"}'}, None),
    "no-dict": ({"json": b'["caption"]'}, None),
    "null": ({"json": b'{"caption": null}'}, None),
    "number": ({"json": b'{"caption": 3}'}, None),
    "half-character": ({"json": b'{"caption": "dog \\ud83d"}'}, None),
    "endless": ({"txt": b"x " * CAPTION_LIMIT}, None),
}
EXPECTED = {key: caption for key, (_, caption) in SAMPLES.items()}


def write_shard(path: Path, samples: dict[str, dict[str, bytes]]) -> Path:
    """A tar shard with a picture a sample, as webdataset writes it."""
    with tarfile.open(path, "w") as archive:
        for key, files in samples.items():
            for extension, data in ({"png": PICTURE.getvalue()} | files).items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def write_shards(folder: Path, count: int = 3) -> Path:
    """SAMPLES dealt to several shards, so that a shard holds some with captions and some without."""
    folder.mkdir()
    for shard in range(count):
        own = list(SAMPLES.items())[shard::count]
        write_shard(folder / f"{shard:05d}.tar", {key: files for key, (files, _) in own})
    return folder


def by_key(dataset: Dataset, found: list[str | None]) -> dict[str, str | None]:
    names = [dataset.key(i).rpartition("/")[2].removesuffix(".png") for i in range(len(dataset))]
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_what_counts_as_a_caption(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "data"
    if kind == "tar":
        write_shards(root)
    else:
        root.mkdir()
        for key, (files, _) in SAMPLES.items():
            for extension, data in ({"png": PICTURE.getvalue()} | files).items():
                (root / f"{key}.{extension}").write_bytes(data)
    for dataset in (open_dataset(root), open_dataset(root, cache=tmp_path / "pixels")):
        everything = range(len(dataset))
        assert by_key(dataset, dataset.captions(everything)) == EXPECTED
        assert [dataset.caption(i) for i in everything] == dataset.captions(everything)
        backwards = [*reversed(everything), 3, 3]
        assert dataset.captions(backwards) == [dataset.caption(i) for i in backwards]
        assert dataset.captioned == Captioned(5, 12) == (5, 12)
        for outside in (-1, len(dataset)):
            with pytest.raises(IndexError):
                dataset.captions([0, outside])


@given(st.text())
def test_a_caption_survives_both_formats(text: str) -> None:
    writable = text.encode(errors="ignore").decode()
    expected = writable.strip().removeprefix("\ufeff").strip() or None
    assert caption_in_text(writable.strip().encode()) == expected
    found = caption_in_json(json.dumps({"caption": text}).encode())
    assert found == (text.strip() or None if writable == text else None)


@given(st.binary(max_size=40))
def test_no_bytes_are_an_error(data: bytes) -> None:
    for found in (caption_in_text(data), caption_in_json(data), caption_in_json(b'{"caption": "' + data + b'"}')):
        assert found is None or (found == found.strip() != "" and found.encode())


def test_captions_of_a_damaged_shard(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "a.tar", {f"{k}": {"txt": f"caption {k}".encode()} for k in range(6)})
    data = whole.read_bytes()
    cut = data.index(b"caption 4") + 4  # the picture before it is whole, its caption is not
    whole.write_bytes(data[:cut])
    dataset = open_dataset(whole)
    assert [dataset.caption(i) for i in range(len(dataset))] == [None, *(f"caption {k}" for k in range(4)), None]
    assert "damaged" in dataset.key(0)
    whole.unlink()  # what vanishes costs its captions
    assert dataset.captions(range(3)) == [None] * 3 and dataset.captioned == (0, 6)


@pytest.mark.parametrize("version", [0, 99])
def test_listings_of_another_version_are_scanned_again(tmp_path: Path, version: int) -> None:
    root = write_shards(tmp_path / "s", 2)
    first = open_dataset(root, listing=tmp_path / "l")
    expected = by_key(first, first.captions(range(len(first))))
    for file in (tmp_path / "l").iterdir():
        kept = json.loads(file.read_text())
        kept["of"]["version"] = version
        kept["spans"] = [span[:2] for span in kept["spans"]]  # pictures only
        file.write_text(json.dumps(kept))
    again = open_dataset(root, listing=tmp_path / "l")
    assert again.fingerprint == first.fingerprint
    assert by_key(again, again.captions(range(len(again)))) == expected == EXPECTED
    third = open_dataset(root, listing=tmp_path / "l")  # which reads what was mended
    assert by_key(third, third.captions(range(len(third)))) == EXPECTED


@pytest.mark.parametrize("column", ["caption", "text", "TEXT", "title"])
def test_captions_of_parquet_columns(tmp_path: Path, column: str) -> None:
    texts = ["one", None, "", " two ", "drei"] * 3
    pictures = [{"bytes": PICTURE.getvalue(), "path": None}] * len(texts)
    pq.write_table(pa.table({"image": pictures, column: texts}), tmp_path / "a.parquet", row_group_size=4)
    pq.write_table(pa.table({"image": pictures[:2]}), tmp_path / "b.parquet")  # without captions
    dataset = open_dataset(tmp_path)
    expected = [None if not text else text.strip() for text in texts] + [None, None]
    if column == "title":
        expected = [None] * len(expected)
    order = [*range(17), 3, 16, 0, 12, 12]
    assert dataset.captions(order) == [expected[i] for i in order]
    assert dataset.captioned == (sum(text is not None for text in expected), expected.count(None))


# Keywords.

NOUNS = {
    "dog": "dogs",
    "box": "boxes",
    "leaf": "leaves",
    "city": "cities",
    "man": "men",
    "bus": "buses",
    "knife": "knives",
}
OTHERS = ("the", "on", "mat", "hotdog", "boxer", "leaflet", "citizen", "manor", "bust", "doge", "buoy", "and", "42")
SEPARATORS = (" ", ", ", "-", "\u2019s ", ". ", "\n")
CONCEPTS = ("dog", "boxes", "leaf", "city dog", "man", "buses", "knife box", "leaves")


class Texts:
    """A dataset that has captions and nothing else."""

    name, kind = "texts", "tar"

    def __init__(self, texts: Sequence[str | None]) -> None:
        self.texts = list(texts)

    def __len__(self) -> int:
        return len(self.texts)

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        return [self.texts[i] for i in ordinals]


def keyword(texts: Sequence[str | None], **options: object) -> captions.CaptionFilter:
    return caption_filter("keyword", Texts([*texts, "something"]), [], **options)


def naive(caption: str | None, concept: str) -> bool:
    """By regular expressions over all spellings of the concept, independent of the filter's own rules."""
    if caption is None:
        return True
    singular = {plural: noun for noun, plural in NOUNS.items()}
    either = [f"(?:{singular.get(word, word)}|{NOUNS[singular.get(word, word)]})" for word in concept.split()]
    pattern = r"(?:['\u2019]s)?[\s,.\-]+".join(either)
    return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", caption, re.IGNORECASE) is not None


words = st.sampled_from([*NOUNS, *NOUNS.values(), *OTHERS]).flatmap(
    lambda word: st.sampled_from([word, word.upper(), word.title()])
)
texts = st.lists(st.tuples(words, st.sampled_from(SEPARATORS)), max_size=8).map(
    lambda parts: "".join(word + separator for word, separator in parts)
)


@settings(max_examples=60)
@given(st.lists(st.none() | texts, min_size=1, max_size=6))
def test_keywords_against_a_naive_reference(found: list[str | None]) -> None:
    asked = keyword(found).asked(range(len(found)), CONCEPTS)
    assert asked.dtype == bool and asked.shape == (len(found), len(CONCEPTS))
    assert asked.tolist() == [[naive(text, concept) for concept in CONCEPTS] for text in found]


@settings(max_examples=25)
@given(st.lists(st.none() | texts, min_size=1, max_size=4), st.permutations(CONCEPTS), st.data())
def test_an_answer_depends_on_its_pair_alone(found: list[str | None], concepts: list[str], data: st.DataObject) -> None:
    few = concepts[: data.draw(st.integers(1, len(concepts)))]
    order = data.draw(st.lists(st.integers(0, len(found) - 1), max_size=9))
    synonyms = {"man": ["mat"], "dog": ["hotdog"]}
    asked = keyword(found, synonyms=synonyms).asked(order, few)
    alone = [[bool(keyword(found, synonyms=synonyms).asked([i], [c])[0, 0]) for c in few] for i in order]
    assert asked.tolist() == alone


@pytest.mark.parametrize(
    ("concept", "yes", "no"),
    [
        ("stripes", ["a striped cat", "One Stripe", "stripes!"], ["stripping", "a tabby"]),
        ("dog", ["DOG", "a dog's tail", "the dogs’ bowls", "hot-dog", "dog_bed"], ["doge", "hotdog", "dog2"]),
        ("people", ["a person", "People's choice"], ["personal"]),
        ("salesman", ["two salesmen"], ["salespeople", "a man"]),
        ("wing", ["wings", "a winged horse"], ["win", "w", "swing"]),
        ("building", ["two buildings"], ["guilds", "the bu"]),
        ("bus", ["buses", "bus"], ["busy", "busts"]),
        ("dress", ["dresses", "dressed in red"], ["dres"]),
        ("baby", ["Babies"], ["babe"]),
        ("car window", ["car windows", "cars, windows", "car-window"], ["car", "window of a car", "car with window"]),
        ("café", ["cafe\u0301s"], ["cafe"]),
        ("T-shirt", ["t shirts"], ["shirt"]),
        ("running", ["he runs", "ran", "run"], ["rung"]),
        ("hold", ["held", "holding"], ["bold"]),
    ],
)
def test_words_that_are_the_same(concept: str, yes: list[str], no: list[str]) -> None:
    asked = keyword(yes + no).asked(range(len(yes + no)), [concept])[:, 0].tolist()
    assert asked == [True] * len(yes) + [False] * len(no)


def test_synonyms_belong_to_their_concept() -> None:
    found = ["two puppies", "a golden retriever", "golden light", "a cat", None]
    options = {"synonyms": {"Dogs": ["puppy", "golden retriever"]}}
    asked = keyword(found, **options).asked(range(5), ["dog", "cat"])
    assert asked.tolist() == [[True, False], [True, False], [False, False], [False, True], [True, True]]
    assert keyword(found).asked(range(5), ["dog"])[:, 0].tolist() == [False, False, False, False, True]
    facts = keyword(found, **options).describe()
    assert facts == {"mode": "keyword", "synonyms": {"Dogs": ["golden retriever", "puppy"]}, "without_caption": "asked"}


def test_what_was_asked_is_counted_and_told() -> None:
    chosen = keyword(["a dog", None, "a cat"])
    chosen.asked([0, 1], ["dog", "cat"])
    chosen.asked([2], ["dog", "cat"])
    tally = chosen.tally
    assert (tally.images, tally.pairs, tally.asked, tally.lacking) == (3, 6, 4, 1)
    assert tally.sentence() == (
        "4 of 6 pairs of image and concept asked (66.7%); 1 of 3 images without a caption, asked for every concept"
    )
    off = caption_filter("off", Texts([None]), ["dog"])
    assert off.asked([0], ["dog", "cat"]).tolist() == [[True, True]] and "caption" not in off.tally.sentence()


# Embeddings.


def letters(found: Sequence[str]) -> np.ndarray:
    """How often each letter occurs; its last bits depend on the batch, as a model's may."""
    counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in found])
    return (counts * (1 + 1e-6 * len(found) + 1e-6 * np.arange(26))).astype(np.float32)


def embedding(found: Sequence[str | None], threshold: float | None = None, embed: Embed = letters) -> EmbeddingFilter:
    result = caption_filter("embedding", Texts(found), [], embed=embed, model="letters", threshold=threshold)
    assert isinstance(result, EmbeddingFilter)
    return result


def test_cosines_against_a_plain_reference() -> None:
    found = ["a dog", None, "god", "xyz", "dig and dog"]
    concepts = ["dog", "zyx", "ooo"]
    cosines = embedding(found).cosines(range(5), concepts)
    for row, text in zip(cosines, found, strict=True):
        for cosine, concept in zip(row, concepts, strict=True):
            if text is None:
                assert np.isnan(cosine)
            else:
                a, b = (np.array([t.count(c) for c in map(chr, range(97, 123))], float) for t in (text, concept))
                assert cosine == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-4)
    asked = embedding(found, 0.5).asked([4, 1, 3], concepts)
    assert asked.tolist() == [[True, False, False], [True, True, True], [False, True, False]]


@settings(max_examples=12)
@given(st.data())
def test_cosines_do_not_depend_on_what_else_is_asked(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captions, "BLOCK", 8)
        patch.setattr(captions, "_KEPT_BLOCKS", 1)
        compare_cosines(data, 8)


def compare_cosines(data: st.DataObject, block: int) -> None:
    found = [None if k % 11 == 5 else f"x{'abc' * (k % 5)}{'defg' * (k % 7)}{'e' * k}" for k in range(3 * block + 5)]
    if data.draw(st.booleans()):
        found[block : 2 * block] = [None] * block
    order = data.draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=12))
    concepts = data.draw(st.lists(st.sampled_from(["bad", "cab", "face", "egg"]), min_size=1, max_size=4))
    together = embedding(found).cosines(range(len(found)), ["egg", "face", "bad", "cab"])
    columns = [["egg", "face", "bad", "cab"].index(concept) for concept in concepts]
    assert embedding(found).cosines(order, concepts).tobytes() == together[np.ix_(order, columns)].tobytes()


def test_embeddings_that_say_nothing_are_asked_and_wrong_ones_refused() -> None:
    assert embedding(["123", "dog"], 1.0).asked([0, 1], ["dog", "cat"]).tolist() == [[True, True], [True, False]]
    assert embedding([*["a"] * 5, None]).asked([], ["dog"]).shape == (0, 1)
    assert embedding(["a", None]).asked([0, 1], []).shape == (2, 0)
    for wrong in (np.zeros((1, 3, 2)), np.zeros((3, 2)), np.array([[np.nan, 1.0]])):
        with pytest.raises(ValueError, match="letters gave"):
            embedding(["dog"], embed=lambda texts, wrong=wrong: wrong).asked([0], ["dog"])


# What can be wrong.


def test_fingerprints_and_facts_differ_where_answers_may() -> None:
    dataset = Texts(["a dog"])
    options: list[tuple[str, dict[str, object]]] = [
        ("off", {}),
        ("keyword", {}),
        ("keyword", {"synonyms": {"dog": ["puppy"]}}),
        ("keyword", {"synonyms": {"dog": ["puppy", "whelp"]}}),
        ("embedding", {"embed": letters, "model": "a"}),
        ("embedding", {"embed": letters, "model": "b"}),
        ("embedding", {"embed": letters, "model": "a", "threshold": 0.5}),
    ]
    filters = [caption_filter(mode, dataset, ["dog"], **given) for mode, given in options]
    assert len({each.fingerprint for each in filters}) == len({json.dumps(each.describe()) for each in filters}) == 7
    assert all(len(each.fingerprint) == 64 and each.describe()["mode"] in MODES for each in filters)
    same = [{"b": ["x", "y"], "a": ["z"]}, {"a": ["z"], "b": ["y", "x"]}]
    first, second = (caption_filter("keyword", dataset, ["dog"], synonyms=each) for each in same)
    assert first.fingerprint == second.fingerprint and first.describe() == second.describe()


@pytest.mark.parametrize(
    ("mode", "options", "sentence"),
    [
        ("words", {}, "no caption filter 'words': choose from off, keyword, embedding"),
        ("off", {"synonyms": {}}, "synonyms means nothing to the caption filter off.*choose the filter keyword"),
        ("keyword", {"threshold": 0.0}, "a threshold means nothing.*choose the filter embedding"),
        ("keyword", {"model": "m"}, "a model means nothing"),
        ("keyword", {"synonyms": {"dog": ["!"]}}, "the concept '!' holds no word"),
        ("embedding", {}, "needs a model of sentence embeddings.*keyword"),
        (
            "embedding",
            {"embed": letters, "model": "m", "threshold": 1.5},
            "1.5 is no cosine: give a number from -1 to 1",
        ),
    ],
)
def test_wrong_options_are_said_in_a_sentence(mode: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        caption_filter(mode, Texts(["a dog"]), ["dog"], **options)


@pytest.mark.parametrize("mode", MODES)
def test_concepts_without_a_word(mode: str) -> None:
    options = {"embed": letters, "model": "m"} if mode == "embedding" else {}
    for wrong in ("", " - "):
        with pytest.raises(UserError, match="holds no word"):
            caption_filter(mode, Texts(["a dog"]), ["dog", wrong], **options)
        with pytest.raises(UserError, match="holds no word"):
            caption_filter(mode, Texts(["a dog"]), ["dog"], **options).asked([0], [wrong])


def test_a_dataset_without_captions(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.tar", {f"{k:04d}": {"txt": b" "} for k in range(70)})
    dataset = open_dataset(shard)
    with pytest.raises(UserError, match=r"none of the 70 entries of .*a.tar has a usable one.*KEY.txt.*filter off"):
        caption_filter("keyword", dataset, ["dog"])
    assert caption_filter("off", dataset, ["dog"]).asked([3], ["dog"]).all()
    late = Texts([None] * 5000 + ["a dog"])
    assert caption_filter("keyword", late, ["dog"]).asked([5000], ["dog", "cat"]).tolist() == [[True, False]]


def test_synonyms_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.yaml"
    path.write_text("dog: [puppy, golden retriever]\ncar window: [windscreen]\n")
    assert load_synonyms(path) == {"dog": ("puppy", "golden retriever"), "car window": ("windscreen",)}
    for text, sentence in [
        ("[dog]", "holds no synonyms"),
        ("", "holds no synonyms"),
        ("dog: puppy", "'dog' has no list of words"),
        ("dog: []", "'dog' has no list"),
        ("dog: [on]", "'dog' has no list of words.*quote"),
        ("'-': [dog]", "'-' has no list"),
        ("dog: ['', puppy]", "'dog' has no list"),
        ("dog: [", "not readable YAML"),
        ("yes: [puppy]", "True has no list"),
    ]:
        path.write_text(text)
        with pytest.raises(UserError, match=sentence):
            load_synonyms(path)
    with pytest.raises(UserError, match="cannot be read"):
        load_synonyms(tmp_path / "nowhere.yaml")
