"""Sizes of checkpoints from their headers, against files that safetensors wrote."""

import json

import pytest
import torch
from maia.engine.checkpoints import stored_parts
from maia.models.errors import UserError
from safetensors.torch import save_file


def weights(seed, dtype=torch.float32, **shapes):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def diffusers_folder(path, unet_seed=0, vae_seed=1):
    path.mkdir()
    (path / "model_index.json").write_text("{}", encoding="utf-8")
    for name, seed in (("unet", unet_seed), ("vae", vae_seed)):
        (path / name).mkdir()
        save_file(weights(seed, a=(30, 40), b=(7,)), path / name / "diffusion_pytorch_model.safetensors")
    (path / "scheduler").mkdir()
    return path


def test_a_folder_has_its_parts_and_equal_weights_one_key(tmp_path):
    first, second = diffusers_folder(tmp_path / "one"), diffusers_folder(tmp_path / "two", unet_seed=5)
    one, two = stored_parts(first), stored_parts(second)
    assert set(one) == {"unet", "vae"} and one["unet"].floats == 1207
    assert one["unet"].nbytes(2) == 2414 and one["unet"].nbytes(4) == 4828
    assert one["vae"].key == two["vae"].key and one["unet"].key != two["unet"].key


def test_of_variants_one_counts(tmp_path):
    folder = diffusers_folder(tmp_path / "one")
    save_file(
        weights(0, torch.float16, a=(30, 40), b=(7,)), folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    )
    assert stored_parts(folder)["unet"].floats == 1207


def test_shards_count_together_and_a_missing_one_is_named(tmp_path):
    for i in (1, 2):
        save_file(weights(i, **{f"w{i}": (10, 10)}), tmp_path / f"model-0000{i}-of-00002.safetensors")
    index = {"weight_map": {f"w{i}": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert stored_parts(tmp_path)["weights"].floats == 200
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="lacks model-00002-of-00002"):
        stored_parts(tmp_path)


def test_packed_weights_keep_their_bytes(tmp_path):
    packed = {"packed": torch.zeros(100, dtype=torch.uint8), "scale": torch.zeros(4, dtype=torch.float16)}
    save_file(packed, tmp_path / "model.safetensors")
    part = stored_parts(tmp_path)["weights"]
    assert (part.floats, part.others, part.nbytes(2)) == (4, 100, 108)


def test_a_single_file_is_taken_apart(tmp_path):
    tensors = {
        "model.diffusion_model.x": torch.zeros(10),
        "first_stage_model.y": torch.zeros(20),
        "cond_stage_model.z": torch.zeros(30),
        "alphas_cumprod": torch.zeros(5),
    }
    save_file(tensors, tmp_path / "sd.safetensors")
    parts = stored_parts(tmp_path / "sd.safetensors")
    assert {name: part.floats for name, part in parts.items()} == {"unet": 10, "vae": 20, "text_encoder": 30}
    assert len({part.key for part in parts.values()}) == 3


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="no checkpoint at"):
        stored_parts(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no safetensors files"):
        stored_parts(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1000)}, file)
    whole = file.read_bytes()
    for cut in (3, 20, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"model\.safetensors is no complete safetensors file"):
            stored_parts(tmp_path)
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="no complete safetensors file"):
        stored_parts(tmp_path)
