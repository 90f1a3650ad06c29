"""Vision-language checkpoints of some hundred thousand random weights, built once for all test processes."""

import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

from maia.models.vlm.architectures import build_random


@cache
def tiny_checkpoint(family: str = "llava-next") -> Path:
    """A checkpoint's folder; not to be changed."""
    place = Path(os.environ["MAIA_TEST_CACHE"]) / f"vlm-{family}"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(dir=place.parent))
        build_random(draft, family)
        try:
            os.rename(draft, place)
        except OSError:  # another process was first
            shutil.rmtree(draft)
    return place


def own_checkpoint(directory: Path, family: str = "llava-next") -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint(family), directory / f"vlm-{family}"))


@cache
def tiny_adapter(family: str = "llava-next") -> Path:
    """A LoRA adapter of all linear layers of that checkpoint's language model, with random weights of which none is
    zero, so that it changes every answer; as peft's save_pretrained writes it. Not to be changed."""
    place = Path(os.environ["MAIA_TEST_CACHE"]) / f"vlm-{family}-adapter"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(dir=place.parent))
        write_adapter(draft, tiny_checkpoint(family))
        try:
            os.rename(draft, place)
        except OSError:  # another process was first
            shutil.rmtree(draft)
    return place


def write_adapter(folder: Path, checkpoint: Path, rank: int = 4, seed: int = 0, scale: float = 0.3) -> Path:
    """scale: standard deviation of the product that is added to a layer, as a share of the layer's own."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    generator, weights, names = torch.Generator().manual_seed(seed), {}, set()
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for key in sorted(opened.keys()):
                found = re.fullmatch(r".*language_model.*?\.(layers\..*\.(\w+_proj))\.weight", key)
                if found is None:
                    continue
                layer = opened.get_tensor(key).float()
                outputs, inputs = layer.shape
                # The product of two normal matrices, by alpha / rank = 2, has a deviation of 2 sqrt(rank) a b.
                size = (scale * layer.std().item() / (2 * rank**0.5)) ** 0.5
                path = f"base_model.model.model.language_model.{found[1]}"
                weights[f"{path}.lora_A.weight"] = size * torch.randn(rank, inputs, generator=generator)
                weights[f"{path}.lora_B.weight"] = size * torch.randn(outputs, rank, generator=generator)
                names.add(found[2])
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": rf".*language_model.*\.({'|'.join(sorted(names))})",
        "base_model_name_or_path": checkpoint.name,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
