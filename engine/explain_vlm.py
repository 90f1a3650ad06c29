"""What a plan says of the vision-language model: its server's share and options, or where else it runs."""

import math
import textwrap
from collections.abc import Mapping

from .catalogue import catalogue
from .placement import COLUMNS
from .plan import ModelFacts, Plan
from .profile import Profile, vlm_options
from .sized import Sized
from .sizes import format_bytes
from .sizing import card_bytes
from .vlm_options import VlmOptions
from .vlm_sizing import CPU, ELSEWHERE, VLM, server_cache_bytes


def card_of(device: str, amounts: Mapping[str, int]) -> int:
    """Bytes of the card: as this machine has it, else what may be used of it."""
    return card_bytes(device) or amounts[device]


def on_gpu(plan: Plan, model: str) -> bool:
    """Whether the model is a server of our own on a GPU."""
    return plan.facts(model).kind == "server" and plan.places[model].device not in (CPU, ELSEWHERE)


def server_share(plan: Plan, model: str, amounts: Mapping[str, int]) -> float:
    """Share of its card's memory for a server, rounded down to a thousandth (vLLM's gpu_memory_utilization).

    It covers weights, activations, CUDA graphs and cache, and not what the server takes beyond its share (the
    catalogue's outside_bytes). amounts: see `card_of`.
    """
    spot, facts, server = plan.places[model], plan.facts(model), catalogue().server
    # The workspace of a server that sleeps has neither in it (`vlm_sizing`).
    counted = facts.held(spot.batch) + (server.graph_bytes if facts.can_sleep else -server.outside_bytes)
    return math.floor(1000 * counted / card_of(spot.device, amounts)) / 1000


def explain_vlm(plan: Plan, named: Mapping[str, Sized], profile: Profile, amounts: Mapping[str, int]) -> list[str]:
    """Lines about the profile's vision-language model; none where it has none. amounts: bytes that may be used of each
    device."""
    options = vlm_options(profile)
    if options is None:
        return []
    facts, spot = plan.facts(VLM), plan.places[VLM]
    if spot.device == ELSEWHERE:
        lines = [f"{options.model} is served at {options.url}: it takes no memory here."]
    elif facts.kind == "server":
        lines = _server(plan, facts, options, amounts)
    else:
        lines = [f"{VLM} runs in this program on {spot.device}, {spot.batch} requests at a time."]
    wanted = min(profile.jobs, options.concurrent)
    if spot.batch < wanted:
        lines.append(f"  Agents wait: there is no memory for {wanted} requests of that length at a time.")
    for note in named[VLM].notes:
        lines += textwrap.wrap(note, COLUMNS, initial_indent="  ", subsequent_indent="  ")
    return [*lines, ""]


def _server(plan: Plan, facts: ModelFacts, options: VlmOptions, amounts: Mapping[str, int]) -> list[str]:
    spot = plan.places[facts.name]
    head = f"Server of {facts.name} on {spot.device}: {format_bytes(facts.held(spot.batch))} in all"
    limits = f"--max-num-seqs {spot.batch} --max-model-len {options.context}"
    if not on_gpu(plan, facts.name):
        return [f"{head}:", f"  --kv-cache-memory-bytes {server_cache_bytes(plan, facts.name)} {limits}"]
    return [
        f"{head}, its share of {format_bytes(card_of(spot.device, amounts))}:",
        f"  --gpu-memory-utilization {server_share(plan, facts.name, amounts):.3f} {limits}",
    ]
