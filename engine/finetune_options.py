"""What can be chosen about the training of an adapter: a YAML file, its keys and their defaults."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from ..models.errors import UserError

_BUILT_IN = Path(__file__).parent / "finetuning"

SFT: Final = "sft"
PREFERENCES: Final = "preferences"

_CHOICES: dict[str, tuple[Any, ...]] = {
    "stage": (SFT, PREFERENCES),
    "dtype": ("auto", "bf16", "fp16", "fp32"),
    "quantization": ("4bit", None),
    "adapter_dtype": ("fp32", "bf16", "fp16"),
    "schedule": ("cosine", "linear", "constant", "constant_with_warmup"),
    "gradient_checkpointing": (True, False),
    "train_connector": (True, False),
}
_LEAST: dict[str, int] = {
    "max_steps": 1,
    "batch": 1,
    "accumulate": 1,
    "max_tokens": 16,
    "seed": 0,
    "save_steps": 1,
    "log_steps": 1,
    "keep_checkpoints": 1,
    "threads": 1,
    "workers": 0,
    "rank": 1,
}
_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (0.001, 1000.0),
    "learning_rate": (1e-8, 1.0),
    "warmup": (0.0, 0.9),
    "weight_decay": (0.0, 1.0),
    "clip": (0.0, 1000.0),
    "alpha": (0.001, 4096.0),
    "dropout": (0.0, 0.9),
    "beta": (0.0001, 100.0),
}
_OPTIONAL = ("max_steps", "threads", "adapter", "device")
_PATHS = ("data", "out", "adapter")
_TEXTS = ("model", "device")


@dataclass(frozen=True)
class LoraChoice:
    """Low-rank adaptation (Hu et al. 2021). rank: of each layer's update. alpha: its weight is alpha / rank. dropout:
    of the update's input. targets: names of the language model's layers that get one, as its modules are called."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class DpoChoice:
    """Direct preference optimization (Rafailov et al. 2023). beta: how hard the answer is held to the reference."""

    beta: float = 0.1


@dataclass(frozen=True)
class TrainOptions:
    """model: a checkpoint's folder, or the name of one in $MAIA_WEIGHTS. data: a training set's directory. out: what is
    written. stage: "sft": to imitate the learned replies; "preferences": chosen over rejected ones. adapter: folder of
    one to go on from (None: a new one).

    dtype: of the frozen weights and the arithmetic; the adapter's own weights are fp32. "auto": bf16 where the device
    multiplies it in hardware, else fp32. adapter_dtype: in which the finished adapter is written. quantization: "4bit"
    (QLoRA: Dettmers et al. 2023) or None. device: "cpu", "cuda"; None: a GPU where there is one.

    epochs: passes over the samples; max_steps, if given, decides instead. batch: samples that a device computes at
    once; accumulate: batches a step. learning_rate: the highest; warmup: share of the steps in which it rises;
    schedule: how it falls then. weight_decay: AdamW's, of the adapter. clip: the gradient's norm at most (0: any).
    max_tokens: of a sample; longer ones are left out. gradient_checkpointing: activations are computed twice, to save
    their memory. seed: of the adapter's first weights, the samples' order, and dropout.

    save_steps: steps between checkpoints, of which keep_checkpoints are kept; log_steps: between lines of the log.
    threads: of the CPU's arithmetic (None: torch's choice). workers: processes that prepare pictures ahead (0: none).
    train_connector: the layers between vision tower and language model are adapted too; servers refuse such adapters.
    """

    model: str
    data: Path
    out: Path
    stage: Literal["sft", "preferences"] = SFT
    adapter: Path | None = None
    lora: LoraChoice = LoraChoice()
    dpo: DpoChoice = DpoChoice()
    dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    adapter_dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    quantization: Literal["4bit"] | None = None
    device: str | None = None
    epochs: float = 1.0
    max_steps: int | None = None
    batch: int = 1
    accumulate: int = 8
    learning_rate: float = 2e-4
    schedule: str = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    clip: float = 1.0
    max_tokens: int = 8192
    gradient_checkpointing: bool = False
    seed: int = 0
    save_steps: int = 50
    keep_checkpoints: int = 2
    log_steps: int = 5
    threads: int | None = None
    workers: int = 0
    train_connector: bool = False
    told: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the file and the command line said, for the report."""

    @property
    def model_path(self) -> Path:
        """The checkpoint's folder."""
        from ..models.networks.weights import weights_directory

        path = Path(self.model).expanduser()
        return path if path.is_dir() else weights_directory() / self.model


