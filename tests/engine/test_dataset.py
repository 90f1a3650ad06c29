"""Datasets: one picture is the same from every format, worker number and order; damage costs what is damaged."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine import decoding
from maia.engine.dataset import Dataset, Decoded, open_dataset
from maia.engine.decoding import BadImage, reason_of
from maia.engine.readers import stream
from maia.engine.readers.entries import phase_of
from maia.engine.readers.patterns import expand_braces
from maia.engine.readers.payload import light_view
from maia.engine.readers.tar import scan_shard
from maia.models.errors import UserError
from maia.models.networks.network import Preprocess
from maia.models.pictures import SquareView
from PIL import Image

PATIENCE = 60
"""Seconds that a busy machine may take to end a process."""
VIEW = Preprocess(size=32, resize=40, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))


def jpeg(seed: int, size: tuple[int, int] = (60, 45), kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_folder(root: Path, pictures: dict[str, bytes]) -> Path:
    for name, data in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_parquet(path: Path, columns: dict[str, list[object]], rows: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=rows, compression="none")
    return path


def read(dataset: Dataset, workers: int = 0, order: list[int] | None = None) -> list[Decoded]:
    with dataset.decoded(range(len(dataset)) if order is None else order, VIEW, workers) as decoded:
        return list(decoded)


def content(entries: list[Decoded]) -> list[tuple[int, bytes | None, str | None]]:
    return [(e.ordinal, None if e.pixels is None else e.pixels.tobytes(), e.problem) for e in entries]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in class folders, and four bad ones."""
    root = tmp_path_factory.mktemp("pictures")
    pictures = {f"n{k % 3}/p{k:02d}.{'JPEG' if k % 2 else 'png'}": jpeg(k, (40 + k, 50)) for k in range(12)}
    pictures |= {"n0/bad.jpg": b"no picture", "n1/empty.png": b"", "n2/half.jpg": jpeg(99)[:900]}
    pictures |= {"n2/long.png": jpeg(1, (300, 2), "PNG"), ".hidden/x.jpg": jpeg(0), "n0/.x.jpg": jpeg(0)}
    return write_folder(root, pictures | {"labels.csv": b"", "n0/README": b"", "n1/notes.txt": b"n"})


def test_a_folder_holds_pictures_and_counts_the_rest(folder: Path) -> None:
    dataset = open_dataset(folder)
    keys = [dataset.key(i) for i in range(len(dataset))]
    assert (dataset.kind, dataset.embedded, len(dataset)) == ("folder", False, 16)
    assert keys == sorted(keys) and "n0/bad.jpg" in keys and not any(".x" in key for key in keys)
    assert dataset.skipped == {"": 1, "csv": 1, "txt": 1}
    problems = {dataset.key(e.ordinal): reason_of(e.problem) for e in read(dataset) if e.problem}
    assert problems == {
        "n0/bad.jpg": decoding.NOT_AN_IMAGE,
        "n1/empty.png": decoding.EMPTY,
        "n2/half.jpg": decoding.DAMAGED,
        "n2/long.png": decoding.TOO_NARROW,
    }
    with pytest.raises(BadImage, match="empty file"):
        dataset.image(keys.index("n1/empty.png"))
    for i in (-1, 16):
        with pytest.raises(IndexError):
            dataset.key(i)
        with pytest.raises(IndexError):
            dataset.decoded([0, i], VIEW, 0)


def test_pixels_are_the_view_of_the_picture(folder: Path) -> None:
    dataset = open_dataset(folder)
    whole = [e for e in read(dataset) if e.pixels is not None]
    assert len(whole) == 12
    for entry in whole:
        assert entry.pixels.shape == (32, 32, 3) and entry.pixels.dtype == np.uint8 and entry.pixels.flags.writeable
        assert np.array_equal(entry.pixels, np.asarray(VIEW.view(dataset.image(entry.ordinal))))
        opened = Image.open(folder / dataset.key(entry.ordinal))
        assert np.array_equal(entry.pixels, np.asarray(VIEW.view(opened)))


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    side=st.integers(1, 40),
    more=st.integers(0, 9),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
@settings(max_examples=40)
def test_the_light_view_is_the_networks_own(size: tuple[int, int], side: int, more: int, interpolation: str) -> None:
    view = Preprocess(side, side + more, interpolation, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    light = light_view(view)
    assert type(light) is SquareView and light.key == view.key
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8))
    assert light.view(picture).tobytes() == view.view(picture).tobytes()


