"""Demonstrations: the teacher's dialogues are right, made of the real loop's texts, and never of held-out concepts."""

import json
from pathlib import Path

import pytest
from maia.agent.demonstrations import FIRST_SEED, TARGET, Answers, LazyImage, OwnCode, Pool, demonstrate, neurons_of
from maia.agent.transcript import Conclusion, Experiment, Notice, Reply, Transcript
from maia.models.groundtruth_labels import same_truth
from maia.models.groundtruth_neuron import GroundTruthNeuron
from maia.models.groundtruth_split import split_concepts
from maia.models.testbed.dataset import DATASET_SIZE
from maia.models.testbed.scene import Concept
from maia.prompts.brief import BRIEF_SYSTEM


async def test_code_prints_into_the_result_and_its_errors_come_after(capsys: pytest.CaptureFixture[str]) -> None:
    code = "def run_experiment(system, tools):\n    print('a', 1)\n    print(tools.add(2))\n    tools.fail()\n"

    async def handle(method: str, args: tuple[int, ...], kwargs: dict[str, int]) -> int:
        return args[0] + 1

    outcome = await OwnCode().run(code, handle)
    assert (outcome.outcome, outcome.stdout) == ("error", "a 1\n3\n") and "IndexError" in outcome.error
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.drawn(1200)


def test_no_demonstrated_neuron_holds_a_held_out_concept() -> None:
    split = split_concepts()
    neurons = neurons_of(0, 700) + neurons_of(1, 700)
    assert all(split.is_training(neuron) for neuron in neurons)
    counts = {kind: sum(neuron.kind == kind for neuron in neurons) for kind in ("single", "or", "conditional")}
    assert counts == {"single": 400, "or": 400, "conditional": 600}


def test_exemplars_come_from_scenes_of_their_own(pool: Pool) -> None:
    assert min(scene.seed for scene in pool.scenes) == FIRST_SEED > DATASET_SIZE


def test_the_teacher_finds_truths_and_its_dialogues_can_be_read(tmp_path: Path, pool: Pool) -> None:
    neurons = [
        GroundTruthNeuron("single", Concept("colour", "purple")),
        GroundTruthNeuron("or", Concept("background", "grass"), Concept("background", "snow")),
        GroundTruthNeuron("conditional", Concept("colour", "yellow"), Concept("background", "room")),
        GroundTruthNeuron("single", Concept("noun", "animal")),
    ]
    demonstrate(neurons, tmp_path, pool)
    untrained = json.loads((tmp_path / "untrained_turns.json").read_text())
    truths = json.loads((tmp_path / "truths.json").read_text())
    right = 0
    for number, neuron in enumerate(neurons):
        unit = f"{TARGET}.{neuron.kind}.{number}"
        transcript = Transcript(tmp_path / "units" / unit / "transcript.jsonl")
        assert transcript.records[0].system_prompt == BRIEF_SYSTEM  # type: ignore[union-attr]
        assert truths[unit] == neuron.truth
        end = transcript.end
        right += isinstance(end, Conclusion) and same_truth(" OR ".join(end.labels), neuron)
        failed = {r.turn for r in transcript.of(Experiment) if r.outcome != "ok"} | {
            r.turn for r in transcript.of(Notice)
        }
        assert failed - {sum(1 for _ in transcript.of(Reply))} <= set(untrained[unit])
        logged = [entry for record in transcript.of(Experiment) for entry in record.log]
        assert all((tmp_path / "images" / f"{name}.png").exists() for entry in logged for name in entry.images)
    assert right >= 3
    described = json.loads((tmp_path / "described.json").read_text())
    assert set(described) == {path.stem for path in (tmp_path / "images").glob("*.png")}
    assert all(text.count(" | ") == 1 for text in described.values())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    demonstrate(neurons, tmp_path, pool)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}


def test_a_graded_neuron_has_another_scale_and_the_same_concept(pool: Pool) -> None:
    neuron = GroundTruthNeuron("single", Concept("background", "snow"))
    plain, graded = Answers(neuron), Answers(neuron, 5.0, 0.2)
    for scene in pool.scenes[:200]:
        value, mask = graded(scene)
        exact, same = plain(scene)
        assert 5 * exact <= value <= 5 * (exact + 0.2)
        assert (mask is None) == (same is None) == (exact == 0)
    snowy = next(scene for scene in pool.scenes if scene.background == "snow")
    assert LazyImage(snowy).draw().size == (224, 224)
