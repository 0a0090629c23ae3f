"""The registry's HTTP API (distribution-spec): what it says it holds, and pushes that skopeo cannot do."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.builder import Blob

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

#: Every form of manifest: for one that is not asked for, a registry serves another in its place.
_ACCEPTED = ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX, SCHEMA1))


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Manifest(NamedTuple):
    """A manifest as the API serves it."""

    digest: str
    media_type: str
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body)


class Api:
    """A client of one registry, which answers at `address` (host:port)."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request(
                method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    # --- what it holds -----------------------------------------------------------------------------

    def catalog(self) -> list[str]:
        return json.loads(self._get("/v2/_catalog?n=1000").body)["repositories"]

    def tags(self, repository: str) -> list[str]:
        """List the tags of a repository; for one without, the API says null, or 404 if it never had any."""
        answer = self.ask("GET", f"/v2/{repository}/tags/list")
        assert answer.status in (200, 404), answer
        return (json.loads(answer.body)["tags"] or []) if answer.status == 200 else []

    def manifest(self, repository: str, reference: str) -> Manifest:
        answer = self._get(f"/v2/{repository}/manifests/{reference}", Accept=_ACCEPTED)
        return Manifest(answer.headers["Docker-Content-Digest"], answer.headers["Content-Type"], answer.body)

    def blob(self, repository: str, digest: str) -> bytes:
        return self._get(f"/v2/{repository}/blobs/{digest}").body

    def _get(self, path: str, **headers: str) -> Answer:
        answer = self.ask("GET", path, **headers)
        assert answer.status == 200, f"GET {path}: {answer}"
        return answer

    # --- pushes ------------------------------------------------------------------------------------

    def start_upload(self, repository: str) -> str:
        """Begin an upload; gives the path and query to go on with."""
        answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
        assert answer.status == 202, answer
        place = urlsplit(answer.headers["Location"])
        return f"{place.path}?{place.query}"

    def push_blob(
        self, repository: str, content: bytes, media_type: str, *, algorithm: str = "sha256"
    ) -> Blob:
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        place = f"{self.start_upload(repository)}&{urlencode({'digest': digest})}"
        answer = self.ask("PUT", place, content, Content_Type="application/octet-stream")
        assert answer.status == 201, answer
        return Blob(digest, len(content), media_type)

    def push_manifest(
        self, repository: str, tag: str | None, document: Mapping[str, Any], media_type: str
    ) -> Blob:
        """Push a manifest under a tag, or by its digest alone."""
        body = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        path = f"/v2/{repository}/manifests/{tag or digest}"
        answer = self.ask("PUT", path, body, Content_Type=media_type)
        assert answer.status == 201, answer
        assert answer.headers["Docker-Content-Digest"] == digest
        return Blob(digest, len(body), media_type)

    def delete_manifest(self, repository: str, digest: str) -> None:
        answer = self.ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        assert answer.status == 202, answer

    def cut_upload(self, repository: str, sent: bytes, promised: int) -> None:
        """Send a part of what was promised, and hang up in the middle."""
        place = self.start_upload(repository)
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.putrequest("PATCH", place)
            connection.putheader("Content-Type", "application/octet-stream")
            connection.putheader("Content-Length", str(promised))
            connection.endheaders(sent)
        finally:
            connection.close()
