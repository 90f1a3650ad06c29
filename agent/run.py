"""A run: units described into a directory, from a profile. `maia.describe` and the command line both come here."""

import asyncio
import contextlib
import fcntl
import json
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.assembly import assemble
from ..engine.detector_options import detector_of
from ..engine.exemplars import ExemplarIndex
from ..engine.profile import DESCRIBERS, Profile, load_profile
from ..engine.runners.generator import EDIT, TEXT_TO_IMAGE
from ..engine.scheduler import Scheduler
from ..engine.targets import load_target
from ..engine.vlm import Vlm, with_backbone
from ..engine.vlm_runner import close_model, model_counts
from ..models.caches import cache_directory
from ..models.errors import UserError
from ..models.files import write_whole
from ..models.registry import SCENE_TARGETS, SYNTHETIC
from ..models.targets import Target, Unit, parse_units
from .backbones.base import Backbone
from .backbones.registry import backbone_name, load_backbone, model_of, scripted_for
from .backbones.vlm import VlmBackbone
from .experiment import Progress, Settings, run_units
from .observer import Observer
from .run_facts import facts_of, joined
from .services import Models, Services, scheduler_of
from .transcript import Conclusion, ImageStore, Transcript, remove_unfinished

if TYPE_CHECKING:
    from ..models.testbed.world import World

# Of the running thread or task: another one in this process is refused as another process is.
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


class RunProgress:
    """Where progress is shown; this one shows nothing. See `agent.progress` for the terminal."""

    def index(self, target: str, done: int, total: int) -> None:
        """The exemplar index of a target: images done of total."""

    def unit(self, unit: Unit, transcript: Transcript) -> None:
        """A unit's transcript got a record."""

    def server(self, what: str) -> None:
        """A vision-language model is being started: what it is at."""

    def machine(self, scheduler: Scheduler) -> None:
        """Called every second while units run: what waits, what is loaded, how large batches are."""

    def scoring(self, done: int, total: int) -> None:
        """Labels scored of all."""


@dataclass
class Run:
    """A run with everything that later steps (scores, report) need. transcripts: of the units asked for, in order."""

    path: Path
    units: list[Unit]
    services: dict[str, Services]
    transcripts: list[Transcript]
    seed: int
    backbone: Backbone | None = None

    @property
    def labels(self) -> dict[str, list[str]]:
        """Labels of the units that reached a conclusion."""
        return {
            str(unit): transcript.end.labels
            for unit, transcript in zip(self.units, self.transcripts, strict=True)
            if isinstance(transcript.end, Conclusion)
        }

    def close(self) -> None:
        """Stop the server that this run has started, if it has. (It does not outlive this process in any case.)"""
        close_model(scheduler_of(self.services))


@dataclass
class Opened:
    """Units with what was loaded to know them, for one run. world: whose pictures targets see; targets: by name, those
    that are loaded already."""

    units: list[Unit]
    world: "World"
    targets: dict[str, Target] = field(default_factory=dict)


def open_units(units: str, target: str, profile: Profile) -> Opened:
    """The units that "layer=3,47:other=9" names, of that target, which is loaded: `describe` takes it from here."""
    from ..models.testbed.world import World

    world = World()
    loaded = open_target(target, world, profile)
    return Opened(parse_units(units, loaded), world, {target: loaded})


def open_services(
    targets: Sequence[str],
    layers: dict[str, list[str]],
    profile: Profile,
    out: Path,
    progress: RunProgress,
    vlm: Vlm | None = None,
    known: Opened | None = None,
) -> dict[str, Services]:
    """Load each target with its exemplar index (built on first use, kept in the cache), and one scheduler for all.

    vlm: the profile's vision-language model, if a backbone uses it. known: what is loaded already. An index that has to
    be built is built before the scheduler starts, with nothing else on the device.
    """
    from ..models.testbed.describer import Describer
    from ..models.testbed.world import World

    world = known.world if known is not None else World()
    images = ImageStore(out / "images")
    loaded = known.targets if known is not None else {}
    opened = {name: loaded.get(name) or open_target(name, world, profile) for name in targets}
    indexes = {name: open_index(target, layers[name], profile, progress) for name, target in opened.items()}
    scheduler = assemble(opened, world, Describer(), profile.jobs, profile, vlm, progress.server)
    models = Models() if profile.world == "testbed" else Models(TEXT_TO_IMAGE, EDIT)
    observer = Observer(vlm, scheduler) if vlm is not None and describer_of(profile, vlm) == "vlm" else None
    return {
        name: Services(target, indexes[name], scheduler, images, models, observer) for name, target in opened.items()
    }


