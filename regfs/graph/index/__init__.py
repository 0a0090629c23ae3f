"""The graph's reverse half: which tags, revisions and repositories hold each blob, kept in a file.

`ReferenceIndex` brings it up to date and hands out a connection to ask it; `schema` draws its tables;
`update` is the pass over the store, `states` what follows from it; `database` is the file.
"""

from regfs.graph.index.reference_index import ReferenceIndex
from regfs.graph.index.schema import Doubt, State
from regfs.registry.findings import Finding, Kind, Reach
from regfs.registry.terms import Mark, Role

__all__ = ["Doubt", "Finding", "Kind", "Mark", "Reach", "ReferenceIndex", "Role", "State"]
