"""What every test runs under: one thread a process, no hub, one hypothesis profile."""

import atexit
import importlib.util
import os
import shutil
import tempfile

import hypothesis
import pytest

# Before torch or numpy is imported, here and in every process that a test starts: the tests already run in several
# processes, and a pool of threads in each would only make them wait for each other.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Indexes and packs of the person who runs the tests are neither used nor changed; all test processes share one cache.
if "MAIA_TEST_CACHE" not in os.environ:
    os.environ["MAIA_TEST_CACHE"] = tempfile.mkdtemp(prefix="maia-tests-")
    atexit.register(shutil.rmtree, os.environ["MAIA_TEST_CACHE"], ignore_errors=True)
os.environ["MAIA_CACHE"] = os.environ["MAIA_TEST_CACHE"]
# Nothing is fetched at run time, so a test that tries has found a fault.
os.environ["HF_HUB_OFFLINE"] = "1"

# The fixture `served`: one server of a tiny vision-language model for the whole run.
pytest_plugins = ["served"]

# No deadline: a busy machine is no failure. In CI the examples are the same on every run, so that a red run can be
# repeated; elsewhere they vary and find new ones.
hypothesis.settings.register_profile("maia", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("maia")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where there is none; torch is only imported to ask if something asks."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def pytest_configure() -> None:
    """Say in one sentence what is wrong when the tests run without the package installed."""
    if importlib.util.find_spec("maia") is None:
        raise pytest.UsageError(
            "The package maia is not installed here: run `make setup`, then .venv/bin/python -m pytest"
        )
