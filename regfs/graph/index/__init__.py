"""The graph's reverse half: which tags, revisions and repositories hold each blob, kept in a file.

`ReferenceIndex` brings it up to date and gives a `Snapshot`; what can be asked of that are the functions of
`tags`, `revisions`, `repositories`, `blobs`, `holders`, `uploads`, `findings`, `doubt` (gaps), `signatures`,
`weights`, `collector`, `garbage`, `hashes` and `contents`. No SQL and no connection leaves this package.

`schema` draws the tables; `update` is the pass over the store, `derived` what follows from it (`states`,
`doubt`, `collector`, `weights`, `links`, `hashes`); `database` is the file, `read_connections` who reads it.
"""

from typing import TYPE_CHECKING

from regfs.later import door
from regfs.registry.findings import Finding, Kind, Reach
from regfs.registry.terms import Mark, Role

if TYPE_CHECKING:
    from regfs.graph.index.derived import Need
    from regfs.graph.index.reference_index import ReferenceIndex
    from regfs.graph.index.schema import Doubt, State
    from regfs.graph.index.snapshot import Snapshot
else:
    __getattr__ = door(
        __name__,
        {
            "Doubt": "schema",
            "Need": "derived",
            "ReferenceIndex": "reference_index",
            "Snapshot": "snapshot",
            "State": "schema",
        },
    )

__all__ = ["Doubt", "Finding", "Kind", "Mark", "Need", "Reach", "ReferenceIndex", "Role", "Snapshot", "State"]
