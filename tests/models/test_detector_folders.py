"""A detector's folders: what is missing or damaged is named, and nothing is drawn at random instead."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from maia.models.detectors.folder import content_hash
from maia.models.detectors.grounded import load_detector
from maia.models.errors import UserError
from tiny_detector import own_folders, tiny_folders


def edit(file: Path, change: Callable[[dict], object]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def lose_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.query_position_embeddings.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


DAMAGES: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "no config": (lambda g, s: (g / "config.json").unlink(), "config.json"),
    "config is no json": (lambda g, s: (s / "config.json").write_text("{"), "config.json"),
    "no weights": (lambda g, s: (s / "model.safetensors").unlink(), "model.safetensors"),
    "weights cut short": (lambda g, s: shorten(g / "model.safetensors"), "damaged or cut short"),
    "a tensor is missing": (lambda g, s: lose_tensor(g), "query_position_embeddings"),
    "another shape": (
        lambda g, s: edit(g / "config.json", lambda c: c.update(num_queries=19)),
        "query_position_embeddings",
    ),
    "no tokenizer": (lambda g, s: (g / "tokenizer.json").unlink(), "tokenizer.json nor vocab.txt"),
    "no processor": (
        lambda g, s: [f.unlink() for f in s.glob("*processor_config.json")],
        "preprocessor_config.json nor processor_config.json",
    ),
    "not Grounding DINO": (
        lambda g, s: edit(g / "config.json", lambda c: c.update(model_type="detr")),
        "model_type 'grounding-dino'",
    ),
    "another backbone": (
        lambda g, s: edit(g / "config.json", lambda c: c["backbone_config"].update(model_type="resnet")),
        "image backbone 'resnet'",
    ),
    "no segmenter": (
        lambda g, s: edit(s / "config.json", lambda c: c.update(model_type="maskformer")),
        "model_type 'sam' or 'sam2' or 'sam2_video'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    grounding, segmenter = own_folders(tmp_path)
    spoil, says = DAMAGES[damage]
    spoil(grounding, segmenter)
    with pytest.raises(UserError) as caught:
        load_detector(grounding, segmenter)
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_tokenizer_with_other_numbers_is_refused(tmp_path: Path) -> None:
    grounding, segmenter = own_folders(tmp_path)

    def swap(data: dict) -> None:
        entries = data["model"]["vocab"]
        entries["."], entries["?"] = entries["?"], entries["."]

    edit(grounding / "tokenizer.json", swap)
    with pytest.raises(UserError, match=r"tokenizer in .* '\.', '\?' otherwise"):
        load_detector(grounding, segmenter)


def test_folders_that_are_not_there_or_swapped() -> None:
    grounding, segmenter = tiny_folders()
    with pytest.raises(UserError, match="no folder /nowhere"):
        load_detector(Path("/nowhere"), segmenter)
    with pytest.raises(UserError, match="holds a 'sam' model"):
        load_detector(segmenter, grounding)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"box_threshold": 1.0}, "box_threshold is 1.0"),
        ({"text_threshold": -0.1}, "text_threshold is -0.1"),
        ({"dilation": 2.0}, "dilation is 2.0"),
        ({"batch": 0}, "batch is 0"),
        ({"threads": 0}, "threads are 0"),
        ({"resolution": 8}, "resolution is 8"),
        ({"dtype": "float64"}, "dtype is 'float64'"),
    ],
)
def test_options_out_of_range(options: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_detector(*tiny_folders(), **options)


def test_the_hash_is_that_of_what_decides_answers(tmp_path: Path) -> None:
    grounding, _ = own_folders(tmp_path)
    before = content_hash(grounding)
    (grounding / "README.md").write_text("not read")
    assert content_hash(grounding) == before == content_hash(tiny_folders()[0])
    weights = bytearray((grounding / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (grounding / "model.safetensors").write_bytes(weights)
    assert content_hash(grounding) != before
