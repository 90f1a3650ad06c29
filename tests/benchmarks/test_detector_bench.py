"""The detector's benchmark: both ways give the same answers, and the figures are those of their times."""

import json
from pathlib import Path

import numpy as np
import pytest
from maia.benchmarks.throughput.detector import (
    CONCEPTS,
    GOALS,
    BestBoxes,
    OneByOne,
    _detector,
    _pictures,
    detector_bench_command,
    measure,
)
from maia.models.errors import UserError
from torch import device


def test_a_quick_run_tells_and_writes_its_figures(tmp_path: Path) -> None:
    said: list[str] = []
    result = detector_bench_command(tmp_path / "d.json", repeats=2, quick=True, device="cpu", say=said.append)
    assert json.loads((tmp_path / "d.json").read_text()) == result
    assert result["benchmark"] == "detector"
    assert (result["concepts"], result["size"], result["device"]) == (list(CONCEPTS), "tiny", "cpu")
    assert result["versions"]["transformers"]
    assert set(GOALS) <= set(result)
    rates = result["rates"]
    ours, naive = np.array(rates["ours"]["all"]), np.array(rates["naive"]["all"])
    assert result["speedup"] == pytest.approx(np.median(ours / naive))
    assert result["images_per_s"] == pytest.approx(np.median(ours))
    assert result["naive_images_per_s"] == pytest.approx(np.median(naive))
    assert result["agreement"]["score"] < 1e-4
    assert result["agreement"]["pixels"] < 1e-3
    assert any(f"speedup {result['speedup']:.2f}" in line for line in said)


def test_what_runs_how_often() -> None:
    """The ratio is of what it says: both encoders once for each concept against once, or where something is found."""
    detector, _ = _detector("tiny", device("cpu"), None, CONCEPTS, None, 1)
    pictures = _pictures(2)

    def runs(way: BestBoxes | OneByOne) -> tuple[int, int, int]:
        counts = [0, 0]
        modules = (detector.grounding.model.model.backbone.conv_encoder, detector.segmenter.model.vision_encoder)

        def count(place: int) -> None:
            counts[place] += 1

        handles = [
            module.register_forward_pre_hook(lambda *_, place=place: count(place))
            for place, module in enumerate(modules)
        ]
        answers = way.detect(pictures, CONCEPTS)
        for handle in handles:
            handle.remove()
        return *counts, sum(detection.mask is not None for one in answers for detection in one.values())

    pairs = len(pictures) * len(CONCEPTS)
    assert runs(detector) == (2, 2, pairs)
    assert runs(OneByOne(detector, without_need=True)) == (pairs, pairs, pairs)
    detector.there = frozenset(CONCEPTS[:2])
    assert runs(detector) == (2, 2, 4)
    assert runs(OneByOne(detector, without_need=True)) == (pairs, pairs, 4)
    assert runs(OneByOne(detector, without_need=False)) == (pairs, 4, 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": "huge"}, "no size 'huge': choose tiny, base"),
        ({"repeats": 0}, "at least 1"),
        ({"dtype": "int8"}, "no dtype 'int8'"),
        ({"device": "gpu"}, "'gpu' is no device"),
        ({"concepts": ()}, "at least 1"),
    ],
)
def test_what_cannot_be_measured(options: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        measure(**{"size": "tiny", "device": "cpu", **options})
