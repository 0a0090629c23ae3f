"""The `@` directories of a real mount, read with the tools that people use.

The store has one of everything: tagged, untagged and orphaned blobs, shared layers, an index, a tag with the
name of a nested repository, a tag that was moved, a referrer, a blob pushed by its sha512, uploads.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder, make_layer
from tests.conftest import REGFS, Mount, need, output, run
from tests.mount.conftest import lines, regfs, until
from tests.mount.conftest import snapshot as contents_of
from tests.registry.snapshot import snapshot

pytestmark = pytest.mark.fuse

PUSHED = 1_700_000_000
VIEWS = ["@blobs", "@broken", "@history", "@orphans", "@reports", "@unknown", "@untagged", "@uploads"]
REPORTS = ["repositories", "tags", "images", "blobs", "untagged", "orphans", "unknown", "uploads", "broken"]
AMD64, ARM64 = ({"os": "linux", "architecture": name} for name in ("amd64", "arm64"))


class Library(NamedTuple):
    """A store of which the tests know what is in it."""

    store: StoreBuilder
    base: Blob
    #: The layer that only one tag has: its own name is that of a nested repository.
    ambiguous: Blob
    arm64: Blob
    #: What `team/app:latest` has named, the oldest first; the manifest of the first is gone.
    pushes: list[Blob]
    untagged: list[Blob]
    #: Orphans by their suffix.
    orphans: dict[str, Blob]
    uploads: list[str]

    def digests(self) -> set[str]:
        """Find every blob of the store."""
        return {f"sha256:{path.parent.name}" for path in self.store.v2.glob("blobs/sha256/*/*/data")}

    def stored_files(self) -> list[Path]:
        """Find every file with data: of the blobs, and of the uploads."""
        found = [*self.store.v2.glob("blobs/**/data"), *self.store.v2.glob("repositories/**/_uploads/**/*")]
        return [path for path in found if path.is_file()]


def build_library(root: Path) -> Library:
    store = StoreBuilder(root)
    store.now = PUSHED
    base = store.layer({"base": random.Random(1).randbytes(200_000)})
    first = store.image("team/app", "1.0", [base, store.layer({"one": b"1"})], store.config(author="one"))
    store.image("team/app", "2.0", [base, store.layer({"two": b"2"}, "zstd")], store.config(author="two"))
    ambiguous = store.layer({"ambiguous": b"!"})
    store.image("team/app", "sub", [base, ambiguous], store.config(author="sub"))
    store.image("team/app/sub", "1.0", [base, store.layer({"below": b"sub"}, "none")])
    store.image("team/app/sub", "sub", [base])
    pushes = []
    for number, pushed in enumerate((3000, 2000, 9000)):  # not in the order of their digests, nor pushed so
        store.now = PUSHED + pushed
        layers = [base, store.layer({"push": b"%d" % number})]
        pushes.append(store.image("team/app", "latest", layers, store.config(author=f"push {number}")))
    gone, kept = pushes[1], pushes[0]
    store.revision_link("team/app", gone.digest).unlink()
    store.data(gone.digest).unlink()
    store.data(gone.digest).parent.rmdir()
    store.now = PUSHED + 50
    arm64 = store.layer({"arch": b"arm64"})
    children = [
        store.image(
            "multi", None, [base, layer], store.config(architecture=platform["architecture"])
        ).descriptor(platform=platform)
        for platform, layer in ((AMD64, store.layer({"arch": b"amd64"})), (ARM64, arm64))
    ]
    store.index("multi", "1.0", children)
    signature = store.image(
        "team/app",
        None,
        [store.blob(b"signature", "application/x-signature")],
        store.blob(b'{"signed":1}', "application/x-config"),
        subject=first.descriptor(),
    )
    store.image("sha512", "1.0", [store.sha512_layer("sha512", b"by sha512", "application/x-data")])
    uploads = [store.upload("team/app", b"u" * 5000), store.upload("started/alone", b"v" * 300)]
    states = store.repository("started/alone") / "_uploads" / uploads[1] / "hashstates" / "sha256"
    store.write(states / "0", b"state")
    store.write(states / "300", b"another state")
    store.now = PUSHED + 70_000
    orphans = {
        ".tar": store.blob(make_layer({"orphan": b"x"}, "none")),
        ".tar.gz": store.blob(make_layer({"orphan": b"y"}, "gzip")),
        ".tar.zst": store.blob(make_layer({"orphan": b"z"}, "zstd")),
        ".json": store.blob(b'{"orphan": true}'),
        ".bin": store.blob(b"\0\1\2 an orphan"),
        ".gz": store.blob(gzip.compress(b"no tar", mtime=0)),
    }
    return Library(
        store, base, ambiguous, arm64, [gone, kept, pushes[2]], [kept, signature], orphans, uploads
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The store; tests only read it."""
    return build_library(tmp_path_factory.mktemp("store") / "registry")


@pytest.fixture(scope="module")
def top(library: Library, mount_module: Callable[..., Mount]) -> Path:
    """A mount of it."""
    return mount_module(library.store.root, "platform=linux/amd64").path


