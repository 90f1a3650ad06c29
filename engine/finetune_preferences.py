"""Training on pairs of answers, the better one over the worse: direct preference optimization (Rafailov et al. 2023).

The reference is the model that the training starts from (base, or base with the adapter that is gone on from). Its
log-probabilities of all answers are computed once, before the first step, so that no second adapter takes memory and
none is switched while gradients are at work; OUT/reference.json keeps them for --resume.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .finetune_log import Log
from .finetune_memory import expected_memory, setting_of
from .finetune_options import TrainOptions
from .finetune_run import (
    BOARD,
    LOG,
    Prepared,
    TrainingReport,
    adapted_model,
    finish,
    first_only,
    prepare,
)
from .finetune_samples import PREFERENCES, BadSample, Pair, Skipped, check_any, read_pairs
from .finetune_tokens import IGNORED, Encoded, Encoder, batched
from .finetune_trainer import MaskedTrainer, logits_where
from .vlm_shape import ADAPTER_FILE

REFERENCE = "reference.json"

ANSWERS = 2
"""Of a pair: the chosen one, then the rejected one."""


def train_preferences(options: TrainOptions, say: Callable[[str], None], resume: bool, begun: float) -> TrainingReport:
    """The second stage: see `engine.finetune.train`, whose errors it raises. begun: when, by time.monotonic()."""
    from datasets import Dataset

    say_first = first_only(say)
    prepared = prepare(options, say_first, resume)
    pairs, lengths, learned, skipped = encoded_pairs(prepared.encoder, options, say_first)
    setting = setting_of(options, max(lengths), max(learned), ANSWERS)
    memory = expected_memory(prepared.checkpoint, prepared.dtype, prepared.device, setting, say_first)
    model = adapted_model(prepared, memory, say_first)
    collator = PairCollator(pairs, prepared.encoder)
    trainer = PreferenceTrainer(
        beta=options.dpo.beta,
        model=model,
        args=prepared.arguments(),
        data_collator=collator,
        train_dataset=Dataset.from_dict({"place": list(range(len(pairs))), "length": lengths}),
        processing_class=prepared.encoder.processor,
        callbacks=[Log(options.out / LOG, prepared.samples_a_step(), say_first, options.out / BOARD)],
    )
    with memory.told():
        collator.reference = reference_of(trainer, collator, prepared, say_first)
    return finish(trainer, prepared, memory, len(pairs), skipped, begun, say_first)


def encoded_pairs(
    encoder: Encoder, options: TrainOptions, say: Callable[[str], None]
) -> tuple[list[Pair], list[int], list[int], Skipped]:
    """The pairs that can be trained on, with the tokens of their longer answer and the learned ones of either, at most;
    and those that cannot. Raises UserError where none is left."""
    found, skipped = read_pairs(options.data)
    pairs, lengths, learned = [], [], []
    for pair in found:
        try:
            answers = encoded_answers(encoder, pair)
            length = max(answer.length for answer in answers)
            if length > options.max_tokens:
                raise BadSample("longer than max_tokens", f"{length} tokens, {options.max_tokens} allowed")
        except BadSample as problem:
            skipped.add(pair.id, problem)
            continue
        pairs.append(pair)
        lengths.append(length)
        learned.append(max(answer.learned for answer in answers))
    for line in skipped.told():
        say(line)
    check_any(pairs, skipped, options.data / PREFERENCES)
    say(f"{len(pairs)} pairs of {min(lengths)} to {max(lengths)} tokens an answer with its prompt.")
    return pairs, lengths, learned, skipped


def encoded_answers(encoder: Encoder, pair: Pair) -> tuple[Encoded, Encoded]:
    """The prompt with the chosen answer, and with the rejected one. Raises BadSample where both are the same tokens."""
    chosen, rejected = encoder.encode(pair.chosen), encoder.encode(pair.rejected)
    if torch.equal(chosen.targets, rejected.targets):
        raise BadSample("no difference", "the chosen and the rejected answer are the same tokens")
    return chosen, rejected


def log_probabilities(
    model: Any, head: torch.nn.Module, inputs: Mapping[str, Any], targets: torch.Tensor
) -> torch.Tensor:
    """float32 [sequences]: the sum of the log-probabilities of each sequence's targets ([sequences, length], IGNORED
    where none counts)."""
    places = targets != IGNORED
    logits = logits_where(model, head, inputs, places)
    each = -torch.nn.functional.cross_entropy(logits, targets[places], reduction="none")
    return torch.zeros(len(targets), device=each.device).index_add(0, places.nonzero()[:, 0], each)


def margins(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """[pairs]: how much more than the reference the policy prefers the chosen answer, times beta. policy, reference:
    log-probabilities [pairs, 2] of the chosen and the rejected answer. The loss of eq. 7 of Rafailov et al. (2023) is
    -log sigmoid of it."""
    gained = beta * (policy - reference)
    return gained[:, 0] - gained[:, 1]


class PairCollator:
    """From rows {"place"} of the dataset to a batch of twice as many sequences: of each pair the chosen answer, then
    the rejected one. reference: of each pair the two log-probabilities, once they are known."""

    def __init__(self, pairs: Sequence[Pair], encoder: Encoder) -> None:
        self.pairs, self._encoder = pairs, encoder
        self.reference: Sequence[Sequence[float]] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        """What `batched` makes, its targets as "shift_labels", and "reference" (float32 [pairs, 2])."""
        places = [row["place"] for row in rows]
        encoded = [answer for place in places for answer in encoded_answers(self._encoder, self.pairs[place])]
        batch = batched(encoded, self._encoder.image_inputs, self._encoder.pad)
        batch["shift_labels"] = batch.pop("targets")
        if self.reference is not None:
            batch["reference"] = torch.tensor([self.reference[place] for place in places], dtype=torch.float32)
        return batch


class PreferenceTrainer(MaskedTrainer):
    """Trains on batches of `PairCollator`. Logs, beside the loss, "margin": the mean of `margins`, and "accuracy": the
    share of pairs of which it is positive."""

    # Each batch's loss is a mean over its pairs, so that the trainer divides by the batches of a step.
    loss_is_scaled_for_ga = False

    def __init__(self, beta: float, **options: Any) -> None:
        super().__init__(**options)
        self._beta = beta

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Eq. 7 of Rafailov et al. (2023), mean over the batch's pairs."""
        reference = inputs.pop("reference")
        found = margins(self.answers(model, inputs), reference, self._beta)
        loss = -torch.nn.functional.logsigmoid(found).mean()
        self._sums["pairs"] += len(found)
        self._sums["right"] += float((found.detach() > 0).sum())
        self._sums["margin"] += float(found.detach().sum())
        return (loss, None) if return_outputs else loss

    def answers(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Log-probabilities [pairs, 2] of the batch's answers."""
        for module in self._frozen:
            module.eval()
        targets = inputs.pop("shift_labels")
        self._sums["tokens"] += float(targets.numel())
        self._sums["learned"] += float((targets != IGNORED).sum())
        head = self._whole.get_output_embeddings()
        return log_probabilities(model, head, inputs, targets).view(-1, ANSWERS)

    @torch.no_grad()
    def untrained(self, batch: dict[str, torch.Tensor]) -> list[list[float]]:
        """The same of a batch by the model as it is now, without dropout: asked before the first step."""
        self._whole.eval()
        with self.accelerator.autocast():
            found = self.answers(self._whole, self._prepare_inputs(batch)).float().tolist()
        self._sums.clear()
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds "accuracy", "margin", and "tokens", "learned" (numbers since the last line, of this process)."""
        if self._sums["pairs"] and "loss" in logs:
            for name, total in (("accuracy", "right"), ("margin", "margin")):
                logs[name] = self._sums[total] / self._sums["pairs"]
            logs["tokens"], logs["learned"] = self._sums["tokens"], self._sums["learned"]
            self._sums.clear()
        super().log(logs, start_time)


def reference_of(
    trainer: PreferenceTrainer, collator: PairCollator, prepared: Prepared, say: Callable[[str], None]
) -> list[list[float]]:
    """Of each pair the log-probabilities [chosen, rejected] by the model that the training starts from: those that an
    interrupted training kept, if they are of the same pairs and weights, else computed, each process its share."""
    from accelerate.utils import gather_object

    file = prepared.options.out / REFERENCE
    key = _key(collator, prepared)
    if prepared.start is not None:
        kept = _kept(file, key)
        if kept is not None:
            return kept
        say(f"{file.name} is missing, damaged or of other pairs: the reference is computed again.")
    else:
        say(f"the reference of {len(collator)} pairs is computed.")
    processes, first = trainer.accelerator.num_processes, trainer.accelerator.process_index
    shares = {
        place: trainer.untrained(collator([{"place": place}]))[0] for place in range(first, len(collator), processes)
    }
    found = dict(gather_object(list(shares.items())))
    answers = [found[place] for place in range(len(collator))]
    if trainer.is_world_process_zero():
        waiting = file.with_suffix(".part")
        waiting.write_text(json.dumps({"key": key, "answers": answers}), encoding="utf-8")
        waiting.replace(file)
    return answers


def _key(collator: PairCollator, prepared: Prepared) -> str:
    """A hash of what the reference depends on: base, first adapter, arithmetic, and the pairs in their order."""
    options = prepared.options
    found = hashlib.sha256(f"{prepared.base['hash']} {prepared.dtype} {options.quantization}".encode())
    if options.adapter is not None:
        found.update((options.adapter / ADAPTER_FILE).read_bytes())
    for pair in collator.pairs:
        for sample in (pair.chosen, pair.rejected):
            found.update(repr((pair.id, sample.messages, [file.name for file in sample.images])).encode())
    return found.hexdigest()


def _kept(file: Path, key: str) -> list[list[float]] | None:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return told["answers"] if told["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