def describer_of(profile: Profile, vlm: Vlm | None) -> str:
    """Who describes pictures, one of DESCRIBERS. Raises UserError for a choice that is none, or cannot be had."""
    # Whoever was trained on the brief prompts counts its own descriptions, which have a form of their own.
    own = vlm is not None and (profile.world != "testbed" or vlm.prompts == "brief")
    wanted = profile.describer or ("vlm" if own else "pixels")
    if wanted not in DESCRIBERS:
        raise UserError(f"there is no describer {wanted!r}: choose from {', '.join(DESCRIBERS)}.")
    if wanted == "vlm" and vlm is None:
        raise UserError(
            f"the describer vlm needs a vision-language model, and the backbone {profile.backbone} is none: choose "
            "another --backbone, or describer: pixels."
        )
    if wanted == "vlm" and vlm is not None and vlm.images_per_turn == 0:
        raise UserError(
            f"{vlm.title} is shown no pictures (images: 0), so that it cannot describe any: choose describer: pixels."
        )
    return wanted


def open_target(name: str, world: Any, profile: Profile) -> Target:
    """The target of that name, with the profile's weights and on its device."""
    if name in SCENE_TARGETS:
        if profile.world != "testbed":
            raise UserError(
                f"the units of {name} only see what the world testbed draws, not what {profile.world} do: choose "
                "another --target, or --profile testbed."
            )
        return load_target(name, world)
    if name == SYNTHETIC:
        return load_target(name, world, profile.weights, profile.device, detector=detector_of(profile))
    return load_target(name, weights=profile.weights, device=profile.device)


def open_index(target: Target, layers: list[str], profile: Profile, progress: RunProgress) -> ExemplarIndex:
    """The profile's exemplar index; where it names none, that over the world's dataset, from the cache or built now.

    Raises UserError if the named index is of another target or lacks a layer.
    """
    from ..engine.dataset import open_dataset
    from ..engine.index_build import cached_index

    if profile.index is not None:
        index = ExemplarIndex.open(Path(profile.index))
        index.check_target(target)
        for layer in layers:
            index.check_layer(layer)
        return index
    if profile.world != "testbed":
        raise UserError(
            f"the world {profile.world} has no dataset: build an index of one with `maia index build`, and name it "
            "with --index, or index: in the profile."
        )
    count = f":{profile.dataset_images}" if profile.dataset_images else ""
    return cached_index(
        target,
        open_dataset(f"{profile.world}{count}"),
        layers,
        cache_directory() / "indexes",
        progress=lambda done, total: progress.index(target.name, done, total),
    )


