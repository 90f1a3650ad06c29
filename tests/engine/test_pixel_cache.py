"""The cache of decoded pixels: decodes once, survives kill -9, and refuses what is not its own."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from maia.engine import decoding
from maia.engine.dataset import Dataset, Decoded, open_dataset
from maia.engine.pixel_cache import BAD, MISSING, UNSYNCED, WHOLE, PixelCache
from maia.models.errors import UserError
from maia.models.pictures import SquareView
from PIL import Image

VIEW = SquareView(16, 20, "bilinear")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures, of which number 3 is none and number 6 cannot be read."""
    root = tmp_path / "pictures"
    root.mkdir()
    for k in range(10):
        pixels = np.random.default_rng(k).integers(0, 255, (30, 25 + k, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{k}.png")
    (root / "3.png").write_bytes(b"no picture")
    (root / "6.png").unlink()
    (root / "6.png").symlink_to(root / "nowhere")
    return root


def read(
    dataset: Dataset, order: list[int] | None = None, workers: int = 0
) -> list[tuple[int, bytes | None, str | None]]:
    with dataset.decoded(list(range(len(dataset))) if order is None else order, VIEW, workers) as decoded:
        return [(e.ordinal, None if e.pixels is None else e.pixels.tobytes(), e.problem) for e in decoded]


def place(cache: Path) -> Path:
    (found,) = cache.iterdir()
    return found


def states(cache: Path) -> list[int]:
    return np.fromfile(place(cache) / "states.u32", np.uint32)[::2].tolist()


def test_a_second_pass_needs_no_pictures(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    plain, cached = open_dataset(folder), open_dataset(folder, cache=cache)
    assert (cached.kind, cached.fingerprint, len(cached)) == (plain.kind, plain.fingerprint, 10)
    expected = read(plain)
    assert read(cached, workers=1) == expected
    assert states(cache) == [WHOLE] * 3 + [BAD] + [WHOLE] * 2 + [MISSING] + [WHOLE] * 3
    for file in folder.iterdir():
        file.unlink()
    assert read(cached, workers=1) == expected == read(cached)
    assert read(cached, [9, 0, 3, 3, 9]) == [expected[i] for i in (9, 0, 3, 3, 9)]
    with pytest.raises(IndexError):
        read(cached, [-1])


def test_what_was_read_so_far_is_kept_and_repeats_are_decoded_once(folder: Path, tmp_path: Path) -> None:
    cached = open_dataset(folder, cache=tmp_path / "cache")
    expected = read(open_dataset(folder))
    order = [5, 5, 3, 6, 3, 6, 5]
    assert read(cached, order) == [expected[i] for i in order]
    with cached.decoded(range(10), VIEW, 0) as decoded:
        next(decoded), next(decoded)
    assert [i for i, state in enumerate(states(tmp_path / "cache")) if state] == [0, 1, 3, 5]


def test_a_problem_of_the_machine_is_not_kept(folder: Path, tmp_path: Path) -> None:
    cached = open_dataset(folder, cache=tmp_path / "cache")
    assert decoding.reason_of(read(cached)[6][2] or "") == decoding.UNREADABLE
    shutil.copy(folder / "0.png", folder / "nowhere")
    assert read(cached)[6][2] is None


def test_another_view_or_dataset_has_its_own_cache(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    read(open_dataset(folder, cache=cache))
    with open_dataset(folder, cache=cache).decoded([0], SquareView(16, 20, "bicubic"), 0) as decoded:
        assert next(decoded).pixels.tobytes() != read(open_dataset(folder))[0][1]
    shutil.copy(folder / "0.png", folder / "a.png")
    read(open_dataset(folder, cache=cache))
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize(
    ("field", "value"), [("format", 0), ("dataset", "0" * 64), ("entries", 9), ("view", "16-20-nearest"), ("side", 8)]
)
def test_a_foreign_cache_is_refused_by_what_differs(folder: Path, tmp_path: Path, field: str, value: object) -> None:
    cached = open_dataset(folder, cache=tmp_path / "cache")
    read(cached)
    header = place(tmp_path / "cache") / "cache.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {field: value}))
    with pytest.raises(UserError, match=rf"of something else \({field} differ\): delete .* and run again"):
        read(cached)


@pytest.mark.parametrize("damage", ["header", "short pixels", "no states", "a pixel", "problems"])
def test_a_damaged_cache_is_refused_by_name(folder: Path, tmp_path: Path, damage: str) -> None:
    cached = open_dataset(folder, cache=tmp_path / "cache")
    read(cached)
    files = place(tmp_path / "cache")
    if damage == "header":
        (files / "cache.json").write_text("{")
    elif damage == "short pixels":
        os.truncate(files / "pixels.u8", 100)
    elif damage == "no states":
        (files / "states.u32").unlink()
    elif damage == "problems":
        (files / "problems.jsonl").write_text('\n{"entry": 3, "prob')
    else:
        with (files / "pixels.u8").open("r+b") as file:
            file.seek(4 * 16 * 16 * 3 + 100)
            value = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([value ^ 1]))
    name = {"header": "cache.json", "no states": "states.u32", "problems": "problems.jsonl"}.get(damage, "pixels.u8")
    with pytest.raises(UserError, match=rf"{name}.*: delete .* and run again"):
        read(cached)
    shutil.rmtree(files)
    assert read(cached) == read(open_dataset(folder))


def test_a_line_that_a_crash_cut_short_spoils_no_other(folder: Path, tmp_path: Path) -> None:
    cached = open_dataset(folder, cache=tmp_path / "cache")
    read(cached, [0])
    with (place(tmp_path / "cache") / "problems.jsonl").open("a") as file:
        file.write('\n{"entry": 3, "pro')
    expected = read(open_dataset(folder))
    assert read(cached) == expected == read(cached)


def test_states_follow_pixels_to_the_disk(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves: no state is written before the pixels that it speaks of are synchronised."""
    order: list[str] = []
    cache = PixelCache(tmp_path, open_dataset(folder), VIEW)
    names = {cache._pixels: "pixels", cache._states: "states"}
    pwrite, fsync = os.pwrite, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda file, *rest: order.append(names[file]) or pwrite(file, *rest))
    monkeypatch.setattr(os, "fsync", lambda file: order.append("sync " + names.get(file, "")) or fsync(file))
    for k in (0, 1):
        cache.put(Decoded(k, np.full((16, 16, 3), k, np.uint8)))
    cache.close()
    assert order == ["pixels", "pixels", "sync pixels", "sync ", "states", "states"]


def test_a_full_disk_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: object, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    cached = open_dataset(folder, cache=tmp_path / "cache")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match=r"No space left on device.*pixels\.u8"):
        read(cached)


def test_kill_leaves_no_entry_that_lies(tmp_path: Path) -> None:
    """Killed again and again while it fills: what is marked whole is whole, and the last run finishes the rest."""
    root, cache = tmp_path / "many", tmp_path / "cache"
    root.mkdir()
    count = 3 * UNSYNCED
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{k:04d}.bmp")
    code = (
        "import sys\nfrom maia.engine.dataset import open_dataset\nfrom maia.models.pictures import SquareView\n"
        f"d = open_dataset({str(root)!r}, cache=__import__('pathlib').Path({str(cache)!r}))\n"
        f"for e in d.decoded(range({count}), SquareView(16, 20, 'bilinear'), 0):\n"
        "    print(e.ordinal, flush=True)\n"
    )
    expected = [pixels for _, pixels, _ in read(open_dataset(root))]
    reached = 0
    for kill_after in (100, UNSYNCED + 5, 2 * UNSYNCED + 30):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            while int(process.stdout.readline()) < kill_after:
                pass
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        found = states(cache)
        pixels = np.fromfile(place(cache) / "pixels.u8", np.uint8).reshape(count, -1)
        whole = [i for i, state in enumerate(found) if state == WHOLE]
        assert all(pixels[i].tobytes() == expected[i] for i in whole)
        assert len(whole) >= reached and len(whole) % UNSYNCED == 0
        reached = len(whole)
    assert reached >= 2 * UNSYNCED
    cached = open_dataset(root, cache=cache)
    assert [pixels for _, pixels, _ in read(cached)] == expected
    assert states(cache) == [WHOLE] * count


def test_two_passes_at_once_fill_one_cache(folder: Path, tmp_path: Path) -> None:
    first, second = (open_dataset(folder, cache=tmp_path / "cache") for _ in range(2))
    expected = read(open_dataset(folder))
    with first.decoded(range(10), VIEW, 0) as one, second.decoded(range(9, -1, -1), VIEW, 0) as other:
        pairs = list(zip(one, other, strict=True))
    for place_, (a, b) in enumerate(pairs):
        assert (a.ordinal, b.ordinal) == (place_, 9 - place_)
        assert a.problem == expected[a.ordinal][2] and b.problem == expected[b.ordinal][2]
    for file in folder.iterdir():
        file.unlink()
    assert read(first) == expected == read(second)
