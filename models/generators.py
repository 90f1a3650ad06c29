"""Pictures from text, and edits of pictures, by diffusers pipelines from local files: docs/generators.md."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image

from .diffusion.components import PipelineComponent, components_of, hold_once
from .diffusion.folder import load_folder, pipeline_class, read_index
from .diffusion.options import GeneratorOptions
from .diffusion.pictures import picture_generator, square_rgb, to_image, why_broken
from .diffusion.prompts import fit_prompt, window
from .diffusion.quiet import quiet
from .diffusion.settings import (
    call_parameters,
    denoiser,
    picture_size,
    set_attention,
    set_layout,
    set_sampler,
    torch_dtype,
)
from .diffusion.single_file import load_single_file
from .errors import ExperimentError, UserError
from .networks.weights import VARIABLE, weights_directory

__all__ = ["EditGenerator", "GeneratorOptions", "Picture", "TextToImageGenerator", "load_editor", "load_text_to_image"]

EDITING = "StableDiffusionInstructPix2PixPipeline"
"""The class of diffusers that edits."""

ENCODERS = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"), ("tokenizer_3", "text_encoder_3"))


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture, RGB. note: what its asker has to be told (what of the prompt was not read); "" if nothing."""

    image: Image.Image
    note: str = ""


@dataclass(frozen=True, eq=False)
class Job:
    """What one picture is drawn from, checked. image: RGB of the pipeline's size where one is edited."""

    prompt: str
    seed: int
    note: str = ""
    image: Image.Image | None = None


