"""The transcript file: exact round trip, and what a crash in the middle of a write leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.transcript import (
    Conclusion,
    Experiment,
    Failure,
    ImageStore,
    LogEntry,
    Notice,
    Reply,
    Transcript,
    record_from_json,
    record_to_json,
)
from maia.models.errors import UserError
from PIL import Image

# Line separators of Unicode and lone surrogates are what a reply may hold and a careless reader splits or dies at.
_text = st.text(st.characters(codec=None) | st.sampled_from("\u2028\u2029\x85\r\n\ud800"), max_size=30)
_entry = st.builds(
    LogEntry,
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    st.lists(_text, max_size=2),
    st.lists(_text, max_size=2),
    _text,
)
_record = st.one_of(
    st.builds(Reply, st.integers(0, 99), _text),
    st.builds(Notice, st.integers(0, 99), _text, _text),
    st.builds(
        Experiment,
        st.integers(0, 99),
        _text,
        st.sampled_from(["ok", "error"]),
        _text,
        _text,
        st.lists(_entry, max_size=2),
        st.none() | st.floats(0, 1),
    ),
    st.builds(Conclusion, st.integers(0, 99), _text, st.lists(_text, max_size=3), st.booleans()),
    st.builds(Failure, st.integers(0, 99), _text),
)


@given(_record)
def test_a_record_comes_back_as_it_was(record: object) -> None:
    assert record_from_json(record_to_json(record)) == record  # type: ignore[arg-type]


@settings(deadline=None, max_examples=40)
@given(records=st.lists(_record, min_size=1, max_size=5), data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_records(
    tmp_path_factory: pytest.TempPathFactory, records: list, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("run") / "transcript.jsonl"
    transcript = Transcript(path)
    for record in records:
        transcript.append(record)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    reopened = Transcript(path)
    assert reopened.records == records[:kept]
    for record in records[kept:]:
        reopened.append(record)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["{not json}", "[]", '{"type": "experiment"}', '{"type": "reply", "turn": 1}', "\x00"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "transcript.jsonl"
    path.write_text(record_to_json(Reply(1, "x")) + f"\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        Transcript(path)


def test_pictures_are_stored_once_by_their_pixels(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    first = Image.new("RGB", (8, 6), (10, 20, 30))
    same, other = Image.new("RGB", (8, 6), (10, 20, 30)), Image.new("RGB", (6, 8), (10, 20, 30))
    assert store.put(first) == store.put(same) != store.put(other)
    assert len(list((tmp_path / "images").iterdir())) == 2
    assert store.get(store.put(first)).tobytes() == first.tobytes()


_WRITER = """
import sys
from pathlib import Path
from maia.agent.transcript import Transcript, Reply
t = Transcript(Path(sys.argv[1]))
print("ready", flush=True)
for i in range(len(t.records), 100000):
    t.append(Reply(i, "x" * 3000))
"""


def test_kill_in_the_middle_of_writing_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    for delay in (0.05, 0.11, 0.02):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, env=os.environ)
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        time.sleep(delay)
        writer.kill()
        writer.wait()
        records = Transcript(path).records
        assert [record.turn for record in records] == list(range(len(records)))
    assert len(records) > 0
