"""What was not read is never called garbage: each gap, how far it reaches, and what each consumer says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, cannot_run, need, run
from tests.trust.conftest import Two

NOBODY = 65534

#: Directories that may lie on another disk, or be unreadable, and what may still be orphaned then.
REACH = {
    "repositories": "everything",
    "repositories/big": "everything",
    "repositories/big/app": "everything",
    "repositories/big/app/_manifests": "what it links",
    "repositories/big/app/_manifests/tags": "its images",
    "repositories/big/app/_manifests/tags/1.0": "its images",
    "repositories/big/app/_manifests/tags/1.0/current": "its images",
}


def until(found: Callable[[], object]) -> None:
    """Wait until something is there: an index that was just asked is believed for a moment."""
    deadline = time.monotonic() + 10
    while not found() and time.monotonic() < deadline:
        time.sleep(0.05)


def unreadable(two: Two, path: str, how: str) -> None:
    """Put a symlink, a file or a FIFO in the place of a directory."""
    place = two.store.v2 / path
    if how == "symlink":
        two.aside(path)
        return
    shutil.rmtree(place)
    if how == "file":
        place.write_bytes(b"")
    else:
        os.mkfifo(place)


@pytest.mark.parametrize("how", ["symlink", "file", "fifo"])
@pytest.mark.parametrize("path", REACH)
def test_what_a_gap_may_hold_is_unknown_and_what_is_known_stays_known(two: Two, path: str, how: str) -> None:
    orphan = two.store.blob(b"nobody's")
    unreadable(two, path, how)
    states = two.states()
    readable = set() if path == "repositories" else two.small.digests
    everything = REACH[path] == "everything"
    assert {digest for digest in states if states[digest] == "tagged"} == readable
    assert {digest for digest in states if states[digest] == "untagged"} == set()
    # An orphan of a few bytes may be a manifest, where manifests were not read.
    known_orphan = REACH[path] == "its images"
    assert states[orphan.digest] == ("orphaned" if known_orphan else "unknown")
    assert all(states[digest] == "unknown" for digest in two.big.digests), everything
    two.sums_up()
    assert two.check() == 1
    (gap,) = (row for row in two.rows("broken") if row["severity"] == "alarm")
    assert gap["path"].startswith(path)
    assert {"symlink": "symbolic link", "file": "file", "fifo": "FIFO"}[how] in gap["found"]
    if how == "symlink":
        assert "mount --bind" in gap["found"]
        assert "follow_symlinks" in gap["found"]
    assert two.pulled().get("small/app:1.0", "yes") == "yes"
    assert two.pulled().get("big/app:1.0") in (None, "unknown")


def test_a_sound_store_has_nothing_unknown(two: Two) -> None:
    two.image("small/app", None, "untagged")
    orphan = two.store.blob(b"nobody's")
    states = two.states()
    assert sorted(states.values()) == ["orphaned"] + ["tagged"] * 6 + ["untagged"] * 3
    assert states[orphan.digest] == "orphaned"
    assert two.check() == 0
    assert two.rows("unknown") == []
    two.sums_up()


@pytest.mark.parametrize(
    ("part", "how"),
    [(part, how) for part in ("shard", "blob") for how in ("symlink", "file", "fifo")]
    + [("data", "symlink"), ("data", "fifo")],
)
def test_what_lies_in_a_shard_that_was_not_read_is_neither_stored_nor_missing(
    two: Two, part: str, how: str
) -> None:
    data = two.store.data(two.small.layer.digest)
    place = {"shard": data.parents[1], "blob": data.parent, "data": data}[part]
    if part == "data" and how == "fifo":
        data.unlink()
        os.mkfifo(data)
        assert two.pulled() == {"small/app:1.0": "no", "big/app:1.0": "yes"}
        return
    unreadable(two, str(place.relative_to(two.store.v2)), how)
    assert set(two.states().values()) == {"tagged"}
    assert two.pulled() == {"small/app:1.0": "unknown", "big/app:1.0": "yes"}
    (row,) = two.kinds("cannot-tell")
    assert row["digest"] == two.small.layer.digest
    assert "not read" in row["found"]
    assert two.kinds("missing") == []
    above = str((place if part == "shard" else data.parent).relative_to(two.store.v2))
    assert any(row["path"].startswith(above) for row in two.rows("broken"))
    assert two.check() == 1


def test_where_all_blobs_were_not_read_no_tag_is_said_to_be_broken(two: Two) -> None:
    two.aside("blobs")
    assert two.pulled() == {"small/app:1.0": "unknown", "big/app:1.0": "unknown"}
    assert two.summary("stored", "all")["note"].startswith("and what was not read")
    assert two.summary("would be freed by", "garbage-collect")["note"].startswith("at least")


def test_a_manifest_that_was_not_read_may_name_what_its_repository_links(two: Two) -> None:
    two.aside(str(two.store.data(two.big.manifest.digest).parents[1].relative_to(two.store.v2)))
    states = two.states()
    assert {states[blob.digest] for blob in (two.big.config, two.big.layer)} == {"unknown"}
    assert all(states.get(digest, "tagged") == "tagged" for digest in two.small.digests)


@pytest.mark.parametrize("content", [b"", b"sha256:1234", b"sha256:" + b"0" * 64 + b"\n"])
def test_a_torn_link_of_a_tag_reaches_what_it_has_named_and_no_further(two: Two, content: bytes) -> None:
    other = two.image("big/app", None, "untagged, and never tagged")
    orphan = two.store.blob(b"nobody's")
    two.store.tag_link("big/app", "1.0").write_bytes(content)
    states = two.states()
    assert {states[digest] for digest in two.big.digests} == {"unknown"}
    assert {states[digest] for digest in other.digests} == {"untagged"}
    assert states[orphan.digest] == "orphaned"
    assert {states[digest] for digest in two.small.digests} == {"tagged"}
    assert two.pulled()["big/app:1.0"] == "no"
    (row,) = two.rows("untagged")
    assert row["digest"] == other.manifest.digest
    two.sums_up()


def test_without_a_history_a_torn_link_reaches_all_images_of_its_repository(two: Two) -> None:
    other = two.image("big/app", None, "untagged")
    two.store.tag_link("big/app", "1.0").write_bytes(b"")
    shutil.rmtree(two.store.tag_link("big/app", "1.0").parents[1] / "index")
    states = two.states()
    assert {states[digest] for digest in two.big.digests | other.digests} == {"unknown"}
    assert two.rows("untagged") == []


@pytest.mark.parametrize("content", [b"", b"{}", b"not JSON"])
def test_a_tagged_manifest_that_lost_its_content_orphans_nothing(two: Two, content: bytes) -> None:
    two.store.data(two.big.manifest.digest).write_bytes(content)
    states = two.states()
    assert states[two.big.manifest.digest] == "tagged"
    assert {states[blob.digest] for blob in (two.big.config, two.big.layer)} == {"unknown"}
    assert "orphaned" not in states.values()
    assert two.pulled()["big/app:1.0"] == "no"
    two.sums_up()


def test_a_torn_link_of_a_revision_counts_as_what_its_directory_is_named(two: Two) -> None:
    image = two.image("big/app", None, "untagged")
    two.store.revision_link("big/app", image.manifest.digest).write_bytes(b"")
    states = two.states()
    assert {states[digest] for digest in image.digests} == {"untagged"}
    assert "unknown" not in states.values()


def test_unreadable_revisions_may_hold_orphans_and_take_no_tag_from_what_is_tagged(two: Two) -> None:
    small = two.store.blob(b"may be a manifest")
    large = two.store.blob(b"\0" * (5 << 20))
    two.aside("repositories/big/app/_manifests/revisions")
    states = two.states()
    assert {states[digest] for digest in two.big.digests | two.small.digests} == {"tagged"}
    assert (states[small.digest], states[large.digest]) == ("unknown", "orphaned")
    assert two.kinds("unlinked") == []
    assert two.kinds("collector-deletes") == []


def test_layer_links_that_were_not_read_are_not_said_to_be_missing(two: Two) -> None:
    two.aside("repositories/big/app/_layers")
    assert set(two.states().values()) == {"tagged"}
    assert two.kinds("unlinked") == []
    assert two.pulled() == {"small/app:1.0": "yes", "big/app:1.0": "unknown"}


def test_a_manifest_that_is_lost_reaches_everything_where_the_links_were_not_read(two: Two) -> None:
    orphan = two.store.blob(b"nobody's, or so it seems")
    two.aside("repositories/big/app/_layers")
    two.store.data(two.big.manifest.digest).write_bytes(b"")
    assert two.states()[orphan.digest] == "unknown"


def test_a_registry_with_a_database_keeps_its_tags_there(two: Two) -> None:
    for tags in two.store.v2.glob("repositories/*/*/_manifests"):
        shutil.rmtree(tags)
    lock = two.store.v2.parent / "lockfiles/database-in-use"
    lock.parent.mkdir()
    lock.write_bytes(b"")
    assert set(two.states().values()) == {"unknown"}
    (row,) = two.kinds("tags-elsewhere")
    assert "keeps its tags and manifests in a database" in row["found"]
    assert two.check() == 1
    assert two.rows("orphans") == []
    lock.unlink()
    assert set(two.states().values()) == {"orphaned"}


def test_many_manifests_and_no_tag_at_all_are_no_garbage(two: Two) -> None:
    for tag in two.store.v2.glob("repositories/*/*/_manifests/tags/*"):
        shutil.rmtree(tag)
    assert set(two.states().values()) == {"unknown"}
    (row,) = two.kinds("tags-elsewhere")
    assert "Harbor" in row["found"]
    assert two.check() == 1
    done = run(*REGFS, "reclaim", two.store.root, "--untagged")
    assert done.returncode == 2
    assert "--ignore no-tags" in done.stderr
    lines = two.ask("reclaim", two.store.root, "--untagged", "--ignore", "no-tags", "--show", "digests")
    assert len(lines.split()) == 2
    two.store.tag("small/app", "1.0", two.small.manifest)
    assert sorted(two.states().values()) == ["tagged"] * 3 + ["untagged"] * 3


def test_explain_names_the_gaps_that_make_a_blob_unknown(two: Two) -> None:
    two.aside("repositories/big")
    said = two.ask("explain", two.store.root, two.big.layer.digest)
    assert "state    unknown" in said
    assert "repositories/big is a symbolic link" in said
    assert "goes     unknown" in said
    # What a tag needs may be held by what was not read, too: when it goes cannot be told.
    said = two.ask("explain", two.store.root, two.small.layer.digest)
    assert "state    tagged" in said
    assert "goes     unknown" in said


def test_exclusive_sizes_are_empty_where_a_gap_may_hold_some(two: Two) -> None:
    two.aside("repositories/big")
    (row,) = two.rows("tags")
    assert (row["exclusive"], row["shared"]) == (None, None)
    assert row["size"] > 0
    assert [row["exclusive"] for row in two.rows("repositories")] == [None]


def test_a_copy_that_was_not_read_is_not_said_to_lack_anything(two: Two, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(two.store.root, copy)
    shard = next(iter(sorted((copy / "docker/registry/v2/blobs/sha256").iterdir())))
    shutil.move(shard, tmp_path / "shard")
    shard.symlink_to(tmp_path / "shard")
    shutil.move(copy / "docker/registry/v2/repositories/big", tmp_path / "big")
    (copy / "docker/registry/v2/repositories/big").symlink_to(tmp_path / "big")
    done = run(*REGFS, "diff", two.store.root, copy)
    assert done.returncode == 1
    assert "0 removed" in done.stderr
    assert "1 unknown" in done.stderr
    assert "lacks 0 blobs" in done.stderr
    done = run(*REGFS, "diff", two.store.root, copy, "--show", "blobs")
    assert "not read" in done.stdout
    assert "missing" not in done.stdout


def test_reclaim_selects_nothing_that_a_gap_may_tag_and_counts_nothing_that_it_reaches(two: Two) -> None:
    loose = two.image("small/app", None, "untagged")
    two.aside("repositories/big/app/_manifests/tags")
    lines = two.ask("reclaim", two.store.root, "--untagged", "--show", "digests", status=1)
    assert lines.split() == [f"small/app@{loose.manifest.digest}"]
    # Where no gap reaches, the answer is exact, and nothing is left out.
    lines = two.ask(
        "reclaim",
        two.store.root,
        "--untagged",
        "--match",
        "small/*:*",
        "--keep",
        "*:1.0",
        "--show",
        "digests",
    )
    assert lines.split() == [f"small/app@{loose.manifest.digest}"]
    # What another repository holds may be tagged there: it frees nothing to delete it here.
    two.store.revision("big/app", two.small.manifest)
    rows = json.loads(two.ask("reclaim", two.store.root, "--match", "small/app:1.0", "--format", "json"))
    assert rows[-1] == {"schema": 1, "repository": "(total)", "tags": 1, "blobs": 0, "freed": 0}


def without_rights(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run regfs as somebody who may read what is his own and everybody's, and nothing else."""
    if os.geteuid() != 0:
        cannot_run("only root can give away files")
    capabilities = "-dac_override,-dac_read_search"
    drop = [need("setpriv"), "--bounding-set", capabilities, "--inh-caps", capabilities]
    done = run(*drop, *REGFS, *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    "path",
    [
        "repositories/big",
        "repositories/big/app/_manifests",
        "repositories/big/app/_manifests/revisions",
        "repositories/big/app/_manifests/tags",
        "repositories/big/app/_manifests/tags/1.0/current",
        "repositories/big/app/_manifests/tags/1.0/current/link",
        "repositories/big/app/_layers",
        "blobs/sha256",
    ],
)
def test_what_another_user_may_not_read_is_unknown_to_him(two: Two, path: str) -> None:
    os.chown(two.store.v2 / path, NOBODY, NOBODY)
    (two.store.v2 / path).chmod(0o700)
    done = without_rights("report", "blobs", two.store.root, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert "orphaned" not in done.stdout
    assert "untagged" not in done.stdout
    done = without_rights("check", two.store.root)
    assert done.returncode == 1
    done = without_rights("report", "broken", two.store.root)
    assert "as root" in done.stdout
    done = without_rights("report", "tags", two.store.root, "--format", "csv")
    assert "1970" not in done.stdout
    assert without_rights("reclaim", two.store.root, "--untagged", "--show", "digests").stdout == ""


def test_the_mount_shows_what_is_unknown_in_a_view_of_its_own(two: Two, mount: Callable[..., Mount]) -> None:
    orphan = two.store.blob(b"nobody's")
    path = mount(two.store, "ttl=0").path
    assert list((path / "@unknown").rglob("*.*")) == []
    assert [file.name.partition(".")[0] for file in (path / "@orphans/sha256").iterdir()] == [
        orphan.digest.partition(":")[2]
    ]
    two.aside("repositories/big")
    until(lambda: list((path / "@unknown/sha256").iterdir()))
    unknown = {file.name.partition(".")[0] for file in (path / "@unknown/sha256").iterdir()}
    assert unknown == {blob.digest.partition(":")[2] for blob in (*two.big, orphan)}
    assert list((path / "@orphans/sha256").iterdir()) == []
    assert list((path / "@untagged").iterdir()) == []
    for name in unknown:
        (file,) = (path / "@unknown/sha256").glob(f"{name}*")
        assert file.read_bytes() == two.store.data(f"sha256:{name}").read_bytes()
    views = [path, *(path / f"@{view}" for view in ("untagged", "orphans", "unknown", "uploads"))]
    done = run("du", "-cb", "--apparent-size", "-s", *views)
    sizes = sum(file.stat().st_size for file in two.store.v2.glob("blobs/*/*/*/data"))
    assert done.stdout.splitlines()[-1].split()[0] == str(sizes)


def test_a_date_that_is_not_known_is_empty(two: Two) -> None:
    two.aside("repositories/big/app/_manifests/tags/1.0")
    rows = {row["repository"]: row["pushed"] for row in two.rows("tags")}
    assert rows["big/app"] is None
    assert rows["small/app"]


def test_names_that_desktops_and_file_servers_leave_are_no_gaps(two: Two) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        for above in ("repositories", "repositories/big", "repositories/big/app/_manifests/tags"):
            (two.store.v2 / above / name).write_bytes(b"x")
    for name in ("@eaDir", "#recycle", "lost+found", ".snapshot"):
        (two.store.v2 / "repositories" / name).mkdir()
    assert set(two.states().values()) == {"tagged"}
    assert two.check() == 0


def test_a_repository_under_a_name_that_no_registry_serves_is_a_gap(two: Two) -> None:
    (two.store.v2 / "repositories/big").rename(two.store.v2 / "repositories/-old")
    assert {two.states()[digest] for digest in two.big.digests} == {"unknown"}
    assert two.check() == 1


def test_what_gaps_reach_is_the_same_after_a_refresh(two: Two, store: StoreBuilder) -> None:
    two.states()
    two.aside("repositories/big/app/_manifests/tags/1.0")
    assert {two.states()[digest] for digest in two.big.digests} == {"unknown"}
    assert {two.states()[digest] for digest in two.big.digests} == {"unknown"}
    tag = store.tag_link("big/app", "1.0").parents[1]
    tag.unlink()
    shutil.move(store.root.parent / "elsewhere", tag)
    assert set(two.states().values()) == {"tagged"}
    assert two.check() == 0
