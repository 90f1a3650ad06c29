"""Building an exemplar index: chunk by chunk, by one process or several, stopped and resumed, always the same bytes."""

import fcntl
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..models.errors import UserError
from ..models.files import write_whole
from ..models.synthetic_target import SyntheticTarget
from ..models.targets import Target, check_layers
from .captions import AskAll, CaptionFilter
from .dataset import Dataset, View
from .exemplars import EXEMPLARS, REMEDY, SAMPLES, ExemplarIndex, IndexFacts, Manifest, check_facts
from .index_files import (
    is_damaged,
    list_parts,
    missing_ranges,
    read_best,
    without_overlap,
    write_part,
)
from .index_merge import merge_files
from .index_pass import DetectorPass, IndexPass, NetworkPass, ScenePass, SceneTarget
from .memory import freed_blocks_kept
from .targets import NetworkTarget, device_of

BATCH = 32
"""Images of a forward."""

CHUNK = {"cpu": 512, "cuda": 4096}
"""Images of a part by device: what a killed build loses at most. A GPU does its chunk in seconds."""

STALE_S = 3600
"""Age in seconds at which an unfinished file of a part is taken for abandoned."""

PASS_FILE = "pass.json"
"""In a directory of parts: what they are of."""

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class BuildOptions:
    """How a pass runs. None of these changes the index but batch, k, samples and captions, which its manifest names.

    captions: decides which images a concept detector is asked about (None: all); the index's facts name it.

    chunk: images of a part, None: CHUNK. workers: processes that decode; 0 decodes in this one. shard: (i, n): this
    process does every n-th chunk from the i-th.
    """

    batch: int = BATCH
    k: int = EXEMPLARS
    samples: int | None = SAMPLES
    chunk: int | None = None
    workers: int = 0
    shard: tuple[int, int] = (0, 1)
    captions: CaptionFilter | None = None

    def __post_init__(self) -> None:
        place, count = self.shard
        if not 0 <= place < count:
            raise UserError(f"there is no shard {place} of {count}: the first is 0, the last {count - 1}.")


@dataclass(frozen=True)
class _Pass:
    """What a directory of parts is of. dataset: its name, for people. skipped: its files that are no entries."""

    layers: list[str]
    facts: IndexFacts
    arithmetic: dict[str, Any]
    dataset: str
    skipped: dict[str, int]

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    @classmethod
    def read(cls, parts: Path) -> "_Pass":
        """Raises UserError if it is missing or damaged."""
        try:
            data = json.loads((parts / PASS_FILE).read_bytes())
            return cls(
                data["layers"], IndexFacts(**data["facts"]), data["arithmetic"], data["dataset"], data["skipped"]
            )
        except (OSError, ValueError, TypeError, KeyError):
            raise UserError(f"{parts / PASS_FILE} is missing or damaged: delete {parts} and build again.") from None


def facts_of(target: Target, dataset: Dataset, options: BuildOptions) -> IndexFacts:
    """What the index of this target over this dataset is of."""
    return IndexFacts(
        target.name,
        target.fingerprint,
        dataset.kind,
        dataset.fingerprint,
        len(dataset),
        target.mask_threshold,
        options.k,
        options.samples if target.mask_threshold is None else None,
        captions=None if options.captions is None else options.captions.describe(),
    )


def arithmetic_of(target: Target, options: BuildOptions) -> dict[str, Any]:
    """What the bits of activations depend on besides target and image."""
    if isinstance(target, SceneTarget):
        return {"device": "none"}
    if not isinstance(target, NetworkTarget):
        return {"device": device_of(target).type, "torch": torch.__version__}
    found: dict[str, Any] = {
        "device": target.device.type,
        "dtype": str(target.dtype).removeprefix("torch."),
        "batch": options.batch,
        "torch": torch.__version__,
    }
    if target.device.type == "cuda":
        return found | {"gpu": torch.cuda.get_device_name(target.device)}
    return found | {"threads": target.threads, "instructions": torch.backends.cpu.get_cpu_capability()}


