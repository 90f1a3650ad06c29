"""Folders and files that are not what they should be: each is refused by name, before anything is drawn."""

import json
import sys
import types

import pytest
import torch
from maia.models.diffusion.architectures import architecture
from maia.models.diffusion.settings import torch_dtype, why_no_xformers
from maia.models.errors import UserError
from maia.models.generators import GeneratorOptions, load_editor, load_text_to_image
from safetensors.torch import load_file
from tiny_diffusion import STEPS, drawer, edit_json, edit_weights, own_folder, tiny_folder, write_single_file

SD, EDIT = "stable-diffusion-v1-5", "instruct-pix2pix"
UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


def refusal(path, load=load_text_to_image, device="cpu", **options) -> str:
    with pytest.raises(UserError) as problem:
        load(GeneratorOptions(path=path, **options), device)
    return str(problem.value)


def test_no_model_at_all(tmp_path, monkeypatch):
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "model_index.json" in refusal(tmp_path / "empty")
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path / "weights"))
    assert str(tmp_path / "weights" / SD) in refusal(None)
    assert str(tmp_path / "weights" / EDIT) in refusal(None, load_editor)


def test_the_directory_of_all_weights_is_searched_by_name(tmp_path, monkeypatch):
    own_folder(SD, tmp_path)
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path))
    assert load_text_to_image(GeneratorOptions(steps=1)).size == 64


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model_index.json", "{", "model_index.json cannot be read"),
        ("model_index.json", "[]", "must hold a JSON object"),
        ("model_index.json", '{"a": 1}', "_class_name"),
        ("model_index.json", '{"_class_name": ["my_code", "MyPipeline"]}', "code of their own"),
        ("model_index.json", '{"_class_name": "NoSuchPipeline"}', "NoSuchPipeline"),
        ("model_index.json", '{"_class_name": "UNet2DModel"}', "UNet2DModel"),
        ("unet/config.json", "{", "unet/config.json cannot be read"),
        ("unet/config.json", '{"block_out_channels": 3}', "unet"),
        ("tokenizer/tokenizer.json", "{", "tokenizer"),
        (VAE, "not weights", "vae/diffusion_pytorch_model.safetensors is damaged"),
    ],
)
def test_files_of_other_content_are_named(tmp_path, file, content, words):
    folder = own_folder(SD, tmp_path)
    (folder / file).write_text(content)
    assert words in refusal(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_folder_is_named(tmp_path, part):
    folder = own_folder(SD, tmp_path)
    (folder / part).rename(tmp_path / "away")
    assert f"lacks the folder {part}" in refusal(folder)


@pytest.mark.parametrize("file", ["unet/config.json", UNET, TEXT])
def test_a_missing_file_is_named(tmp_path, file):
    folder = own_folder(SD, tmp_path)
    (folder / file).unlink()
    message = refusal(folder)
    assert str((folder / file).parent) in message
    assert "config.json" in message if file.endswith("json") else "safetensors" in message


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (UNET, "mid_block.resnets.0.conv1.weight"),
        (VAE, "decoder.conv_in.bias"),
        (TEXT, "text_model.encoder.layers.1.mlp.fc1.weight"),
    ],
)
def test_weights_that_are_missing_or_renamed_or_of_another_shape_are_named(tmp_path, file, name):
    # The libraries would draw with random numbers in their place.
    name = name if file != TEXT or name in load_file(tiny_folder(SD) / TEXT) else name.removeprefix("text_model.")
    shown = name.removeprefix("text_model.")
    folder = own_folder(SD, tmp_path)
    edit_weights(folder / file, lambda state: state.pop(name))
    message = refusal(folder)
    assert shown in message and str((folder / file).parent) in message and "lack" in message
    folder = own_folder(SD, tmp_path / "renamed")
    edit_weights(folder / file, lambda state: state.update({name + "_": state.pop(name)}))
    message = refusal(folder)
    assert "lack" in message and "hold" in message and f"{shown}_" in message
    folder = own_folder(SD, tmp_path / "misshapen")
    edit_weights(folder / file, lambda state: state.update({name: state[name][:-1].contiguous()}))
    message = refusal(folder)
    assert shown in message and str((folder / file).parent) in message


def test_names_as_they_were_published_are_read(tmp_path):
    """The files of SD-1.5 are older than today's names: those of attention in the VAE, and CLIP's prefix."""
    folder = own_folder(SD, tmp_path)

    def older_vae(state):
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            for name in [name for name in state if f".{new}." in name]:
                state[name.replace(new, old)] = state.pop(name)

    def older_text(state):
        for name in list(state):
            state[f"text_model.{name.removeprefix('text_model.')}"] = state.pop(name)
        state["text_model.embeddings.position_ids"] = torch.arange(77)[None]

    edit_weights(folder / VAE, older_vae)
    assert "decoder.mid_block.attentions.0.query.weight" in load_file(folder / VAE)
    edit_weights(folder / TEXT, older_text)
    loaded = load_text_to_image(GeneratorOptions(path=folder))
    assert [part.key for part in loaded.components] == [part.key for part in drawer().components]


