"""From a run's vision-language model to what runs it: a server that is found, named or started, or this process."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from .chat_client import ChatClient, special_tokens
from .explain_vlm import server_share
from .finetune_base import check_base, fingerprint
from .plan import ModelFacts, Plan
from .profile import Profile
from .residency import WeightStore
from .runners.base import Runner
from .runners.in_process import InProcessRunner
from .runners.served import ServedRunner
from .scheduler import Scheduler
from .serving import Progress, VllmServer
from .serving_command import ServerCommand, api_key_of, server_command
from .serving_state import find_server, servers_directory
from .sizing import memory_of, vlm_facts
from .vlm import Vlm
from .vlm_sizing import CPU, IN_PROCESS, VLM, server_cache_bytes


@dataclass
class Allotment:
    """What the plan gives to a server of our own. It is known once all models are placed, before the server starts."""

    plan: Plan | None = None
    amounts: Mapping[str, int] | None = None

    def command(self, vlm: Vlm, port: int) -> ServerCommand:
        """How the server is started at this port."""
        assert vlm.checkpoint is not None and self.plan is not None and self.amounts is not None
        place = self.plan.places[VLM]
        share = None if place.device == CPU else server_share(self.plan, VLM, self.amounts)
        cache = server_cache_bytes(self.plan, VLM)
        return server_command(vlm.options, vlm.checkpoint, port, share, place.batch, place.device, cache)


def vlm_runner(
    vlm: Vlm, profile: Profile, store: WeightStore, computing: tuple[str, ...], say: Callable[[str], None]
) -> tuple[Runner, Callable[[Plan], None]]:
    """(runner, what has to be called with the plan before the runner loads).

    profile: its backbone is "served" or "in-process". store: takes over the weights of a model in this process.
    computing: devices that models may be on. say: is told how the start of a server goes. Raises UserError for what
    cannot be loaded.
    """
    facts = vlm_facts(profile)
    assert facts is not None
    if facts.devices is None:
        facts = replace(facts, devices=computing)
    if profile.backbone == IN_PROCESS:
        return _in_process(vlm, facts, store, computing), lambda plan: None
    return _served(vlm, profile, facts, say)


def _in_process(vlm: Vlm, facts: ModelFacts, store: WeightStore, computing: tuple[str, ...]) -> Runner:
    from ..models.vlm.in_process import InProcessModel

    options = vlm.options
    assert vlm.checkpoint is not None
    adapter = None if options.adapter is None else options.adapters[options.adapter]
    if adapter is not None:
        check_base(adapter, vlm.checkpoint, fingerprint(vlm.checkpoint))
    model = InProcessModel(vlm.checkpoint, options.dtype, options.quantization, computing[0], adapter, options.context)
    return InProcessRunner(model, facts, store, usual=options.max_tokens)


def _served(
    vlm: Vlm, profile: Profile, facts: ModelFacts, say: Callable[[str], None]
) -> tuple[Runner, Callable[[Plan], None]]:
    options, vision = vlm.options, vlm.images_per_turn > 0
    found = find_server(options.model) if options.url is None else None
    url = options.url or (found.url if found else None)
    if url is not None:
        say(f"the server at {url}" + ("" if options.url else ", which `maia serve` runs"))
        key = found.api_key if found else api_key_of(options)
        # Only a server of our own is put to sleep.
        awake = replace(facts, can_sleep=False)
        return ServedRunner(awake, partial(_client, vlm, url, key), None, vision), lambda plan: None
    allotment = Allotment()
    log = servers_directory() / f"{options.model}-{os.getpid()}.log"
    server = VllmServer(partial(allotment.command, vlm), log, options.port, progress=_Stages(options.model, say))

    def planned(plan: Plan) -> None:
        allotment.plan, allotment.amounts = plan, memory_of(profile)

    return ServedRunner(facts, lambda: _client(vlm, server.url, server.command.api_key), server, vision), planned


def _client(vlm: Vlm, url: str, api_key: str | None) -> ChatClient:
    options, checkpoint = vlm.options, vlm.checkpoint
    return ChatClient(
        url,
        options.adapter or options.model,
        api_key,
        options.timeout,
        options.concurrent,
        seeded=options.seeded,
        images_first=vlm.family.images_first,
        system_role=vlm.family.system_role,
        adds_special_tokens=checkpoint.adds_special_tokens if checkpoint else False,
        specials=special_tokens(checkpoint.tokenizer) if checkpoint else (),
    )


class _Stages:
    """Tells each stage of a server's start, and each restart, once."""

    def __init__(self, model: str, say: Callable[[str], None]) -> None:
        self._model, self._say, self._last = model, say, ("", "")

    def __call__(self, now: Progress) -> None:
        if (now.state, now.text) != self._last:
            self._last = (now.state, now.text)
            text = f", {now.text}" if now.text else ""
            self._say(f"{self._model}: {now.state}{text} ({now.seconds:.0f} s)")


def close_model(scheduler: Scheduler) -> None:
    """Stop the server that a run has started for its vision-language model, if it has. Its log stays only if there is
    something to be looked up in it."""
    if VLM in scheduler.plan.places:
        runner = scheduler.runner(VLM)
        if isinstance(runner, ServedRunner) and (server := runner.server) is not None:
            uneventful = server.state != "failed" and server.restarts == 0
            server.stop()
            if uneventful:
                server.log.unlink(missing_ok=True)


def model_counts(scheduler: Scheduler) -> dict[str, Any]:
    """What the run's vision-language model was asked: see `ChatCounts`; restarts of a server of our own; prefix_hits:
    share of the prompts' tokens that were not computed again."""
    runner = scheduler.runner(VLM)
    assert isinstance(runner, ServedRunner | InProcessRunner)
    counts = asdict(runner.counts)
    hits = runner.counts.cached_tokens / runner.counts.prompt_tokens if runner.counts.prompt_tokens else 0.0
    server = runner.server if isinstance(runner, ServedRunner) else None
    restarts = {} if server is None else {"restarts": server.restarts, "startup_seconds": server.startup_seconds}
    return {**counts, "prefix_hits": round(hits, 4), **restarts}
