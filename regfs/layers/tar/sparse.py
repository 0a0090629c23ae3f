"""Sparse files: tars that hold a file's data without its holes, and a map of where the data belongs.

    old GNU        type `S`; four runs in the header block, 21 in each further block, before the data
    pax 0.0, 0.1   the map in the records of the pax header
    pax 1.0        the map as lines of decimal numbers in blocks at the head of the data

Source: the GNU tar manual, "Storing Sparse Files" and "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

from regfs.errors import LayerError, LayerLimitError
from regfs.layers.entry import Extent
from regfs.layers.tar.header import Header, number
from regfs.layers.tar.pax import decimal
from regfs.layers.tar.step import BLOCK, TarStep

#: The type of GNU's old form.
OLD_TYPE = b"S"

# In a header block: the runs, whether a further block follows, the file's size. In that, the first two.
_RUNS, _MORE, _REAL_SIZE = slice(386, 482), 482, slice(483, 495)
_FURTHER_RUNS, _FURTHER_MORE = slice(0, 504), 504

#: A run in those blocks: two numbers of 12 bytes.
_NUMBER, _RUN = 12, 24

#: The longest line of a map in the data: a sign and the digits of 64 bits.
_LINE = 20


class SparseRun(NamedTuple):
    """A part of the file that is stored: where in the file it begins, and its length in bytes."""

    start: int
    size: int


class SparseFile(NamedTuple):
    """What a map says: the file's size with its holes, its runs, and the bytes stored behind the map.

    `name` is the file's, if the name in the header only stands for it; else empty.
    """

    size: int
    runs: Sequence[SparseRun]
    stored: int
    name: bytes = b""


def read_map(
    header: Header, block: bytes, values: Mapping[bytes, bytes], limit: int
) -> Generator[TarStep, bytes, SparseFile | None]:
    """Read the map of a member whose header is `block`, with `values` from its pax header.

    None for a file that is not sparse, or of a version that nobody knows: Go's archive/tar takes it as it
    is stored. LayerLimitError for more than `limit` runs.
    """
    stored = header.size
    if header.type == OLD_TYPE:
        if not header.gnu:  # star has the letter too, and another map
            raise LayerError("a sparse file of a form that is not GNU tar's")
        runs = yield from _old_map(block, limit)
        return SparseFile(number(block[_REAL_SIZE]), runs, stored)
    version = values.get(b"GNU.sparse.major", b""), values.get(b"GNU.sparse.minor", b"")
    stored_map = values.get(b"GNU.sparse.map", b"")
    if version == (b"1", b"0"):
        runs, taken = yield from _map_in_data(stored, limit)
        stored -= taken
    elif version in ((b"0", b"0"), (b"0", b"1")) or (version == (b"", b"") and stored_map):
        runs = _paired([decimal(part) for part in stored_map.split(b",")] if stored_map else [], limit)
    else:
        return None
    real_size = values.get(b"GNU.sparse.size") or values.get(b"GNU.sparse.realsize")
    size = decimal(real_size) if real_size else header.size
    return SparseFile(size, runs, stored, values.get(b"GNU.sparse.name", b""))


def extents(file: SparseFile, offset: int) -> tuple[Extent, ...]:
    """Say where each run of a file lies in the tar, its data beginning at `offset`. Empty runs are left out.

    LayerError unless the runs are in order, apart, inside the file, and together all that is stored.
    """
    found: list[Extent] = []
    end, given = 0, 0
    for start, size in file.runs:
        if start < end or size < 0:
            raise LayerError("a sparse file's data is not in order")
        end = start + size
        if size:
            found.append(Extent(start, size, offset + given))
            given += size
    if end > file.size:
        raise LayerError(f"a sparse file of {file.size} bytes has data up to {end}")
    if given != file.stored:
        raise LayerError(f"a sparse file's map is of {given} bytes, {file.stored} are stored")
    return tuple(found)


def _old_map(block: bytes, limit: int) -> Generator[TarStep, bytes, list[SparseRun]]:
    """Read the map of old GNU form. A run without a start ends a block's list, not the map."""
    runs: list[SparseRun] = []
    table, more = block[_RUNS], block[_MORE]
    while True:
        for at in range(0, len(table), _RUN):
            if not table[at]:
                break
            middle = at + _NUMBER
            runs.append(SparseRun(number(table[at:middle]), number(table[middle : at + _RUN])))
        _check_count(len(runs), limit)
        if not more:
            return runs
        block = yield TarStep(0, BLOCK)
        table, more = block[_FURTHER_RUNS], block[_FURTHER_MORE]


def _map_in_data(stored: int, limit: int) -> Generator[TarStep, bytes, tuple[list[SparseRun], int]]:
    """Read the map of pax form 1.0: the number of runs, then their numbers. Gives its length in bytes too."""
    numbers: list[int] = []
    wanted, taken, rest = 1, 0, b""
    while len(numbers) < wanted:
        if taken + BLOCK > stored:
            raise LayerError("a sparse file's map is longer than what is stored of it")
        *lines, rest = (rest + (yield TarStep(0, BLOCK))).split(b"\n")
        taken += BLOCK
        for line in lines:
            numbers.append(decimal(line))
            if len(numbers) == 1:
                _check_count(numbers[0], limit)
                wanted += 2 * numbers[0]
            if len(numbers) == wanted:
                break
        if len(rest) > _LINE and len(numbers) < wanted:
            raise LayerError("a sparse file's map holds something that is no number")
    return _paired(numbers[1:], limit), taken


def _paired(numbers: Sequence[int], limit: int) -> list[SparseRun]:
    if len(numbers) % 2:
        raise LayerError("a sparse file's map ends in the middle of a run")
    _check_count(len(numbers) // 2, limit)
    return [SparseRun(start, size) for start, size in zip(numbers[::2], numbers[1::2], strict=True)]


def _check_count(count: int, limit: int) -> None:
    if count < 0:
        raise LayerError("a sparse file's map has a negative length")
    if count > limit:
        raise LayerLimitError(f"a sparse file of more than {limit} runs")
