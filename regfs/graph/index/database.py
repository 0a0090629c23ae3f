"""The file that the index is kept in: where it lies, who may write it, and what happens when it cannot be.

    <cache directory>/graph-<version>/<key of the store>/
        current           the name of the file in use
        <random>.sqlite   it
        lock              held while the index is brought up to date, by one process at a time

A new index is built under a name of its own and published by renaming `current`: whoever has the old one
open reads on in it. A damaged file, or one of another version, is thrown away. Where nothing can be kept (no
room, no permission), the index is a temporary file of SQLite's, gone with the process.

On a network each machine has a directory of its own there: the write-ahead log that lets readers wait for
nobody is right for the processes of one machine only (sqlite.org/wal.html).

Nothing waits for the disk: a process that is killed loses nothing by that, and after the whole machine went
down SQLite checks the file before it is believed.

One connection writes, used by one thread at a time: the caller holds the lock. Readers have connections of
their own (read_connections.py), and wait for no lock; where nothing is kept there are none.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from regfs.errors import IndexFileError
from regfs.graph.index.read_connections import IndexFile, ReadConnections, cut_short
from regfs.graph.index.schema import BOOT, SCHEMA, VERSION
from regfs.machine import boot, can_open, host, make_private, on_network

_log = logging.getLogger(__name__)

#: KiB of memory for SQLite's pages. With three or eight times as many nothing took less time.
_PAGES = 8 << 10

#: Where the indexes lie, below the cache directory: those of another version have a directory of their own,
#: or two versions that are used by turns would build each other's anew for ever. Before that had a number, it
#: was "graph".
BELOW_CACHE = f"graph-{VERSION}"
_ANY_VERSION = "graph*"

#: Seconds to wait for another process's short lock.
_PATIENCE = 60.0

#: What makes the file itself unusable, as against a fault in asking it. SQLITE_FULL, _IOERR, _CANTOPEN,
#: _READONLY: nothing can be kept there; _CORRUPT, _NOTADB: it is damaged. (sqlite.org/rescode.html)
_NO_ROOM = frozenset({8, 10, 13, 14})
_DAMAGED = frozenset({11, 26})


class Database:
    """The index file of one store, found or made below `cache`; None keeps nothing.

    A store of which symlinks are followed is another one.
    """

    def __init__(self, cache: Path | None, store: str, *, follow_symlinks: bool = False) -> None:
        self._cache = cache
        self._key = _key(store, _sharer(cache), follow_symlinks=follow_symlinks)
        self._directory = cache and cache / BELOW_CACHE / self._key
        self._store = store
        self._follow_symlinks = follow_symlinks
        self._connection: sqlite3.Connection | None = None
        self._name = ""
        self._file: IndexFile | None = None
        self._readers = ReadConnections()

    @property
    def in_use(self) -> IndexFile | None:
        """The file that all processes use; None if there is none, or nothing is kept."""
        directory = self._directory
        current = self._current()
        return IndexFile.at(directory / current) if directory is not None and current else None

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection | None]:
        """Give a connection that only reads, and sees one state of the index; waits for nobody.

        None, where there is none to be had at once: nothing is kept, or the file is new, locked, of another
        version, damaged or gone. What is asked may raise sqlite3.DatabaseError; see `recover`.
        """
        file = self.in_use
        if file is None:
            yield None
            return
        with self._readers.one(file) as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Open the index in use, or an empty one, in a transaction: all that is written counts, or nothing.

        Waits for other processes that do the same. Within another one it is a part of that. May raise
        sqlite3.DatabaseError; see `recover`.
        """
        if self._connection is not None and self._connection.in_transaction:
            yield self._connection
            return
        with self._locked(), self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the index in a transaction, under the lock, and publish a new one."""
        connection = self._open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
            self._publish(connection)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if self._directory is not None and self._name != self._current():
                self.close()
            raise

    def recover(self, error: sqlite3.DatabaseError) -> bool:
        """After an error in the file: throw it away, and tell whether to try again on an empty one.

        Raises IndexFileError if the file is not at fault.
        """
        code = getattr(error, "sqlite_errorcode", None)
        number = code & 0xFF if code is not None else _guess(error)
        if number not in _NO_ROOM | _DAMAGED:
            return False
        self.close()
        _see_descriptors()
        if number in _NO_ROOM:
            if self._directory is None:
                return False
            self._give_up(str(error))
        else:
            _log.warning("the index %s is damaged (%s); it is built anew", self._directory, error)
            self._forget()
        return True

    def close(self) -> None:
        """Close the file. A file that was never published goes away."""
        # The last to close removes the log, if it may write, and has opened it.
        self._readers.close()
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
            self._connection.close()
            self._connection = None
        if self._directory is not None and self._name and self._name != self._current():
            with suppress(OSError):
                for path in self._directory.glob(f"{self._name}*"):
                    path.unlink(missing_ok=True)
        self._name = ""
        self._file = None

    def _give_up(self, reason: str) -> None:
        _log.warning("no index can be kept in %s: %s. It is made anew each time", self._directory, reason)
        self._directory = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = -1
        if self._directory is not None:
            try:
                descriptor = _open_lock(self._directory)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                self.close()
                if descriptor < 0:
                    _see_descriptors()
                self._give_up(error.strerror or str(error))
        try:
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _open(self) -> sqlite3.Connection:
        """See that the connection is to the index in use, or to an empty new one."""
        current = self._current()
        if self._connection is not None and self._is_in_use(self._connection):
            return self._connection
        self.close()
        if self._directory is None:
            self._connection = _connect("")
            self._connection.executescript(SCHEMA)
        elif current and (found := self._open_current(self._directory / current)):
            self._connection, self._name, self._file = found, current, self.in_use
        else:
            self._sweep(self._directory)
            self._name = f"{os.urandom(8).hex()}.sqlite"
            self._connection = _connect(str(self._directory / self._name))
            # Until it is published nobody reads it, and what a crash leaves is swept away.
            self._connection.executescript(f"PRAGMA journal_mode = OFF; {SCHEMA}")
            self._connection.execute("REPLACE INTO meta VALUES (?, ?)", (BOOT, boot()))
            self._carry_over(self._connection)
            self._file = IndexFile.at(self._directory / self._name)
        return self._connection

    def _carry_over(self, connection: sqlite3.Connection) -> None:
        """Take over from the index of another version what took days to find out; it is left where it is."""
        for path in self._others():
            _log.info("the index of another regfs is left in %s; a new one is built", path.parent)
            uri = f"file:{quote(bytes(path))}?mode=ro"
            with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as old:
                rows = old.execute("SELECT digest, size, stored, found FROM hashed").fetchall()
                connection.executemany("REPLACE INTO hashed VALUES (?, ?, ?, ?)", rows)
                return

    def _others(self) -> list[Path]:
        """Give the files in use of other versions, the newest first."""
        found = []
        with suppress(OSError):
            for above in self._cache.glob(f"{_ANY_VERSION}/{self._key}") if self._cache else ():
                with suppress(OSError, UnicodeDecodeError):
                    path = above / (above / "current").read_text()
                    if above != self._directory:
                        found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found, reverse=True)]

    def _is_in_use(self, connection: sqlite3.Connection) -> bool:
        if self._directory is None:
            return not self._name
        file = self.in_use
        return file is not None and self._file == file and _is_whole(connection, file.path)

    def _open_current(self, path: Path) -> sqlite3.Connection | None:
        try:
            path.stat()  # SQLite would make one
            connection = _connect(str(path))
        except (OSError, sqlite3.Error):
            return None
        try:
            if _is_whole(connection, path) and _survived(connection):
                return connection
            _log.info("the index %s is of another version or cut short; it is built anew", path)
        except sqlite3.DatabaseError as error:
            _log.warning("the index %s is damaged (%s); it is built anew", path, error)
        connection.close()
        return None

    def _can_be_used(self) -> bool:
        """Tell whether the file in use can be opened, and is whole."""
        file = self.in_use
        connection = file and self._open_current(file.path)
        if connection is not None:
            connection.close()
        return connection is not None

    def _publish(self, connection: sqlite3.Connection) -> None:
        if self._directory is None or self._name == self._current():
            return
        connection.execute("PRAGMA journal_mode = WAL")
        waiting = self._directory / f"{self._name}.current"
        try:
            waiting.write_text(self._name)
            waiting.replace(self._directory / "current")
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to open: {error}") from error
        self._sweep(self._directory)

    def _current(self) -> str:
        """Name the file in use; "" if there is none, or nothing is kept."""
        if self._directory is None:
            return ""
        try:
            name = (self._directory / "current").read_text()
        except (OSError, UnicodeDecodeError):
            return ""
        return name if name.endswith(".sqlite") and "/" not in name else ""

    @contextmanager
    def keeping(self) -> Iterator[sqlite3.Connection | None]:
        """Give the index to write single facts into: all that is written counts, or nothing.

        None where another one writes just now, or nothing can be kept. May raise OSError, sqlite3.Error.
        """
        if self._directory is None:
            yield None
            return
        descriptor = _open_lock(self._directory)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            yield None
            return
        # A connection of its own: the other one may be at work in another thread.
        own = Database(self._cache, self._store, follow_symlinks=self._follow_symlinks)
        try:
            if own._current() and not own._can_be_used():
                yield None  # it is for a pass to build it anew
                return
            with own._transaction() as connection:
                yield connection
        finally:
            own.close()
            os.close(descriptor)

    def _forget(self) -> None:
        if self._directory is not None:
            (self._directory / "current").unlink(missing_ok=True)

    def _sweep(self, directory: Path) -> None:
        """Remove what earlier indexes and crashes left; called under the lock."""
        keep = self._current()
        try:
            paths = list(directory.iterdir())
        except OSError:
            return
        for path in paths:
            if ".sqlite" in path.name and not (keep and path.name.startswith(keep)):
                with suppress(OSError):
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        import shutil  # only now: it loads several libraries, and nothing of regfs's is a directory

        shutil.rmtree(path)
    else:
        path.unlink()


def _open_lock(directory: Path) -> int:
    """Open the file that writers lock, in a directory that is made for it. Raises OSError."""
    make_private(directory)
    return os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _connect(path: str) -> sqlite3.Connection:
    # isolation_level None: transactions begin and end where they are written, not where Python guesses.
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{_PAGES}")
        connection.execute("PRAGMA synchronous = OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _is_whole(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell whether a file is of this version, and not cut short."""
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return version == VERSION and not cut_short(connection, path)
    except sqlite3.DatabaseError as error:
        _log.warning("the index %s is damaged (%s)", path, error)
        return False


