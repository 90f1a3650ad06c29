"""Models and memory in a profile: what is read, and what is refused with the field's name."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from maia.engine.placement import format_up
from maia.engine.profile import built_in_profiles, generator_options, load_profile, vlm_options
from maia.engine.sizes import format_bytes, parse_bytes
from maia.models.errors import UserError


def written(tmp_path, **changes):
    """The path of the lab's profile with changes; ... takes a field out."""
    base = Path(__file__).parents[2] / "engine" / "profiles" / "lab.yaml"
    data = yaml.safe_load(base.read_text(encoding="utf-8")) | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in data.items() if value is not ...}), encoding="utf-8")
    return str(path)


def test_every_built_in_profile_loads():
    assert built_in_profiles() == ["lab", "testbed"]
    assert load_profile("testbed").vlm is None
    lab = load_profile("lab")
    assert vlm_options(lab).model in ("qwen2.5-vl-7b", "llava-v1.6-mistral-7b")


def test_a_generator_without_a_path_is_looked_for_under_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path))
    lab = load_profile("lab")
    name, options = generator_options(lab, "text2image")
    assert (name, options.path) == ("stable-diffusion-v1-5", tmp_path / "stable-diffusion-v1-5")
    mine = replace(lab, edit={"model": "mine", "path": "/weights/mine", "steps": 7})
    name, options = generator_options(mine, "edit")
    assert (name, options.path, options.steps) == ("mine", Path("/weights/mine"), 7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"world": "moon"}, "no world 'moon'"),
        ({"text2image": ...}, "text2image must be a mapping"),
        ({"text2image": {"model": "stable-diffusion-v9"}}, "stable-diffusion-v1-5"),
        ({"text2image": {"model": "instruct-pix2pix"}}, "no text2image model 'instruct-pix2pix'"),
        ({"edit": {"model": "instruct-pix2pix", "stps": 3}}, "edit has no option 'stps'"),
        ({"world": "testbed"}, "draws by itself: leave text2image out"),
        ({"vlm": {}}, "vlm must be a mapping with the entry model"),
        ({"vlm": "qwen2.5-vl-7b"}, "vlm must be a mapping"),
        ({"vlm": {"model": "gpt-4v"}}, "no vlm 'gpt-4v'"),
        ({"vlm": {"model": "qwen2.5-vl-7b", "quantization": "3bit"}}, "quantization cannot be '3bit'.*4bit, null"),
        ({"vlm": {"model": "qwen2.5-vl-7b", "sleep": 1}}, "sleep cannot be 1"),
        ({"vlm": {"model": "qwen2.5-vl-7b", "context": 100}}, "context must be a whole number of at least"),
        ({"vlm": {"model": "llava-v1.6-34b", "context": 8192}}, "reads 4096 tokens at most"),
        ({"vlm": {"model": "qwen2.5-vl-7b", "concurrent": True}}, "concurrent must be"),
        ({"vlm": {"model": "qwen2.5-vl-7b", "gpu": 1}}, "no option 'gpu'"),
        ({"vlm": {"model": "qwen2.5-vl-7b", "path": 3}}, "path must be a path"),
        ({"memory": "24 apples"}, "memory: '24 apples' is no amount"),
        ({"memory": {"gpu0": "24GiB"}}, "'gpu0' is no GPU"),
        ({"memory": {}}, "names no GPU"),
        ({"memory": {"cuda:0": None}}, "no amount"),
        ({"memory": [1]}, "no amount"),
        ({"target": 3}, "target must be a name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        load_profile(written(tmp_path, **changes))
    assert "mine.yaml" in str(caught.value)


def test_memory_may_be_given_by_gpu(tmp_path):
    assert load_profile(written(tmp_path, memory={"cuda:0": "24GiB", "cuda:1": 10})).memory["cuda:1"] == 10


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("24GiB", 24 * 2**30),
        ("24GB", 24 * 10**9),
        ("1.5 GiB", 3 * 2**29),
        ("7mib", 7 * 2**20),
        ("123", 123),
        (123, 123),
    ],
)
def test_amounts_of_memory(text, nbytes):
    assert parse_bytes(text) == nbytes


@pytest.mark.parametrize("text", ["", "GiB", "24 G B", "-1GiB", "0", "0.1", "1e9", "24GiBs", None, True, 1.5])
def test_what_is_no_amount(text):
    with pytest.raises(UserError, match="no amount of memory"):
        parse_bytes(text)


@given(st.integers(1, 2**45))
def test_amounts_are_shown_to_a_hundredth_and_rounded_up_when_needed(nbytes):
    near, enough = parse_bytes(format_bytes(nbytes).replace(",", "")), parse_bytes(format_up(nbytes))
    step = 2**30 / 100 if nbytes >= 2**30 else 2**20 if nbytes >= 2**20 else 1
    assert abs(near - nbytes) <= step / 2 + 1
    # An amount in text is cut to whole bytes when it is read: a byte less at most.
    assert nbytes - 1 <= enough <= nbytes + max(step, 2**20)
