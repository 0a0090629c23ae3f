"""`@reports/`: the reports as files: `summary.txt`, the lists as csv, and `report.html`, a page of all.

Each is made when it is first asked for its size or its bytes, and again when the index has changed.
`<name>.txt`, `.csv` and `.json` resolve for each, listed or not.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from regfs.errors import NoEntryError, NoRoomError
from regfs.graph.reports.catalogue import REPORTS
from regfs.graph.reports.formats import Format, render
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, File, Node, NodeType
from regfs.tree.views.source import Source

#: The page of HTML.
_PAGE = "report.html"

_FORMS = {"txt": Format.TABLE, "csv": Format.CSV, "json": Format.JSON, "jsonl": Format.JSONL}

#: Bytes of a report that are kept in memory; a longer one goes to a temporary file.
_IN_MEMORY = 1 << 20


class Made(NamedTuple):
    """A report's bytes, how many there are, and the time of the index that they tell of."""

    file: IO[bytes]
    lock: threading.Lock
    size: int
    when: int


class MadeReports:
    """The reports that were made, by name and form: one of each, the newest. Safe for many threads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made: dict[str, Made] = {}
        names = [_PAGE, *(f"{name}.{suffix}" for name in REPORTS for suffix in _FORMS)]
        self._locks = {name: threading.Lock() for name in names}

    def get(self, name: str) -> Made:
        """Give a report by its file's name, made anew if the index has changed."""
        with self._locks[name]:  # so that many who ask at once wait for one, and nobody for another report
            thorough, elsewhere = _made_from(name)
            when = self._source.references().changed(thorough=thorough, elsewhere=elsewhere)
            made = self._made.get(name)
            if made is None or made.when != when:
                made = self._made[name] = self._make(name, when)
            return made

    def _make(self, name: str, when: int) -> Made:
        # Not closed here: it lives as long as somebody reads it.
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        try:
            for piece in self._pieces(name):
                file.write(piece)
            file.flush()
        except OSError as error:
            raise NoRoomError(tempfile.gettempdir(), error.strerror or str(error)) from error
        return Made(file, threading.Lock(), file.tell(), when)

    def _pieces(self, name: str) -> Iterator[bytes]:
        if name == _PAGE:
            yield self._source.reports().page(self._source.registry)
            return
        report, _, suffix = name.partition(".")
        with self._source.reports().making(report) as table:
            for text in render(table, _FORMS[suffix]):
                yield text.encode("utf-8", "backslashreplace")


def _made_from(name: str) -> tuple[bool, bool]:
    """Tell whether a report is made from a thorough pass, and whether one is needed at all; see Report."""
    if name == _PAGE:
        return False, False
    report = REPORTS[name.partition(".")[0]]
    return report.thorough, report.elsewhere


class ReportContent:
    """The bytes of a report: of the one that was newest when it was opened."""

    def __init__(self, made: Made) -> None:
        self._made = made

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on."""
        with self._made.lock:
            self._made.file.seek(offset)
            piece = self._made.file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Let go of it."""


class ReportsDirectory(Directory):
    """`@reports`: one file for each report."""

    __slots__ = ("_made",)
    dear = True

    def __init__(self, made: MadeReports, number: int) -> None:
        super().__init__(number)
        self._made = made

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_directory(self.inode, 0)

    def children(self) -> Iterable[Child]:
        """List them, without making any."""
        for report in REPORTS:
            name = f"{report}.{'txt' if report == 'summary' else 'csv'}"
            yield Child(name, NodeType.FILE, inode.of_child(self.inode, name))
        yield Child(_PAGE, NodeType.FILE, inode.of_child(self.inode, _PAGE))

    def lookup(self, name: str) -> Node:
        """Find one of them, in any form."""
        report, _, suffix = name.partition(".")
        if name != _PAGE and (report not in REPORTS or suffix not in _FORMS):
            raise NoEntryError(name)
        return ReportFile(self._made, name, inode.of_child(self.inode, name))


class ReportFile(File):
    """One report, with the time of the index's last change."""

    __slots__ = ("_made", "_name")

    def __init__(self, made: MadeReports, name: str, number: int) -> None:
        super().__init__(number)
        self._made = made
        self._name = name

    @property
    def identity(self) -> str:
        """The name, and the time of the index that it tells of."""
        return f"{self._name} {self._made.get(self._name).when}"

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells; to know the size, the report is made."""
        made = self._made.get(self._name)
        return Attributes.of_computed(self.inode, made.size, made.when)

    def open(self) -> Content:
        """Give the bytes."""
        return ReportContent(self._made.get(self._name))
