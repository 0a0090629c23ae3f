"""Layers and images in stores that real registries wrote: what tar, sha256sum and buildah said of them.

The packed part (see pack_inside.py) lacks two blobs. With REGFS_STORES=DIRECTORY, where the complete stores
of both versions are unpacked, everything is compared in the same way, and nothing is missing:

    REGFS_STORES=/tmp/stores pytest tests/registry/test_inside_stores.py
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import REGFS, need, output, run
from tests.registry.inside_truth import Blob, Place, Stores, put_together, read_buildah
from tests.registry.insides import (
    Tree,
    differences,
    links_told,
    read_tree,
    tar_tree,
    times_told,
    with_parents,
)

pytestmark = pytest.mark.registry

COMPLETE = os.environ.get("REGFS_STORES")

#: How many layers and images there are, counted by hand, so that no test passes over an empty list.
LAYERS = 33
IMAGES = {"2.7.1": 18, "3.0.0": 17}

#: The packed part lacks the base layer as two kinds of zstd, and so two images.
LACKED = 0 if COMPLETE else 2

#: What `tar -tv` shows was made with these.
LISTING = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.environ["PATH"]}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where VERSION/store-before and the truth are: the complete ones, or the packed part, put together."""
    if COMPLETE:
        return Path(COMPLETE)
    directory = tmp_path_factory.mktemp("inside")
    put_together(directory)
    return directory


@pytest.fixture(scope="module", params=("2.7.1", "3.0.0") if COMPLETE else ("2.7.1",))
def stores(request: pytest.FixtureRequest, directory: Path) -> Stores:
    return Stores(directory, request.param)


@pytest.fixture(scope="module")
def mounted(stores: Stores, mount_once: Callable[[Path], Path]) -> Path:
    return mount_once(stores.root)


@pytest.fixture(scope="module")
def layers(stores: Stores) -> list[tuple[Blob, Place]]:
    """The layers that are stored, each with one place where it shows."""
    found = list(stores.layers())
    assert len(stores.blobs) == LAYERS
    assert len(found) == LAYERS - LACKED
    return found


@pytest.fixture(scope="module")
def tars(stores: Stores, layers: list[tuple[Blob, Place]]) -> Mapping[str, Tree]:
    """What tarfile reads of each layer that is stored, by its digest."""
    return {blob.digest: tar_tree(stores.tar(blob)) for blob, _ in layers}


def tar_of(place: Place) -> str:
    return f"{place.image}/layers/{place.number}.tar"


def test_a_layers_tar_has_the_size_and_the_sha256_of_its_uncompressed_bytes(
    stores: Stores, mounted: Path, layers: list[tuple[Blob, Place]]
) -> None:
    wanted, mislabelled = {}, []
    for blob, place in layers:
        tar = mounted / tar_of(place)
        wanted[str(tar)] = (blob.plain_size, blob.plain_sha256)
        if place.uncompressed and blob.compression != "none":
            # A stored name that already is NN.tar keeps its meaning: the bytes as they are stored.
            stored = stores.data(blob).read_bytes()
            wanted[str(tar)] = (len(stored), hashlib.sha256(stored).hexdigest())
            mislabelled.append(place.image.partition("/@")[0])
    sums = [line.split(maxsplit=1) for line in output(need("sha256sum"), *wanted).splitlines()]
    assert {name: (os.stat(name).st_size, found) for found, name in sums} == wanted
    assert mislabelled == ["compress/mislabelled"]


def test_tar_lists_a_layers_tar_as_it_listed_the_layer(
    stores: Stores, mounted: Path, layers: list[tuple[Blob, Place]]
) -> None:
    wrong, complaints = [], []
    for blob, place in layers:
        command = (need("tar"), "-tv", "--full-time", "--quoting-style=c", "-f", mounted / tar_of(place))
        done = run(*command, env=LISTING)
        if done.stdout != stores.listing(blob.digest).read_text():
            wrong.append(blob)
        if done.returncode != 0:
            complaints += done.stderr.splitlines()[:1]
    assert wrong == []
    # odd/opaque's has no end of archive: it stops after the last byte of its last file.
    assert [text.partition(": ")[2] for text in complaints] == ["Unexpected EOF in archive"]


def test_a_layers_own_tree_is_what_its_tar_describes(
    mounted: Path, layers: list[tuple[Blob, Place]], tars: Mapping[str, Tree]
) -> None:
    points, entries = {}, 0
    for blob, place in layers:
        want = tars[blob.digest]
        shown = read_tree(mounted / place.image / "layers" / place.number)
        if found := differences(shown.entries, with_parents(want.entries)):
            points[place] = found
        assert shown.links == want.links
        assert shown.names == links_told(want)
        entries += len(want.entries)
    assert points == {}
    assert entries > 200


