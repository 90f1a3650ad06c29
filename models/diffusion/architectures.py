"""Published diffusion pipelines as facts: classes and configurations of their parts, and their number of parameters.

Sources: the configuration files that are published with each checkpoint (model_index.json and the config.json of each
part). `tiny` versions have the same classes and the same structure with a few hundred thousand parameters, for tests.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .quiet import quiet

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Part:
    """A component with weights. library: "diffusers" or "transformers". tiny: what the tiny version has otherwise."""

    library: str
    cls: str
    config: Mapping[str, Any]
    tiny: Mapping[str, Any]

    def settings(self, tiny: bool) -> dict[str, Any]:
        """The configuration in full."""
        return {**self.config, **(self.tiny if tiny else {})}


@dataclass(frozen=True)
class Architecture:
    """A pipeline: class in diffusers, scheduler (class, configuration), parts by name; tokenizers by the name of the
    pipeline's argument ("clip" or "t5"); further arguments of the pipeline."""

    pipeline: str
    scheduler: tuple[str, Mapping[str, Any]]
    parts: Mapping[str, Part]
    tokenizers: Mapping[str, str]
    arguments: Mapping[str, Any]


TINY_VOCABULARY = 600
"""Entries of the tiny text encoders' embeddings: a byte-level tokenizer has 514."""

_TINY_CLIP = {
    "vocab_size": TINY_VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
    "bos_token_id": 512,
    "eos_token_id": 513,
    "pad_token_id": 513,
}

_CLIP_L = Part(
    "transformers",
    "CLIPTextModel",
    {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "projection_dim": 768,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
    },
    _TINY_CLIP,
)

_CLIP_G = Part(
    "transformers",
    "CLIPTextModelWithProjection",
    {
        "vocab_size": 49408,
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "max_position_embeddings": 77,
        "hidden_act": "gelu",
        "projection_dim": 1280,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
    },
    _TINY_CLIP,
)

