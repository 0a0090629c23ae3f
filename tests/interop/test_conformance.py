"""The checks of the distribution-spec's conformance suite (pull, content discovery, errors), in Python.

Ported from opencontainers/distribution-spec, conformance/ (2026-07), in its read-only mode. They run against
`regfs serve` and docker-registry over the same store; WHERE_IT_DIFFERS says how docker-registry differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import pytest

from tests.builder.media_types import OCI_INDEX
from tests.interop.images import SBOM, SIGNATURE, Images
from tests.interop.serving import Serving
from tests.registry.api import Answer, Api
from tests.registry.server import Registry

REPOSITORY = "team/app"
NOWHERE = f"sha256:{'0' * 64}"

#: What docker-registry 2.8.2 does instead.
WHERE_IT_DIFFERS = {
    "test_referrers_are_listed": "it has no referrers",
    "test_referrers_can_be_filtered": "it has no referrers",
    "test_what_nothing_refers_to_has_an_empty_list": "it has no referrers",
    "test_a_malformed_digest_has_no_referrers": "it has no referrers",
    "test_a_malformed_digest_is_no_manifest": "it answers 500",
    "test_tags_are_listed_in_order": "it lists them in the order of the directory",
    "test_tags_are_listed_page_by_page": "it lists all tags at once",
    "test_tags_behind_one_are_listed": "it lists all tags at once",
    "test_tags_behind_one_are_listed_without_a_number_too": "it lists all tags at once",
    "test_no_tags_at_all_can_be_asked_for": "it lists all tags at once",
    "test_a_number_of_tags_that_is_none_is_an_error": "it lists all tags at once",
    "test_what_is_no_name_is_not_found": "it says so in plain text",
    "test_a_part_that_lies_outside_is_an_error": "its Content-Length is that of the blob",
}


@pytest.fixture(params=["regfs", "docker-registry"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Ask one of the two; a check that docker-registry is known to fail must still fail there."""
    if request.param == "regfs":
        serving: Serving = request.getfixturevalue("serving")
        yield serving.api
        return
    registry: Registry = request.getfixturevalue("registry")
    if reason := WHERE_IT_DIFFERS.get(request.node.originalname):
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"docker-registry 2.8.2: {reason}"))
    yield registry.api


def errors(answer: Answer) -> str:
    """Give the code of the one error; the body must be what the spec says (Error Codes)."""
    assert answer.headers["Content-Type"].startswith("application/json")
    (error,) = json.loads(answer.body)["errors"]
    assert set(error) <= {"code", "message", "detail"}
    return str(error["code"])


def head(api: Api, path: str, **headers: str) -> Answer:
    answer = api.ask("HEAD", path, **headers)
    assert answer.body == b""
    return answer


# --- pull ------------------------------------------------------------------------------------------


def test_the_api_is_there(api: Api) -> None:
    answer = api.ask("GET", "/v2/")
    assert answer.status == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("tag", ["gzip", "zstd", "none", "multi", "sbom"])
def test_a_manifest_is_served_by_tag_and_digest_as_it_is_stored(api: Api, images: Images, tag: str) -> None:
    digest, raw = images.digests[REPOSITORY, tag], images.raw(REPOSITORY, tag)
    for reference in (tag, digest):
        path = f"/v2/{REPOSITORY}/manifests/{reference}"
        accepted = {"Accept": json.loads(raw)["mediaType"]}
        answer = api.ask("GET", path, **accepted)
        assert (answer.status, answer.body) == (200, raw)
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Type"] == json.loads(raw)["mediaType"]
        looked = head(api, path, **accepted)
        assert looked.status == 200
        for name in ("Docker-Content-Digest", "Content-Type", "Content-Length", "Etag"):
            assert looked.headers[name] == answer.headers[name]
        assert looked.headers["Content-Length"] == str(len(raw))


@pytest.mark.parametrize("reference", ["nothing", NOWHERE])
def test_a_manifest_that_is_not_there_is_unknown(api: Api, reference: str) -> None:
    path = f"/v2/{REPOSITORY}/manifests/{reference}"
    answer = api.ask("GET", path)
    assert (answer.status, errors(answer)) == (404, "MANIFEST_UNKNOWN")
    assert head(api, path).status == 404


def test_a_malformed_digest_is_no_manifest(api: Api) -> None:
    for reference in ("sha256:totallywrong", "sha256:"):
        answer = api.ask("GET", f"/v2/{REPOSITORY}/manifests/{reference}")
        assert (answer.status, errors(answer)) == (404, "MANIFEST_UNKNOWN")


def test_a_blob_is_served_by_its_digest(api: Api, images: Images) -> None:
    for digest in images.layers(REPOSITORY, "gzip"):
        path = f"/v2/{REPOSITORY}/blobs/{digest}"
        answer = api.ask("GET", path)
        assert answer.status == 200
        assert f"sha256:{hashlib.sha256(answer.body).hexdigest()}" == digest
        assert answer.headers["Docker-Content-Digest"] == digest
        looked = head(api, path)
        assert (looked.status, looked.headers["Content-Length"]) == (200, str(len(answer.body)))


def test_a_blob_that_is_not_there_is_unknown(api: Api) -> None:
    path = f"/v2/{REPOSITORY}/blobs/{NOWHERE}"
    answer = api.ask("GET", path)
    assert (answer.status, errors(answer)) == (404, "BLOB_UNKNOWN")
    assert head(api, path).status == 404


