"""An object store, over obstore's own in memory: what is no part of the contract that all storages pass."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import cast

import obstore
import pytest
from obstore.store import MemoryStore, ObjectStore

from regfs.errors import (
    GivenUpError,
    MissingError,
    RequirementError,
    SizeError,
    StoreAwayError,
    StoreError,
    StoreGoneError,
    StoreNotFoundError,
    UnreadableError,
    UnsafeError,
    UsageError,
)
from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.blobs import FilesElsewhere, files_elsewhere
from regfs.graph.reports.catalogue import Reports
from regfs.graph.reports.formats import Format, render
from regfs.oci import Descriptor, Digest
from regfs.registry import Contents, layout, open_local
from regfs.registry.evidence import Evidence
from regfs.registry.locate_objects import open_objects
from regfs.registry.survey import Survey
from regfs.storage import FileStat, FileType, WholeStorage
from regfs.storage.objects import Address, Bucket, ObjectStorage, RememberedStorage
from regfs.storage.objects.content import Blocks, ObjectContent

V2 = "docker/registry/v2"


class Counted:
    """A bucket in memory, whose requests are counted by the bucket itself."""

    def __init__(self, address: str = "s3://memory") -> None:
        self.objects = MemoryStore()
        self.bucket = Bucket(Address.parse(address), connect=lambda: self.objects)

    def put(self, *paths: str, content: bytes = b"x") -> None:
        for path in paths:
            obstore.put(self.objects, path, content)

    def asked(self, ask: Callable[[], object]) -> int:
        before = sum(self.bucket.counts)
        ask()
        return sum(self.bucket.counts) - before


@pytest.fixture
def counted() -> Counted:
    return Counted()


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://bucket", ("s3", "bucket", "")),
        ("s3://bucket/", ("s3", "bucket", "")),
        ("S3://bucket/team//prefix/", ("s3", "bucket", "team/prefix")),
        ("gs://bucket/a", ("gs", "bucket", "a")),
        ("az://container/a", ("az", "container", "a")),
        ("abfss://c@account.dfs.core.windows.net/a", ("abfss", "c@account.dfs.core.windows.net", "a")),
    ],
)
def test_an_address_is_read(text: str, parts: tuple[str, str, str]) -> None:
    address = Address.parse(text)
    assert (address.scheme, address.host, address.prefix) == parts
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("http://bucket", "file:///x", "s3://", "s3:///prefix", "s3://a/../b"),
        *("s3://key:secret@bucket/x", "s3://bucket?key=secret", "s3://bucket:80/secret", "s3://secret@b"),
    ],
)
def test_what_is_no_address_is_refused_and_no_password_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["gs://bucket/x", "az://box/x", "abfss://box@account.dfs.core.windows.net/x"]
)
def test_google_and_azure_are_reached_by_the_same_code(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has tried them on the real ones: this sees that what is to ask is made, without a question."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    if text.startswith("az:"):
        with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT_NAME"):
            Address.parse(text).reached_by().connect()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    assert Address.parse(text).reached_by().connect()
    with pytest.raises(UsageError, match="region"):
        Address.parse(text).reached_by(region="eu").connect()


def test_an_endpoint_is_the_options_or_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    address = Address.parse("s3://bucket")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://one:1")
    assert address.reached_by().endpoint == "http://one:1"
    assert address.reached_by("https://two/").endpoint == "https://two"
    assert address.reached_by().identity != address.reached_by("https://two").identity
    for endpoint in ("two", "ftp://two", "https://key:secret@two"):
        with pytest.raises(UsageError) as caught:
            address.reached_by(endpoint)
        assert "secret" not in str(caught.value)


# --- requests, and what their errors mean ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("… status code: 403 Forbidden: <Error><Code>AccessDenied</Code>", UnreadableError, "denies"),
        ("… status code: 403: <Code>SignatureDoesNotMatch</Code>", StoreAwayError, "signs with"),
        ("… status code: 400: <Code>ExpiredToken</Code>", StoreAwayError, "ExpiredToken"),
        ("… status code: 404: <Code>NoSuchBucket</Code>", StoreGoneError, "no store"),
        ("… status code: 403: <Code>InvalidObjectState</Code>", UnreadableError, "archived"),
        ("… status code: 301: <Code>PermanentRedirect</Code>", StoreAwayError, "region="),
        ("… status code: 503: <Code>SlowDown</Code>", StoreAwayError, "SlowDown"),
        ("Error performing GET http://h/b?X-Amz-Signature=secret in 1s - HTTP error: x", StoreAwayError, "x"),
    ],
)
def test_an_error_says_whether_anything_is_known_of_what_lies_there(
    text: str, kind: type[Exception], said: str
) -> None:
    class Refusing:
        def head(self, path: str) -> object:
            raise obstore.exceptions.GenericError(text + "\nDebug source: secret AKIA1234")

    bucket = Bucket(Address.parse("s3://b"), connect=lambda: cast("ObjectStore", Refusing()))
    with pytest.raises(kind, match=said) as caught:
        bucket.head("key")
    assert "secret" not in str(caught.value)


def test_an_answer_that_breaks_off_is_asked_for_once_more(counted: Counted) -> None:
    counted.put("key")
    answers = ["broken", "broken", "broken"]

    class Breaking:
        def head(self, path: str) -> object:
            if answers.pop():
                raise obstore.exceptions.GenericError("HTTP error: request or response body error")
            return obstore.head(counted.objects, path)

    bucket = Bucket(Address.parse("s3://b"), connect=lambda: cast("ObjectStore", Breaking()))
    with pytest.raises(StoreAwayError):
        bucket.head("key")
    assert len(answers) == 1
    bucket = Bucket(Address.parse("s3://b"), connect=lambda: cast("ObjectStore", Breaking()))
    answers.insert(0, "")
    assert bucket.head("key").size == 1


def test_who_gives_up_waits_no_longer(counted: Counted) -> None:
    from threading import Event

    from regfs.errors import GivenUpError

    stuck = Event()

    class Stuck:
        def head(self, path: str) -> object:
            stuck.wait(30)
            raise FileNotFoundError

    bucket = Bucket(Address.parse("s3://b"), lambda: True, lambda: cast("ObjectStore", Stuck()))
    with pytest.raises(GivenUpError):
        bucket.head("key")
    stuck.set()


def test_a_thread_asks_by_itself_where_neither_a_signal_nor_anybody_can_end_its_waiting(
    counted: Counted,
) -> None:
    """To hand a request to another thread costs as much as the request."""
    counted.put("d/f")
    askers: list[str] = []

    class Told:
        def head(self, path: str) -> object:
            askers.append(threading.current_thread().name)
            return obstore.head(counted.objects, path)

    def asked_by(given_up: Callable[[], bool] | None) -> list[str]:
        askers.clear()
        bucket = Bucket(Address.parse("s3://b"), given_up, lambda: cast("ObjectStore", Told()))
        bucket.head("d/f")
        with ThreadPoolExecutor(1, "worker") as pool:
            pool.submit(bucket.head, "d/f").result()
        return askers

    assert asked_by(None) == ["regfs-request", "worker_0"]
    assert asked_by(lambda: False) == ["regfs-request", "regfs-request"]


# --- directories -------------------------------------------------------------------------------------------


def test_a_listing_answers_everything_but_contents(counted: Counted) -> None:
    paths = [f"d/{number:03}/link" for number in range(300)]
    counted.put(*paths, "d-other/x", "d0/x")
    store = ObjectStorage(counted.bucket)
    assert counted.asked(lambda: store.listed("d")) == 1
    listed = store.listed("d")

    def ask() -> None:
        assert len(listed.list("d")) == len(listed) == 300
        assert len(listed.find("d", 1, "link")) == 300
        assert dict(listed.find("d", 1, "other")) == dict.fromkeys(f"{number:03}" for number in range(300))
        assert listed.stat("d/007/link").size == 1
        assert listed.stat("d/007").type is FileType.DIRECTORY
        assert all(listed.stamps(paths))
        with pytest.raises(MissingError):
            listed.stat("d/300/link")
        with pytest.raises(UnsafeError):
            listed.list("d/007/link/below")

    assert counted.asked(ask) == 0
    assert counted.asked(lambda: listed.read("d/007/link", 1)) == 1


def test_the_stamp_of_a_listing_changes_with_whatever_is_below(counted: Counted) -> None:
    store = ObjectStorage(counted.bucket)
    counted.put("d/a/x", "d/b/x")
    seen = [store.listed("d").stamp]
    assert store.listed("d").stamp == seen[0]
    for change in (
        lambda: counted.put("d/a/x", content=b"other"),
        lambda: counted.put("d/c"),
        lambda: obstore.delete(counted.objects, "d/c"),
    ):
        change()
        seen.append(store.listed("d").stamp)
    assert all(one != other for one, other in pairwise(seen))
    assert all(0 < stamp < 10**18 + 1 for stamp in seen)


def test_a_name_that_is_an_object_and_a_directory_is_the_directory(counted: Counted) -> None:
    counted.put("d/a", "d/a-b", "d/a/x")
    store = ObjectStorage(counted.bucket)
    for each in (store.listed("d"), store):
        kinds = dict(each.list("d"))
        assert kinds == {"a": FileType.DIRECTORY, "a-b": FileType.FILE}
    assert dict(store.find("d", 1, "x")).keys() == {"a", "a-b"}


def test_a_store_of_which_all_is_deleted_is_gone_and_not_empty(counted: Counted) -> None:
    counted.put(f"{V2}/repositories/a/_layers/x")
    store = open_objects(counted.bucket)
    assert store.root == f"s3://memory/{V2}"
    assert [name for name, _ in store.list("")] == ["repositories"]
    obstore.delete(counted.objects, f"{V2}/repositories/a/_layers/x")
    for path in ("", "repositories", "blobs"):
        with pytest.raises(StoreGoneError):
            store.list(path)
    counted.put(f"{V2}/blobs/x")
    with pytest.raises(MissingError):
        store.list("repositories")


@pytest.mark.parametrize("above", ["", "team/reg"])
@pytest.mark.parametrize("below", ["", "docker", "docker/registry", V2])
def test_a_store_is_found_at_any_prefix_down_to_v2(above: str, below: str) -> None:
    start, v2 = (re.sub("/+", "/", f"{above}/{path}").strip("/") for path in (below, V2))
    counted = Counted(f"s3://memory/{start}")
    counted.put(f"{v2}/blobs/x", f"{v2.rpartition('/')[0]}/lockfiles/database-in-use")
    store = open_objects(counted.bucket)
    assert [name for name, _ in store.list("")] == ["blobs"]
    assert store.root == f"s3://memory/{v2}"
    # Whatever prefix was given: GitLab's registry says beside the store that its tags are in a database.
    assert store.beside("lockfiles/database-in-use")
    assert not store.beside("lockfiles/other")


@pytest.mark.parametrize(
    ("key", "said"),
    [("other/x", "there is other"), ("oci-layout", "OCI image layout"), ("", "there is nothing")],
)
def test_what_is_no_store_is_said_with_what_is_there(counted: Counted, key: str, said: str) -> None:
    if key:
        counted.put(key)
    with pytest.raises(StoreNotFoundError, match=said):
        open_objects(counted.bucket)


# --- what was listed is remembered -------------------------------------------------------------------------


def test_what_was_gathered_answers_until_its_time_is_over(counted: Counted) -> None:
    now = [0.0]
    tags = [f"repositories/a/_manifests/tags/{number}/current/link" for number in range(50)]
    counted.put(*tags)
    store = RememberedStorage(ObjectStorage(counted.bucket), 10.0, lambda: now[0])
    contents = Contents(store)
    assert counted.asked(lambda: contents.listing("a")) == 2
    ask: Callable[[], object] = lambda: [contents.tag_stat("a", str(number)) for number in range(50)]  # noqa: E731
    assert counted.asked(ask) == 0
    counted.put("repositories/a/_manifests/tags/new/current/link")
    assert "new" not in contents.listing("a").tags
    now[0] = 10.0
    assert "new" in contents.listing("a").tags


def test_blobs_of_one_shard_are_listed_from_the_fourth_on(counted: Counted) -> None:
    digests = [Digest("sha256", f"ab{number:062x}") for number in range(20)]
    counted.put(*(f"blobs/sha256/ab/{digest.hex}/data" for digest in digests))
    contents = Contents(RememberedStorage(ObjectStorage(counted.bucket), 10.0))
    assert counted.asked(lambda: [contents.blob(digest) for digest in digests]) == 3 + 1


# --- what links hold, by their MD5 -------------------------------------------------------------------------


def stat_of(content: bytes, md5: str | None = None) -> FileStat:
    found = hashlib.md5(content).hexdigest() if md5 is None else md5
    return FileStat(FileType.FILE, len(content), 1, 1, 1, found)


def test_a_link_is_proved_by_its_md5_and_by_nothing_else() -> None:
    digests = [f"sha256:{number:064x}" for number in range(3)]
    evidence = Evidence()
    assert evidence.digest(stat_of(digests[1].encode()), digests) == digests[1]
    assert evidence.digest(stat_of(b"another"), digests) is None
    assert evidence.digest(stat_of(digests[1].encode(), ""), digests) is None


def test_etags_that_are_no_md5s_are_found_out_and_links_read() -> None:
    digest = f"sha256:{1:064x}"
    evidence = Evidence()
    odd = stat_of(digest.encode(), "0" * 32)
    assert [evidence.doubts(odd, digest) for _ in range(25)] == [True] * 19 + [False] * 6
    assert evidence.digest(stat_of(digest.encode()), [digest]) is None


def test_a_layer_link_that_holds_something_else_is_read(counted: Counted) -> None:
    names = [f"{number:064x}" for number in range(3)]
    for name in names:
        counted.put(f"d/sha256/{name}/link", content=f"sha256:{name}".encode())
    counted.put(f"d/sha256/{names[2]}/link", content=f"sha256:{names[0]}".encode())
    found, seen = Survey(ObjectStorage(counted.bucket)).listed("d")[0].layer_links("d/sha256", read=True)
    assert sorted(found) == names
    assert [(link.name, link.digest) for link in seen.links] == [(f"sha256:{names[2]}", f"sha256:{names[0]}")]


UPLOADS = "repositories/a/_uploads"
UPLOAD = f"{UPLOADS}/0b1c0f0e-0000-4000-8000-000000000000"
STARTED = b"2026-01-01T00:00:00Z"


def put_upload(counted: Counted, *offsets: object, data: int | None = None) -> None:
    counted.put(f"{UPLOAD}/startedat", content=STARTED)
    counted.put(*(f"{UPLOAD}/hashstates/sha256/{offset}" for offset in offsets))
    if data is not None:
        counted.put(f"{UPLOAD}/data", content=bytes(data))


@pytest.mark.parametrize(
    ("offsets", "data", "size", "at_least"),
    [
        # S3 keeps the bytes in no object.
        ((0, 1048576, 26214400, "odd"), None, 26214400, True),
        ((0,), None, 0, True),
        ((), None, 0, True),
        # GCS keeps the last of them, Azure all.
        ((0, 500), 100, 500, True),
        ((0, 100), 100, 100, False),
        ((0, 100), 300, 300, False),
    ],
)
def test_an_upload_has_at_least_what_its_hashstates_tell(
    counted: Counted, offsets: tuple[object, ...], data: int | None, size: int, at_least: bool
) -> None:
    put_upload(counted, *offsets, data=data)
    (upload,) = Survey(ObjectStorage(counted.bucket)).listed(UPLOADS)[0].uploads("a")[1]
    assert (upload.size, upload.at_least) == (size + len(STARTED) + len(offsets), at_least)


def test_no_report_gives_the_bytes_of_an_upload_in_a_bucket_for_exact(counted: Counted) -> None:
    counted.put(f"blobs/sha256/ab/{'ab' * 32}/data", content=b"orphan")
    counted.put(f"repositories/a/_layers/sha256/{'ab' * 32}/link", content=f"sha256:{'ab' * 32}".encode())
    put_upload(counted, 2048)
    storage = ObjectStorage(counted.bucket)
    reports = Reports(ReferenceIndex(storage, "s3://memory", None, ttl=float("inf")), Contents(storage))
    size = 2048 + len(STARTED) + 1

    def told(report: str, form: Format) -> str:
        with reports.making(report) as table:
            return "".join(render(table, form))

    (upload,) = json.loads(told("uploads", Format.JSON))
    assert (upload["size"], upload["at_least"]) == (size, True)
    (repository,) = json.loads(told("repositories", Format.JSON))
    assert (repository["uploads"], repository["uploads_at_least"]) == (size, True)
    summary = json.loads(told("summary", Format.JSON))
    assert (summary["upload_bytes"], summary["uploads_at_least"]) == (size, True)
    assert (summary["purge_bytes"], summary["purge_at_least"]) == (size, True)
    for report, places in (("uploads", 1), ("repositories", 1), ("summary", 3)):
        shown = told(report, Format.TABLE)
        assert (shown.count("≥2.0K"), shown.count("2.0K")) == (places, places), shown
        assert "≥" not in told(report, Format.CSV)
    page = reports.page().decode()
    assert "stored, at least" in page
    assert f'<strong>at least <data value="{size}"' in page
    assert 'uploads_at_least":true' in page


def put_store(counted: Counted, *, odd: bool) -> None:
    """Put repositories, nested ones among them, with uploads; with `odd`, files that are none of it."""
    manifest = b'{"schemaVersion":2}'
    digest = Digest.of(manifest)
    link = str(digest).encode()
    counted.put(layout.blob_data(digest), content=manifest)
    for name in ("one", "two", "two/nested", "three/deep"):
        counted.put(f"repositories/{name}/_layers/sha256/{digest.hex}/link", content=link)
        counted.put(f"repositories/{name}/_manifests/revisions/sha256/{digest.hex}/link", content=link)
        counted.put(f"repositories/{name}/_manifests/tags/1/current/link", content=link)
        counted.put(f"repositories/{name}/_manifests/tags/1/index/sha256/{digest.hex}/link", content=link)
        upload = f"repositories/{name}/_uploads/0b1c0f0e-0000-4000-8000-000000000000"
        counted.put(f"{upload}/startedat", content=STARTED)
        if odd:
            for below in ("", "_layers/", "_manifests/tags/", "_uploads/", "_other/", "_layers/sha256/"):
                counted.put(f"repositories/{name}/{below}note")
    if odd:
        shard = layout.shard(digest.algorithm, digest.hex[:2])
        counted.put("note", f"{shard}/note", "blobs/note", "repositories/note", "repositories/three/note")


def what_lies_elsewhere(storage: WholeStorage) -> tuple[FilesElsewhere, ReferenceIndex]:
    index = ReferenceIndex(storage, "store", None, ttl=float("inf"))
    index.refresh(thorough=True)
    with index.snapshot() as snapshot:
        return files_elsewhere(snapshot), index


def test_a_thorough_pass_finds_what_lies_elsewhere_in_the_listings_that_it_makes(
    counted: Counted, tmp_path: Path
) -> None:
    """Each shard and each repository is listed once, and everything is found that is in a directory."""
    put_store(counted, odd=True)
    for page in obstore.list(counted.objects):
        for meta in page:
            file = tmp_path / meta["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(obstore.get(counted.objects, meta["path"]).bytes()))
    here, _ = what_lies_elsewhere(open_local(str(tmp_path)))
    there, index = what_lies_elsewhere(ObjectStorage(counted.bucket))
    assert there == here
    assert here.number == 4 * 6 + 5
    index.refresh(thorough=True)
    with index.snapshot() as snapshot:
        assert files_elsewhere(snapshot) == here
    obstore.delete(counted.objects, ["repositories/one/note", "repositories/two/nested/_layers/note"])
    index.refresh(thorough=True)
    with index.snapshot() as snapshot:
        assert files_elsewhere(snapshot).number == here.number - 2


def test_a_thorough_pass_makes_few_more_requests_than_a_plain_one(counted: Counted) -> None:
    put_store(counted, odd=False)
    _, index = what_lies_elsewhere(ObjectStorage(counted.bucket))

    def lists(*, thorough: bool) -> int:
        before = counted.bucket.counts.lists
        index.refresh(thorough=thorough)
        return counted.bucket.counts.lists - before

    lists(thorough=False)
    # The top, blobs/, its algorithm, repositories/, and the two that lead to others.
    assert lists(thorough=True) - lists(thorough=False) <= 6


# --- contents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (5 << 20) + 17])
def test_any_range_is_what_stands_there(counted: Counted, size: int) -> None:
    content = random.Random(size).randbytes(size)
    counted.put("f", content=content)
    opened = ObjectContent(counted.bucket, "f", size, Blocks())
    chance = random.Random(1)
    for _ in range(40):
        offset, length = chance.randrange(size + 10), chance.choice((1, 4096, 131072, 3 << 20))
        buffer = bytearray(length)
        got = opened.read_into(memoryview(buffer), offset)
        assert buffer[:got] == content[offset : offset + length]
        assert b"".join(opened.parts(offset, length)) == content[offset : offset + length]
    opened.close()


def test_who_reads_in_order_causes_few_requests_and_holds_no_more_than_the_room(counted: Counted) -> None:
    size, step = 40 << 20, 128 << 10
    counted.put("f", content=bytes(size))
    blocks = Blocks(16 << 20)
    opened = ObjectContent(counted.bucket, "f", size, blocks)
    buffer = memoryview(bytearray(step))
    free = []
    for offset in range(0, size, step):
        assert opened.read_into(buffer, offset) == step
        assert b"".join(opened.parts(offset, step)) == buffer
        free.append(blocks.free)
    assert counted.bucket.counts.gets < 30
    assert min(free) >= -(8 << 20)  # what somebody waits for is read, room or not
    opened.close()
    assert blocks.free == 16 << 20


def test_what_was_seen_just_now_is_opened_without_a_request(counted: Counted) -> None:
    counted.put("a/f", content=b"bytes")
    storage = ObjectStorage(counted.bucket)
    assert counted.asked(lambda: storage.open("a/f", 5)) == 0
    assert counted.asked(lambda: RememberedStorage(storage, 1.0).open("a/f", 5)) == 0
    assert counted.asked(lambda: storage.open("a/f")) == 1


def test_a_blob_is_opened_by_one_look(counted: Counted) -> None:
    digest = Digest.of(b"bytes")
    counted.put(layout.blob_data(digest), content=b"bytes")
    graph = Graph(Contents(ObjectStorage(counted.bucket)))
    named = Descriptor("", digest, 5)
    assert counted.asked(lambda: graph.open_sound("app", named)) == 1
    with pytest.raises(SizeError):
        graph.open_sound("app", Descriptor("", digest, 6))


def test_what_is_deleted_or_cut_short_while_it_is_read_is_an_error(counted: Counted) -> None:
    for damage, said in (
        (lambda: obstore.delete(counted.objects, "f"), "deleted"),
        (lambda: counted.put("f", content=b"short"), "shorter"),
    ):
        counted.put("f", content=bytes(1 << 20))
        opened = ObjectStorage(counted.bucket).open("f")
        damage()
        with pytest.raises(StoreError, match=said):
            opened.read_into(memoryview(bytearray(4096)), 0)
        opened.close()


class Giving(BaseHTTPRequestHandler):
    """Answers a GET of a range as S3 does, as far and as fast as the server was told."""

    server: Giver
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        given = self.server
        first, last = map(int, re.findall(r"\d+", self.headers["Range"]))
        given.asked.append((first, last + 1))
        self.send_response(206)
        size = len(given.content)
        headers = {
            "Content-Length": last + 1 - first,
            "Content-Range": f"bytes {first}-{last}/{size}",
            "ETag": '"x"',
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        }
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        with suppress(OSError):
            for at in range(first, last + 1, given.STEP):
                if at - first >= given.breaks_after:
                    self.close_connection = True
                    return
                assert given.may.wait(20)
                time.sleep(given.pause)
                self.wfile.write(given.content[at : min(at + given.STEP, last + 1)])
                given.sent += min(given.STEP, last + 1 - at)


class Giver(ThreadingHTTPServer):
    """A server of one object, which breaks off, is slow, or waits until it may give more."""

    STEP = 128 << 10

    def __init__(self, size: int) -> None:
        super().__init__(("127.0.0.1", 0), Giving)
        self.content = random.Random(size).randbytes(size)
        #: The ranges that were asked for, and the bytes that were sent.
        self.asked: list[tuple[int, int]] = []
        self.sent = 0
        #: Bytes after which an answer breaks off; seconds between two steps; whether any may be given.
        self.breaks_after, self.pause = float("inf"), 0.0
        self.may = threading.Event()
        self.may.set()

    def opened(self, timeout: float = 1.0, blocks: Blocks | None = None) -> ObjectContent:
        endpoint = f"http://127.0.0.1:{self.server_port}"
        address = Address.parse("s3://bucket").reached_by(endpoint, anonymous=True, timeout=timeout)
        return ObjectContent(Bucket(address), "f", len(self.content), blocks or Blocks())


@pytest.fixture
def giver() -> Iterator[Giver]:
    with Giver(12 << 20) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield server
        server.may.set()
        server.shutdown()
        serving.join()


def in_order(content: ObjectContent, size: int, step: int = 256 << 10) -> bytes:
    return b"".join(part for offset in range(0, size, step) for part in content.parts(offset, step))


@pytest.mark.parametrize(("breaks_after", "pause"), [(1_500_000, 0.0), (float("inf"), 0.06)])
def test_an_answer_that_breaks_off_or_takes_long_is_gone_on_with_where_it_ended(
    giver: Giver, breaks_after: float, pause: float
) -> None:
    """A request may take one second here, which is a quarter of what the largest of these ranges takes."""
    giver.breaks_after, giver.pause = breaks_after, pause
    content = giver.opened()
    assert in_order(content, len(giver.content)) == giver.content
    assert len(giver.asked) > len({end for _, end in giver.asked})  # some were asked for again
    assert giver.sent < 2 * len(giver.content)
    content.close()


def test_who_reads_in_order_gives_room_back_as_he_goes_on(giver: Giver) -> None:
    blocks = Blocks()
    content = giver.opened(timeout=20, blocks=blocks)
    assert in_order(content, len(giver.content)) == giver.content
    assert 0 < Blocks().free - blocks.free < 6 << 20  # he may come back to what was read just now
    content.close()
    assert blocks.free == Blocks().free


def test_a_store_that_gives_nothing_more_is_away(giver: Giver) -> None:
    giver.breaks_after = 0
    content = giver.opened()
    with pytest.raises(StoreAwayError):
        content.parts(0, 4096)
    content.close()


def test_who_waits_gets_his_bytes_though_another_reads_elsewhere(giver: Giver) -> None:
    """That one has what is read ahead forgotten: it is no damage of the object."""
    content = giver.opened(timeout=20)
    giver.may.clear()
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(content.parts, 0, 4096)
        while not giver.asked:
            time.sleep(0.01)
        elsewhere = threads.submit(content.parts, 8 << 20, 4096)
        while len(giver.asked) < 2:
            time.sleep(0.01)
        giver.may.set()
        assert b"".join(waiting.result(20)) == giver.content[:4096]
        assert b"".join(elsewhere.result(20)) == giver.content[8 << 20 :][:4096]
    content.close()


def test_where_there_can_be_no_more_threads_whoever_reads_asks_himself(
    giver: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        if thread.name == "regfs-request":
            raise RuntimeError("can't start new thread")
        started(thread)

    started = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start)
    content = giver.opened()
    assert in_order(content, len(giver.content)) == giver.content
    content.close()


def test_what_is_closed_is_received_no_further_and_gives_its_room_back(giver: Giver) -> None:
    giver.pause = 0.01
    blocks = Blocks()
    content = giver.opened(timeout=20, blocks=blocks)
    in_order(content, 2 << 20)
    assert sum(end - start for start, end in giver.asked) == len(giver.content)
    content.close()
    assert blocks.free == Blocks().free
    with pytest.raises(GivenUpError):
        content.parts(0, 4096)
    sent, again = -1, giver.sent
    while again != sent:
        time.sleep(0.3)
        sent, again = again, giver.sent
    assert sent < len(giver.content)


# --- where it is not installed -----------------------------------------------------------------------------


def test_without_obstore_an_error_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RequirementError, match=r"pip install 'regfs\[s3\]'"):
        Address.parse("s3://bucket").connect()