@pytest.fixture(scope="module")
def listing_top(library: Library, mount_module: Callable[..., Mount]) -> Path:
    """A mount of it that lists the views."""
    return mount_module(library.store.root, "platform=linux/amd64,views").path


def files_below(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names)


def is_blob(library: Library, path: Path, digest: str) -> bool:
    """See that a file is a blob as it is stored: bytes, size, blocks and time, its inode, its links."""
    data, found = library.store.data(digest), path.stat()
    stored = data.stat()
    assert path.read_bytes() == data.read_bytes()
    told = (found.st_size, found.st_blocks, found.st_mtime_ns, found.st_ino, found.st_nlink)
    number = int(digest.removeprefix("sha256:")[:16], 16)
    assert told == (stored.st_size, stored.st_blocks, stored.st_mtime_ns, number, 2)
    assert os.getxattr(path, "user.regfs.digest").decode() == digest
    return True


# --- what is where ---------------------------------------------------------------------------------


def test_du_of_all_four_is_to_the_byte_what_the_store_holds(library: Library, top: Path) -> None:
    places = [top, top / "@untagged", top / "@orphans", top / "@uploads"]
    stats = [path.stat() for path in library.stored_files()]
    total = lines(output("du", "-b", "-c", *places))[-1].split()
    assert total == [str(sum(stat.st_size for stat in stats)), "total"]
    total = lines(output("du", "-c", "-B512", *places))[-1].split()
    assert total == [str(sum(stat.st_blocks for stat in stats)), "total"]
    # Each of the four has its share.
    assert all(int(line.split()[0]) > 0 for line in lines(output("du", "-sb", *places)))


def test_du_counts_a_blob_of_an_untagged_image_only_where_no_tag_has_it(library: Library, top: Path) -> None:
    alone, behind = (
        {line.split("\t")[1]: int(line.split("\t")[0]) for line in lines(output("du", "-sb", *places))}
        for places in ([top / "@untagged"], [top, top / "@untagged"])
    )
    assert alone[str(top / "@untagged")] > library.base.size > behind[str(top / "@untagged")] > 0


def test_what_people_walk_with_never_meets_a_view(top: Path) -> None:
    assert output("ls", "-a", top).split() == [".", "..", "multi", "sha512", "started", "team"]
    for command in (["ls", "-R"], ["find"], ["du", "-a"], ["grep", "-rl", "."]):
        assert "@" not in output(*command, top)


def test_with_the_option_views_the_root_lists_them(listing_top: Path) -> None:
    assert sorted(name for name in os.listdir(listing_top) if name.startswith("@")) == VIEWS
    assert "@" not in output("ls", "-a", listing_top / "team")
    assert output("ls", "-d", "-F", *(listing_top / view for view in VIEWS)).count("/\n") == len(VIEWS)


def test_a_view_is_at_the_root_alone_and_no_other_name_is_one(top: Path) -> None:
    for name in ("team/@orphans", "team/app/@reports", "@other", "@", "@Orphans"):
        assert not os.path.lexists(top / name)


def test_find_walks_through_everything_without_an_error(listing_top: Path) -> None:
    done = run("find", listing_top, "-ls")
    assert (done.returncode, done.stderr) == (0, "")
    for name in VIEWS:
        assert f"{listing_top / name}/" in done.stdout
    done = run(need("getfattr"), "--absolute-names", "-d", "-R", "-P", listing_top)
    assert (done.returncode, done.stderr) == (0, "")


def test_readdir_and_stat_tell_the_same_inode_and_type_in_every_view(listing_top: Path) -> None:
    seen = 0
    for directory, _, _ in os.walk(listing_top):
        with os.scandir(directory) as entries:
            for entry in entries:
                found = os.stat(entry.path, follow_symlinks=False)
                assert entry.inode() == found.st_ino > 1
                assert entry.is_dir(follow_symlinks=False) == os.path.isdir(entry.path) or entry.is_symlink()
                seen += 1
    assert seen > 250


# --- each view -------------------------------------------------------------------------------------


def test_untagged_shows_the_images_that_no_tag_names_by_repository(library: Library, top: Path) -> None:
    view = top / "@untagged"
    assert output("find", view, "-mindepth", "1", "-maxdepth", "2", "-printf", "%P\n").split() == [
        "team",
        "team/app",
    ]
    assert os.listdir(view / "team/app") == sorted(image.digest for image in library.untagged)
    for image in library.untagged:
        shown, hidden = view / "team/app" / image.digest, top / "team/app" / f"@{image.digest}"
        assert contents_of(shown) == contents_of(hidden)
        assert is_blob(library, shown / "manifest.json", image.digest)
        assert shown.stat().st_mtime_ns == library.store.data(image.digest).stat().st_mtime_ns
        assert os.getxattr(shown, "user.regfs.digest").decode() == image.digest
    assert is_blob(
        library, view / "team/app" / library.pushes[1].digest / "layers/00.tar.gz", library.base.digest
    )


