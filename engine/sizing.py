"""From a profile to what placement takes: the models with their sizes, each with where the number is from; the GPUs."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..models.caches import cache_directory
from ..models.errors import UserError
from ..models.registry import SYNTHETIC
from .calibration import MARGIN, Calibration
from .catalogue import DTYPE_BYTES, GeneratorEntry, NetworkEntry, catalogue
from .checkpoints import stored_parts
from .plan import Component, Device, Duration, ModelFacts, Workspace
from .profile import GENERATORS, Profile, generator_options
from .sized import Sized
from .sizes import format_bytes, parse_bytes
from .vlm_sizing import CPU, ELSEWHERE, elsewhere, runs_here, sized_vlm, sleeps_here
from .vlm_sizing import VLM as VLM

TARGET_BATCH = 16
"""Pictures of a target's batch on a GPU (`targets.GPU_BATCH`; not imported: that would load torch)."""

SPARED = 512 * 2**20
"""Bytes of a GPU that stay free where the profile gives no amount: for a display, and what the driver takes."""

BATCHED = 0.7
"""Estimate: time of a step for one more picture in a batch, as a share of the time for a single one."""


def calibration_file() -> Path:
    """Where measurements of this machine are kept."""
    return cache_directory() / "calibration.json"


def models_of(profile: Profile) -> list[ModelFacts]:
    """Facts of the profile's models, for `place`: those of `sized_models`."""
    return [model.facts for model in sized_models(profile)]


def sized_models(profile: Profile, calibration: Calibration | None = None) -> list[Sized]:
    """The profile's models: generators, the vision-language model, the target. Works without weights and without a
    GPU. The vision-language model runs in this program if the profile's backbone is "in-process", else in a server.

    calibration: what was measured; None: what `calibration_file` holds. Raises UserError for what the profile has
    wrong, and for a damaged checkpoint.
    """
    known = Calibration.load(calibration_file()) if calibration is None else calibration
    models = [_generator(profile, task, known) for task in GENERATORS if getattr(profile, task) is not None]
    if profile.vlm is not None:
        models.append(sized_vlm(profile, known))
    return [*models, _target(profile, known)]


def vlm_facts(profile: Profile) -> ModelFacts | None:
    """Facts of the profile's vision-language model alone, as in `sized_models`; None where it names none."""
    return None if profile.vlm is None else sized_vlm(profile, Calibration.load(calibration_file())).facts


def with_components(facts: ModelFacts, components: Sequence[Component]) -> ModelFacts:
    """The facts with components as they were found when the model was loaded, in the place of the catalogue's."""
    return replace(facts, components=tuple(components))


def _generator(profile: Profile, task: str, calibration: Calibration) -> Sized:
    name, options = generator_options(profile, task)
    book = catalogue()
    entry, known = _generator_entry(name, task, options.path)
    dtype = options.dtype or ("fp32" if profile.device == "cpu" else "fp16")
    itemsize, size = DTYPE_BYTES[dtype], options.size or entry.size
    guided = options.guidance > 1
    passes = entry.passes if guided else 1
    # Activations grow with pixels: attention does not hold its matrix.
    scale = (size / entry.size) ** 2
    denoising = int(entry.denoiser_bytes * passes * scale * itemsize / 2 * MARGIN)
    decoding = int(entry.decoder_bytes * scale * itemsize / 2 * MARGIN)
    workspace = (
        Workspace(max(0, decoding - denoising), denoising)
        if options.vae_slicing
        else Workspace(0, max(denoising, decoding))
    )
    step = entry.pass_seconds * passes * scale * options.steps
    duration = Duration((1 - BATCHED) * step, BATCHED * step)
    setting = f"{dtype}, {size} px, {options.steps} steps, {passes} passes, slicing {options.vae_slicing}"
    measured = calibration.of(name, setting)
    components, source = _components(options.path, entry, itemsize, options.safety_checker)
    drawn = task == "text2image"
    demand = book.demand
    facts = ModelFacts(
        task,
        tuple(components.values()),
        measured.workspace or workspace,
        measured.duration or duration,
        options.max_batch,
        demand.drawn if drawn else demand.edited,
        demand.drawn_per_call if drawn else demand.edited_per_call,
    )
    terms = (("decoding pictures" if workspace.fixed else "", facts.workspace.fixed, 0),)
    return Sized(
        facts,
        f"{name}, {dtype}, {size} x {size}, {options.steps} steps",
        tuple(components),
        source,
        "measured" if measured.workspace else f"traced x {MARGIN:g}" if known == name else f"as {known}",
        "measured" if measured.duration else "estimate",
        (*terms, ("denoising a picture" if options.vae_slicing else "a picture", 0, facts.workspace.per_item)),
        setting,
    )


