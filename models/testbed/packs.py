"""Optional noun packs: pictures of nouns from package registries, as further drawings for evaluation only.

Exploration, dataset and describer are the same with and without packs. The files live in the user's cache, never in the
repository. A sprite keeps the light and shade of its picture, and takes colour and pattern from the scene.
"""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import skia
from PIL import Image

from ..caches import cache_directory
from ..errors import UserError

_SIDE = 128
"""Pixels of an overlay's longer side."""

_OUTLINE_SIDE = 256
"""Pixels of the longer side of what the silhouette is traced from: finer, as its edges are not smoothed."""


@dataclass(frozen=True)
class Pack:
    """Where a pack comes from. files: noun -> path inside the package. tool: "npm" or "apt"."""

    package: str
    tool: str
    licence: str
    root: str
    files: dict[str, str]


def _codes(text: str, suffix: str) -> dict[str, str]:
    return {noun: f"{code}{suffix}" for noun, code in (pair.split("=") for pair in text.split())}


# Left out after a look: pictures with a pattern of their own that would be taken for one of ours (a toadstool's
# dots, a clownfish's bands, a balloon's zigzag), and those that are no longer known without their colours (tents
# under a moon, boats in a slab of water, candles of flame).
PACKS: dict[str, Pack] = {
    "emoji": Pack(
        "@lobehub/fluent-emoji-3d@1.1.0",
        "npm",
        "MIT",
        "package/assets",
        _codes(
            "ball=1f3c0 box=1f4e6 ring=1f6df star=2b50 wheel=1f6de clock=23f0 house=1f3e0 door=1f6aa window=1fa9f "
            "car=1f697 bus=1f68c airplane=2708-fe0f bicycle=1f6b2 balloon=1f388 cup=2615 bottle=1f37e bowl=1f963 "
            "vase=1f3fa umbrella=2602-fe0f book=1f4d5 chair=1fa91 screen=1f4fa guitar=1f3b8 tree=1f333 flower=1f337 "
            "leaf=1f341 fish=1f41f dog=1f415 cat=1f408 butterfly=1f98b",
            ".webp",
        ),
    ),
    "stamps": Pack(
        "tuxpaint-stamps-default",
        "apt",
        "GPL-2",
        "usr/share/tuxpaint/stamps",
        _codes(
            "ball=sports/basketball sign=town/roadsigns/stop cup=household/dishes/mug mushroom=plants/mushrooms/cep "
            "guitar=hobbies/music/string/guitar_classical wheel=vehicles/wheel_tractor clock=symbols/clockface "
            "bird=animals/birds/pigeon dog=animals/mammals/dogs/dog airplane=vehicles/flight/planes/747 "
            "bus=vehicles/masstransit/green_korean_bus car=vehicles/auto/sportscar2",
            ".png",
        ),
    ),
}
_Run = Callable[[list[str], Path], None]


def default_directory() -> Path:
    """`packs` in the cache."""
    return cache_directory() / "packs"


def _run(command: list[str], where: Path) -> None:
    """Run a package tool; UserError when it is missing, fails or takes longer than ten minutes."""
    if shutil.which(command[0]) is None:
        raise UserError(f"{command[0]} is not installed: install it, or go on without this pack.")
    try:
        subprocess.run(command, cwd=where, check=True, capture_output=True, timeout=600)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        last = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UserError(f"{' '.join(command)} failed ({' '.join(last) or 'no message'}): try again.") from None


def install(name: str, directory: Path | None = None, run: _Run = _run) -> list[str]:
    """Fetch a pack with its ordinary package tool and keep the files of our nouns; returns those nouns.

    A pack is put in its place whole or not at all. Raises UserError: an unknown pack, a failing tool, a package
    that holds none of the files.
    """
    if name not in PACKS:
        raise UserError(f"There is no pack {name!r}: choose one of {', '.join(PACKS)}.")
    pack, directory = PACKS[name], directory or default_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".") as scratch:
        work = Path(scratch)
        if pack.tool == "npm":
            run(["npm", "pack", pack.package], work)
            for archive in work.glob("*.tgz"):
                with tarfile.open(archive) as file:
                    file.extractall(work / "tree", filter="data")
        else:
            run(["apt-get", "download", pack.package], work)
            for archive in work.glob("*.deb"):
                run(["dpkg", "-x", archive.name, "tree"], work)
        kept = work / name
        kept.mkdir()
        for noun, path in pack.files.items():
            source = work / "tree" / pack.root / path
            if source.is_file():
                shutil.copyfile(source, kept / f"{noun}{source.suffix}")
        if not any(kept.iterdir()):
            raise UserError(f"The package {pack.package} holds none of the expected files: go on without {name}.")
        (kept / "SOURCE").write_text(f"{pack.package}, licence {pack.licence}\n")
        shutil.rmtree(directory / name, ignore_errors=True)
        kept.rename(directory / name)
    return available(directory)[name]


