"""An index that is open. Safe for many threads: a lock stands around each question."""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import suppress
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from regfs.errors import LayerError
from regfs.layers.index.schema import VERSION, Meta, sealed
from regfs.layers.streams import Point, unpack
from regfs.layers.tree import LayerTree
from regfs.machine import boot

_POINT = "SELECT plain, stored, bits, window FROM point WHERE plain <= ? ORDER BY plain DESC LIMIT 1"

#: The extended attribute of an index that was found whole: in which run of the machine, and its time then.
_MARK = "user.regfs.whole"

#: KiB of memory for SQLite's pages: a point's row has 30 KiB at most, and a listing reads rows in a row. The
#: kernel has them as well; and some hundred connections are open, where images with many layers are read.
_PAGES = 256


class LayerIndex:
    """The index of one layer. It stays readable when its file is deleted.

    Two connections, because a `LayerTree` wants one for itself.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError, sqlite3.Error, and ValueError if it is of another version."""
        self._lock = Lock()
        self._connection = _connect(path)
        try:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise ValueError(f"version {version}")
            (row,) = self._connection.execute("SELECT * FROM meta").fetchall()
            self.meta = Meta(*row)._replace(verified=bool(row[-1]))
            #: The first entries that the tree cannot show, by the beginnings of their paths.
            self.left_out = [path for (path,) in self._connection.execute("SELECT path FROM left_out")]
            #: When it was made, in nanoseconds since 1970.
            self.made_ns = path.stat().st_mtime_ns
            connection = _connect(path)
            self.tree = LayerTree(connection)
            # It may be in use for longer than the layer is.
            weakref.finalize(self.tree, connection.close)
        except BaseException:
            self._connection.close()
            raise

    def point(self, offset: int) -> Point:
        """Give the last seek point at or before an offset of the tar. Raises LayerError."""
        try:
            with self._lock:
                rows = self._connection.execute(_POINT, (offset,)).fetchall()
            for plain, stored, bits, window in rows:
                return Point(plain, stored, bits, None if window is None else unpack(window))
        except (sqlite3.Error, LayerError) as error:
            raise LayerError(f"the index of the layer is damaged: {error}") from error
        raise LayerError("the index of the layer has no seek point")

    def close(self) -> None:
        """Close the file, but for the tree, which is closed when nobody holds it any more."""
        with self._lock:
            self._connection.close()


def open_index(path: Path) -> LayerIndex | None:
    """Open an index that is whole. None if there is none, or not a whole one of this version."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return LayerIndex(path) if _whole(descriptor) else None
    except (OSError, sqlite3.Error, ValueError):
        return None
    finally:
        os.close(descriptor)


def _whole(descriptor: int) -> bool:
    """Tell whether a file is as it was made. Raises OSError.

    A byte that is wrong would be a wrong byte in what is read of the layer. To look takes a millisecond for
    each of the file's megabytes, so one that was found whole is marked. It is looked at again when it was
    written to, or when the machine went down since: nothing has waited for the disk.
    """
    mark = f"{boot()} {os.fstat(descriptor).st_mtime_ns}".encode()
    with suppress(OSError):
        if os.getxattr(descriptor, _MARK) == mark:
            return True
    if not sealed(descriptor):
        return False
    with suppress(OSError):  # where there are no extended attributes, it is looked at each time
        os.setxattr(descriptor, _MARK, mark)
    return True


def _connect(path: Path) -> sqlite3.Connection:
    # immutable: SQLite neither locks the file nor looks for a journal beside it.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA cache_size = -{_PAGES}")
    return connection
