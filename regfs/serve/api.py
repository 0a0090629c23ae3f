"""What a registry answers (distribution-spec 1.1, "Endpoints"), from the graph. Reads only.

Damage is raised, and answered by the application with a status before the first byte: 500, or 503 where the
store is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from regfs.errors import DigestError, MissingError
from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.referrers import referrers
from regfs.oci import Digest, ImageManifest, Index, Manifest, Schema1Manifest
from regfs.oci.media_types import OCI_INDEX
from regfs.oci.names import is_tag, is_whole_repository
from regfs.serve import ranges
from regfs.serve.answers import Answer, Request, document, refusal
from regfs.serve.sending import Sending
from regfs.serve.soundness import Soundness

#: Digits of the largest number of names that is a number of names.
_LONGEST_NUMBER = 18

#: A digest's content never changes: clients may keep it for a year, as distribution says.
_FOR_EVER = "max-age=31536000"


class RegistryApi:
    """The endpoints over one store."""

    def __init__(self, graph: Graph, references: ReferenceIndex) -> None:
        self._graph = graph
        self._references = references
        self._soundness = Soundness(graph)

    def manifest(self, request: Request, name: str, reference: str) -> Answer:
        """Answer for a manifest, by tag or digest: as it is stored, whatever the client would accept."""
        unknown = refusal(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}")
        if not is_whole_repository(name):
            return _no_name(name)
        try:
            digest = self._digest(name, reference)
        except (DigestError, MissingError):
            return unknown
        if not self._graph.holds(name, digest):
            return unknown
        manifest = self._graph.manifest(name, digest)
        if isinstance(manifest, Schema1Manifest):
            said = (
                f"{name} {reference} is of schema 1, whose signatures are not stored: no client would take it"
            )
            return refusal(404, "MANIFEST_UNKNOWN", said)
        self._soundness.note(manifest)
        headers = {"Content-Type": manifest.media_type, **_of(digest)}
        if ranges.names(request.headers.get("if-none-match", ""), headers["Etag"]):
            return Answer(304, headers)
        return Answer(200, headers, manifest.raw, len(manifest.raw))

    def _digest(self, name: str, reference: str) -> Digest:
        if ":" in reference:
            return Digest.parse(reference)
        if not is_tag(reference):
            raise MissingError(reference)
        return self._graph.tag(name, reference)

    def blob(self, request: Request, name: str, reference: str) -> Answer:
        """Answer for a blob that the repository links, or for a part of it."""
        if not is_whole_repository(name):
            return _no_name(name)
        unknown = refusal(404, "BLOB_UNKNOWN", f"{name} has no blob {reference}")
        try:
            digest = Digest.parse(reference)
        except DigestError:
            return unknown
        if not self._graph.links(name, digest):
            return unknown
        blob = self._graph.blob(name, digest)
        self._soundness.check(digest, blob)
        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "Cache-Control": _FOR_EVER,
            **_of(digest),
        }
        if ranges.names(request.headers.get("if-none-match", ""), headers["Etag"]):
            return Answer(304, headers)
        part, asked = self._part(request, headers["Etag"], blob.size)
        if part is None:
            return Answer(416, {**headers, "Content-Range": f"bytes */{blob.size}"}, b"", 0)
        status = 200
        if asked:
            status = 206
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{blob.size}"
        length = part.end - part.start
        if not request.wants_body or not length:
            return Answer(status, headers, b"", length)
        content = self._graph.open_blob(blob.digest, blob.size)
        return Answer(status, headers, Sending(content, part.start, part.end, f"{name}@{digest}"), length)

    @staticmethod
    def _part(request: Request, etag: str, size: int) -> tuple[ranges.RangePart | None, bool]:
        """Tell which part is asked for, and whether it is one: a Range counts for GET, if If-Range fits."""
        header = request.headers.get("range", "")
        fits = request.headers.get("if-range", etag) == etag
        if request.method != "GET" or not fits or not ranges.is_range(header):
            return ranges.RangePart(0, size), False
        return ranges.wanted(header, size), True

    def tags(self, request: Request, name: str) -> Answer:
        """List a repository's tags, in byte order."""
        if not is_whole_repository(name):
            return _no_name(name)
        try:
            listing = self._graph.listing(name)
        except MissingError:
            return _no_name(name)
        if listing.error is not None:
            raise listing.error
        if not listing.repository:
            return _no_name(name)
        tags = [tag for tag, sound in listing.tags.items() if sound]
        return _page(request, f"/v2/{name}/tags/list", tags, lambda page: {"name": name, "tags": page})

    def catalog(self, request: Request) -> Answer:
        """List the repositories that have tags, in byte order."""
        return _page(request, "/v2/_catalog", self._repositories(""), lambda page: {"repositories": page})

    def _repositories(self, name: str) -> Iterator[str]:
        listing = self._graph.listing(name)
        if listing.error is not None:
            raise listing.error
        if any(listing.tags.values()):
            yield name
        for part, sound in listing.nested.items():
            if sound:
                yield from self._repositories(f"{name}/{part}" if name else part)

    def referrers(self, request: Request, name: str, reference: str) -> Answer:
        """List the manifests of a repository whose subject has a digest; an empty list if none has."""
        if not is_whole_repository(name):
            return _no_name(name)
        try:
            digest = Digest.parse(reference)
        except DigestError as error:
            return refusal(400, "DIGEST_INVALID", str(error))
        with self._references.snapshot() as snapshot:
            found = referrers(snapshot, name, str(digest))
        entries = [self._referrer(name, Digest.parse(entry)) for entry in found]
        headers: dict[str, str] = {}
        if artifact_type := request.query.get("artifactType", ""):
            entries = [entry for entry in entries if entry["artifactType"] == artifact_type]
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return document(index, headers, OCI_INDEX)

    def _referrer(self, name: str, digest: Digest) -> Mapping[str, object]:
        manifest = self._graph.manifest(name, digest)
        entry = {
            "mediaType": manifest.media_type,
            "digest": str(digest),
            "size": len(manifest.raw),
            "artifactType": _artifact_type(manifest),
        }
        annotations = {} if isinstance(manifest, Schema1Manifest) else manifest.annotations
        return {**entry, "annotations": annotations} if annotations else entry


def _artifact_type(manifest: Manifest) -> str:
    """Tell an artifact's type: its own, else its config's."""
    if isinstance(manifest, ImageManifest):
        return manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    return manifest.artifact_type if isinstance(manifest, Index) else ""


def _of(digest: Digest) -> dict[str, str]:
    return {"Docker-Content-Digest": str(digest), "Etag": f'"{digest}"'}


def _no_name(name: str) -> Answer:
    return refusal(404, "NAME_UNKNOWN", f"there is no repository {name}")


def _page(
    request: Request, path: str, found: Iterable[str], make: Callable[[Sequence[str]], object]
) -> Answer:
    """Answer with one page of a list, and where the next one is: `n` names behind `last`."""
    names: Sequence[str] = sorted(found)
    if last := request.query.get("last", ""):
        names = [name for name in names if name > last]
    if (count := request.query.get("n")) is None:
        return document(make(names))
    if not (count.isascii() and count.isdecimal() and len(count) < _LONGEST_NUMBER):
        return refusal(400, "PAGINATION_NUMBER_INVALID", f"n={count} is no number of names")
    page = names[: int(count)]
    headers = {}
    if page and len(page) < len(names):
        headers["Link"] = f'<{path}?n={int(count)}&last={quote(page[-1], safe="")}>; rel="next"'
    return document(make(page), headers)