def test_what_some_tag_names_is_not_in_untagged(library: Library, top: Path) -> None:
    named = library.pushes[2].digest
    for name in (
        f"team/app/{named}",
        f"team/app/{library.untagged[0].digest}x",
        "team/app/1.0",
        "multi",
        "x",
    ):
        assert not os.path.lexists(top / "@untagged" / name)


def test_orphans_have_the_suffix_that_their_first_bytes_tell(library: Library, top: Path) -> None:
    view = top / "@orphans" / "sha256"
    lost = [  # what only the manifest that is gone named: its config and its layer
        path
        for path in view.iterdir()
        if path.name.partition(".")[0] not in map(bare, library.orphans.values())
    ]
    assert sorted(path.name.partition(".")[2] for path in lost) == ["json", "tar.gz"]
    expected = {f"{bare(blob)}{suffix}" for suffix, blob in library.orphans.items()}
    assert set(os.listdir(view)) == expected | {path.name for path in lost}
    for suffix, blob in library.orphans.items():
        assert is_blob(library, view / f"{bare(blob)}{suffix}", blob.digest)
        assert (view / f"{bare(blob)}{suffix}").stat().st_mtime == PUSHED + 70_000
    assert output("tar", "-xzOf", view / f"{bare(library.orphans['.tar.gz'])}.tar.gz") == "y"


def bare(blob: Blob) -> str:
    return blob.digest.removeprefix("sha256:")


def test_no_other_name_leads_to_an_orphan(library: Library, top: Path) -> None:
    orphan, held = bare(library.orphans[".json"]), bare(library.base)
    for name in (orphan, f"{orphan}.bin", f"{orphan}.", f"{held}.tar.gz", "x.json", f"{orphan[:12]}.json"):
        assert not os.path.lexists(top / "@orphans/sha256" / name)


def test_blobs_shows_each_blob_that_is_stored(library: Library, top: Path) -> None:
    view = top / "@blobs" / "sha256"
    assert os.listdir(top / "@blobs") == ["sha256"]
    assert {f"sha256:{name}" for name in os.listdir(view)} == library.digests()
    for digest in library.digests():
        directory = view / digest.removeprefix("sha256:")
        assert os.listdir(directory) == ["data", "info.json", "referrers"]
        assert is_blob(library, directory / "data", digest)
        assert directory.stat().st_mtime_ns == library.store.data(digest).stat().st_mtime_ns
    for name in ("0" * 64, "xyz", bare(library.base)[:12], bare(library.base).upper()):
        assert not os.path.lexists(view / name)


def test_the_info_of_a_blob_agrees_with_the_file_and_with_the_report(library: Library, top: Path) -> None:
    rows = {
        row["digest"]: row for row in csv.DictReader(io.StringIO((top / "@reports/blobs.csv").read_text()))
    }
    assert set(rows) == library.digests()
    for digest, row in rows.items():
        info = info_of(top, digest)
        assert info["digest"] == digest
        assert info["size"] == library.store.data(digest).stat().st_size == int(row["size"])
        assert info["blocks"] == library.store.data(digest).stat().st_blocks == int(row["blocks"])
        for column in ("stored", "state"):
            assert info[column] == row[column]
        assert bool(info["held_by"]) == bool(row["example"])
    states = {suffix: info_of(top, blob.digest)["state"] for suffix, blob in library.orphans.items()}
    assert set(states.values()) == {"orphaned"}
    assert info_of(top, library.untagged[0].digest)["state"] == "untagged"
    assert info_of(top, library.untagged[1].digest)["state"] == "tagged"  # it refers to a tagged image


def info_of(top: Path, digest: str) -> dict[str, Any]:
    return json.loads((top / "@blobs/sha256" / digest.removeprefix("sha256:") / "info.json").read_text())


def test_the_info_of_a_blob_says_what_it_is_as_the_report_does(library: Library, top: Path) -> None:
    rows = {
        row["digest"]: row for row in csv.DictReader(io.StringIO((top / "@reports/blobs.csv").read_text()))
    }
    for digest, row in rows.items():
        info = info_of(top, digest)
        assert (info["kind"], info["media_type"]) == (row["kind"], row["media_type"]), row


def test_every_path_in_the_info_of_a_blob_leads_to_that_blob(library: Library, top: Path) -> None:
    about = library.untagged[1].digest  # besides itself, what it refers to is told
    for digest in library.digests() - {about}:
        for path in info_of(top, digest)["held_by"]:
            assert (top / path).stat().st_ino == int(digest[7:23], 16)
    assert set(info_of(top, about)["held_by"]) == {f"team/app/@{about}/manifest.json", "team/app/1.0"}


def test_every_referrer_is_a_link_to_an_image_that_holds_the_blob(library: Library, top: Path) -> None:
    followed = 0
    for digest in library.digests():
        referrers = top / "@blobs/sha256" / digest.removeprefix("sha256:") / "referrers"
        for link in referrers.iterdir():
            assert link.is_symlink()
            image = link.resolve(strict=True)
            assert image.relative_to(top).as_posix().replace("/", "+") == link.name
            if digest != library.untagged[1].digest:
                files = [
                    path for path in files_below(image) if "platforms" not in path.relative_to(image).parts
                ]
                assert int(digest[7:23], 16) in {path.stat().st_ino for path in files}, link
            followed += 1
    assert followed > 35


