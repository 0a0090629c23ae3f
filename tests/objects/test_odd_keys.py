"""Keys that no registry writes, over moto, which keeps any key: each is told, and none hides others."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from regfs.errors import StoreNotFoundError
from regfs.registry.locate_objects import open_objects
from regfs.storage import FileType
from regfs.storage.objects import Address, Bucket
from tests.registry.server import free_port
from tests.registry.told import Told

pytestmark = pytest.mark.objects

V2 = "docker/registry/v2"
DIGEST = "sha256:" + "ab" * 32
REVISION = f"_manifests/revisions/{DIGEST.replace(':', '/')}/link"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of moto's; gives its endpoint."""
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=file, stderr=file)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


class Odd:
    """A bucket to put any key into."""

    def __init__(self, endpoint: str, name: str) -> None:
        import boto3

        self.name, self.endpoint = name, endpoint
        self.client = boto3.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=name)

    def put(self, *keys: str, content: bytes = b"") -> None:
        for key in keys:
            self.client.put_object(Bucket=self.name, Key=key, Body=content)

    @property
    def bucket(self) -> Bucket:
        return Bucket(Address.parse(f"s3://{self.name}").reached_by(self.endpoint))


@pytest.fixture
def odd(moto: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Odd:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    return Odd(moto, f"bucket-{abs(hash(request.node.name)) % 10**9}")


@pytest.mark.parametrize("name", ["sound//link", "sound/current//x", "three//"])
def test_an_odd_key_hides_none_of_those_beside_it_and_is_told(odd: Odd, tmp_path: Path, name: str) -> None:
    above = f"{V2}/repositories/a/_manifests/tags"
    odd.put(f"{V2}/blobs/x", f"{above}/{name}")
    for tag in ("one", "two"):
        odd.put(f"{above}/{tag}/current/link", content=DIGEST.encode())
    odd.put(f"{V2}/repositories/a/{REVISION}", content=DIGEST.encode())
    told = Told(open_objects(odd.bucket), tmp_path / "cache")
    assert {("a", "one"): DIGEST, ("a", "two"): DIGEST}.items() <= told.tags().items()
    found = [row for row in told.rows("broken") if row["path"].startswith("repositories/a/_manifests/tags")]
    assert found


@pytest.mark.parametrize("name", ["./link", "..", "/x"])
def test_where_names_beside_an_odd_key_cannot_be_known_that_is_a_gap(
    odd: Odd, tmp_path: Path, name: str
) -> None:
    above = f"{V2}/repositories/a/_manifests/tags"
    odd.put(f"{V2}/blobs/sha256/ab/{'ab' * 32}/data", f"{above}/{name}")
    odd.put(f"{above}/one/current/link", f"{V2}/repositories/a/{REVISION}", content=DIGEST.encode())
    told = Told(open_objects(odd.bucket), tmp_path / "cache")
    states = told.states()
    assert (states.untagged, states.orphaned, states.tagged | states.unknown) == (set(), set(), {DIGEST})
    assert ("directory", "a", "") in told.alarms()


def test_below_repositories_an_odd_key_is_a_gap(odd: Odd, tmp_path: Path) -> None:
    odd.put(f"{V2}/blobs/sha256/ab/{'ab' * 32}/data", f"{V2}/repositories/team//app/_layers/x")
    odd.put(f"{V2}/repositories/b/_manifests/tags/1/current/link", content=DIGEST.encode())
    told = Told(open_objects(odd.bucket), tmp_path / "cache")
    assert told.states().orphaned == set()
    assert told.alarms()
    assert ("b", "1") in told.tags()


def test_directories_that_consoles_make_are_no_files(odd: Odd, tmp_path: Path) -> None:
    odd.put(f"{V2}/", f"{V2}/blobs/", f"{V2}/repositories/", f"{V2}/repositories/team/")
    odd.put(f"{V2}/repositories/team/app/_manifests/tags/")
    odd.put(f"{V2}/repositories/team/app/_manifests/tags/1/current/link", content=DIGEST.encode())
    storage = open_objects(odd.bucket)
    assert dict(storage.list("repositories/team")) == {"app": FileType.DIRECTORY}
    told = Told(storage, tmp_path / "cache")
    assert told.tags() == {("team/app", "1"): DIGEST}
    assert told.alarms() == {("manifest-lost", "team/app", "1")}  # there is no blob


def test_the_layout_with_a_leading_slash_is_refused(odd: Odd) -> None:
    odd.put(f"/{V2}/blobs/sha256/ab/x/data")
    with pytest.raises(StoreNotFoundError, match="begin with a slash"):
        open_objects(odd.bucket)


def test_an_etag_of_parts_proves_nothing_and_the_link_is_read(odd: Odd, tmp_path: Path) -> None:
    key = f"{V2}/repositories/a/_manifests/tags/1/current/link"
    upload = odd.client.create_multipart_upload(Bucket=odd.name, Key=key)["UploadId"]
    about = {"Bucket": odd.name, "Key": key, "UploadId": upload}
    part = odd.client.upload_part(**about, PartNumber=1, Body=DIGEST.encode())
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    odd.client.complete_multipart_upload(**about, MultipartUpload=parts)
    odd.put(
        f"{V2}/repositories/a/_manifests/tags/1/index/{DIGEST.replace(':', '/')}/link",
        content=DIGEST.encode(),
    )
    storage = open_objects(odd.bucket)
    told = Told(storage, tmp_path / "cache")
    told.index.refresh()
    assert told.tags() == {("a", "1"): DIGEST}
    assert storage.bucket.counts.gets == 1
