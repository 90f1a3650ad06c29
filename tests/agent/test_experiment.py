"""The experiment loop in a real sandbox, against stand-ins with known answers."""

import asyncio
from pathlib import Path

import pytest
from fakes import CONCLUSION, UNIT, CannedBackbone, experiment, services
from maia.agent.experiment import Settings, run_units
from maia.agent.transcript import Conclusion, Experiment, Failure, Notice, Reply, Start, Transcript
from maia.models.errors import UserError
from maia.models.targets import Unit

MEASURE = experiment(
    """
prompts = ["red 10", "red 200"]
images = tools.text2image(prompts)
activations, masked = system.neuron(images)
tools.log_experiment(activations, masked, prompts, tools.describe_images(images, prompts))
print("measured", len(images))
"""
)
EXEMPLARS = experiment(
    """
activations, images = tools.dataset_exemplars(system)
titles = [f"exemplar {i + 1}" for i in range(len(images))]
tools.log_experiment(activations, images, titles, [tools.summarize_images(images)])
"""
)
EDITS = experiment(
    """
images, titles = tools.edit_images(["red 200"], ["make it 20", "make it 100"])
activations, masked = system.neuron(images)
tools.log_experiment(activations, masked, titles, "")
tools.display("done", images[0])
"""
)


def interpret(run: Path, replies: list[str], turns: int = 6, **settings: object) -> tuple[Transcript, CannedBackbone]:
    """Without guards and the check of code, which test_experiment_checks.py is about, unless they are asked for."""
    backbone = CannedBackbone(replies)
    chosen = Settings(**{"turns": turns, "guards": (), "check_code": False} | settings)  # type: ignore[arg-type]
    transcripts = asyncio.run(run_units([UNIT], backbone, {"fake": services(run)}, chosen, run, jobs=1))
    return transcripts[0], backbone


def test_a_whole_dialogue(tmp_path: Path) -> None:
    transcript, backbone = interpret(tmp_path, [EXEMPLARS, MEASURE, EDITS, CONCLUSION])
    kinds = [type(record).__name__ for record in transcript.records]
    assert kinds == ["Start", *["Reply", "Experiment"] * 3, "Reply", "Conclusion"]
    exemplars, measured, edited = list(transcript.of(Experiment))
    assert [e.outcome for e in (exemplars, measured, edited)] == ["ok"] * 3
    assert exemplars.log[0].activations[:2] == [1.0, 0.9961] and len(exemplars.log[0].images) == 15
    assert exemplars.activation_threshold == pytest.approx(sum((255 - i) / 255 for i in range(15)) / 15)
    assert measured.log[0].activations == [0.03922, 0.7843]
    assert "red 200: red 200" in measured.log[0].text
    assert "below the exemplars' mean" in measured.log[0].text, "the threshold lasts from one experiment to the next"
    assert measured.stdout == "measured 2\n"
    assert edited.log[0].activations == [0.7843, 0.07843, 0.7843, 0.3922]
    assert edited.log[0].titles[:2] == ["red 200", "red 200 -> make it 20"]
    assert edited.log[1].text == "done\n[image 1]" and len(edited.log[1].images) == 1
    assert transcript.end == Conclusion(4, "it responds to red", ["red"])
    last = backbone.seen[-1]
    assert [m.role for m in last] == ["system", "user", *["assistant", "user"] * 3]
    assert "def edit_images" in last[0].text and "activation 0.7843" in last[5].text


def test_masked_images_keep_the_region_and_darken_the_rest(tmp_path: Path) -> None:
    transcript, _ = interpret(tmp_path, [MEASURE, CONCLUSION])
    log = next(transcript.of(Experiment)).log[0]
    store = services(tmp_path).images
    dark, bright = (store.get(image).getpixel((8, 8)) for image in log.images)
    assert dark[0] == round(10 * 0.25) and bright[0] == 200


def test_what_the_backbone_has_to_mend_is_told(tmp_path: Path) -> None:
    replies = [
        "I am not sure what to do.",
        experiment('tools.text2image(["a green idea"])'),
        experiment('system.neuron("red 10")'),
        experiment("tools.text2image()"),
        experiment("tools.log_experiment([1.0], [], [], '')"),
        experiment("tools.zoom(3)"),
        experiment("x = 1 / 0"),
        CONCLUSION,
    ]
    transcript, backbone = interpret(tmp_path, replies, turns=9)
    assert [n.kind for n in transcript.of(Notice)] == ["unreadable-reply"]
    errors = [e.error for e in transcript.of(Experiment)]
    wanted = [
        "cannot draw 'a green idea'",
        "images must be a list",
        "prompts",
        "same length",
        "zoom",
        "division by zero",
    ]
    assert [word in error for word, error in zip(wanted, errors, strict=True)] == [True] * len(wanted), errors
    told = [messages[-1].text for messages in backbone.seen[1:]]
    assert "neither a [CODE]" in told[0]
    assert all(word in text for word, text in zip(wanted, told[1:], strict=True))
    assert isinstance(transcript.end, Conclusion)


