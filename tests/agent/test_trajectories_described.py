"""Descriptions in a training set: what a run tells of its pictures, for a model that is asked in brief; and that such a
model is asked so as an observer."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes import CONCLUSION, experiment
from maia.agent.observer import Observer
from maia.agent.trajectories import CollectOptions, collect
from maia.agent.trajectories_described import PACK
from maia.agent.transcript import ImageStore
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatReply, ChatRequest
from maia.prompts.brief import BRIEF_DESCRIBE, BRIEF_OBSERVER
from maia.prompts.observer import DESCRIBE, OBSERVER
from PIL import Image
from recorded_runs import SHOWN, record_run
from tiny_vlm import tiny_checkpoint

PICTURES = 2 * PACK + 3


@pytest.fixture(scope="module")
def brief_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("brief") / "model"
    shutil.copytree(tiny_checkpoint("qwen2.5-vl"), path)
    (path / "maia.json").write_text('{"prompts": "brief"}')
    return path


@pytest.fixture(scope="module")
def run(brief_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("described") / "run"
    record_run(path, {"0": [experiment(SHOWN), CONCLUSION]}, path=str(brief_model), context=16384)
    store = ImageStore(path / "images")
    told = {store.put(Image.new("RGB", (40, 40), (7 * k, 0, 0))): f"thing {k} | room" for k in range(PICTURES)}
    (path / "described.json").write_text(json.dumps(told))
    return path


def made(out: Path, run: Path, model: Path, **options: Any) -> list[dict[str, Any]]:
    collect([run], out, CollectOptions(str(model), split=None, guards=(), **{"validation": 0.0} | options))
    return [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]


def test_pictures_are_described_by_who_is_asked_in_brief(tmp_path: Path, run: Path, brief_model: Path) -> None:
    rows = [row for row in made(tmp_path / "set", run, brief_model) if row["kind"] == "described"]
    assert len(rows) == PICTURES // PACK
    told = json.loads((run / "described.json").read_text())
    seen = set()
    for row in rows:
        assert row["messages"][0]["content"][0]["text"] == BRIEF_OBSERVER
        asked, answers = row["messages"][1::2], row["messages"][2::2]
        assert len(asked) == len(answers) == len(row["images"]) == PACK
        for question, answer, picture in zip(asked, answers, row["images"], strict=True):
            assert [part["type"] for part in question["content"]] == ["image", "text"]
            assert question["content"][1]["text"] == BRIEF_DESCRIBE
            assert answer["learn"] and not question["learn"]
            with Image.open(tmp_path / "set" / picture) as image:
                number = image.convert("RGB").getpixel((0, 0))[0] // 7  # type: ignore[index]
            assert answer["content"][0]["text"] == f"thing {number} | room" in told.values()
            seen.add(number)
    assert len(seen) == len(rows) * PACK  # none twice
    again = made(tmp_path / "again", run, brief_model)
    assert [row["messages"] for row in again if row["kind"] == "described"] == [row["messages"] for row in rows]


def test_others_learn_dialogues_alone(tmp_path: Path, run: Path, brief_model: Path) -> None:
    rows = made(tmp_path / "set", run, tiny_checkpoint("qwen2.5-vl"))
    assert rows and all(row["kind"] != "described" for row in rows)
    none = made(tmp_path / "none", run, brief_model, descriptions=0)
    assert none and all(row["kind"] != "described" for row in none)


def test_a_share_of_them_validates(tmp_path: Path, run: Path, brief_model: Path) -> None:
    made(tmp_path / "set", run, brief_model, validation=0.5)
    lines = (tmp_path / "set" / "validation.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines].count("described") == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, run: Path, brief_model: Path, content: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "described.json").write_text(content)
    with pytest.raises(UserError, match=r"described\.json"):
        made(tmp_path / "set", copy, brief_model)


class _Scheduler:
    """Answers every request, and keeps it."""

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []

    async def submit(self, model: str, items: list[ChatRequest]) -> list[ChatReply]:
        self.asked += items
        return [ChatReply("a dog | snow", "stop", 1, 1, 0) for _ in items]


@pytest.mark.parametrize("brief", [True, False])
def test_an_observer_is_asked_as_it_was_trained(brief_model: Path, brief: bool) -> None:
    from maia.agent.trajectories_options import vlm_of

    vlm = vlm_of(CollectOptions(str(brief_model if brief else tiny_checkpoint("qwen2.5-vl"))))
    scheduler = _Scheduler()
    lines = asyncio.run(Observer(vlm, scheduler).describe([Image.new("RGB", (40, 40))]))  # type: ignore[arg-type]
    assert lines == ["a dog | snow"]
    (request,) = scheduler.asked
    system, question = request.messages
    assert system.parts == (BRIEF_OBSERVER if brief else OBSERVER,)
    assert question.parts[1:] == (BRIEF_DESCRIBE if brief else DESCRIBE,)