def test_the_referrers_of_a_shared_layer_are_all_its_images(library: Library, top: Path) -> None:
    untagged = f"team+app+@{library.pushes[1].digest}"
    assert referrers_of(top, library.base) == {
        *("team+app+1.0", "team+app+2.0", "team+app+:sub", "team+app+latest", untagged),
        *("team+app+sub+1.0", "team+app+sub+sub"),
        *(f"multi+1.0+platforms+linux-{name}" for name in ("amd64", "arm64")),
    }


def referrers_of(top: Path, blob: Blob) -> set[str]:
    return set(os.listdir(top / "@blobs/sha256" / bare(blob) / "referrers"))


def test_referrers_are_found_through_indexes_ambiguous_tags_and_untagged_images(
    library: Library, top: Path
) -> None:
    assert referrers_of(top, library.arm64) == {"multi+1.0+platforms+linux-arm64"}
    assert referrers_of(top, library.ambiguous) == {"team+app+:sub"}
    link = top / "@blobs/sha256" / bare(library.ambiguous) / "referrers/team+app+:sub"
    assert os.readlink(link) == "../../../../team/app/:sub"
    assert (link / "layers/01.tar.gz").stat().st_ino == int(bare(library.ambiguous)[:16], 16)
    image = library.pushes[1]
    assert referrers_of(top, image) == {f"team+app+@{image.digest}"}
    assert all(referrers_of(top, orphan) == set() for orphan in library.orphans.values())


def test_history_shows_what_a_tag_has_named_in_the_order_of_the_pushes(library: Library, top: Path) -> None:
    view = top / "@history/team/app/latest"
    names = [
        f"{moment}-{bare(image)[:12]}"
        for moment, image in zip(
            ("2023-11-14T22:46:40Z", "2023-11-14T23:03:20Z", "2023-11-15T00:43:20Z"),
            library.pushes,
            strict=True,
        )
    ]
    for options in (["-U"], ["-tr"], []):
        assert output("ls", *options, view).split() == names
    assert [(view / name).stat().st_mtime - PUSHED for name in names] == [2000, 3000, 9000]
    assert view.stat().st_mtime == PUSHED + 9000 or view.stat().st_mtime > PUSHED
    for name, image in zip(names, library.pushes, strict=True):
        assert os.getxattr(view / name, "user.regfs.digest").decode() == image.digest
        assert os.getxattr(view / name, "user.regfs.pushed").decode() == name[:20]
    assert contents_of(view / names[2]) == contents_of(top / "team/app/latest")
    assert contents_of(view / names[1]) == contents_of(top / "team/app" / f"@{library.pushes[1].digest}")
    assert is_blob(library, view / names[1] / "manifest.json", library.pushes[1].digest)


def test_history_keeps_an_empty_directory_for_a_manifest_that_is_gone(library: Library, top: Path) -> None:
    (gone,) = (top / "@history/team/app/latest").glob(f"*-{bare(library.pushes[0])[:12]}")
    assert os.listdir(gone) == []
    done = run("ls", "-la", gone)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (gone / "manifest.json").exists()


def test_history_has_the_repositories_and_tags_of_the_tree(top: Path) -> None:
    for repository in ("team", "team/app", "team/app/sub", "multi"):
        assert os.listdir(top / "@history" / repository) == os.listdir(top / repository)
    assert [name[:20] for name in os.listdir(top / "@history/team/app/:sub")] == ["2023-11-14T22:13:20Z"]
    assert os.listdir(top / "@history/team/app/:1.0") == os.listdir(top / "@history/team/app/1.0")
    (push,) = (top / "@history/multi/1.0").iterdir()
    assert contents_of(push) == contents_of(top / "multi/1.0")
    assert not os.path.lexists(top / "@history/team/app/nothing")


def test_uploads_shows_every_file_of_an_unfinished_push(library: Library, top: Path) -> None:
    for repository, upload in zip(("team/app", "started/alone"), library.uploads, strict=True):
        stored = library.store.repository(repository) / "_uploads" / upload
        shown = top / "@uploads" / repository / upload
        assert contents_of(shown) == contents_of(stored)
        assert os.getxattr(shown, "user.regfs.started") == b"2024-01-02T03:04:05Z"
        assert shown.stat().st_mtime == (stored / "startedat").stat().st_mtime
        for path in files_below(shown):
            there, here = (stored / path.relative_to(shown)).stat(), path.stat()
            assert (here.st_size, here.st_blocks, here.st_mtime_ns) == (
                there.st_size,
                there.st_blocks,
                there.st_mtime_ns,
            )
    states = top / "@uploads/started/alone" / library.uploads[1] / "hashstates/sha256"
    assert os.listdir(states) == ["0", "300"]
    assert os.listdir(top / "@uploads") == ["started", "team"]
    assert os.listdir(top / "@uploads/team") == ["app"]


