"""Makes a layer's tree from the entries of its tar, in their order.

    for entry in entries: writer.add(entry)
    writer.finish()

What a path means, where tars are odd, is what container runtimes make of it:

- A name given twice means the last one. A directory given again keeps what is in it. Anything else takes the
  place of what had the name, with all below it.
- A directory that no entry names is implied by what is below it; it may take a file's place so.
- Where the path to an entry's name leads over a symlink that this layer has at that time, the symlink is
  followed, with the layer's root as "/". containerd, Docker and containers/storage unpack a layer into a
  directory of its own and find the path in that (containerd by `fs.RootPath`, the others by chroot); umoci
  does so in the whole root file system (securejoin). The last name of a path is never followed.
- Only the last name of a path is a whiteout: `.wh.f/x` hides nothing, and makes a directory of that name.
- A hard link is a second name for what its path leads to in this layer at that time, whatever takes the
  first name's place later. If that is nothing or a directory, the link is kept as a node of its own with the
  path, and the merged tree looks for it in the layers below.

What no file system can show is left out, counted, and the first of it kept by name: a name over 255 bytes or
with a NUL, a path over 4095 bytes or in a circle of symlinks, a symlink to "", a root that is no directory,
numbers of more than 63 bits. A whiteout is left out only if what it hides could not be.

One writer, one thread. Memory does not grow with the layer: rows wait in batches, and what is known of the
directories is bounded, because the tables can be asked instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from regfs.layers.entry import EntryType, TarEntry
from regfs.layers.tree.batch import Batch, Key, fits
from regfs.layers.tree.directories import Directories
from regfs.layers.tree.paths import LONGEST_PATH, WHITEOUT, can_name, can_point, split
from regfs.layers.tree.schema import ROOT, ROOT_KEY
from regfs.layers.tree.sweeping import count_links, mark_emptied, sweep

#: The last names of a path that are no names.
_NO_NAMES = frozenset({b"", b".", b".."})


#: So many paths that cannot be shown are kept, and so many bytes of each.
_NAMED = 100
_NAMED_BYTES = 1000


class Written(NamedTuple):
    """What became of the entries: how many nodes the tree has, and how many entries it cannot show.

    `left_out` are the first of these, by the beginnings of their paths.
    """

    nodes: int
    skipped: int
    left_out: Sequence[bytes] = ()


class TreeWriter:
    """Fills the tables of `schema`, which must be there and empty.

    Begins a transaction if there is none; to commit it is the caller's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._batch = Batch(connection)
        self._directories = Directories(self._batch)
        self._linked = False
        self._skipped = 0
        self._left_out: list[bytes] = []
        self._whiteouts = False

    @property
    def nodes(self) -> int:
        """The nodes made until now, implied directories too: what a limit can be set to."""
        return self._directories.nodes

    def add(self, entry: TarEntry) -> None:
        """Add the next entry of the tar."""
        kind = entry.type
        key = self._key(entry) if fits(entry) else None
        if key is None:
            self._leave_out(entry.path)
            return
        if key[1].startswith(WHITEOUT):
            self._whiteouts = True
            self._batch.note_whiteout(key)
        if kind is EntryType.DIRECTORY:
            self._add_directory(key, entry)
        elif kind is EntryType.HARDLINK:
            self._add_link(key, entry)
        else:
            self._add_new(key, entry)

    def finish(self) -> Written:
        """Write what is left. Nothing can be added afterwards."""
        self._batch.flush()
        if self._batch.overwrote():
            sweep(self._connection)
        if self._linked:
            count_links(self._connection)
        if self._whiteouts:
            mark_emptied(self._connection)
        (nodes,) = self._connection.execute("SELECT count(*) FROM node").fetchone()
        return Written(nodes, self._skipped, tuple(self._left_out))

    def _leave_out(self, path: bytes) -> None:
        self._skipped += 1
        if len(self._left_out) < _NAMED:
            self._left_out.append(path[:_NAMED_BYTES])

    def _key(self, entry: TarEntry) -> Key | None:
        """Find the directory that an entry belongs in, made where there is none. None: it is left out."""
        if len(entry.path) > LONGEST_PATH + len(WHITEOUT) or not _can_link(entry):
            return None
        above, _, name = entry.path.rstrip(b"/").rpartition(b"/")
        if name in _NO_NAMES:
            names = split(entry.path)
            if not names:
                return ROOT_KEY if entry.type is EntryType.DIRECTORY else None
            *directories, name = names
            above = b"/".join(directories)
        too_long = len(entry.path) - len(WHITEOUT) * name.startswith(WHITEOUT) > LONGEST_PATH
        parent = self._directories.reach(above) if can_name(name) and not too_long else None
        return None if parent is None else (parent, name)

    def _add_directory(self, key: Key, entry: TarEntry) -> None:
        found = self._directories.find(key)
        if found is not None and found.type is EntryType.DIRECTORY:
            node = found.id
            self._batch.forget(node)
        else:
            node = self._directories.make(key)
        self._batch.put_node(node, entry)

    def _add_link(self, key: Key, entry: TarEntry) -> None:
        self._linked = True
        names = split(entry.target)
        steps = self._directories.walk(names[:-1]) if names else None
        if steps is None:
            self._add_new(key, entry._replace(target=b"/".join(names)))
            return
        above = steps[-1].id if steps else ROOT
        found = self._directories.find((above, names[-1])) if above is not None else None
        if found is None or found.type is EntryType.DIRECTORY:
            path = [*(step.name for step in steps), names[-1]]
            self._add_new(key, entry._replace(target=b"/".join(path)))
        else:
            self._put(key, found.id, found.type)

    def _add_new(self, key: Key, entry: TarEntry) -> None:
        node = self._directories.new_node()
        self._put(key, node, entry.type)
        self._batch.put_node(node, entry)

    def _put(self, key: Key, node: int, kind: EntryType) -> None:
        self._directories.forget(key)
        self._batch.put_name(key, node, kind)


def _can_link(entry: TarEntry) -> bool:
    if entry.type is EntryType.SYMLINK:
        return can_point(entry.target)
    return entry.type is not EntryType.HARDLINK or len(entry.target) <= LONGEST_PATH
