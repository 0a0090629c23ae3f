"""skopeo takes every image from a mount, from `cat` and from `serve`, and a registry gets the same digest."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, need, output, run
from tests.interop.images import Images, image
from tests.interop.serving import Serving
from tests.registry.server import Registry

#: Repository and tag of each form of image.
ALL = [
    ("team/app", "gzip"),
    ("team/app", "zstd"),
    ("team/app", "none"),
    ("team/app", "multi"),
    ("team/app", "sbom"),
    ("team/docker", "v2"),
    ("team/docker", "multi"),
]
PLAIN = [pair for pair in ALL if pair[1] not in ("multi", "sbom")]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty docker-registry to copy to."""
    directory = tmp_path_factory.mktemp("target")
    made = Registry(directory / "root", directory)
    yield made
    made.end()


def copied(target: Registry, source: str, name: str, *, tls: bool = True) -> str:
    """Copy an image with all of its platforms; gives the digest that it has then."""
    command = [need("skopeo"), "copy", "--all", "--preserve-digests", "--quiet", "--dest-tls-verify=false"]
    if not tls:
        command.append("--src-tls-verify=false")
    output(*command, source, target.reference(name, "x"))
    return target.api.manifest(name, "x").digest


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_from_a_mount_by_every_transport(
    mounted: Path, images: Images, target: Registry, repository: str, tag: str
) -> None:
    wanted = images.digests[repository, tag]
    here = mounted / repository
    sources = {
        "oci": f"oci:{here}/{tag}/oci",
        "oci-tag": f"oci:{here}/{tag}/oci:{tag}",
        "repository": f"oci:{here}/.oci:{tag}",
        "plus": f"oci:{here}/+{tag}/oci",
        "revision": f"oci:{here}/@{wanted.replace(':', '-')}/oci",
        "archive": f"oci-archive:{here}/{tag}/image.tar",
        "dir": f"dir:{here}/{tag}",
    }
    if repository == "team/docker":  # skopeo of Debian 12 finds no image of Docker's by its tag
        del sources["oci-tag"], sources["repository"]
    found = {name: copied(target, source, f"from-{name}/{tag}") for name, source in sources.items()}
    assert found == dict.fromkeys(sources, wanted)


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_from_serve(serving: Serving, images: Images, target: Registry, repository: str, tag: str) -> None:
    source = f"docker://{serving.address}/{repository}:{tag}"
    assert copied(target, source, f"served/{tag}", tls=False) == images.digests[repository, tag]


@pytest.mark.parametrize(("repository", "tag"), PLAIN)
def test_the_docker_half_has_the_same_config_and_files(
    mounted: Path, images: Images, tmp_path: Path, repository: str, tag: str
) -> None:
    """What Docker loads: skopeo reads that half as Docker does, and knows the layers by their DiffIDs."""
    path = mounted / repository / tag / "image.tar"
    described = json.loads(output(need("skopeo"), "inspect", "--config", "--raw", f"docker-archive:{path}"))
    assert described == json.loads((mounted / repository / tag / "config.json").read_bytes())
    output(need("skopeo"), "copy", "--quiet", f"docker-archive:{path}", f"dir:{tmp_path}/copy")
    manifest = json.loads((tmp_path / "copy/manifest.json").read_bytes())
    assert [layer["digest"] for layer in manifest["layers"]] == described["rootfs"]["diff_ids"]


def test_one_platform_of_an_index(mounted: Path, target: Registry) -> None:
    found = copied(target, f"oci:{mounted}/team/app/multi/platforms/linux-arm64-v8/oci:multi", "one/arm64")
    index = json.loads((mounted / "team/app/multi/manifest.json").read_bytes())
    assert found == index["manifests"][1]["digest"]


