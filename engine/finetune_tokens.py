"""From a dialogue to what a model is trained on: its tokens and pictures, and which token each position shall predict.

Tokens are those that the model reads when it answers (`models/vlm/in_process.py` makes them by the same call). What is
learned is found in characters: the chat template is rendered up to the reply and after it, and the difference is the
reply with the token that ends it. So templates need no marks of their own, and pictures may stand anywhere.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..models.errors import UserError, first_line
from ..models.vlm.chat import RequestFailed
from ..models.vlm.checkpoint import Checkpoint
from ..models.vlm.collate import IDS, MASK, joined_pictures
from ..models.vlm.conversation import conversation
from ..models.vlm.in_process import end_tokens, special_texts
from ..models.vlm.loading import LOCAL, read_processor
from .finetune_samples import BadSample, Sample

IGNORED = -100
"""The target of a position whose prediction does not count."""

_OFFSETS, _REPLACED = "offset_mapping", "text_replacement_offsets"


@dataclass(frozen=True, eq=False)
class Encoded:
    """inputs: by name what the model takes, in a batch of one: of the tokens [1, length], and of the pictures. targets:
    [length], int64: the token that each position shall predict, or IGNORED. unlearned: replies whose end the template
    does not mark; the target after their last token is the tokenizer's own end."""

    inputs: Mapping[str, torch.Tensor]
    targets: torch.Tensor
    unmarked: int = 0

    @property
    def length(self) -> int:
        """Tokens, those of the pictures included."""
        return int(self.targets.shape[0])

    @property
    def learned(self) -> int:
        """Tokens that the loss counts."""
        return int((self.targets != IGNORED).sum())


class Encoder:
    """Dialogues to tokens, for one checkpoint. Needs its small files only, not its weights."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises UserError where the processor cannot be read (see `read_processor`)."""
        self.checkpoint = checkpoint
        self.processor = read_processor(checkpoint.path)
        tokenizer = self.processor.tokenizer
        self.image_inputs = tuple(self.processor.image_processor.model_input_names)
        self.specials = special_texts(self.processor)
        self.ends = end_tokens(_generation_config(checkpoint.path), tokenizer)
        if not self.ends:
            raise UserError(f"{checkpoint.name} names no token that ends an answer: get its tokenizer's files again.")
        self.pad = self.ends[0] if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    def encode(self, sample: Sample) -> Encoded:
        """What a model is trained on of a sample. What follows its last learned reply is left out.

        Raises BadSample for a picture that is missing or unreadable, and a dialogue that the model does not take;
        UserError for a chat template that writes a reply otherwise once the dialogue goes on.
        """
        kept = sample.upto_learned()
        try:
            told, pictures = conversation(kept.chat(), self.checkpoint.family.system_role, self.specials)
        except RequestFailed as problem:
            raise BadSample("picture unreadable", str(problem)) from problem
        learns = [learn for role, _, learn in kept.messages if role == "assistant"]
        places = [place for place, message in enumerate(told) if message["role"] == "assistant"]
        text = self._rendered(told, False)
        spans = [self._span(told, place, text) for place, learn in zip(places, learns, strict=True) if learn]
        inputs = self._processed(text, pictures)
        offsets, replaced = inputs.pop(_OFFSETS)[0].tolist(), inputs.pop(_REPLACED, None)
        targets, unmarked = self._targets(inputs[IDS][0].tolist(), offsets, _moved(spans, replaced), text, spans)
        # The last position that predicts something is the last that is needed.
        length = int((targets != IGNORED).nonzero().max()) + 1
        cut = {name: tensor if name in self.image_inputs else tensor[:, :length] for name, tensor in inputs.items()}
        return Encoded(cut, targets[:length], unmarked)

    def _rendered(self, told: Sequence[Mapping[str, Any]], prompt: bool) -> str:
        """prompt: up to where the assistant begins to speak."""
        try:
            return self.processor.apply_chat_template(list(told), add_generation_prompt=prompt, tokenize=False)
        except Exception as problem:
            raise BadSample("dialogue refused", f"by the chat template: {first_line(problem)}") from problem

    def _span(self, told: Sequence[Mapping[str, Any]], place: int, text: str) -> tuple[int, int]:
        """Characters of `text` that answer the prompt before the assistant's message at `place`."""
        before, after = self._rendered(told[:place], True), self._rendered(told[: place + 1], False)
        if not (text.startswith(after) and after.startswith(before)):
            raise UserError(
                f"the chat template of {self.checkpoint.name} writes a reply otherwise once the dialogue goes on, so "
                "that what is learned would not be what is asked for: put a template there that only appends."
            )
        return len(before), len(after)

    def _processed(self, text: str, pictures: Sequence[Any]) -> dict[str, Any]:
        try:
            found = self.processor(
                text=[text],
                images=list(pictures) or None,
                add_special_tokens=self.checkpoint.adds_special_tokens,
                return_tensors="pt",
                return_offsets_mapping=True,
                return_text_replacement_offsets=True,
            )
        except torch.OutOfMemoryError:
            raise
        except Exception as problem:
            raise BadSample("dialogue refused", f"by the processor: {first_line(problem)}") from problem
        return dict(found)

    def _targets(
        self,
        ids: Sequence[int],
        offsets: Sequence[tuple[int, int]],
        moved: Sequence[tuple[int, int]],
        text: str,
        spans: Sequence[tuple[int, int]],
    ) -> tuple[torch.Tensor, int]:
        """moved: the spans, in characters of the text whose pictures are written out, as offsets are."""
        targets = torch.full((len(ids),), IGNORED, dtype=torch.int64)
        unmarked = 0
        for (start, stop), (first, last) in zip(moved, spans, strict=True):
            within = [place for place, (left, right) in enumerate(offsets) if start <= left < right <= stop]
            marked = next((place for place in within if ids[place] in self.ends), None)
            if marked is None:
                said = stop - (last - first - len(text[first:last].rstrip()))
                within = [place for place in within if offsets[place][0] < said]
            else:
                within = [place for place in within if place <= marked]
            if not within:
                raise BadSample("nothing to learn", "a reply that is to be learned is empty")
            for place in within:
                targets[place - 1] = ids[place]
            if marked is None:
                targets[within[-1]] = self.ends[0]
                unmarked += 1
        return targets, unmarked


