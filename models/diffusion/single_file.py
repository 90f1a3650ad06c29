"""A pipeline from a single .safetensors file in the layout in which SD-1.x was published, without any download."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .architectures import architecture
from .folder import CODE, check_file, first_line, listed, read_index, read_json
from .tokenizers import clip_tokenizer

if TYPE_CHECKING:
    import torch
    from torch import nn

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
"""Prefixes of the three parts in the file."""

FIRST = UNET + "input_blocks.0.0.weight"
"""[320, 4 (8: for editing), 3, 3]: its channels tell what the file is for."""


def load_single_file(file: Path, config: Path | None, dtype: "torch.dtype", edits: bool) -> Any:
    """The pipeline in the file, on the CPU: text to image, or editing where `edits`.

    config: a diffusers folder whose configurations, scheduler and tokenizer belong to the file; None: those that
    SD-1.5 and InstructPix2Pix were published with, and CLIP's tokenizer. Raises UserError for a file that is pickled,
    damaged, of another layout or for the other task, and names weights that are missing or of other shapes.
    """
    if file.suffix in CODE:
        raise UserError(
            f"{file} is a pickle that could run code: get the model's .safetensors file, or convert it with its "
            "source's script on a machine that you do not mind."
        )
    check_file(file)
    from safetensors.torch import load_file

    checkpoint = load_file(file)
    if FIRST not in checkpoint:
        raise UserError(
            f"{file} is not laid out as SD-1.x was published (it has no {FIRST}): give the model as a diffusers folder."
        )
    channels = checkpoint[FIRST].shape[1]
    if (channels == 8) != edits:
        does, wanted = ("edits", "text to image") if channels == 8 else ("draws from text", "editing")
        raise UserError(f"{file} {does} ({channels} input channels): name a file for {wanted}.")
    settings = _settings(config, edits)
    return _assemble(checkpoint, settings, file, dtype, edits)


def _settings(config: Path | None, edits: bool) -> dict[str, Any]:
    """Configurations of the parts and the scheduler, and the tokenizer."""
    if config is None:
        published = architecture("instruct-pix2pix" if edits else "stable-diffusion-v1-5")
        parts = {name: part.settings(tiny=False) for name, part in published.parts.items()}
        return {**parts, "scheduler": published.scheduler, "tokenizer": clip_tokenizer()}
    read_index(config)
    files = {name: config / name / "config.json" for name in ("text_encoder", "unet", "vae")}
    files["scheduler"] = config / "scheduler" / "scheduler_config.json"
    for file in files.values():
        if not file.is_file():
            raise UserError(f"config {config} lacks {file.relative_to(config)}: name a whole diffusers folder.")
    found: dict[str, Any] = {name: read_json(file) for name, file in files.items()}
    found["scheduler"] = (found["scheduler"].get("_class_name"), found["scheduler"])
    from transformers import CLIPTokenizer

    try:
        found["tokenizer"] = CLIPTokenizer.from_pretrained(config / "tokenizer", local_files_only=True)
    except Exception as problem:  # whatever the library raises on files that are missing or damaged
        raise UserError(f"config {config} has no tokenizer that loads ({first_line(problem)}).") from problem
    return found


def _assemble(
    checkpoint: dict[str, "torch.Tensor"], settings: dict[str, Any], file: Path, dtype: "torch.dtype", edits: bool
) -> Any:
    import diffusers
    import transformers
    from accelerate import init_empty_weights
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    try:
        with init_empty_weights():
            unet = diffusers.UNet2DConditionModel.from_config(settings["unet"])
            vae = diffusers.AutoencoderKL.from_config(settings["vae"])
            text = settings["text_encoder"]
            encoder = transformers.CLIPTextModel(transformers.CLIPTextConfig(**_own(text)))
        cls, config = settings["scheduler"]
        scheduler = getattr(diffusers, cls).from_config(config)
    except Exception as problem:  # configurations of other classes or damaged ones
        raise UserError(
            f"the configurations for {file} do not describe SD-1.x ({type(problem).__name__}: {first_line(problem)}): "
            "name the diffusers folder of the same model as config."
        ) from problem
    _fill(unet, _converted(convert_ldm_unet_checkpoint, checkpoint, UNET, dict(unet.config), file), "UNet", file, dtype)
    _fill(vae, _converted(convert_ldm_vae_checkpoint, checkpoint, VAE, dict(vae.config), file), "VAE", file, dtype)
    # Releases of transformers before 5.6 keep the published "text_model." in their names.
    texts = {name.removeprefix(TEXT): tensor for name, tensor in checkpoint.items() if name.startswith(TEXT)}
    own = encoder.state_dict()
    texts = {n if n in own else n.removeprefix("text_model."): t for n, t in texts.items() if not n.endswith("_ids")}
    _fill(encoder, texts, "text encoder", file, dtype)
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline if edits else diffusers.StableDiffusionPipeline
    return pipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=settings["tokenizer"],
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what transformers notes beside it."""
    return {name: value for name, value in config.items() if name not in ("architectures", "dtype", "torch_dtype")}


def _converted(
    convert: Any, checkpoint: dict[str, "torch.Tensor"], prefix: str, config: dict[str, Any], file: Path
) -> dict[str, "torch.Tensor"]:
    """Entries of the part under the names that diffusers has for them."""
    # The converters take entries out of what they are given.
    entries = {name: tensor for name, tensor in checkpoint.items() if name.startswith(prefix)}
    try:
        return convert(entries, config)
    except (KeyError, IndexError) as problem:
        raise UserError(
            f"{file} lacks weights under {prefix} ({problem}): get the file again from its source, or name the "
            "diffusers folder of the same model as config."
        ) from problem


def _fill(module: "nn.Module", state: dict[str, "torch.Tensor"], what: str, file: Path, dtype: "torch.dtype") -> None:
    """Gives the module the weights, in that dtype; every one must be there and of its shape."""
    own = module.state_dict()
    problems = []
    if missing := sorted(set(own) - set(state)):
        problems.append(f"lack {listed(missing)}")
    if unknown := sorted(set(state) - set(own)):
        problems.append(f"hold {listed(unknown)}, which it does not have")
    if other := [name for name in own if name in state and own[name].shape != state[name].shape]:
        detail = [f"{name} ({list(state[name].shape)} instead of {list(own[name].shape)})" for name in sorted(other)]
        problems.append(f"have other shapes: {listed(detail)}")
    if problems:
        raise UserError(
            f"the weights of the {what} in {file} do not fit: they {'; they '.join(problems)}: get the file again from "
            "its source, or name the diffusers folder of the same model as config."
        )
    cast = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    module.load_state_dict(cast, strict=True, assign=True)
    module.eval()
