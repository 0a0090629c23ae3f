"""Building the index of a layer: one pass over its blob, into a file that did not exist. One thread calls."""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from contextlib import closing

from regfs.errors import LayerError, LayerLimitError, NoRoomError
from regfs.layers.index.pipeline import BlobSource, Pipeline
from regfs.layers.index.schema import SCHEMA, Meta, seal
from regfs.layers.streams import FIRST, Compression, Point, foreign, pack
from regfs.layers.tar import TarLimits, TarParser
from regfs.layers.tree import TreeWriter

#: KiB of memory for SQLite's pages.
_PAGES = 8 << 10

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def build_index(source: BlobSource, path: str) -> Meta:
    """Make the index of a blob at `path`, readable by its owner only; give what it says.

    Raises LayerError, StoreError, and NoRoomError if the file cannot be written. What was made until then
    stays: to remove it is the caller's.
    """
    try:
        descriptor = os.open(path, _NEW, 0o600)
    except OSError as error:
        raise NoRoomError(os.path.dirname(path), error.strerror or str(error)) from error
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            meta = _fill(connection, source)
        seal(descriptor)
    except (OSError, sqlite3.OperationalError) as error:
        # Only the file raises these: the store's are StoreErrors, and the statements are always the same.
        raise NoRoomError(os.path.dirname(path), str(error)) from error
    finally:
        os.close(descriptor)
    return meta


def _fill(connection: sqlite3.Connection, source: BlobSource) -> Meta:
    connection.execute(f"PRAGMA cache_size = -{_PAGES}")
    # Nobody reads the file until it is complete, and one that is not is thrown away.
    connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
    noted: deque[Point] = deque()
    pipeline = Pipeline(source, noted.append)
    parser, writer, points = TarParser(), TreeWriter(connection), _Points(connection)
    most = TarLimits().entries
    first = b""
    try:
        for piece in pipeline:
            first = first or piece[:FIRST]
            for entry in parser.feed(piece):
                writer.add(entry)
            if writer.nodes > most:
                raise LayerLimitError(f"more than {most} directories and files")
            while noted:
                points.add(noted.popleft())
        parser.finish()
    except LayerError as error:
        if parser.headers or not (name := foreign(first)):
            raise
        raise LayerError(f"it is no tar, but {name}") from error
    if not parser.headers and pipeline.more_than_zeros:
        raise LayerError(f"it is no tar, but {foreign(first) or 'begins with as many zeros as end one'}")
    while noted:
        points.add(noted.popleft())
    written = writer.finish()
    plain = pipeline.compression is Compression.NONE
    meta = Meta(
        source.size,
        pipeline.size,
        pipeline.diff_id,
        pipeline.compression.name,
        0 if plain else points.largest_gap(pipeline.size),
        written.nodes,
        written.skipped,
        pipeline.check(),
    )
    connection.executemany("INSERT INTO left_out VALUES (?)", [(path,) for path in written.left_out])
    connection.execute("INSERT INTO meta VALUES (?, ?, ?, ?, ?, ?, ?, ?)", meta)
    connection.execute("COMMIT")
    return meta


class _Points:
    """The seek points, on their way into their table."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._last = self._gap = 0

    def add(self, point: Point) -> None:
        """Keep the next point."""
        window = None if point.window is None else pack(point.window)
        self._connection.execute(
            "INSERT INTO point VALUES (?, ?, ?, ?)", (point.plain, point.stored, point.bits, window)
        )
        self._gap = max(self._gap, point.plain - self._last)
        self._last = point.plain

    def largest_gap(self, size: int) -> int:
        """Tell the most plain bytes between two points, or behind the last, of `size` in all."""
        return max(self._gap, size - self._last)
