"""Every read of an open layer, and of a file in it, is the slice of what was packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from regfs.layers.builds import never
from regfs.layers.contents import LayerFileContent, TarContent
from regfs.layers.entry import Extent
from regfs.layers.index import SeekTable
from regfs.layers.streams import Compression, Point, Reader, transcode
from tests.streams import BytesSource, text


class BytesTar:
    """A tar in memory. It counts who has let go of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.released = 0

    def read_tar(self, buffer: memoryview, offset: int, given_up: Callable[[], bool]) -> int:
        part = self.content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def release(self) -> None:
        self.released += 1


class Sparse(NamedTuple):
    """A sparse file: what it is, and where it lies in a tar."""

    tar: bytes
    whole: bytes
    extents: list[Extent]


@st.composite
def sparse_files(draw: st.DrawFn) -> Sparse:
    """Runs in any order of the tar, some empty, with holes between, before and behind them."""
    parts = draw(st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=40)), max_size=12))
    whole, stored, extents = bytearray(), bytearray(b"header"), []
    for hole, data in parts:
        whole += bytes(hole)
        extents.append(Extent(len(whole), len(data), len(stored)))
        whole += data
        stored += data + b"\xaa" * draw(st.integers(0, 5))
    whole += bytes(draw(st.integers(0, 50)))
    return Sparse(bytes(stored), bytes(whole), draw(st.permutations(extents)))


@given(sparse_files(), st.lists(st.tuples(st.integers(0, 700), st.integers(0, 700)), max_size=10))
def test_a_sparse_file_is_its_runs_and_zeros(made: Sparse, reads: list[tuple[int, int]]) -> None:
    tar = BytesTar(made.tar)
    content = LayerFileContent(tar, len(made.whole), made.extents, never)
    for offset, size in [(0, len(made.whole) + 1), *reads]:
        buffer = bytearray(b"\xee" * (size + 1))
        got = content.read_into(memoryview(buffer)[:size], offset)
        assert bytes(buffer[:got]) == made.whole[offset : offset + size]
        assert bytes(buffer[got:]) == b"\xee" * (size + 1 - got)
    content.close()
    assert tar.released == 1


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 250))
def test_the_tar_is_read_as_it_is(tar: bytes, offset: int, size: int) -> None:
    buffer = bytearray(size)
    got = TarContent(BytesTar(tar), never).read_into(memoryview(buffer), offset)
    assert bytes(buffer[:got]) == tar[offset : offset + size]


@given(
    st.builds(text, st.integers(0, 20_000), st.integers(0, 1 << 32)),
    st.integers(1, 5000),
    st.lists(st.tuples(st.integers(0, 21_000), st.integers(0, 9000)), max_size=8),
)
def test_a_copy_is_read_by_its_seek_table(plain: bytes, frame: int, reads: list[tuple[int, int]]) -> None:
    written, table = bytearray(), SeekTable()
    transcode([plain], written.extend, table.note, frame=frame)
    copy = bytes(written) + table.encode(len(plain), len(written))
    read = SeekTable.read(BytesSource(copy), len(copy), len(plain))
    if plain:
        assert [read.point(at) for at in range(0, len(plain), frame)] == [
            table.point(at) for at in range(0, len(plain), frame)
        ]
        assert isinstance(read.point(0), Point)
    reader = Reader(BytesSource(copy), Compression.ZSTD, len(plain), read.point)
    for offset, size in reads:
        buffer = bytearray(size)
        got = reader.read_into(memoryview(buffer), offset)
        assert bytes(buffer[:got]) == plain[offset : offset + size]
    reader.close()
