"""What is fuzzed of words: the command line's sizes, ages, platforms and options, and tables of any text."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress

import click

from regfs.cli.checking import check
from regfs.cli.reclaiming import reclaim
from regfs.errors import OptionError
from regfs.graph.reports.formats import Format, render
from regfs.graph.reports.table import Table, Type, columns, readable_size
from regfs.mount.options import parse_options
from regfs.oci import Platform
from regfs.registry.findings import storable


def grammar(content: bytes) -> None:
    """Take bytes for each word of the command line that has a grammar of its own."""
    text = content.decode("utf-8", "surrogateescape")
    with suppress(OptionError):
        options = parse_options([text], uid=0, gid=0)
        assert options.ttl >= 0
        assert 0 <= options.uid < 1 << 32
        assert 0 <= options.umask <= 0o777
        assert options.cache_size >= 0
    with suppress(ValueError):
        platform = Platform.parse(text)
        assert Platform.parse(str(platform)) == platform
        assert platform.runs(platform) == 0 or platform.unknown
    with suppress(click.BadParameter):
        before = _value(reclaim, "before", text)
        assert isinstance(before, int)
    with suppress(click.BadParameter):
        rate = _value(check, "bandwidth", text)
        assert isinstance(rate, float)
        assert rate > 0


def _value(command: click.Command, parameter: str, text: str) -> object:
    """Give what a command makes of an option's text."""
    option = next(option for option in command.params if option.name == parameter)
    return option.process_value(click.Context(command), text)


def table(content: bytes) -> None:
    """Write a table of any text: csv and json give it back, and for people each row is one printable line."""
    cells = [storable(part.decode("utf-8", "surrogateescape")) for part in content.split(b"\t")]
    number = int.from_bytes(content[:7], "big", signed=True)
    shape = columns("first", "second", number=Type.NUMBER, size=Type.SIZE, time=Type.TIME)
    rows = [(cells[at], cells[at - 1] if at else None, number, abs(number), None) for at in range(len(cells))]
    csv_text, json_text, shown = (
        "".join(render(Table(shape, rows), form)) for form in (Format.CSV, Format.JSON, Format.TABLE)
    )
    for text in (csv_text, json_text, shown):
        text.encode()
    names = [column.name for column in shape]
    found = json.loads(json_text)
    assert [[row[name] for name in names] for row in found] == [list(row) for row in rows]
    if "\0" not in csv_text:  # Python's reader takes none before 3.11
        told = list(csv.reader(io.StringIO(csv_text, newline=""), strict=True))
        wanted = [["" if cell is None else str(cell) for cell in row] for row in rows]
        assert told == [names, *wanted]
    assert shown.count("\n") == len(rows) + 1
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(readable_size(abs(number))) <= 5
