"""What both stages of a training share: the checks before it, the adapted model, the files at its end."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..models.errors import UserError
from ..models.vlm.checkpoint import Checkpoint, read_checkpoint
from ..models.vlm.loading import DTYPES, check_4bit, check_dtype, read_model
from .finetune_base import check_base, fingerprint, versions
from .finetune_memory import Memory
from .finetune_options import TrainOptions
from .finetune_samples import Skipped
from .finetune_tokens import Encoder
from .memory import freed_blocks_kept
from .vlm_shape import ADAPTER_FILE

REPORT, LOG, OPTIONS, CHECKPOINTS, BOARD = "training.json", "log.jsonl", "options.json", "checkpoints", "tensorboard"

_FREE = ("threads", "workers", "log_steps", "save_steps", "keep_checkpoints", "device", "out")
"""Options that a resumed training may have otherwise than the one that it goes on with."""


@dataclass(frozen=True)
class TrainingReport:
    """out: where the adapter is. steps: of the optimizer. samples: that were trained on; skipped: left out, as
    sentences. first_loss, last_loss: of the log's first and last line. seconds: of this call."""

    out: Path
    steps: int
    samples: int
    skipped: tuple[str, ...]
    first_loss: float
    last_loss: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """What both stages begin with. base: the checkpoint's fingerprint. start: the checkpoint of the training that is
    gone on from, None at the beginning."""

    options: TrainOptions
    checkpoint: Checkpoint
    encoder: Encoder
    device: torch.device
    dtype: str
    base: Mapping[str, Any]
    start: Path | None

    def arguments(self) -> Any:
        """Of the trainer."""
        from .finetune_trainer import training_arguments

        arguments = training_arguments(self.options, self.options.out / CHECKPOINTS, self.dtype, self.device)
        if arguments.n_gpu > 1:
            arguments._n_gpu = 1  # one process uses one GPU; more come by `accelerate launch`
        return arguments

    def samples_a_step(self) -> int:
        """Samples that all processes together compute between two updates."""
        from accelerate import PartialState

        return self.options.batch * self.options.accumulate * PartialState().num_processes


def prepare(options: TrainOptions, say: Callable[[str], None], resume: bool) -> Prepared:
    """Checks everything that can be checked before weights are read. Raises UserError."""
    from accelerate import PartialState

    from .finetune_trainer import last_checkpoint

    checkpoint = read_checkpoint(options.model_path, Path(options.model).name)
    base = fingerprint(checkpoint)
    if options.adapter is not None:
        check_base(options.adapter, checkpoint, base)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = _device(options)
    dtype = chosen_dtype(options, device, say)
    check_dtype(dtype, device)
    if options.quantization is not None:
        check_4bit(device)
    _check_out(options, resume)
    start = last_checkpoint(options.out / CHECKPOINTS, say) if resume else None
    if resume:
        say(f"going on from {start.name}." if start is not None else "there is no checkpoint to go on from: beginning.")
    if PartialState().is_main_process:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / OPTIONS).write_text(json.dumps(_shown(options), indent=1), encoding="utf-8")
    return Prepared(options, checkpoint, Encoder(checkpoint), device, dtype, base, start)


def adapted_model(prepared: Prepared, memory: Memory, say: Callable[[str], None]) -> Any:
    """The model with the adapter that is trained. The seed is set before its first weights are drawn."""
    from transformers import set_seed

    from .finetune_lora import trained_weights, with_adapter, with_trained_adapter

    options = prepared.options
    set_seed(options.seed)
    place = None if prepared.device.type == "cpu" and options.quantization is None else prepared.device
    quantize = options.quantization is not None and prepared.checkpoint.quantization is None
    with memory.told():
        model = read_model(prepared.checkpoint.path, prepared.dtype, place, quantize)
    if options.adapter is not None:
        model = with_trained_adapter(model, options.adapter, prepared.checkpoint, options.train_connector)
    else:
        model = with_adapter(model, options.lora, options.train_connector)
    count, _ = trained_weights(model)
    say(
        f"{prepared.checkpoint.name} in {options.quantization or prepared.dtype} on {prepared.device}: {count:,} "
        f"numbers are trained, {torch.get_num_threads()} threads."
    )
    return model