class Mirrored(SquareView):
    key = "mirrored"


def test_a_view_of_another_kind_is_used_as_it_is() -> None:
    view = Mirrored(4, 4, "bilinear")
    assert light_view(view) is view


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_in_the_order_asked(folder: Path, workers: int) -> None:
    dataset = open_dataset(folder)
    order = [*reversed(range(16)), 3, 3, *range(16)] * 3
    assert content(read(dataset, workers, order)) == content(read(dataset, 0, order))


def test_nothing_asked_nothing_started(folder: Path) -> None:
    assert read(open_dataset(folder), 2, []) == []
    with pytest.raises(ValueError, match="0 or more"):
        open_dataset(folder).decoded([0], VIEW, -1)


def test_decoding_ahead_is_bounded_and_closing_ends_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "AHEAD", 4)
    dataset = open_dataset(folder)
    asked: list[int] = []
    payload = dataset.payload
    dataset.payload = lambda i: asked.append(i) or payload(i)
    decoded = dataset.decoded([0] * 100, VIEW, 1)
    assert next(decoded).ordinal == 0
    limit = time.monotonic() + PATIENCE
    while len(asked) < 5 and time.monotonic() < limit:
        time.sleep(0.02)
    time.sleep(0.2)
    assert len(asked) == 5  # one taken, four ahead
    processes = [process._process for process in decoded._pool._running]
    assert len(processes) == 1 and processes[0].poll() is None
    decoded.close()
    assert processes[0].returncode is not None and not any(t.is_alive() for t in decoded._pool._threads)
    assert list(decoded) == []


def test_a_stream_that_is_forgotten_ends_its_workers(folder: Path) -> None:
    before = threading.active_count()
    decoded = open_dataset(folder).decoded([0] * 200, VIEW, 1)
    next(decoded)
    (process,) = [process._process for process in decoded._pool._running]
    del decoded
    limit = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < limit:
        time.sleep(0.02)
    assert process.returncode is not None and threading.active_count() == before


