"""Tables, and the three forms in which a person or a program reads them.

Sizes are bytes, times ISO 8601 and ages seconds in csv and json; in a table for people they are readable.
"""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from regfs.errors import printable
from regfs.graph.times import iso


class Format(enum.Enum):
    """The forms. The values are what a person types."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Type(enum.Enum):
    """What stands in a column: text, a number, bytes; nanoseconds since 1970, or that have passed."""

    TEXT = "text"
    NUMBER = "number"
    SIZE = "size"
    TIME = "time"
    AGE = "age"


class Column(NamedTuple):
    """A column's name, which csv and json use as it is, and what stands in it."""

    name: str
    type: Type = Type.TEXT


Cell = str | int | None
Row = Sequence[Cell]


class Table(NamedTuple):
    """Columns, and rows of as many cells."""

    columns: tuple[Column, ...]
    rows: Iterable[Row]


def columns(*names: str, **types: Type) -> tuple[Column, ...]:
    """Make columns: names of text, and others with their type, in the order in which they are given."""
    return tuple(Column(name) for name in names) + tuple(Column(*pair) for pair in types.items())


def render(table: Table, form: Format) -> Iterator[str]:
    """Give a table's text, piece by piece."""
    return {Format.TABLE: _table, Format.CSV: _csv, Format.JSON: _json}[form](table)


def _table(table: Table) -> Iterator[str]:
    cells = [
        [_readable(cell, column.type) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    align = [
        "right" if column.type in (Type.NUMBER, Type.SIZE, Type.AGE) else "left" for column in table.columns
    ]
    headers = [column.name for column in table.columns]
    if not cells:
        yield "  ".join(headers) + "\n"
        return
    from tabulate import tabulate  # only now: csv and json do without

    text = tabulate(cells, headers, tablefmt="plain", disable_numparse=True, colalign=align)
    yield "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _csv(table: Table) -> Iterator[str]:
    def line(cells: Iterable[Cell]) -> str:
        text = io.StringIO()
        # Cells with what its own lines end with are quoted; before Python 3.13, a lone \r is not otherwise.
        csv.writer(text, lineterminator="\r\n").writerow(cells)
        return text.getvalue().removesuffix("\r\n") + "\n"

    yield line(column.name for column in table.columns)
    for row in table.rows:
        yield line(_exact(cell, column.type) for cell, column in zip(row, table.columns, strict=True))


def _json(table: Table) -> Iterator[str]:
    names = [column.name for column in table.columns]
    yield "["
    between = "\n"
    for row in table.rows:
        cells = [_text(_exact(cell, column.type)) for cell, column in zip(row, table.columns, strict=True)]
        yield between + msgspec.json.encode(dict(zip(names, cells, strict=True))).decode()
        between = ",\n"
    yield "\n]\n"


def _text(cell: Cell) -> Cell:
    """Write what is no text, of a name that is no UTF-8, as standard output does for the other formats."""
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else cell


def _exact(cell: Cell, kind: Type) -> Cell:
    if isinstance(cell, int) and kind is Type.TIME:
        return iso(cell)
    return cell // 1_000_000_000 if isinstance(cell, int) and kind is Type.AGE else cell


def _readable(cell: Cell, kind: Type) -> str:
    if cell is None:
        return ""
    if kind is Type.SIZE and isinstance(cell, int):
        return readable_size(cell)
    if kind is Type.AGE and isinstance(cell, int):
        hours = cell // 3_600_000_000_000
        return f"{hours // 24}d" if hours >= 48 else f"{hours}h"
    return printable(str(_exact(cell, kind)))


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
