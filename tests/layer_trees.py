"""Trees of layers, in memory, made of the entries of a tar."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable

from regfs.layers.entry import TarEntry
from regfs.layers.tree import SCHEMA, LayerTree, TreeWriter, Written


def written(entries: Iterable[TarEntry]) -> tuple[LayerTree, Written]:
    """Write a tree, and open it; its connection is closed when nobody holds it any more."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(SCHEMA)
    writer = TreeWriter(connection)
    for entry in entries:
        writer.add(entry)
    told = writer.finish()
    connection.commit()
    nodes, links = connection.execute("SELECT count(*), sum(links) FROM node").fetchone()
    assert (nodes, (links,)) == (told.nodes, connection.execute("SELECT count(*) FROM name").fetchone())
    tree = LayerTree(connection)
    weakref.finalize(tree, connection.close)
    return tree, told


def tree_of(entries: Iterable[TarEntry]) -> LayerTree:
    """Write a tree."""
    return written(entries)[0]
