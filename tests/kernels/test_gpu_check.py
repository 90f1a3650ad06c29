"""The GPU check as far as it goes without one: its arithmetic, its table of cases in torch, its refusal."""

import pytest
import torch
from maia.benchmarks.gpu import check, correctness
from maia.benchmarks.gpu.traffic import copy_bandwidth, mask_bytes, reduce_bytes, speed_row, topk_bytes


def test_bytes_moved() -> None:
    # 2 images of 3 units, 4 cells of 2 bytes; maxima (and positions) of 4 bytes; 2 sampled values of 8 each.
    assert reduce_bytes(2, 4, 3, 2, positions=False, sampled=0) == 2 * 4 * 3 * 2 + 2 * 3 * 4
    assert reduce_bytes(2, 4, 3, 2, positions=True, sampled=2) == 2 * 4 * 3 * 2 + 2 * 3 * 8 + 2 * 3 * 2 * 8
    assert topk_bytes(units=5, k=2, candidates=7) == 5 * (2 * 24 + 7 * 5)
    assert mask_bytes(2, 3, 4, 6) == 2 * (3 * 4 * 8 + 24)


def test_shares_of_the_copy_bandwidth() -> None:
    assert copy_bandwidth(10**9, 0.5) == 4e9
    row = speed_row(10**9, [0.4, 0.5, 0.9], 4e9)
    assert row["seconds_median"] == 0.5 and row["share_of_copy_bandwidth"] == 0.5
    assert row["seconds_p20"] < row["seconds_median"] < row["seconds_p80"]
    for seconds, bandwidth in (([], 1.0), ([0.0], 1.0), ([1.0], 0.0)):
        with pytest.raises(ValueError, match="above 0"):
            speed_row(1, seconds, bandwidth)


def test_the_cases_pass_in_torch_and_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correctness, "MAPS", correctness.MAPS[:2])
    monkeypatch.setattr(correctness, "TOKENS", correctness.TOKENS[2:])
    monkeypatch.setattr(correctness, "TOPK", correctness.TOPK[1:2])
    monkeypatch.setattr(correctness, "MASKS", correctness.MASKS[1:])
    rows = list(correctness.check_all(torch.device("cpu"), "torch"))
    assert len(rows) == 28 and all(row["equal"] and row["branch"] == "torch" for row in rows)
    assert {row["kernel"] for row in rows} == {"reduce", "topk", "mask"}
    right = correctness.reduce_layer
    monkeypatch.setattr(correctness, "reduce_layer", lambda x, *rest, **named: right(x + 1, *rest, **named))
    rows = list(correctness.check_all(torch.device("cpu"), "torch"))
    assert not any(row["equal"] for row in rows if row["kernel"] == "reduce" and row["shape"] != [1, 1, 1, 1])


def test_without_a_gpu_one_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check.main([]) == 2
    assert "CUDA GPU" in capsys.readouterr().err