def available(directory: Path | None = None) -> dict[str, list[str]]:
    """Nouns of each installed pack, in the pack's order; packs that are not installed are left out."""
    found = {name: [noun for noun in pack.files if holds(name, noun, directory)] for name, pack in PACKS.items()}
    return {name: nouns for name, nouns in found.items() if nouns}


def holds(pack: str, noun: str, directory: Path | None = None) -> bool:
    """Whether the pack is installed and has a picture of the noun."""
    return noun in PACKS[pack].files and _file(pack, noun, directory).is_file()


def _file(pack: str, noun: str, directory: Path | None) -> Path:
    return (directory or default_directory()) / pack / f"{noun}{Path(PACKS[pack].files[noun]).suffix}"


@dataclass(frozen=True)
class Sprite:
    """A noun's picture in the unit box [-1, 1]^2, standing on y = +1.

    silhouette: where it is; to be filled with colour and pattern. box: (left, top, right, bottom) of the overlay.
    overlay: gray RGBA picture of its light and shade, middle gray = no change; to be drawn over the filled
    silhouette with skia.BlendMode.kHardLight.
    """

    silhouette: skia.Path
    overlay: skia.Image
    box: tuple[float, float, float, float]


def sprite(pack: str, noun: str, directory: Path | None = None) -> Sprite:
    """The sprite of an installed pack. Raises UserError when it is not installed or its file is damaged."""
    return _sprite(pack, noun, _file(pack, noun, directory))


@lru_cache(maxsize=128)
def _sprite(pack: str, noun: str, path: Path) -> Sprite:
    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except OSError:
        raise UserError(f"The pack {pack} lacks a readable {noun}: install the pack again.") from None
    bounds = picture.getchannel("A").point(lambda a: 255 * (a > 128)).getbbox()
    if bounds is None:
        raise UserError(f"The picture of {noun} in the pack {pack} is empty: install the pack again.")
    picture = picture.crop(bounds)
    inside = np.asarray(_resized(picture.getchannel("A"), _OUTLINE_SIDE)) > 128
    step = 2.0 / max(inside.shape)
    wide, high = inside.shape[1] * step, inside.shape[0] * step
    box = (-wide / 2, 1.0 - high, wide / 2, 1.0)
    shade = _shade(np.asarray(_resized(picture, _SIDE)))
    return Sprite(_silhouette(inside, box, step), skia.Image.fromarray(shade), box)


def _resized(picture: Image.Image, side: int) -> Image.Image:
    factor = side / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _shade(pixels: np.ndarray) -> np.ndarray:
    """uint8 RGBA [H, W, 4]: luminance moved so that its median is middle gray, with contrast kept within reason."""
    luminance = pixels[..., :3].astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    inside = luminance[pixels[..., 3] > 128]
    spread = max(float(np.percentile(inside, 95) - np.percentile(inside, 5)), 1.0)
    gray = 128 + (luminance - np.median(inside)) * min(1.0, 170 / spread)
    gray = np.clip(gray, 12, 243).astype(np.uint8)
    return np.ascontiguousarray(np.dstack([gray, gray, gray, pixels[..., 3]]))


def _silhouette(inside: np.ndarray, box: tuple[float, float, float, float], step: float) -> skia.Path:
    """Path around the true pixels of a bool mask, in the unit box."""
    builder = skia.PathBuilder()
    for y, row in enumerate(inside):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            left, top = box[0] + start * step, box[1] + y * step
            builder.addRect(skia.Rect.MakeLTRB(left, top, box[0] + end * step, top + step))
    path = builder.detach()
    return skia.Simplify(path) or path
