"""Small training sets, as `maia finetune collect` writes them, for tests of training."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

WORDS = ["the", "neuron", "prefers", "dogs", "with", "stripes,", "4.71", "[CODE]:", "print(activations)"]


def said(rng: random.Random, words: int) -> str:
    """A text of some lines."""
    return "\n".join(" ".join(rng.choice(WORDS) for _ in range(words // 2)) for _ in range(2))


def write_picture(file: Path, seed: int) -> None:
    """A picture of random pixels and a random size."""
    rng = random.Random(seed)
    size = (rng.randrange(40, 70), rng.randrange(40, 70))
    Image.frombytes("RGB", size, rng.randbytes(size[0] * size[1] * 3)).save(file)


def dialogue(folder: Path, name: str, learns: Sequence[bool], images: int = 1, seed: int = 0) -> dict[str, Any]:
    """A row of train.jsonl, with a turn for each of `learns` and `images` pictures in every user's message."""
    rng = random.Random(f"{name}/{seed}")
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    messages: list[dict[str, Any]] = [_message("system", [_text("You experiment.")], False)]
    files = []
    for turn, learn in enumerate(learns):
        parts = [_text(said(rng, 8))]
        for image in range(images):
            files.append(f"pictures/{name}-{turn}-{image}.png")
            write_picture(folder / files[-1], rng.randrange(10**6))
            parts += [{"type": "image", "text": None}, _text(f"activation {image}: 0.{turn}")]
        messages += [_message("user", parts, False), _message("assistant", [_text(said(rng, 10))], learn)]
    return {
        "id": name,
        "unit": "u",
        "truth": None,
        "kind": "single",
        "concepts": [],
        "source": "test",
        "tokens": None,
        "messages": messages,
        "images": files,
    }


def pair(folder: Path, name: str, chosen: str, rejected: str) -> dict[str, Any]:
    """A row of preferences.jsonl."""
    row = dialogue(folder, name, [True, True])
    row.update(messages=row["messages"][:-1], chosen=chosen, rejected=rejected)
    return row


def write_rows(file: Path, rows: Sequence[Any]) -> Path:
    """Rows, or lines as they are; returns the training set's folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return file.parent


def training_set(folder: Path, count: int, learns: Sequence[bool] = (True, False, True), images: int = 1) -> Path:
    """A folder with `count` dialogues."""
    return write_rows(
        folder / "train.jsonl", [dialogue(folder, f"s{number}", learns, images) for number in range(count)]
    )


def _message(role: str, content: list[dict[str, Any]], learn: bool) -> dict[str, Any]:
    return {"role": role, "content": content, "learn": learn}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