# Killed workers. The view goes to the worker by pickle, and what it does there is up to it.
DEADLY = """
import os, signal, time
from maia.models.pictures import SquareView
class Deadly(SquareView):
    key = "deadly"
    def view(self, image):
        if image.size == (13, 13):
            with open(self.interpolation + "-13", "a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        if image.size == (17, 17):
            try:
                open(self.interpolation, "x").close()
            except FileExistsError:
                return super(Deadly, type(self)(32, 40, "bilinear")).view(image)
            os.kill(os.getpid(), signal.SIGKILL)
        if image.size == (19, 19):
            time.sleep(1000)
        return SquareView(32, 40, "bilinear").view(image)
"""


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SquareView:
    (tmp_path / "deadly_view.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("deadly_view", None)
    import deadly_view

    return deadly_view.Deadly(32, 40, str(tmp_path / "killed-once"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_killed_costs_the_picture_that_kills_it_twice(
    tmp_path: Path, deadly: SquareView, workers: int
) -> None:
    sizes = [(20, 20)] * 14
    sizes[4], sizes[9] = (13, 13), (17, 17)
    root = write_folder(tmp_path / "p", {f"{k:02d}.png": jpeg(k, size, "PNG") for k, size in enumerate(sizes)})
    dataset = open_dataset(root)
    with dataset.decoded(range(14), deadly, workers) as decoded:
        found = list(decoded)
    assert [e.ordinal for e in found] == list(range(14))
    assert {e.ordinal: e.problem for e in found if e.problem} == {4: decoding.CRASHED}
    assert (tmp_path / "killed-once-13").read_text() == "xx"  # tried twice
    assert (tmp_path / "killed-once").exists()  # number 9 killed its worker once, and was decoded by the next
    expected = [e for e in read(dataset) if e.ordinal != 4]
    assert content([e for e in found if e.ordinal != 4]) == content(expected)


def test_workers_killed_from_outside_cost_nothing(folder: Path) -> None:
    dataset = open_dataset(folder)
    order = list(range(16)) * 8
    found = []
    with dataset.decoded(order, VIEW, 1) as decoded:
        for entry in decoded:
            found.append(entry)
            if len(found) in (20, 70):
                for process in list(decoded._pool._running):
                    os.kill(process._process.pid, signal.SIGKILL)
    assert content(found) == content(read(dataset, 0, order))


def test_a_worker_that_cannot_start_ends_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.sys, "executable", shutil.which("false"))
    with pytest.raises(UserError, match="could not be started"):
        read(open_dataset(folder), 2)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("state", ["decoding", "waiting"])
def test_no_worker_outlives_a_reader_that_is_killed(tmp_path: Path, deadly: SquareView, state: str) -> None:
    root = write_folder(tmp_path / "p", {"a.png": jpeg(0, (20, 20), "PNG"), "b.png": jpeg(0, (19, 19), "PNG")})
    order = [0, 1] if state == "decoding" else [0] * 500  # picture 1 is decoded for 1000 seconds
    code = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import deadly_view\n"
        "from maia.engine.dataset import open_dataset\n"
        f"s = open_dataset({str(root)!r}).decoded({order}, deadly_view.Deadly(32, 40, 'x'), 2)\n"
        "next(s)\ntime.sleep(1)\n"
        "print(*[p._process.pid for p in s._pool._running], flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as reader:
        pids = [int(pid) for pid in reader.stdout.readline().split()]
        assert pids and all(alive(pid) for pid in pids)
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
    limit = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < limit, "a worker outlived its reader"
        time.sleep(0.05)


def test_workers_start_without_torch() -> None:
    code = (
        "import sys, maia.engine.readers.worker; sys.exit(any(m in sys.modules for m in ('torch', 'pyarrow', 'skia')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@settings(max_examples=15)
@given(
    names=st.lists(st.text("abcß0", min_size=1, max_size=4), min_size=1, max_size=9, unique=True),
    shards=st.integers(1, 3),
)
def test_folder_tar_and_parquet_give_the_same_pictures(names: list[str], shards: int) -> None:
    pictures = {name: jpeg(k, (20 + k, 25), "PNG") for k, name in enumerate(sorted(names))}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_folder(root / "f", {f"{name}.png": data for name, data in pictures.items()})
        for shard in range(shards):
            own = list(pictures.items())[shard::shards]
            write_tar(root / "t" / f"{shard}.tar", [(f"{name}.PNG", data) for name, data in own])
            columns = {"n": [1] * len(own), "key": [name for name, _ in own], "jpg": [data for _, data in own]}
            if own:
                write_parquet(root / "q" / f"{shard}.parquet", columns, 2)
        expected = {name: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for name, data in pictures.items()}
        for kind, there in (("folder", root / "f"), ("tar", root / "t"), ("parquet", root / "q")):
            dataset = open_dataset(there)
            assert dataset.kind == kind
            found = {Path(dataset.key(i)).name.removesuffix(".png"): dataset.image(i) for i in range(len(dataset))}
            assert found.keys() == expected.keys()
            assert all(np.array_equal(np.asarray(found[name]), expected[name]) for name in expected)


def cc3m(root: Path, shards: int = 2, samples: int = 3) -> Path:
    """As img2dataset writes it: tar shards, beside each its metadata."""
    for shard in range(shards):
        members = []
        for k in range(samples):
            key = f"{shard:05d}{k:04d}"
            members += [(f"{key}.jpg", jpeg(shard * 100 + k)), (f"{key}.txt", f"caption of {key} ü".encode())]
            members += [(f"{key}.json", json.dumps({"key": key, "caption": f"json {key}"}).encode())]
        write_tar(root / f"{shard:05d}.tar", members)
        write_parquet(root / f"{shard:05d}.parquet", {"url": ["x"], "caption": ["y"]})
        (root / f"{shard:05d}_stats.json").write_text("{}")
    return root


def test_the_layout_of_cc3m(tmp_path: Path) -> None:
    dataset = open_dataset(cc3m(tmp_path))
    assert (dataset.kind, len(dataset), dataset.skipped) == ("tar", 6, {"json": 2, "parquet": 2})
    assert [dataset.key(i) for i in (0, 5)] == ["00000.tar/000000000", "00001.tar/000010002"]
    assert dataset.caption(5) == "caption of 000010002 ü"
    assert dataset.image(4).tobytes() == Image.open(io.BytesIO(jpeg(101))).tobytes()
    pattern = open_dataset(str(tmp_path / "{00000..00001}.tar"))
    assert pattern.fingerprint == dataset.fingerprint == open_dataset(str(tmp_path / "*.tar")).fingerprint
    single = open_dataset(tmp_path / "00001.tar")
    assert len(single) == 3 and single.key(0) == "00001.tar/000010000"
    with pytest.raises(UserError, match=r"1 of the 3 files .* missing, the first is .*00002\.tar"):
        open_dataset(str(tmp_path / "{00000..00002}.tar"))


def test_captions_of_every_format(tmp_path: Path) -> None:
    files = {
        "a.jpg": jpeg(0),
        "a.txt": b" of a\n",
        "b.jpg": jpeg(1),
        "b.json": b'{"caption": "of b"}',
        "c.jpg": jpeg(2),
    }
    files |= {"d.jpg": jpeg(3), "d.json": b"[broken"}
    expected = ["of a", "of b", None, None]
    folder = open_dataset(write_folder(tmp_path / "f", files))
    tar = open_dataset(write_tar(tmp_path / "x.tar", list(files.items())))
    for dataset in (folder, tar):
        assert [dataset.caption(i) for i in range(4)] == expected
    images = [{"bytes": jpeg(k), "path": None} for k in range(6)]
    parquet = open_dataset(write_parquet(tmp_path / "x.parquet", {"image": images, "text": [*"abcde", None]}))
    assert [parquet.caption(i) for i in range(6)] == [*"abcde", None]
    assert open_dataset("testbed:2").caption(1)


def test_members_of_shards_find_their_place(tmp_path: Path) -> None:
    members = [("./d/a.jpg", jpeg(0)), ("d/a.png", jpeg(1, kind="PNG")), ("d/a.seg.png", b"x"), ("d/a.txt", b"one")]
    members += [
        ("d/a.jpg", jpeg(2)),
        ("d/a.txt", b"two"),
        ("d/._a.jpg", b"apple"),
        ("b.cls", b"3"),
        ("c.JPEG", jpeg(4)),
    ]
    dataset = open_dataset(write_tar(tmp_path / "s.tar", members))
    assert [dataset.key(i) for i in range(len(dataset))] == ["s.tar/c", "s.tar/d/a", "s.tar/d/a#2"]
    assert [dataset.caption(i) for i in range(3)] == [None, "one", "two"]
    assert dataset.skipped == {"cls": 1, "png": 1, "seg.png": 1}
    assert dataset.image(2).tobytes() == Image.open(io.BytesIO(jpeg(2))).tobytes()


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "no tar", "compressed", "empty"])
def test_a_damaged_shard_costs_its_damaged_part(tmp_path: Path, damage: str) -> None:
    root = cc3m(tmp_path / "c", samples=6)
    whole = content(read(open_dataset(root)))
    shard = root / "00001.tar"
    data = shard.read_bytes()
    third = scan_shard(shard).spans[2][0]
    if damage == "truncated":
        shard.write_bytes(data[: third + 700])
    elif damage == "overwritten":
        shard.write_bytes(data[: third - 512] + b"\xff" * 512 + data[third:])
    else:
        import gzip

        shard.write_bytes({"no tar": b"x" * 5000, "compressed": gzip.compress(data), "empty": b""}[damage])
    dataset = open_dataset(root, listing=tmp_path / "listing")
    again = open_dataset(root, listing=tmp_path / "listing")
    found = read(dataset)
    assert content(found) == content(read(again)) and dataset.fingerprint == again.fingerprint
    problems = {dataset.key(e.ordinal): reason_of(e.problem) for e in found if e.problem}
    good = [pixels for _, pixels, problem in content(found) if problem is None]
    kept = 8 if damage in ("truncated", "overwritten") else 6
    assert good == [pixels for _, pixels, _ in whole[:kept]]
    assert set(problems.values()) == {decoding.UNREADABLE} and any("(damaged at byte" in key for key in problems)
    assert ("00001.tar/000010002" in problems) == (damage == "truncated")
    assert "1 of them damaged" in dataset.description


def test_a_kept_listing_is_used_until_the_shard_changes(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "s.tar", [("a.jpg", jpeg(0)), ("b.jpg", jpeg(1))])
    first = open_dataset(shard, listing=tmp_path / "l")
    (kept,) = (tmp_path / "l").iterdir()
    kept.write_text(kept.read_text().replace('"a"', '"A"'))
    assert open_dataset(shard, listing=tmp_path / "l").key(0) == "s.tar/A"  # it is read
    kept.write_text(kept.read_text()[:50])
    assert open_dataset(shard, listing=tmp_path / "l").fingerprint == first.fingerprint  # and mended
    write_tar(shard, [("a.jpg", jpeg(0)), ("b.jpg", jpeg(1)), ("c.jpg", jpeg(2))])
    assert len(open_dataset(shard, listing=tmp_path / "l")) == 3


def test_parquet_columns_are_found_by_what_is_in_them(tmp_path: Path) -> None:
    pictures = [jpeg(k) for k in range(10)]
    columns = {"md5": [b"0123"] * 10, "picture": [None, *pictures[1:]], "key": ["same"] * 10}
    dataset = open_dataset(write_parquet(tmp_path / "b.parquet", columns))
    assert "'picture'" in dataset.description and dataset.key(9) == "b.parquet/row-000009"  # keys that are not unique
    found = read(dataset, 1, [9, 0, 5, 4, 4, 1])
    assert [reason_of(e.problem) if e.problem else None for e in found] == [None, decoding.UNREADABLE, *[None] * 4]
    assert content(found)[2][1] == np.asarray(VIEW.view(Image.open(io.BytesIO(pictures[5])))).tobytes()
    with pytest.raises(UserError, match=r"no column .* md5 \(binary\), key \(string\)"):
        open_dataset(write_parquet(tmp_path / "c.parquet", {"md5": [b"0123"], "key": ["k"]}))


@pytest.mark.parametrize("damage", ["truncated", "row group", "other columns"])
def test_a_damaged_parquet_file_costs_its_damaged_part(tmp_path: Path, damage: str) -> None:
    for name in "ab":
        write_parquet(tmp_path / f"{name}.parquet", {"image": [jpeg(ord(name) + k) for k in range(8)]}, 4)
    whole = content(read(open_dataset(tmp_path)))
    path = tmp_path / "b.parquet"
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "other columns":
        write_parquet(path, {"label": [1, 2]})
    else:
        column = pq.ParquetFile(path).metadata.row_group(1).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + 40] = b"\xff" * 40
        path.write_bytes(data)
    dataset = open_dataset(tmp_path)
    found = read(dataset, 1)
    problems = {dataset.key(e.ordinal): reason_of(e.problem) for e in found if e.problem}
    bad = [f"b.parquet/row-{row:06d}" for row in range(4, 8)] if damage == "row group" else ["b.parquet"]
    assert problems == dict.fromkeys(bad, decoding.UNREADABLE)
    good = [pixels for _, pixels, problem in content(found) if problem is None]
    assert good == [pixels for _, pixels, _ in whole[: 12 if damage == "row group" else 8]]


