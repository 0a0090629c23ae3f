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
from regfs.graph.index.tags import tagged_images, tags_described
from regfs.graph.index.uploads import uploads as unfinished_pushes
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.table import SPARE, WIDE, Column, Row, Table, Type, amount
from regfs.graph.reports.words import image_in_words

_TEXT, _STATE, _NUMBER, _SIZE, _TIME = Type.TEXT, Type.STATE, Type.NUMBER, Type.SIZE, Type.TIME
_DIGEST, _LIST, _TRUTH = Type.DIGEST, Type.LIST, Type.TRUTH

_REPOSITORY = Column("repository", help="its name")
_KIND = Column(
    "kind", _STATE, "image, index, or what an artifact is: signature, sbom, chart, …; or broken", SPARE
)
_PLATFORMS = Column("platforms", _LIST, "an index's, or the image's own; none: not known", SPARE)
_CREATED = Column("created", _TIME, "when it was built, as its config says", WIDE)
_SIZE_OF_ALL = Column("size", _SIZE, "all that it leads to, each blob once")


_REPOSITORIES = (
    _REPOSITORY,
    Column("tags", _NUMBER, "how many"),
    Column("manifests", _NUMBER, "images, indexes and artifacts that it holds", SPARE),
    Column("untagged", _NUMBER, "those that no tag of it leads to", SPARE),
    Column("size", _SIZE, "all that it holds, each blob once"),
    Column("exclusive", _SIZE, "what nothing outside it leads to; none: unknown"),
    Column("uploads", _SIZE, "its unfinished pushes", SPARE),
    Column("pushed", _TIME, "the last push of a tag"),
    Column("uploads_at_least", _TRUTH, "whether those may have more bytes, as in an object store", WIDE),
)


def repositories(snapshot: Snapshot) -> Table:
    """List the repositories: how many tags and images, what they take, and what is theirs alone."""
    return Table(
        _REPOSITORIES,
        [
            found._replace(uploads=amount(found.uploads, at_least=found.uploads_at_least))
            for found in repositories_described(snapshot)
        ],
    )


_TAGS = (
    _REPOSITORY,
    Column("tag", help="its name"),
    Column("digest", _DIGEST, "what it names; none: its link cannot be read", SPARE),
    _KIND,
    _PLATFORMS,
    _CREATED,
    Column("pushed", _TIME, "when it was set; none: unknown"),
    Column("pushes", _NUMBER, "how many images it has named", WIDE),
    _SIZE_OF_ALL,
    Column("exclusive", _SIZE, "what deleting this tag alone would free; none: unknown"),
    Column("shared", _SIZE, "the rest of its size", WIDE),
    Column("of", _TEXT, "the image that a signature or the like belongs to", WIDE),
)


def tags(snapshot: Snapshot) -> Table:
    """List the tags: what they name, since when, what that takes, and what deleting it alone would free."""
    return Table(_TAGS, _tags(snapshot))


_IMAGES = (
    Column("digest", _DIGEST, "its manifest's"),
    _KIND,
    Column("tags", _LIST, "all that name it: REPOSITORY:TAG"),
    _PLATFORMS,
    _CREATED,
    Column("pushed", _TIME, "the last push of one of its tags; none: unknown"),
    _SIZE_OF_ALL,
    Column("exclusive", _SIZE, "what deleting it with all its names would free; none: unknown"),
)


def images(snapshot: Snapshot) -> Table:
    """List the images that tags name, each once, with all of its tags."""
    return Table(
        _IMAGES,
        [
            (digest, kind, names, _parts(platforms), *rest)
            for digest, kind, names, platforms, *rest in tagged_images(snapshot)
        ],
    )


def _parts(words: str | None) -> tuple[str, ...] | None:
    """Part a text of the index into its words; None stays unknown."""
    return None if words is None else tuple(words.split())


def _tags(snapshot: Snapshot) -> Iterator[Row]:
    """Show a tag without a digest with what is known of it: its names, its time, whose signature it is."""
    of = {(found.repository, found.tag): image_in_words(found) for found in tags_that_belong(snapshot)}
    for tag in tags_described(snapshot):
        shown = tag if tag.digest else tag._replace(digest=None, kind="broken")
        repository, name, digest, kind, platforms, *rest = shown
        yield (
            repository,
            name,
            digest,
            kind,
            _parts(platforms),
            *rest,
            of.get((tag.repository, tag.tag), ""),
        )


_SIZE_OF_BLOB = Column("size", _SIZE, "its bytes")
_BLOCKS = Column("blocks", _NUMBER, "of 512 bytes on the disk", WIDE)
_STORED = Column("stored", _TIME, "when")

