"""The forms in which a person or a program reads a table.

Sizes are bytes, times ISO 8601 and ages seconds in csv and json; in a table for people they are readable.
`regfs/documents/FORMATS.md` tells what each report says in them.
"""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from regfs.graph.reports.lines import Lines
from regfs.graph.reports.table import Cell, Table, Value, exact, value

#: The first field of each object of json: another number says that one of its fields means something else, or
#: is gone. New fields may come at any time.
SCHEMA = 1


class Format(enum.Enum):
    """The forms. The values are what a person types."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"

    @property
    def for_people(self) -> bool:
        """Whether it is for people, and not for programs."""
        return self is Format.TABLE


def render(table: Table, form: Format) -> Iterator[str]:
    """Give a table's text, piece by piece; one for people as wide as it is."""
    if form is Format.TABLE:
        return iter(Lines(table))
    return {Format.CSV: _csv, Format.JSON: _json, Format.JSONL: _jsonl}[form](table)


def _csv(table: Table) -> Iterator[str]:
    def line(cells: Iterable[Cell]) -> str:
        text = io.StringIO()
        # Cells with what its own lines end with are quoted; before Python 3.13, a lone \r is not otherwise.
        csv.writer(text, lineterminator="\r\n").writerow(cells)
        return text.getvalue().removesuffix("\r\n") + "\n"

    yield line(column.name for column in table.columns)
    for row in table.rows:
        yield line(exact(cell, column.type) for cell, column in zip(row, table.columns, strict=True))


def _json(table: Table) -> Iterator[str]:
    if table.facts is not None:
        yield indented(table.facts)
        return
    yield "["
    between = "\n"
    for found in _objects(table):
        yield between + found
        between = ",\n"
    yield "\n]\n"


def _jsonl(table: Table) -> Iterator[str]:
    if table.facts is not None:
        yield encoded(table.facts) + "\n"
        return
    for found in _objects(table):
        yield found + "\n"


def _objects(table: Table) -> Iterator[str]:
    for row in table.rows:
        yield encoded(
            {column.name: value(cell, column.type) for cell, column in zip(row, table.columns, strict=True)}
        )


def encoded(facts: Mapping[str, Value]) -> str:
    """Write one object of json, with the version of its schema first, on one line."""
    return msgspec.json.encode({"schema": SCHEMA, **facts}).decode()


def indented(facts: Mapping[str, Value]) -> str:
    """Write one object of json, a field on each line."""
    return msgspec.json.format(encoded(facts), indent=2) + "\n"
