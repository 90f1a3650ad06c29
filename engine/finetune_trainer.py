"""trl's trainer over samples that are prepared already: its loss on the tokens that count alone, its checkpoints whole.

trl's own collators cut neither several pictures a sample nor replies by our rule, so that its preparation is skipped;
what is used of it is the loop: accumulation, schedules, mixed precision, several GPUs, checkpoints, resuming.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from ..models.errors import UserError
from .finetune_options import TrainOptions
from .finetune_samples import Sample
from .finetune_tokens import IGNORED, Encoder, batched

COMPLETE = "complete.json"
"""Written last into a checkpoint: the hashes of its files."""

PREFIX = "checkpoint-"


class Collator:
    """From rows {"place"} of the dataset to a batch; pictures are decoded here, when they are needed."""

    def __init__(self, samples: Sequence[Sample], encoder: Encoder) -> None:
        self._samples, self._encoder = samples, encoder

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        """The batch as `batched` makes it, with "labels": where the trainer looks how many tokens count."""
        encoder = self._encoder
        encoded = [encoder.encode(self._samples[row["place"]]) for row in rows]
        batch = batched(encoded, encoder.image_inputs, encoder.pad)
        targets = batch.pop("targets")
        return {**batch, "labels": targets, "shift_labels": targets}


@contextmanager
def counted_only(head: torch.nn.Module, places: torch.Tensor) -> Iterator[None]:
    """Within it the model's last layer computes the positions in `places` (bool [samples, length]) alone: it gives
    [positions, vocabulary]. The logits of all positions would be a quarter of a small model's work, and most of the
    memory of a large one's."""
    handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][places], *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()


def logits_where(model: Any, head: torch.nn.Module, inputs: Mapping[str, Any], places: torch.Tensor) -> torch.Tensor:
    """float32 [positions, vocabulary]: what the model predicts at `places` (bool [samples, length])."""
    with counted_only(head, places):
        return model(**inputs, use_cache=False).logits.float()


def frozen_modules(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The largest modules in which nothing is trained. They stay as they answer: a vision tower whose batch norms or
    dropped paths were in training would show the language model other pictures than later."""
    if not any(weight.requires_grad for weight in model.parameters()):
        return [model]
    return [module for child in model.children() for module in frozen_modules(child)]


class MaskedTrainer(SFTTrainer):
    """Trains on batches of `Collator`. Logs, beside the loss, the share of tokens that the model would have said."""

    # The loss below is a sum over the tokens of the whole step, as soon as their number is told.
    loss_is_scaled_for_ga = True  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)  # Log tells it
        self.model_accepts_loss_kwargs = True  # so that the tokens of a step are counted
        self._sums: dict[str, float] = defaultdict(float)
        assert self.model is not None
        self._whole: Any = self.model  # without what several processes wrap it in
        self._frozen = frozen_modules(self._whole)
        for weight in self._whole.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()  # trl rounds those of a model in 4 bits to bf16

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross entropy, summed over the targets of the batch and divided by those of the step."""
        for module in self._frozen:
            module.eval()
        targets = inputs.pop("shift_labels")
        inputs.pop("labels", None)
        places = targets != IGNORED
        logits = logits_where(model, self._whole.get_output_embeddings(), inputs, places)
        loss = torch.nn.functional.cross_entropy(logits, targets[places], reduction="sum")
        count = int(places.sum())
        self._sums["right"] += float((logits.detach().argmax(-1) == targets[places]).sum())
        self._sums["learned"] += count
        self._sums["tokens"] += float(targets.numel())
        if num_items_in_batch is None:
            loss = loss / max(1, count) / self.args.gradient_accumulation_steps
        else:
            loss = loss / num_items_in_batch
            if self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes
        return (loss, None) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds "accuracy" (0 to 1) and "tokens", "learned" (numbers since the last line, of this process)."""
        if self._sums["learned"] and "loss" in logs:
            logs["accuracy"] = self._sums["right"] / self._sums["learned"]
            logs["tokens"], logs["learned"] = self._sums["tokens"], self._sums["learned"]
            self._sums.clear()
        super(SFTTrainer, self).log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal(Path(str(self.args.output_dir)) / f"{PREFIX}{self.state.global_step}")


def training_arguments(options: TrainOptions, checkpoints: Path, dtype: str, device: torch.device) -> SFTConfig:
    """What trl's trainer is told. dtype: see `finetune_run.chosen_dtype`."""
    return SFTConfig(
        output_dir=str(checkpoints),
        per_device_train_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulate,
        num_train_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup,
        weight_decay=options.weight_decay,
        max_grad_norm=options.clip,
        gradient_checkpointing=options.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if options.gradient_checkpointing else None,
        bf16=dtype == "bf16",
        fp16=dtype == "fp16",
        use_cpu=device.type == "cpu",
        seed=options.seed,
        data_seed=options.seed,
        save_strategy="steps",
        save_steps=options.save_steps,
        save_total_limit=options.keep_checkpoints,
        logging_steps=options.log_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        train_sampling_strategy="group_by_length" if options.batch > 1 else "random",
        length_column_name="length",
        dataloader_num_workers=options.workers,
        dataloader_pin_memory=device.type == "cuda",
        ddp_find_unused_parameters=False,
        optim="adamw_torch",
    )


def seal(checkpoint: Path) -> None:
    """Writes the hashes of a checkpoint's files beside them: it is whole."""
    hashes = {file.name: _hash(file) for file in sorted(checkpoint.iterdir()) if file.name != COMPLETE}
    waiting = checkpoint / f"{COMPLETE}.part"
    waiting.write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    waiting.replace(checkpoint / COMPLETE)


def last_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The last whole checkpoint; None where there is none. Says which ones are damaged."""
    found = sorted(folder.glob(f"{PREFIX}*"), key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True)
    for checkpoint in found:
        problem = _damage(checkpoint)
        if problem is None:
            return checkpoint
        say(f"{checkpoint.name} is not used, since {problem}.")
    return None


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with it, None if nothing."""
    try:
        hashes = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was not written to its end"
    for name, expected in hashes.items():
        if not (checkpoint / name).is_file():
            return f"{name} is missing"
        if _hash(checkpoint / name) != expected:
            return f"{name} is damaged"
    return None


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_finite(loss: float, step: int) -> None:
    """Raises UserError where the loss is no number any more."""
    if loss != loss or loss in (float("inf"), float("-inf")):
        raise UserError(
            f"the loss is {loss} at step {step}: lower learning_rate, or choose dtype bf16 or fp32; --resume goes on "
            "from the last checkpoint."
        )