def test_every_prompt_edit_and_picture_that_fails_is_named_by_its_number(tmp_path: Path) -> None:
    replies = [
        experiment('tools.text2image(["red 1", "a wolf", "red 2", "a dream"])'),
        experiment('tools.edit_images(["red 1", "red 2"], ["make it 3", "make it green"])'),
        CONCLUSION,
    ]
    transcript, _ = interpret(tmp_path, replies)
    prompts, edits = (record.error for record in transcript.of(Experiment))
    assert "Prompt 2: cannot draw 'a wolf'" in prompts and "Prompt 4: cannot draw 'a dream'" in prompts
    assert "Prompt 1" not in prompts and "Prompt 3" not in prompts
    assert "Edit 2: cannot make it 'green'" in edits and "Edit 1" not in edits


def test_the_model_may_catch_a_tool_error(tmp_path: Path) -> None:
    code = """
try:
    tools.text2image(["a dream"])
except ExperimentError as error:
    tools.display(f"caught: {error}")
"""
    transcript, _ = interpret(tmp_path, [experiment(code), CONCLUSION])
    record = next(transcript.of(Experiment))
    assert record.outcome == "ok" and "caught: Prompt 1: cannot draw 'a dream'" in record.log[0].text


def test_a_final_answer_is_asked_for_when_the_turns_are_used_up(tmp_path: Path) -> None:
    transcript, backbone = interpret(tmp_path, [MEASURE, MEASURE, CONCLUSION], turns=2)
    assert [n.kind for n in transcript.of(Notice)] == ["last-turn"]
    assert "last experiment" in backbone.seen[-1][-1].text
    assert transcript.end == Conclusion(3, "it responds to red", ["red"], forced=True)


def test_a_backbone_that_never_concludes_costs_its_unit(tmp_path: Path) -> None:
    transcript, _ = interpret(tmp_path, [MEASURE] * 9, turns=2)
    assert isinstance(transcript.end, Failure) and "no final answer" in transcript.end.reason
    assert sum(1 for _ in transcript.of(Experiment)) == 2, "no experiment after the last turn"


def test_removed_tools_are_gone_from_the_text_and_from_the_sandbox(tmp_path: Path) -> None:
    transcript, _ = interpret(tmp_path, [EXEMPLARS, CONCLUSION], removed_tools=("dataset_exemplars",))
    start, record = transcript.records[0], next(transcript.of(Experiment))
    assert isinstance(start, Start) and "def dataset_exemplars" not in start.system_prompt
    assert record.outcome == "error" and "dataset_exemplars" in record.error


def test_one_unit_in_trouble_does_not_cost_the_others(tmp_path: Path) -> None:
    good, bad = UNIT, Unit("broken", "layer", 1)
    both = {"fake": services(tmp_path), "broken": services(tmp_path, broken=True)}
    backbone = CannedBackbone([MEASURE, CONCLUSION])
    first, second = asyncio.run(run_units([bad, good], backbone, both, Settings(), tmp_path, jobs=2))
    assert isinstance(first.end, Failure) and "device lost" in first.end.reason
    assert isinstance(second.end, Conclusion)


REPLIES = [EXEMPLARS, "what?", MEASURE, experiment("1 / 0"), EDITS, CONCLUSION]


def test_a_run_cut_after_any_byte_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole, _ = interpret(tmp_path / "whole", REPLIES)
    data = whole.path.read_bytes()
    lines = [i + 1 for i, byte in enumerate(data) if byte == 10]
    cuts = sorted({*lines, *(line - 7 for line in lines), *(line + 1 for line in lines[:-1]), 0})
    for cut in cuts:
        run = tmp_path / f"cut-{cut}"
        path = run / whole.path.relative_to(tmp_path / "whole")
        path.parent.mkdir(parents=True)
        path.write_bytes(data[:cut])
        resumed, _ = interpret(run, REPLIES)
        assert resumed.path.read_bytes() == data, f"cut at byte {cut}"
        assert [r.turn for r in resumed.of(Reply)] == [1, 2, 3, 4, 5, 6]


def test_another_setting_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    interpret(tmp_path, [MEASURE, CONCLUSION])
    with pytest.raises(UserError, match="seed"):
        interpret(tmp_path, [MEASURE, CONCLUSION], seed=5)
