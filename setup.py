"""Packaging: the repository root is the package `maia`; the rooms are namespace packages without __init__.py."""

from setuptools import setup

ROOMS = ["kernels", "models", "models.testbed", "models.testbed.drawings", "engine", "prompts",
         "agent", "agent.sandbox", "agent.backbones", "benchmarks", "benchmarks.quality", "benchmarks.throughput"]
setup(
    name="maia-local",
    version="0.1.0",
    python_requires=">=3.11",
    package_dir={"maia": "."},
    packages=["maia", *(f"maia.{room}" for room in ROOMS)],
    entry_points={"console_scripts": ["maia=maia.__main__:main"]},
)
