"""The reports that are lists: of repositories, tags, blobs, and of what could go.

Each takes a snapshot, and gives its rows as they are read. What each needs of that says `catalogue`.
"""

from __future__ import annotations

from collections.abc import Iterator

from regfs.graph.index import Snapshot, State
from regfs.graph.index import blobs as index_of_blobs
from regfs.graph.index import findings as index_of_findings
from regfs.graph.index.repositories import repositories_described
from regfs.graph.index.revisions import untagged_images
from regfs.graph.index.signatures import tags_that_belong
from regfs.graph.index.tags import tags_described
from regfs.graph.index.uploads import uploads as unfinished_pushes
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.table import Row, Table, Type, columns
from regfs.graph.reports.words import image_in_words

_NUMBER, _SIZE, _TIME = Type.NUMBER, Type.SIZE, Type.TIME


def repositories(snapshot: Snapshot) -> Table:
    """List the repositories: how many tags and images, what they take, and what is theirs alone."""
    return Table(
        columns(
            "repository",
            tags=_NUMBER,
            manifests=_NUMBER,
            untagged=_NUMBER,
            size=_SIZE,
            exclusive=_SIZE,
            uploads=_SIZE,
            pushed=_TIME,
        ),
        repositories_described(snapshot),
    )


def tags(snapshot: Snapshot) -> Table:
    """List the tags: what they name, since when, what that takes, and what deleting it alone would free."""
    return Table(
        columns(
            "repository",
            "tag",
            "digest",
            "kind",
            "platforms",
            "created",
            pushed=_TIME,
            pushes=_NUMBER,
            size=_SIZE,
            exclusive=_SIZE,
            shared=_SIZE,
            of=Type.TEXT,
        ),
        _tags(snapshot),
    )


def _tags(snapshot: Snapshot) -> Iterator[Row]:
    """Show a tag without a digest with what is known of it: its names, its time, whose signature it is."""
    of = {(found.repository, found.tag): image_in_words(found) for found in tags_that_belong(snapshot)}
    for tag in tags_described(snapshot):
        shown = tag if tag.digest else tag._replace(digest=None, kind="broken")
        yield (*shown, of.get((tag.repository, tag.tag), ""))


def blobs(snapshot: Snapshot) -> Table:
    """List the stored blobs: what they are, who needs them, and one path at which each shows."""
    return Table(
        columns(
            "digest",
            "kind",
            "media_type",
            "state",
            "repositories",
            size=_SIZE,
            blocks=_NUMBER,
            stored=_TIME,
            images=_NUMBER,
            example=Type.TEXT,
        ),
        _blobs(snapshot),
    )


def _blobs(snapshot: Snapshot) -> Iterator[Row]:
    paths = Paths(snapshot)
    for blob in index_of_blobs.blobs(snapshot):
        yield (
            blob.digest,
            blob.kind,
            blob.media_type,
            blob.state.word,
            blob.repositories,
            blob.size,
            blob.blocks,
            blob.stored,
            blob.images,
            "" if blob.state is State.ORPHANED else paths.example(blob.id),
        )


def untagged(snapshot: Snapshot) -> Table:
    """List the images that no tag names, and what deleting each alone would free."""
    return Table(
        columns("repository", "digest", "kind", "needed_as", pushed=_TIME, size=_SIZE, exclusive=_SIZE),
        [
            (
                image.repository,
                image.digest,
                image.kind or "broken",
                "referrer of a tagged image" if image.referrer else "",
                image.pushed,
                image.size,
                image.exclusive,
            )
            for image in untagged_images(snapshot)
        ],
    )


def orphans(snapshot: Snapshot) -> Table:
    """List the blobs that no revision leads to."""
    return _in_state(snapshot, State.ORPHANED)


def unknown(snapshot: Snapshot) -> Table:
    """List the blobs that what was not read may lead to, and no tag that was."""
    return _in_state(snapshot, State.UNKNOWN)


def _in_state(snapshot: Snapshot, state: State) -> Table:
    return Table(
        columns("digest", "media_type", stored=_TIME, size=_SIZE, blocks=_NUMBER),
        [
            (blob.digest, blob.media_type, blob.stored, blob.size, blob.blocks)
            for blob in index_of_blobs.blobs_in_state(snapshot, state)
        ],
    )


def uploads(snapshot: Snapshot) -> Table:
    """List the unfinished pushes."""
    return Table(
        columns("repository", "upload", "started", changed=_TIME, size=_SIZE, files=_NUMBER),
        unfinished_pushes(snapshot),
    )


def broken(snapshot: Snapshot) -> Table:
    """List what is wrong, the loudest first."""
    return Table(
        columns("severity", "kind", "repository", "tag", "image", "digest", "wanted", "found", "path"),
        [
            (found.kind.severity, found.kind.value, *found[1:])
            for found in loudest_first(index_of_findings.findings(snapshot))
        ],
    )


def loudest_first(findings: list[index_of_findings.KeptFinding]) -> list[index_of_findings.KeptFinding]:
    """Sort what is wrong, as `broken` lists it."""
    return sorted(findings, key=lambda found: (found.kind.rank, found[1:]))