def describe(
    units: str | Sequence[Unit] | Opened,
    out: str | Path,
    target: str | None = None,
    backbone: str | Backbone | None = None,
    profile: str | Profile = "testbed",
    jobs: int | None = None,
    turns: int | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    progress: RunProgress | None = None,
    record_calls: Path | None = None,
) -> Run:
    """Describe units and leave the run in `out`; the same call on the same directory goes on where it stood.

    units: "layer=3,47:other=9" of one target, a list of Unit (of several targets), or `open_units`'. What is None comes
    from the profile. backbone: a name, or any object that is one. record_calls: a file to which every call of a model
    is appended (see `Metrics.record_to`). Raises UserError for what a person has to mend: unknown names, another run's
    directory, no sandbox.
    """
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    given = None if backbone is None or isinstance(backbone, str) else backbone
    named_backbone = backbone if isinstance(backbone, str) else given.name if given else chosen.backbone
    chosen = replace(chosen, jobs=jobs or chosen.jobs, backbone=named_backbone)
    if given is None:
        chosen = with_backbone(chosen, named_backbone)
    progress = progress or RunProgress()
    settings = settings or Settings(turns=turns or chosen.turns, seed=seed)
    path = Path(out)
    known = _opened(units, target or chosen.target, chosen)
    named = known.units
    names = list(dict.fromkeys(unit.target for unit in named))
    layers = {name: list(dict.fromkeys(unit.layer for unit in named if unit.target == name)) for name in names}
    vlm = model_of(chosen) if given is None else None
    describer_of(chosen, vlm)  # refused before anything is loaded
    if given is None and vlm is None:
        scripted_for(settings.task)  # as well
    facts = facts_of(named, backbone_name(chosen, vlm), chosen, settings, vlm)
    with locked(path):
        joined(path, facts)  # refused before an index is built for it
        services = open_services(names, layers, chosen, path, progress, vlm, known)
        try:
            for unit in named:
                services[unit.target].target.check(unit)
            write_whole(path / "run.json", (json.dumps(joined(path, facts), indent=2) + "\n").encode())
            write_truths(path, named, services)
            experimenter = given or load_backbone(chosen, vlm, scheduler_of(services), settings.task)
            watch: Progress = progress.unit
            work = run_units(named, experimenter, services, settings, path, chosen.jobs, watch)
            metrics = scheduler_of(services).metrics
            metrics.record_to(record_calls)
            transcripts = asyncio.run(_watched(work, services, progress))
            metrics.record_to(None)
            write_metrics(path, services, experimenter)
        except BaseException:
            close_model(scheduler_of(services))
            raise
    return Run(path, named, services, transcripts, settings.seed, experimenter)


async def _watched(
    work: Coroutine[Any, Any, list[Transcript]], services: Mapping[str, Services], progress: RunProgress
) -> list[Transcript]:
    async def look() -> None:
        while True:
            await asyncio.sleep(1)
            progress.machine(scheduler_of(services))

    watcher = asyncio.create_task(look())
    try:
        return await work
    finally:
        watcher.cancel()


def write_truths(path: Path, units: Sequence[Unit], services: Mapping[str, Services]) -> None:
    """truths.json: of synthetic neurons, by unit, for those who judge the run later. Nothing in a run reads it."""
    from ..models.synthetic_target import SyntheticTarget

    file = path / "truths.json"
    truths = {
        str(unit): target.neuron(unit).truth
        for unit in units
        if isinstance(target := services[unit.target].target, SyntheticTarget)
    }
    if truths:
        old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        write_whole(file, (json.dumps(old | truths, indent=1) + "\n").encode())


def write_metrics(path: Path, services: Mapping[str, Services], backbone: Backbone | None = None) -> None:
    """What the scheduler counted since it was made, and a vision-language model as backbone, into the run's
    metrics.json; a call that asked nothing of any model leaves the file of an earlier one."""
    report = scheduler_of(services).metrics.report()
    if isinstance(backbone, VlmBackbone):
        report["backbone"] = {**asdict(backbone.counts), **model_counts(scheduler_of(services))}
    if any(model["items"] for model in report["models"].values()):
        write_whole(path / "metrics.json", (json.dumps(report, indent=1) + "\n").encode())


def _opened(units: str | Sequence[Unit] | Opened, target: str, profile: Profile) -> Opened:
    from ..models.testbed.world import World

    if isinstance(units, Opened):
        return units
    if isinstance(units, str):
        return open_units(units, target, profile)
    if not units:
        raise UserError("no units were named: give --units layer=index, such as blocks.10=47.")
    return Opened(list(units), World())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run directory; a second run on it is refused. The lock ends with the process, however it ends.

    Whoever holds it may take it again inside. Removes what writes that were killed left unfinished.
    """
    held = _held.get()
    try:
        path.mkdir(parents=True, exist_ok=True)
        key = path.resolve()
        file = None if key in held else (path / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): give another --out directory.") from None
    if file is None:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another run is writing to {path}: wait for it, or give another --out directory."
            ) from None
        token = _held.set(held | {key})
        try:
            remove_unfinished(path)
            yield
        finally:
            _held.reset(token)
