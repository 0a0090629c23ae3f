"""A table as lines for people: readable sizes, short digests, no wider than the screen. Pure.

Where there is no room, times become dates, then columns go that are not the main ones (`Column.rank`), then
long texts go on in the lines below. rich's tables
do the same and take 1 ms a row: 4.8 s for 5,000 tags, where these take 0.15 to 0.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from regfs.errors import printable
from regfs.graph.reports.table import (
    MAIN,
    WIDE,
    AtLeast,
    Cell,
    Column,
    Record,
    Row,
    Table,
    Type,
    exact,
    readable_size,
)
from regfs.graph.times import iso, nanoseconds

#: Between two columns.
_GAP = "  "

#: Digits of a digest that a table shows, as Docker does, and parts of a list.
_DIGITS = 12
_PARTS = 2

#: What a column of several words gets before another column goes.
_COMFORTABLE = 32

#: No column of text is made narrower.
_NARROWEST = 8

#: Characters of a date, and what stands before its time.
_DATE = 10
_TO_THE_MINUTE = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\dZ\Z")

#: Where a word that is too long is folded: behind these.
_PARTS_OF_WORD = re.compile(r"[^/,:]+[/,:]*|[/,:]+")

#: The columns of text that may go on in the next line.
_FOLDED = (Type.TEXT, Type.LIST)

#: Words that tell of damage, and of what is not known.
_BAD = frozenset(
    {
        *("alarm", "damage", "broken", "no", "missing", "gone"),
        *(
            "missing there",
            "other size",
            "other content",
            "other content in STORE_A",
            "other content in both",
        ),
    }
)
_DOUBTFUL = frozenset({"unknown", "hazard", "not read", "stale"})

#: How a cell is to be shown: `head`, `bad`, `doubtful`.
Paint = Callable[[str, str], str]


class Screen(NamedTuple):
    """Where a table is shown: the characters of a line, None for any number, and what colours a text.

    `wide`: everything is shown, whole.
    """

    width: int | None = None
    paint: Paint | None = None
    wide: bool = False


#: As wide as the table is, without colours.
_ANY = Screen()


class Lines:
    """The lines of one table. All of it is in memory. `left_out` names the columns without room."""

    def __init__(self, table: Table, screen: Screen = _ANY) -> None:
        self._screen = screen
        self._all = table.columns
        self._rows = list(table.rows)
        shown = [at for at, column in enumerate(self._all) if screen.wide or column.rank < WIDE]
        self._texts = {at: self._column(at) for at in shown}
        self._widths = {at: self._width_of(at) for at in shown}
        self._places = shown
        if screen.width is not None and not screen.wide:
            self._make_room(screen.width)
        self.left_out = [self._all[at].name for at in shown if at not in self._places]

    def _column(self, at: int) -> list[str]:
        return [readable(row[at], self._all[at], wide=self._screen.wide) for row in self._rows]

    def _width_of(self, at: int) -> int:
        return max(_width(self._all[at].name), max(map(_width, self._texts[at]), default=0))

    def _total(self) -> int:
        return sum(self._widths[at] for at in self._places) + len(_GAP) * (len(self._places) - 1)

    def _make_room(self, width: int) -> None:
        """Fit the columns into a line; see above."""
        whole = dict(self._widths)
        times = [at for at in self._places if self._all[at].type is Type.TIME and whole[at] > _DATE]
        short = {at: max(_DATE, _width(self._all[at].name)) for at in times}
        prose = {at: min(whole[at], _COMFORTABLE) for at in self._places if self._is_prose(at)}
        self._widths = {**whole, **short, **prose}
        while self._total() > width:
            spare = [at for at in self._places if self._all[at].rank > MAIN]
            if not spare:
                break
            gone = max(spare, key=lambda at: (self._all[at].rank, at))
            self._places = [at for at in self._places if at != gone]
        self._widths = {**whole, **prose}
        if self._total() > width:
            self._widths |= short
            for at in times:
                self._texts[at] = [_TO_THE_MINUTE.sub(r"\1", text) for text in self._texts[at]]
        for at in prose:
            self._widths[at] = min(whole[at], prose[at] + max(width - self._total(), 0))
        self._shrink(width)

    def _is_prose(self, at: int) -> bool:
        return self._all[at].type in _FOLDED and any(" " in text for text in self._texts[at])

    def _shrink(self, width: int) -> None:
        """Make the widest columns of text narrower, until all fits or none can be."""
        while (over := self._total() - width) > 0:
            folded = [
                at for at in self._places if self._all[at].type in _FOLDED and self._widths[at] > _NARROWEST
            ]
            if not folded:
                return
            widest = max(folded, key=lambda at: (self._widths[at], at))
            now = self._widths[widest]
            # As far as the next widest at once: else the loop took a step for each character.
            next_widest = max((self._widths[at] for at in folded if at != widest), default=0)
            self._widths[widest] = max(now - over, min(next_widest, now - 1), _NARROWEST)

    def __iter__(self) -> Iterator[str]:
        """Give the lines, each with its end."""
        names = [self._all[at].name for at in self._places]
        yield from self._folded(names, ["head"] * len(names))
        for number, row in enumerate(self._rows):
            texts = [self._texts[at][number] for at in self._places]
            yield from self._folded(texts, self._styles(row) if self._screen.paint else [])

    def _styles(self, row: Row) -> list[str]:
        """Tell how each cell is to be shown; a word beside a count of 0 tells of nothing."""
        if any(row[at] == 0 for at in self._places if self._all[at].name == "count"):
            return [""] * len(self._places)
        return [_style(row[at], self._all[at]) for at in self._places]

    def _folded(self, texts: Sequence[str], styles: Sequence[str]) -> Iterator[str]:
        parts = [_fold(text, self._widths[at]) for text, at in zip(texts, self._places, strict=True)]
        for number in range(max(map(len, parts), default=0)):
            yield self._line([part[number] if number < len(part) else "" for part in parts], styles)

    def _line(self, texts: Sequence[str], styles: Sequence[str]) -> str:
        last = max((at for at, text in enumerate(texts) if text), default=-1)
        cells = []
        for number, text in enumerate(texts[: last + 1]):
            at = self._places[number]
            room = " " * (self._widths[at] - _width(text))
            style = styles[number] if styles else ""
            shown = self._screen.paint(text, style) if self._screen.paint and style and text else text
            if self._all[at].to_the_right:
                cells.append(room + shown)
            else:
                cells.append(shown if number == last else shown + room)
        return _GAP.join(cells) + "\n"


def readable(cell: Cell, column: Column, *, wide: bool = False) -> str:
    """Give a cell for people, as one printable line. `wide`: digests, lists and times are whole."""
    kind = column.type
    if kind is Type.TRUTH:
        return str(exact(cell, kind))
    if cell is None:
        return ""
    if kind is Type.SIZE and isinstance(cell, int):
        return f"≥{readable_size(cell)}" if isinstance(cell, AtLeast) else readable_size(cell)
    if kind is Type.AGE and isinstance(cell, int):
        hours = cell // 3_600_000_000_000
        return f"{hours // 24}d" if hours >= 48 else f"{hours}h"
    if kind is Type.TIME and not wide:
        return printable(_minutes(cell))
    if kind is Type.DIGEST and not wide:
        algorithm, colon, digits = printable(str(cell)).rpartition(":")
        return ("" if algorithm == "sha256" else algorithm + colon) + digits[:_DIGITS]
    if isinstance(cell, tuple) and not wide and len(cell) > _PARTS + 1:
        between = "; " if isinstance(cell[0], Record) else " "
        return printable(between.join(map(str, cell[:_PARTS]))) + f"{between}+{len(cell) - _PARTS} more"
    return printable(str(exact(cell, kind)))


def _minutes(moment: Cell) -> str:
    """Give a time without its seconds: 2026-11-23T18:42Z. A text that is no time stays as it is."""
    found = nanoseconds(moment) if isinstance(moment, str) else moment
    if not isinstance(found, int):
        return str(moment)
    said = iso(found)
    return said if said.startswith("@") else f"{said[:-4]}Z"


def _style(cell: Cell, column: Column) -> str:
    if column.type not in (Type.STATE, Type.TRUTH):
        return ""
    word = exact(cell, column.type)
    return "bad" if word in _BAD else "doubtful" if word in _DOUBTFUL else ""


def _width(text: str) -> int:
    """Give the places that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _fold(text: str, width: int) -> list[str]:
    """Part a text into lines of at most so many places: between words, else in a path, else anywhere."""
    if _width(text) <= width:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        parts = [word] if _width(word) <= width else _PARTS_OF_WORD.findall(word)
        for number, part in enumerate(parts):
            between = " " if line and number == 0 else ""
            if line and _width(line + between + part) > width:
                lines.append(line)
                line = between = ""
            while len(part) > width:
                lines.append(part[:width])
                part = part[width:]
            line += between + part
    return [*lines, line] if line else lines
