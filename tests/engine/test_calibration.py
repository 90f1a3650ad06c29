"""Workspaces by arithmetic: against hand-computed peaks and against what a real run holds; the file of measurements."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from maia.engine.calibration import (
    Calibration,
    Measured,
    line_above,
    measure_workspace,
    no_memory,
    peak_bytes,
    trace_workspace,
)
from maia.engine.plan import Duration, Workspace
from maia.models.errors import UserError
from torch import nn


def small():
    return nn.Sequential(nn.Linear(100, 1000, bias=False), nn.ReLU(), nn.Linear(1000, 10, bias=False))


def test_the_peak_is_what_can_be_reckoned_by_hand():
    with no_memory():
        net, pictures = small(), torch.empty(4, 100)
        # Both sides of the activation function: 4 rows of 1000 floats, twice.
        assert peak_bytes(lambda: net(pictures)) == 2 * 4 * 1000 * 4
        # With the input made inside: 1600 bytes that stay.
        assert peak_bytes(lambda: net(torch.empty(4, 100))) == 2 * 4 * 1000 * 4 + 1600
        # Views and in-place operations take nothing; a sum of a tensor and its view holds one more.
        assert peak_bytes(lambda: pictures.view(-1).add_(1)) == 0
        assert peak_bytes(lambda: pictures.t() + pictures.t()) == 1600


def test_attention_does_not_hold_its_matrix():
    with no_memory():
        query = torch.empty(1, 8, 4096, 40, dtype=torch.float16)
        peak = peak_bytes(lambda: nn.functional.scaled_dot_product_attention(query, query, query))
    assert peak < 3 * query.numel() * 2 < 8 * 4096**2 * 2


def test_real_and_fake_runs_have_the_same_peak():
    def block():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 8, 3), nn.AvgPool2d(2)
        ).eval()

    real = block()
    measured = peak_bytes(lambda: real(torch.zeros(2, 3, 32, 32)))
    with no_memory():
        fake = block()
        traced = peak_bytes(lambda: fake(torch.zeros(2, 3, 32, 32)))
    assert traced == measured
    # The hand's lower bound: input and both sides of the largest activation.
    assert measured >= 2 * (3 * 32 * 32 + 2 * 16 * 32 * 32) * 4


def test_a_workspace_grows_with_the_batch_and_has_its_margin():
    with no_memory():
        net, table = small(), torch.empty(500)

        def run(batch):
            constant = table + 1
            return net(torch.empty(batch, 100)).sum() + constant.sum()

        bare = trace_workspace(run, margin=1.0)
        wide = trace_workspace(run, margin=2.0)
    assert bare == Workspace(2000, 400 + 8000)
    assert wide == Workspace(4000, 2 * (400 + 8000))
    with pytest.raises(RuntimeError, match="no_memory"):
        trace_workspace(run)


@given(st.dictionaries(st.integers(1, 16), st.integers(0, 10**9), min_size=1))
def test_a_fitted_line_is_below_no_measurement(points):
    workspace = line_above(points)
    assert workspace.per_item >= 0 and workspace.fixed >= 0
    assert all(workspace.nbytes(batch) >= nbytes for batch, nbytes in points.items())


@given(st.integers(0, 10**9), st.integers(0, 10**8))
def test_a_fitted_line_is_exact_where_there_is_one(fixed, per_item):
    truth = Workspace(fixed, per_item)
    assert line_above({batch: truth.nbytes(batch) for batch in (1, 2, 4)}) == truth


def test_measuring_needs_a_gpu():
    with pytest.raises(UserError, match="on a GPU"):
        measure_workspace(lambda batch: None, torch.device("cpu"))


@pytest.mark.gpu
def test_measured_and_traced_agree():
    device = torch.device("cuda")
    net = small().to(device)
    with torch.inference_mode():
        measured = measure_workspace(lambda batch: net(torch.zeros(batch * 1024, 100, device=device)), device)
    assert measured.per_item == pytest.approx(1.1 * 1024 * 8400, rel=0.2)


def test_what_was_measured_is_kept(tmp_path):
    path = tmp_path / "deep" / "calibration.json"
    assert Calibration.load(path).of("sd", "fp16") == Measured()
    kept = Calibration()
    kept.add("sd", "fp16", Measured(Workspace(1, 2), Duration(0.5, 0.25)))
    kept.add("sd", "fp32", Measured(workspace=Workspace(3, 4)))
    kept.save(path)
    again = Calibration.load(path)
    assert again == kept and again.of("sd", "fp32").duration is None
    assert [file.name for file in path.parent.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 2, "entries": {}}', '{"format": 1, "entries": {"a": {"b": 3}}}']
)
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"calibration\.json is no calibration file"):
        Calibration.load(path)
