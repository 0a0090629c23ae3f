"""What can be wrong in a store, in the order of how loudly it is told."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Reach(enum.Enum):
    """How far a gap reaches: what a part of the store that could not be read may hold (`doubt.py`).

    A finding with a reach is a gap. The values stand in the index.
    """

    #: No gap: what was read, and is not as it should be.
    NONE = ""
    #: A gap that can name nothing more than what is known: the name of its directory is the digest.
    NOTHING = "nothing"
    #: A tag's link, where the digests that the tag has had are known.
    TAG = "tag"
    #: All tags of a repository, or one of which nothing is known.
    TAGS = "tags"
    #: A manifest's content.
    CONTENT = "content"
    REVISIONS = "revisions"
    #: Revisions and tags.
    MANIFESTS = "manifests"
    LAYERS = "layers"
    #: Blobs: what lies there is not read, which is not "not stored".
    BLOBS = "blobs"
    #: A repository, or what leads to some.
    EVERYTHING = "everything"
    #: Tags that are kept somewhere else, as it seems: what revisions lead to.
    NO_TAGS = "no tags"


class Kind(enum.Enum):
    """A kind of finding. The value is its name in reports."""

    #: The registry's collector would delete a blob that a tag needs.
    COLLECTOR_DELETES = "collector-deletes"
    #: The collector does not see repositories, for a file's name begins with an underscore.
    COLLECTOR_HIDES = "collector-hides"
    #: A tag's manifest cannot be read, so nobody knows what else it needs: the collector would delete that.
    MANIFEST_LOST = "manifest-lost"
    #: A directory of the store's is none, or cannot be listed: nobody knows what is below it.
    DIRECTORY = "directory"
    #: A link or a blob that may not be opened: nobody knows what it says.
    UNREAD = "unread"
    #: This registry keeps its tags somewhere else, as far as its storage tells.
    TAGS_ELSEWHERE = "tags-elsewhere"
    #: An image of which cannot be told whether it is whole: something that it needs was not read.
    UNTOLD = "cannot-tell"
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
    #: What stands in a blob's place is no plain file.
    BLOB = "blob"
    #: The collector of registries before 3.0 would with `--delete-untagged` delete what a tag needs.
    COLLECTOR_M_DELETES = "collector-m-deletes"
    #: The collector ends with an error at this place, and frees nothing; only without or only with
    #: `--delete-untagged`; only that of registries from 3.0 on.
    COLLECTOR_STOPS = "collector-stops"
    COLLECTOR_PLAIN_STOPS = "collector-plain-stops"
    COLLECTOR_M_STOPS = "collector-m-stops"
    COLLECTOR_3_STOPS = "collector-3-stops"
    #: A name or a form that no registry makes.
    STRAY = "stray"
    #: An upload without a date is never purged.
    UPLOAD = "upload"

    @property
    def severity(self) -> str:
        """What it means; see `SEVERITIES`."""
        return _SEVERITY.get(self, "damage")

    @property
    def stops_pull(self) -> bool:
        """Whether an image cannot be pulled, or not as it was pushed."""
        return self.severity == "damage" or self is Kind.MANIFEST_LOST

    @property
    def rank(self) -> int:
        """The loudest first."""
        return list(Kind).index(self)


_SEVERITY = {
    Kind.COLLECTOR_DELETES: "alarm",
    Kind.COLLECTOR_HIDES: "alarm",
    Kind.MANIFEST_LOST: "alarm",
    Kind.DIRECTORY: "alarm",
    Kind.UNREAD: "alarm",
    Kind.TAGS_ELSEWHERE: "alarm",
    Kind.UNTOLD: "unknown",
    Kind.COLLECTOR_M_DELETES: "hazard",
    Kind.COLLECTOR_STOPS: "note",
    Kind.COLLECTOR_PLAIN_STOPS: "note",
    Kind.COLLECTOR_M_STOPS: "note",
    Kind.COLLECTOR_3_STOPS: "note",
    Kind.STRAY: "note",
    Kind.UPLOAD: "note",
}

#: Every severity, the loudest first, and what it means.
SEVERITIES = {
    "alarm": "a plain garbage collection would lose data, or something was not read",
    "unknown": "images that need what was not read",
    "damage": "images that are not whole",
    "hazard": "garbage-collect -m before 3.0 would lose data",
    "note": "nobody's image suffers",
}


class Finding(NamedTuple):
    """One thing that is wrong: of which image, what was wanted, and what is there instead.

    `repository`, `tag` and `image` (the digest of its manifest) are empty where it is of none; `digest` is
    that of the blob, `path` relative to the store. Where `reach` tells how far, it is a gap.
    """

    kind: Kind
    repository: str = ""
    tag: str = ""
    image: str = ""
    digest: str = ""
    wanted: str = ""
    found: str = ""
    path: str = ""
    reach: Reach = Reach.NONE

    def row(self, owner: str) -> tuple[str, ...]:
        """Give the row of the table `finding`."""
        _, *texts, reach = self
        return (owner, self.kind.value, *map(storable, texts), reach.value)


def stopped(which: str, why: str) -> str:
    """Say that the registry's collector ends at a place; `which` tells of which versions or options."""
    return f"garbage-collect {which + ' ' if which else ''}ends with an error here, and frees nothing: {why}"


def storable(text: str) -> str:
    """Give text that SQLite takes: names that are not UTF-8 are for people only, from here on."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
