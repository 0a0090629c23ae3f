"""Merged images against what umoci and buildah unpack of the same images, pulled from a real registry.

Where unpackers differ from each other, or regfs from them, the difference stands in this file by name:

- times of directories: umoci has now where no entry names one, buildah also where a later layer writes;
- a hard link's own time: buildah sets it on the file, umoci and regfs keep that of the file's entry;
- extended attributes of a directory that a later layer names without them: buildah's vfs keeps the lower's;
- the top: 0555 in buildah and regfs, 0755 in umoci;
- a directory that only the path of a whiteout implies: umoci makes none, buildah and regfs do;
- the number of links: regfs tells the names in the file's own layer, but at least two;
- a path over a symlink of a lower layer: see the test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Mount, cannot_run, need, output, run
from tests.registry import inside_images, unpackers
from tests.registry.insides import (
    Found,
    Tree,
    differences,
    links_told,
    read_tree,
    tar_tree,
    times_told,
    with_parents,
)
from tests.registry.pushes import skopeo
from tests.registry.server import Registry

pytestmark = pytest.mark.registry

#: How the layers of each image are stored. The first three have the same tars.
STORED = {
    "gzip": ("gzip", "gzip", "gzip"),
    "zstd": ("zstd", "zstd", "zstd"),
    "mixed": ("gzip", "zstd", "none"),
    "over-symlink": ("zstd", "gzip", "gzip"),
}

#: The four names of a file whose own layer has three names of it, one of which is hidden later.
LINKED_ELSEWHERE = {b"same/one", b"same/five", b"three", b"four"}


class Images(NamedTuple):
    """The registry, a mount of its store, and the tars of the layers of each image, base first."""

    registry: Registry
    mounted: Path
    tars: Mapping[str, Sequence[bytes]]

    def rootfs(self, tag: str) -> Tree:
        return read_tree(self.path(tag))

    def path(self, tag: str) -> Path:
        return self.mounted / "inside" / tag / "rootfs"

    def layers(self, tag: str) -> list[Tree]:
        return [tar_tree(tar) for tar in self.tars[tag]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, mount_once: Callable[[Path], Path]) -> Iterator[Images]:
    if os.geteuid() != 0:
        cannot_run("only root can make devices, other owners and capabilities")
    directory = tmp_path_factory.mktemp("inside-images")
    packed = []
    for name, make in (("base", inside_images.make_base), ("changes", inside_images.make_changes)):
        (directory / name).mkdir()
        make(directory / name)
        packed.append(inside_images.pack(directory / name, directory / f"{name}.tar"))
    tars = {tag: [*packed, inside_images.linking_layer()] for tag in STORED}
    tars["over-symlink"] = [*packed, inside_images.layer_over_symlink()]
    registry = Registry(directory / "registry", directory)
    try:
        for tag, compressions in STORED.items():
            layout = inside_images.write_layout(directory / tag, tars[tag], compressions)
            skopeo(layout, registry, "inside", tag, "--preserve-digests")
        yield Images(registry, mount_once(registry.root), tars)
    finally:
        registry.end()


@pytest.fixture(scope="module")
def umoci(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as umoci unpacks it; the one in gzip, for Debian 12's umoci knows no zstd."""
    return unpackers.umoci(images.registry, "inside", "gzip", tmp_path_factory.mktemp("umoci"))


@pytest.fixture(scope="module")
def buildah(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Path]]:
    """Give a function that mounts an image with a storage driver of buildah: `buildah("gzip", "vfs")`."""
    made = unpackers.Buildah(images.registry, tmp_path_factory.mktemp("buildah"))
    yield lambda tag, driver: made.mount("inside", tag, driver)
    made.end()


def but_for_times(shown: Tree, want: Tree, told: set[bytes]) -> dict[bytes, Found]:
    """Give what should show, with the times of what was not `told` as they are shown."""
    taken = {at: found.mtime_ns for at, found in shown.entries.items() if at not in told}
    return {at: found._replace(mtime_ns=taken.get(at, found.mtime_ns)) for at, found in want.entries.items()}


def named(layers: Sequence[Tree]) -> set[bytes]:
    """List the paths that an entry of any layer names."""
    return {path for layer in layers for path in layer.entries}


def test_the_images_hold_every_kind_of_entry(images: Images) -> None:
    shown = images.rootfs("mixed")
    assert {found.type for found in shown.entries.values()} == set("-dlbcp")
    xattrs = {name for found in shown.entries.values() for name, _ in found.xattrs}
    assert xattrs == {"security.capability", "user.kind", "user.note"}
    assert {stat for found in shown.entries.values() if (stat := found.mode & 0o7000)} == {
        0o6000,
        0o2000,
        0o1000,
    }
    assert shown.entries[b"sparse"].size == 9 << 20
    assert b"names/latin1-caf\xe9" in shown.entries
    for gone in (
        b"gone",
        b"gone-dir",
        b"opaque/old",
        b"opaque/sub",
        b"etc/conf/a",
        b"alone/two",
        b"same/two",
    ):
        assert gone not in shown.entries
    assert not [path for path in shown.entries if b".wh." in path]