def test_the_same_blob_has_one_inode_in_all_views(library: Library, top: Path) -> None:
    digest, name = library.pushes[1].digest, "layers/00.tar.gz"
    paths = [
        top / "team/app/1.0" / name,
        top / "@untagged/team/app" / digest / name,
        top / "multi/1.0/platforms/linux-arm64" / name,
        top / "@blobs/sha256" / bare(library.base) / "data",
        *(top / "@history/team/app/latest").glob(f"*/{name}"),
    ]
    assert len(paths) == 6
    assert len({path.stat().st_ino for path in paths}) == 1
    assert all(is_blob(library, path, library.base.digest) for path in paths)


def test_explain_takes_a_path_below_the_mountpoint(library: Library, top: Path) -> None:
    paths = {
        top / "team/app/1.0/layers/00.tar.gz": library.base.digest,
        top / "team/app/latest": library.pushes[2].digest,
        top / "@untagged/team/app" / library.pushes[1].digest: library.pushes[1].digest,
        top / "@orphans/sha256" / f"{bare(library.orphans['.bin'])}.bin": library.orphans[".bin"].digest,
        top / "@blobs/sha256" / bare(library.arm64): library.arm64.digest,
    }
    explained = output(*REGFS, "explain", library.store.root, *paths).split("\n\n")
    assert [text.split("\n")[0] for text in explained] == list(paths.values())


# --- reports ---------------------------------------------------------------------------------------


def test_ls_tells_the_size_of_each_report_and_each_csv_is_one_table(top: Path) -> None:
    view = top / "@reports"
    assert os.listdir(view) == ["summary.txt", *(f"{name}.csv" for name in REPORTS), "report.html"]
    sizes = {line.split()[-1]: int(line.split()[4]) for line in lines(output("ls", "-l", view))[1:]}
    for name, size in sizes.items():
        content = (view / name).read_bytes()
        assert len(content) == size > 0
        if name.endswith(".csv"):
            rows = list(csv.reader(io.StringIO(content.decode())))
            assert len({len(row) for row in rows}) == 1
    assert (view / "report.html").read_text().startswith("<!doctype html>")
    assert not (view / "nothing.csv").exists()
    assert not (view / "tags.xml").exists()
    assert not (view / "tags").exists()


def test_each_report_is_byte_for_byte_what_the_command_prints(
    library: Library, tmp_path: Path, mount: Callable[..., Mount]
) -> None:
    made = mount(library.store)
    for name in (*(f"{report}.csv" for report in REPORTS), "tags.json"):
        report, form = name.split(".")
        printed = tmp_path / name
        printed.write_text(output(*REGFS, "report", report, library.store.root, "--format", form))
        output("cmp", printed, made.path / "@reports" / name)
    printed = output(*REGFS, "report", "summary", library.store.root)
    assert (made.path / "@reports/summary.txt").read_text() == printed


def test_a_part_of_a_report_is_read_as_of_any_file(top: Path) -> None:
    path = top / "@reports/blobs.csv"
    whole = path.read_bytes()
    with path.open("rb", buffering=0) as file:
        for offset, size in ((0, 1), (1000, 500), (len(whole) - 3, 100), (len(whole), 10), (10**9, 1)):
            assert os.pread(file.fileno(), size, offset) == whole[offset : offset + size]
    assert output("tail", "-c", "100", path) == whole[-100:].decode()


# --- tools -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["@untagged", "@orphans", "@uploads"])
def test_tar_packs_a_view_with_every_byte(top: Path, tmp_path: Path, view: str) -> None:
    listed = output("sh", "-c", f"tar -C {top} -cf - {view} | tar tf -").splitlines()
    expected = output("find", top / view, "-printf", f"{view}/%P\n").splitlines()
    assert sorted(name.rstrip("/") for name in listed) == sorted(name.rstrip("/") for name in expected)
    output("sh", "-c", f"tar -C {top} -cf - {view} | tar -C {tmp_path} -xf -")
    assert contents_of(tmp_path / view) == contents_of(top / view) != {}


@pytest.mark.parametrize("view", ["@untagged", "@orphans"])
def test_rsync_and_cp_copy_a_view_with_times_and_hard_links(top: Path, tmp_path: Path, view: str) -> None:
    output(need("rsync"), "-aH", top / view, tmp_path / "rsync")
    assert output("rsync", "-aHic", "--dry-run", top / view, tmp_path / "rsync") == ""
    (tmp_path / "cp").mkdir()
    output("cp", "-a", top / view, tmp_path / "cp")
    for copy in (tmp_path / "rsync" / view, tmp_path / "cp" / view):
        assert contents_of(copy) == contents_of(top / view)
        for path in files_below(copy):
            assert path.stat().st_mtime_ns == (top / view / path.relative_to(copy)).stat().st_mtime_ns


# --- over time -------------------------------------------------------------------------------------