def _generator_entry(name: str, task: str, path: Path | None) -> tuple[GeneratorEntry, str]:
    """The catalogue's entry; for another model that of the one whose size is nearest. With the entry's name."""
    entries = {other: entry for other, entry in catalogue().generators.items() if entry.task == task}
    if name in entries:
        return entries[name], name
    assert path is not None  # `generator_options`
    parameters = sum(part.floats for part in stored_parts(path).values())
    distance = {
        other: abs(math.log(max(parameters, 1) / sum(part.parameters for part in entry.parts.values())))
        for other, entry in entries.items()
    }
    nearest = min(distance, key=lambda other: distance[other])
    return entries[nearest], nearest


def _components(
    path: Path | None, entry: GeneratorEntry, itemsize: int, checker: bool
) -> tuple[dict[str, Component], str]:
    if path is not None and path.exists():
        stored = stored_parts(path)
        if not checker:
            stored.pop("safety_checker", None)
        return {name: Component(part.key, part.nbytes(itemsize)) for name, part in stored.items()}, "files"
    return {
        name: Component(f"{part.key}-{itemsize}", part.parameters * itemsize) for name, part in entry.parts.items()
    }, "catalogue"


def _target(profile: Profile, calibration: Calibration) -> Sized:
    synthetic = profile.target == SYNTHETIC
    entry, source, traced = _detector(profile) if synthetic else _network(profile.target)
    measured = calibration.of(profile.target, "fp32")
    workspace = measured.workspace or Workspace(0, int(entry.activation_bytes * MARGIN))
    demand = catalogue().demand
    weights = entry.parameters * 4
    components = (Component(f"{profile.target}-4", weights),) if weights else ()
    facts = ModelFacts(
        profile.target,
        components,
        workspace,
        measured.duration or Duration(0.0, entry.seconds),
        TARGET_BATCH,
        demand.measured,
        demand.measured_per_call,
    )
    return Sized(
        facts,
        "the target, fp32",
        ("network",) if weights else (),
        source,
        "measured" if measured.workspace else traced,
        "measured" if measured.duration else "estimate",
        (("a picture", 0, workspace.per_item),),
        "fp32",
    )


def _detector(profile: Profile) -> tuple[NetworkEntry, str, str]:
    """Facts of what synthetic neurons are made of; of a checkpoint that the catalogue lacks, those of the default."""
    from .detector_options import TESTBED, DetectorOptions, detector_of

    options, networks, plain = detector_of(profile), catalogue().networks, DetectorOptions()
    if options.model == TESTBED:
        return NetworkEntry("offline world", 0, 0, 0.001), "none", "none"
    parts = [
        networks.get(name) or networks[default]
        for name, default in ((options.grounding, plain.grounding), (options.segmenter, plain.segmenter))
    ]
    entry = NetworkEntry(
        " and ".join(part.source for part in parts),
        sum(part.parameters for part in parts),
        max(part.activation_bytes for part in parts),
        sum(part.seconds for part in parts),
    )
    known = all(name in networks for name in (options.grounding, options.segmenter))
    return entry, "catalogue" if known else "assumed: as the default detector", "assumed"


def _network(target: str) -> tuple[NetworkEntry, str, str]:
    """Facts of a target, with the sources of its weights and its workspace."""
    from ..models.registry import LIBRARIES, SCENE_TARGETS, spec_of

    spec, networks = spec_of(target), catalogue().networks
    if spec in networks:
        return networks[spec], "catalogue", f"traced x {MARGIN:g}"
    if spec in SCENE_TARGETS:
        return NetworkEntry("offline world", 0, 0, 0.001), "none", "none"
    largest = max(networks[name].activation_bytes for name in ("resnet152", "dino-vits8", "clip-rn50"))
    if spec.partition(":")[0] not in LIBRARIES:
        # A function of the user's is not run to make a plan.
        return networks["resnet152"], "assumed: as resnet152", "assumed"
    import torch

    from ..models.networks.architectures import build_architecture

    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build_architecture(spec).module.parameters())
    return NetworkEntry(spec, parameters, largest, 0.003), "architecture", "assumed"


def devices_of(profile: Profile, memory: str | int | None = None, gpus: int | None = None) -> list[Device]:
    """The devices that a plan may use, named as torch names them; their memory is what is left for models.

    memory: of each GPU, in the place of the profile's. gpus: how many, whether or not this machine has them; None:
    those of the profile's memory, or those that there are, or one if an amount is given. Raises UserError where
    neither says how much memory there is, and where a GPU that is here has less than the profile says.
    """
    return devices_from(profile, memory_of(profile, memory, gpus))