class _Generator:
    """A pipeline that draws batches. batch: pictures of one at most (less than the options' after memory ran out).

    memory_halvings: how often the batch was halved because memory ran out. components: the parts with weights.
    One call at a time: a pipeline's sampler has a state.
    """

    def __init__(self, pipeline: Any, options: GeneratorOptions, device: torch.device, source: str) -> None:
        self.pipeline, self.options, self.source = pipeline, options, source
        self.dtype = torch_dtype(options, device)
        set_sampler(pipeline, options, source)
        self.size = picture_size(pipeline, options, source)
        set_attention(pipeline, options, device)
        set_layout(pipeline, options, device)
        pipeline.set_progress_bar_config(disable=True)
        self.components: tuple[PipelineComponent, ...] = components_of(pipeline, source)
        self.batch = options.max_batch
        self.memory_halvings = 0
        self._takes = call_parameters(type(pipeline))
        sequence = self._takes["max_sequence_length"].default if "max_sequence_length" in self._takes else None
        self._readers = [
            (tokenizer, window(tokenizer, getattr(pipeline, encoder, None), sequence))
            for name, encoder in ENCODERS
            if (tokenizer := getattr(pipeline, name, None)) is not None
        ]
        # It tells how much the last encoder reads, which is the one without fixed positions.
        self._sequence = min([sequence, *(limit for _, limit in self._readers[-1:])]) if sequence else None

    @property
    def safety_checker(self) -> bool:
        """Whether pictures that a checker flags are withheld."""
        return getattr(self.pipeline, "safety_checker", None) is not None

    @property
    def description(self) -> str:
        """One line: what draws, and how."""
        options = self.options
        sampler = type(self.pipeline.scheduler).__name__
        parts = [
            f"{type(self.pipeline).__name__} of {self.source}",
            f"{self.size} x {self.size} pixels",
            f"{options.steps} steps of {sampler}",
            f"guidance {options.guidance:g}",
            str(self.dtype).removeprefix("torch."),
            f"attention {options.attention}",
            f"safety checker {'on' if self.safety_checker else 'off'}",
        ]
        return ", ".join(parts)

    def _sharing(self, others: "Iterable[_Generator]") -> Self:
        hold_once(self.components, [component for other in others for component in other.components])
        return self

    def to(self, device: str | torch.device) -> Self:
        """Moves the weights, for use without the scheduler. Returns itself."""
        with quiet():
            self.pipeline.to(device)
        return self

    def floats(self, jobs: Sequence[Job]) -> tuple[torch.Tensor, list[bool]]:
        """(pictures float32 [N, 3, size, size] in [0, 1] on the CPU, whether the safety checker flags each).

        One call of the pipeline with all jobs, with fixed_batch filled up to `batch` rows. Raises
        torch.OutOfMemoryError, and ValueError for more than `batch` jobs.
        """
        if not 0 < len(jobs) <= self.batch:
            raise ValueError(f"{len(jobs)} pictures in a batch of at most {self.batch}")
        rows = [*jobs, *[jobs[0]] * (self.batch - len(jobs))] if self.options.fixed_batch else list(jobs)
        with quiet(), torch.no_grad():
            drawn = self.pipeline(**self._arguments(rows))
        flags = getattr(drawn, "nsfw_content_detected", None) or [False] * len(rows)
        return drawn.images[: len(jobs)].float().cpu(), [bool(flag) for flag in flags[: len(jobs)]]

    def _arguments(self, rows: Sequence[Job]) -> dict[str, Any]:
        randoms = [picture_generator(row.seed) for row in rows]
        arguments: dict[str, Any] = {
            "prompt": [row.prompt for row in rows],
            "num_inference_steps": self.options.steps,
            "generator": randoms,
            "output_type": "pt",
        }
        if "guidance_scale" in self._takes:
            arguments["guidance_scale"] = self.options.guidance
        if "image" in self._takes:
            arguments["image"] = [row.image for row in rows]
            arguments["image_guidance_scale"] = self.options.image_guidance
        else:
            arguments["height"] = arguments["width"] = self.size
        if self._sequence is not None:
            arguments["max_sequence_length"] = self._sequence
        if denoiser(self.pipeline) == "unet":
            # Drawn in float32 on the CPU whatever the pipeline computes in, so that a seed means one noise.
            side = self.size // self.pipeline.vae_scale_factor
            shape = (1, self.pipeline.vae.config.latent_channels, side, side)
            noise = torch.cat([torch.randn(shape, generator=random) for random in randoms])
            arguments["latents"] = noise.to(self.pipeline._execution_device, self.dtype)
        return arguments

    def draw(self, jobs: Sequence[Job]) -> list[Picture | ExperimentError]:
        """A picture, or why there is none, for each job of one batch. Raises what `floats` raises."""
        numbers, flags = self.floats(jobs)
        return [self._finished(*row) for row in zip(jobs, numbers, flags, strict=True)]

    def _finished(self, job: Job, numbers: torch.Tensor, flagged: bool) -> Picture | ExperimentError:
        if flagged:
            return ExperimentError("the model's safety checker withheld the picture: ask for something else.")
        if broken := why_broken(numbers):
            return ExperimentError(
                f"the image model computed {broken} in place of a picture ({str(self.dtype).removeprefix('torch.')} "
                "may have overflowed: a person can choose dtype bf16 or fp32); try another prompt or seed."
            )
        return Picture(to_image(numbers), job.note)

    def draw_all(self, jobs: Sequence[Job | ExperimentError]) -> list[Picture | ExperimentError]:
        """Any number of jobs, in batches; errors stay in their places. Where memory runs out, batches are halved.

        The smaller batch is kept for later calls, and `memory_halvings` counts. Raises UserError where not even one
        picture fits.
        """
        results: list[Picture | ExperimentError | None] = [
            job if isinstance(job, ExperimentError) else None for job in jobs
        ]
        waiting = [(place, job) for place, job in enumerate(jobs) if isinstance(job, Job)]
        while waiting:
            batch = waiting[: self.batch]
            drawn = self._draw_if_it_fits([job for _, job in batch])
            if drawn is None:
                self.after_out_of_memory(len(batch))
                continue
            for (place, _), result in zip(batch, drawn, strict=True):
                results[place] = result
            waiting = waiting[len(batch) :]
        return [result for result in results if result is not None]

    def _draw_if_it_fits(self, jobs: Sequence[Job]) -> list[Picture | ExperimentError] | None:
        # The error is let go here: as long as it lives, its frames hold the tensors of the batch that did not fit.
        try:
            return self.draw(jobs)
        except torch.OutOfMemoryError:
            return None

    def after_out_of_memory(self, pictures: int) -> None:
        """Halves `batch` after a batch of so many pictures did not fit. Raises UserError where it was one row."""
        rows = self.batch if self.options.fixed_batch else pictures
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if rows == 1:
            raise UserError(
                f"the device's memory does not hold one picture of {self.size} x {self.size} pixels of {self.source}: "
                "set a smaller size or vae_slicing: true, or free memory."
            )
        self.batch = rows // 2
        self.memory_halvings += 1

    def _fitted(self, text: str, seed: int, what: str, image: Image.Image | None) -> Job:
        prompt, note = fit_prompt(text, self._readers, what)
        return Job(prompt, seed, note, image)


