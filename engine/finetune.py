"""Training of a LoRA adapter for a vision-language model: `maia finetune train --config FILE`.

OUT/adapter_config.json, adapter_model.safetensors   the adapter, as peft writes and servers read it
OUT/training.json                                    what made it: options, versions, base, losses, left-out samples
OUT/log.jsonl, OUT/tensorboard/                      the course of the loss
OUT/checkpoints/                                     what --resume goes on from

Several GPUs: `accelerate launch -m maia finetune train --config FILE`; every process runs the same, the first writes.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .finetune_memory import expected_memory, setting_of
from .finetune_options import SFT, TrainOptions, read_options
from .finetune_run import BOARD, LOG, TrainingReport, adapted_model, finish, first_only, prepare
from .finetune_samples import TRAIN, BadSample, Sample, Skipped, check_any, read_samples
from .finetune_tokens import Encoder


def train(
    config: str | Path, say: Callable[[str], None] = print, resume: bool = False, **overrides: Any
) -> TrainingReport:
    """Trains the adapter that a configuration describes (a YAML file, or the name of a built-in recipe).

    say: is told each step of the work. resume: goes on from the last whole checkpoint in `out`, if there is one.
    overrides: options instead of the file's (see `TrainOptions`). Raises UserError for what is wrong with the options,
    the checkpoint, the adapter or the training set, and where memory does not suffice, with the setting that would fit.
    """
    begun = time.monotonic()
    options = read_options(config, **overrides)
    if options.stage != SFT:
        from .finetune_preferences import train_preferences

        return train_preferences(options, say, resume, begun)
    say_first = first_only(say)
    prepared = prepare(options, say_first, resume)
    samples, lengths, learned, skipped = encoded_lengths(prepared.encoder, options, say_first)
    setting = setting_of(options, max(lengths), max(learned))
    memory = expected_memory(prepared.checkpoint, prepared.dtype, prepared.device, setting, say_first)
    model = adapted_model(prepared, memory, say_first)
    from datasets import Dataset

    from .finetune_log import Log
    from .finetune_trainer import Collator, MaskedTrainer

    rows = Dataset.from_dict({"place": list(range(len(samples))), "length": lengths})
    trainer = MaskedTrainer(
        model=model,
        args=prepared.arguments(),
        data_collator=Collator(samples, prepared.encoder),
        train_dataset=rows,
        processing_class=prepared.encoder.processor,
        callbacks=[Log(options.out / LOG, prepared.samples_a_step(), say_first, options.out / BOARD)],
    )
    return finish(trainer, prepared, memory, len(samples), skipped, begun, say_first)


def encoded_lengths(
    encoder: Encoder, options: TrainOptions, say: Callable[[str], None]
) -> tuple[list[Sample], list[int], list[int], Skipped]:
    """The samples that can be trained on with their numbers of tokens and of those that are learned, and those that
    cannot: damaged, longer than max_tokens, with pictures that are missing. All are encoded once; what is kept of them
    are these numbers."""
    found, skipped = read_samples(options.data, TRAIN)
    samples, lengths, learned = [], [], []
    for sample in found:
        try:
            encoded = encoder.encode(sample)
            if encoded.length > options.max_tokens:
                raise BadSample("longer than max_tokens", f"{encoded.length} tokens, {options.max_tokens} allowed")
        except BadSample as problem:
            skipped.add(sample.id, problem)
            continue
        samples.append(sample)
        lengths.append(encoded.length)
        learned.append(encoded.learned)
    for line in skipped.told():
        say(line)
    check_any(samples, skipped, options.data / TRAIN)
    say(
        f"{len(samples)} samples of {min(lengths)} to {max(lengths)} tokens, {sum(lengths) // len(lengths)} in the "
        f"mean, of which {sum(learned) / sum(lengths):.0%} are learned."
    )
    return samples, lengths, learned, skipped
