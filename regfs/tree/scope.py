"""What the nodes of one repository read with: no more than they need, and never the whole tree."""

from __future__ import annotations

from typing import NamedTuple

from regfs.graph import Graph
from regfs.oci import Platform
from regfs.tree.inside.opener import Opener


class Scope(NamedTuple):
    """The graph, the repository whose links count, and the platform that an index shows as its own.

    `opener` opens layers, for what is inside them. `registry` is the host that images are named after for
    other tools, HOST[:PORT] or empty.
    """

    graph: Graph
    repository: str
    platform: Platform
    opener: Opener
    registry: str = ""