def test_rows_before_a_damage_are_read_in_any_order(tmp_path: Path) -> None:
    pictures = [jpeg(k) for k in range(60)]
    path = tmp_path / "p.parquet"
    a_page_a_row = {"use_dictionary": False, "compression": "none", "data_page_size": 1, "write_batch_size": 1}
    pq.write_table(pa.table({"image": pictures}), path, **a_page_a_row)
    data = path.read_bytes()
    at = data.index(pictures[40])
    path.write_bytes(data[: at - 30] + b"\xff" * 30 + data[at:])
    order = [0, 59, 20, 40, 5, 31, 47]
    found = read(open_dataset(path), 0, order)
    assert [e.ordinal for e in found if e.problem] == [59, 40, 47]
    alone = [read(open_dataset(path), 0, [i])[0] for i in order]
    assert content(found) == content(alone)


def test_fingerprints_change_with_names_and_sizes_only(tmp_path: Path) -> None:
    pictures = {"a/x.jpg": jpeg(0), "b.jpg": jpeg(1)}

    def of(place: str, files: dict[str, bytes]) -> str:
        return open_dataset(write_folder(tmp_path / place, files)).fingerprint

    first = of("1", pictures)
    assert first == of("moved/elsewhere", pictures) == of("3", pictures | {"c.txt": b"", ".d.jpg": b"x"})
    others = [of("4", pictures | {"c.jpg": b""}), of("5", {"a/y.jpg": jpeg(0), "b.jpg": jpeg(1)})]
    others += [of("6", {"a/x.jpg": jpeg(0) + b"\0", "b.jpg": jpeg(1)}), of("7", {"b.jpg": jpeg(1)})]
    others += [open_dataset(f"testbed:{count}").fingerprint for count in (3, 4)]
    write_parquet(tmp_path / "p.parquet", {"image": [jpeg(0)] * 4}, 4)
    others.append(open_dataset(tmp_path / "p.parquet").fingerprint)
    write_parquet(tmp_path / "p.parquet", {"image": [jpeg(0)] * 4}, 2)
    others.append(open_dataset(tmp_path / "p.parquet").fingerprint)
    assert len({first, *others}) == len(others) + 1 and all(len(each) == 64 for each in others)


