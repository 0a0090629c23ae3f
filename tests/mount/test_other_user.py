"""Mounts that a user other than root makes, through fusermount.

They are made in a mount namespace where /dev/fuse is open to all, as udev makes it on every machine with
users, and where /etc/fuse.conf is the test's.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, cannot_run, need
from tests.mount.conftest import NOBODY, processes_with, until
from tests.mount.namespace import Namespace

pytestmark = pytest.mark.fuse

FILE = "team/app/1.0/manifest.json"


@pytest.fixture
def place(public: Path) -> Path:
    """A mountpoint that belongs to the other user."""
    path = public / "mnt"
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    return path


@pytest.fixture
def conf(public: Path) -> Path:
    """What stands for /etc/fuse.conf."""
    path = public / "fuse.conf"
    path.write_text("#user_allow_other\n")
    return path


@pytest.fixture
def namespace(public: Path, place: Path, conf: Path, fuse: None) -> Iterator[Namespace]:
    need("fusermount")
    device = public / "fuse"
    os.mknod(device, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    device.chmod(0o666)
    binds = {Path("/dev/fuse"): device}
    if Path("/etc/fuse.conf").exists():
        binds[Path("/etc/fuse.conf")] = conf
    made = Namespace(public, binds)
    try:
        done = made.as_nobody(*REGFS, "--version")
        if done.returncode != 0:
            cannot_run(f"another user cannot run regfs from here: {done.stderr}")
        yield made
    finally:
        made.close(place)


def killed(mountpoint: Path) -> None:
    (process,) = processes_with(mountpoint)
    os.kill(process, signal.SIGKILL)
    until(lambda: not processes_with(mountpoint), "the process is gone")


def test_another_user_mounts_reads_and_unmounts(
    namespace: Namespace, place: Path, library: StoreBuilder
) -> None:
    done = namespace.as_nobody(*REGFS, "mount", library.root, place)
    assert done.returncode == 0, done.stderr
    source, _, kind, options, *_ = namespace.entry(place)
    assert (source, kind) == (str(library.root), "fuse.regfs")
    assert {"ro", "nosuid", "nodev", f"user_id={NOBODY}", f"group_id={NOBODY}"} <= set(options.split(","))
    shown = namespace.as_nobody("stat", "-c", "%u %g %a", place / FILE)
    assert shown.stdout == f"{NOBODY} {NOBODY} 444\n"
    assert namespace.as_nobody("cat", place / FILE).stdout.startswith('{"schemaVersion"')
    assert "Permission denied" in namespace.run("ls", place).stderr  # not even root, without allow_other
    done = namespace.as_nobody(*REGFS, "umount", place)
    assert done.returncode == 0, done.stderr
    until(lambda: not processes_with(place), "the process ends")
    assert namespace.entry(place) == []


def test_a_busy_mount_says_what_to_do_to_another_user_as_well(
    namespace: Namespace, place: Path, library: StoreBuilder
) -> None:
    assert namespace.as_nobody(*REGFS, "mount", library.root, place).returncode == 0
    hold = 'sleep 100 <"$1" >/dev/null 2>&1 & echo $!'
    holder = int(namespace.as_nobody("sh", "-c", hold, "sh", place / FILE).stdout)
    try:
        done = namespace.as_nobody(*REGFS, "umount", place)
        assert done.returncode != 0
        assert "busy" in done.stderr
        assert "regfs umount --lazy" in done.stderr
        done = namespace.as_nobody(*REGFS, "umount", "--lazy", place)
        assert done.returncode == 0, done.stderr
        assert processes_with(place)
    finally:
        os.kill(holder, signal.SIGKILL)
    until(lambda: not processes_with(place), "the process ends with the last open file")


def test_another_user_clears_his_own_dead_mount(
    namespace: Namespace, place: Path, library: StoreBuilder
) -> None:
    assert namespace.as_nobody(*REGFS, "mount", library.root, place).returncode == 0
    killed(place)
    done = namespace.as_nobody(*REGFS, "mount", library.root, place)
    assert done.returncode == 0, done.stderr
    assert namespace.as_nobody("ls", place).stdout == "team\n"
    assert namespace.as_nobody(*REGFS, "umount", place).returncode == 0
    assert namespace.entry(place) == []


def test_the_dead_mount_of_root_is_roots_to_clear(
    namespace: Namespace, place: Path, library: StoreBuilder
) -> None:
    namespace.output(*REGFS, "mount", library.root, place, "-o", "allow_other")
    killed(place)
    done = namespace.as_nobody(*REGFS, "mount", library.root, place)
    assert done.returncode != 0
    assert f"mountpoint {place}: holds a dead mount" in done.stderr
    assert f"umount -l {place}" in done.stderr
    assert "user_id=0" in namespace.entry(place)[3]
    namespace.output(*REGFS, "mount", library.root, place)
    assert namespace.output("ls", place) == "team\n"


def test_allow_other_needs_roots_leave(
    namespace: Namespace, place: Path, library: StoreBuilder, conf: Path
) -> None:
    command = (*REGFS, "mount", library.root, place, "-o", "allow_other")
    done = namespace.as_nobody(*command)
    assert done.returncode != 0
    assert "user_allow_other in /etc/fuse.conf" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert namespace.entry(place) == []
    conf.write_text("user_allow_other\n")
    done = namespace.as_nobody(*command)
    assert done.returncode == 0, done.stderr
    assert namespace.output("cat", place / FILE).startswith('{"schemaVersion"')


@pytest.mark.parametrize("closed", ["", "registry", "registry/docker", "registry/docker/registry/v2"])
def test_a_store_that_a_user_may_not_read_is_said_to_be_so(
    namespace: Namespace, place: Path, library: StoreBuilder, public: Path, closed: str
) -> None:
    directory = library.root.parent / closed if closed else public
    directory.chmod(0o700)
    done = namespace.as_nobody(*REGFS, "mount", library.root, place)
    directory.chmod(0o755)
    assert done.returncode != 0
    assert "permission denied" in done.stderr.lower()
    assert len(done.stderr.splitlines()) == 1
    assert namespace.entry(place) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_mountpoint_that_a_user_may_not_read_is_refused(
    namespace: Namespace, library: StoreBuilder, public: Path, below: str
) -> None:
    (public / "closed" / "deeper").mkdir(parents=True)
    (public / "closed").chmod(0o700)
    wanted = public / "closed" / below
    done = namespace.as_nobody(*REGFS, "mount", library.root, wanted)
    assert done.returncode != 0
    assert f"mountpoint {wanted}: " in done.stderr
    assert "permission denied" in done.stderr.lower()
    assert namespace.entry(wanted) == []


def test_a_mountpoint_that_is_not_the_users_own_is_refused(
    namespace: Namespace, library: StoreBuilder, public: Path
) -> None:
    wanted = public / "roots"
    wanted.mkdir(mode=0o755)
    done = namespace.as_nobody(*REGFS, "mount", library.root, wanted)
    assert done.returncode != 0
    assert str(wanted) in done.stderr
    assert "Traceback" not in done.stderr
    assert namespace.entry(wanted) == []


def test_a_blob_that_the_mounting_user_may_not_read_is_eacces(
    namespace: Namespace, place: Path, library: StoreBuilder
) -> None:
    secret = library.layer({"secret": b"secret"})
    library.image("team/app", "closed", [secret])
    library.data(secret.digest).chmod(0o600)
    assert namespace.as_nobody(*REGFS, "mount", library.root, place).returncode == 0
    done = namespace.as_nobody("cat", place / "team/app/closed/layers/00.tar.gz")
    assert done.returncode != 0
    assert "Permission denied" in done.stderr
    assert namespace.as_nobody("cat", place / "team/app/closed/config.json").returncode == 0


def test_a_dev_fuse_that_is_not_open_to_the_user_is_named(
    namespace: Namespace, place: Path, library: StoreBuilder
) -> None:
    namespace.output("chmod", "600", "/dev/fuse")
    done = namespace.as_nobody(*REGFS, "mount", library.root, place)
    assert done.returncode != 0
    assert "/dev/fuse is not open to you" in done.stderr
