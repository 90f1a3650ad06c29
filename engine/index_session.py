"""Building an index for a person: defaults from the machine, progress with rate and time left, a summary."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ..models.caches import cache_directory
from ..models.errors import UserError
from ..models.synthetic_target import SyntheticTarget
from ..models.targets import Target, Unit, check_layers
from .captions import MODES, CaptionFilter, caption_filter, load_synonyms
from .dataset import Dataset, open_dataset
from .detector_options import DetectorOptions
from .exemplars import SAMPLES, ExemplarIndex
from .index_build import BATCH, BuildOptions, build_index, processes
from .index_pass import SceneTarget
from .progress import advance_to, progress_bars
from .targets import NetworkTarget, device_of, load_target

OFF, _, EMBEDDING = MODES

SHOWN_PROBLEMS = 5
"""Bad images that the summary names; problems.jsonl has all."""


def options_of(
    batch: int | None, chunk: int | None, positions: int | None, workers: int | None, shard: str
) -> BuildOptions:
    """Options as a person gives them. positions: 0 means all. Raises UserError for a shard that is not "i/n"."""
    place, _, count = shard.partition("/")
    if not (place.isdecimal() and count.isdecimal()):
        raise UserError(f"{shard!r} is no shard: write i/n, such as 0/4 for the first of four.")
    return BuildOptions(
        batch=batch or BATCH,
        samples=SAMPLES if positions is None else positions or None,
        chunk=chunk,
        workers=processes() if workers is None else workers,
        shard=(int(place), int(count)),
    )


def build_with_progress(
    console: Console,
    target: str,
    data: str,
    layers: str | None,
    out: Path,
    options: BuildOptions,
    weights: str | None,
    device: str | None,
    dtype: str | None,
    threads: int | None,
    cache: Path | None,
    detector: str | None = None,
    captions: str = "off",
    synonyms: Path | None = None,
) -> ExemplarIndex | None:
    """Builds, and says what it works on, how fast, and what came of it. Raises UserError for what a person can mend."""
    from ..models.testbed.world import World

    dataset = open_dataset(data, listing=cache_directory() / "listings", cache=cache)
    chosen = None if detector is None else DetectorOptions.read(detector)
    loaded = load_target(target, World(), weights, device, dtype, threads or processes(), chosen)
    named = _layers(loaded, layers)
    options = replace(options, captions=_caption_filter(captions, synonyms, loaded, dataset, named))
    console.print(f"Data: {dataset.description} ({dataset.kind}).", highlight=False, soft_wrap=True)
    console.print(_machine(loaded, options), highlight=False, soft_wrap=True)
    with progress_bars(console) as bars:
        task = bars.add_task("images", total=len(dataset), rate="")

        def progress(done: int, _total: int) -> None:
            advance_to(bars, task, done, "images")

        index = build_index(loaded, dataset, named, out, options, progress)
    if index is None:
        console.print(f"Shard {options.shard[0]} of {options.shard[1]} is built; the index waits for the others.")
    else:
        console.print(summary(index))
        _print_problems(console, dataset, index)
        console.print(f"Index: {out}", soft_wrap=True)
    return index


def _layers(target: object, layers: str | None) -> list[str]:
    if layers is not None:
        return [layer.strip() for layer in layers.split(",") if layer.strip()]
    return list(target.network.layers if isinstance(target, NetworkTarget) else target.layers)  # type: ignore[attr-defined]


def _caption_filter(
    mode: str, synonyms: Path | None, target: Target, dataset: Dataset, layers: Sequence[str]
) -> CaptionFilter | None:
    """None for "off". Raises UserError for a mode that there is not, and for a target that reads no captions."""
    if mode == OFF and synonyms is None:
        return None
    if not isinstance(target, SyntheticTarget) or isinstance(target, SceneTarget):
        raise UserError(
            f"captions choose what a detector of pictures is asked, and {target.name} asks none: leave --captions out."
        )
    check_layers(target, layers)
    words = None if synonyms is None else load_synonyms(synonyms)
    embed, model = None, None
    if mode == EMBEDDING:
        from ..models.text_embeddings import load_embedder

        embedder = load_embedder()
        embed, model = embedder.embed, embedder.fingerprint
    return caption_filter(mode, dataset, target.concepts(layers), synonyms=words, embed=embed, model=model)


def _machine(target: object, options: BuildOptions) -> str:
    if isinstance(target, SceneTarget):
        return "The target reads scenes: nothing is drawn."
    if isinstance(target, SyntheticTarget):
        mode = "off" if options.captions is None else options.captions.describe()["mode"]
        return f"Target: synthetic neurons by a detector on {device_of(target)}; caption filter: {mode}."
    assert isinstance(target, NetworkTarget)
    if target.device.type == "cuda":
        where = f"{torch.cuda.get_device_name(target.device)}, kernels in Triton"
    else:
        where = f"CPU ({target.threads} thread{'s' * (target.threads > 1)}), kernels in torch"
    decoding = f"{options.workers} decoding processes" if options.workers else "decoding in this process"
    return f"Target: {target.network.description}; on {where}, batches of {options.batch}; {decoding}."


def summary(index: ExemplarIndex) -> Table:
    """What an index holds."""
    images = index.manifest.images
    title = f"{index.facts.target} over {index.manifest.dataset}: {images['read']} of {images['entries']} images"
    table = Table("layer", "units", "dead", "saturated", title=title)
    for layer, count in index.layers.items():
        statuses = [index.status(Unit(index.facts.target, layer, place)) for place in range(count)]
        table.add_row(layer, str(count), str(statuses.count("dead")), str(statuses.count("saturated")))
    return table


def _print_problems(console: Console, dataset: Dataset, index: ExemplarIndex) -> None:
    bad = index.manifest.images["bad"]
    if bad:
        reasons = ", ".join(f"{count} {reason}" for reason, count in bad.items())
        console.print(f"Not read: {reasons} (problems.jsonl names them).", highlight=False, soft_wrap=True)
    if dataset.skipped:
        passed: Sequence[str] = [f"{count} {ending}" for ending, count in dataset.skipped.items()]
        console.print(f"No pictures, passed over: {', '.join(passed)}.", highlight=False, soft_wrap=True)
