"""Diffusion pipelines of a few hundred thousand random weights, and the single-file layout of SD-1.x."""

import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch
from maia.models.diffusion.architectures import random_pipeline
from maia.models.generators import (
    EditGenerator,
    GeneratorOptions,
    TextToImageGenerator,
    load_editor,
    load_text_to_image,
)
from PIL import Image
from safetensors.torch import load_file, save_file

STEPS = 3


@cache
def tiny_folder(name: str) -> Path:
    """A diffusers folder of that architecture, written once for all test processes; not to be changed."""
    place = Path(os.environ["MAIA_TEST_CACHE"]) / f"diffusion-{name}"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(dir=place.parent))
        random_pipeline(name, draft, tiny=True)
        try:
            draft.rename(place)
        except OSError:  # another process was first
            shutil.rmtree(draft)
    return place


def own_folder(name: str, directory: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_folder(name), directory / name))


@cache
def drawer(**options) -> TextToImageGenerator:
    """Tiny SD; not to be changed."""
    return load_text_to_image(
        GeneratorOptions(**{"path": tiny_folder("stable-diffusion-v1-5"), "steps": STEPS, **options})
    )


@cache
def editor(**options) -> EditGenerator:
    """Tiny InstructPix2Pix; not to be changed."""
    return load_editor(GeneratorOptions(**{"path": tiny_folder("instruct-pix2pix"), "steps": STEPS, **options}))


def noise_image(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """RGB noise; size: (width, height)."""
    values = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(values.to(torch.uint8).numpy())


def edit_json(file: Path, **changes) -> None:
    """Changes entries of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_weights(file: Path, change) -> None:
    """Rewrites a safetensors file: `change` gets the dict of tensors."""
    state = load_file(file)
    change(state)
    save_file(state, file)


RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}


def ldm_unet_name(name: str, layers: int, attention_up: list[bool]) -> str:
    """The name that SD-1.x's files have for a weight of diffusers' UNet. layers: resnets of a block on the way down."""
    for ours, theirs in OUTER.items():
        if name.startswith(ours + "."):
            return _resnet_name(theirs + name[len(ours) :])
    match = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    way, level, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if way == "down":
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
        return _resnet_name(f"input_blocks.{1 + level * (layers + 1) + layer}.{kind == 'attentions':d}.{rest}")
    if kind == "upsamplers":
        return f"output_blocks.{level * (layers + 1) + layers}.{1 + attention_up[level]}.{rest}"
    return _resnet_name(f"output_blocks.{level * (layers + 1) + layer}.{kind == 'attentions':d}.{rest}")


def _resnet_name(name: str) -> str:
    for ours, theirs in RESNET.items():
        name = re.sub(rf"^((?:input|output|middle)_blocks?\.[\d.]*?){ours}\.", rf"\g<1>{theirs}.", name)
    return name


def ldm_vae_name(name: str, levels: int) -> str:
    """The name that SD-1.x's files have for a weight of diffusers' VAE."""
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = (
        name.replace("mid_block.attentions.0", "mid.attn_1")
        .replace("group_norm", "norm")
        .replace("to_out.0", "proj_out")
    )
    name = re.sub(r"to_([qkv])\.", r"\1.", name)
    name = re.sub(r"down_blocks\.(\d)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.", lambda m: f"up.{levels - 1 - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def ldm_state(unet, vae, text_encoder) -> dict[str, torch.Tensor]:
    """The weights of three modules (on any device) as SD-1.x's single files hold them."""
    up = ["Attn" in kind for kind in unet.config.up_block_types]
    state = {
        f"model.diffusion_model.{ldm_unet_name(name, unet.config.layers_per_block, up)}": tensor
        for name, tensor in unet.state_dict().items()
    }
    for name, tensor in vae.state_dict().items():
        theirs = ldm_vae_name(name, len(vae.config.block_out_channels))
        # Attention was written as convolutions of one pixel.
        wide = "attn_1" in theirs and tensor.ndim == 2
        state[f"first_stage_model.{theirs}"] = tensor[:, :, None, None] if wide else tensor
    for name, tensor in text_encoder.state_dict().items():
        state[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    positions = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    state[positions] = torch.arange(77)[None]
    return state


def write_single_file(generator, file: Path) -> Path:
    """A generator's weights in one file of SD-1.x's layout."""
    pipeline = generator.pipeline
    state = ldm_state(pipeline.unet, pipeline.vae, pipeline.text_encoder)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    return file
