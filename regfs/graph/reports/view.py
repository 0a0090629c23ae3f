"""Which rows and columns of a table a person asked for, and in which order.

What is not known comes last in every order, as it is neither much nor little, and is said to.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from regfs.errors import UsageError
from regfs.graph.index import Snapshot
from regfs.graph.index.blobs import digests_below
from regfs.graph.index.doubt import has_gaps
from regfs.graph.reports.rules import Pattern, Patterns
from regfs.graph.reports.table import MAIN, Cell, Column, Row, Table, Type
from regfs.graph.times import nanoseconds

#: What is sorted the largest first, or the newest: who asks for the order of these wants to see these.
_LARGEST_FIRST = (Type.NUMBER, Type.SIZE, Type.TIME, Type.AGE)


@dataclass(frozen=True)
class TableView:
    """What is asked of a table. Empty names and 0 ask for nothing."""

    columns: tuple[str, ...] = ()
    sort: str = ""
    reverse: bool = False
    top: int = 0
    match: tuple[Pattern, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything is asked for."""
        return self != TableView()


class ShownTable(NamedTuple):
    """A table as it was asked for, and what is to be said of it."""

    table: Table
    notes: list[str]


def see(table: Table, view: TableView) -> ShownTable:
    """Sort a table, take its first rows, and the columns that are asked for. Raises UsageError.

    What is left as it is keeps giving its rows as they come.
    """
    if view and table.facts is not None:
        table = table._replace(facts=None)
    notes: list[str] = []
    if view.sort:
        at = _find(table.columns, view.sort)
        rows, untold = _sorted(table.rows, at, table.columns[at], reverse=view.reverse)
        table = table._replace(rows=rows)
        if untold:
            notes.append(f"of {untold} {'row' if untold == 1 else 'rows'} {view.sort} is unknown; last here")
    elif view.reverse:
        table = table._replace(rows=list(table.rows)[::-1])
    if view.top:
        rows = list(table.rows)
        table = table._replace(rows=rows[: view.top])
        if len(rows) > view.top:
            notes.append(f"{view.top} of {len(rows)} rows")
    if view.columns:
        places = [_find(table.columns, name) for name in view.columns]
        shown = tuple(table.columns[at]._replace(rank=MAIN) for at in places)
        table = table._replace(columns=shown, rows=_parts(table.rows, places))
    return ShownTable(table, notes)


def _parts(rows: Iterable[Row], places: Sequence[int]) -> Iterable[Row]:
    return ([row[at] for at in places] for row in rows)


def _find(columns: Sequence[Column], name: str) -> int:
    """Find a column by its name. Raises UsageError."""
    names = [column.name for column in columns]
    if name in names:
        return names.index(name)
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]}?" if close else ","
    raise UsageError(f"no column {name!r}{hint} there are {', '.join(names)}")


def _sorted(rows: Iterable[Row], at: int, column: Column, *, reverse: bool) -> tuple[list[Row], int]:
    """Sort rows; give also how many have nothing to sort by, which come last whichever way."""
    told: list[tuple[int | str, Row]] = []
    untold: list[Row] = []
    for row in rows:
        key = _key(row[at], column.type)
        if key is None:
            untold.append(row)
        else:
            told.append((key, row))
    downwards = (column.type in _LARGEST_FIRST) != reverse
    told.sort(key=lambda pair: pair[0], reverse=downwards)
    return [row for _, row in told] + untold, len(untold)


def _key(cell: Cell, kind: Type) -> int | str | None:
    """Give what a cell is sorted by: within one column always numbers, or always texts."""
    if kind is Type.TIME:
        return nanoseconds(cell) if isinstance(cell, str) else cell if isinstance(cell, int) else None
    if isinstance(cell, tuple):
        return " ".join(map(str, cell))
    return cell


def matched(snapshot: Snapshot, table: Table, patterns: Sequence[Pattern]) -> ShownTable:
    """Give the rows about what the patterns fit: tags, untagged images, repositories, or their blobs.

    Raises UsageError for a table that is of none of these, and for tags where it is of repositories.
    """
    if not patterns:
        return ShownTable(table, [])
    fits = _chooser(snapshot, {column.name: at for at, column in enumerate(table.columns)}, patterns)
    notes = ["not everything could be read: there may be more that fits"] if has_gaps(snapshot) else []
    return ShownTable(table._replace(rows=(row for row in table.rows if fits(row))), notes)


def _chooser(snapshot: Snapshot, at: dict[str, int], patterns: Sequence[Pattern]) -> Callable[[Row], bool]:
    """Say which rows fit, by the columns that there are."""
    find = Patterns(patterns)
    image = at.get("image", at.get("digest"))
    if "tags" in at and image is not None:
        tags = at["tags"]
        return lambda row: any(_fits(find, *_parted(name), str(row[image])) for name in _list(row[tags]))
    if "repositories" in at and image is not None:
        needed = digests_below(snapshot, lambda *names: _fits(find, *names))
        return lambda row: row[image] in needed
    if "repository" in at and image is not None:
        repository, tag = at["repository"], at.get("tag")
        return lambda row: _fits(
            find, str(row[repository]), "" if tag is None else str(row[tag] or ""), str(row[image] or "")
        )
    if "repository" in at:
        if parts := [pattern for pattern in patterns if not pattern.whole]:
            raise UsageError(f"{parts[0].given}: this report is of whole repositories: give REPO:*")
        repository = at["repository"]
        return lambda row: find.whole(str(row[repository])) is not None
    raise UsageError("--match: this report tells of no tags, images or repositories")


def _fits(find: Patterns, repository: str, tag: str, digest: str) -> bool:
    """Tell whether a tag, or an image without one, is meant: by its name, or by its digest."""
    return bool(find.find(repository, tag, digest) or find.digest(repository, digest))


def _parted(name: str) -> tuple[str, str]:
    repository, _, tag = name.rpartition(":")
    return repository, tag


def _list(cell: Cell) -> list[str]:
    return list(map(str, cell)) if isinstance(cell, tuple) else []
