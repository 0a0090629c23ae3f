"""What the views read with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from regfs.graph import Graph
from regfs.later import Later
from regfs.oci import Platform
from regfs.tree.inside.opener import Opener
from regfs.tree.scope import Scope

if TYPE_CHECKING:
    from regfs.graph.index import ReferenceIndex
    from regfs.graph.reports.catalogue import Reports


class Source(NamedTuple):
    """The graph's two halves, the reports over them, the default platform, the layers.

    `registry`: see Scope.
    """

    graph: Graph
    references: Later[ReferenceIndex]
    reports: Later[Reports]
    platform: Platform
    opener: Opener
    registry: str = ""

    def scope(self, repository: str) -> Scope:
        """Give what the nodes of one repository read with."""
        return Scope(self.graph, repository, self.platform, self.opener, self.registry)
