"""What the views read with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from regfs.graph import Graph
from regfs.graph.ahead import AheadGraph
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.update import Progress
from regfs.graph.pace import Pace
from regfs.graph.reports.catalogue import Reports
from regfs.layers import Layers, never
from regfs.machine import on_network
from regfs.oci import Platform
from regfs.registry import Contents
from regfs.storage import Storage
from regfs.tree.inside import Opener
from regfs.tree.scope import Scope


class Source(NamedTuple):
    """The graph's two halves, the reports over them, the contents, the default platform, the layers.

    `registry`: see Scope.
    """

    graph: Graph
    references: ReferenceIndex
    reports: Reports
    contents: Contents
    platform: Platform
    opener: Opener
    registry: str = ""

    def scope(self, repository: str) -> Scope:
        """Give what the nodes of one repository read with."""
        return Scope(self.graph, repository, self.platform, self.opener, self.registry)

    @classmethod
    def of(
        cls,
        store: Storage,
        path: str,
        cache: Path,
        platform: Platform,
        *,
        ttl: float,
        progress: Progress = lambda what, done, total: None,
        layers: Layers,
        given_up: Callable[[], bool] = never,
        registry: str = "",
    ) -> Source:
        """Read the store at `path`, with answers at most `ttl` seconds old.

        The index of the store is kept in `cache`. `given_up`: see Opener.
        """
        contents = Contents(store)
        graph = (
            AheadGraph(contents, ttl=ttl, given_up=given_up, pace=Pace(network=on_network(path)))
            if ttl > 0
            else Graph(contents, ttl=ttl)
        )
        index = ReferenceIndex(store, path, cache, ttl=ttl, progress=progress)
        opener = Opener(graph, layers, given_up)
        return cls(graph, index, Reports(index, contents), contents, platform, opener, registry)