_T5_XXL = Part(
    "transformers",
    "T5EncoderModel",
    {
        "vocab_size": 32128,
        "d_model": 4096,
        "d_ff": 10240,
        "d_kv": 64,
        "num_heads": 64,
        "num_layers": 24,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "tie_word_embeddings": False,
    },
    {"vocab_size": TINY_VOCABULARY, "d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 2},
)

_VAE_CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "act_fn": "silu",
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
_VAE_TINY = {
    "block_out_channels": [8, 16, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 64,
}
_VAE = Part("diffusers", "AutoencoderKL", _VAE_CONFIG, _VAE_TINY)

_UNET_CONFIG = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "center_input_sample": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "act_fn": "silu",
    "norm_num_groups": 32,
    "norm_eps": 1e-05,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_UNET_TINY = {
    "sample_size": 16,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
}

_BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

ARCHITECTURES: dict[str, Architecture] = {
    "stable-diffusion-v1-5": Architecture(
        "StableDiffusionPipeline",
        (
            "PNDMScheduler",
            {**_BETAS, "skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1},
        ),
        {
            "text_encoder": _CLIP_L,
            "unet": Part("diffusers", "UNet2DConditionModel", _UNET_CONFIG, _UNET_TINY),
            "vae": _VAE,
        },
        {"tokenizer": "clip"},
        {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    ),
    "instruct-pix2pix": Architecture(
        "StableDiffusionInstructPix2PixPipeline",
        ("EulerAncestralDiscreteScheduler", {**_BETAS, "steps_offset": 1}),
        {
            "text_encoder": _CLIP_L,
            "unet": Part("diffusers", "UNet2DConditionModel", {**_UNET_CONFIG, "in_channels": 8}, _UNET_TINY),
            "vae": _VAE,
        },
        {"tokenizer": "clip"},
        {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    ),
    "sdxl-turbo": Architecture(
        "StableDiffusionXLPipeline",
        ("EulerAncestralDiscreteScheduler", {**_BETAS, "steps_offset": 1, "timestep_spacing": "trailing"}),
        {
            "text_encoder": _CLIP_L,
            "text_encoder_2": _CLIP_G,
            "unet": Part(
                "diffusers",
                "UNet2DConditionModel",
                {
                    **_UNET_CONFIG,
                    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
                    "block_out_channels": [320, 640, 1280],
                    "attention_head_dim": [5, 10, 20],
                    "cross_attention_dim": 2048,
                    "transformer_layers_per_block": [1, 2, 10],
                    "use_linear_projection": True,
                    "addition_embed_type": "text_time",
                    "addition_time_embed_dim": 256,
                    "projection_class_embeddings_input_dim": 2816,
                },
                {
                    **_UNET_TINY,
                    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
                    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
                    "cross_attention_dim": 32,
                    "attention_head_dim": [2, 4],
                    "transformer_layers_per_block": [1, 1],
                    "addition_time_embed_dim": 8,
                    "projection_class_embeddings_input_dim": 64,
                },
            ),
            "vae": Part("diffusers", "AutoencoderKL", {**_VAE_CONFIG, "scaling_factor": 0.13025}, _VAE_TINY),
        },
        {"tokenizer": "clip", "tokenizer_2": "clip"},
        {"force_zeros_for_empty_prompt": True, "add_watermarker": False},
    ),
    "flux-schnell": Architecture(
        "FluxPipeline",
        ("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000, "shift": 1.0}),
        {
            "text_encoder": _CLIP_L,
            "text_encoder_2": _T5_XXL,
            "transformer": Part(
                "diffusers",
                "FluxTransformer2DModel",
                {
                    "patch_size": 1,
                    "in_channels": 64,
                    "num_layers": 19,
                    "num_single_layers": 38,
                    "attention_head_dim": 128,
                    "num_attention_heads": 24,
                    "joint_attention_dim": 4096,
                    "pooled_projection_dim": 768,
                    "guidance_embeds": False,
                },
                {
                    "in_channels": 16,
                    "num_layers": 1,
                    "num_single_layers": 1,
                    "attention_head_dim": 16,
                    "num_attention_heads": 2,
                    "joint_attention_dim": 16,
                    "pooled_projection_dim": 16,
                    "axes_dims_rope": [4, 4, 8],
                },
            ),
            "vae": Part(
                "diffusers",
                "AutoencoderKL",
                {
                    **_VAE_CONFIG,
                    "latent_channels": 16,
                    "sample_size": 1024,
                    "scaling_factor": 0.3611,
                    "shift_factor": 0.1159,
                    "use_quant_conv": False,
                    "use_post_quant_conv": False,
                },
                {**_VAE_TINY, "latent_channels": 4},
            ),
        },
        {"tokenizer": "clip", "tokenizer_2": "t5"},
        {},
    ),
}
"""Pipelines by name."""


def architecture(name: str) -> Architecture:
    """The pipeline of that name. Raises UserError for a name that is not in ARCHITECTURES."""
    if name not in ARCHITECTURES:
        raise UserError(f"there is no diffusion architecture {name!r}: choose one of {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def build_part(part: Part, tiny: bool = False) -> "nn.Module":
    """The component with fresh weights, on torch's default device (under `torch.device("meta")`: none at all)."""
    if part.library == "diffusers":
        import diffusers

        return getattr(diffusers, part.cls).from_config(part.settings(tiny))
    import transformers

    cls = getattr(transformers, part.cls)
    return cls(cls.config_class(**part.settings(tiny)))


def component_sizes(name: str, tiny: bool = False) -> dict[str, int]:
    """Number of parameters of each component, counted on torch's meta device: nothing is allocated or read."""
    import torch

    with torch.device("meta"):
        return {
            component: sum(parameter.numel() for parameter in build_part(part, tiny).parameters())
            for component, part in architecture(name).parts.items()
        }


def parameter_bytes(name: str, dtype: "torch.dtype", tiny: bool = False) -> dict[str, int]:
    """Bytes of each component's parameters in that dtype."""
    return {component: count * dtype.itemsize for component, count in component_sizes(name, tiny).items()}


T5_LENGTH = {False: 512, True: 128}
"""Tokens that the T5 encoder reads, by whether it is a tiny one."""


def random_pipeline(
    name: str, directory: Path, tiny: bool = False, seed: int = 0, dtype: "torch.dtype | None" = None
) -> Path:
    """Writes a diffusers folder of that architecture with random weights, and returns its path.

    A part's weights depend on its class, configuration and `seed` alone: pipelines that have a part in common have
    the same weights in it. dtype: float32 unless told. Raises UserError for an unknown name.
    """
    import diffusers
    import torch

    from . import tokenizers

    with quiet():
        plan = architecture(name)
        parts = {}
        for component, part in plan.parts.items():
            facts = f"{part.cls} {sorted(part.settings(tiny).items())} {seed}"
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int.from_bytes(hashlib.sha256(facts.encode()).digest()[:4], "big"))
                parts[component] = build_part(part, tiny).to(dtype or torch.float32).eval()
        readers = {}
        for argument, kind in plan.tokenizers.items():
            if kind == "t5":
                # T5's vocabulary comes with its weights only; random weights read letter by letter.
                readers[argument] = tokenizers.tiny_t5_tokenizer(T5_LENGTH[tiny])
            else:
                readers[argument] = tokenizers.tiny_clip_tokenizer() if tiny else tokenizers.clip_tokenizer()
        cls, config = plan.scheduler
        scheduler = getattr(diffusers, cls)(**config)
        pipeline = getattr(diffusers, plan.pipeline)(**parts, **readers, **plan.arguments, scheduler=scheduler)
        pipeline.save_pretrained(directory, safe_serialization=True)
    return directory