def devices_from(profile: Profile, amounts: Mapping[str, int]) -> list[Device]:
    """The devices with these amounts of memory, of which models get what `kept_bytes` leaves."""
    return [
        Device(name, max(0, amount - sum(kept_bytes(profile, name).values())), catalogue().hardware.link)
        for name, amount in amounts.items()
    ]


def to_place(
    profile: Profile, models: Sequence[ModelFacts], amounts: Mapping[str, int]
) -> tuple[list[ModelFacts], list[Device]]:
    """Arguments of `place` for the profile's models on devices with these amounts. A model that is served elsewhere
    gets a device of its own, on which nothing else may be."""
    devices = devices_from(profile, amounts)
    if not any(facts.devices == (ELSEWHERE,) for facts in models):
        return list(models), devices
    here = tuple(device.name for device in devices)
    return [facts if facts.devices else replace(facts, devices=here) for facts in models], [*devices, elsewhere()]


def kept_bytes(profile: Profile, device: str) -> dict[str, int]:
    """What is taken of a device whatever models are on it, by what takes it: estimates. Nothing on the CPU.

    What a server keeps while it sleeps is kept on every GPU: which one it gets is the plan's to decide.
    """
    book = catalogue()
    if device in (CPU, ELSEWHERE):
        return {}
    kept = {"CUDA itself, for this program": int(book.hardware.context_bytes)}
    if sleeps_here(profile):
        kept["the server while it sleeps"] = book.server.outside_bytes + book.server.graph_bytes
    return kept


def host_bytes() -> int:
    """Bytes of this machine's main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_of(profile: Profile, memory: str | int | None = None, gpus: int | None = None) -> dict[str, int]:
    """Bytes of each GPU that may be used in all, by name; see `devices_of`."""
    if gpus is not None and gpus < 1:
        raise UserError(f"gpus must be at least 1, not {gpus}.")
    given = profile.memory if memory is None else memory
    present = _gpus()
    if _on_cpu(profile, given is None and gpus is None and not present):
        return {CPU: host_bytes() if given is None or isinstance(given, Mapping) else parse_bytes(given)}
    if isinstance(given, Mapping):
        if gpus is not None and gpus > len(given):
            raise UserError(
                f"the profile's memory names {len(given)} GPUs, not {gpus}: give --memory for each of them."
            )
        amounts = dict(list({name: parse_bytes(amount) for name, amount in given.items()}.items())[:gpus])
    else:
        names = _names(profile, len(present) or (1 if given is not None else 0), gpus)
        amounts = {name: parse_bytes(given) if given is not None else _all_of(name, present) for name in names}
    if memory is None:
        _check_present(amounts, present)
    return amounts


def _on_cpu(profile: Profile, without_gpu: bool) -> bool:
    """Whether all runs on the CPU: where that is chosen, or there is no GPU and nothing that needs one."""
    small = not runs_here(profile) and all(getattr(profile, task) is None for task in GENERATORS)
    return profile.device == CPU or (small and without_gpu)


def _names(profile: Profile, count: int, gpus: int | None) -> list[str]:
    if profile.device is not None and profile.device.startswith("cuda:") and gpus is None:
        return [profile.device]
    if not (gpus or count):
        raise UserError(
            "there is no GPU here to plan for: say how much memory one has, as in `maia plan --memory 24GiB`."
        )
    return [f"cuda:{i}" for i in range(gpus or count)]


def _all_of(name: str, present: Sequence[int]) -> int:
    index = int(name.partition(":")[2])
    if index >= len(present):
        raise UserError(f"there is no {name} here ({len(present)} GPUs): give --memory to plan for other GPUs.")
    return max(0, present[index] - SPARED)


def _check_present(amounts: Mapping[str, int], present: Sequence[int]) -> None:
    for name, amount in amounts.items():
        index = int(name.partition(":")[2])
        if index < len(present) and amount > present[index]:
            raise UserError(
                f"{name} has {format_bytes(present[index])}, less than the {format_bytes(amount)} of the profile's "
                "memory: lower it, or give --memory to plan for another GPU."
            )


def _gpus() -> list[int]:
    """Bytes of each GPU of this machine."""
    import torch

    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]


def card_bytes(name: str) -> int | None:
    """Bytes of the GPU of that name; None if this machine has none such."""
    if name == CPU:
        return host_bytes()
    present, index = _gpus(), int(name.partition(":")[2])
    return present[index] if index < len(present) else None
