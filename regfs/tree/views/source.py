"""What the views read with."""

from __future__ import annotations

from typing import NamedTuple

from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.catalogue import Reports
from regfs.oci import Platform
from regfs.tree.inside import Opener
from regfs.tree.scope import Scope


class Source(NamedTuple):
    """The graph's two halves, the reports over them, the default platform, the layers.

    `registry`: see Scope.
    """

    graph: Graph
    references: ReferenceIndex
    reports: Reports
    platform: Platform
    opener: Opener
    registry: str = ""

    def scope(self, repository: str) -> Scope:
        """Give what the nodes of one repository read with."""
        return Scope(self.graph, repository, self.platform, self.opener, self.registry)
