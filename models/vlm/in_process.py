"""A vision-language model of a local checkpoint in this process, through transformers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..diffusion.components import weights_bytes
from ..errors import first_line
from .chat import ChatReply, ChatRequest, ContextOverflow, RequestFailed
from .checkpoint import Checkpoint
from .collate import IDS, collate
from .conversation import conversation
from .loading import DTYPES, check_4bit, check_dtype, read_model, read_processor
from .sampling import Row, RowLimits, RowSampling
from .structured import GrammarMask, Grammars

_Prompt = Mapping[str, torch.Tensor]


class InProcessModel:
    """Answers batches of requests; the same request gives the same answer, whatever shares its batch, up to rounding.

    device: where it computes. module: the model with its weights, for whoever moves them (`engine/residency.py`).
    quantized: its weights are packed (in 4 bits here, or as the checkpoint has them) and cannot be moved: module is
    None until `read` brings them to the device from their files, and again after `drop`. The generation settings of the
    checkpoint (penalties, its own temperature) are not used, but for the tokens that end an answer.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        dtype: str = "bf16",
        quantization: str | None = None,
        device: str | torch.device = "cpu",
        adapter: Path | None = None,
        context: int | None = None,
    ) -> None:
        """dtype: "bf16", "fp16", "fp32". quantization: "4bit", or None: as the checkpoint has it. device: where it will
        compute; weights that can be moved are first read into the host's memory all the same. adapter: folder of a LoRA
        adapter. context: tokens of prompt and answer at most; None: what the model reads.

        Raises UserError for what cannot be read, lacks a part, or cannot run on the device.
        """
        self.checkpoint, self.dtype, self.adapter = checkpoint, dtype, adapter
        self.context = min(context or checkpoint.context, checkpoint.context)
        self.quantized = quantization is not None or checkpoint.quantization is not None
        self._quantize = quantization is not None and checkpoint.quantization is None
        self.use(device)
        self.module: Any = None
        self._processor = read_processor(checkpoint.path)
        self._image_inputs = tuple(self._processor.image_processor.model_input_names)
        self._specials = special_texts(self._processor)
        self._grammars: Grammars | None = None
        if self._quantize:
            check_4bit(self.device)
        if not self.quantized:
            self.read(self.device)

    @property
    def key(self) -> str:
        """Of the weights: equal for equal files, number formats and adapters."""
        return f"vlm/{self.checkpoint.path.resolve()}/{self.dtype}/{self.adapter and self.adapter.resolve()}"

    @property
    def nbytes(self) -> int:
        """Bytes of the weights that are in memory."""
        return 0 if self.module is None else weights_bytes(self.module)

    def read(self, device: str | torch.device) -> None:
        """Reads the weights: packed ones to the device, others into the host's memory. Raises as the constructor, and
        torch.OutOfMemoryError."""
        place = torch.device(device) if self.quantized else None
        module = read_model(self.checkpoint.path, self.dtype, place, self._quantize, self.adapter)
        # generate() takes from here what it is not told.
        from transformers import GenerationConfig

        ends = end_tokens(module.generation_config, self._processor.tokenizer)
        pad = self._processor.tokenizer.pad_token_id
        self._pad = ends[0] if pad is None else pad
        self._ends = ends
        module.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=self._pad, do_sample=False)
        self._vocabulary = int(module.get_output_embeddings().out_features)
        self.module = module

    def use(self, device: str | torch.device) -> None:
        """Computes there from now on; whoever has the weights brings them. Raises UserError (see `check_dtype`)."""
        check_dtype(self.dtype, torch.device(device))
        self.device = torch.device(device)

    def drop(self) -> None:
        """Lets go of the weights that `read` brought."""
        self.module = None

    def generate(self, requests: Sequence[ChatRequest]) -> list[ChatReply | Exception]:
        """Answers in the order of the requests, all in one batch; a request that cannot be answered has its exception
        in its place: ContextOverflow where the prompt leaves no room for an answer, else RequestFailed.

        Raises torch.OutOfMemoryError.
        """
        results: dict[int, ChatReply | Exception] = {}
        prompts: dict[int, _Prompt] = {}
        for number, request in enumerate(requests):
            try:
                prompt = self._prompt(request)
                if request.grammar is not None:
                    self._matcher(request.grammar)
                prompts[number] = prompt
            except (ContextOverflow, RequestFailed) as problem:
                results[number] = problem
        numbers = list(prompts)
        answers = self._answers([requests[number] for number in numbers], [prompts[number] for number in numbers])
        results.update(zip(numbers, answers, strict=True))
        return [results[number] for number in range(len(requests))]

    def _prompt(self, request: ChatRequest) -> _Prompt:
        """The request's tokens and pictures, as the model takes them, in a batch of one."""
        told, pictures = conversation(request.messages, self.checkpoint.family.system_role, self._specials)
        try:
            text = self._processor.apply_chat_template(told, add_generation_prompt=True, tokenize=False)
            # No pictures must be None.
            prompt = self._processor(
                text=[text],
                images=pictures or None,
                add_special_tokens=self.checkpoint.adds_special_tokens,
                return_tensors="pt",
            )
        except torch.OutOfMemoryError:
            raise
        except Exception as problem:
            raise RequestFailed(f"the request does not go with the model: {first_line(problem)}") from problem
        length = prompt[IDS].shape[1]
        if length >= self.context:
            raise ContextOverflow(f"the prompt has {length} tokens, and the model reads {self.context}", self.context)
        return prompt

    def _answers(self, requests: Sequence[ChatRequest], prompts: Sequence[_Prompt]) -> list[ChatReply | Exception]:
        """Of one batch; where it fails as a whole, of each request alone, so that the one at fault is found."""
        if not requests:
            return []
        try:
            return self._batch(requests, prompts)
        except torch.OutOfMemoryError:
            raise
        except Exception as problem:
            if len(requests) == 1:
                failure = problem if isinstance(problem, RequestFailed) else RequestFailed(first_line(problem))
                failure.__cause__ = None if failure is problem else problem
                return [failure]
        pairs = zip(requests, prompts, strict=True)
        return [self._answers([request], [prompt])[0] for request, prompt in pairs]

    def _batch(self, requests: Sequence[ChatRequest], prompts: Sequence[_Prompt]) -> list[ChatReply | Exception]:
        batch = collate(prompts, self._image_inputs, self._pad)
        inputs = {
            # Pixels come as float32.
            name: tensor.to(self.device, DTYPES[self.dtype] if tensor.is_floating_point() else None)
            for name, tensor in batch.items()
        }
        lengths = [prompt[IDS].shape[1] for prompt in prompts]
        rows = [
            Row(request.sampling, request.seed, min(request.sampling.max_tokens, self.context - length))
            for request, length in zip(requests, lengths, strict=True)
        ]
        longest = max(lengths)
        sampling = RowSampling(rows, longest, self._ends[0], self.device)
        processors: list[Any] = [sampling]
        if any(request.grammar is not None for request in requests):
            matchers = [None if request.grammar is None else self._matcher(request.grammar) for request in requests]
            processors.insert(0, GrammarMask(matchers, [row.limit for row in rows], longest, self._vocabulary))
        with torch.inference_mode():
            tokens = self.module.generate(
                **inputs,
                max_new_tokens=max(row.limit for row in rows),
                logits_processor=processors,
                stopping_criteria=[RowLimits(rows, longest, self.device)],
            )
        answers = tokens[:, longest:].tolist()
        return [
            RequestFailed(
                "no token could follow: the model's numbers are not finite, or the grammar has come to a dead end"
            )
            if number in sampling.dead
            else self._reply(answer[: row.limit], length)
            for number, (answer, row, length) in enumerate(zip(answers, rows, lengths, strict=True))
        ]

    def _matcher(self, grammar: str) -> Any:
        if self._grammars is None:
            self._grammars = Grammars(self._processor.tokenizer, self._vocabulary, self._ends)
        return self._grammars.matcher(grammar)

    def _reply(self, answer: list[int], prompt_tokens: int) -> ChatReply:
        """answer: tokens, with padding after the one that ended it."""
        ended = next((place for place, token in enumerate(answer) if token in self._ends), None)
        if ended is not None:
            answer = answer[: ended + 1]
        text = self._processor.tokenizer.decode(answer, skip_special_tokens=True)
        return ChatReply(text, "length" if ended is None else "stop", prompt_tokens, len(answer), cached_tokens=0)


def special_texts(processor: Any) -> tuple[str, ...]:
    """Texts that the tokenizer reads as special tokens."""
    added = processor.tokenizer.added_tokens_decoder.values()
    names = [token.content for token in added if token.special]
    return tuple(dict.fromkeys([*names, *filter(None, [getattr(processor, "image_token", None)])]))


def end_tokens(generation_config: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer, by the checkpoint's generation settings and its tokenizer."""
    told = generation_config.eos_token_id
    ends = [] if told is None else [told] if isinstance(told, int) else list(told)
    return list(dict.fromkeys([*ends, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])]))
