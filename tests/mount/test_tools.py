"""A sound store under a real mount, read with the tools that people use."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder
from tests.conftest import Mount, need, output, run
from tests.mount.conftest import lines, snapshot

pytestmark = pytest.mark.fuse

TAGS = [f"t{number}" for number in range(10)]
DAY = 86_400


class Library(NamedTuple):
    """A store of which the tests know what is in it, and its mount."""

    store: StoreBuilder
    base: Blob
    app: Path
    top: Path
    blobs: set[str]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, mount_module: Callable[..., Mount]) -> Library:
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    base = store.layer({"base": random.Random(1).randbytes(300_000)})
    blobs = {base.digest}
    for position, tag in enumerate(TAGS):
        own, config = store.layer({f"file-{tag}": tag.encode()}), store.config(author=f"needle-{tag}")
        pushed = 1_600_000_000 + (position * 7 % 10) * DAY  # not in the order of the names
        image = store.image("team/app", tag, [base, own], config, mtime=pushed)
        blobs |= {own.digest, config.digest, image.digest}
    store.image("team/app/nested", "1.0", [base, store.layer({"z": b"z"}, "zstd")])
    children = [
        store.image("multi", None, [base], store.config(architecture=arch)).descriptor(
            platform={"os": "linux", "architecture": arch}
        )
        for arch in ("amd64", "arm64")
    ]
    store.index("multi", "1.0", children)
    store.schema1(
        "old", "1.0", [base], [{"id": "a", "os": "linux", "created": "2015-01-01T00:00:00Z"}], signed=True
    )
    holes = store.blob(b"data" + bytes(1 << 20) + b"data", base.media_type)
    with store.data(holes.digest).open("r+b") as file:
        file.truncate(4)
        file.seek(4 + (1 << 20))
        file.write(b"data")
    store.image("sparse", "1.0", [holes])
    top = mount_module(store.root, "platform=linux/amd64").path
    return Library(store, base, top / "team" / "app", top, blobs)


def sizes(library: Library) -> int:
    return sum(library.store.data(digest).stat().st_size for digest in library.blobs)


def test_find_ls_names_every_file_and_gives_a_shared_blob_one_inode(library: Library) -> None:
    found = [line.split(None, 10) for line in lines(output("find", library.app, "-ls"))]
    inodes = {entry[10]: entry[0] for entry in found}
    images = [*(library.app / tag for tag in TAGS), library.app / "nested" / "1.0"]
    expected = {str(library.app), str(library.app / "nested")}
    for image in images:
        last = "01.tar.zst" if image.name == "1.0" else "01.tar.gz"
        names = ["", "manifest.json", "config.json", "layers", "layers/00.tar.gz", f"layers/{last}"]
        expected |= {str(image / name) for name in names}
    assert set(inodes) == expected
    assert len({inodes[str(image / "layers/00.tar.gz")] for image in images}) == 1
    assert len({inodes[str(image / "manifest.json")] for image in images}) == len(images)
    shared = int(library.base.digest.split(":")[1][:16], 16)
    assert inodes[str(images[0] / "layers/00.tar.gz")] == str(shared)


def test_du_counts_a_blob_that_ten_tags_share_once(library: Library) -> None:
    images = [library.app / tag for tag in TAGS]
    total = lines(output("du", "-sbc", *images))[-1].split()[0]
    assert int(total) == sizes(library)
    first, *later = (int(line.split()[0]) for line in lines(output("du", "-sb", *images)))
    assert first > library.base.size
    assert all(size < library.base.size for size in later)


def test_du_of_one_directory_is_the_sum_of_its_distinct_blobs(library: Library) -> None:
    nested = int(output("du", "-sb", library.app / "nested").split()[0])
    both = int(output("du", "-sb", library.app).split()[0])
    assert both == sizes(library) + nested - library.base.size


def test_du_without_options_tells_what_the_disk_gives_for_it(library: Library) -> None:
    images = [library.app / tag for tag in TAGS]
    total = lines(output("du", "-sc", "-B512", *images))[-1].split()[0]
    assert int(total) == sum(library.store.data(digest).stat().st_blocks for digest in library.blobs)


def test_tar_lists_all_and_stores_a_shared_blob_once(library: Library, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    output("tar", "-C", library.top, "-cf", archive, ".")
    listed = {name.rstrip("/") for name in lines(output("tar", "-tf", archive))}
    expected = {
        f"./{name}" if name else "." for name in lines(output("find", library.top, "-printf", "%P\\n"))
    }
    assert listed == expected | {"."}
    assert archive.stat().st_size < 2 * library.base.size + (1 << 20) + 400_000


@pytest.mark.parametrize("options", [[], ["-S"]], ids=["plain", "sparse"])
def test_tar_gives_back_every_byte(library: Library, tmp_path: Path, options: list[str]) -> None:
    archive, copy = tmp_path / "a.tar", tmp_path / "copy"
    copy.mkdir()
    output("tar", *options, "-C", library.top, "-cf", archive, ".")
    output("tar", "-C", copy, "-xf", archive)
    assert snapshot(copy) == snapshot(library.top)
    assert os.path.samefile(copy / "team/app/t0/layers/00.tar.gz", copy / "multi/1.0/layers/00.tar.gz")


def test_rsync_copies_all_keeps_hard_links_and_finds_nothing_left_to_do(
    library: Library, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    output(need("rsync"), "-aH", f"{library.top}/", copy)
    assert snapshot(copy) == snapshot(library.top)
    output("diff", "-r", library.top, copy)
    links = {os.stat(copy / f"team/app/{tag}/layers/00.tar.gz").st_ino for tag in TAGS}
    assert len(links) == 1
    assert os.stat(copy / "team/app/t3").st_mtime == os.stat(library.app / "t3").st_mtime
    assert output("rsync", "-aHi", "--dry-run", f"{library.top}/", copy) == ""
    assert output("rsync", "-aHic", "--dry-run", f"{library.top}/", copy) == ""


def test_cp_a_keeps_content_times_and_hard_links(library: Library, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    output("cp", "-a", library.top, copy)
    assert snapshot(copy) == snapshot(library.top)
    layers = [copy / f"team/app/{tag}/layers/00.tar.gz" for tag in ("t0", "t9")]
    assert os.path.samefile(*layers)
    assert layers[0].stat().st_mtime_ns == library.store.data(library.base.digest).stat().st_mtime_ns
    assert os.readlink(copy / "multi/1.0/config.json") == "platforms/linux-amd64/config.json"


def test_every_stored_file_has_the_sha256_that_its_attribute_tells(library: Library) -> None:
    summed = output("find", library.top, "-type", "f", "-exec", "sha256sum", "{}", "+")
    sums = {line[66:]: line[:64] for line in lines(summed)}
    made = str(library.top / "old/1.0/config.json")  # schema 1 stores no config
    told = run(need("getfattr"), "--absolute-names", "-n", "user.regfs.digest", *sums)
    assert lines(told.stderr) == [f"{made}: user.regfs.digest: No such attribute"]
    digests = {}
    for block in told.stdout.strip().split("\n\n"):
        path, digest = block.removeprefix("# file: ").split("\n")
        digests[path] = digest.split('"')[1].removeprefix("sha256:")
    assert sums.pop(made)
    assert digests == sums
    assert len(sums) > 50


def test_the_digest_of_a_tag_is_the_sum_of_its_manifest(library: Library) -> None:
    for tag in TAGS:
        digest = os.getxattr(library.app / tag, "user.regfs.digest").decode()
        content = (library.app / tag / "manifest.json").read_bytes()
        assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert json.loads(content)["layers"][0]["digest"] == library.base.digest


def test_ls_lt_lists_tags_by_push(library: Library) -> None:
    order = sorted(TAGS, key=lambda tag: -(int(tag[1:]) * 7 % 10))
    assert [name for name in lines(output("ls", "-t", library.app)) if name != "nested"] == order
    line = output("ls", "-ld", "--time-style=+%s", library.app / "t1").split()
    assert line[5] == str(1_600_000_000 + 7 * DAY)


def test_inodes_and_times_are_the_same_in_another_mount(
    library: Library, mount: Callable[..., Mount]
) -> None:
    other = mount(library.store.root, "platform=linux/amd64,ttl=inf").path
    form = "%i %n %s %b %T@ %M %l %P\\n"
    here, there = (sorted(lines(output("find", top, "-printf", form))) for top in (library.top, other))
    assert here == there
    assert len({line.split()[0] for line in here}) > 60


def test_readdir_and_stat_tell_the_same_inode(library: Library) -> None:
    for directory, _, _ in os.walk(library.top):
        with os.scandir(directory) as entries:
            for entry in entries:
                assert entry.inode() == os.stat(entry.path, follow_symlinks=False).st_ino
                assert entry.inode() > 1


def test_df_tells_of_the_file_system_that_holds_the_store(library: Library) -> None:
    form = "--output=size,itotal,source"
    mounted = lines(output("df", form, library.top))[1].split()
    stored = lines(output("df", form, library.store.root))[1].split()
    assert mounted[:2] == stored[:2]
    assert mounted[2] == str(library.store.root)


def test_getfattr_dumps_every_attribute_without_an_error(library: Library) -> None:
    done = run(need("getfattr"), "--absolute-names", "-d", "-R", "-P", library.top)
    assert (done.returncode, done.stderr) == (0, "")
    image = done.stdout.split(f"# file: {library.app}/t1\n")[1].split("\n\n")[0]
    found = dict(line.split("=", 1) for line in lines(image))
    assert found["user.regfs.kind"] == '"image"'
    assert found["user.regfs.pushed"] == '"2020-09-20T12:26:40Z"'
    assert found["user.regfs.created"] == '"2024-02-03T04:05:06Z"'


def test_grep_r_finds_the_one_image_with_a_word_in_its_config(library: Library) -> None:
    found = lines(output("grep", "-rl", "--include=config.json", "needle-t7", library.top))
    assert found == [str(library.app / "t7" / "config.json")]


def test_diff_r_of_two_tags_names_what_differs_and_nothing_else(library: Library) -> None:
    one, other = library.app / "t1", library.app / "t2"
    done = run("diff", "-rq", one, other)
    assert done.returncode == 1
    assert sorted(lines(done.stdout)) == [
        f"Files {one / name} and {other / name} differ"
        for name in ("config.json", "layers/01.tar.gz", "manifest.json")
    ]


def test_an_index_shows_its_default_platform_through_symlinks(library: Library) -> None:
    index = library.top / "multi" / "1.0"
    assert json.loads((index / "config.json").read_text())["architecture"] == "amd64"
    assert output("ls", index / "platforms") == "linux-amd64\nlinux-arm64\n"
    assert output("tar", "-tzf", index / "layers" / "00.tar.gz") == "base\n"
