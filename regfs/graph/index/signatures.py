"""What belongs to an image in its repository: signatures, attestations, SBOMs; and the image of each.

A tag such as `sha256-<hex>.sig` (cosign) or `sha256-<hex>` (distribution-spec, "Referrers Tag Schema")
says by its name whose it is; a manifest with a `subject` says so itself. It lives and goes with that image.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from regfs.graph.index.snapshot import Snapshot
from regfs.graph.index.tags import tags
from regfs.oci.names import named_after
from regfs.registry.terms import Role


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

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        #: Of each manifest with a `subject`, that one's digest.
        self._subjects: dict[int, str] = dict(
            snapshot.rows(
                "SELECT edge.target, digest FROM edge JOIN blob ON blob.id = edge.source WHERE role = ?",
                (Role.REFERRER,),
            )
        )
        # Revisions whose links cannot be read: the names of their directories tell their digests.
        self._unread = set(snapshot.rows("SELECT repository, name FROM revision WHERE blob IS NULL"))
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
        for number, whole, here, anywhere in self._snapshot.rows(
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


def names_of(snapshot: Snapshot, repository: int, subject: Subject) -> str:
    """Name the image that something belongs to: by its tags in that repository, else by its digest."""
    tags = snapshot.column(
        "SELECT name FROM tag WHERE blob = ? AND repository = ? ORDER BY name", (subject.blob, repository)
    )
    return " ".join(tags) or subject.digest


class Belonging(NamedTuple):
    """A tag, or a revision by itself (`tag` is ""), that belongs to an image; `image` names that."""

    repository: str
    tag: str
    image: str
    place: Place


def tags_that_belong(snapshot: Snapshot) -> list[Belonging]:
    """Give each tag that belongs to an image."""
    signatures = Signatures(snapshot)
    return [
        Belonging(tag.repository, tag.tag, names_of(snapshot, tag.repository_id, subject), subject.place)
        for tag in tags(snapshot)
        if (subject := signatures.subject(tag.repository_id, tag.tag, tag.blob))
    ]


def belongings_of(snapshot: Snapshot, manifest: int) -> list[Belonging]:
    """Tell to which images a manifest belongs, by each name that it has; sorted."""
    signatures = Signatures(snapshot)
    rows = snapshot.rows(
        """
        SELECT repository, repository.name, tag.name FROM tag
        JOIN repository ON repository.id = repository WHERE blob = :blob
        UNION SELECT repository, repository.name, '' FROM revision
        JOIN repository ON repository.id = repository WHERE blob = :blob ORDER BY 2, 3
        """,
        {"blob": manifest},
    )
    return [
        Belonging(name, tag, names_of(snapshot, repository, subject), subject.place)
        for repository, name, tag in rows
        if (subject := signatures.subject(repository, tag, manifest))
    ]


#: What the ends of cosign's tags tell, where the manifest itself cannot be read.
_ENDS = {".sig": "signature", ".sbom": "sbom", ".att": "attestation"}


def kinds_that_belong(snapshot: Snapshot) -> dict[str, set[str]]:
    """Tell of which kinds the artifacts are that belong to each image, by its digest: `signature`, `sbom`.

    Wherever in the store they are. An index's attestations are its children; a list of referrers has its own.
    """
    found: dict[str, set[str]] = {}
    for digest, kind in snapshot.rows(
        """
        SELECT blob.digest, manifest.kind FROM edge JOIN manifest ON manifest.blob = edge.target
        JOIN blob ON blob.id = edge.source
        WHERE role = ?1 OR (role = ?2 AND manifest.kind NOT IN ('image', 'index'))
        """,
        (Role.REFERRER, Role.CHILD),
    ):
        found.setdefault(digest, set()).add(kind or "")
    signatures = Signatures(snapshot)
    kinds: dict[int, str | None] = dict(snapshot.rows("SELECT blob, kind FROM manifest"))
    for tag in tags(snapshot):
        subject = signatures.subject(tag.repository_id, tag.tag, tag.blob)
        if subject:
            own = kinds.get(tag.blob) if tag.blob is not None else None
            listed = found.get(tag.digest or "", set()) if own == "index" else set()
            ends = next((kind for end, kind in _ENDS.items() if tag.tag.endswith(end)), "")
            found.setdefault(subject.digest, set()).update(listed or {own or ends})
    return found
