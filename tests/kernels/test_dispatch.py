"""Which branch runs, and what is said where one cannot."""

import subprocess
import sys

import pytest
import torch
from maia.kernels.dispatch import BranchUnavailable, choose, interpreted


def test_on_the_cpu_torch_runs() -> None:
    assert choose("auto", torch.zeros(1)) == "torch"
    assert choose("torch", torch.zeros(1)) == "torch"


def test_triton_on_the_cpu_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not interpreted()
    with pytest.raises(BranchUnavailable, match="this one is on cpu"):
        choose("triton", torch.zeros(1))


def test_an_unknown_branch_is_refused() -> None:
    with pytest.raises(ValueError, match="'cuda'"):
        choose("cuda", torch.zeros(1))


@pytest.mark.gpu
def test_on_a_gpu_triton_runs() -> None:
    assert choose("auto", torch.zeros(1, device="cuda")) == "triton"
    assert choose("torch", torch.zeros(1, device="cuda")) == "torch"


LATE = """
import os, torch, triton
os.environ["TRITON_INTERPRET"] = "1"
from maia.kernels.dispatch import choose
choose("triton", torch.zeros(1))
"""


def test_the_interpreter_asked_for_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True)
    assert done.returncode == 1
    assert "after triton had been imported" in done.stderr.splitlines()[-1]