@pytest.mark.parametrize("tag", ["gzip", "zstd", "mixed"])
def test_a_layers_own_tree_is_what_gnu_tar_packed(images: Images, tag: str) -> None:
    for number, tree in enumerate(images.layers(tag)[:2]):
        shown = read_tree(images.mounted / "inside" / tag / "layers" / f"{number:02}")
        assert differences(shown.entries, with_parents(tree.entries)) == []
        assert shown.links == tree.links
        assert shown.names == links_told(tree)
    assert {name for name, _ in images.layers(tag)[0].entries[b"tagged"].xattrs} == {"user.note"}


def test_a_merged_image_is_what_umoci_unpacks(images: Images, umoci: Path) -> None:
    shown, want = images.rootfs("gzip"), read_tree(umoci)
    told = named(images.layers("gzip"))
    # A directory that only a whiteout's path leads to.
    assert b"lone" not in want.entries
    want = want._replace(entries={**want.entries, b"lone": shown.entries[b"lone"]})
    assert differences(shown.entries, but_for_times(shown, want, told)) == []
    assert shown.links == want.links
    assert {
        path for path, links in links_told(want).items() if shown.names[path] != links
    } == LINKED_ELSEWHERE


def test_diff_finds_no_difference_to_what_umoci_unpacks(images: Images, umoci: Path) -> None:
    compare = (need("diff"), "-r", "--no-dereference", "--exclude=lone")
    assert output(*compare, "--exclude=special", images.path("gzip"), umoci) == ""
    # Of devices and pipes it says that they are there, and no more.
    done = run(*compare, images.path("gzip"), umoci)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3
    assert "only in" not in done.stdout.lower()


@pytest.mark.parametrize("tag", ["gzip", "zstd", "mixed"])
def test_a_merged_image_is_what_buildah_mounts(
    images: Images, buildah: Callable[[str, str], Path], tag: str
) -> None:
    shown, want = images.rootfs(tag), read_tree(buildah(tag, "vfs"))
    layers = images.layers(tag)
    linked = {path for path in layers[2].entries if layers[2].entries[path].type == "h"}
    relinked = {path for group in want.links if group & linked for path in group}
    should = but_for_times(shown, want, times_told(want.entries, layers) - relinked)
    assert layers[1].entries[b"etc/conf"].xattrs == ()
    assert should[b"etc/conf"].xattrs == layers[0].entries[b"etc/conf"].xattrs != ()
    should[b"etc/conf"] = should[b"etc/conf"]._replace(xattrs=())
    assert differences(shown.entries, should) == []
    assert shown.links == want.links
    assert {
        path for path, links in links_told(want).items() if shown.names[path] != links
    } == LINKED_ELSEWHERE


def test_a_path_over_a_lower_symlink_makes_a_directory_as_with_the_overlay_driver(
    images: Images, buildah: Callable[[str, str], Path]
) -> None:
    """Unpackers that see the lower layers follow the symlink; those that unpack each layer alone cannot.

    The overlay driver of podman and buildah is of the second kind, umoci and buildah's vfs are of the first.
    regfs lays trees over one another that were each read alone, and so is of the second.
    """
    shown = images.rootfs("over-symlink")
    want = read_tree(buildah("over-symlink", "overlay"))
    assert want.entries[b"lib"].type == "d"
    layers = images.layers("over-symlink")
    assert differences(shown.entries, but_for_times(shown, want, times_told(want.entries, layers))) == []
    followed = read_tree(buildah("over-symlink", "vfs"))
    assert followed.entries[b"lib"].type == "l"
    assert {path for path in followed.entries if path not in want.entries} == {b"usr/lib/second"}
    assert {path for path in want.entries if path not in followed.entries} == {b"lib/second"}


@pytest.mark.parametrize("tool", ["find", "du", "grep"])
def test_a_tool_that_walks_the_whole_mount_looks_into_no_layer(
    tool: str, images: Images, mount: Callable[..., Mount], cache: Path
) -> None:
    mounted = mount(images.registry.root).path
    options = {"find": ["-ls"], "du": ["-a"], "grep": ["-r", "-c", "schemaVersion"]}[tool]
    arguments = [str(mounted), *options] if tool == "find" else [*options, str(mounted)]
    shown = output(need(tool), *arguments)
    assert len(shown.splitlines()) > 15
    assert "rootfs" not in shown
    kept = cache / "regfs" / "layers"
    assert not kept.exists()
    assert os.listdir(mounted / "inside/mixed/rootfs")
    assert len(list(kept.glob("*.sqlite"))) == 3
