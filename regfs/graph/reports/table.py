"""Tables: columns that say what stands in them, and rows.

How they are written: `formats`, `lines`; which rows and columns of them a person asked for: `view`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from regfs.graph.times import iso


class Type(enum.Enum):
    """What stands in a column. The values are how the document of the formats calls it."""

    TEXT = "text"
    #: A text of few words, some of which tell of damage.
    STATE = "word"
    NUMBER = "number"
    #: Bytes.
    SIZE = "bytes"
    #: Nanoseconds since 1970.
    TIME = "time"
    #: Nanoseconds that have passed.
    AGE = "seconds"
    #: A whole digest; a table shows the first digits.
    DIGEST = "digest"
    #: A tuple of texts, or of records.
    LIST = "list"
    #: True, False, or None for what is not known.
    TRUTH = "truth"


#: The ranks of columns: a table that is too wide is shown without those of `SPARE`, the last ones first;
#: those of `WIDE` are shown only where all are asked for.
MAIN, SPARE, WIDE = range(3)


class Column(NamedTuple):
    """A column's name, which csv and json use as it is, what stands in it, and what that means."""

    name: str
    type: Type = Type.TEXT
    help: str = ""
    rank: int = MAIN

    @property
    def to_the_right(self) -> bool:
        """Whether it is a column of amounts."""
        return self.type in (Type.NUMBER, Type.SIZE, Type.AGE)


class Record(msgspec.Struct, frozen=True):
    """A value of several fields, in a list; as text, one phrase."""


class AtLeast(int):
    """Bytes that may be more: a table for people says so, for programs another column does."""


Cell = str | int | None | tuple[str, ...] | tuple[Record, ...]
Row = Sequence[Cell]
#: What json has for a cell, or for a fact of `Table.facts`.
Value = str | int | float | bool | None | Sequence[object] | Mapping[str, object]


class Table(NamedTuple):
    """Columns, and rows of as many cells. `facts`: what json has in the rows' place, as one flat object."""

    columns: tuple[Column, ...]
    rows: Iterable[Row]
    facts: Mapping[str, Value] | None = None


def columns(*names: str, **types: Type) -> tuple[Column, ...]:
    """Make columns: names of text, and others with their type, in the order in which they are given."""
    return tuple(Column(name) for name in names) + tuple(Column(*pair) for pair in types.items())


def exact(cell: Cell, kind: Type) -> str | int | None:
    """Give a cell as csv has it: bytes, seconds, ISO 8601; what is not known is empty, or says so."""
    if kind is Type.TRUTH:
        return "unknown" if cell is None else "yes" if cell else "no"
    if isinstance(cell, tuple):
        return ("; " if cell and isinstance(cell[0], Record) else " ").join(map(str, cell))
    if isinstance(cell, int) and kind is Type.TIME:
        return iso(cell)
    if isinstance(cell, AtLeast):
        return int(cell)
    return cell // 1_000_000_000 if isinstance(cell, int) and kind is Type.AGE else cell


def value(cell: Cell, kind: Type) -> Value:
    """Give a cell as json has it: as `exact`, but truths and lists are such."""
    if kind is Type.TRUTH:
        return None if cell is None else bool(cell)
    if isinstance(cell, tuple):
        return [text(part) if isinstance(part, str) else msgspec.to_builtins(part) for part in cell]
    found = exact(cell, kind)
    return text(found) if isinstance(found, str) else found


def text(name: str) -> str:
    """Write what is no text, of a name that is no UTF-8, as standard output does for the other formats."""
    return name.encode("utf-8", "backslashreplace").decode()


def amount(size: int, *, at_least: bool) -> int:
    """Give bytes for a cell, which may be more."""
    return AtLeast(size) if at_least else size


def readable_size(size: int) -> str:
    """Give bytes as `du -h` does, but rounded to the nearest: 512, 4.0K, 17M, 1.2T."""
    amount, units = float(size), iter("BKMGTPE")
    unit = next(units)
    while amount >= 1023.5:
        amount /= 1024
        unit = next(units)
    if unit == "B":
        return str(size)
    return f"{amount:.1f}{unit}" if amount < 9.95 else f"{amount:.0f}{unit}"
