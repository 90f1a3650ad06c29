"""Training on pairs: the loss of eq. 7 of Rafailov et al. (2023), its reference, and what of a set cannot be used."""

import json
import math
import shutil

import pytest
import torch
from maia.engine.finetune import train
from maia.engine.finetune_log import read_log
from maia.engine.finetune_preferences import REFERENCE, encoded_answers, log_probabilities, margins
from maia.engine.finetune_run import CHECKPOINTS, LOG, REPORT
from maia.engine.finetune_samples import read_pairs
from maia.engine.finetune_tokens import IGNORED, Encoder, batched
from maia.models.errors import UserError
from maia.models.vlm.adapters import check_adapter
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.loading import read_model
from safetensors.torch import load_file
from tiny_vlm import tiny_checkpoint
from training_sets import pair, training_set, write_rows

ADAPTER = "adapter_model.safetensors"
GOOD, BAD = "The neuron prefers dogs.", "I cannot tell you\nwhat it prefers."


def pairs_of(folder, count=3):
    return write_rows(
        folder / "preferences.jsonl", [pair(folder, f"p{number}", GOOD, f"{BAD} {number}") for number in range(count)]
    )


def preferred(tmp_path, out="out", family="llava-next", say=lambda _: None, resume=False, **values):
    data = tmp_path / "data"
    if not (data / "preferences.jsonl").exists():
        pairs_of(data)
    usual = {"max_steps": 2, "accumulate": 2, "learning_rate": 0.002, "log_steps": 1, "threads": 1, "device": "cpu"}
    file = tmp_path / "preferences.yaml"
    file.write_text(json.dumps({"stage": "preferences", **usual, **values}))
    return train(file, say, resume, model=str(tiny_checkpoint(family)), data=data, out=tmp_path / out)


@pytest.mark.parametrize("family", ["llava-next", "qwen2.5-vl", "gemma-3"])
def test_the_loss_is_log_2_before_the_first_step_and_an_adapter_is_written(tmp_path, family):
    # Batches of pairs of different lengths, padded; the first step's rate is zero, as it rises.
    report = preferred(tmp_path, family=family, batch=2, accumulate=1, max_steps=3)
    assert report.samples == 3 and report.steps == 3
    assert report.first_loss == pytest.approx(math.log(2), abs=1e-4)
    assert abs(report.last_loss - report.first_loss) > 1e-4
    check_adapter(tmp_path / "out", read_checkpoint(tiny_checkpoint(family)))
    told = json.loads((tmp_path / "out" / REPORT).read_text())
    assert told["learned_tokens"] > 0 and told["options"]["stage"] == "preferences"


def test_the_reference_is_the_adapter_that_it_starts_from(tmp_path):
    """Trained hard before, so that the base would be another reference."""
    data = training_set(tmp_path / "data", 2)
    file = tmp_path / "sft.yaml"
    file.write_text('{"max_steps": 4, "accumulate": 1, "learning_rate": 0.02, "threads": 1, "device": "cpu"}')
    train(file, lambda _: None, model=str(tiny_checkpoint()), data=data, out=tmp_path / "sft")
    preferred(tmp_path, out="base", max_steps=1)
    report = preferred(tmp_path, max_steps=1, adapter=str(tmp_path / "sft"))
    assert report.first_loss == pytest.approx(math.log(2), abs=1e-4)
    base, started = (json.loads((tmp_path / out / REFERENCE).read_text())["answers"] for out in ("base", "out"))
    assert abs(base[0][0] - started[0][0]) > 1


def test_the_margin_of_a_memorised_pair_rises(tmp_path):
    pairs_of(tmp_path / "data", 1)
    report = preferred(tmp_path, max_steps=15, accumulate=1, learning_rate=0.005, dpo={"beta": 0.5}, save_steps=100)
    lines = read_log(tmp_path / "out" / LOG)
    assert lines[0]["margin"] == pytest.approx(0, abs=1e-3)
    assert report.last_loss < 0.05 and lines[-1]["margin"] > 3 and lines[-1]["accuracy"] == 1
    # By the adapter that was written, applied by peft, beside the reference that was kept.
    checkpoint = read_checkpoint(tiny_checkpoint())
    found = answers(checkpoint, tmp_path / "data", read_model(checkpoint.path, "fp32", None, adapter=tmp_path / "out"))
    kept = torch.tensor(json.loads((tmp_path / "out" / REFERENCE).read_text())["answers"])
    torch.testing.assert_close(kept, answers(checkpoint, tmp_path / "data"), rtol=1e-4, atol=1e-3)
    assert margins(found, kept, 0.5).item() > 3


