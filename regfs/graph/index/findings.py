"""What can be wrong in a store, in the order of how loudly it is told."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Kind(enum.Enum):
    """A kind of finding. The value is its name in reports."""

    #: The registry's collector would delete a blob that a tag needs.
    COLLECTOR_DELETES = "collector-deletes"
    #: A tag's manifest cannot be read, so nobody knows what else it needs: the collector would delete that.
    MANIFEST_LOST = "manifest-lost"
    #: A tag's link holds no digest, or there is none.
    TAG_LINK = "tag-link"
    #: A manifest that a repository holds is not stored, or not as its digest says.
    MANIFEST = "manifest"
    #: A config, layer or manifest that an image names is not stored.
    MISSING = "missing"
    #: It is stored with another size than the manifest says.
    SIZE = "size"
    #: Its content has another digest. Only `check --digests` reads content.
    CONTENT = "content"
    #: A blob is stored, but its repository has no link to it: the registry's API answers 404.
    UNLINKED = "unlinked"
    #: A link to a revision or a layer holds no digest: registries answer 500, and collectors give up on it.
    #: Or another one than its path says: registries serve that in its place.
    LINK = "link"
    #: A directory of the store's is none, or cannot be listed: nobody knows what should be below it.
    DIRECTORY = "directory"
    #: What stands in a blob's place is no plain file.
    BLOB = "blob"
    #: A name or a form that no registry makes.
    STRAY = "stray"
    #: An upload without a date is never purged.
    UPLOAD = "upload"

    @property
    def severity(self) -> str:
        """`alarm`: a collection loses data; `damage`: an image is not whole; `note`: no image suffers."""
        if self in (Kind.COLLECTOR_DELETES, Kind.MANIFEST_LOST):
            return "alarm"
        return "note" if self in (Kind.STRAY, Kind.UPLOAD) else "damage"

    @property
    def stops_pull(self) -> bool:
        """Whether an image cannot be pulled, or not as it was pushed."""
        return self.severity != "note" and self is not Kind.COLLECTOR_DELETES

    @property
    def rank(self) -> int:
        """The loudest first."""
        return list(Kind).index(self)


class Finding(NamedTuple):
    """One thing that is wrong: of which image, what was wanted, and what is there instead.

    `repository`, `tag` and `image` (the digest of its manifest) are empty where it is of none; `digest` is
    that of the blob, `path` relative to the store.
    """

    kind: Kind
    repository: str = ""
    tag: str = ""
    image: str = ""
    digest: str = ""
    wanted: str = ""
    found: str = ""
    path: str = ""
