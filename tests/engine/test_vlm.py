"""From a profile to its vision-language model: what is chosen, what is refused, in one sentence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from maia.engine.profile import load_profile
from maia.engine.vlm import SPARE, resolve_vlm, with_model
from maia.models.errors import UserError
from talking import profile_of, tiny_vlm
from tiny_vlm import tiny_checkpoint

TINY = "the tiny checkpoint"


def test_a_checkpoint_tells_its_family_and_counts_its_tokens() -> None:
    vlm = tiny_vlm(max_tokens=100)
    assert vlm.family.name == "llava-next" and vlm.exact and vlm.images_per_turn == 1
    assert vlm.counter.text("a red ball") > 1
    assert vlm.budget == 8192 - 100 - SPARE
    assert tiny_vlm(images=3).images_per_turn == 3


def test_a_model_elsewhere_is_counted_by_estimate() -> None:
    vlm = resolve_vlm(_elsewhere("qwen2.5-vl-7b"))
    assert vlm.checkpoint is None and not vlm.exact and vlm.family.name == "qwen2.5-vl"
    named = resolve_vlm(_elsewhere("ours", family="gemma-3"))
    assert named.family.name == "gemma-3" and named.title == "ours"


def _elsewhere(model: str, **vlm: Any) -> Any:
    return replace(profile_of(), vlm={"model": model, "url": "http://gpu7:8000/v1", **vlm})


@pytest.mark.parametrize(
    ("vlm", "wanted"),
    [
        (None, "--vlm"),
        ({"model": "ours", "url": "http://gpu7:8000/v1"}, "family"),
        ({"model": "ours", "url": "http://gpu7:8000/v1", "family": "gpt"}, "llava-next"),
        ({"model": "qwen2.5-vl-7b", "url": "gpu7:8000"}, "http://"),
        ({"model": "gpt"}, "choose from"),
        ({"model": "tiny", "path": "/nowhere"}, "/nowhere"),
        ({"model": "tiny", "path": TINY, "context": 10**6}, "context"),
        ({"model": "tiny", "path": TINY, "adapter": "a"}, "adapters"),
        ({"model": "tiny", "path": TINY, "context": 1024, "max_tokens": 1024}, "max_tokens"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(vlm: Any, wanted: str) -> None:
    if vlm and vlm.get("path") == TINY:
        vlm = {**vlm, "path": str(tiny_checkpoint())}
    with pytest.raises(UserError) as problem:
        resolve_vlm(replace(profile_of(), vlm=vlm))
    assert wanted in str(problem.value) and "\n" not in str(problem.value)


def test_the_command_line_names_another_model() -> None:
    lab = load_profile("lab")
    other = with_model(lab, "gemma-3-12b").vlm
    assert other is not None and other["model"] == "gemma-3-12b" and other["concurrent"] == lab.vlm["concurrent"]
    folder = with_model(lab, str(tiny_checkpoint()), context=4096).vlm
    assert folder == {**lab.vlm, "model": tiny_checkpoint().name, "path": str(tiny_checkpoint()), "context": 4096}
    adapted = replace(lab, vlm={**lab.vlm, "adapters": {"a": "x"}, "path": "/p", "family": "gemma-3"})
    assert not {"adapters", "path", "family"} & set(with_model(adapted, "gemma-3-12b").vlm or {})
    assert with_model(adapted, adapter="a").vlm == {**adapted.vlm, "adapter": "a"}  # type: ignore[dict-item]
    assert with_model(load_profile("testbed")).vlm is None


def test_what_replies_depend_on_is_kept_with_the_run(tmp_path: Path) -> None:
    facts = tiny_vlm(temperature=0.1, url="http://gpu7:8000/v1").facts
    assert facts["temperature"] == 0.1 and facts["family"] == "llava-next" and facts["images"] == 1
    assert "url" not in facts and "port" not in facts and "path" not in facts