def test_a_blob_of_another_repository_is_unknown(api: Api, images: Images) -> None:
    (digest,) = images.layers("team/app/nested", "large")
    assert api.ask("HEAD", f"/v2/team/app/nested/blobs/{digest}").status == 200
    assert api.ask("HEAD", f"/v2/{REPOSITORY}/blobs/{digest}").status == 404


def test_a_part_of_a_blob_can_be_asked_for(api: Api, images: Images) -> None:
    digest = images.layers(REPOSITORY, "gzip")[0]
    content = images.store.data(digest).read_bytes()
    answer = api.ask("GET", f"/v2/{REPOSITORY}/blobs/{digest}", Range="bytes=10-19")
    assert (answer.status, answer.body) == (206, content[10:20])
    assert answer.headers["Content-Range"] == f"bytes 10-19/{len(content)}"


def test_a_part_that_lies_outside_is_an_error(api: Api, images: Images) -> None:
    digest = images.layers(REPOSITORY, "gzip")[0]
    size = images.store.data(digest).stat().st_size
    answer = api.ask("GET", f"/v2/{REPOSITORY}/blobs/{digest}", Range=f"bytes={size}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_what_is_no_name_is_not_found(api: Api) -> None:
    for name in ("team/UPPER", "-x", "team//app"):
        answer = api.ask("GET", f"/v2/{name}/manifests/latest")
        assert (answer.status, errors(answer)) == (404, "NAME_UNKNOWN")


# --- content discovery -----------------------------------------------------------------------------


def tags(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    found: Mapping[str, list[str]] = json.loads(answer.body)
    return found["tags"]


def test_tags_are_listed_in_order(api: Api) -> None:
    answer = api.ask("GET", f"/v2/{REPOSITORY}/tags/list")
    assert tags(answer) == ["gzip", "multi", "none", "sbom", "zstd"]
    assert json.loads(answer.body)["name"] == REPOSITORY


def test_tags_are_listed_page_by_page(api: Api) -> None:
    found: list[str] = []
    path = f"/v2/{REPOSITORY}/tags/list?n=2"
    for _ in range(10):
        answer = api.ask("GET", path)
        found += tags(answer)
        if "Link" not in answer.headers:
            break
        link, _, relation = answer.headers["Link"].partition(">; ")
        assert relation == 'rel="next"'
        path = link.removeprefix("<")
    assert found == ["gzip", "multi", "none", "sbom", "zstd"]


def test_tags_behind_one_are_listed(api: Api) -> None:
    assert tags(api.ask("GET", f"/v2/{REPOSITORY}/tags/list?n=2&last=multi")) == ["none", "sbom"]


def test_tags_behind_one_are_listed_without_a_number_too(api: Api) -> None:
    assert tags(api.ask("GET", f"/v2/{REPOSITORY}/tags/list?last=multi")) == ["none", "sbom", "zstd"]


def test_no_tags_at_all_can_be_asked_for(api: Api) -> None:
    answer = api.ask("GET", f"/v2/{REPOSITORY}/tags/list?n=0")
    assert tags(answer) == []
    assert "Link" not in answer.headers


@pytest.mark.parametrize("number", ["-1", "x", "9" * 5000, "\u0661"])
def test_a_number_of_tags_that_is_none_is_an_error(api: Api, number: str) -> None:
    from urllib.parse import quote

    answer = api.ask("GET", f"/v2/{REPOSITORY}/tags/list?n={quote(number)}")
    assert (answer.status, errors(answer)) == (400, "PAGINATION_NUMBER_INVALID")


def test_a_repository_that_is_not_there_has_no_tags(api: Api) -> None:
    answer = api.ask("GET", "/v2/no/where/tags/list")
    assert (answer.status, errors(answer)) == (404, "NAME_UNKNOWN")


def test_the_catalog_lists_the_repositories(api: Api) -> None:
    answer = api.ask("GET", "/v2/_catalog")
    assert json.loads(answer.body) == {"repositories": ["team/app", "team/app/nested", "team/docker"]}


def test_referrers_are_listed(api: Api, images: Images) -> None:
    digest = images.digests[REPOSITORY, "gzip"]
    answer = api.ask("GET", f"/v2/{REPOSITORY}/referrers/{digest}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, OCI_INDEX)
    index = json.loads(answer.body)
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    found = {entry["digest"]: entry for entry in index["manifests"]}
    assert found.keys() == {images.digests[REPOSITORY, name] for name in ("sbom", "signature")}
    entry = found[images.digests[REPOSITORY, "sbom"]]
    assert entry["size"] == len(images.raw(REPOSITORY, "sbom"))
    assert entry["artifactType"] == SBOM
    assert entry["annotations"] == {"org.example.of": SBOM}


def test_referrers_can_be_filtered(api: Api, images: Images) -> None:
    digest = images.digests[REPOSITORY, "gzip"]
    answer = api.ask("GET", f"/v2/{REPOSITORY}/referrers/{digest}?artifactType={SIGNATURE}")
    (entry,) = json.loads(answer.body)["manifests"]
    assert entry["artifactType"] == SIGNATURE
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


def test_what_nothing_refers_to_has_an_empty_list(api: Api) -> None:
    for repository in (REPOSITORY, "team/docker", "no/where"):
        answer = api.ask("GET", f"/v2/{repository}/referrers/{NOWHERE}")
        assert (answer.status, json.loads(answer.body)["manifests"]) == (200, [])


def test_a_malformed_digest_has_no_referrers(api: Api) -> None:
    answer = api.ask("GET", f"/v2/{REPOSITORY}/referrers/sha256:x")
    assert (answer.status, errors(answer)) == (400, "DIGEST_INVALID")
