"""What options do to a pipeline: number format, sampler, attention, memory layout, compilation."""

import inspect
from typing import Any

import torch

from ..errors import UserError
from .options import GeneratorOptions

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def torch_dtype(options: GeneratorOptions, device: torch.device) -> torch.dtype:
    """The number format for the device: as chosen, else fp16 on a GPU and fp32 on the CPU.

    Raises UserError where the device cannot compute in it: fp16 needs a GPU, bf16 on a GPU needs compute capability 8.
    """
    chosen = options.dtype or ("fp16" if device.type == "cuda" else "fp32")
    if chosen == "fp16" and device.type != "cuda":
        raise UserError(f"dtype fp16 needs a GPU, and the device is {device}: choose fp32 or bf16, or leave dtype out.")
    if chosen == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        raise UserError(f"dtype bf16 needs compute capability 8 or more, and {device} has less: choose fp16 or fp32.")
    return DTYPES[chosen]


def set_sampler(pipeline: Any, options: GeneratorOptions, source: str) -> None:
    """Gives the pipeline its sampler, with the noise schedule that the checkpoint was saved with.

    Timesteps are spaced as each sampler was published for SD, or "trailing" where the checkpoint says so: other
    spacings in a file are often only defaults of the version that wrote it. Raises UserError for a checkpoint whose own
    sampler is of another kind (flow matching).
    """
    if options.sampler == "as-saved":
        return
    import diffusers

    # DDIM's defaults clip the latents to [-1, 1], which those of SD exceed; the other is as it was published for SD.
    cls, settings = {
        "dpm-solver++": (
            diffusers.DPMSolverMultistepScheduler,
            {"algorithm_type": "dpmsolver++", "solver_order": 2, "timestep_spacing": "linspace"},
        ),
        "ddim": (
            diffusers.DDIMScheduler,
            {"clip_sample": False, "set_alpha_to_one": False, "timestep_spacing": "leading"},
        ),
    }[options.sampler]
    saved = pipeline.scheduler
    if cls not in saved.compatibles and type(saved) is not cls:
        raise UserError(
            f"sampler {options.sampler} does not go with {source}, whose sampler is {type(saved).__name__}: choose "
            "sampler as-saved."
        )
    if saved.config.get("timestep_spacing") == "trailing":
        settings["timestep_spacing"] = "trailing"
    pipeline.scheduler = cls.from_config(saved.config, **settings)


def denoiser(pipeline: Any) -> str:
    """Name of the part that denoises: "unet" or "transformer"."""
    return "unet" if getattr(pipeline, "unet", None) is not None else "transformer"


def default_size(pipeline: Any) -> int | None:
    """Side in pixels of the pictures that the model was trained with; None where the checkpoint does not say."""
    factor = getattr(pipeline, "vae_scale_factor", None)
    sample = getattr(pipeline, "default_sample_size", None)
    unet = getattr(pipeline, "unet", None)
    if unet is not None:
        sample = unet.config.sample_size
    if isinstance(sample, list | tuple):
        sample = max(sample)
    return factor * sample if factor and sample else None


def picture_size(pipeline: Any, options: GeneratorOptions, source: str) -> int:
    """Side of the pictures in pixels. Raises UserError where it must be told, or is not what the model can draw."""
    size = options.size if options.size is not None else default_size(pipeline)
    if size is None:
        raise UserError(f"{source} does not say how large its pictures are: set size.")
    # Transformers take latents in patches of 2 x 2.
    step = getattr(pipeline, "vae_scale_factor", 8) * (1 if denoiser(pipeline) == "unet" else 2)
    if size % step:
        raise UserError(f"size {size} is not a multiple of {step} pixels: choose {max(step, size - size % step)}.")
    return size


def set_attention(pipeline: Any, options: GeneratorOptions, device: torch.device) -> None:
    """xformers where it is chosen, after one small attention with it. Raises UserError that says why it cannot run.

    "sdpa" is what diffusers computes with unless told otherwise (torch's scaled_dot_product_attention).
    """
    if options.attention != "xformers":
        return
    if problem := why_no_xformers(device):
        raise UserError(f"attention xformers cannot run here: {problem}; choose attention sdpa.")
    pipeline.enable_xformers_memory_efficient_attention()


def why_no_xformers(device: torch.device) -> str | None:
    """Why xformers cannot compute on the device; None where it has just done so."""
    if device.type != "cuda":
        return f"it needs a GPU, and the device is {device}"
    try:
        import xformers.ops
    except ImportError as problem:
        return f"it is not installed, or not for this torch {torch.__version__} ({problem})"
    try:
        rows = torch.zeros(1, 16, 2, 32, dtype=torch.float16, device=device)
        xformers.ops.memory_efficient_attention(rows, rows, rows)
    except Exception as problem:  # a missing extension is found only by using it, and raises what it likes
        return f"its extension does not work with this torch {torch.__version__} ({str(problem).splitlines()[0][:200]})"
    return None


def set_layout(pipeline: Any, options: GeneratorOptions, device: torch.device) -> None:
    """Channels-last weights of convolutions, where chosen; slicing of the VAE; compilation of the denoiser."""
    last = options.channels_last if options.channels_last is not None else device.type == "cuda"
    network = getattr(pipeline, denoiser(pipeline))
    if last:
        network.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    if options.vae_slicing:
        pipeline.vae.enable_slicing()
    if options.compile:
        # In place: parameters stay where the weight store swaps them.
        network.compile()


def call_parameters(pipeline: type) -> dict[str, inspect.Parameter]:
    """Arguments that pipelines of this class take."""
    return dict(inspect.signature(pipeline.__call__).parameters)
