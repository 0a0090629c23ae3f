"""A real Debian, built by mmdebstrap and pushed to a real registry: its rootfs/ is what the tar unpacks to.

Takes a minute or two and needs Debian's archive, so it is not among the tests that run by themselves:
`scripts/test -m slow`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import need, output, run
from tests.registry import inside_images
from tests.registry.insides import differences, read_tree
from tests.registry.pushes import skopeo
from tests.registry.server import Registry

pytestmark = [pytest.mark.registry, pytest.mark.slow]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tar of a minimal system, devices, setuid programs and hard links in it."""
    target = tmp_path_factory.mktemp("debian") / "system.tar"
    output(need("mmdebstrap"), "--quiet", "--variant=essential", "bookworm", target)
    return target.read_bytes()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_debian_shows_as_tar_unpacks_it(
    system: bytes, compression: str, tmp_path: Path, mount_once: Callable[[Path], Path]
) -> None:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    (tmp_path / "system.tar").write_bytes(system)
    output(
        "tar",
        "-x",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "-pf",
        tmp_path / "system.tar",
        "-C",
        unpacked,
    )
    registry = Registry(tmp_path / "registry", tmp_path)
    try:
        layout = inside_images.write_layout(tmp_path / "layout", [system], (compression,))
        skopeo(layout, registry, "debian", compression, "--preserve-digests")
    finally:
        registry.end()
    rootfs = mount_once(registry.root) / "debian" / compression / "rootfs"
    shown, want = read_tree(rootfs), read_tree(unpacked)
    assert len(want.entries) > 3000
    assert differences(shown.entries, want.entries) == []
    assert shown.links == want.links
    assert run("diff", "-r", "--no-dereference", "--exclude=dev", rootfs, unpacked).stdout == ""
    packages = output("dpkg-query", f"--admindir={rootfs}/var/lib/dpkg", "-W", "-f", "${Package}\n").split()
    assert {"bash", "dpkg", "tar"} <= set(packages)