def test_pushes_and_deletions_show_in_every_view_within_the_ttl(
    store: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    first = store.image("team/app", "1.0", mtime=PUSHED)
    top = mount(store, "ttl=0.5").path
    assert os.listdir(top / "@untagged") == []
    assert "team/app,1.0" in (top / "@reports/tags.csv").read_text()

    layer = store.layer({"second": b"2"})
    second = store.image("team/app", "1.0", [layer], store.config(author="second"))
    orphan = store.blob(b'{"orphan": 1}')
    upload = store.upload("team/app", b"data")
    until(
        lambda: (top / "@untagged/team/app" / first.digest / "manifest.json").exists(), "the untagged image"
    )
    until(lambda: os.listdir(top / "@orphans/sha256") == [f"{bare(orphan)}.json"], "the orphan")
    until(lambda: (top / "@uploads/team/app" / upload / "data").exists(), "the upload")
    until(lambda: len(os.listdir(top / "@history/team/app/1.0")) == 2, "the history")
    until(lambda: second.digest in (top / "@reports/tags.csv").read_text(), "the report")
    until(
        lambda: os.path.lexists(top / "@blobs/sha256" / bare(layer) / "referrers/team+app+1.0"),
        "the referrer",
    )

    store.data(layer.digest).unlink()
    until(lambda: layer.digest in (top / "@reports/broken.csv").read_text(), "the damage")
    store.revision_link("team/app", first.digest).unlink()
    until(lambda: os.listdir(top / "@untagged") == [], "the deletion")
    until(lambda: (top / "@orphans/sha256" / f"{bare(first)}.json").exists(), "what became an orphan")


@pytest.mark.alone
def test_a_report_that_is_open_stays_what_it_was(store: StoreBuilder, mount: Callable[..., Mount]) -> None:
    store.image("app", "1.0")
    path = mount(store, "ttl=0.2").path / "@reports/tags.csv"
    with path.open("rb", buffering=0) as file:
        before = os.pread(file.fileno(), 20, 0)
        store.image("app", "2.0")
        until(lambda: b"app,2.0" in path.read_bytes(), "the new report")
        assert b"app,2.0" not in before + os.pread(file.fileno(), 1 << 16, 20)


def test_nothing_below_the_store_is_written(tmp_path: Path, mount: Callable[..., Mount]) -> None:
    library = build_library(tmp_path / "registry")
    before = snapshot(library.store.root)
    made = mount(library.store, "views,ttl=0.1")
    output("sh", "-c", f"find {made.path} -ls > {tmp_path}/listed; tar -C {made.path} -cf - . | tail -c 1")
    assert made.end() == 0
    assert snapshot(library.store.root) == before


def test_a_mount_whose_views_nobody_looks_into_makes_no_index(
    library: Library, mount: Callable[..., Mount], cache: Path
) -> None:
    top = mount(library.store, "views").path
    plain = [top / name for name in os.listdir(top) if not name.startswith("@")]
    output("ls", "-la", top)
    output("find", *plain, "-ls")
    output("du", "-s", *plain)
    output("grep", "-r", "author", *plain)
    output("ls", "-l", top / "@history/team/app/latest")
    assert not cache.exists()
    assert os.listdir(top / "@orphans/sha256") != []
    assert len(list(cache.glob("regfs/graph-*/*/*.sqlite"))) == 1


def test_a_mount_that_can_keep_no_cache_works_and_says_so_once(
    library: Library, tmp_path: Path, mount: Callable[..., Mount], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    made = mount(library.store, "ttl=0.1")
    for _ in range(3):
        assert len(os.listdir(made.path / "@orphans/sha256")) == len(library.orphans) + 2
        assert os.listdir(made.path / "@untagged/team/app")
        assert f"\n{library.base.digest}," in (made.path / "@reports/blobs.csv").read_text()
        (link, *_) = (made.path / "@blobs/sha256" / bare(library.base) / "referrers").iterdir()
        assert (link / "manifest.json").exists()
    log = made.log.read_text()
    assert log.count("no index can be kept") == log.count(str(tmp_path / "file" / "cache")) == 1
    assert "Traceback" not in log


def test_two_mounts_of_one_store_share_the_index(
    library: Library, mount: Callable[..., Mount], cache: Path
) -> None:
    one, other = mount(library.store), mount(library.store, "views")
    for view in ("@orphans", "@untagged"):
        assert contents_of(one.path / view) == contents_of(other.path / view)
    assert len(list(cache.glob("regfs/graph-*/*/*.sqlite"))) == 1


# --- damage ----------------------------------------------------------------------------------------


class Damage(NamedTuple):
    """The file below `@broken` that tells of some damage, and what it must say."""

    path: str
    says: list[str]


class Built(NamedTuple):
    """The parts of the image that is to be damaged: tagged `broken` in a repository of its own."""

    store: StoreBuilder
    repository: str
    manifest: Blob
    config: Blob
    layer: Blob

    def data(self, blob: Blob) -> Path:
        return self.store.data(blob.digest)

    def tell(self, *says: str, name: str = "broken") -> Damage:
        return Damage(f"{self.repository}/{name}", list(says))


def empty_tag_link(built: Built) -> Damage:
    built.store.tag_link(built.repository, "broken").write_bytes(b"")
    link = f"repositories/{built.repository}/_manifests/tags/broken/current/link"
    return built.tell(
        "damage: tag-link", "wanted  a digest", "found   not a digest: '': empty", f"path    {link}"
    )


def missing_layer(built: Built) -> Damage:
    built.data(built.layer).unlink()
    want = f"wanted  layer 1, {built.layer.size} bytes"
    return built.tell("damage: missing", f"digest  {built.layer.digest}", want, "found   not stored")


def layer_cut_short(built: Built) -> Damage:
    os.truncate(built.data(built.layer), built.layer.size - 1)
    want, got = f"wanted  layer 1, {built.layer.size} bytes", f"found   {built.layer.size - 1} bytes"
    return built.tell("damage: size", f"digest  {built.layer.digest}", want, got)


def missing_config(built: Built) -> Damage:
    built.data(built.config).unlink()
    want = f"wanted  config, {built.config.size} bytes"
    return built.tell("damage: missing", f"digest  {built.config.digest}", want, "found   not stored")


def missing_manifest(built: Built) -> Damage:
    built.data(built.manifest).unlink()
    return built.tell(
        "alarm: manifest-lost", f"digest  {built.manifest.digest}", "wanted  a manifest", "found   not stored"
    )


def damaged_manifest(built: Built) -> Damage:
    built.data(built.manifest).write_bytes(b"{}")
    found = "found   its content is sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    return built.tell("alarm: manifest-lost", f"digest  {built.manifest.digest}", "wanted  a manifest", found)


def empty_revision_link(built: Built) -> Damage:
    built.store.revision_link(built.repository, built.manifest.digest).write_bytes(b"")
    link = built.manifest.digest.replace(":", "/")
    return built.tell(
        "damage: link",
        f"digest  {built.manifest.digest}",
        "wanted  a digest",
        "found   not a digest: '': empty",
        f"path    repositories/{built.repository}/_manifests/revisions/{link}/link",
        name=f"@{built.manifest.digest}",
    )


def unlinked_blob(built: Built) -> Damage:
    built.store.layer_link(built.repository, built.layer.digest).unlink()
    return built.tell(
        "damage: unlinked",
        f"digest  {built.layer.digest}",
        "wanted  a link to its layer 1",
        "found   none: the API answers 404",
    )


def revision_of_a_tag_gone(built: Built) -> Damage:
    built.store.revision_link(built.repository, built.manifest.digest).unlink()
    size = built.manifest.size + built.config.size + built.layer.size
    found = f"found   garbage-collect would delete 3 of its blobs, {size} bytes"
    return built.tell(
        "alarm: collector-deletes", "digest  sha256:", "wanted  kept, since the tag needs it", found
    )


def revision_of_a_tag_under_another_name(built: Built) -> Damage:
    """The collector goes by what the link holds, the API by where it stands."""
    link = built.store.revision_link(built.repository, built.manifest.digest)
    link.parent.rename(link.parent.with_name("0" * 64))
    return built.tell(
        "damage: unlinked",
        f"digest  {built.manifest.digest}",
        "wanted  a link to its manifest",
        "found   none: the API answers 404",
    )


def missing_layer_of_an_untagged_image(built: Built) -> Damage:
    layer = built.store.layer({"of nobody": b"!"})
    image = built.store.image(built.repository, None, [layer])
    built.data(layer).unlink()
    want = f"wanted  layer 0, {layer.size} bytes"
    return built.tell(
        "damage: missing", f"digest  {layer.digest}", want, "found   not stored", name=f"@{image.digest}"
    )


def stray_tag(built: Built) -> Damage:
    tags = f"repositories/{built.repository}/_manifests/tags"
    (built.store.v2 / tags / "-stray").mkdir()
    return built.tell(
        "note: stray", "wanted  a tag", "a directory under a name", f"path    {tags}/-stray", name="-stray"
    )


def stray_symlink(built: Built) -> Damage:
    tags = f"repositories/{built.repository}/_manifests/tags"
    (built.store.v2 / tags / "latest").symlink_to("broken")
    return built.tell(
        "alarm: unread", "wanted  a digest", "a symbolic link", f"path    {tags}/latest", name="latest"
    )


def stray_fifo(built: Built) -> Damage:
    tags = f"repositories/{built.repository}/_manifests/tags"
    os.mkfifo(built.store.v2 / tags / "latest")
    says = "alarm: directory", "note: collector-m-stops", "wanted  a tag"
    return built.tell(*says, f"path    {tags}/latest", name="latest")


def stray_repository(built: Built) -> Damage:
    (built.store.repository(built.repository) / "Upper").mkdir()
    path = f"path    repositories/{built.repository}/Upper"
    return built.tell(
        "note: stray", "wanted  a repository", "a directory under a name", path, name="@repository"
    )


def stray_at_the_top(built: Built) -> Damage:
    (built.store.v2 / "repositories" / "-odd").mkdir()
    (built.store.v2 / "blobs" / "sha256" / "ab" / "abc").mkdir(parents=True)
    return Damage("@store", ["note: stray", "path    repositories/-odd", "blobs/sha256/ab/abc"])


def fifo_for_a_blob(built: Built) -> Damage:
    orphan = built.store.blob(b"will be a FIFO")
    built.data(orphan).unlink()
    os.mkfifo(built.data(orphan))
    return Damage(f"@{orphan.digest}", ["damage: blob", f"digest  {orphan.digest}", "is a FIFO"])


def upload_without_a_date(built: Built) -> Damage:
    upload = built.store.upload(built.repository, b"x", None)
    path = f"path    repositories/{built.repository}/_uploads/{upload}"
    return built.tell(
        "note: upload", "wanted  a date in startedat", "no purge takes this", path, name="@repository"
    )


def ambiguous_tag(built: Built) -> Damage:
    built.store.image(f"{built.repository}/broken", "nested")
    built.data(built.layer).unlink()
    return built.tell("damage: missing", f"digest  {built.layer.digest}", name=":broken")


KINDS = [
    empty_tag_link,
    missing_layer,
    layer_cut_short,
    missing_config,
    missing_manifest,
    damaged_manifest,
    empty_revision_link,
    unlinked_blob,
    revision_of_a_tag_gone,
    revision_of_a_tag_under_another_name,
    missing_layer_of_an_untagged_image,
    stray_tag,
    stray_symlink,
    stray_fifo,
    stray_repository,
    stray_at_the_top,
    fifo_for_a_blob,
    upload_without_a_date,
    ambiguous_tag,
]
NAMES = [kind.__name__ for kind in KINDS]


class Damaged(NamedTuple):
    """A mounted store with every kind of damage, each in a repository of its own."""

    store: StoreBuilder
    top: Path
    kinds: dict[str, Damage]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, mount_module: Callable[..., Mount]) -> Damaged:
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    base = store.layer({"base": b"base"})
    kinds = {}
    for kind in KINDS:
        name = kind.__name__.replace("_", "-")
        store.image(name, "sound", [base], store.config(author="sound"))
        layer, config = store.layer({"own": name.encode()}), store.config(author=name)
        kinds[kind.__name__] = kind(
            Built(store, name, store.image(name, "broken", [base, layer], config), config, layer)
        )
    store.image("whole", "1.0", [base])
    return Damaged(store, mount_module(store.root).path, kinds)


@pytest.mark.parametrize("kind", NAMES, ids=lambda name: name.replace("_", "-"))
def test_broken_says_what_was_wanted_and_what_is_there(damaged: Damaged, kind: str) -> None:
    path, says = damaged.kinds[kind]
    content = (damaged.top / "@broken" / path).read_bytes()
    for part in says:
        assert part in content.decode()
    assert len(content) == (damaged.top / "@broken" / path).stat().st_size


def test_broken_names_nothing_that_is_whole(damaged: Damaged) -> None:
    found = set(output("find", damaged.top / "@broken", "-type", "f", "-printf", "%P\n").split())
    expected = {damage.path for damage in damaged.kinds.values()}
    expected.add(f"revision-of-a-tag-under-another-name/@sha256:{'0' * 64}")  # as a link, too
    assert found == expected
    assert "@broken/whole" not in found


def test_broken_is_sorted_by_image_and_can_be_searched(damaged: Damaged) -> None:
    digest = next(part for part in damaged.kinds["missing_layer"].says if part.startswith("digest"))
    done = output("grep", "-rl", digest.split()[1], damaged.top / "@broken")
    assert lines(done) == [str(damaged.top / "@broken/missing-layer/broken")]
    assert regfs("report", "nothing", damaged.store.root).returncode == 2


def test_the_report_of_damage_has_the_alarms_first(damaged: Damaged) -> None:
    rows = list(csv.DictReader(io.StringIO((damaged.top / "@reports/broken.csv").read_text())))
    order = [row["severity"] for row in rows]
    assert order == sorted(order, key=["alarm", "unknown", "damage", "hazard", "note"].index)
    assert {row["kind"] for row in rows} >= {
        "manifest-lost",
        "collector-deletes",
        "tag-link",
        "missing",
        "stray",
    }


def test_du_and_find_go_through_the_views_of_a_damaged_store(damaged: Damaged) -> None:
    fifo = damaged.kinds["fifo_for_a_blob"].path.removeprefix("@sha256:")
    for view in VIEWS:
        errors = lines(run("find", damaged.top / view, "-ls").stderr)
        if view == "@history":  # there a damaged image is as unreadable as under its tag
            assert all("Input/output error" in error for error in errors)
        else:
            assert [error for error in errors if fifo not in error] == []


def test_a_link_to_an_image_leads_there_on_a_damaged_store_as_well(damaged: Damaged) -> None:
    stored = (path.parent for path in damaged.store.v2.glob("blobs/sha256/*/*/data") if path.is_file())
    directories = [damaged.top / "@blobs/sha256" / path.name / "referrers" for path in stored]
    links = [directory / name for directory in directories for name in os.listdir(directory)]
    assert len(links) > 50
    for link in links:
        assert link.resolve(strict=True).is_dir()
