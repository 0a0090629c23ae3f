"""Connections that only read the index: any number at once, each on one state of it, waiting for nobody.

They are SQLite's readers of a file with a write-ahead log: a pass of this or of another process goes on
meanwhile, and what it commits is seen by the next transaction. The file is opened read-only, which leaves
temporary tables to a question that needs some.

Safe for many threads; a connection that was taken is its taker's alone.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from regfs.graph.index.schema import BOOT, VERSION
from regfs.machine import boot

#: Connections that are kept open while nobody uses them.
_IDLE = 4

#: KiB of memory for SQLite's pages, of each connection.
_PAGES = 4 << 10


class IndexFile(NamedTuple):
    """A file that an index is kept in; another one may come to stand under its name."""

    path: Path
    device: int
    inode: int

    @classmethod
    def at(cls, path: Path) -> IndexFile | None:
        """Give the file at a path; None if there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(path, found.st_dev, found.st_ino)


def cut_short(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell whether a file is smaller than it says, but for what its write-ahead log has."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    try:
        size = path.stat().st_size
    except OSError:
        return True
    with suppress(OSError):
        size += path.with_name(f"{path.name}-wal").stat().st_size
    return bool(size < pages * page)


class ReadConnections:
    """Connections to the file that is in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[IndexFile, sqlite3.Connection]] = []

    @contextmanager
    def one(self, file: IndexFile) -> Iterator[sqlite3.Connection | None]:
        """Give a connection in a transaction, which sees one state of the file and is rolled back at the end.

        None, where it cannot be had at once: the file is locked, of another version, damaged or gone, or no
        more files can be opened. What is asked may raise sqlite3.DatabaseError.
        """
        connection = self._take(file) or connect(file)
        if connection is None or not _begin(connection, file):
            yield None
            return
        try:
            yield connection
        except sqlite3.DatabaseError:
            connection.close()
            raise
        finally:
            self._give_back(file, connection)

    def _take(self, file: IndexFile) -> sqlite3.Connection | None:
        with self._lock:
            others = [connection for known, connection in self._idle if known != file]
            self._idle = [one for one in self._idle if one[0] == file]
            found = self._idle.pop()[1] if self._idle else None
        for connection in others:
            connection.close()
        return found

    def _give_back(self, file: IndexFile, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:  # closed, or fit for nothing else
            connection.close()
            return
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append((file, connection))
                return
        connection.close()

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()


def connect(file: IndexFile, pages: int = _PAGES) -> sqlite3.Connection | None:
    """Open a file that the writer has found whole since the machine was started; None where that fails."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(bytes(file.path))}?mode=ro",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error:
        return None
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        whole = connection.execute("SELECT 1 FROM meta WHERE key = ? AND value = ?", (BOOT, boot()))
        if version == VERSION and whole.fetchone() and IndexFile.at(file.path) == file:
            connection.execute(f"PRAGMA cache_size = -{pages}")
            return connection
    except sqlite3.Error:
        pass
    connection.close()
    return None


def _begin(connection: sqlite3.Connection, file: IndexFile) -> bool:
    """Begin a transaction: it sees what is there now, and nothing that is written later."""
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        if not cut_short(connection, file.path):
            return True
    except sqlite3.Error:
        pass
    connection.close()
    return False
