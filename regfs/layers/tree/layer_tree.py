"""One layer's tree, as its tables say. Whiteouts are names like others here.

Safe for many threads: one connection, and a lock around each question. A question takes some microseconds,
so that threads hardly ever wait, and a connection for each thread would cost its own pages and descriptors.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import partial
from threading import Lock
from typing import NamedTuple

from regfs.errors import LayerError
from regfs.layers.entry import EntryType, Extent
from regfs.layers.tree.node import LayerNode, Member
from regfs.layers.tree.paths import WHITEOUT
from regfs.layers.tree.runs import NodeRuns, Row
from regfs.layers.tree.schema import ROOT_KEY

#: By their values. To ask the enum itself takes ten times as long.
_TYPES = tuple(EntryType)

_COLUMNS = """
node.id, node.type, mode, uid, gid, size, mtime_ns, target, major, minor, links, offset
"""

_ROWS = f"""
SELECT name, ifnull(traits, 0), {_COLUMNS}
FROM name CROSS JOIN node ON node.id = name.node LEFT JOIN directory ON directory.node = name.node
WHERE parent = ? AND name >= ? ORDER BY name LIMIT ?
"""

#: Makes a named tuple in half the time that its own constructor takes: a listing makes three for each name.
_new = tuple.__new__

#: SQLite's "no limit".
_ALL = -1

_MEMBERS = """
SELECT name, name.node, type, ifnull(traits, 0)
FROM name LEFT JOIN directory ON directory.node = name.node WHERE parent = ? ORDER BY name
"""

_NODE = f"SELECT {_COLUMNS} FROM node WHERE id = ?"

_CONTENT = "SELECT size, offset, sparse FROM node WHERE id = ?"

_EXTENTS = "SELECT start, size, offset FROM extent WHERE node = ? ORDER BY position"

_XATTRS = "SELECT name, value FROM xattr WHERE node = ? ORDER BY name"


#: All names that match but the root's; cast, for GLOB takes text.
_SEARCH = """
SELECT parent, name, name.node, type, ifnull(traits, 0)
FROM name LEFT JOIN directory ON directory.node = name.node
WHERE parent > 0 AND CAST(name AS TEXT) GLOB ?
"""

_DIRECTORIES = f"SELECT node, parent, name FROM name WHERE type = {int(EntryType.DIRECTORY)}"


class Hit(NamedTuple):
    """A name that was looked for: its path in the layer, and what stands there."""

    path: bytes
    node: int
    type: EntryType


class LayerTree:
    """Reads what `TreeWriter` wrote.

    The connection must allow other threads (`check_same_thread=False`); the tree is its only user. A layer's
    tree never changes once it is written, so its file can be opened with `mode=ro&immutable=1`, and SQLite
    neither locks it nor looks for a journal. Nothing is read before the first question.

    Every method may raise sqlite3.DatabaseError if the file is damaged.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        # No method of its own: in a cycle the tree, and its file, stay open until Python looks for those.
        self._read = partial(_read, connection)
        self._runs = NodeRuns(self._read)

    def root(self) -> Member:
        """Give the root, as a member of nothing. Its id is ROOT."""
        found = self.find(*ROOT_KEY)
        if found is None:
            raise LayerError("the tree of the layer has no root")
        return found

    def find(self, parent: int, name: bytes) -> Member | None:
        """Find a name in a directory."""
        with self._lock:
            row = self._runs.find(parent, name)
        return row and row.member

    def hides(self, parent: int, name: bytes) -> bool:
        """Tell whether a directory has a whiteout of a name. Only one with the trait WHITEOUTS has any."""
        whiteout = self.find(parent, WHITEOUT + name)
        return whiteout is not None and whiteout.hides

    def children(self, parent: int) -> list[Member]:
        """List a directory, in the order of the names' bytes."""
        with self._lock:
            rows = self._connection.execute(_MEMBERS, (parent,)).fetchall()
        return [Member(name, node, _TYPES[kind], traits) for name, node, kind, traits in rows]

    def listing(self, parent: int) -> list[Row]:
        """List a directory with what stands there, in the order of the names' bytes."""
        with self._lock:
            return self._read(parent, b"", _ALL)

    def node(self, node: int) -> LayerNode:
        """Read a node. Raises LayerError if there is none."""
        found = self._runs.found
        if found is not None and found.node.id == node:
            return found.node
        with self._lock:
            rows = self._connection.execute(_NODE, (node,)).fetchall()
        for row in rows:
            return _node(*row)
        raise LayerError(f"the tree of the layer has no node {node}")

    def extents(self, node: int) -> list[Extent]:
        """Tell where a file's content lies in the tar, in the order of the tar's map; zeros are between."""
        with self._lock:
            rows = self._connection.execute(_CONTENT, (node,)).fetchall()
            for size, offset, sparse in rows:
                if not sparse:
                    return [Extent(0, size, offset)] if size else []
            rows = self._connection.execute(_EXTENTS, (node,)).fetchall()
        return [Extent(*row) for row in rows]

    def xattrs(self, node: int) -> dict[bytes, bytes]:
        """Read a node's extended attributes."""
        with self._lock:
            return dict(self._connection.execute(_XATTRS, (node,)))

    def search(self, pattern: bytes) -> list[Hit]:
        """Find the names that match a pattern of fnmatch(3), all of this layer's, and their paths.

        A pattern with a slash is one of the whole path. Whiteouts match nothing.
        """
        whole = b"/" in pattern
        last = pattern.rpartition(b"/")[2]
        with self._lock:
            # What SQLite finds is looked at once more; where it has other rules, that finds all of it.
            wide = set(last) & set(b"[?") or not last.isascii()
            found = self._connection.execute(_SEARCH, ("*" if wide else last.decode(),)).fetchall()
            if not found:
                return []
            above = {node: (parent, name) for node, parent, name in self._connection.execute(_DIRECTORIES)}
        hits = []
        glob, whole_glob = (text.decode("utf-8", "surrogateescape") for text in (last, pattern.lstrip(b"/")))
        for parent, name, node, kind, traits in found:
            member = Member(name, node, _TYPES[kind], traits)
            if not member.shows or not (whole or fnmatchcase(name.decode("utf-8", "surrogateescape"), glob)):
                continue
            path = _path(above, parent, name)
            if not whole or fnmatchcase(path.decode("utf-8", "surrogateescape"), whole_glob):
                hits.append(Hit(path, node, member.type))
        return hits

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


def _read(connection: sqlite3.Connection, parent: int, name: bytes, most: int) -> list[Row]:
    """Read rows of a directory from a name on."""
    found = []
    for member, traits, *columns in connection.execute(_ROWS, (parent, name, most)).fetchall():
        node = _node(*columns)
        found.append(_new(Row, (_new(Member, (member, node.id, node.type, traits)), node)))
    return found


def _path(above: Mapping[int, tuple[int, bytes]], parent: int, name: bytes) -> bytes:
    """Give the path of a name, by where each directory is."""
    names = [name]
    while parent in above and (up := above[parent])[0]:
        names.append(up[1])
        parent = up[0]
    return b"/".join(reversed(names))


def _node(
    number: int,
    kind: int,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime_ns: int,
    target: bytes,
    major: int,
    minor: int,
    links: int,
    offset: int,
) -> LayerNode:
    """Make a node of _COLUMNS."""
    device = (major, minor)
    parts = (number, _TYPES[kind], mode, uid, gid, size, mtime_ns, target, device, links, offset)
    return _new(LayerNode, parts)
