"""The storage of a registry: distribution's layout over any storage, and the only part that builds its paths.

Nothing here keeps anything or writes. `layout` draws the paths; `contents` answers one question, `survey` and
`reading` ten thousand of a kind. Safe to use from many threads.
"""

from regfs.registry.contents import Contents
from regfs.registry.locate import locate, open_local

__all__ = ["Contents", "locate", "open_local"]