def _moved(spans: Sequence[tuple[int, int]], replaced: Any) -> list[tuple[int, int]]:
    """The spans after pictures' placeholders were written out as many tokens."""
    entries = replaced[0] if replaced else []
    ends = [entry["span"][1] for entry in entries]
    gained = [0, *(entry["new_span"][1] - entry["span"][1] for entry in entries)]

    def moved(place: int) -> int:
        return place + gained[bisect.bisect_right(ends, place)]

    return [(moved(start), moved(stop)) for start, stop in spans]


def _generation_config(path: Path) -> Any:
    """As the model has it when it is loaded."""
    from transformers import AutoConfig, GenerationConfig

    if (path / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(str(path), local_files_only=True)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(path, **LOCAL))


def batched(samples: Sequence[Encoded], image_inputs: Sequence[str], pad: int) -> dict[str, torch.Tensor]:
    """One batch: inputs by name, and "targets" [samples, length].

    Padded on the right, where causal attention never looks from the tokens that count; ids with `pad`, targets with
    IGNORED, other tensors of the tokens with 0. Pictures are joined in the samples' order.
    """
    longest = max(sample.length for sample in samples)
    batch: dict[str, torch.Tensor] = {}
    for name in dict.fromkeys(name for sample in samples for name in sample.inputs):
        if name in image_inputs:
            batch[name] = joined_pictures([sample.inputs[name] for sample in samples if name in sample.inputs])
            continue
        rows = []
        for sample in samples:
            row = sample.inputs.get(name, torch.zeros_like(sample.inputs[IDS]))
            rows.append(_padded(row, longest, pad if name == IDS else 0))
        batch[name] = torch.cat(rows)
    if len(samples) == 1:
        batch.pop(MASK, None)  # nothing is padded; without a mask attention takes its fastest kernel
    batch["targets"] = torch.cat([_padded(sample.targets[None], longest, IGNORED) for sample in samples])
    return batch


def _padded(row: torch.Tensor, length: int, value: int) -> torch.Tensor:
    return torch.nn.functional.pad(row, (0, length - row.shape[1]), value=value)
