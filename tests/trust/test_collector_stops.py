"""Where the registry's collector ends with an error: regfs names the place, and promises nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, run
from tests.registry.collector import AbortedError, collect
from tests.trust.conftest import Two

pytestmark = pytest.mark.registry

HEX = "ab" * 32
TAGS = "repositories/big/app/_manifests/tags"
REVISIONS = "repositories/big/app/_manifests/revisions"

#: Places at which the collector ends, with what is put there: a file of these bytes; a directory for None.
ALWAYS = {
    f"blobs/sha256.bak/ab/{HEX}/data": b"x",
    f"blobs/ab/{HEX}/data": b"x",
    f"blobs/md5/ab/{'ab' * 16}/data": b"x",
    f"blobs/sha256/ab/{HEX[:-1]}/data": b"x",
    f"blobs/sha256/ab/{'cd' * 32}/data": b"x",
    f"blobs/sha256/zz/{'g' * 64}/data": b"x",
    "blobs/data": b"x",
    "blobs/sha256/data": b"x",
    "blobs/sha256/ab/data": b"x",
    "repositories/-old/_layers": None,
    "repositories/.snapshot/app/_layers": None,
    "repositories/lost+found/_layers": None,
    "repositories/Upper/_layers": None,
    "repositories/big/-x/_layers": None,
    f"{REVISIONS}/sha256/{HEX}/link": b"",
}
WITH_M = {
    f"{TAGS}/.DS_Store": b"x",
    f"{TAGS}/Thumbs.db": b"x",
    f"{TAGS}/notes": b"x",
    f"{TAGS}/@eaDir": None,
    f"{TAGS}/#recycle": None,
    f"{TAGS}/lost+found": None,
    f"{TAGS}/2.0/current/link": b"",
}
NEVER = {
    "blobs/sha256.bak": None,
    "blobs/.DS_Store": b"x",
    "blobs/sha256/.DS_Store": b"x",
    f"blobs/sha256/ab/{HEX}/other": b"x",
    "repositories/-old/app": None,
    "repositories/.DS_Store": b"x",
    "repositories/@eaDir": None,
    f"{TAGS}/.directory": None,
    f"{REVISIONS}/sha256/{HEX}": None,
    f"{REVISIONS}/.DS_Store": b"x",
    "repositories/big/app/_layers/sha256/.DS_Store": b"x",
    "repositories/big/app/_unknown": None,
}


def put(store: StoreBuilder, path: str, content: bytes | None) -> None:
    place = store.v2 / path
    if content is None:
        place.mkdir(parents=True)
    else:
        store.write(place, content)


def stops(two: Two) -> tuple[bool, bool]:
    """Tell whether the collector ends with an error, without and with -m; and that the summary says so."""
    found = []
    for untagged in (False, True):
        try:
            collect(two.store.root, untagged=untagged)
            found.append(False)
        except AbortedError:
            found.append(True)
        row = two.summary("would be freed by", "garbage-collect -m" if untagged else "garbage-collect")
        assert row["note"].startswith("nothing: it ends with an error at") == found[-1], row
        if found[-1]:
            assert (row["count"], row["size"]) == (0, 0)
    return found[0], found[1]


@pytest.mark.parametrize("path", ALWAYS)
def test_the_collector_ends_at_what_it_takes_for_a_broken_blob_or_repository(two: Two, path: str) -> None:
    put(two.store, path, ALWAYS[path])
    assert stops(two) == (True, True)
    places = [row["path"] for row in two.kinds("collector-stops")]
    assert any(path.startswith(place) or place.startswith(path) for place in places)


@pytest.mark.parametrize("path", WITH_M)
def test_with_m_the_collector_ends_at_what_stands_among_the_tags_and_is_none(two: Two, path: str) -> None:
    put(two.store, path, WITH_M[path])
    assert stops(two) == (False, True)
    assert [row["path"] for row in two.kinds("collector-m-stops")] == [path]


@pytest.mark.parametrize("path", NEVER)
def test_the_collector_goes_past_what_is_only_odd(two: Two, path: str) -> None:
    orphan = two.store.blob(b"nobody's")
    put(two.store, path, NEVER[path])
    assert stops(two) == (False, False)
    assert two.states()[orphan.digest] == "orphaned"
    assert two.check() == 0


@pytest.mark.parametrize("tag", ["1.0", None])
def test_the_collector_ends_at_what_is_no_manifest_unless_it_deletes_it(two: Two, tag: str | None) -> None:
    image = two.image("big/app", tag, "no manifest soon")
    two.store.data(image.manifest.digest).write_bytes(b"")
    assert stops(two) == (True, tag is not None)


def test_the_collector_does_not_see_what_comes_after_a_file_with_an_underscore(two: Two) -> None:
    (two.store.v2 / "repositories/_a").write_bytes(b"")
    gone = collect(two.store.root).blobs
    assert gone == two.big.digests | two.small.digests
    (row,) = two.kinds("collector-hides")
    assert row["severity"] == "alarm"
    assert {row["tag"] for row in two.kinds("collector-deletes")} == {"1.0"}
    assert two.summary("would be freed by", "garbage-collect")["count"] == len(gone)
    assert two.check() == 1


def test_links_and_what_lies_elsewhere_add_up_to_the_files_of_the_store(two: Two) -> None:
    two.store.upload("big/app", b"half a layer")
    two.store.blob(b"nobody's")
    leftovers = {
        "notes.txt": b"1" * 10,
        "blobs/sha256.bak/x": b"2" * 200,
        str(two.store.data(two.big.layer.digest).with_name("data.123.tmp").relative_to(two.store.v2)): b"3"
        * 3000,
        "repositories/big/app/_manifests/tags/1.0/current/link.1.tmp": b"4" * 40_000,
        "repositories/big/README": b"5",
        "repositories/big/app/_layers/.DS_Store": b"6" * 60,
        "repositories/big/app/_uploads/notes": b"7" * 7,
    }
    for path, content in leftovers.items():
        two.store.write(two.store.v2 / path, content)
    files = sum(file.stat().st_size for file in two.store.v2.rglob("*") if file.is_file())
    rows = {(row["section"], row["item"]): row["size"] for row in two.rows("summary")}
    elsewhere = rows["beside that", "elsewhere"]
    assert elsewhere == sum(map(len, leftovers.values()))
    assert rows["stored", "all"] + rows["beside that", "links"] + elsewhere == files


def test_what_is_no_store_of_this_layout_is_said_to_be_that(two: Two, tmp_path: Path) -> None:
    old = tmp_path / "v1"
    (old / "images/ab").mkdir(parents=True)
    (old / "repositories/library/app").mkdir(parents=True)
    minio = tmp_path / "minio"
    shutil.copytree(two.store.root, minio)
    for file in [file for file in minio.rglob("*") if file.is_file()]:
        file.unlink()
        file.mkdir()
        (file / "xl.meta").write_bytes(b"XL2 ")
    for root, word in ((old, "registry v1"), (minio, "MinIO")):
        assert word in run(*REGFS, "report", "summary", root).stderr


def test_a_pipe_that_nobody_reads_holds_up_nobody(two: Two, mount: Callable[..., Mount]) -> None:
    """A report is made, then written: more than a pipe holds is not read here."""
    for number in range(700):
        two.store.blob(b"%d" % number * 5)
    path = mount(two.store, "ttl=0").path
    command = [*REGFS, "report", "blobs", "--format", "csv", str(two.store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stuck:
        assert stuck.stdout is not None
        first = os.read(stuck.stdout.fileno(), 1)
        assert stuck.poll() is None
        assert two.summary("stored", "orphaned")["count"] == 700
        assert (path / "@reports/summary.txt").read_text().startswith("section")
        assert stuck.poll() is None
        rest = stuck.stdout.read()
    assert (first + rest).count(b"\n") == 707
