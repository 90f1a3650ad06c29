"""Which checkpoint an adapter was trained for: told by its files, not by its name or place."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..models.errors import UserError
from ..models.vlm.adapters import check_adapter
from ..models.vlm.checkpoint import Checkpoint, read_json

REPORT = "training.json"

_SAMPLES, _SAMPLE = 16, 65536
"""Places of a weight file that are read, and bytes at each."""

_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets")


def fingerprint(checkpoint: Checkpoint) -> dict[str, Any]:
    """name, architecture, and the hash of config.json and of the weights: of each file its size and 16 samples of
    64 KiB, as reading all of a large checkpoint takes minutes."""
    config = {
        key: value for key, value in checkpoint.config.items() if key not in ("_name_or_path", "transformers_version")
    }
    found = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for file in checkpoint.weights:
        size = file.stat().st_size
        found.update(f"{file.name} {size}".encode())
        with file.open("rb") as opened:
            for sample in range(_SAMPLES):
                opened.seek(sample * max(0, size - _SAMPLE) // (_SAMPLES - 1))
                found.update(opened.read(_SAMPLE))
    return {"name": checkpoint.name, "architecture": checkpoint.architecture, "hash": found.hexdigest()}


def check_base(adapter: Path, checkpoint: Checkpoint, base: Mapping[str, Any]) -> None:
    """Raises UserError for an adapter that was trained for another checkpoint, with the names of both, and for one that
    cannot be used (see `check_adapter`). base: the checkpoint's fingerprint."""
    check_adapter(adapter, checkpoint)
    if not (adapter / REPORT).is_file():
        return  # trained elsewhere: its layers fit, more cannot be told
    told = read_json(adapter / REPORT, f"the adapter {adapter.name}").get("base") or {}
    if told.get("hash") != base["hash"]:
        raise UserError(
            f"the adapter {adapter.name} was trained for {told.get('name')} ({told.get('architecture')}), whose "
            f"weights are others than those of {checkpoint.name}: choose that checkpoint, or an adapter of this one."
        )


def versions() -> dict[str, str]:
    """Of Python and of the libraries that training rests on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
