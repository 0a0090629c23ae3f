"""What regfs tells of a bucket is what it tells of a directory that a registry filled by the same pushes."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import obstore
import pytest
from obstore.store import S3Store

from regfs.oci import Digest
from regfs.registry.layout import blob_data
from tests.conftest import REGFS, Mount, output, run
from tests.objects.pair import Pair, opened
from tests.objects.server import BUCKET, Seaweed
from tests.registry.told import Row, Told

pytestmark = [pytest.mark.objects, pytest.mark.registry]

#: What differs between two registries' storages, or between a file and an object, by nature: times, blocks on
#: a disk, and of an upload its random id.
_TIMES = {"pushed", "stored", "changed", "started", "created_by", "pushed_first", "pushed_last"}
_OTHERWISE = {*_TIMES, "blocks", "upload"}


def compared(report: str, rows: list[Row]) -> list[Row]:
    kept = [{name: value for name, value in row.items() if name not in _OTHERWISE} for row in rows]
    for row in kept:
        # A bucket keeps the bytes of an upload in no object.
        row.pop("uploads_at_least", None)
        if report == "uploads":
            del row["files"], row["at_least"]
        if report == "summary":
            note = re.sub(r"[0-9.]+[KMG]? of disk|\d{4}-\d\d-\d\dT[0-9:]+Z", "…", str(row["note"]))
            row["note"] = note.partition("; at least")[0]
    return sorted(kept, key=repr)


def test_all_reports_are_equal_but_for_times_and_blocks(keys: Seaweed, pair: Pair, tmp_path: Path) -> None:
    bucket = Told(opened(keys, pair.prefix), tmp_path / "bucket")
    directory = Told(pair.root, tmp_path / "directory")
    there, here = bucket.everything(), directory.everything()
    assert there.keys() == here.keys()
    for name in here:
        assert compared(name, there[name]) == compared(name, here[name]), name
    # And with the truth.
    truth, skopeo = pair.pushes.states(), 2 + 2 + 4  # manifests, configs, layers
    assert truth.orphaned == bucket.states().orphaned
    assert truth.tagged <= bucket.states().tagged
    others = (bucket.states().tagged | bucket.states().untagged) - truth.tagged - truth.untagged
    assert len(others) == skopeo
    pushed = {name: digest for name, digest in bucket.tags().items() if name[0] != "by-skopeo/app"}
    assert pushed == pair.pushes.tags
    for told, at_least in ((bucket, True), (directory, False)):
        assert [bool(row["at_least"]) for row in told.rows("uploads")] == [at_least] * pair.pushes.uploads
        assert ("at least" in told.summary("stored", "uploads")["note"]) == at_least


def test_no_link_is_fetched_where_the_etags_are_md5s(keys: Seaweed, pair: Pair, tmp_path: Path) -> None:
    storage = opened(keys, pair.prefix)
    told = Told(storage, tmp_path / "cache")
    told.index.refresh()
    gets = storage.bucket.counts.gets
    # Manifests are read once, and of each upload its date.
    stored = {digest for held in pair.pushes.revisions.values() for digest in held}
    assert gets == len(stored) + len({"1.0", "2.0"}) + pair.pushes.uploads
    told.index.refresh()
    told.index.refresh(thorough=True)
    assert storage.bucket.counts.gets - gets <= pair.pushes.uploads


def test_a_refresh_sees_each_change_that_a_registry_makes(keys: Seaweed, tmp_path: Path) -> None:
    from tests.objects.pair import s3_storage
    from tests.registry.random_pushes import RandomPushes
    from tests.registry.server import Registry

    registry = Registry(tmp_path / "root", tmp_path, s3_storage(keys, "changes"))
    try:
        pushes = RandomPushes(registry.api, 7)
        pushes.run(12)
        told = Told(opened(keys, "changes"), tmp_path / "cache")
        for _ in range(6):
            pushes.run(5)
            assert told.states() == pushes.states()
            assert told.tags() == pushes.tags
            assert len(told.rows("uploads")) == pushes.uploads
        anew = Told(opened(keys, "changes"), tmp_path / "anew")
        assert told.everything() == anew.everything()
    finally:
        registry.end()


def test_diff_compares_a_bucket_with_a_directory(keys: Seaweed, pair: Pair) -> None:
    same = run(*REGFS, "diff", pair.address, pair.root)
    assert (same.returncode, "tags: 0 added, 0 removed, 0 moved" in same.stderr) == (0, True), same.stderr


def test_what_the_copy_lacks_is_told_and_what_has_another_size(
    keys: Seaweed, pair: Pair, tmp_path: Path
) -> None:
    import shutil

    copy = Path(shutil.copytree(pair.root, tmp_path / "copy"))
    told = Told(pair.root, tmp_path / "cache")
    needed = sorted(
        row["digest"] for row in told.rows("blobs") if row["state"] == "tagged" and row["size"] > 9
    )
    for digest, size in ((needed[0], None), (needed[1], 5)):
        encoded = digest.partition(":")[2]
        data = copy / f"docker/registry/v2/blobs/sha256/{encoded[:2]}/{encoded}/data"
        if size is None:
            data.unlink()
        else:
            os.truncate(data, size)
    done = run(*REGFS, "diff", "--wide", "--show", "blobs", pair.address, copy)
    assert done.returncode == 1
    assert re.search(rf"{needed[0]}.*missing", done.stdout)
    assert re.search(rf"{needed[1]}.*other size", done.stdout)


@pytest.fixture
def changeable(keys: Seaweed, pair: Pair, tmp_path: Path) -> Changeable:
    """The same pushes in a prefix and a directory that a test may change."""
    import shutil

    prefix = f"copies/{tmp_path.name}"
    bucket = keys.objects()
    root = Path(shutil.copytree(pair.root, tmp_path / "copy"))
    for page in obstore.list(bucket, pair.prefix):
        for meta in page:
            path = meta["path"]
            obstore.put(bucket, path.replace(pair.prefix, prefix, 1), obstore.get(bucket, path).bytes())
    told = Told(pair.root, tmp_path / "cache")
    tagged = sorted(row["digest"] for row in told.rows("blobs") if row["state"] == "tagged")
    assert len(tagged) > 12
    return Changeable(bucket, prefix, root, tagged)


class Changeable(NamedTuple):
    """A bucket's prefix, a directory, and the digests of what tags need."""

    bucket: S3Store
    prefix: str
    root: Path
    tagged: list[str]

    @property
    def address(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    def key(self, digest: str) -> str:
        return f"{self.prefix}/docker/registry/v2/{blob_data(Digest.parse(digest))}"

    def file(self, digest: str) -> Path:
        return self.root / "docker/registry/v2" / blob_data(Digest.parse(digest))

    def content(self, digest: str) -> bytes:
        return self.file(digest).read_bytes()

    def diff(self, *options: str) -> tuple[dict[str, str], str]:
        """Give what `there` says of each blob that is listed, and what is said beside."""
        command = ("diff", "--digests", "--format", "csv", "--show", "blobs", *options)
        done = run(*REGFS, *command, self.address, self.root)
        rows = {row["digest"]: row["there"] for row in csv.DictReader(done.stdout.splitlines())}
        assert done.returncode == (1 if rows else 0), done.stderr
        return rows, done.stderr


def test_diff_with_digests_takes_etags_for_proofs_where_they_are_md5s(changeable: Changeable) -> None:
    assert changeable.diff() == ({}, "")
    ours, theirs = changeable.tagged[0], changeable.tagged[1]
    obstore.put(changeable.bucket, changeable.key(ours), bytes(len(changeable.content(ours))))
    changeable.file(theirs).write_bytes(bytes(len(changeable.content(theirs))))
    assert changeable.diff() == ({ours: "other content in STORE_A", theirs: "other content"}, "")


def test_diff_with_digests_says_of_what_is_in_parts_that_it_is_not_compared(changeable: Changeable) -> None:
    """An ETag of several parts is no MD5: what is damaged there is no news of diff's, but of check's."""
    content = changeable.content(changeable.tagged[0])
    key = changeable.key(changeable.tagged[0])
    obstore.put(changeable.bucket, key, bytes(len(content)), use_multipart=True, chunk_size=len(content))
    assert "-" in (obstore.head(changeable.bucket, key)["e_tag"] or "")
    rows, said = changeable.diff()
    assert (rows, f"not compared by content: 1 blob, {len(content)}" in said) == ({}, True), said
    changeable.file(changeable.tagged[0]).write_bytes(bytes(len(content)))
    assert changeable.diff()[0] == {changeable.tagged[0]: "other content"}


def test_check_finds_all_whole_and_hashes_each_blob(keys: Seaweed, pair: Pair) -> None:
    there = run(*REGFS, "check", "--digests", "--bandwidth=500M", pair.address)
    here = run(*REGFS, "check", "--digests", pair.root)
    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)


