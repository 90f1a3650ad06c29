"""Training runs of tiny models: what changes, what stays, and that a killed one ends as an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from maia.engine.finetune import train
from maia.engine.finetune_log import read_log
from maia.engine.finetune_lora import LANGUAGE, target_pattern, with_adapter
from maia.engine.finetune_options import LoraChoice
from maia.engine.finetune_run import LOG, OPTIONS, REPORT
from maia.engine.finetune_samples import read_samples
from maia.engine.finetune_tokens import IGNORED, Encoder, batched
from maia.engine.finetune_trainer import MaskedTrainer, frozen_modules, last_checkpoint, logits_where, seal
from maia.models.errors import UserError
from maia.models.vlm.adapters import check_adapter
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.loading import read_model
from maia.models.vlm.random_families import RANDOM_FAMILIES
from safetensors.torch import load_file
from tiny_vlm import own_checkpoint, tiny_checkpoint
from training_sets import dialogue, training_set, write_rows

ADAPTER = "adapter_model.safetensors"


def config(folder: Path, **values) -> Path:
    file = folder / "config.yaml"
    usual = {"max_steps": 2, "accumulate": 2, "learning_rate": 0.002, "log_steps": 1, "threads": 1, "device": "cpu"}
    file.write_text(json.dumps({**usual, **values}))
    return file


def trained(tmp_path: Path, family: str = "llava-next", count: int = 3, out: str = "out", **values):
    data = tmp_path / "data"
    if not data.exists():
        training_set(data, count)
    return train(
        config(tmp_path, **values),
        say=lambda _: None,
        model=str(tiny_checkpoint(family)),
        data=data,
        out=tmp_path / out,
    )


@pytest.mark.parametrize("family", sorted(RANDOM_FAMILIES))
def test_two_steps_write_an_adapter_that_servers_take(tmp_path, family):
    report = trained(tmp_path, family)
    assert report.steps == 2 and report.samples == 3 and not report.skipped
    adapter = check_adapter(tmp_path / "out", read_checkpoint(tiny_checkpoint(family)))
    assert adapter.rank == LoraChoice().rank
    assert all(LANGUAGE in module for module in adapter.modules)
    weights = load_file(tmp_path / "out" / ADAPTER)
    assert all(tensor.any() for name, tensor in weights.items() if "lora_B" in name)  # zero before the first step
    told = json.loads((tmp_path / "out" / REPORT).read_text())
    assert told["steps"] == 2 and told["learned_tokens"] > 0 and told["base"]["hash"] and told["versions"]["torch"]
    # Nothing tells this machine's paths.
    for name in (REPORT, OPTIONS, "adapter_config.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()
        assert str(tiny_checkpoint(family)) not in (tmp_path / "out" / name).read_text()


def test_a_memorised_sample(tmp_path):
    write_rows(tmp_path / "data" / "train.jsonl", [dialogue(tmp_path / "data", "a", (True,))])
    report = trained(
        tmp_path, max_steps=60, accumulate=1, learning_rate=0.02, lora={"rank": 32, "alpha": 64}, save_steps=100
    )
    assert report.first_loss > 3 and report.last_loss < 0.1


def test_the_loss_is_that_of_full_logits(tmp_path):
    """Over a batch of two samples of different lengths."""
    checkpoint = read_checkpoint(tiny_checkpoint("gemma-3"))
    encoder = Encoder(checkpoint)
    samples, _ = read_samples(training_set(tmp_path, 2))
    encoded = [encoder.encode(sample) for sample in samples]
    batch = batched(encoded, encoder.image_inputs, encoder.pad)
    targets = batch.pop("targets")
    model = read_model(checkpoint.path, "fp32", None)
    places = targets != IGNORED
    with torch.no_grad():
        chosen = logits_where(model, model.get_output_embeddings(), batch, places)
        full = model(**batch).logits
    assert chosen.shape == (sum(entry.learned for entry in encoded), full.shape[-1])
    torch.testing.assert_close(chosen, full[places], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llava-next", "qwen2.5-vl", "gemma-3"])
def test_a_sample_alone_without_mask_and_in_a_padded_batch_predicts_the_same(tmp_path, family):
    checkpoint = read_checkpoint(tiny_checkpoint(family))
    encoder = Encoder(checkpoint)
    rows = [dialogue(tmp_path, "a", (True,), 1), dialogue(tmp_path, "b", (True, True, True), 1)]
    samples, _ = read_samples(write_rows(tmp_path / "train.jsonl", rows))
    encoded = [encoder.encode(sample) for sample in samples]
    model = read_model(checkpoint.path, "fp32", None)

    def predicted(entries):
        batch = batched(entries, encoder.image_inputs, encoder.pad)
        targets = batch.pop("targets")
        with torch.no_grad():
            return logits_where(model, model.get_output_embeddings(), batch, targets != IGNORED)

    together = predicted(encoded)
    torch.testing.assert_close(together, torch.cat([predicted([entry]) for entry in encoded]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", sorted(RANDOM_FAMILIES))
def test_only_the_language_models_layers_are_trained(family):
    model = read_model(tiny_checkpoint(family), "fp32", None)
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    wrapped = with_adapter(model, LoraChoice())
    names = [name for name, weight in wrapped.named_parameters() if weight.requires_grad]
    changed = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in names}
    expected = {
        name for name in layers if ".language_model." in f".{name}" and name.rsplit(".", 1)[-1] in LoraChoice().targets
    }
    assert changed == expected and expected
    assert not [name for name in names if "lora_" not in name]


def test_targets_that_the_model_lacks_are_named_with_those_it_has():
    model = read_model(tiny_checkpoint("llava"), "fp32", None)
    with pytest.raises(UserError, match=r"no layer query: targets can be q_proj, k_proj"):
        target_pattern(model, LoraChoice(targets=("query", "v_proj")))


def test_what_is_frozen_stays_as_it_answers_while_the_adapter_trains():
    class Eye(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2).requires_grad_(False)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.eye, self.language = Eye(), torch.nn.Linear(2, 2)

    whole = Whole().train()
    assert frozen_modules(whole) == [whole.eye]


def test_samples_that_cannot_be_used_are_left_out_and_named(tmp_path):
    data = tmp_path / "data"
    rows = [dialogue(data, name, (True,)) for name in ("good", "blind", "torn", "shy")]
    rows[3]["messages"][-1]["learn"] = False
    (data / rows[1]["images"][0]).unlink()
    (data / rows[2]["images"][0]).write_bytes(b"\x89PNG no")
    long = dialogue(data, "long", (True,) * 12)
    write_rows(data / "train.jsonl", [*rows, long, "{cut sho", {"id": "odd", "messages": [{"role": "tool"}]}])
    report = trained(tmp_path, max_steps=1, max_tokens=1000)
    told = json.loads((tmp_path / "out" / REPORT).read_text())["skipped"]
    assert report.samples == 1 and sum(map(len, told.values())) == 6
    assert {kind: [name.split(" (")[0] for name in names] for kind, names in told.items()} == {
        "picture missing": ["blind"],
        "picture unreadable": ["torn"],
        "nothing to learn": ["shy"],
        "longer than max_tokens": ["long"],
        "damaged": ["line 6", "odd"],
    }


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"longer than max_tokens.*raise max_tokens"):
        trained(tmp_path, max_tokens=16)
    with pytest.raises(UserError, match=r"no train\.jsonl.*maia finetune collect"):
        (tmp_path / "empty").mkdir()
        train(config(tmp_path), model=str(tiny_checkpoint()), data=tmp_path / "empty", out=tmp_path / "other")


def test_an_adapter_is_trained_on_but_not_on_another_base(tmp_path):
    trained(tmp_path, "llava-next")
    first = load_file(tmp_path / "out" / ADAPTER)
    trained(tmp_path, "llava-next", out="more", adapter=str(tmp_path / "out"), learning_rate=1e-8)
    more = load_file(tmp_path / "more" / ADAPTER)
    assert first.keys() == more.keys()
    for name in first:
        torch.testing.assert_close(more[name], first[name], rtol=0, atol=1e-5)
    other = own_checkpoint(tmp_path, "llava-next")
    file = other / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"was trained for vlm-llava-next.*weights are others"):
        train(
            config(tmp_path, adapter=str(tmp_path / "out")),
            model=str(other),
            data=tmp_path / "data",
            out=tmp_path / "wrong",
        )
    with pytest.raises(UserError, match="trained for vlm-llava-next"):
        trained(tmp_path, "qwen2.5-vl", out="worse", adapter=str(tmp_path / "out"))


def test_out_is_not_written_over(tmp_path):
    trained(tmp_path)
    with pytest.raises(UserError, match="holds a training already: go on with --resume"):
        trained(tmp_path)
    with pytest.raises(UserError, match=r"begun with other options.*learning_rate was 0\.002, is 0\.1"):
        train(
            config(tmp_path, learning_rate=0.1),
            resume=True,
            model=str(tiny_checkpoint()),
            data=tmp_path / "data",
            out=tmp_path / "out",
        )
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("…")
    with pytest.raises(UserError, match="not empty and holds no training"):
        trained(tmp_path, out="letters")


def test_in_4_bits(tmp_path):
    report = trained(tmp_path, quantization="4bit", dtype="fp32", max_steps=6, learning_rate=0.01)
    weights = load_file(tmp_path / "out" / ADAPTER)
    assert all(tensor.any() and tensor.dtype == torch.float32 for name, tensor in weights.items() if "lora_B" in name)
    assert report.last_loss < report.first_loss


def test_with_gradient_checkpointing_the_adapter_is_the_same(tmp_path):
    trained(tmp_path)
    trained(tmp_path, out="again", gradient_checkpointing=True)
    one, other = (load_file(tmp_path / out / ADAPTER) for out in ("out", "again"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-5)


_PROGRAM = """
import json, sys
from pathlib import Path
import torch
from maia.engine.finetune import train
torch.set_num_threads(1)
train(sys.argv[1], say=lambda line: print(line, flush=True), resume=True, model=sys.argv[2], data=Path(sys.argv[3]),
      out=Path(sys.argv[4]))