def build_index(
    target: Target,
    dataset: Dataset,
    layers: Sequence[str],
    directory: Path,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> ExemplarIndex | None:
    """The index of these layers over the dataset, in `directory`; layers that it has already are not built again.

    One pass over the images for all missing layers. A build that was stopped or killed goes on after its last whole
    parts. Several processes may build shards of one index at once; the one that ends last merges, and the others get
    None. Raises UserError for unknown layers, an empty dataset, or a directory that holds another index.
    """
    options = options or BuildOptions()
    check_layers(target, layers)
    if len(dataset) < 1:
        raise UserError(f"the dataset {dataset.name} holds no images: give at least one.")
    facts = facts_of(target, dataset, options)
    directory.mkdir(parents=True, exist_ok=True)
    sharded = options.shard[1] > 1
    with lock(directory / ".lock", shared=sharded):
        missing = _missing_layers(directory, facts, layers)
        if missing:
            arithmetic = arithmetic_of(target, options)
            parts = parts_directory(directory, facts, arithmetic, missing)
            parts.mkdir(parents=True, exist_ok=True)
            described = _Pass(missing, facts, arithmetic, dataset.name, dataset.skipped)
            write_whole(parts / PASS_FILE, described.to_json())
            with lock(parts / f".shard-{options.shard[0]}-{options.shard[1]}.lock"):
                _run_pass(target, dataset, missing, parts, options, progress)
        if not sharded:
            return _finished(directory, target, dataset, facts, layers, options)
    try:  # whoever comes last finds all parts: each shard has written its own before it lets go of the shared lock
        with lock(directory / ".lock", wait=False):
            return _finished(directory, target, dataset, facts, layers, options)
    except BlockingIOError:
        return None


def _missing_layers(directory: Path, facts: IndexFacts, layers: Sequence[str]) -> list[str]:
    if not (directory / "manifest.json").exists():
        return list(dict.fromkeys(layers))
    manifest = Manifest.read(directory)
    check_facts(manifest.facts, facts, directory)
    return [layer for layer in dict.fromkeys(layers) if layer not in manifest.layers]


def parts_directory(directory: Path, facts: IndexFacts, arithmetic: Mapping[str, Any], layers: Sequence[str]) -> Path:
    """Where the parts of a pass over these layers are: parts of another pass are never taken for them."""
    text = json.dumps([asdict(facts), dict(arithmetic), sorted(layers)], sort_keys=True)
    return directory / "parts" / hashlib.sha256(text.encode()).hexdigest()[:16]


def _passing(target: Target, dataset: Dataset, layers: Sequence[str], options: BuildOptions) -> IndexPass:
    if isinstance(target, SceneTarget):
        if dataset.kind != "testbed":
            raise UserError(
                f"{target.name} answers rendered scenes only: build its index over the dataset testbed, not "
                f"{dataset.name}."
            )
        from ..models.testbed.dataset import dataset_scene  # here, so that other datasets need no skia

        return ScenePass(target, {layer: target.layers[layer] for layer in layers}, options.k, dataset_scene)
    pictures = not dataset.embedded
    if isinstance(target, SyntheticTarget):
        return DetectorPass(target, layers, options.k, options.batch, options.captions or AskAll(), pictures)
    assert isinstance(target, NetworkTarget)
    return NetworkPass(target, layers, options.k, options.samples, options.batch, pictures)


def _run_pass(
    target: Target,
    dataset: Dataset,
    layers: Sequence[str],
    parts: Path,
    options: BuildOptions,
    progress: Progress | None,
) -> None:
    """Writes the parts of this shard that are not there yet."""
    ranges = list(_wanted(target, dataset, parts, options))
    total = len(dataset)
    done = total - sum(stop - first for first, stop in ranges)
    running = _passing(target, dataset, layers, options)
    for file in list_parts(parts):
        for layer, state in running.states.items():
            state.know(read_best(file, layer))

    def advance(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(done, total)

    advance(0)
    if not ranges:
        return
    ordinals = [ordinal for first, stop in ranges for ordinal in range(first, stop)]
    with freed_blocks_kept(), _decoded(dataset, ordinals, _view_of(target), options) as decoded:
        for first, stop in ranges:
            write_part(parts, first, stop, running.run(dataset, range(first, stop), decoded, advance))


def _view_of(target: Target) -> View | None:
    """What is decoded of each picture; None for a target that reads scenes."""
    if isinstance(target, SceneTarget):
        return None
    return target.network.preprocess if isinstance(target, NetworkTarget) else target.square  # type: ignore[attr-defined]


@contextmanager
def _decoded(dataset: Dataset, ordinals: Sequence[int], view: View | None, options: BuildOptions) -> Iterator[Any]:
    if view is None:
        yield iter(())
        return
    with dataset.decoded(ordinals, view, options.workers) as decoded:
        yield iter(decoded)


def _wanted(target: Target, dataset: Dataset, parts: Path, options: BuildOptions) -> Iterator[tuple[int, int]]:
    """Ranges of this shard that no whole part covers, cut at the chunks' borders. Damaged parts are removed."""
    chunk = options.chunk or CHUNK[device_of(target).type]
    for temporary in parts.glob(".*.tmp"):  # of a write that was killed, or of another machine's that goes on
        if time.time() - temporary.stat().st_mtime > STALE_S:
            temporary.unlink(missing_ok=True)
    whole = []
    for file in list_parts(parts):
        try:
            damaged = is_damaged(file)
        except FileNotFoundError:  # another shard's process was here first
            continue
        if damaged:
            warnings.warn(f"the part {file.path} of an interrupted build is damaged; it is built again", stacklevel=2)
            file.path.unlink(missing_ok=True)
        else:
            whole.append(file)
    place, count = options.shard
    for number, first in enumerate(range(0, len(dataset), chunk)):
        if number % count == place:
            yield from missing_ranges(without_overlap(whole), first, min(first + chunk, len(dataset)))


def _finished(
    directory: Path,
    target: Target,
    dataset: Dataset,
    facts: IndexFacts,
    layers: Sequence[str],
    options: BuildOptions,
) -> ExemplarIndex | None:
    """Merges the parts if all are there; None if other shards have still to be built."""
    missing = _missing_layers(directory, facts, layers)
    if missing:
        arithmetic = arithmetic_of(target, options)
        files = without_overlap(list_parts(parts_directory(directory, facts, arithmetic, missing)))
        if missing_ranges(files, 0, facts.dataset_size):
            return None
        merge_files(directory, files, missing, facts, arithmetic, dataset.name, dataset.skipped)
    _remove_leftovers(directory)
    return ExemplarIndex.open(directory, facts, layers)


def _remove_leftovers(directory: Path) -> None:
    """Removes the parts of layers that the index has, and what writes that were killed left. Needs the lock."""
    layers = Manifest.read(directory).layers
    for parts in (directory / "parts").glob("*"):
        if not (parts / PASS_FILE).exists() or set(_Pass.read(parts).layers) <= layers.keys():
            shutil.rmtree(parts)
    if (directory / "parts").exists() and not any((directory / "parts").iterdir()):
        (directory / "parts").rmdir()
    for temporary in (*directory.glob(".*.tmp"), *(directory / "layers").glob(".*.tmp")):
        temporary.unlink()


@contextmanager
def lock(path: Path, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """A lock that ends with the process, however it ends. Raises BlockingIOError if it is held and wait is False."""
    with path.open("a") as file:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield


def merge_indexes(sources: Sequence[Path], directory: Path) -> ExemplarIndex:
    """The index from parts that were built into several directories (machines without a common disk).

    Raises UserError if images are missing, naming their ranges, or if the directories hold parts of different
    passes, naming what differs.
    """
    passes = {parts.name: _Pass.read(parts) for source in sources for parts in sorted((source / "parts").glob("*"))}
    if not passes:
        raise UserError(
            f"there are no parts of an index in {', '.join(map(str, sources))}: give the --out directories of "
            "`maia index build --shard i/n`."
        )
    (name, described), *others = passes.items()
    for _, other in others:
        _refuse_difference(described, other)
    directory.mkdir(parents=True, exist_ok=True)
    with lock(directory / ".lock"):
        parts = directory / "parts" / name
        parts.mkdir(parents=True, exist_ok=True)
        write_whole(parts / PASS_FILE, described.to_json())
        for file in (file for source in sources for file in list_parts(source / "parts" / name)):
            if not (parts / file.path.name).exists():
                write_whole(parts / file.path.name, file.path.read_bytes())
        files = without_overlap(list_parts(parts))
        if gaps := missing_ranges(files, 0, described.facts.dataset_size):
            shown = ", ".join(f"{first}-{stop - 1}" for first, stop in gaps[:5])
            raise UserError(
                f"the parts in {', '.join(map(str, sources))} lack the images {shown}: build the shards that are "
                "missing, then merge again."
            )
        missing = _missing_layers(directory, described.facts, described.layers)
        if missing != described.layers and missing:
            raise UserError(f"{directory} holds some of these layers already: give another directory.")
        if missing:
            names = (described.dataset, described.skipped)
            merge_files(directory, files, missing, described.facts, described.arithmetic, *names)
        _remove_leftovers(directory)
    return ExemplarIndex.open(directory, described.facts, described.layers)


def _refuse_difference(one: _Pass, other: _Pass) -> None:
    mine, theirs = (asdict(p.facts) | p.arithmetic | {"layers": ", ".join(p.layers)} for p in (one, other))
    differing = [f"{n.replace('_', ' ')}: {mine.get(n)} and {theirs.get(n)}" for n in mine if mine[n] != theirs.get(n)]
    raise UserError(
        f"the parts are of different passes ({'; '.join(differing)}), and only equal ones merge to an index that does "
        "not depend on who built what: build all shards with the same options on the same kind of machine."
    )


def cached_index(
    target: Target, dataset: Dataset, layers: Sequence[str], directory: Path, progress: Progress | None = None
) -> ExemplarIndex:
    """The index under the cache directory, built there if it or a layer of it is missing."""
    options = BuildOptions(workers=1)  # the testbed draws ahead in one process
    where = directory / facts_of(target, dataset, options).key
    index = build_index(target, dataset, layers, where, options, progress)
    if index is None:
        raise UserError(f"the exemplar index {where} cannot be finished: {REMEDY.format(directory=where)}")
    return index


def processes() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))
