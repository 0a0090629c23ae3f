"""A bucket mounted by mount(8) and a line in fstab, for real; and nothing of the credentials is anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mount.conftest import as_root, mountpoint, until
from tests.mount.namespace import Namespace, namespace
from tests.objects.pair import Pair
from tests.objects.server import KEY, SECRET, Seaweed

__all__ = ["as_root", "mountpoint", "namespace"]

pytestmark = [pytest.mark.objects, pytest.mark.fuse, pytest.mark.registry]

TREE = "by-skopeo\n"


@pytest.fixture
def credentials(seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that says all, while the environment says nothing."""
    settings = seaweed.environment()
    for name in settings:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "registry.env"
    file.write_text("# as for systemd\n" + "".join(f"{name}='{text}'\n" for name, text in settings.items()))
    file.chmod(0o600)
    return file


def told_of_secrets(namespace: Namespace) -> str:
    """Give what everybody can see of the machine's processes and mounts, without environments."""
    seen = namespace.run("sh", "-c", "cat /proc/[0-9]*/cmdline /proc/mounts /proc/self/mountinfo").stdout
    assert "regfs" in seen  # whatever else has ended meanwhile
    return seen


def test_mount_t_fuse_regfs_takes_the_endpoint_as_an_option_and_credentials_from_the_environment(
    keys: Seaweed,
    pair: Pair,
    namespace: Namespace,
    mountpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    log = tmp_path / "log"
    options = f"endpoint={keys.endpoint},log_file={log},ttl=60"
    namespace.output("mount", "-t", "fuse.regfs", pair.address, mountpoint, "-o", options)
    assert TREE in namespace.output("ls", mountpoint)
    assert namespace.entry(mountpoint)[:3] == [pair.address, str(mountpoint), "fuse.regfs"]
    assert SECRET not in told_of_secrets(namespace) + log.read_text()
    namespace.output("umount", mountpoint)
    until(lambda: "is unmounted" in log.read_text(), "regfs ends")


def test_a_line_in_fstab_mounts_with_a_file_of_credentials(
    seaweed: Seaweed, pair: Pair, credentials: Path, namespace: Namespace, mountpoint: Path, tmp_path: Path
) -> None:
    log, fstab = tmp_path / "log", tmp_path / "fstab"
    options = f"_netdev,allow_other,log_file={log},credentials={credentials}"
    fstab.write_text(f"{pair.address} {mountpoint} fuse.regfs {options} 0 0\n")
    for _ in range(2):  # the second finds it mounted
        namespace.output("mount", "-T", fstab, "-a")
        assert TREE in namespace.output("ls", mountpoint)
        found = namespace.output("findmnt", "--noheadings", "-o", "TARGET", "--source", pair.address)
        assert found == f"{mountpoint}\n"
    assert SECRET not in told_of_secrets(namespace) + log.read_text()
    namespace.output("umount", mountpoint)


def test_wrong_credentials_are_an_error_that_does_not_say_them(
    seaweed: Seaweed, pair: Pair, credentials: Path, namespace: Namespace, mountpoint: Path
) -> None:
    credentials.write_text(credentials.read_text().replace(SECRET, "wrong-secret"))
    command = ("mount", "-t", "fuse.regfs", pair.address, mountpoint, "-o", f"credentials={credentials}")
    done = namespace.run(*command)
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr
    assert not {"wrong-secret", KEY} & set(done.stderr.replace("'", " ").split())
    credentials.chmod(0o644)
    assert "chmod 600" in namespace.run(*command).stderr
    assert namespace.entry(mountpoint) == []