@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddim", "as-saved"])
def test_defaults_that_a_file_spells_out_or_not_change_no_picture(tmp_path, sampler):
    # SD-1.5's scheduler was published with these entries alone; what diffusers saves again holds all defaults.
    folder = own_folder(SD, tmp_path)
    name, entries = architecture(SD).scheduler
    file = folder / "scheduler" / "scheduler_config.json"
    assert "timestep_spacing" in json.loads(file.read_text()) and "timestep_spacing" not in entries
    file.write_text(json.dumps({"_class_name": name, **entries}))
    loaded = load_text_to_image(GeneratorOptions(path=folder, sampler=sampler, steps=STEPS, size=32))
    job = loaded.job("a dog", 1)
    assert torch.equal(loaded.floats([job])[0], drawer(sampler=sampler, size=32).floats([job])[0])
    # A schedule that ends in pure noise has to be kept.
    edit_json(file, timestep_spacing="trailing")
    trailing = load_text_to_image(GeneratorOptions(path=folder, sampler=sampler, steps=STEPS, size=32))
    assert trailing.pipeline.scheduler.config.timestep_spacing == "trailing"
    assert not torch.equal(trailing.floats([job])[0], loaded.floats([job])[0])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_named(tmp_path, share):
    folder = own_folder(SD, tmp_path)
    content = (folder / UNET).read_bytes()
    (folder / UNET).write_bytes(content[: int(share * len(content))])
    message = refusal(folder)
    assert str(folder / UNET) in message and "not copied to its end" in message


def test_weights_that_are_no_numbers_are_named(tmp_path):
    folder = own_folder(SD, tmp_path)
    edit_weights(folder / VAE, lambda state: state["decoder.conv_in.bias"].fill_(torch.nan))
    message = refusal(folder)
    assert "vae" in message and "decoder.conv_in.bias" in message


def test_pickles_are_refused(tmp_path):
    folder = own_folder(SD, tmp_path)
    state = load_file(folder / UNET)
    (folder / UNET).unlink()
    torch.save(state, folder / "unet" / "diffusion_pytorch_model.bin")
    message = refusal(folder)
    assert "diffusion_pytorch_model.bin" in message and ".safetensors" in message
    torch.save(state, tmp_path / "model.ckpt")
    assert "model.ckpt is a pickle" in refusal(tmp_path / "model.ckpt")


def test_a_lone_variant_is_read_and_two_are_refused(tmp_path):
    folder = own_folder(SD, tmp_path)
    variant = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    (folder / UNET).rename(variant)
    loaded = load_text_to_image(GeneratorOptions(path=folder))
    assert [part.key for part in loaded.components] == [part.key for part in drawer().components]
    variant.with_name("diffusion_pytorch_model.ema.safetensors").write_bytes(variant.read_bytes())
    assert "ema, fp16" in refusal(folder)


def test_code_beside_the_weights_is_not_run(tmp_path):
    folder = own_folder(SD, tmp_path)
    (folder / "unet" / "my_unet.py").write_text("raise SystemExit('code was run')")
    edit_json(folder / "model_index.json", unet=["my_unet", "MyUNet"])
    assert "my_unet.MyUNet" in refusal(folder)


def test_a_pipeline_for_the_other_task_is_refused():
    assert "does not draw from text alone" in refusal(tiny_folder(EDIT))
    assert "does not edit" in refusal(tiny_folder(SD), load_editor)


def test_a_number_format_that_the_device_cannot_compute_in_is_refused(monkeypatch):
    assert "fp16 needs a GPU" in refusal(tiny_folder(SD), dtype="fp16")
    gpu = torch.device("cuda:0")
    assert torch_dtype(GeneratorOptions(), gpu) == torch.float16
    assert torch_dtype(GeneratorOptions(), torch.device("cpu")) == torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match="bf16 needs compute capability 8"):
        torch_dtype(GeneratorOptions(dtype="bf16"), gpu)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert torch_dtype(GeneratorOptions(dtype="bf16"), gpu) == torch.bfloat16


def test_a_sampler_or_size_that_does_not_go_with_the_model_is_refused():
    message = refusal(tiny_folder("flux-schnell"), sampler="ddim")
    assert "ddim" in message and "FlowMatchEulerDiscreteScheduler" in message and "as-saved" in message
    assert "size 65" in refusal(tiny_folder(SD), size=65)
    assert "choose 64" in refusal(tiny_folder(SD), size=65)


def test_xformers_is_used_or_refused_with_the_reason(monkeypatch):
    assert "needs a GPU" in refusal(tiny_folder(SD), attention="xformers")
    gpu = torch.device("cuda:0")
    monkeypatch.setitem(sys.modules, "xformers", None)
    assert "not installed" in why_no_xformers(gpu)
    # As it is when its extension was built for another torch: it imports, and fails when it computes.
    ops = types.ModuleType("xformers.ops")

    def attend(*rows):
        raise NotImplementedError("No operator found for `memory_efficient_attention_forward`")

    ops.memory_efficient_attention = attend
    package = types.ModuleType("xformers")
    package.ops = ops
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    real = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device=None, **facts: real(*shape, **facts))
    assert "No operator found" in why_no_xformers(gpu)
    ops.memory_efficient_attention = lambda *rows: rows[0]
    assert why_no_xformers(gpu) is None


def test_a_safety_checker_must_be_there_to_be_asked_for(tmp_path):
    assert "has no safety_checker" in refusal(tiny_folder(SD), safety_checker=True)
    assert "safety_checker" in refusal(write_single_file(drawer(), tmp_path / "sd.safetensors"), safety_checker=True)
