"""The loop's checks: code found wrong before it runs, guards that refuse and remark; and units finish all the same."""

import asyncio
from pathlib import Path

import pytest
from fakes import CONCLUSION, UNIT, CannedBackbone, experiment, services
from maia.agent.experiment import FINAL_ATTEMPTS, REFUSED_ANSWER, Settings, run_units, turns_spent
from maia.agent.guards import GUARDS, REFUSALS
from maia.agent.transcript import NOT_RUN, Conclusion, Experiment, Failure, Notice, Reply, Transcript

WRONG = experiment("tools.text2picture(['red 1'])")
EXEMPLARS = experiment(
    """
activations, images = tools.dataset_exemplars(system)
tools.log_experiment(activations, images, [f"exemplar {i + 1}" for i in range(15)], "")
"""
)


def made(*prompts: str) -> str:
    """A reply that makes and measures these."""
    return experiment(
        f"""
prompts = {list(prompts)!r}
activations, masked = system.neuron(tools.text2image(prompts))
tools.log_experiment(activations, masked, prompts, "")
"""
    )


def interpret(run: Path, replies: list[str], turns: int = 6, **settings: object) -> tuple[Transcript, CannedBackbone]:
    backbone = CannedBackbone(replies)
    chosen = Settings(turns=turns, **settings)  # type: ignore[arg-type]
    transcripts = asyncio.run(run_units([UNIT], backbone, {"fake": services(run)}, chosen, run, jobs=1))
    return transcripts[0], backbone


def kinds(transcript: Transcript) -> list[str]:
    return [record.kind if isinstance(record, Notice) else type(record).__name__ for record in transcript.records[1:]]


def test_code_found_wrong_is_not_run_and_may_be_mended_at_no_cost(tmp_path: Path) -> None:
    sound = [EXEMPLARS, made("red 10", "red 200"), CONCLUSION]
    transcript, backbone = interpret(tmp_path, [WRONG, *sound], turns=3)
    assert kinds(transcript)[:4] == ["Reply", "code-check", "Reply", "Experiment"]
    assert "text2image" in backbone.seen[1][-1].text, "the right name is told"
    assert turns_spent(transcript.records) == 3 and isinstance(transcript.end, Conclusion) and not transcript.end.forced


def test_a_repair_that_is_wrong_again_counts(tmp_path: Path) -> None:
    transcript, _ = interpret(tmp_path, [WRONG, WRONG, WRONG, WRONG, CONCLUSION, CONCLUSION], turns=2)
    assert kinds(transcript)[:8] == ["Reply", "code-check", "Reply", "Experiment"] * 2
    assert [record.outcome for record in transcript.of(Experiment)] == [NOT_RUN, NOT_RUN]
    assert all("text2picture" in record.error for record in transcript.of(Experiment))
    assert kinds(transcript)[8] == "last-turn"


@pytest.mark.parametrize("turns", [1, 3])
def test_wrong_code_for_ever_ends_the_unit(tmp_path: Path, turns: int) -> None:
    transcript, _ = interpret(tmp_path, [WRONG] * 99, turns=turns)
    assert isinstance(transcript.end, Failure)
    assert sum(1 for _ in transcript.of(Reply)) == 2 * turns + FINAL_ATTEMPTS


def test_without_the_check_the_sandbox_tells(tmp_path: Path) -> None:
    transcript, _ = interpret(tmp_path, [WRONG, CONCLUSION], check_code=False, guards=())
    assert kinds(transcript) == ["Reply", "Experiment", "Reply", "Conclusion"]
    assert "text2picture" in next(transcript.of(Experiment)).error


def test_a_repeated_experiment_is_refused_and_named(tmp_path: Path) -> None:
    twice = made("red 10", "red 200")
    transcript, backbone = interpret(tmp_path, [EXEMPLARS, twice, twice, made("red 90", "red 30"), CONCLUSION])
    assert kinds(transcript)[4:6] == ["Reply", "guard/repeated-experiment"]
    assert "not run" in backbone.seen[3][-1].text
    assert turns_spent(transcript.records) == 5, "a refused experiment has cost its turn"