def answers(checkpoint, data, model=None):
    """Log-probabilities [pairs, 2] by full logits, each answer alone."""
    encoder = Encoder(checkpoint)
    model = model or read_model(checkpoint.path, "fp32", None)
    rows = []
    for entry in read_pairs(data)[0]:
        row = []
        for encoded in encoded_answers(encoder, entry):
            with torch.no_grad():
                told = model(**encoded.inputs).logits.float().log_softmax(-1)[0]
            places = [place for place, target in enumerate(encoded.targets.tolist()) if target != IGNORED]
            row.append(sum(told[place, encoded.targets[place]].item() for place in places))
        rows.append(row)
    return torch.tensor(rows)


def test_log_probabilities_of_a_padded_batch_are_those_of_each_answer_alone(tmp_path):
    checkpoint = read_checkpoint(tiny_checkpoint("gemma-3"))
    encoder = Encoder(checkpoint)
    model = read_model(checkpoint.path, "fp32", None)
    found, _ = read_pairs(pairs_of(tmp_path, 2))
    batch = batched(
        [answer for entry in found for answer in encoded_answers(encoder, entry)], encoder.image_inputs, encoder.pad
    )
    targets = batch.pop("targets")
    with torch.no_grad():
        together = log_probabilities(model, model.get_output_embeddings(), batch, targets).view(-1, 2)
    torch.testing.assert_close(together, answers(checkpoint, tmp_path, model), rtol=1e-4, atol=1e-2)


def test_margins_by_hand():
    policy, reference = torch.tensor([[-10.0, -30.0], [-5.0, -4.0]]), torch.tensor([[-12.0, -25.0], [-5.0, -6.0]])
    # 0.1 * ((-10 + 12) - (-30 + 25)) and 0.1 * ((-5 + 5) - (-4 + 6))
    torch.testing.assert_close(margins(policy, reference, 0.1), torch.tensor([0.7, -0.2]))


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    values = {"max_steps": 4, "save_steps": 2, "lora": {"dropout": 0.1}}
    preferred(tmp_path, **values)
    whole = (tmp_path / "out" / ADAPTER).read_bytes()
    lines = [{**line, "seconds": 0} for line in read_log(tmp_path / "out" / LOG)]
    for name in (ADAPTER, REPORT):
        (tmp_path / "out" / name).unlink()
    shutil.rmtree(tmp_path / "out" / CHECKPOINTS / "checkpoint-4")
    said = []
    preferred(tmp_path, say=said.append, resume=True, **values)
    assert "going on from checkpoint-2." in said and not [line for line in said if "reference" in line]
    assert (tmp_path / "out" / ADAPTER).read_bytes() == whole
    assert [{**line, "seconds": 0} for line in read_log(tmp_path / "out" / LOG)] == lines
    # A reference that was damaged is computed again, by the weights of the start and not of the checkpoint.
    reference = (tmp_path / "out" / REFERENCE).read_text()
    (tmp_path / "out" / REFERENCE).write_text(reference[:-5])
    shutil.rmtree(tmp_path / "out" / CHECKPOINTS / "checkpoint-4")
    preferred(tmp_path, say=said.append, resume=True, **values)
    assert [line for line in said if "reference is computed again" in line]
    assert (tmp_path / "out" / REFERENCE).read_text() == reference
    assert (tmp_path / "out" / ADAPTER).read_bytes() == whole
    assert load_file(tmp_path / "out" / ADAPTER)


def test_pairs_that_cannot_be_used_are_left_out_and_named(tmp_path):
    data = tmp_path / "data"
    rows = [pair(data, "good", GOOD, BAD), pair(data, "same", GOOD, GOOD), pair(data, "dumb", GOOD, " ")]
    rows += [pair(data, "long", GOOD, BAD * 200), pair(data, "blind", GOOD, BAD)]
    (data / rows[4]["images"][0]).unlink()
    write_rows(data / "preferences.jsonl", rows)
    report = preferred(tmp_path, max_steps=1, max_tokens=1500)
    told = json.loads((tmp_path / "out" / REPORT).read_text())["skipped"]
    assert report.samples == 1
    assert {kind: [name.split(" (")[0] for name in names] for kind, names in told.items()} == {
        "no difference": ["same"],
        "damaged": ["dumb"],
        "longer than max_tokens": ["long"],
        "picture missing": ["blind"],
    }


def test_no_pairs_are_refused(tmp_path):
    write_rows(tmp_path / "data" / "preferences.jsonl", [])
    with pytest.raises(UserError, match=r"preferences\.jsonl holds nothing to train on \(it is empty\)"):
        preferred(tmp_path)
    (tmp_path / "data" / "preferences.jsonl").unlink()
    training_set(tmp_path / "other" / "data", 1)
    with pytest.raises(UserError, match=r"no preferences\.jsonl.*maia finetune collect"):
        train(
            tmp_path / "preferences.yaml",
            model=str(tiny_checkpoint()),
            data=tmp_path / "other" / "data",
            out=tmp_path / "new",
        )
