"""The store in the registry's terms, over a store in memory."""

from __future__ import annotations

import pytest

from regfs.errors import LinkError, MissingError, TooLargeError, UnsafeError
from regfs.oci import Digest
from regfs.registry import Contents
from regfs.storage import FileType
from tests.unit.memory_store import MemoryStore, Stored

A, B = Digest.of(b"a"), Digest.of(b"b")
SHA512 = Digest.of(b"a", "sha512")


@pytest.fixture
def memory() -> MemoryStore:
    store = MemoryStore()
    store.mkdir("repositories")
    return store


@pytest.fixture
def contents(memory: MemoryStore) -> Contents:
    return Contents(memory)


def link_tag(memory: MemoryStore, name: str, tag: str, content: bytes | Digest, mtime_ns: int = 0) -> None:
    content = str(content).encode() if isinstance(content, Digest) else content
    memory.write(f"repositories/{name}/_manifests/tags/{tag}/current/link", content, mtime_ns)


def test_a_listing_tells_nested_names_and_tags_in_order(memory: MemoryStore, contents: Contents) -> None:
    for name in ("team/app/sub", "team/app/other", "zoo"):
        memory.mkdir(f"repositories/{name}/_layers")
    for tag in ("2", "1", "latest"):
        link_tag(memory, "team/app", tag, A)
    top, namespace, repository = (contents.listing(name) for name in ("", "team", "team/app"))
    assert (top.repository, list(top.nested), top.tags) == (False, ["team", "zoo"], {})
    assert (namespace.repository, list(namespace.nested)) == (False, ["app"])
    assert (repository.repository, list(repository.nested)) == (True, ["other", "sub"])
    assert list(repository.tags) == ["1", "2", "latest"]
    assert all(repository.tags.values())


@pytest.mark.parametrize("mark", ["_layers", "_manifests"])
def test_either_mark_makes_a_repository(memory: MemoryStore, contents: Contents, mark: str) -> None:
    """2.x makes `_layers`, 3.x tells by `_manifests`."""
    memory.mkdir(f"repositories/app/{mark}")
    assert contents.listing("app").repository
    assert contents.listing("app").tags == {}


def test_uploads_alone_make_no_repository(memory: MemoryStore, contents: Contents) -> None:
    memory.mkdir("repositories/app/_uploads")
    assert not contents.listing("app").repository


@pytest.mark.parametrize("name", ["_referrers", "_x", ".nfs0001", ".snapshot", "lost+found"])
def test_names_that_are_no_repositorys_are_passed_over(
    memory: MemoryStore, contents: Contents, name: str
) -> None:
    memory.mkdir(f"repositories/{name}")
    assert contents.listing("").nested == {}
    assert contents.nested("", name) is None


def test_plain_files_among_the_names_are_passed_over(memory: MemoryStore, contents: Contents) -> None:
    memory.write("repositories/app/README", b"x")
    memory.write("repositories/app/_manifests/tags/notes", b"x")
    memory.write("repositories/app/_manifests/tags/.nfs01/current/link", b"x")
    listing = contents.listing("app")
    assert (listing.nested, listing.tags) == ({}, {})


@pytest.mark.parametrize("name", ["Upper/x", "a b", "a\nb", "\udcff", "-a", "a" * 256])
def test_names_that_the_registry_cannot_have_made_are_unsound(
    memory: MemoryStore, contents: Contents, name: str
) -> None:
    above, _, last = name.rpartition("/")
    memory.mkdir(f"repositories/{name}/{'Up' if above else 'x'}")
    if above:
        above, last = name, "Up"
    assert contents.listing(above).nested[last] is False
    assert contents.nested(above, last) is False


def test_a_symlink_in_a_directorys_place_is_listed_as_unsound(
    memory: MemoryStore, contents: Contents
) -> None:
    memory.put("repositories/app", Stored(FileType.SYMLINK))
    memory.put("repositories/team/_manifests/tags/1.0", Stored(FileType.SYMLINK))
    assert contents.listing("").nested == {"app": False, "team": True}
    assert contents.listing("team").tags == {"1.0": False}


def test_one_name_is_told_as_the_listing_tells_it(memory: MemoryStore, contents: Contents) -> None:
    memory.mkdir("repositories/team/app")
    memory.mkdir("repositories/team/Not Ours")
    memory.write("repositories/team/file", b"")
    link_tag(memory, "team", "1.0", A)
    memory.mkdir("repositories/team/_manifests/tags/bad tag")
    listing = contents.listing("team")
    for name in ("app", "Not Ours", "file", "1.0", "bad tag", "nothing", "_manifests", ".."):
        assert contents.nested("team", name) == listing.nested.get(name)
        assert contents.tagged("team", name) == listing.tags.get(name)


def test_a_name_that_is_not_there_is_missing(contents: Contents) -> None:
    with pytest.raises(MissingError):
        contents.listing("nothing")


def test_there_are_no_tags_at_the_top(memory: MemoryStore, contents: Contents) -> None:
    memory.mkdir("repositories/_manifests/tags/1.0")
    assert contents.tagged("", "1.0") is None


def test_an_empty_name_is_no_tag(memory: MemoryStore, contents: Contents) -> None:
    link_tag(memory, "app", "1.0", A)
    assert contents.tagged("app", "") is None


