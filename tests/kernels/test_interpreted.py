"""Runs interpreted_cases.py, in a process of its own: see there why."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("interpreted_cases.py")
LEAST = 85
"""Cases that must have passed: a file that collects nothing would pass, too."""


def run_cases(**variables: str) -> None:
    command = [sys.executable, "-m", "pytest", str(CASES), "-p", "no:cacheprovider", "-p", "no:xdist"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    kept.pop("TRITON_INTERPRET", None)
    done = subprocess.run(command, env=kept | variables, cwd=CASES.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= LEAST, done.stdout[-2000:]


def test_the_kernels_under_the_interpreter() -> None:
    run_cases(TRITON_INTERPRET="1")


@pytest.mark.gpu
def test_the_compiled_kernels() -> None:
    run_cases()