def test_a_guard_refuses_so_often_and_no_more(tmp_path: Path) -> None:
    same = made("red 10", "red 200")
    transcript, _ = interpret(tmp_path, [EXEMPLARS, *[same] * 5, *[CONCLUSION] * 9], turns=6)
    notices = [record.kind for record in transcript.of(Notice)]
    assert notices.count("guard/repeated-experiment") == REFUSALS
    passed = [remark.kind for record in transcript.of(Experiment) for remark in record.remarks]
    assert passed.count("let-pass/repeated-experiment") == 2


def test_a_hasty_conclusion_is_refused_then_accepted(tmp_path: Path) -> None:
    transcript, backbone = interpret(tmp_path, [CONCLUSION, EXEMPLARS, made("red 200", "red 5", "red 90"), CONCLUSION])
    assert kinds(transcript)[:2] == ["Reply", "guard/thin-evidence"]
    assert "counter" in backbone.seen[1][-1].text
    assert isinstance(transcript.end, Conclusion) and transcript.end.remarks == []


def test_an_invented_number_is_remarked_under_the_result(tmp_path: Path) -> None:
    told = made("red 10", "red 200").replace("Hypothesis_1: red", "Hypothesis_1: red, activation 7.345 on exemplar 2")
    transcript, backbone = interpret(tmp_path, [EXEMPLARS, told, made("red 7", "red 90"), CONCLUSION])
    first, second = list(transcript.of(Experiment))[:2]
    assert [remark.kind for remark in second.remarks] == ["guard/invented-result"] and not first.remarks
    assert second.log, "it was run all the same"
    assert "7.345" in backbone.seen[2][-1].text


@pytest.mark.parametrize("off", GUARDS)
def test_each_guard_can_be_switched_off(tmp_path: Path, off: str) -> None:
    same = made("red 10", "red 200")
    pictured = CONCLUSION.replace("]: red", "]: The image shows a red wall.")
    scenes = {
        "repeated-experiment": [EXEMPLARS, same, same, made("red 1", "red 90"), CONCLUSION, CONCLUSION],
        "thin-evidence": [CONCLUSION] * 4,
        "invented-result": [EXEMPLARS, same, CONCLUSION.replace("red\n", "red, activation 7.345\n", 1), CONCLUSION],
        "copied-example": [
            made("a red ball on a sandy beach", "a red ball in the snow"),
            EXEMPLARS,
            same,
            *[CONCLUSION] * 3,
        ],
        "picture-description": [EXEMPLARS, same, pictured, CONCLUSION],
    }
    found = {}
    for name, guards in (("on", GUARDS), ("off", tuple(guard for guard in GUARDS if guard != off))):
        transcript, _ = interpret(tmp_path / name, scenes[off], turns=9, guards=guards)
        found[name] = [record.kind for record in transcript.of(Notice)]
    assert f"guard/{off}" in found["on"] and f"guard/{off}" not in found["off"]


def test_a_refused_answer_serves_when_no_other_comes(tmp_path: Path) -> None:
    invented = CONCLUSION.replace("red\n", "red, activation 7.345\n", 1)
    transcript, _ = interpret(tmp_path, [EXEMPLARS, invented, "no idea", "none"], turns=1)
    end = transcript.end
    assert isinstance(end, Conclusion) and end.labels == ["red"] and end.forced
    assert [remark.kind for remark in end.remarks] == [REFUSED_ANSWER]


def test_a_run_cut_off_after_any_record_goes_on_to_the_same_transcript(tmp_path: Path) -> None:
    same = made("red 10", "red 200")
    told = same.replace("Hypothesis_1: red", "Hypothesis_1: red, activation 7.345 on exemplar 2")
    replies = [CONCLUSION, WRONG, EXEMPLARS, told, same, WRONG, WRONG, made("red 9", "red 99"), *[CONCLUSION] * 4]
    transcript, _ = interpret(tmp_path / "whole", replies, turns=9)
    whole = transcript.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(kinds(transcript)) > 12
    path = tmp_path / "cut" / transcript.path.relative_to(tmp_path / "whole")
    path.parent.mkdir(parents=True)
    for kept in range(1, len(lines), 2):
        path.write_bytes(b"".join(lines[:kept]) + lines[kept][:9])
        interpret(tmp_path / "cut", replies, turns=9)
        assert path.read_bytes() == whole, f"resumed after record {kept}"
