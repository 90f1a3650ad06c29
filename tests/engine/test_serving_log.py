"""What is read out of a server's log. The excerpts are of vLLM 0.32's logs, as it wrote them for such faults; those of
a GPU are its sources' texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.engine.serving_log import LINE, engine_failed, explain, port_in_use, stage_of

HEAD = """\
(APIServer pid=753) WARNING 11-23 06:19:46 [system_utils.py:255] Found ulimit of 20000 and failed to automatically \
increase with error current limit exceeds maximum limit. This can cause fd limit errors like `OSError: [Errno 24] Too \
many open files`. Consider increasing with ulimit -n
(APIServer pid=753) INFO 11-23 06:19:47 [model.py:733] Resolved architecture: LlavaNextForConditionalGeneration
(APIServer pid=753) WARNING 11-23 06:19:47 [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs, and \
JIT kernel warmup. This is equivalent to setting -cc.mode=none -cc.cudagraph_mode=none
"""
TAIL = """\
(EngineCore pid=12892) ERROR 11-23 06:39:51 [core.py:1510] EngineCore failed to start.
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}
"""
CASES = {
    "port": ("    sock.bind(addr)\nOSError: [Errno 98] Address already in use\n", "the port is in use"),
    "context": (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, "
        "User-specified max_model_len (99999) is greater than the derived max_model_len "
        "(max_position_embeddings=16384.0 or model_max_length=None in model's config.json). To allow overriding this "
        "maximum, set the env var\n",
        "set vlm: context to 16384 or less, not 99999",
    ),
    "processor": (
        "OSError: Can't load image processor for '/data/tiny'. If you were trying to load it from "
        "'https://huggingface.co/models', make sure you don't have a local directory with the same name.\n",
        "/data/tiny has no preprocessor_config.json",
    ),
    "tokenizer": (
        "ValueError: Couldn't instantiate the backend tokenizer from one of: \n(1) a `tokenizers` library "
        "serialization file, \n(2) a slow tokenizer instance to convert or \n",
        "copy tokenizer.json",
    ),
    "sleep": (
        "  Value error, Sleep mode is not supported on current platform. [type=value_error, input_value=ArgsKwargs]\n",
        "set vlm: sleep: false",
    ),
    "architecture": (
        "  Value error, Model architectures ['FooForConditionalGeneration'] are not supported for now. Supported "
        "architectures: dict_keys(['AfmoeForCausalLM'])\n",
        "does not know the architecture 'FooForConditionalGeneration'",
    ),
    "no folder": (
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        "'/data/none'. Use `repo_type` argument if needed.\n",
        "see vlm: path",
    ),
    "adapter": (
        "(Worker pid=14422) ERROR 11-23 06:41:47 [multiproc_executor.py:1063] "
        "vllm.exceptions.LoRAAdapterNotFoundError: Loading lora a failed: No adapter found for /data/none\n" + TAIL,
        "under vlm: adapters needs adapter_config.json",
    ),
    "host memory": (
        "RuntimeError: Worker failed with error 'Available memory on node 0 (14.6/20.84 GiB) on kv cache allocation is "
        "less than requested memory for kv (900.0 GiB). Decrease --kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE, or "
        "reduce CPU memory used by other processes.', please check the stack trace above for the root cause\n" + TAIL,
        "14.6 of 20.84 GiB of main memory are free, and the server is to take 900.0 GiB",
    ),
    "option": (
        "usage: api_server.py [-h] [--model MODEL]\napi_server.py: error: unrecognized arguments: --no-such-option\n",
        "does not know the option --no-such-option: see vlm: server_args",
    ),
    "quantization": (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, Unknown "
        "quantization method: bitsandbytes. Must be one of ['awq']\n    For further information visit "
        "https://errors.pydantic.dev/2.14/v/value_error\n",
        "Unknown quantization method: bitsandbytes",
    ),
    "no vLLM": (
        "/usr/bin/python: Error while finding module specification (ModuleNotFoundError: No module named 'vllm')\n",
        "pip install 'maia-local[serve]'",
    ),
    "cache": (
        "ValueError: To serve at least one request with the model's max seq len (16384), (2.0 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (1.2 GiB). Based on the available memory, the estimated "
        "maximum model length is 9824. Try increasing `gpu_memory_utilization` or decreasing `max_model_len`\n" + TAIL,
        "set vlm: context to 9824 or less",
    ),
    "no cache": (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
        "initializing the engine.\n" + TAIL,
        "leave none for the key-value cache",
    ),
    "GPU in use": (
        "ValueError: Free memory on device cuda:0 (3.1/23.6 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 21.3 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.\n"
        + TAIL,
        "use the memory of cuda:0: 3.1 of 23.6 GiB are free, and the server is to take 21.3 GiB",
    ),
    "GPU memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has a total capacity of 23.64 "
        "GiB of which 1.10 GiB is free.\n" + TAIL,
        "it asked for 2.25 GiB more",
    ),
    "no GPU": ("RuntimeError: Failed to infer device type, please set the environment variable\n", "needs a GPU"),
}


@pytest.mark.parametrize("case", CASES)
def test_known_faults_have_their_remedy(case: str) -> None:
    excerpt, expected = CASES[case]
    sentence = explain(HEAD + excerpt, "tiny")
    assert sentence is not None and expected in sentence, sentence
    assert sentence.startswith("the server of tiny ended: ") and "\n" not in sentence and "{" not in sentence
    assert port_in_use(HEAD + excerpt) == (case == "port")
    assert engine_failed(HEAD + excerpt) == excerpt.endswith(TAIL)


def test_an_unknown_fault_is_quoted() -> None:
    log = HEAD + "Traceback (most recent call last):\n  File x\nacme.MoonError: the moon is in the way\n" + TAIL
    assert explain(log, "tiny") == "the server of tiny ended: acme.MoonError: the moon is in the way"
    inner = HEAD + "(EngineCore pid=1) ERROR 11-23 06:39:51 [core.py:9] ValueError: inside\n" + TAIL
    assert explain(inner, "tiny") == "the server of tiny ended: ValueError: inside"
    assert explain(HEAD, "tiny") is None and explain("", "tiny") is None


def test_stages_follow_each_other() -> None:
    lines = {
        "": "Triton is installed, but doesn't include CPU backend.",
        "reading the configuration": HEAD,
        "starting the engine": "(EngineCore pid=2894) INFO 11-23 [core.py:133] Initializing a V1 LLM engine (v0)",
        "loading weights": "(Worker pid=9) INFO 11-23 [cpu_model_runner.py:8] Starting to load model /data/tiny",
        "loading weights 50%": "Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<00:00, 13.5it/s]",
        "weights are loaded": "(Worker pid=9) INFO 11-23 [default_loader.py:4] Loading weights took 0.09 seconds",
        "making the key-value cache": "(EngineCore pid=1) INFO 11-23 06:20:12 [kv.py:1] CPU KV cache size: 1,048,576",
        "ready": "INFO:     Application startup complete.",
    }
    log = ""
    for stage, line in lines.items():
        log += line + "\n"
        assert stage_of(log) == stage


@given(st.text(max_size=400), st.sampled_from(sorted(CASES)), st.text(max_size=200))
def test_any_log_gives_a_short_sentence_or_none(before: str, case: str, after: str) -> None:
    for log in (before, before + CASES[case][0] + after):
        stage_of(log)
        sentence = explain(log, "tiny")
        assert sentence is None or (len(sentence) < 3 * LINE and len(sentence.splitlines()) == 1)