def test_names_that_are_not_utf8_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xe4.jpg")).write_bytes(jpeg(0))
    dataset = open_dataset(tmp_path)
    dataset.key(0).encode()
    assert dataset.key(0) == "\\xff\\xe4.jpg" and read(dataset, 1)[0].problem is None
    assert 0 <= dataset.phase(0) < 2**32


def test_what_vanishes_or_dangles_is_a_bad_entry(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.jpg": jpeg(0), "b.jpg": jpeg(1)})
    (tmp_path / "c.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    dataset = open_dataset(tmp_path)
    (tmp_path / "b.jpg").unlink()
    assert [reason_of(e.problem or "") for e in read(dataset)] == ["", *[decoding.UNREADABLE] * 2]


def test_phases_are_spread_and_depend_on_the_key_alone() -> None:
    phases = np.array([phase_of(f"{k:05d}") for k in range(4000)])
    assert phases.min() >= 0 and phases.max() < 2**32 and phase_of("00000") == phases[0]
    counts = np.bincount(phases >> 29, minlength=8)
    assert counts.min() > 400 and len(set(phases.tolist())) > 3990


def test_the_testbed_is_a_dataset() -> None:
    from maia.models.testbed.world import World

    dataset = open_dataset("testbed:6")
    assert (dataset.kind, dataset.embedded, len(dataset), dataset.key(5)) == ("testbed", True, 6, "00005")
    assert dataset.image(4).tobytes() == World().dataset_image(4).tobytes()
    view = Preprocess(224, 256, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    with dataset.decoded([2, 3, 1], view, 2) as drawn:
        found = [(e.ordinal, e.pixels.tobytes()) for e in drawn]
    assert found == [(i, dataset.image(i).tobytes()) for i in (2, 3, 1)]  # rendered scenes are seen whole
    assert len(open_dataset("testbed")) == 4680


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "nothing").mkdir()
    write_folder(tmp_path / "texts", {"a.txt": b"", "b.tar.gz": b""})
    write_folder(tmp_path / "mixed", {"a.jpg": jpeg(0), "b.tar": b""})
    (tmp_path / "one.jpg").write_bytes(jpeg(0))
    write_tar(tmp_path / "no-pictures.tar", [("a.txt", b"x")])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    yield tmp_path


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nowhere", "there is no dataset .*give testbed, a folder of pictures, .tar shards"),
        ("nothing", "holds no pictures, but no files: give a folder with .tar shards"),
        ("texts", "holds no pictures, but 1 .gz file, 1 .txt file"),
        ("mixed", "holds 1 picture files and 1 .tar files"),
        ("one.jpg", "is no dataset, but a .jpg file"),
        ("no-pictures.tar", "hold no pictures, but no files.*members such as 0001.jpg"),
        ("broken.parquet", "none of the 1 parquet files"),
    ],
)
def test_what_is_no_dataset_is_said_in_a_sentence(wrong: Path, spec: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        open_dataset(wrong / spec)


@pytest.mark.parametrize("spec", ["testbed:0", "testbed:4681", "testbed:x", "testbed:"])
def test_the_testbed_has_so_many_scenes(spec: str) -> None:
    with pytest.raises(UserError, match="testbed:"):
        open_dataset(spec)


def test_braces() -> None:
    assert expand_braces("a{08..11}.tar") == ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]
    assert expand_braces("{8..10}") == ["8", "9", "10"]
    assert expand_braces("{a,b}/{0..1}") == ["a/0", "a/1", "b/0", "b/1"]
    assert expand_braces("x{1,{2,3}}") == ["x1", "x2", "x1", "x3"]
    assert expand_braces("plain") == ["plain"] and expand_braces("{odd}{1..2}") == ["{odd}1", "{odd}2"]
    with pytest.raises(UserError, match="more than"):
        expand_braces("{0..9999999}")