"""


def test_a_killed_training_resumed_equals_an_uninterrupted_one(tmp_path):
    """Losses and the adapter's bytes, with dropout; the last checkpoint before the kill is damaged, so that the one
    before it is taken, and says so."""
    data = training_set(tmp_path / "data", 5)
    values = {"max_steps": 8, "save_steps": 2, "lora": {"dropout": 0.2}}
    trained(tmp_path, out="whole", **values)
    file, out = config(tmp_path, **values), tmp_path / "killed"
    command = [sys.executable, "-c", _PROGRAM, str(file), str(tiny_checkpoint()), str(data), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    sealed = out / "checkpoints" / "checkpoint-4" / "complete.json"
    while not sealed.is_file() and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert sealed.is_file() and not (out / REPORT).exists()
    newest = max((out / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    weights = newest / ADAPTER
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    said = []
    train(file, say=said.append, resume=True, model=str(tiny_checkpoint()), data=data, out=out)
    assert f"{newest.name} is not used, since {ADAPTER} is damaged." in said
    assert (out / ADAPTER).read_bytes() == (tmp_path / "whole" / ADAPTER).read_bytes()
    logs = [
        [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(folder / LOG)]
        for folder in (tmp_path / "whole", out)
    ]
    assert logs[0] == logs[1] and [line["step"] for line in logs[0]] == list(range(1, 9))


def test_a_checkpoint_that_was_not_written_to_its_end_is_not_used(tmp_path):
    for step in (2, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_text("1")
        seal(folder)
    said = []
    assert last_checkpoint(tmp_path, said.append) == tmp_path / "checkpoint-10" and not said
    (tmp_path / "checkpoint-10" / "complete.json").unlink()
    assert last_checkpoint(tmp_path, said.append) == tmp_path / "checkpoint-2"
    assert said == ["checkpoint-10 is not used, since it was not written to its end."]


def test_nothing_is_told_to_anyone():
    assert MaskedTrainer._send_telemetry(None) is None  # type: ignore[arg-type]
