"""Odd layers, merged, against what umoci and buildah make of the same images.

Of directories that no entry names, only that they are there is compared: see test_inside_unpackers.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.registry import inside_images, unpackers
from tests.registry.insides import Found, differences, read_tree, tar_tree
from tests.registry.odd_layers import CASES, COMPRESSED, LONG
from tests.registry.pushes import skopeo
from tests.registry.server import Registry

pytestmark = pytest.mark.registry

#: Who unpacks a case as regfs shows it: both, if nothing stands here.
#: umoci 0.4.7 knows no global header and no compression but gzip, and keeps every time. buildah's vfs makes a
#: directory for the whiteout in it although another whiteout has taken that away before; its overlay driver
#: does not.
AGREE = {
    "global-owner": ("vfs", "overlay"),
    "global-path": ("vfs", "overlay"),
    "times-before-1970": ("vfs", "overlay"),
    "whiteout-of-a-directory-then-of-what-was-in-it": ("umoci", "overlay"),
    "bzip2-as-tar": ("vfs", "overlay"),
    "zstd-with-a-wide-window": ("vfs", "overlay"),
}


class Unpacked(NamedTuple):
    """The registry, a mount of its store, and the unpackers."""

    registry: Registry
    mounted: Path
    buildah: unpackers.Buildah
    directory: Path

    def by(self, program: str, tag: str) -> Path:
        if program == "umoci":
            return unpackers.umoci(self.registry, "odd", tag, self.directory)
        return self.buildah.mount("odd", tag, program)


@pytest.fixture(scope="module")
def unpacked(
    tmp_path_factory: pytest.TempPathFactory, mount_once: Callable[[Path], Path]
) -> Iterator[Unpacked]:
    directory = tmp_path_factory.mktemp("odd-layers")
    registry = Registry(directory / "registry", directory)
    try:
        for tag, tars in CASES.items():
            layout = inside_images.write_layout(
                directory / tag, tars, [COMPRESSED.get(tag, "gzip")] * len(tars)
            )
            skopeo(layout, registry, "odd", tag, "--preserve-digests")
        buildah = unpackers.Buildah(registry, directory)
        yield Unpacked(registry, mount_once(registry.root), buildah, directory)
        buildah.end()
    finally:
        registry.end()


@pytest.mark.parametrize("tag", CASES)
def test_an_odd_image_is_what_both_unpack(unpacked: Unpacked, tag: str) -> None:
    named = {path for tar in CASES[tag] for path in tar_tree(tar).entries}
    shown = read_tree(unpacked.mounted / "odd" / tag / "rootfs")
    for program in AGREE.get(tag, ("umoci", "vfs")):
        want = read_tree(unpacked.by(program, tag))
        assert differences(*(comparable(tree.entries, named) for tree in (shown, want))) == [], program
        assert shown.links == want.links


def comparable(entries: object, named: set[bytes]) -> dict[bytes, Found]:
    """Leave out the times of directories, in which unpackers write, and all but the type of implied ones."""
    assert isinstance(entries, dict)
    return {
        path: found
        if found.type != "d"
        else found._replace(mtime_ns=0)
        if path in named
        else Found("d", 0, (0, 0), 0)
        for path, found in entries.items()
    }


def test_a_whiteout_whose_name_no_file_system_can_have_is_in_no_listing(unpacked: Unpacked) -> None:
    top = unpacked.mounted / "odd/whiteout-of-a-long-name/layers"
    assert sorted(os.listdir(top / "00/d")) == [LONG, "stays"]
    assert os.listdir(top / "01/d") == []


@pytest.mark.parametrize("tag", ["times-before-1970"])
def test_a_layers_own_tree_keeps_the_times_of_its_tar(unpacked: Unpacked, tag: str) -> None:
    shown = read_tree(unpacked.mounted / "odd" / tag / "layers/00").entries
    assert {path: found.mtime_ns for path, found in shown.items() if path} == {
        path: found.mtime_ns for path, found in tar_tree(CASES[tag][0]).entries.items()
    }
