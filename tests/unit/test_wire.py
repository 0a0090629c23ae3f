"""FUSE's structures, against what Linux's headers say of their sizes, and against any bytes at all."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.errors import BadRequestError
from regfs.mount.kernel import wire

ATTRIBUTES = wire.pack_attributes((7, 100, 1, 2, -1_500_000_000), (0o100444, 1, 2, 0, 4096))


@pytest.mark.parametrize(
    ("packed", "size"),
    [
        (ATTRIBUTES, 88),
        (wire.pack_entry(5, wire.pack_lifetimes(1.0, wire.FOREVER), ATTRIBUTES), 128),
        (wire.pack_no_entry(2.5), 128),
        (wire.pack_attr_out(1.0, ATTRIBUTES), 104),
        (wire.pack_open(1, wire.KEEP_CACHE), 16),
        (wire.pack_statfs((1, 2, 3, 4, 5), 4096, 255, 4096), 80),
        (wire.header(9, 100), 16),
        (wire.pack_offset(3), 8),
        (wire.pack_length(3), 8),
        (wire.pack_inval_inode(4), 40),
        (wire.pack_version(), 8),
        (wire.pack_init(wire.Agreed(45, wire.Flag(0), 1, 2, 3, 4096, 256, 1)), 64),
        (wire.pack_init(wire.Agreed(22, wire.Flag(0), 1, 2, 3, 4096, 0, 0)), 24),
    ],
)
def test_what_is_packed_has_the_size_that_the_kernel_wants(packed: bytes, size: int) -> None:
    assert len(packed) == size


def test_attributes_lie_where_the_kernel_reads_them() -> None:
    assert struct.unpack("<QQQqqqIIIIIIIIII", ATTRIBUTES) == (
        *(7, 100, 1, -2, -2, -2, 500_000_000, 500_000_000, 500_000_000),
        *(0o100444, 2, 1, 2, 0, 4096, 0),
    )


def test_flags_behind_the_32nd_are_read_only_where_the_kernel_says_that_there_are_some() -> None:
    body = struct.pack("<IIIII", 7, 40, 0, 1 << 30, 1 << 5).ljust(64, b"\0")
    assert wire.Flag.PASSTHROUGH in wire.read_init(memoryview(body)).flags
    body = struct.pack("<IIIII", 7, 40, 0, 0, 1 << 5).ljust(64, b"\0")
    assert wire.Flag.PASSTHROUGH not in wire.read_init(memoryview(body)).flags


READERS = [
    wire.read_request,
    wire.read_name,
    wire.read_init,
    wire.read_size_and_name,
    wire.read_u32,
    wire.read_u64,
    wire.read_read,
    wire.read_lseek,
    wire.read_forgets,
]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else_is_raised(raw: bytes) -> None:
    for read in READERS:
        try:
            read(memoryview(raw))
        except BadRequestError:
            continue


@given(st.integers(0, 2**32 - 1))
def test_a_count_that_does_not_fit_its_body_is_refused(count: int) -> None:
    body = memoryview(struct.pack("<II", count, 0) + bytes(160))
    if count <= 10:
        assert len(wire.read_forgets(body)) == count
    else:
        with pytest.raises(BadRequestError):
            wire.read_forgets(body)


@given(st.floats(0, 1e6), st.integers(1, 2**64 - 1))
def test_lifetimes_are_whole_seconds_and_nanoseconds(seconds: float, nodeid: int) -> None:
    found, _, entry, attr, entry_ns, attr_ns = struct.unpack_from(
        "<QQQQII", wire.pack_entry(nodeid, wire.pack_lifetimes(seconds, float("inf")), ATTRIBUTES)
    )
    assert found == nodeid
    assert entry + entry_ns / 1e9 == pytest.approx(seconds, abs=1e-6)
    assert (attr, attr_ns) == (wire.FOREVER, 0)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=30), st.integers(0, 2000), st.booleans())
def test_a_listing_never_takes_more_room_than_there_is(names: list[bytes], size: int, plus: bool) -> None:
    buffer = wire.ListingBuffer(size, 0, plus=plus)
    for name in names:
        if not buffer.reserve(name):
            break
        buffer.add(name, 1, 4)
    assert len(buffer.packed()) <= size
    assert len(buffer.packed()) % 8 == 0