def test_a_merged_image_is_what_buildah_mounts(
    stores: Stores, mounted: Path, tars: Mapping[str, Tree]
) -> None:
    points, times = {}, 0
    images = list(stores.images(whole=True))
    assert len(images) == IMAGES[stores.version] - LACKED
    for path, said, blobs in images:
        want = read_buildah(said)
        shown = read_tree(mounted / path / "rootfs")
        # It said nothing of the top itself.
        below = {at: found for at, found in shown.entries.items() if at}
        told = times_told(want.entries, [tars[blob.digest] for blob in blobs])
        untimed = {
            at: found._replace(mtime_ns=below[at].mtime_ns)
            for at, found in want.entries.items()
            if at not in told and at in below
        }
        if found := differences(below, {**want.entries, **untimed}):
            points[path] = found
        linked = {at: len(group) for group in shown.links for at in group}
        assert {at: linked.get(at, 1) for at in want.names} == want.names
        assert {at: shown.names[at] for at in want.names} == links_told(want)
        times += len(told)
    assert points == {}
    assert times > 300


def test_an_index_shows_its_default_platforms_file_system_and_each_platforms_own(mounted: Path) -> None:
    index = mounted / "multi/index/latest"
    assert os.readlink(index / "rootfs") == "platforms/linux-amd64/rootfs"
    amd64, arm64 = (
        read_tree(index / "platforms" / name / "rootfs") for name in ("linux-amd64", "linux-arm64-v8")
    )
    # The same two layers as a/b/c's, which the trees of buildah tell of; the other has but the base of them.
    assert amd64 == read_tree(mounted / "a/b/c/v2/rootfs")
    assert amd64.entries.keys() - arm64.entries.keys()
    assert arm64.entries[b"bin/busybox"] == amd64.entries[b"bin/busybox"]


def test_an_image_that_lacks_a_layer_cannot_be_merged_and_its_other_layers_are_whole(
    stores: Stores, mounted: Path, tars: Mapping[str, Tree]
) -> None:
    images = list(stores.images(whole=False))
    assert len(images) == LACKED
    for path, _, blobs in images:
        with pytest.raises(OSError, match="Input/output error") as failed:
            os.listdir(mounted / path / "rootfs")
        assert failed.value.errno == errno.EIO
        for number, blob in enumerate(blobs):
            tar = mounted / path / "layers" / f"{number:02}.tar"
            if stores.data(blob).exists():
                assert hashlib.sha256(tar.read_bytes()).hexdigest() == blob.plain_sha256
                shown = read_tree(mounted / path / "layers" / f"{number:02}")
                assert differences(shown.entries, with_parents(tars[blob.digest].entries)) == []
            else:
                with pytest.raises(OSError, match="Input/output error"):
                    tar.stat()


def test_the_commands_without_a_mount_show_the_same(stores: Stores, mounted: Path) -> None:
    image, layer = "odd/entries/latest", "odd/entries/latest/layers/01"
    for directory in (
        f"{image}/rootfs/odd",
        f"{image}/rootfs/odd/xattr",
        f"{layer}/odd/dev",
        f"{image}/rootfs/bin",
    ):
        shown = [os.fsencode(name) for name in os.listdir(mounted / directory)]
        listed = subprocess.run(
            [*REGFS, "ls", stores.root, directory], capture_output=True, check=True, timeout=60
        )
        # Names that a terminal cannot show are shown escaped.
        printable = {name for name in shown if name.isascii() and name.decode().isprintable()}
        assert printable <= set(listed.stdout.splitlines())
        assert len(listed.stdout.splitlines()) == len(shown)
    for file in (
        f"{layer}.tar",
        f"{image}/rootfs/odd/sparse",
        f"{image}/rootfs/bin/busybox",
        f"{layer}/odd/hard2",
    ):
        read = subprocess.run([*REGFS, "cat", stores.root, file], capture_output=True, check=True, timeout=60)
        assert read.stdout == (mounted / file).read_bytes()
        assert read.stdout


def test_long_listings_without_a_mount_tell_what_lstat_tells(stores: Stores, mounted: Path) -> None:
    directory = "odd/entries/latest/rootfs/odd"
    listed = output(*REGFS, "ls", "-l", stores.root, directory)
    for name in ("setuid", "setgid", "sparse", "fifo", "sub", "escape-link", "mode000"):
        found = os.lstat(mounted / directory / name)
        size = "" if stat.S_ISDIR(found.st_mode) else f" {found.st_size} "
        (line,) = (line for line in listed.splitlines() if line.partition(" -> ")[0].endswith(f" {name}"))
        assert line.startswith(stat.filemode(found.st_mode))
        assert size in line