def finish(
    trainer: Any,
    prepared: Prepared,
    memory: Memory,
    samples: int,
    skipped: Skipped,
    begun: float,
    say: Callable[[str], None],
) -> TrainingReport:
    """Trains, and writes the adapter and its report. Raises UserError where memory does not suffice."""
    from .finetune_log import read_log

    options = prepared.options
    kept = freed_blocks_kept() if prepared.device.type == "cpu" else contextlib.nullcontext()
    with kept, memory.told():
        trainer.train(resume_from_checkpoint=None if prepared.start is None else str(prepared.start))
    seconds = time.monotonic() - begun
    lines = read_log(options.out / LOG)
    report = TrainingReport(
        options.out,
        trainer.state.global_step,
        samples,
        tuple(skipped.told()),
        lines[0]["loss"] if lines else float("nan"),
        lines[-1]["loss"] if lines else float("nan"),
        seconds,
    )
    if trainer.is_world_process_zero():
        save_adapter(
            trainer.accelerator.unwrap_model(trainer.model),
            options.out,
            DTYPES[options.adapter_dtype],
            prepared.checkpoint.name,
        )
        _write_report(report, prepared, skipped, lines)
        say(f"{report.steps} steps in {seconds:.0f} s; the adapter is in {options.out}.")
    return report


def save_adapter(model: Any, out: Path, dtype: torch.dtype, base: str) -> None:
    """Writes the adapter that is trained into `out`, in peft's format, its weights in `dtype`. base: what it says it
    was trained for."""
    from safetensors.torch import load_file, save_file

    model.save_pretrained(out, selected_adapters=[model.active_adapter], save_embedding_layers=False)
    settings = out / "adapter_config.json"
    told = json.loads(settings.read_text(encoding="utf-8"))
    # peft writes the path that the base had on this machine.
    settings.write_text(json.dumps({**told, "base_model_name_or_path": base}, indent=1) + "\n", encoding="utf-8")
    if dtype != torch.float32:
        file = out / ADAPTER_FILE
        weights = {name: tensor.to(dtype) for name, tensor in load_file(file).items()}
        save_file(weights, file, metadata={"format": "pt"})
    (out / "README.md").unlink(missing_ok=True)  # peft's empty model card


def first_only(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say` on the first process; silence on the others."""
    from accelerate import PartialState

    return say if PartialState().is_main_process else lambda _: None


def chosen_dtype(options: TrainOptions, device: torch.device, say: Callable[[str], None]) -> str:
    """The option dtype, with "auto" decided: bf16 where the device has instructions for it, else fp32; says which.

    Measured on a CPU without such instructions: a matrix product takes five times as long in bf16 as in fp32.
    """
    if options.dtype != "auto":
        return options.dtype
    if device.type == "cuda":
        hardware = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    dtype = "bf16" if hardware else "fp32"
    say(f"dtype auto: {dtype}, since {device} {'multiplies' if hardware else 'does not multiply'} bf16 in hardware.")
    return dtype


def _device(options: TrainOptions) -> torch.device:
    from accelerate import PartialState

    if options.device is not None and options.device.split(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"device cannot be {options.device!r}: choose from cpu, cuda, or leave it out.")
    if options.device is not None and options.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {options.device}: this machine has no usable GPU: choose cpu, or leave it out.")
    if options.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device(PartialState().device)


def _check_out(options: TrainOptions, resume: bool) -> None:
    """Raises UserError where `out` holds another training."""
    file = options.out / OPTIONS
    if not file.is_file():
        if options.out.is_dir() and any(options.out.iterdir()):
            raise UserError(f"{options.out} is not empty and holds no training: give another out.")
        return
    if not resume:
        raise UserError(f"{options.out} holds a training already: go on with --resume, or give another out.")
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{file} is damaged: delete {options.out}, or give another out.") from None
    now = json.loads(json.dumps(_shown(options)))
    changed = [name for name in now if name not in _FREE and before.get(name) != now[name]]
    if changed:
        shown = "; ".join(f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in changed)
        raise UserError(f"--resume: {options.out} was begun with other options ({shown}): take those, or another out.")


def _shown(options: TrainOptions) -> dict[str, Any]:
    """All options, as JSON holds them; of paths their last part, as the rest is this machine's."""
    from dataclasses import asdict

    values = {name: value for name, value in asdict(options).items() if name != "told"}
    values["model"] = Path(options.model).name
    return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}


def _write_report(
    report: TrainingReport, prepared: Prepared, skipped: Skipped, lines: Sequence[Mapping[str, Any]]
) -> None:
    data = {
        "options": _shown(prepared.options),
        "dtype": prepared.dtype,
        "device": prepared.device.type,
        "threads": torch.get_num_threads(),
        "base": dict(prepared.base),
        "adapter_from": None if prepared.options.adapter is None else prepared.options.adapter.name,
        "versions": versions(),
        "samples": report.samples,
        "skipped": skipped.names,
        "steps": report.steps,
        "tokens": int(sum(line.get("tokens", 0) for line in lines)),
        "learned_tokens": int(sum(line.get("learned", 0) for line in lines)),
        "first_loss": report.first_loss,
        "last_loss": report.last_loss,
        "seconds": round(report.seconds, 1),
    }
    (prepared.options.out / REPORT).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