def _survived(connection: sqlite3.Connection) -> bool:
    """Tell whether an index is whole, if the machine has gone down since it was made."""
    run = boot()
    if connection.execute("SELECT 1 FROM meta WHERE key = ? AND value = ?", (BOOT, run)).fetchone():
        return True
    if connection.execute("PRAGMA quick_check (1)").fetchone() != ("ok",):
        return False
    connection.execute("REPLACE INTO meta VALUES (?, ?)", (BOOT, run))
    return True


def _see_descriptors() -> None:
    """Raise IndexFileError if this process can open no more files: the directory is not at fault then."""
    if not can_open(1):
        raise IndexFileError(os.strerror(errno.EMFILE))


def _guess(error: sqlite3.DatabaseError) -> int:
    """Tell the kind of an error before Python 3.11, which gives no number."""
    text = str(error)
    if "full" in text:
        return 13
    if "disk I/O" in text or "unable to open" in text or "readonly" in text:
        return 10
    return 11 if "malformed" in text or "not a database" in text or "corrupt" in text else 0


@functools.cache
def _sharer(cache: Path | None) -> str:
    """Name this machine, where others may use the same cache directory; asked once for each directory."""
    return host() if cache is not None and on_network(str(cache)) else ""


def _key(store: str, here: str, *, follow_symlinks: bool) -> str:
    kind = b"follow_symlinks" if follow_symlinks else b""
    name = os.fsencode(store) + (b"\0" + os.fsencode(here) if here else b"")
    return hashlib.blake2b(name, digest_size=12, person=kind).hexdigest()
