"""Spawrious: the layout read, the training that can be killed, and a whole study on a miniature folder."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from maia.agent.backbones.base import Message
from maia.benchmarks.applications import spawrious_folder, spurious_training
from maia.benchmarks.applications.spawrious_folder import (
    BREEDS,
    FILLER,
    TESTED,
    TRAINED,
    Sample,
    balanced_sets,
    open_spawrious,
)
from maia.benchmarks.applications.spurious_training import CHECKPOINT, LOG, WEIGHTS, Recipe, train
from maia.models.errors import UserError
from PIL import Image

COLOURS = {"desert": (220, 190, 120), "jungle": (40, 90, 40), "dirt": (110, 80, 60), "snow": (240, 240, 245)}


def miniature(folder: Path, count: int = 20, places: Sequence[str] = (), side: int = 24) -> Path:
    """A folder in Spawrious' layout with tiny pictures; places: others than the challenge's, with all breeds."""
    rng = np.random.default_rng(0)
    cells = {(breed, place) for pairs in (TRAINED, TESTED) for breed, place in pairs.items()}
    cells |= {(breed, place) for breed in BREEDS for place in (FILLER, *places)}
    for top in (0, 1):
        for breed, place in sorted(cells):
            here = folder / "spawrious224" / str(top) / place / breed
            here.mkdir(parents=True)
            for i in range(count):
                picture = np.full((side, side, 3), COLOURS.get(place, (90, 160, 200)), np.float64)
                picture[8:16, 8:16] = 60 * BREEDS.index(breed) + 30
                noisy = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(here / f"img{top}_{i}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature(tmp_path_factory.mktemp("data"))


def test_splits(data: Path) -> None:
    found = open_spawrious(data, seed=3)
    training = [*found.training, *found.validation]
    pairs = Counter((BREEDS[s.label], s.place) for s in training)
    # 19 of 20 in folder 0 and 17 of 20 in folder 1; what is missing to 20 stands on the beach.
    assert {place for breed, place in pairs if place != FILLER} == set(TRAINED.values())
    assert all(pairs[breed, place] == 36 for breed, place in TRAINED.items())
    assert all(pairs[breed, FILLER] == 4 for breed in BREEDS)
    assert len(found.validation) == round(0.1 * len(training)) == 16
    assert {(BREEDS[s.label], s.place) for s in found.test} == set(TESTED.items())
    used = [sample.path for split in (found.training, found.test) for sample in split]
    assert len(set(used)) == len(used)
    assert not {s.path for s in found.pool} & set(used)
    assert open_spawrious(data / "spawrious224", seed=3) == found
    assert open_spawrious(data, seed=4).validation != found.validation


def test_a_whole_set_has_the_papers_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """22810 training pictures and 2534 for validation (F2), from 3168 files a folder."""
    miniature(tmp_path, count=1)

    def pictures(root: Path, cell: tuple[int, str, str]) -> list[Sample]:
        top, place, breed = cell
        here = root / str(top) / place / breed
        return [Sample(here / f"{i}.png", BREEDS.index(breed), place) for i in range(spawrious_folder.PICTURES)]

    monkeypatch.setattr(spawrious_folder, "_pictures", pictures)
    found = open_spawrious(tmp_path)
    assert (len(found.training), len(found.validation)) == (22810, 2534)
    assert len(found.test) == 25344 - round(0.1 * 6336) * 4


@pytest.mark.parametrize("what", ["absent", "empty", "pictures", "one breed missing"])
def test_other_folders_are_refused_in_a_sentence(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    if what != "absent":
        folder.mkdir()
    if what == "pictures":
        Image.new("RGB", (4, 4)).save(folder / "a.png")
    if what == "one breed missing":
        miniature(folder, count=2)
        for file in (folder / "spawrious224/1/snow/corgi").iterdir():
            file.unlink()
    with pytest.raises(UserError, match="not Spawrious") as refused:
        open_spawrious(folder)
    assert "give the folder" in str(refused.value)
    assert ("1/snow/corgi" in str(refused.value)) == (what == "one breed missing")


def test_balanced_sets_hold_as_many_of_every_breed_and_place(tmp_path: Path) -> None:
    found = open_spawrious(miniature(tmp_path, count=8, places=("mountain", "mud")))
    for chosen in balanced_sets(found.pool, 16, 3, seed=0):
        assert len(set(chosen)) == 16
        cells = Counter((found.pool[i].label, found.pool[i].place) for i in chosen)
        assert set(cells.values()) == {2} and {place for _, place in cells} == {"mountain", "mud"}
    pairs = [s for s in found.pool if s.place not in ("mountain", "mud", FILLER)]
    for chosen in balanced_sets(pairs, 320, 2, seed=0):
        cells = Counter((pairs[i].label, pairs[i].place) for i in chosen)
        assert len(cells) == 8 and len(set(cells.values())) == 1
    with pytest.raises(UserError, match="two places"):
        balanced_sets([s for s in found.pool if s.place == "mud"], 16, 1, seed=0)


# --- training

TINY = Recipe(batch=16, initial="random", every=2, steps=5)


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of 32 pixels."""
    monkeypatch.setattr(spurious_training, "SIDE", 32)


