"""Stores that distribution 2.7.1 and 3.0.0 wrote, against what those registries said of them.

Blobs of more than 64,000 bytes are left out of the packed stores (see pack.py), so each store is also one
that lost its large layers. The complete stores were compared once, by hand, in the same way.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REGFS, output, run
from tests.registry.shown import Failure, digest_of, read_image, repositories, tag_directory
from tests.registry.truth import Truth

pytestmark = pytest.mark.registry

TRUTH = Truth.packed()
ALL = sorted(TRUTH.stores)
WHOLE = [store for store in ALL if store.endswith(("before", "after"))]

#: How many tags the API answered for; counted by hand, so that no test passes over an empty list.
TAGS = {
    "2.7.1/store-before": 177,
    "2.7.1/store-after": 177,
    "2.7.1/store-crash": 2,
    "2.7.1/store-proxy": 3,
    "3.0.0/store-before": 176,
    "3.0.0/store-after": 176,
    "3.0.0/store-crash": 2,
    "3.0.0/store-proxy": 3,
}


@pytest.fixture
def mounted(store_name: str, unpacked: Path, mount_once: Callable[[Path], Path]) -> Path:
    """A mount of the store that the test names."""
    return mount_once(unpacked / store_name)


def served(store_name: str) -> Iterator[tuple[str, str, str]]:
    found = TRUTH.tags(store_name, served=True)
    assert len(found) == TAGS[store_name]
    yield from found


@pytest.mark.parametrize("store_name", ALL)
def test_every_tag_is_what_the_api_said(store_name: str, mounted: Path) -> None:
    for repository, tag, digest in served(store_name):
        directory = tag_directory(mounted, repository, tag)
        assert os.getxattr(directory, "user.regfs.digest").decode() == digest
        assert list(TRUTH.differences(store_name, read_image(directory), digest)) == [], f"{repository}:{tag}"


@pytest.mark.parametrize("store_name", ALL)
def test_every_tag_is_listed_dangling_ones_as_well(store_name: str, mounted: Path) -> None:
    shown = repositories(mounted)
    for repository, said in TRUTH.stores[store_name]["repositories"].items():
        if said["catalog"]:
            assert shown.pop(repository) == set(said["tags"])
    # 3.0.0 has no repository in its catalog where only blobs were pushed; 2.7.1 has: regfs shows both.
    only_blobs = {"edge/zero": set(), "legacy/v2s1": set()}
    assert shown == (only_blobs if store_name in ("3.0.0/store-before", "3.0.0/store-after") else {})


@pytest.mark.parametrize("store_name", ["2.7.1/store-crash", "3.0.0/store-crash"])
def test_a_tag_whose_link_a_crash_left_empty_cannot_be_entered(store_name: str, mounted: Path) -> None:
    dangling = TRUTH.tags(store_name, served=False)
    assert dangling == [("crash/app", "bad-current", "")]
    assert sorted(os.listdir(mounted / "crash/app")) == ["bad-current", "bad-index", "good"]
    tag = mounted / "crash/app/bad-current"
    for look in (os.listdir, lambda path: os.stat(path / "manifest.json")):
        with pytest.raises(OSError, match="Input/output error") as raised:
            look(tag)
        assert raised.value.errno == errno.EIO


@pytest.mark.parametrize("store_name", WHOLE)
def test_every_revision_is_there_or_gone_as_the_api_said(store_name: str, mounted: Path) -> None:
    there = gone = 0
    for repository, said in TRUTH.stores[store_name]["repositories"].items():
        for digest, status in said["revisions"].items():
            directory = mounted / repository / f"@{digest}"
            if status == 200:
                assert list(TRUTH.differences(store_name, read_image(directory), digest)) == []
                there += 1
            else:
                assert not directory.exists()
                gone += 1
    assert there > 10
    assert gone >= 3


@pytest.mark.parametrize("store_name", WHOLE)
def test_blobs_that_are_lost_keep_their_size_and_fail_to_read(store_name: str, mounted: Path) -> None:
    lost, sound = set(), 0
    for repository, tag, digest in served(store_name):
        layers = TRUTH.manifests[digest].get("layers", ())
        shown = read_image(tag_directory(mounted, repository, tag)).layers
        for layer, want in zip(shown, layers, strict=False):
            if want["digest"] in TRUTH.absent:
                assert layer.size == want["size"] == TRUTH.absent[want["digest"]]
                assert layer.content == Failure(errno.EIO)
                lost.add(want["digest"])
            else:
                sound += isinstance(layer.content, bytes)
    assert len(lost) == len(TRUTH.absent) == 6
    assert sound > 50


@pytest.mark.parametrize("store_name", ["2.7.1/store-before", "3.0.0/store-before"])
def test_a_copy_of_an_image_with_a_lost_layer_fails_and_has_the_rest(
    store_name: str, mounted: Path, tmp_path: Path
) -> None:
    done = run("cp", "-r", mounted / "a/b/c/v3", tmp_path / "copy")
    assert done.returncode == 1
    assert done.stderr.count("Input/output error") == 1
    copied = {path.name for path in (tmp_path / "copy").rglob("*") if path.stat().st_size}
    assert copied == {"layers", "manifest.json", "config.json", "01.tar.gz", "02.tar.gz"}


@pytest.mark.parametrize("store_name", ["2.7.1/store-proxy", "3.0.0/store-proxy"])
def test_a_cache_that_pulled_one_platform_shows_the_other_as_empty(store_name: str, mounted: Path) -> None:
    platforms = mounted / "multi/list/latest/platforms"
    assert sorted(os.listdir(platforms)) == ["linux-amd64", "linux-arm64-v8"]
    assert os.listdir(platforms / "linux-arm64-v8") == []
    assert os.readlink(mounted / "multi/list/latest/layers") == "platforms/linux-amd64/layers"


@pytest.mark.parametrize("store_name", WHOLE)
def test_what_only_this_repository_stopped_serving_shows_as_long_as_the_store_has_it(
    store_name: str, mounted: Path
) -> None:
    """The API deletes a blob from one repository; the image there still names it, the store still has it."""
    unserved = TRUTH.stores[store_name]["repositories"]["gone/blob"]["unserved"]
    assert len(unserved) == 1
    manifest = json.loads((mounted / "gone/blob/t/manifest.json").read_bytes())
    position = [layer["digest"] for layer in manifest["layers"]].index(unserved[0])
    shown = read_image(mounted / "gone/blob/t").layers[position]
    assert shown.digest == unserved[0]


@pytest.mark.parametrize("store_name", WHOLE)
def test_the_commands_without_a_mount_agree_with_the_api_too(store_name: str, unpacked: Path) -> None:
    tags = [found for found in served(store_name) if "size" in TRUTH.manifests[found[2]]]  # not schema 1
    assert len(tags) == 176
    images = [f"{repository}/:{tag}" for repository, tag, _ in tags]
    files = [f"{image}/manifest.json" for image in images]
    done = subprocess.run(
        [*REGFS, "cat", str(unpacked / store_name), *files], capture_output=True, check=True, timeout=60
    )
    rest = done.stdout
    for _, _, digest in tags:
        size = TRUTH.manifests[digest]["size"]
        assert digest_of(rest[:size]) == digest
        rest = rest[size:]
    assert rest == b""
    listed = output(*REGFS, "ls", "--platform=linux/amd64", unpacked / store_name, *images).split("\n\n")
    for (_, _, digest), section in zip(tags, listed, strict=True):
        below = "platforms" if "children" in TRUTH.manifests[digest] else "config.json"
        assert {below, "manifest.json"} <= set(section.split("\n")[1:])
