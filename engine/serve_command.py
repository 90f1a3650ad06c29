"""`maia serve`: starts the profile's vision-language model in a server, keeps it running, and tells how to use it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import FrameType

from ..models.errors import UserError
from .explain import plan_profile
from .plan import Plan
from .profile import Profile
from .serving import Progress, VllmServer
from .serving_command import API_KEY_VARIABLE, ServerCommand, is_loopback
from .serving_state import ServerState, find_server, remove_state, servers_directory, write_state
from .sizes import format_bytes
from .sizing import memory_of, sized_models
from .vlm import Vlm, resolve_vlm
from .vlm_runner import Allotment
from .vlm_sizing import CPU, IN_PROCESS, VLM

LOOK_S = 0.5


def serve_command(
    profile: Profile,
    memory: str | None = None,
    gpus: int | None = None,
    jobs: int | None = None,
    host: str | None = None,
    port: int | None = None,
    say: Callable[[str], None] = print,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Serve the profile's model until Ctrl-C or SIGTERM; it is restarted when it dies or hangs.

    memory, gpus, jobs: as for `maia plan`. host, port: instead of the profile's. say: is told sentences for a person.
    progress: is told how the start goes, every second (None: `say` is told its stages). To be called from the main
    thread. Raises UserError where the server cannot be started, and when it was given up.
    """
    vlm, profile = _chosen(profile, host, port, jobs)
    if (other := find_server(vlm.options.model)) is not None:
        raise UserError(
            f"{vlm.options.model} is served already at {other.url}: stop that first (`kill {other.pid}`), or use it."
        )
    profile = _placed_on(profile, memory, gpus, say)
    amounts = memory_of(profile, memory, gpus)
    plan = plan_profile(profile, sized_models(profile), amounts)
    command = partial(Allotment(plan, amounts).command, vlm)
    teller = _Teller(vlm.title, say, progress)
    log = servers_directory() / f"{vlm.options.model}.log"
    server = VllmServer(command, log, vlm.options.port, progress=teller)
    say(_what(vlm, plan))
    with _until_signal() as stopped:
        starting = threading.Thread(target=_start, args=(server, teller, stopped), daemon=True)
        starting.start()
        try:
            while not stopped.wait(LOOK_S):
                if server.state == "ready" and server.url != teller.url:
                    first, teller.url = teller.url is None, server.url
                    _make_known(vlm, server.command)
                    if first:
                        say(_how_to_use(vlm, server))
        finally:
            remove_state(os.getpid())
            server.stop()
            starting.join()
    if teller.problem is not None:
        raise teller.problem
    say("Stopped.")


class _Teller:
    """Tells a person what the supervisor tells. url: that was made known. problem: why there is no server."""

    def __init__(self, title: str, say: Callable[[str], None], progress: Callable[[Progress], None] | None) -> None:
        self._title, self._say, self._progress = title, say, progress
        self._last = ""
        self.url: str | None = None
        self.problem: UserError | None = None
        self.stopped: threading.Event | None = None

    def __call__(self, now: Progress) -> None:
        if self._progress is not None:
            self._progress(now)
        elif now.state == "starting" and now.text and now.text != self._last:
            self._say(f"{self._title}: {now.text} ({now.seconds:.0f} s)")
        self._last = now.text
        if now.state == "failed" and self.url is not None:
            self.problem = UserError(now.text)
            if self.stopped is not None:
                self.stopped.set()
        elif self.url is not None and now.state == "restarting" and now.text.endswith((".", ")")):
            self._say(f"{self._title} is restarted: {now.text}")
        elif self.url is not None and now.state == "ready":
            self._say(f"{self._title} answers again.")


def _start(server: VllmServer, teller: _Teller, stopped: threading.Event) -> None:
    teller.stopped = stopped
    try:
        server.start()
    except UserError as problem:
        if not stopped.is_set():
            teller.problem = problem
            stopped.set()


def _chosen(profile: Profile, host: str | None, port: int | None, jobs: int | None) -> tuple[Vlm, Profile]:
    """The model with the command's host and port; the profile that is planned with."""
    if profile.vlm is None:
        raise UserError("the profile names no vision-language model: add one under vlm, or take --profile lab.")
    given = {"host": host, "port": port}
    entries = {**profile.vlm, **{name: value for name, value in given.items() if value is not None}}
    # The plan is that of runs that use the server, whatever the profile's own backbone is.
    backbone = "served" if profile.backbone == IN_PROCESS else profile.backbone
    profile = replace(profile, vlm=entries, backbone=backbone, jobs=jobs or profile.jobs)
    vlm = resolve_vlm(profile)
    if vlm.options.url is not None:
        raise UserError(
            f"the profile's vlm names a server that runs elsewhere ({vlm.options.url}): leave url out to serve it here."
        )
    return vlm, profile


def _placed_on(profile: Profile, memory: str | None, gpus: int | None, say: Callable[[str], None]) -> Profile:
    """The profile on the CPU where this machine has no GPU."""
    import torch

    if profile.device == CPU or torch.cuda.is_available():
        return profile
    if gpus is not None:
        raise UserError(f"there is no GPU here for --gpus {gpus}: leave it out to serve on the CPU.")
    say("There is no GPU here: the model is served on the CPU, slowly.")
    return replace(profile, device=CPU)


def _what(vlm: Vlm, plan: Plan) -> str:
    spot, facts = plan.places[VLM], plan.facts(VLM)
    return (
        f"Serving {vlm.title} on {spot.device}: {format_bytes(facts.held(spot.batch))}, {spot.batch} requests of "
        f"{vlm.options.context} tokens at a time."
    )


def _make_known(vlm: Vlm, command: ServerCommand) -> None:
    options = vlm.options
    key = None
    if command.api_key is not None:
        path = options.api_key_file
        if path is None:  # from the environment, which other commands may not have
            path = servers_directory() / f"{os.getpid()}.key"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(command.api_key)
        key = str(path.resolve())
    write_state(ServerState(command.url, (options.model, *options.adapters), os.getpid(), key))


def _how_to_use(vlm: Vlm, server: VllmServer) -> str:
    options = vlm.options
    lines = [
        f"{vlm.title} answers at {server.url} after {server.startup_seconds:.0f} s. Log: {server.log}",
        "Use it here: maia describe --backbone served …, with the same --profile and --vlm; or any client of OpenAI's "
        f"protocol, with the model's name {server.command.model}.",
    ]
    if not is_loopback(options.host):
        key = "its key in api_key_file" if options.api_key_file else f"its key in ${API_KEY_VARIABLE}"
        lines.append(f"From another machine: vlm: {{url: http://ADDRESS:{server.url.split(':')[-1]}, …}}, with {key}.")
    lines.append("Ctrl-C stops it.")
    return "\n".join(lines)


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
