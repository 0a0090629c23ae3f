"""What the views read with."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.update import Progress
from regfs.graph.reports.catalogue import Reports
from regfs.oci import Platform
from regfs.store import Contents, Store
from regfs.tree.scope import Scope


class Source(NamedTuple):
    """The graph's two halves, the reports over them, the store's contents; and the default platform."""

    graph: Graph
    references: ReferenceIndex
    reports: Reports
    contents: Contents
    platform: Platform

    def scope(self, repository: str) -> Scope:
        """Give what the nodes of one repository read with."""
        return Scope(self.graph, repository, self.platform)

    @classmethod
    def of(
        cls,
        store: Store,
        path: str,
        cache: Path | None,
        platform: Platform,
        *,
        ttl: float,
        progress: Progress = lambda what, done, total: None,
    ) -> Source:
        """Read the store at `path`, with answers at most `ttl` seconds old; the index is kept in `cache`."""
        contents = Contents(store)
        index = ReferenceIndex(store, path, cache, ttl=ttl, progress=progress)
        return cls(Graph(contents, ttl=ttl), index, Reports(index, contents), contents, platform)
