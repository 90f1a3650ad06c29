"""Sizes of the vision-language model, by where it runs: a server of our own, this program, or elsewhere.

A served model: its server holds a key-value cache for the plan's number of requests at full length, and the activations
of as many prompt tokens as it computes at once. In this program (transformers) a batch's prompts are computed together,
so that each request brings, besides its cache, the activations of all its tokens and its attention's mask.
"""

from dataclasses import dataclass

from ..models.errors import UserError
from .calibration import Calibration
from .catalogue import DTYPE_BYTES, catalogue
from .plan import Component, Device, Duration, ModelFacts, Plan, Workspace
from .profile import Profile, vlm_options
from .sized import Sized
from .vlm_options import VlmOptions
from .vlm_shape import VlmShape, vlm_shape

VLM = "vlm"
CPU = "cpu"
ELSEWHERE = "elsewhere"
"""The device of a model at a URL: no memory of this machine."""

IN_PROCESS = "in-process"
"""The backbone that runs the model in this program; all others leave it to a server."""

WHERE = "the profile's vlm"

FULL_MASK = 2
"""Bytes of an attention mask's entry as kernels take it, beside the one byte in which it is made."""


def elsewhere() -> Device:
    """The device of a model at a URL, for `place`."""
    return Device(ELSEWHERE, 0, catalogue().hardware.link)


def runs_here(profile: Profile) -> bool:
    """Whether the profile has a vision-language model that takes memory of this machine."""
    options = vlm_options(profile)
    return options is not None and options.url is None


def sleeps_here(profile: Profile) -> bool:
    """Whether it is a server of our own that may sleep."""
    options = vlm_options(profile)
    return options is not None and options.url is None and options.sleep and profile.backbone != IN_PROCESS


def sized_vlm(profile: Profile, calibration: Calibration) -> Sized:
    """The profile's vision-language model: in this program if the backbone is "in-process", else served, here or at
    its URL. Raises UserError (`vlm_shape`), and for a URL with a model in this program."""
    options = vlm_options(profile)
    assert options is not None
    if profile.backbone == IN_PROCESS:
        if options.url is not None:
            raise UserError(f"{WHERE}: url names a server: take the backbone served, or leave url out.")
        return _in_process(profile, options, calibration)
    return _elsewhere(profile, options) if options.url is not None else _served(profile, options, calibration)


def server_cache_bytes(plan: Plan, model: str) -> int:
    """Bytes of a server's key-value cache in the plan: the requests it takes at a time, each at full length."""
    return plan.facts(model).workspace.per_item * plan.places[model].batch


@dataclass(frozen=True)
class _Demand:
    items: float
    per_call: float


def _demand(profile: Profile) -> _Demand:
    demand = catalogue().demand
    turns = min(demand.turns, profile.turns)
    return _Demand(turns + demand.described, (turns + demand.described) / (turns + demand.described_calls))


def _duration(shape: VlmShape, concurrent: int, step_seconds: float = 0.0) -> Duration:
    """An estimate. A step of the answer reads the weights that its requests' tokens pass, of a mixture of experts
    1 - (1 - active)^n of them for n tokens; the line goes through one request and `concurrent` of them."""
    server, hardware = catalogue().server, catalogue().hardware
    first = shape.active * shape.weights
    last = (1 - (1 - shape.active) ** concurrent) * shape.weights
    more = (last - first) / max(1, concurrent - 1)
    answers = server.answer_tokens
    prompt = 2 * shape.active * shape.parameters * server.prompt_tokens / hardware.flops
    return Duration(
        answers * (step_seconds + (first - more) / hardware.bytes_per_second),
        answers * more / hardware.bytes_per_second + prompt,
    )


def _components(shape: VlmShape, adapters: tuple[str, ...]) -> tuple[Component, ...]:
    return (
        Component(shape.key, shape.weights),
        *(Component(f"{shape.key}/adapter {name}", shape.adapters[name]) for name in adapters),
    )


def _title(options: VlmOptions, how: str) -> str:
    return f"{options.model}, {'4 bits' if options.quantization == '4bit' else options.dtype}, {how}"


