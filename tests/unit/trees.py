"""The tree over a built store, and reading from it as a test wants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.catalogue import Reports
from regfs.later import Later
from regfs.layers import Layers
from regfs.oci import Platform
from regfs.registry import Contents, open_local
from regfs.storage import Content, Storage
from regfs.tree import Directory, File, Source, Tree
from regfs.tree.inside import Opener
from tests.builder import StoreBuilder


def tree_over(
    store: Storage,
    *,
    platform: str = "linux/amd64",
    registry: str = "",
    references: ReferenceIndex | None = None,
    partial: bool = False,
    **graph: object,
) -> Tree:
    contents = Contents(store)
    references = references or ReferenceIndex(store, "", None, ttl=0.0)
    forward = Graph(contents, **graph)  # type: ignore[arg-type]
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "regfs"
    return Tree(
        Source(
            forward,
            Later(lambda: references),
            Later(lambda: Reports(references, contents)),
            Platform.parse(platform),
            Opener(forward, Later(lambda: Layers(contents, cache)), partial=partial),
            registry,
        )
    )


@contextmanager
def opened_tree(built: StoreBuilder, *, ttl: float = 0.0, **options: object) -> Iterator[Tree]:
    """Open the tree of a built store; with no `ttl` given, every change shows at once."""
    local = open_local(str(built.v2))
    references = ReferenceIndex(local, "", None, ttl=0.0)
    try:
        yield tree_over(local, references=references, ttl=ttl, **options)  # type: ignore[arg-type]
    finally:
        references.close()
        local.close()


def content_bytes(content: Content, piece: int = 1 << 16) -> bytes:
    """Read content to its end, and close it."""
    found = bytearray()
    buffer = memoryview(bytearray(piece))
    try:
        while got := content.read_into(buffer, len(found)):
            found += buffer[:got]
    finally:
        content.close()
    return bytes(found)


def read(tree: Tree, path: str) -> bytes:
    node = tree.walk(path)
    assert isinstance(node, File), f"{path} is no file"
    return content_bytes(node.open())


def names(tree: Tree, path: str = "/") -> list[str]:
    node = tree.walk(path)
    assert isinstance(node, Directory), f"{path} is no directory"
    return [child.name for child in node.children()]
