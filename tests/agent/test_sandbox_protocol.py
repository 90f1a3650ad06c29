"""The supervisor's reading of frames: anything but exactly a frame is a ProtocolError, and nothing else happens."""

import asyncio
import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.sandbox import protocol, seccomp
from maia.agent.sandbox.limits import Limits
from maia.agent.sandbox.pipes import Pipe, PipeClosedError
from maia.agent.sandbox.session import Session
from maia.models.errors import UserError

LIMIT = 1 << 16


async def no_calls(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    raise AssertionError("a forged frame became a call")


def read(data: bytes) -> Any:
    """What the supervisor makes of these bytes, followed by the end of the pipe: (name, args, kwargs) of a call."""

    async def talk() -> Any:
        session = Session(True, Limits(message_bytes=LIMIT), {"system": ["neuron"]}, {}, "", no_calls)
        read_end, write_end = os.pipe()
        session._up = Pipe(read_end)
        writer = Pipe(write_end)

        async def feed() -> None:
            await writer.write([data])
            writer.close()

        feeding = asyncio.create_task(feed())
        try:
            return session._call(*await session._receive())
        finally:
            session._up.close()
            await asyncio.gather(feeding, return_exceptions=True)
            writer.close()

    return asyncio.run(talk())


def frame(body: bytes, blob: bytes = b"") -> bytes:
    return struct.pack(">II", len(body), len(blob)) + body + blob


def refused(data: bytes) -> bool:
    """Whether the bytes were refused in an orderly way; False: they were a call."""
    try:
        name, args, kwargs = read(data)
    except (protocol.ProtocolError, PipeClosedError):
        return True
    assert name == "system.neuron" and isinstance(args, list) and isinstance(kwargs, dict)
    return False


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_refused(data: bytes) -> None:
    assert refused(data)


@given(st.binary(max_size=200), st.binary(max_size=20))
@settings(max_examples=100, deadline=None)
def test_random_bodies_are_refused(body: bytes, blob: bytes) -> None:
    assert refused(frame(body, blob))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["i", "t", "d"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["i", "t", "d", "mode", "size", "x"]), inner, max_size=2)
    ),
    max_leaves=10,
)
GOOD = {"type": "call", "name": "system.neuron", "args": [], "kwargs": {"d": []}, "images": []}


@given(st.sampled_from(sorted(GOOD)), json_values, st.binary(max_size=12))
@settings(max_examples=300, deadline=None)
def test_a_call_with_one_field_of_anything_is_refused_or_a_call(key: str, value: Any, blob: bytes) -> None:
    refused(frame(json.dumps({**GOOD, key: value}).encode(), blob))


def test_the_good_frame_is_a_call() -> None:
    assert read(frame(json.dumps(GOOD).encode())) == ("system.neuron", [], {})


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_a_frame_cut_short_is_the_end_of_the_pipe(cut: int) -> None:
    with pytest.raises(PipeClosedError):
        read(frame(json.dumps(GOOD).encode())[:cut])


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_lengths_over_the_limits_are_refused_before_anything_is_read(json_length: int, blob_length: int) -> None:
    header = struct.pack(">II", json_length, blob_length)
    if 2 <= json_length <= protocol.MAX_JSON_BYTES and blob_length <= LIMIT:
        assert protocol.parse_lengths(header, LIMIT) == (json_length, blob_length)
    else:
        with pytest.raises(protocol.ProtocolError):
            protocol.parse_lengths(header, LIMIT)


def test_half_characters_never_reach_us() -> None:
    body = json.dumps({**GOOD, "args": ["a\ud800b"], "kwargs": {"d": [["\udfff", 1]]}}).encode()
    _, args, kwargs = read(frame(body))
    assert (args, kwargs) == (["a?b"], {"?": 1})


def test_the_deepest_value_that_is_sent_is_read() -> None:
    value: Any = 1
    for _ in range(protocol.MAX_DEPTH):
        value = [value]
    encoded = protocol.Encoder(LIMIT, finite=True).encode(value)
    assert protocol.Decoder([]).decode(encoded) == value
    with pytest.raises(ValueError, match="nested"):
        protocol.Encoder(LIMIT, finite=True).encode([value])
    with pytest.raises(protocol.ProtocolError):
        protocol.Decoder([]).decode([encoded])


# --- the system call filter


def run_filter(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Interpret the classic BPF program on one call, as the kernel would."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    code, at, value = list(struct.iter_unpack("=HBBI", program)), 0, 0
    while True:
        operation, yes, no, constant = code[at]
        at += 1
        if operation == 0x20:
            value = struct.unpack_from("=I", data, constant)[0]
        elif operation == 0x54:
            value &= constant
        elif operation == 0x06:
            return constant
        else:
            tests = {0x15: value == constant, 0x35: value >= constant, 0x45: value & constant != 0}
            at += yes if tests[operation] else no


ALLOWED, NOT_PERMITTED, NO_SUCH_CALL, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_decides_as_written(machine: str) -> None:
    column, audit = seccomp.ARCHITECTURES[machine]
    program = seccomp.build_filter(machine)
    for numbers in seccomp.REFUSED.values():
        if numbers[column] is not None:
            assert run_filter(program, audit, numbers[column]) == NOT_PERMITTED
    clone, mmap, network = seccomp.CLONE[column], seccomp.MMAP[column], seccomp.SOCKET[column]
    assert run_filter(program, audit, seccomp.CLONE3[column]) == NO_SUCH_CALL
    assert run_filter(program, audit, clone, 17) == ALLOWED
    assert run_filter(program, audit, clone, 0x003D0F00) == ALLOWED  # a thread, as the C library makes it
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert run_filter(program, audit, clone, flag | 17) == NOT_PERMITTED
    assert run_filter(program, audit, network, 1) == ALLOWED
    assert {run_filter(program, audit, network, family) for family in (2, 10, 16, 17, 38, 40)} == {NOT_PERMITTED}
    for flags, verdict in ((0x22, ALLOWED), (0x01, ALLOWED), (0x21, NOT_PERMITTED), (0x23, NOT_PERMITTED)):
        assert run_filter(program, audit, mmap, 0, 4096, 3, flags) == verdict
    assert run_filter(program, audit, 0xFFFF) == ALLOWED
    assert run_filter(program, audit ^ 1, 0xFFFF) == KILLED


def test_calls_by_the_x32_convention_are_killed() -> None:
    assert run_filter(seccomp.build_filter("x86_64"), 0xC000003E, 0x40000000 | 101) == KILLED


def test_other_machines_are_a_user_error() -> None:
    with pytest.raises(UserError, match="riscv64"):
        seccomp.build_filter("riscv64")


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_numbers_are_those_of_the_kernels_headers(header: str, column: int) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed")
    text = Path(header).read_text(encoding="ascii")
    numbers = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)\b", text)}
    ours = {**seccomp.REFUSED, "clone": seccomp.CLONE, "clone3": seccomp.CLONE3}
    ours |= {"socket": seccomp.SOCKET, "mmap": seccomp.MMAP}
    for name, pair in ours.items():
        assert numbers.get(name, pair[column]) == pair[column], name
    assert len(set(ours) & set(numbers)) > 50