@pytest.mark.fuse
def test_the_mounted_trees_are_equal_byte_for_byte(
    keys: Seaweed, pair: Pair, mount: Callable[..., Mount]
) -> None:
    there, here = mount(pair.address, "platform=linux/amd64"), mount(pair.root, "platform=linux/amd64")  # type: ignore[arg-type]
    listing = "find . -printf '%y %p %l %m %n %s\\n' | sort"
    seen = [output("sh", "-c", listing, cwd=mounted.path) for mounted in (there, here)]
    assert seen[0] == seen[1]
    assert seen[0].count("\n") > 300
    assert run("diff", "-r", there.path, here.path).stdout == ""
    for path in ("by-skopeo/app/:2.0/rootfs", "by-skopeo/app/2.0/rootfs", "by-skopeo/app/2.0/oci"):
        if os.path.exists(here.path / path):
            assert run("diff", "-r", there.path / path, here.path / path).stdout == ""
    assert output("stat", "-f", "-c", "%b %f", there.path).split() == ["0", "0"]
    for view in ("@untagged", "@orphans", "@unknown", "@broken"):
        names = [output("sh", "-c", "find . | sort", cwd=mounted.path / view) for mounted in (there, here)]
        assert names[0] == names[1], view
    for mounted in (there, here):
        assert len(list((mounted.path / "@uploads").glob("*/*"))) >= 1
    assert there.end() == 0