def test_the_tag_tells_its_digest_and_when_it_was_pushed(memory: MemoryStore, contents: Contents) -> None:
    link_tag(memory, "app", "1.0", A, mtime_ns=1_700_000_000_000_000_001)
    assert contents.tag("app", "1.0")[1] == A
    assert contents.tag_stat("app", "1.0").mtime_ns == 1_700_000_000_000_000_001


@pytest.mark.parametrize(
    "content", [b"", b"x", str(A).encode() + b"\n", b"../../../../etc/passwd", b"\xff" * 71]
)
def test_a_link_without_a_digest_is_named(memory: MemoryStore, contents: Contents, content: bytes) -> None:
    link_tag(memory, "app", "1.0", content)
    with pytest.raises(LinkError, match=r"tags/1\.0/current/link: not a digest"):
        contents.tag("app", "1.0")


def test_a_link_larger_than_any_digest_is_not_read(memory: MemoryStore, contents: Contents) -> None:
    link_tag(memory, "app", "1.0", b"x" * 1000)
    with pytest.raises(TooLargeError):
        contents.tag("app", "1.0")


def test_a_link_that_is_no_plain_file_tells_no_time(memory: MemoryStore, contents: Contents) -> None:
    memory.put("repositories/app/_manifests/tags/1.0/current/link", Stored(FileType.OTHER))
    with pytest.raises(UnsafeError):
        contents.tag_stat("app", "1.0")
    with pytest.raises(UnsafeError):
        contents.tag("app", "1.0")


def test_a_layers_link_is_found_under_every_algorithm_but_not_a_deleted_one(
    memory: MemoryStore, contents: Contents
) -> None:
    layers = "repositories/app/_layers"
    memory.write(f"{layers}/sha256/{A.hex}/link", str(A).encode())
    memory.write(f"{layers}/sha512/{SHA512.hex}/link", str(A).encode())
    memory.mkdir(f"{layers}/sha256/{B.hex}")  # what a deletion leaves
    memory.mkdir(f"{layers}/sha256/nonsense")
    memory.mkdir(f"{layers}/tarsum/v1/sha256/{A.hex}")
    assert contents.layer_link("app", SHA512) == A
    with pytest.raises(MissingError):
        contents.layer_link("app", B)


def test_revisions_and_history_are_found(memory: MemoryStore, contents: Contents) -> None:
    memory.write(f"repositories/app/_manifests/revisions/sha256/{A.hex}/link", str(A).encode())
    for digest in (A, B):
        memory.write(
            f"repositories/app/_manifests/tags/1.0/index/sha256/{digest.hex}/link", str(digest).encode()
        )
    assert contents.revision("app", A) == A
    assert {entry.name for entry in contents.tag_history("app", "1.0")} == {A, B}
    assert list(contents.tag_history("app", "other")) == []


def test_unfinished_uploads_are_found(memory: MemoryStore, contents: Contents) -> None:
    memory.write("repositories/app/_uploads/b/data", b"x")
    memory.write("repositories/app/_uploads/a/startedat", b"2024-01-02T03:04:05Z")
    memory.write("repositories/app/_uploads/.nfs1", b"")
    assert contents.uploads("app") == ["a", "b"]
    assert contents.uploads("other") == []


def test_blobs_are_found_under_every_algorithm(memory: MemoryStore, contents: Contents) -> None:
    for digest in (A, B, SHA512):
        memory.write(f"blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/data", b"x")
    memory.mkdir("blobs/sha256/zz/nonsense")
    memory.mkdir("blobs/sha256/00")
    memory.write("blobs/.tmp", b"")
    assert contents.algorithms() == ["sha256", "sha512"]
    assert set(contents.blobs_of("sha256")) == {A, B}
    assert set(contents.blobs_of("sha512")) == {SHA512}


def test_a_shard_that_cannot_be_read_fails_the_list_of_blobs_behind_all_others(
    memory: MemoryStore, contents: Contents
) -> None:
    for digest in (A, B):
        memory.write(f"blobs/sha256/{digest.hex[:2]}/{digest.hex}/data", b"x")
    memory.put("blobs/sha256/00", Stored(FileType.SYMLINK, b"/elsewhere"))
    listing = contents.blobs_of("sha256")
    assert {next(listing), next(listing)} == {A, B}
    with pytest.raises(UnsafeError):
        next(listing)


def test_a_blob_tells_its_size_and_is_read(memory: MemoryStore, contents: Contents) -> None:
    memory.write(f"blobs/sha256/{A.hex[:2]}/{A.hex}/data", b"a", mtime_ns=7)
    assert (contents.blob(A).size, contents.blob(A).mtime_ns) == (1, 7)
    assert contents.read_blob(A, 1) == b"a"
    with pytest.raises(MissingError):
        contents.blob(B)


def test_a_blob_that_is_no_plain_file_is_unsafe(memory: MemoryStore, contents: Contents) -> None:
    memory.put(f"blobs/sha256/{A.hex[:2]}/{A.hex}/data", Stored(FileType.SYMLINK))
    with pytest.raises(UnsafeError, match="symbolic link, not a file"):
        contents.blob(A)


def test_a_directory_has_the_time_of_its_tags(memory: MemoryStore, contents: Contents) -> None:
    memory.put("repositories/app/_manifests/tags", Stored(FileType.DIRECTORY, mtime_ns=5))
    memory.put("repositories/team", Stored(FileType.DIRECTORY, mtime_ns=6))
    assert contents.directory("app").mtime_ns == 5
    assert contents.directory("team").mtime_ns == 6
    assert contents.directory("").type is FileType.DIRECTORY
