"""What is told of a training while it runs: log.jsonl, TensorBoard, and lines with rate and time left."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from .finetune_trainer import check_finite

KEPT = ("loss", "grad_norm", "learning_rate", "accuracy", "tokens", "learned", "epoch", "margin", "rewards")


class Log(TrainerCallback):
    """log.jsonl: a line for each log step, {"step", "loss", …, "seconds" since the start}; a resumed training goes on
    with it after the lines of the steps that it repeats were taken out. Writes on the first process only."""

    def __init__(self, file: Path, samples_a_step: int, say: Callable[[str], None], board: Path | None) -> None:
        """board: TensorBoard's directory; None: none is written."""
        self._file, self._samples, self._say, self._board = file, samples_a_step, say, board
        self._writer: Any = None
        self._start, self._first = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start, self._first = time.monotonic(), state.global_step
        if not state.is_world_process_zero:
            return
        kept = [line for line in _lines(self._file) if line["step"] <= state.global_step]
        self._file.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        if self._board is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._board), purge_step=state.global_step + 1)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs is None or "loss" not in logs or not state.is_world_process_zero:
            return
        check_finite(logs["loss"], state.global_step)
        gone = time.monotonic() - self._start
        values = {name: value for name, value in logs.items() if name in KEPT}
        with self._file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps({"step": state.global_step, **values, "seconds": round(gone, 2)}) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"train/{name}", value, state.global_step)
            self._writer.flush()
        each = gone / max(1, state.global_step - self._first)
        left = each * (state.max_steps - state.global_step)
        self._say(
            f"step {state.global_step} of {state.max_steps}: loss {logs['loss']:.4f}, {each / self._samples:.2f} s a "
            f"sample, {_time(left)} left"
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._writer is not None:
            self._writer.close()


def read_log(file: Path) -> list[dict[str, Any]]:
    """The lines of a log.jsonl."""
    return _lines(file)


def _lines(file: Path) -> list[dict[str, Any]]:
    """A last line that was cut short is left out."""
    found = []
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
    return found


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