KILLED = """
import os, signal, sys
from pathlib import Path
from maia.benchmarks.applications import spurious_training as t
from maia.benchmarks.applications.spawrious_folder import open_spawrious
import torch
torch.set_num_threads(1)
t.SIDE = 32
kill = lambda done, total: done == 3 and os.kill(os.getpid(), signal.SIGKILL)
recipe = t.Recipe(batch=16, initial="random", every=2, steps=5)
t.train(open_spawrious(Path(sys.argv[1])).training, Path(sys.argv[2]), recipe, progress=kill)
"""


def test_a_killed_training_ends_as_an_uninterrupted_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    samples = open_spawrious(data).training
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(data), str(tmp_path / "a")],
        env=environment,
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (tmp_path / "a" / CHECKPOINT).is_file() and not (tmp_path / "a" / WEIGHTS).exists()
    steps: list[int] = []
    resumed = train(samples, tmp_path / "a", TINY, progress=lambda step, _: steps.append(step))
    assert steps[0] == 3  # the checkpoint of step 2
    whole = train(samples, tmp_path / "b", TINY)
    assert resumed["losses"] == whole["losses"] and len(whole["losses"]) == 5
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()
    steps.clear()
    assert train(samples, tmp_path / "a", TINY, progress=lambda step, _: steps.append(step)) == resumed and not steps
    with pytest.raises(UserError, match="something else"):
        train(samples, tmp_path / "a", Recipe(batch=8, initial="random"))


def test_a_training_that_diverges_is_told_and_leaves_no_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    samples = open_spawrious(data).training
    with pytest.raises(UserError, match=r"diverged.*lower --learning-rate"):
        train(samples, tmp_path, Recipe(learning_rate=1e30, batch=16, initial="random", every=1, steps=4))
    assert not (tmp_path / WEIGHTS).exists() and not (tmp_path / LOG).exists()


def test_bad_pictures_cost_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    found = open_spawrious(miniature(tmp_path / "data", count=3))
    for sample in found.training[:2]:
        sample.path.write_bytes(b"no picture")
    log = train(found.training, tmp_path / "out", Recipe(batch=8, initial="random", steps=1))
    bad = {str(sample.path) for sample in found.training[:2]}
    assert set(log["unreadable"]) <= bad and len(log["losses"]) == 1


def test_missing_first_weights_are_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match="--initial random"):
        train(open_spawrious(data).training, tmp_path / "out", Recipe())


# --- the whole path


class Alternating:
    """Calls a unit selective after one look at its exemplars, if their mean is an even number of thousandths."""

    name = "alternating"

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        if sum(message.role == "assistant" for message in messages) == 0:
            assert all(word in messages[1].text for word in ("Bulldog", "Welsh Corgi", "in a muddy park"))
            return (
                "[CODE]:\n```python\ndef run_experiment(system, tools):\n"
                "    activations, images = tools.dataset_exemplars(system)\n"
                "    tools.log_experiment(activations, images, ['exemplar'] * len(images), '')\n```\n"
            )
        label = "SELECTIVE" if len(messages[-1].text) % 2 else "SPURIOUS"
        return f"[REASONING]: The exemplars of the unit show one class.\n[LABEL]: {label}\n"


def test_a_study_on_a_miniature_folder(data: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from maia.benchmarks.applications.spurious_study import Options, read_study
    from maia.benchmarks.spurious_command import spawrious_study
    from maia.engine.profile import load_profile

    profile = replace(load_profile("testbed"), device="cpu")
    options = Options(profile, Alternating(), jobs=1, turns=2, top=6, sandbox="none")
    recipe = Recipe(batch=16, initial="random", steps=1)
    study = spawrious_study(data, tmp_path, recipe, options, device="cpu", limit=4)
    assert 1 <= len(study.top) <= 6 and len(study.judged) == len(study.top)
    assert {entry.label for entry in study.judged} <= {"SELECTIVE", "SPURIOUS"}
    keys = {row.key: row for row in study.rows.rows}
    assert set(keys) == {
        "original", "all-refit", "top", "top-refit", "random", "l1-same", "l1-same-refit", "milan", "exemplar-caption",
        "agent", "balanced-tuned", "balanced-l1-same",
    }  # fmt: skip
    assert "checkpoint" in keys["milan"].skipped and "vision-language" in keys["exemplar-caption"].skipped
    assert keys["original"].units == 512 and keys["original"].accuracy is not None
    page = (tmp_path / "spurious.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "") and "data:image/webp" in page
    assert study.judged[0].unit.split(".")[-1] in page
    table = (tmp_path / "table-spurious-features.md").read_text(encoding="utf-8")
    assert "0.84" in table and "(paper)" in table
    names = sorted(os.listdir(tmp_path / "exemplars"))
    assert names[0] == "000000.png" and not any(breed in name for name in names for breed in BREEDS)
    # Again: nothing is done anew, and the files stay as they are.
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npz")}
    told = json.dumps(read_study(tmp_path), sort_keys=True)
    spawrious_study(data, tmp_path, recipe, options, device="cpu", limit=4)
    assert json.dumps(read_study(tmp_path), sort_keys=True) == told
    assert before and before == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npz")}
