"""What belongs to an image in its repository: signatures, attestations, SBOMs; and the image of each.

A tag such as `sha256-<hex>.sig` (cosign) or `sha256-<hex>` (distribution-spec, "Referrers Tag Schema")
says by its name whose it is; a manifest with a `subject` says so itself. It lives and goes with that image.
"""

from __future__ import annotations

import enum
import sqlite3
from typing import NamedTuple

from regfs.graph.index import Role
from regfs.oci.names import named_after


class Place(enum.Enum):
    """Where the image of a signature is."""

    HERE = enum.auto()
    #: In other repositories only: cosign can keep signatures apart (COSIGN_REPOSITORY).
    ELSEWHERE = enum.auto()
    GONE = enum.auto()


class Subject(NamedTuple):
    """The image that something belongs to: its digest, its blob if the repository has it, and where it is."""

    digest: str
    blob: int | None
    place: Place


class Signatures:
    """Tells whose image a tag or manifest belongs to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        #: Of each manifest with a `subject`, that one's digest.
        self._subjects: dict[int, str] = dict(
            connection.execute(
                "SELECT edge.target, digest FROM edge JOIN blob ON blob.id = edge.source WHERE role = ?",
                (Role.REFERRER,),
            )
        )
        # Revisions whose links cannot be read: the names of their directories tell their digests.
        self._unread = set(connection.execute("SELECT repository, name FROM revision WHERE blob IS NULL"))
        self._unread_anywhere = {name for _, name in self._unread}

    def subject(self, repository: int, tag: str, blob: int | None) -> Subject | None:
        """Find whose image a tag belongs to, or a manifest without one (`tag` is ""); None if to nobody's.

        A tag that is named after its own image belongs to none.
        """
        digest = (blob and self._subjects.get(blob)) or named_after(tag)
        if not digest:
            return None
        found = self._find(repository, digest)
        return None if found.blob is not None and found.blob == blob else found

    def _find(self, repository: int, digest: str) -> Subject:
        """Find an image by its digest, or the first 64 digits of that."""
        place = Place.GONE
        for number, whole, here, anywhere in self._connection.execute(
            """
            SELECT id, digest,
                EXISTS (SELECT 1 FROM revision WHERE repository = :repository AND name = digest)
                OR EXISTS (SELECT 1 FROM tag WHERE blob = id AND repository = :repository),
                EXISTS (SELECT 1 FROM revision WHERE blob = id) OR EXISTS (SELECT 1 FROM tag WHERE blob = id)
            FROM blob WHERE digest >= :digest AND digest < :digest || 'g'
            """,
            {"repository": repository, "digest": digest},
        ):
            if here:
                return Subject(whole, number, Place.HERE)
            if anywhere or whole in self._unread_anywhere:
                place = Place.ELSEWHERE
        if (repository, digest) in self._unread:
            return Subject(digest, None, Place.HERE)
        return Subject(digest, None, Place.ELSEWHERE if digest in self._unread_anywhere else place)


def image_names(connection: sqlite3.Connection, repository: int, subject: Subject) -> str:
    """Name the image that something belongs to: by its tags, else by its digest, or that it is gone."""
    if subject.place is Place.GONE:
        return f"{subject.digest} (gone)"
    tags = connection.execute(
        "SELECT name FROM tag WHERE blob = ? AND repository = ? ORDER BY name", (subject.blob, repository)
    ).fetchall()
    return " ".join(name for (name,) in tags) or subject.digest


def images_of_tags(connection: sqlite3.Connection) -> dict[object, str]:
    """Name the image of each tag that belongs to one, by the names of repository and tag."""
    signatures = Signatures(connection)
    found: dict[object, str] = {}
    for repository, path, tag, blob in connection.execute(
        "SELECT repository, repository.name, tag.name, blob FROM tag "
        "JOIN repository ON repository.id = repository"
    ).fetchall():
        if subject := signatures.subject(repository, tag, blob):
            found[path, tag] = image_names(connection, repository, subject)
    return found


def images_of(connection: sqlite3.Connection, manifest: int) -> list[str]:
    """Tell in words to which images a manifest belongs, in each of its repositories."""
    signatures = Signatures(connection)
    found = []
    for repository, path, tag in connection.execute(
        """
        SELECT repository, repository.name, tag.name FROM tag
        JOIN repository ON repository.id = repository WHERE blob = :blob
        UNION SELECT repository, repository.name, '' FROM revision
        JOIN repository ON repository.id = repository WHERE blob = :blob ORDER BY 2, 3
        """,
        {"blob": manifest},
    ).fetchall():
        if subject := signatures.subject(repository, tag, manifest):
            images = image_names(connection, repository, subject)
            found.append(f"{images} in {path}" + ": a stale signature" * (subject.place is Place.GONE))
    return list(dict.fromkeys(found))
