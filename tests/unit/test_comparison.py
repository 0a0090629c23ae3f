"""Two stores compared by content: disks by hashes, buckets by ETags; nothing is claimed without a proof."""

from __future__ import annotations

import hashlib
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from regfs.graph.index.blobs import NumberedBlob, Sum
from regfs.graph.reports.comparison import Compared, Comparison, Holds
from regfs.graph.reports.hashing import Throttle
from regfs.oci import Digest
from regfs.registry import Contents, layout, open_local
from regfs.storage.objects import Address, Bucket, ObjectStorage
from regfs.storage.objects.bucket import Key

SOUND, OTHER, UNTOLD = Holds.SOUND, Holds.OTHER, Holds.UNTOLD


def plain(content: bytes) -> str:
    """The ETag of an object that was put in one piece."""
    return hashlib.md5(content).hexdigest()


def in_parts(content: bytes) -> str:
    return f"{plain(plain(content).encode())}-2"


def encrypted(content: bytes) -> str:
    """Looks like an MD5, and is none."""
    return plain(b"key" + content)


class Tagged(Bucket):
    """A bucket in memory whose ETags are made like those of real ones: obstore's own are numbers."""

    def __init__(self, etag: object) -> None:
        self.objects = MemoryStore()
        self.etag = etag
        super().__init__(Address.parse("s3://memory"), connect=lambda: self.objects)

    def keys(self, path: str, offset: str = "", end: str = "") -> list[Key]:
        found = super().keys(path, offset, end)
        contents = (bytes(obstore.get(self.objects, key.path).bytes()) for key in found)
        return [key._replace(etag=self.etag(content)) for key, content in zip(found, contents, strict=True)]  # type: ignore[operator]


class Side:
    """One of the two stores: a directory, or a bucket with such ETags."""

    def __init__(self, place: Path, etag: object) -> None:
        self.bucket = Tagged(etag) if etag else None
        self._root = place
        (place / "blobs").mkdir(parents=True)
        self.contents = Contents(ObjectStorage(self.bucket) if self.bucket else open_local(place))

    def put(self, digest: Digest, content: bytes) -> None:
        path = layout.blob_data(digest)
        if self.bucket:
            obstore.put(self.bucket.objects, path, content)
        else:
            (self._root / path).parent.mkdir(parents=True)
            (self._root / path).write_bytes(content)


def compared(
    place: Path, etags: tuple[object, object], blobs: list[tuple[bytes, bytes, bytes]]
) -> tuple[Comparison, list[Side], list[str]]:
    """Compare stores that hold such blobs: of each the bytes of its digest, and those in either store."""
    sides = [Side(place / name, etag) for name, etag in zip("ab", etags, strict=True)]
    numbered = []
    for number, (true, *held) in enumerate(blobs):
        digest = Digest.of(true)
        numbered.append(NumberedBlob(number, str(digest), len(true)))
        for side, content in zip(sides, held, strict=True):
            side.put(digest, content)
    work = Comparison(*(side.contents for side in sides), Throttle(None), 2)
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size

    work.run(sorted(numbered, key=lambda blob: blob.digest), progress)
    assert done == sum(blob.size for blob in numbered)
    return work, sides, [blob.digest for blob in numbered]


GOOD, BAD = b"what it should be", b"what it should b3"


@pytest.mark.parametrize(
    ("etags", "first", "second", "found", "untold"),
    [
        # Two directories: both are hashed.
        ((None, None), GOOD, GOOD, None, 0),
        ((None, None), BAD, GOOD, Compared(OTHER, SOUND), 0),
        ((None, None), GOOD, BAD, Compared(SOUND, OTHER), 0),
        ((None, None), BAD, BAD, Compared(OTHER, OTHER), 0),
        # A bucket and a directory.
        ((plain, None), GOOD, GOOD, None, 0),
        ((plain, None), BAD, GOOD, Compared(OTHER, SOUND), 0),
        ((plain, None), GOOD, BAD, Compared(UNTOLD, OTHER), 0),
        ((None, plain), BAD, GOOD, Compared(OTHER, UNTOLD), 0),
        ((None, plain), GOOD, BAD, Compared(SOUND, OTHER), 0),
        ((encrypted, None), GOOD, GOOD, None, 0),
        # Of an object in parts nothing is said; the directory's file is hashed all the same.
        ((in_parts, None), BAD, GOOD, None, 1),
        ((in_parts, None), GOOD, BAD, Compared(UNTOLD, OTHER), 0),
        # Two buckets: what has one ETag is the same, what has two is read.
        ((plain, plain), BAD, BAD, None, 0),
        ((plain, plain), BAD, GOOD, Compared(OTHER, SOUND), 0),
        ((plain, encrypted), GOOD, GOOD, None, 0),
        ((plain, in_parts), GOOD, BAD, None, 1),
    ],
)
def test_what_is_otherwise_is_told_by_a_proof_or_not_at_all(
    tmp_path: Path,
    etags: tuple[object, object],
    first: bytes,
    second: bytes,
    found: Compared | None,
    untold: int,
) -> None:
    work, _, (digest,) = compared(tmp_path, etags, [(GOOD, first, second)])
    assert work.otherwise == ({digest: found} if found else {})
    assert work.untold == Sum(untold, untold * len(GOOD))


def test_an_etag_that_is_the_md5_saves_every_get(tmp_path: Path) -> None:
    blobs = [(f"blob {number}".encode(),) * 3 for number in range(40)]
    _, (first, _), _ = compared(tmp_path, (plain, None), blobs)
    assert first.bucket is not None
    shards = len({Digest.of(true).hex[:2] for true, _, _ in blobs})
    assert (first.bucket.counts.lists, first.bucket.counts.gets) == (shards, 0)


def test_a_store_whose_etags_are_no_md5s_is_found_out_and_not_read_whole(tmp_path: Path) -> None:
    blobs = [(f"blob {number}".encode(),) * 3 for number in range(40)]
    work, (first, _), _ = compared(tmp_path, (encrypted, None), blobs)
    assert work.otherwise == {}
    assert first.bucket is not None
    assert 20 <= first.bucket.counts.gets <= 21  # two at once
    assert work.untold.number == 40 - first.bucket.counts.gets


def test_what_the_second_store_cannot_give_is_not_read(tmp_path: Path) -> None:
    sides = [Side(tmp_path / name, None) for name in "ab"]
    digest = Digest.of(GOOD)
    sides[0].put(digest, GOOD)
    data = tmp_path / "b" / layout.blob_data(digest)
    data.mkdir(parents=True)
    work = Comparison(*(side.contents for side in sides), Throttle(None), 1)
    work.run([NumberedBlob(1, str(digest), len(GOOD))], lambda size: None)
    assert work.otherwise == {str(digest): Compared(SOUND, Holds.UNREAD)}
    data.rmdir()
    work = Comparison(*(side.contents for side in sides), Throttle(None), 1)
    work.run([NumberedBlob(1, str(digest), len(GOOD))], lambda size: None)
    assert (work.otherwise, work.untold) == ({}, Sum(0, 0))  # gone since it was listed
