"""podman, buildah, umoci, containerd, from a mount and from `serve`: scripts/test --with interop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder.sample import build_sample
from tests.conftest import REGFS, Mount, cannot_run, need, output, run
from tests.interop.images import Images
from tests.interop.serving import Serving
from tests.readme import EXAMPLES, run_block
from tests.registry.server import free_port

pytestmark = pytest.mark.interop

#: Each form of image that is one of files, and podman's and containerd's own word for its digest.
ALL = [
    ("team/app", "gzip"),
    ("team/app", "zstd"),
    ("team/app", "none"),
    ("team/app", "multi"),
    ("team/docker", "v2"),
    ("team/docker", "multi"),
]

#: What umoci of Debian 12 reads: no zstd, no index, nothing of Docker's.
UMOCI = [("team/app", "gzip"), ("team/app", "none")]


def config_of(images: Images, repository: str, tag: str) -> str:
    """Give the digest of the config for linux/amd64, which is what podman calls an image's ID."""
    document = json.loads(images.raw(repository, tag))
    if "manifests" in document:
        document = json.loads(images.store.data(document["manifests"][0]["digest"]).read_bytes())
    return str(document["config"]["digest"])


class Podman:
    """podman or buildah with a storage of its own, by vfs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._storage = (
            *("--root", str(directory / "root"), "--runroot", str(directory / "runroot")),
            *("--storage-driver", "vfs"),
        )
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(directory),
            "CONTAINERS_REGISTRIES_CONF": str(directory / "registries.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
            "TMPDIR": str(directory),
        }
        (directory / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/root"\nrunroot = "{directory}/runroot"\n'
        )
        (directory / "registries.conf").write_text("")

    def registries(self, text: str) -> None:
        (self.directory / "registries.conf").write_text(text)

    def run(self, program: str, *arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
        return run(need(program), *self._storage, *arguments, env=self.environment, **more)

    def output(self, program: str, *arguments: str | Path, **more: object) -> str:
        return output(need(program), *self._storage, *arguments, env=self.environment, **more)

    def id_of(self, name: str) -> str:
        return self.output("podman", "image", "inspect", "--format", "{{.Id}}", name).strip()


@pytest.fixture
def podman() -> Iterator[Podman]:
    if os.geteuid() != 0:
        cannot_run("podman by vfs with a root of its own is tried as root")
    directory = Path(tempfile.mkdtemp(prefix="regfs-", dir="/tmp"))  # podman takes no path of 50 characters
    made = Podman(directory)
    yield made
    made.run("podman", "rmi", "--all", "--force")
    shutil.rmtree(directory, ignore_errors=True)


# --- from the mount -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_podman_pulls_a_layout_and_a_directory(
    mounted: Path, images: Images, podman: Podman, repository: str, tag: str
) -> None:
    wanted = config_of(images, repository, tag)
    for source in (f"oci:{mounted}/{repository}/{tag}/oci", f"dir:{mounted}/{repository}/{tag}"):
        found = podman.output("podman", "pull", "--quiet", "--arch", "amd64", source).split()[-1]
        assert f"sha256:{found}" == wanted, source


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_podman_loads_an_archive_under_the_name_of_the_registry(
    mounted: Path, images: Images, podman: Podman, repository: str, tag: str
) -> None:
    podman.output("podman", "load", "-i", mounted / repository / tag / "image.tar")
    name = f"reg.example.com/{repository}:{tag}"
    assert f"sha256:{podman.id_of(name)}" == config_of(images, repository, tag)


def test_podman_loads_what_cat_writes(images: Images, podman: Podman) -> None:
    path = "team/app/gzip/image.tar"
    cat = subprocess.run(
        [*REGFS, "cat", str(images.root), path, "--registry", "reg.example.com"],
        capture_output=True,
        check=True,
    )
    done = subprocess.run(
        [need("podman"), *podman._storage, "load"],
        input=cat.stdout,
        env=podman.environment,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    wanted = config_of(images, "team/app", "gzip")
    assert f"sha256:{podman.id_of('reg.example.com/team/app:gzip')}" == wanted


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_buildah_builds_on_a_layout(
    mounted: Path, images: Images, podman: Podman, repository: str, tag: str
) -> None:
    name = podman.output(
        "buildah", "from", "--arch", "amd64", f"oci:{mounted}/{repository}/{tag}/oci"
    ).strip()
    found = json.loads(podman.output("buildah", "inspect", name))
    assert f"sha256:{found['FromImageID']}" == config_of(images, repository, tag)
    podman.output("buildah", "rm", name)


@pytest.mark.parametrize(("repository", "tag"), UMOCI)
def test_umoci_unpacks_a_layout(mounted: Path, tmp_path: Path, repository: str, tag: str) -> None:
    bundle = tmp_path / "bundle"
    output(need("umoci"), "unpack", "--image", f"{mounted}/{repository}/{tag}/oci:{tag}", bundle)
    assert (bundle / "rootfs/etc/os-release").read_bytes() == b"ID=demo\n"
    assert (bundle / "rootfs/srv/app").read_bytes() == tag.encode() * 100


def test_umoci_lists_and_unpacks_one_platform(mounted: Path, tmp_path: Path) -> None:
    listed = output(need("umoci"), "ls", "--layout", mounted / "team/app/.oci").split()
    assert sorted(listed) == ["gzip", "multi", "none", "sbom", "zstd"]
    layout = mounted / "team/app/multi/platforms/linux-amd64/oci"
    output(need("umoci"), "unpack", "--image", f"{layout}:multi", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/etc/arch").read_bytes() == b"amd64"


# --- from serve, under the names that are deployed ------------------------------------------------------


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_podman_pulls_by_the_printed_configuration(
    serving: Serving, images: Images, podman: Podman, repository: str, tag: str
) -> None:
    printed = output(
        *(*REGFS, "serve", images.root, "--listen", serving.address),
        *("--print-config", "podman", "--registry", "reg.example.com"),
    )
    podman.registries(printed)
    name = f"reg.example.com/{repository}:{tag}"
    podman.output("podman", "pull", "--quiet", "--arch", "amd64", name)
    assert f"sha256:{podman.id_of(name)}" == config_of(images, repository, tag)


def test_the_readme_brings_images_back(
    podman: Podman, tmp_path: Path, fuse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^```console podman\n(.*?)^```$", EXAMPLES.read_text(), re.MULTILINE | re.DOTALL)
    work = podman.directory / "readme"
    for name in ("mnt", "store"):
        (work / name).mkdir(parents=True)
    build_sample(work / "store")
    for name, value in podman.environment.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    made = Mount(work / "store", work / "mnt")
    try:
        printed = run_block(block.replace(":5000", f":{port}"), work)
    finally:
        made.end()
    assert printed.replace(f":{port}", ":5000") == block


# --- containerd ------------------------------------------------------------------------------------


class Containerd:
    """containerd with a root and a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._socket = directory / "containerd.sock"
        config = directory / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
            f'[grpc]\n  address = "{self._socket}"\n[ttrpc]\n  address = "{directory}/ttrpc.sock"\n'
        )
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [need("containerd"), "--config", str(config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while self.run("version").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.end()
                cannot_run(f"containerd does not run here: {self._log.read_text()[-500:]}")
            time.sleep(0.1)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run(need("ctr"), "--address", self._socket, *arguments)

    def digest_of(self, name: str) -> str:
        for line in self.run("images", "ls").stdout.splitlines()[1:]:
            found, _, digest, *_ = line.split()
            if found == name:
                return digest
        raise AssertionError(f"containerd has no {name}: {self.run('images', 'ls').stdout}")

    def end(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    need("containerd")
    need("ctr")
    if os.geteuid() != 0:
        cannot_run("containerd is tried as root")
    made = Containerd(tmp_path_factory.mktemp("containerd"))
    yield made
    made.end()


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_containerd_imports_an_archive_and_keeps_the_digest(
    mounted: Path, images: Images, containerd: Containerd, repository: str, tag: str
) -> None:
    done = containerd.run("images", "import", "--no-unpack", mounted / repository / tag / "image.tar")
    assert done.returncode == 0, done.stderr
    assert containerd.digest_of(f"reg.example.com/{repository}:{tag}") == images.digests[repository, tag]


@pytest.mark.parametrize(("repository", "tag"), ALL)
def test_containerd_pulls_by_the_printed_configuration(
    serving: Serving, images: Images, containerd: Containerd, tmp_path: Path, repository: str, tag: str
) -> None:
    printed = output(
        *(*REGFS, "serve", images.root, "--listen", serving.address),
        *("--print-config", "containerd", "--registry", "cold.example.com"),
    )
    hosts = tmp_path / "certs.d"
    (hosts / "cold.example.com").mkdir(parents=True)
    (hosts / "cold.example.com/hosts.toml").write_text(printed)
    name = f"cold.example.com/{repository}:{tag}"
    done = containerd.run("content", "fetch", "--hosts-dir", hosts, "--platform", "linux/amd64", name)
    assert done.returncode == 0, done.stderr
    assert containerd.digest_of(name) == images.digests[repository, tag]