def _served(profile: Profile, options: VlmOptions, calibration: Calibration) -> Sized:
    shape, server = vlm_shape(options, WHERE), catalogue().server
    on_cpu, itemsize = profile.device == CPU, DTYPE_BYTES[options.dtype]
    prefill = server.prefill_tokens * shape.activation_bytes(itemsize)
    # What stays on a GPU while the server sleeps is no workspace then, but taken off the GPU once and for all.
    always = server.cpu_bytes if on_cpu else 0 if options.sleep else server.outside_bytes + server.graph_bytes
    beside = "processes, activations" if on_cpu else "CUDA of the server, graphs, activations"
    workspace = Workspace(always + prefill, shape.cache_bytes(itemsize) * options.context)
    setting = f"{options.dtype}, {options.quantization}, context {options.context}"
    measured, demand = calibration.of(options.model, setting), _demand(profile)
    facts = ModelFacts(
        VLM,
        _components(shape, tuple(shape.adapters)),
        measured.workspace or workspace,
        measured.duration or _duration(shape, options.concurrent),
        options.concurrent,
        demand.items,
        demand.per_call,
        "server",
        options.sleep,
    )
    return Sized(
        facts,
        _title(options, "served"),
        ("weights", *(f"adapter {name}" for name in shape.adapters)),
        shape.source,
        "measured" if measured.workspace else "estimate",
        "measured" if measured.duration else "estimate",
        (
            ("activations" if options.sleep and not on_cpu else beside, facts.workspace.fixed, 0),
            (f"cache of {options.context} tokens", 0, facts.workspace.per_item),
        ),
        setting,
        _notes(shape, options),
    )


def _in_process(profile: Profile, options: VlmOptions, calibration: Calibration) -> Sized:
    # Layers that are no modules of their own, as a mixture's experts, stay as they are in 4 bits.
    shape, book = vlm_shape(options, WHERE, experts_packed=False), catalogue()
    itemsize = DTYPE_BYTES[options.dtype]
    cache = shape.cache_bytes(itemsize) * options.context
    prompt = shape.activation_bytes(itemsize) * options.context + (1 + FULL_MASK) * options.context**2
    workspace = Workspace(book.in_process.picture_bytes, cache + prompt)
    setting = f"{options.dtype}, {options.quantization}, context {options.context}, {IN_PROCESS}"
    measured, demand = calibration.of(options.model, setting), _demand(profile)
    adapters = () if options.adapter is None else (options.adapter,)
    facts = ModelFacts(
        VLM,
        _components(shape, adapters),
        measured.workspace or workspace,
        measured.duration or _duration(shape, options.concurrent, book.in_process.step_seconds),
        options.concurrent,
        demand.items,
        demand.per_call,
    )
    each = facts.workspace.per_item
    return Sized(
        facts,
        _title(options, "in this program"),
        ("weights", *(f"adapter {name}" for name in adapters)),
        shape.source,
        "measured" if measured.workspace else "estimate",
        "measured" if measured.duration else "estimate",
        (("pictures", facts.workspace.fixed, 0), (f"{options.context} tokens", 0, each)),
        setting,
        _notes(shape, options),
    )


def _elsewhere(profile: Profile, options: VlmOptions) -> Sized:
    demand = _demand(profile)
    facts = ModelFacts(
        VLM,
        duration=Duration(catalogue().server.elsewhere_seconds, 0.0),
        max_batch=options.concurrent,
        items_per_unit=demand.items,
        items_per_call=demand.per_call,
        kind="server",
        devices=(ELSEWHERE,),
    )
    title = f"{options.model}, at {options.url}"
    return Sized(facts, title, (), "none", "none", "estimate", (), f"at {options.url}")


def _notes(shape: VlmShape, options: VlmOptions) -> tuple[str, ...]:
    row = shape.family
    images = row.images_per_turn if options.images is None else options.images
    if images == 0:
        return (f"Family {row.name}: no pictures are sent.",)
    return (
        f"Family {row.name}: {images} picture{'' if images == 1 else 's'} a message, {row.images_per_prompt} a "
        f"dialogue; a picture of {row.image_side} x {row.image_side} takes {shape.picture} tokens, a contact sheet of "
        f"{row.sheet_side} x {row.sheet_side} {shape.sheet}.",
    )
