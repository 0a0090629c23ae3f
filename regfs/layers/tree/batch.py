"""The rows of a layer's tree on their way into the tables: written many at a time, found at once.

One thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

from regfs.layers.entry import EntryType, TarEntry
from regfs.layers.tree.paths import OPAQUE_WHITEOUT, WHITEOUT
from regfs.layers.tree.schema import IMPLIED, OPAQUE, WHITEOUTS

#: How many nodes or names wait until they are written, and how many bytes of attributes and extents.
_ROWS: Final = 2000
_BYTES: Final = 4 << 20

#: The memory of one extent that waits, about.
_EXTENT: Final = 128

_TYPES = tuple(EntryType)

#: What fits a column; what fits the kernel's uid_t, gid_t and dev_t.
_LARGEST: Final = (1 << 63) - 1
_32_BITS: Final = 0xFFFFFFFF

#: The attributes of a directory that no entry names: what container runtimes give it, but for the time.
IMPLIED_ENTRY: Final = TarEntry(b"", EntryType.DIRECTORY, 0o755, 0, 0, 0, 0)

#: A name: the directory's id, and the name in it.
Key = tuple[int, bytes]


class KnownNode(NamedTuple):
    """What a name stands for now."""

    id: int
    type: EntryType


class Batch:
    """Fills the tables. What was put last counts, whether it is written yet or not."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if not connection.in_transaction:
            connection.execute("BEGIN")
        self._nodes: list[tuple[int | bytes, ...]] = []
        self._names: dict[Key, KnownNode] = {}
        self._targets: dict[int, bytes] = {}
        self._traits: dict[int, int] = {}
        self._xattrs: dict[int, Mapping[bytes, bytes]] = {}
        self._extents: list[tuple[int, ...]] = []
        self._bytes = 0
        self._named = 0
        self._overwrote = False

    def find(self, key: Key) -> KnownNode | None:
        """Tell what a name stands for."""
        known = self._names.get(key)
        if known is None:
            row = self._connection.execute("SELECT node, type FROM name WHERE parent = ? AND name = ?", key)
            for node, kind in row:
                return KnownNode(node, _TYPES[kind])
        return known

    def target(self, node: int) -> bytes:
        """Tell what a symlink points to."""
        target = self._targets.get(node)
        if target is None:
            row = self._connection.execute("SELECT target FROM node WHERE id = ?", (node,)).fetchone()
            target = bytes(row[0])
        return target

    def put_name(self, key: Key, node: int, kind: EntryType) -> None:
        """Let a name stand for a node from now on."""
        if key in self._names:
            self._overwrote = True
        self._names[key] = KnownNode(node, kind)
        if len(self._names) >= _ROWS:
            self.flush()

    def note_whiteout(self, key: Key, *, implied: bool = False) -> None:
        """Take what a whiteout's name says of its directory. One that is only implied makes it not opaque."""
        parent, name = key
        if name.startswith(WHITEOUT):
            opaque = name == OPAQUE_WHITEOUT and not implied
            self._set_traits(parent, OPAQUE | WHITEOUTS if opaque else WHITEOUTS)

    def put_node(self, node: int, entry: TarEntry) -> None:
        """Set all of a node but its traits. The entry `fits`."""
        kind, size, target, extents = entry.type, entry.size, entry.target, entry.extents
        if kind is EntryType.SYMLINK:
            size = len(target)
            self._targets[node] = target
        major, minor = entry.device
        self._nodes.append(
            (
                node,
                int(kind),
                entry.mode & 0o7777,
                entry.uid & _32_BITS,
                entry.gid & _32_BITS,
                size,
                min(max(entry.mtime_ns, -_LARGEST), _LARGEST),
                target,
                major & _32_BITS,
                minor & _32_BITS,
                entry.offset,
                extents is not None,
            )
        )
        if entry.xattrs:
            self._xattrs[node] = entry.xattrs
            self._bytes += sum(map(len, entry.xattrs)) + sum(map(len, entry.xattrs.values()))
        if extents:
            self._extents += [(node, position, *extent) for position, extent in enumerate(extents)]
            self._bytes += _EXTENT * len(extents)
        if len(self._nodes) >= _ROWS or self._bytes >= _BYTES:
            self.flush()

    def put_implied(self, node: int, *, named: bool = False) -> None:
        """Set the attributes of a directory that no entry names; `named`: something else of its name was."""
        self.put_node(node, IMPLIED_ENTRY)
        if not named:
            self._set_traits(node, IMPLIED)

    def forget(self, node: int) -> None:
        """Drop what a directory's attributes were, before it gets others: it is implied no longer."""
        if self._traits.get(node, 0) & IMPLIED:
            self._traits[node] &= ~IMPLIED
        else:
            self._connection.execute(
                "UPDATE directory SET traits = traits & ? WHERE node = ?", (~IMPLIED, node)
            )
        if self._xattrs.pop(node, None) is None:
            self._connection.execute("DELETE FROM xattr WHERE node = ?", (node,))

    def _set_traits(self, node: int, traits: int) -> None:
        self._traits[node] = self._traits.get(node, 0) | traits

    def flush(self) -> None:
        """Write all that waits."""
        write = self._connection.executemany
        write("INSERT OR REPLACE INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)", self._nodes)
        write(
            "INSERT OR REPLACE INTO name VALUES (?, ?, ?, ?)",
            [(*key, node, int(kind)) for key, (node, kind) in self._names.items()],
        )
        write(
            "INSERT INTO directory VALUES (?, ?)"
            " ON CONFLICT (node) DO UPDATE SET traits = traits | excluded.traits",
            list(self._traits.items()),
        )
        write(
            "INSERT INTO xattr VALUES (?, ?, ?)",
            [(node, *xattr) for node, xattrs in self._xattrs.items() for xattr in xattrs.items()],
        )
        write("INSERT INTO extent VALUES (?, ?, ?, ?, ?)", self._extents)
        self._named += len(self._names)
        for waiting in (self._nodes, self._names, self._targets, self._traits, self._xattrs, self._extents):
            waiting.clear()
        self._bytes = 0

    def overwrote(self) -> bool:
        """Tell, when all is written, whether a name came to stand for another node than before."""
        (names,) = self._connection.execute("SELECT count(*) FROM name").fetchone()
        return self._overwrote or names < self._named


def fits(entry: TarEntry) -> bool:
    """Tell whether the numbers of an entry fit the tables."""
    return (
        0 <= entry.size <= _LARGEST
        and 0 <= entry.offset <= _LARGEST
        and all(0 <= number <= _LARGEST for extent in entry.extents or () for number in extent)
    )
