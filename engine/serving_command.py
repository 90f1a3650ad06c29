"""How vLLM is started for a checkpoint: its arguments, its environment, and what is refused before."""

import ipaddress
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.errors import UserError
from .vlm_options import VlmOptions

if TYPE_CHECKING:
    from ..models.vlm.checkpoint import Checkpoint

API_KEY_VARIABLE = "MAIA_API_KEY"
CPU = "cpu"
CPU_CACHE_BYTES = 4 * 2**30
"""Of the key-value cache on the CPU where nothing else is said."""

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Those that vLLM can be started for."""

_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # Addresses of the sockets between its own processes: else it asks which of the machine's leads outward.
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOOPBACK_IP": "127.0.0.1",
    "VLLM_LOGGING_COLOR": "0",
}


@dataclass(frozen=True)
class ServerCommand:
    """What is started. env: the whole environment. url: where this machine reaches it, ending in /v1. model: the name
    that requests give. api_key: what they show; None: nothing is wanted. can_sleep: it gives memory back on request.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    can_sleep: bool = False


def server_command(
    options: VlmOptions,
    checkpoint: "Checkpoint",
    port: int,
    share: float | None = None,
    concurrent: int | None = None,
    device: str = CPU,
    kv_bytes: int | None = None,
) -> ServerCommand:
    """The command that serves the checkpoint.

    share: of the GPU's whole memory that the server may take (`engine.explain.server_share`); None: vLLM's own default.
    concurrent: requests that it works on at most (None: those of the options). device: "cpu", "cuda" or "cuda:N", as
    torch counts them here. kv_bytes: of the key-value cache on the CPU (None: CPU_CACHE_BYTES).

    Raises UserError for what cannot be: a host that others can reach without an API key, sleep or 4 bits on the CPU,
    adapters that it cannot serve (`check_adapter`), a context that the checkpoint does not read.
    """
    api_key = api_key_of(options)
    if not is_loopback(options.host):
        if api_key is None:
            raise UserError(
                f"vlm: host {options.host} can be reached from other machines, so the server needs an API key: put one "
                f"into a file and name it under vlm: api_key_file, or into ${API_KEY_VARIABLE}, or leave host out."
            )
        if options.sleep:
            raise UserError(
                f"vlm: a server that sleeps can be put to sleep by anyone who reaches it: leave host out (now "
                f"{options.host}), or set sleep: false."
            )
    on_cpu = device == CPU
    if on_cpu and options.sleep:
        raise UserError("vlm: a server on the CPU cannot sleep: set sleep: false.")
    if on_cpu and options.quantization is not None:
        raise UserError("vlm: vLLM has no 4-bit weights on the CPU: set quantization: null.")
    if options.context > checkpoint.context:
        raise UserError(
            f"vlm: {options.model} reads {checkpoint.context} tokens at most, not {options.context}: set context to "
            f"{checkpoint.context} or less."
        )
    family = checkpoint.family
    images = 0 if options.images == 0 else family.images_per_prompt
    argv = [options.python or sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    argv += ["--model", str(checkpoint.path.resolve()), "--served-model-name", options.model]
    argv += ["--host", options.host, "--port", str(port)]
    argv += ["--max-model-len", str(options.context), "--max-num-seqs", str(concurrent or options.concurrent)]
    argv += ["--dtype", _DTYPES[options.dtype], "--limit-mm-per-prompt", json.dumps({"image": images})]
    argv += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
    # The grammars of replies are written as xgrammar reads them.
    argv += ["--structured-outputs-config", json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})]
    # Looks at its health would fill the log.
    argv += ["--disable-access-log-for-endpoints", "/health,/metrics,/v1/models"]
    if on_cpu:
        argv += ["--enforce-eager", "--kv-cache-memory-bytes", str(kv_bytes or CPU_CACHE_BYTES)]
    elif share is not None:
        argv += ["--gpu-memory-utilization", f"{share:.4f}"]
    if options.quantization == "4bit" and checkpoint.quantization is None:
        argv += ["--quantization", "bitsandbytes"]
    argv += _adapters(options.adapters, checkpoint)
    if options.sleep:
        argv += ["--enable-sleep-mode"]
    argv += [*family.server_args, *options.server_args]
    return ServerCommand(
        tuple(argv),
        _environment(options, device, api_key),
        f"http://{_reached_at(options.host)}:{port}/v1",
        options.adapter or options.model,
        api_key,
        options.sleep,
    )


def api_key_of(options: VlmOptions) -> str | None:
    """The key in the options' file, else that in $MAIA_API_KEY; None: there is none. Raises UserError for a file that
    cannot be read, or holds none."""
    if options.api_key_file is None:
        return os.environ.get(API_KEY_VARIABLE) or None
    try:
        key = options.api_key_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise UserError(f"the API key in {options.api_key_file} cannot be read: {reason}.") from None
    if not key or len(key.split()) != 1:
        raise UserError(f"{options.api_key_file} must hold an API key and nothing else, in one line.")
    return key


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reached_at(host: str) -> str:
    """What this machine calls a host that it listens at."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


def _environment(options: VlmOptions, device: str, api_key: str | None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in (API_KEY_VARIABLE, "VLLM_API_KEY")}
    env |= _OFFLINE
    if api_key is not None:
        env["VLLM_API_KEY"] = api_key  # an argument could be read by everyone who lists processes
    if options.sleep:
        # Brings the addresses /sleep and /wake_up, which ask for no key: hence only on a loopback host.
        env["VLLM_SERVER_DEV_MODE"] = "1"
    if device.startswith("cuda:"):
        index, visible = int(device.partition(":")[2]), os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else []
        env["CUDA_VISIBLE_DEVICES"] = names[index] if index < len(names) else str(index)
    return env


def _adapters(adapters: Mapping[str, Path], checkpoint: "Checkpoint") -> list[str]:
    from ..models.vlm.adapters import check_adapter
    from .finetune_base import check_base, fingerprint

    if not adapters:
        return []
    rank = max(check_adapter(path, checkpoint, name).rank for name, path in adapters.items())
    base = fingerprint(checkpoint)
    for path in adapters.values():
        check_base(path, checkpoint, base)
    allowed = next((size for size in LORA_RANKS if size >= rank), None)
    if allowed is None:
        raise UserError(f"vlm: an adapter has rank {rank}, and vLLM serves {LORA_RANKS[-1]} at most.")
    modules = [f"{name}={path.resolve()}" for name, path in adapters.items()]
    return [
        "--enable-lora",
        "--max-lora-rank",
        str(allowed),
        "--max-loras",
        str(len(adapters)),
        "--lora-modules",
        *modules,
    ]
