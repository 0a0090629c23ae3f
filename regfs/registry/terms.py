"""Terms of the registry that facts are told in: roles of blobs, and what makes a repository."""

from __future__ import annotations

import enum


class Role(enum.IntEnum):
    """What one blob is to another that holds it. The values stand in the index."""

    CONFIG = 1
    LAYER = 2
    #: A manifest in an index.
    CHILD = 3
    #: A manifest whose `subject` is the holder: it lives and goes with it.
    REFERRER = 4
    #: The stored blob behind a name of another algorithm: pushed as sha512, stored as sha256. A link below
    #: `_layers` says so; its repository's number is the edge's position.
    ALIAS = 5


class Mark(enum.IntFlag):
    """What a directory among the repositories has below it, by which registries tell a repository."""

    NOTHING = 0
    LAYERS = 1
    MANIFESTS = 2
    UPLOADS = 4

    @property
    def repository(self) -> bool:
        """Whether that makes a repository."""
        return bool(self & (Mark.LAYERS | Mark.MANIFESTS))
