"""How vLLM is started: what stands in its arguments and its environment, and what is refused before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from maia.engine.serving_command import ServerCommand, api_key_of, is_loopback, server_command
from maia.engine.vlm_options import VlmOptions
from maia.models.errors import UserError
from maia.models.vlm.checkpoint import Checkpoint, read_checkpoint
from tiny_vlm import tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return read_checkpoint(tiny_checkpoint())


def command_of(checkpoint: Checkpoint, device: str = "cpu", **entries) -> ServerCommand:
    options = VlmOptions("tiny", path=checkpoint.path, **{"dtype": "fp32", "context": 4096, **entries})
    return server_command(options, checkpoint, 8111, 0.4567891, 5, device, 2**28)


def value(command: ServerCommand, option: str) -> str:
    return command.argv[command.argv.index(option) + 1]


def test_on_the_cpu(checkpoint: Checkpoint) -> None:
    command = command_of(checkpoint)
    assert command.argv[:3] == (sys.executable, "-m", "vllm.entrypoints.openai.api_server")
    for option, text in {
        "--host": "127.0.0.1",
        "--port": "8111",
        "--served-model-name": "tiny",
        "--max-model-len": "4096",
        "--max-num-seqs": "5",
        "--dtype": "float32",
        "--kv-cache-memory-bytes": str(2**28),
    }.items():
        assert value(command, option) == text
    assert Path(value(command, "--model")).is_absolute()
    assert json.loads(value(command, "--limit-mm-per-prompt")) == {"image": checkpoint.family.images_per_prompt}
    assert "--enforce-eager" in command.argv and "--enable-prefix-caching" in command.argv
    assert "--gpu-memory-utilization" not in command.argv and "--enable-lora" not in command.argv
    assert command.env["HF_HUB_OFFLINE"] == command.env["VLLM_NO_USAGE_STATS"] == "1"
    assert "VLLM_SERVER_DEV_MODE" not in command.env and "VLLM_API_KEY" not in command.env
    assert (command.url, command.model, command.api_key) == ("http://127.0.0.1:8111/v1", "tiny", None)


def test_on_a_gpu(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    command = command_of(checkpoint, "cuda:1", dtype="bf16", quantization="4bit", sleep=True)
    assert value(command, "--gpu-memory-utilization") == "0.4568" and value(command, "--dtype") == "bfloat16"
    assert value(command, "--quantization") == "bitsandbytes" and "--enable-sleep-mode" in command.argv
    assert "--enforce-eager" not in command.argv and command.can_sleep
    assert command.env["CUDA_VISIBLE_DEVICES"] == "1" and command.env["VLLM_SERVER_DEV_MODE"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert command_of(checkpoint, "cuda:1").env["CUDA_VISIBLE_DEVICES"] == "7"


def test_the_key_stands_in_no_argument(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    command = command_of(checkpoint, host="0.0.0.0", api_key_file=key)
    assert "s3cret" not in " ".join(command.argv) and "s3cret" not in repr(command)
    assert command.env["VLLM_API_KEY"] == command.api_key == "s3cret"
    assert value(command, "--host") == "0.0.0.0" and command.url == "http://127.0.0.1:8111/v1"
    monkeypatch.setenv("MAIA_API_KEY", "other")
    assert command_of(checkpoint, host="10.0.0.3").api_key == "other"
    assert "MAIA_API_KEY" not in command_of(checkpoint).env
    key.write_text("two words")
    with pytest.raises(UserError, match="must hold an API key and nothing else"):
        api_key_of(VlmOptions("tiny", path=tmp_path, api_key_file=key))
    with pytest.raises(UserError, match="cannot be read: No such file"):
        api_key_of(VlmOptions("tiny", path=tmp_path, api_key_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("entries", "device", "text"),
    [
        ({"host": "0.0.0.0"}, "cpu", "needs an API key.*api_key_file"),
        ({"host": "lab.example"}, "cpu", "needs an API key"),
        ({"sleep": True}, "cpu", "cannot sleep: set sleep: false"),
        ({"quantization": "4bit"}, "cpu", "set quantization: null"),
        ({"context": 99999}, "cpu", "reads 16384 tokens at most, not 99999"),
        ({"adapters": {"mine": Path("/nowhere")}}, "cpu", "adapter mine"),
    ],
)
def test_what_cannot_be_is_refused(
    checkpoint: Checkpoint, entries: dict, device: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAIA_API_KEY", raising=False)
    with pytest.raises(UserError, match=text):
        command_of(checkpoint, device, **entries)


def test_nobody_else_may_put_a_server_to_sleep(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIA_API_KEY", "key")
    with pytest.raises(UserError, match="put to sleep by anyone"):
        command_of(checkpoint, "cuda", host="0.0.0.0", sleep=True)


def test_hosts() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.1.1.1", "localhost.example")] == [False] * 4


@pytest.mark.slow
def test_vllm_knows_the_options(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Its own parser reads them: an option that it renames would show here."""
    pytest.importorskip("vllm")
    commands = [command_of(checkpoint), command_of(checkpoint, "cuda", quantization="4bit", sleep=True)]
    arguments = [list(command.argv[3:]) for command in commands]
    program = (
        "import json, sys\n"
        "from vllm.entrypoints.launchers.cli_args import make_arg_parser\n"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
        "for argv in json.loads(sys.argv[1]):\n"
        "    made = make_arg_parser(FlexibleArgumentParser()).parse_args(argv)\n"
        "    print(made.enable_prefix_caching, made.limit_mm_per_prompt, made.max_num_seqs)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, json.dumps(arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].startswith("True") and done.stdout.splitlines()[-1].endswith("5")