_NAMES = [entry.name for entry in fields(TrainOptions) if entry.name != "told"]
_NEEDED = ("model", "data", "out")
_NESTED: dict[str, type] = {"lora": LoraChoice, "dpo": DpoChoice}


def built_in_recipes() -> list[str]:
    """Names that `read_options` takes besides paths."""
    return sorted(path.stem for path in _BUILT_IN.glob("*.yaml"))


def read_options(config: str | Path, **overrides: Any) -> TrainOptions:
    """The options of a YAML file, or of the built-in recipe of that name. overrides: instead of the file's (None: not).

    Raises UserError that names the first key that is unknown, missing or of a wrong type or value.
    """
    path = _BUILT_IN / f"{config}.yaml" if str(config) in built_in_recipes() else Path(config)
    if not path.is_file():
        raise UserError(
            f"there is no training configuration {str(config)!r}: give one of {', '.join(built_in_recipes())}, or the "
            "path of a YAML file."
        )
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, dict):
        raise UserError(f"{path} holds no keys: a training configuration has {', '.join(_NAMES)}.")
    return options_from({**entries, **{key: value for key, value in overrides.items() if value is not None}}, str(path))


def options_from(entries: Mapping[str, Any], where: str) -> TrainOptions:
    """Options from a mapping. where: what messages call it. Raises UserError (see `read_options`)."""
    values: dict[str, Any] = {}
    for name, value in entries.items():
        _check_name(name, _NAMES, where)
        if name in _NESTED:
            values[name] = _nested(name, value, where)
        else:
            values[name] = _value(name, value, where)
    missing = [name for name in _NEEDED if name not in values]
    if missing:
        raise UserError(f"{where} does not say {', '.join(missing)}: add it to the file, or give --{missing[0]}.")
    told = {name: str(value) if isinstance(value, Path) else value for name, value in entries.items()}
    return TrainOptions(**values, told=told)


def _check_name(name: Any, names: list[str], where: str) -> None:
    if name not in names:
        raise UserError(f"{where} has no key {name!r}: choose from {', '.join(names)}.")


def _nested(name: str, entries: Any, where: str) -> Any:
    kind = _NESTED[name]
    names = [entry.name for entry in fields(kind)]
    if not isinstance(entries, Mapping):
        raise UserError(f"{where}: {name} must be a mapping with any of {', '.join(names)}, not {entries!r}.")
    values = {}
    for key, value in entries.items():
        _check_name(key, names, f"{where}: {name}")
        values[key] = _value(key, value, f"{where}: {name}")
    return kind(**values)


def _value(name: str, value: Any, where: str) -> Any:
    """The value in its type. Raises UserError for a wrong one."""
    if value is None and name in _OPTIONAL:
        return None
    # `in` alone would take 1 for True.
    if name in _CHOICES:
        if not any(value is choice or value == choice != 1 for choice in _CHOICES[name]):
            shown = ", ".join("null" if choice is None else str(choice).lower() for choice in _CHOICES[name])
            raise UserError(f"{where}: {name} cannot be {value!r}: choose from {shown}.")
        return value
    if name in _LEAST:
        if isinstance(value, bool) or not isinstance(value, int) or value < _LEAST[name]:
            raise UserError(f"{where}: {name} must be a whole number of at least {_LEAST[name]}, not {value!r}.")
        return value
    if name in _RANGES:
        return _number(name, value, where)
    if name == "targets":
        if not isinstance(value, list | tuple) or not value or not all(isinstance(entry, str) for entry in value):
            raise UserError(f"{where}: targets must be a list of names such as q_proj, not {value!r}.")
        return tuple(value)
    if not isinstance(value, str | Path) or not str(value):
        raise UserError(f"{where}: {name} must be a {'path' if name in _PATHS else 'text'}, not {value!r}.")
    return Path(value).expanduser() if name in _PATHS else str(value)


def _number(name: str, value: Any, where: str) -> float:
    low, high = _RANGES[name]
    # YAML 1.1 reads 1e-3 as a text.
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{where}: {name} must be a number from {low:g} to {high:g}, not {value!r}.")
    return float(value)