class TextToImageGenerator(_Generator):
    """Draws pictures from prompts."""

    def job(self, prompt: str, seed: int) -> Job:
        """What is drawn for a prompt: cut where it is too long. Raises ExperimentError for an empty one."""
        return self._fitted(prompt, seed, "prompt", None)

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Picture | ExperimentError]:
        """A picture for each (prompt, seed), in order, or the error of that item.

        The same (prompt, seed) gives the same picture in any batch up to rounding (with fixed_batch: the same bits).
        Raises UserError where not even one picture fits in memory, ValueError for lists of unequal lengths.
        """
        return self.draw_all([_tried(self.job, *item) for item in zip(prompts, seeds, strict=True)])


class EditGenerator(_Generator):
    """Edits pictures by instructions."""

    def job(self, image: Image.Image, instruction: str, seed: int) -> Job:
        """What is drawn for an edit. Raises ExperimentError for an empty instruction or an image that cannot be one."""
        return self._fitted(instruction, seed, "instruction", square_rgb(image, self.size))

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Picture | ExperimentError]:
        """An edited picture for each (image, instruction, seed), in order, or the error of that item.

        As `TextToImageGenerator.generate`. What images are accepted: `diffusion.pictures.square_rgb`.
        """
        return self.draw_all([_tried(self.job, *item) for item in zip(images, instructions, seeds, strict=True)])


def _tried(job: Any, *arguments: Any) -> Job | ExperimentError:
    try:
        return job(*arguments)
    except ExperimentError as problem:
        return problem


def load_text_to_image(
    options: GeneratorOptions, device: str | torch.device = "cpu", share_with: Iterable[_Generator] = ()
) -> TextToImageGenerator:
    """The text-to-image pipeline that the options name, its weights on the CPU.

    device: where it will run: number format, layout and attention are chosen and checked for it. share_with:
    generators whose parts of the same weights are used instead of a second copy. Raises UserError that names the
    file or option that is wrong.
    """
    return TextToImageGenerator(*_load(options, device, "stable-diffusion-v1-5", edits=False))._sharing(share_with)


def load_editor(
    options: GeneratorOptions, device: str | torch.device = "cpu", share_with: Iterable[_Generator] = ()
) -> EditGenerator:
    """The editing pipeline (InstructPix2Pix) that the options name; otherwise as `load_text_to_image`."""
    return EditGenerator(*_load(options, device, "instruct-pix2pix", edits=True))._sharing(share_with)


def _load(
    options: GeneratorOptions, device: str | torch.device, name: str, edits: bool
) -> tuple[Any, GeneratorOptions, torch.device, str]:
    place = torch.device(device)
    dtype = torch_dtype(options, place)
    path = options.path.expanduser() if options.path is not None else weights_directory() / name
    if not path.exists():
        raise UserError(
            f"there is no model at {path}: put the diffusers folder of {name} there, or set path to a folder or a "
            f".safetensors file (${VARIABLE} names the directory of all weights)."
        )
    with quiet():
        if path.is_file():
            if options.safety_checker:
                raise UserError(
                    f"{path} holds no safety checker: set safety_checker to false, or use a folder with one."
                )
            return load_single_file(path, options.config, dtype, edits), options, place, str(path)
        _check_task(path, edits)
        return load_folder(path, dtype, options.safety_checker), options, place, str(path)


def _check_task(folder: Path, edits: bool) -> None:
    """Raises UserError for a folder whose pipeline does something else, before its weights are read."""
    cls = pipeline_class(read_index(folder), folder)
    if edits and cls.__name__ != EDITING:
        raise UserError(f"{folder} is a {cls.__name__}, which does not edit by instruction: name a {EDITING}.")
    takes = call_parameters(cls)
    if not edits and ("prompt" not in takes or "image" in takes):
        raise UserError(
            f"{folder} is a {cls.__name__}, which does not draw from text alone: name a text-to-image model."
        )
