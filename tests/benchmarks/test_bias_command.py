"""`maia bias` on the offline world from the command to the page, in small: fewer factors and pictures."""

import json
from pathlib import Path

import pytest
from maia.agent.backbones.scripted.bias_design import FACTORS
from maia.benchmarks.bias_command import bias
from maia.models.errors import UserError

PROFILE = """\
world: testbed
target: efficientnet-lite0
backbone: scripted
dataset_images: 40
device: cpu
jobs: 1
turns: 12
"""


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A profile with a small dataset; the experimenter looks at two factors, on half the pictures."""
    module = "maia.agent.backbones.scripted.bias"
    monkeypatch.setattr(f"{module}.FACTORS", {name: FACTORS[name] for name in ("background", "size")})
    monkeypatch.setattr(f"{module}.SCREENED", 4)
    monkeypatch.setattr(f"{module}.FRESH", 8)
    file = tmp_path / "small.yaml"
    file.write_text(PROFILE)
    return str(file)


def study(out: Path, profile: str, **options: object) -> None:
    """The command with its defaults, but for what is given."""
    given: dict = {"target": None, "classes": None, "testbed": False, "per_kind": None, "layer": "probabilities"}
    given |= {"names": None, "backbone": None, "vlm": None, "url": None, "index": None, "weights": None}
    bias(
        out, profile=profile, **(given | {"device": "cpu", "turns": None, "seed": 0, "sandbox": "bubblewrap"} | options)
    )


def files_of(out: Path) -> dict[str, bytes]:
    """What the command wrote, and the transcripts."""
    chosen = [*out.glob("bias*"), *out.glob("runs/*/units/*/transcript.jsonl")]
    return {str(file.relative_to(out)): file.read_bytes() for file in chosen}


def test_the_study_finds_what_was_planted_and_goes_on_after_a_kill(tmp_path: Path, profile: str) -> None:
    out = tmp_path / "out"
    study(out, profile, testbed=True, per_kind=1)
    first = files_of(out)
    data = json.loads(first["bias.json"])
    rows = {row["kind"]: row for row in data["truths"]}
    assert list(rows) == ["context", "colour", "size", "clean"]
    assert rows["context"]["named"] and rows["size"]["named"], data["truths"]
    assert rows["clean"]["verdict"] == "no bias found in what was tested" and not rows["clean"]["detected"]
    # Colour is not looked at here: that is a miss, not an error.
    assert rows["colour"]["verdict"] == "no bias found in what was tested" and not rows["colour"]["named"]
    assert data["summary"]["all planted"]["named"]["found"] == 2
    contexts = {(one["experiment"], one["name"]): one for one in data["classes"][0]["contexts"]}
    assert len(contexts["background", "studio"]["values"]) == 4
    assert data["classes"][0]["evidence"][0]["activation"] >= data["classes"][0]["evidence"][-1]["activation"]
    page = first["bias.html"].decode()
    assert page.count("<article>") == 4 and page.count("data:image/jpeg") > 20 and "://" not in page.split("<body>")[1]

    transcript = next(out.glob("runs/planted-bias.size.0/units/*/transcript.jsonl"))
    lines = transcript.read_bytes().splitlines(keepends=True)
    transcript.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[-1][:40])  # a line that the kill cut short
    study(out, profile, testbed=True, per_kind=1)
    assert files_of(out) == first


def test_a_real_classifiers_class_by_its_name(tmp_path: Path, profile: str) -> None:
    out = tmp_path / "out"
    study(out, profile, classes="umbrella", turns=2, layer="logits")
    data = json.loads((out / "bias.json").read_text())
    (found,) = data["classes"]
    assert found["unit"] == "efficientnet-lite0.logits.879" and found["name"] == "umbrella"
    assert found["verdict"] == "no bias found in what was tested", "nothing is claimed without a confirmation"
    assert {one["name"] for one in found["contexts"]} >= {"studio", "snow", "forest"} and "summary" not in data


def test_what_people_get_wrong_is_one_sentence(tmp_path: Path, profile: str) -> None:
    with pytest.raises(UserError, match=r"no class 'umbrela'.*umbrella"):
        study(tmp_path / "a", profile, classes="umbrela")
    with pytest.raises(UserError, match="give --classes"):
        study(tmp_path / "b", profile)
    with pytest.raises(UserError, match="classes of its own"):
        study(tmp_path / "c", profile, testbed=True, classes="tench")
    with pytest.raises(UserError, match="no layer 'fc'"):
        study(tmp_path / "d", profile, classes="tench", layer="fc")
    assert not list(tmp_path.glob("?/runs"))