def test_tags_are_listed_and_a_repository_is_synchronised(
    serving: Serving, images: Images, target: Registry
) -> None:
    source = f"docker://{serving.address}/team/docker"
    listed = json.loads(output(need("skopeo"), "list-tags", "--tls-verify=false", source))
    assert listed["Tags"] == ["multi", "v2"]
    command = (need("skopeo"), "sync", "--all", "--src-tls-verify=false", "--dest-tls-verify=false")
    output(*command, "--src", "docker", "--dest", "docker", source[9:], f"{target.address}/synced")
    for tag in ("multi", "v2"):
        assert target.api.manifest("synced/docker", tag).digest == images.digests["team/docker", tag]


def test_from_cat_of_several_images(images: Images, target: Registry, tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    with archive.open("wb") as file:
        refs = ("team/app:gzip", "team/app:multi", "team/app:none")
        command = [*REGFS, "cat", str(images.root), *refs, "--archive", "--platform", "linux/amd64"]
        subprocess.run(command, stdout=file, check=True)
    for repository, tag in (("team/app", "gzip"), ("team/app", "multi"), ("team/app", "none")):
        found = copied(target, f"oci-archive:{archive}:{tag}", f"from-cat/{tag}")
        assert found == images.digests[repository, tag]
    assert output(need("skopeo"), "inspect", f"docker-archive:{archive}:team/app:none")


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_image_is_copied_from_nowhere(
    store: StoreBuilder, mount: object, target: Registry, serve: object, damage: str
) -> None:
    pushed = image(store, "app", "1.0", [{"a": os.urandom(200_000)}, {"b": b"2"}])
    layer = json.loads(store.data(pushed.digest).read_bytes())["layers"][0]["digest"]
    path = store.data(layer)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    shown: Mount = mount(store)  # type: ignore[operator]
    served: Serving = serve(store)  # type: ignore[operator]
    here = shown.path / "app/1.0"
    skopeo = (need("skopeo"), "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false")
    for number, source in enumerate(
        (
            f"oci:{here}/oci",
            f"dir:{here}",
            f"oci-archive:{here}/image.tar",
            f"docker-archive:{here}/image.tar",
            f"docker://{served.address}/app:1.0",
        )
    ):
        done = run(*skopeo, source, target.reference(f"damaged-{damage}/{number}", "x"))
        assert done.returncode != 0, source
    for command in (("cp", "-r", f"{here}/oci"), ("cp", f"{here}/image.tar")):
        assert run(*command, shown.path.parent / "copy").returncode != 0


def test_a_mount_shows_none_of_the_new_names(mounted: Path) -> None:
    found = output("find", mounted, "-printf", "%f\n").splitlines()
    assert "manifest.json" in found
    assert not {"oci", ".oci", "image.tar", "index.json"} & set(found)
    assert not [name for name in found if name.startswith(("+", "@")) or len(name) > 60]


def test_a_layout_adds_its_documents_to_du_and_nothing_else(mounted: Path) -> None:
    def used(*paths: Path) -> int:
        return int(output("du", "-s", "--block-size=1", "-c", *paths).splitlines()[-1].split()[0])

    here = mounted / "team/app/gzip"
    assert used(here, here / "oci") - used(here) <= 4096


def test_an_archive_is_what_cat_writes_and_tar_reads(mounted: Path, images: Images, tmp_path: Path) -> None:
    path = mounted / "team/app/multi/image.tar"
    command = [*REGFS, "cat", str(images.root), "team/app/multi/image.tar", "--platform", "linux/amd64"]
    written = subprocess.run(
        [*command, "--registry", "reg.example.com"], capture_output=True, check=True
    ).stdout
    assert path.read_bytes() == written
    assert path.stat().st_size == len(written)
    names = output("tar", "tf", path).splitlines()
    assert names[:3] == ["oci-layout", "index.json", "manifest.json"]
    xattrs = {name: os.getxattr(path, f"user.regfs.{name}") for name in ("name", "docker_load")}
    assert xattrs == {"name": b"reg.example.com/team/app:multi", "docker_load": b"yes"}