_BLOBS = (
    Column("digest", _DIGEST, "its name"),
    Column("kind", _TEXT, "layer, config, or the kind of manifest that it is"),
    Column("media_type", _TEXT, "as what names it says, or its first bytes", WIDE),
    Column("state", _STATE, "tagged, untagged, orphaned, unknown"),
    Column("repositories", _LIST, "those in which it shows", SPARE),
    _SIZE_OF_BLOB,
    _BLOCKS,
    _STORED,
    Column("images", _NUMBER, "how many hold it", SPARE),
    Column("example", _TEXT, "one path of the mounted tree at which it shows", SPARE),
)


def blobs(snapshot: Snapshot) -> Table:
    """List the stored blobs: what they are, who needs them, and one path at which each shows."""
    return Table(_BLOBS, _blobs(snapshot))


def _blobs(snapshot: Snapshot) -> Iterator[Row]:
    paths = Paths(snapshot)
    for blob in index_of_blobs.blobs(snapshot):
        yield (
            blob.digest,
            blob.kind,
            blob.media_type,
            blob.state.word,
            _parts(blob.repositories),
            blob.size,
            blob.blocks,
            blob.stored,
            blob.images,
            "" if blob.state is State.ORPHANED else paths.example(blob.id),
        )


_UNTAGGED = (
    _REPOSITORY,
    Column("digest", _DIGEST, "its manifest's"),
    _KIND,
    Column("needed_as", _TEXT, "'referrer of a tagged image': then it is no garbage", SPARE),
    Column("pushed", _TIME, "when the repository got it; none: unknown"),
    _SIZE_OF_ALL,
    Column("exclusive", _SIZE, "what deleting it alone would free; none: unknown"),
)


def untagged(snapshot: Snapshot) -> Table:
    """List the images that no tag names, and what deleting each alone would free."""
    return Table(
        _UNTAGGED,
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


_IN_STATE = (
    Column("digest", _DIGEST, "its name"),
    Column("media_type", _TEXT, "as its first bytes tell"),
    _STORED,
    _SIZE_OF_BLOB,
    _BLOCKS,
)


def _in_state(snapshot: Snapshot, state: State) -> Table:
    return Table(
        _IN_STATE,
        [
            (blob.digest, blob.media_type, blob.stored, blob.size, blob.blocks)
            for blob in index_of_blobs.blobs_in_state(snapshot, state)
        ],
    )


_UPLOADS = (
    _REPOSITORY,
    Column("upload", _TEXT, "its id"),
    Column("started", _TIME, "as it says; none: it does not, and no purge takes it"),
    Column("changed", _TIME, "when something of it was last written"),
    Column("size", _SIZE, "its bytes"),
    Column("files", _NUMBER, "how many it has", SPARE),
    Column("at_least", _TRUTH, "whether it may have more bytes, as in an object store", WIDE),
)


def uploads(snapshot: Snapshot) -> Table:
    """List the unfinished pushes."""
    return Table(
        _UPLOADS,
        [
            found._replace(size=amount(found.size, at_least=found.at_least))
            for found in unfinished_pushes(snapshot)
        ],
    )


_BROKEN = (
    Column("severity", _STATE, "alarm, unknown, damage, hazard, note: see regfs check --help"),
    Column("kind", _TEXT, "what is wrong, in one word", SPARE),
    Column("repository", _TEXT, "of which repository; empty: of none"),
    Column("tag", _TEXT, "of which tag; empty: of none"),
    Column("image", _DIGEST, "of which manifest; empty: of none", WIDE),
    Column("digest", _DIGEST, "of which blob; empty: of none", SPARE),
    Column("wanted", _TEXT, "what should be there", SPARE),
    Column("found", _TEXT, "what is there instead"),
    Column("path", _TEXT, "where, below the store", WIDE),
)


def broken(snapshot: Snapshot) -> Table:
    """List what is wrong, the loudest first."""
    return Table(
        _BROKEN,
        [
            (found.kind.severity, found.kind.value, *found[1:])
            for found in loudest_first(index_of_findings.findings(snapshot))
        ],
    )


#: The columns of each of these reports.
COLUMNS = {
    "repositories": _REPOSITORIES,
    "tags": _TAGS,
    "images": _IMAGES,
    "blobs": _BLOBS,
    "untagged": _UNTAGGED,
    "orphans": _IN_STATE,
    "unknown": _IN_STATE,
    "uploads": _UPLOADS,
    "broken": _BROKEN,
}


def loudest_first(findings: list[index_of_findings.KeptFinding]) -> list[index_of_findings.KeptFinding]:
    """Sort what is wrong, as `broken` lists it."""
    return sorted(findings, key=lambda found: (found.kind.rank, found[1:]))
