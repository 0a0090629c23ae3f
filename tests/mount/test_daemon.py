"""How a mount behaves as a daemon: what it inherits, its end, its log, what it tells a service manager."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, need, output, run
from tests.mount.conftest import clear, processes_with, regfs, until

pytestmark = pytest.mark.fuse


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0")
    return store


# --- what is inherited ---------------------------------------------------------------------------------


def test_a_lock_of_whoever_mounts_is_free_when_he_has_ended(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    script = f'exec 9>"$1"; flock 9; {" ".join(REGFS)} mount "$2" "$3"'
    output("sh", "-c", script, "sh", lock, image.root, mountpoint)
    output(need("flock"), "--nonblock", lock, "true")
    assert os.listdir(mountpoint) == ["team"]


def test_the_reader_of_a_pipe_that_whoever_mounts_has_open_sees_its_end(
    image: StoreBuilder, mountpoint: Path
) -> None:
    reading, writing = os.pipe()
    assert regfs("mount", image.root, mountpoint, pass_fds=[writing]).returncode == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""


# --- the end -------------------------------------------------------------------------------------------


@pytest.fixture
def share(image: StoreBuilder, tmp_path: Path, as_root: None) -> Iterator[Path]:
    """A place for a mount of its own, which holds the store."""
    place = tmp_path / "share"
    place.mkdir()
    yield place
    clear(place)


def test_the_file_system_of_the_store_can_be_unmounted_right_after_regfs_umount(
    image: StoreBuilder, share: Path, mountpoint: Path
) -> None:
    for _ in range(8):
        output("mount", "--bind", image.root, share)
        assert regfs("mount", share, mountpoint).returncode == 0
        assert len(list(mountpoint.glob("team/app/1.0/layers/*"))) > 0
        done = regfs("umount", mountpoint)
        assert (done.returncode, done.stderr) == (0, "")
        output("umount", share)
        assert not processes_with(mountpoint)


def test_regfs_umount_waits_for_the_mount_that_it_ends_and_for_no_other(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for place in (mountpoint, other):
        assert regfs("mount", image.root, place).returncode == 0
    assert regfs("umount", mountpoint).returncode == 0
    assert not processes_with(mountpoint)
    assert processes_with(other)
    assert regfs("umount", other).returncode == 0
    assert not processes_with(other)


def test_regfs_umount_waits_for_a_mount_in_the_foreground_as_well(
    image: StoreBuilder, mountpoint: Path
) -> None:
    mounted = Mount(image.root, mountpoint)
    assert regfs("umount", mountpoint).returncode == 0
    assert mounted.process.poll() == 0


# --- logs ----------------------------------------------------------------------------------------------


def only_process(mountpoint: Path) -> int:
    (found,) = processes_with(mountpoint)
    return found


def hang_up(mountpoint: Path) -> None:
    os.kill(only_process(mountpoint), signal.SIGHUP)


def test_after_a_rename_and_sighup_the_log_goes_on_in_a_new_file(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    log, old = tmp_path / "regfs.log", tmp_path / "regfs.log.1"
    assert regfs("mount", image.root, mountpoint, "-o", f"log_file={log}").returncode == 0
    log.rename(old)
    hang_up(mountpoint)
    until(log.exists, "a new log")
    assert os.listdir(mountpoint) == ["team"]
    assert regfs("umount", mountpoint).returncode == 0
    assert "is mounted" in old.read_text()
    assert "is unmounted" in log.read_text()
    assert "is unmounted" not in old.read_text()


@pytest.mark.parametrize(
    "way",
    [
        "create\npostrotate\nkill -HUP {process}\nendscript",
        "nocreate\npostrotate\nkill -HUP {process}\nendscript",
        "copytruncate",
    ],
)
def test_logrotate_rotates_it(image: StoreBuilder, mountpoint: Path, tmp_path: Path, way: str) -> None:
    logs = tmp_path / "log"
    logs.mkdir(mode=0o755)
    log = logs / "regfs.log"
    assert regfs("mount", image.root, mountpoint, "--log-file", log).returncode == 0
    config, state = tmp_path / "logrotate.conf", tmp_path / "state"
    config.write_text(f"{log} {{\nrotate 3\n{way.format(process=only_process(mountpoint))}\n}}\n")
    config.chmod(0o644)
    output(need("logrotate"), "--force", "--state", state, config)
    until(log.exists, "the log")
    assert regfs("umount", mountpoint).returncode == 0
    assert "is mounted" in (logs / "regfs.log.1").read_text()
    assert log.read_text().count("\n") == 1
    assert "is unmounted" in log.read_text()
    assert "\0" not in log.read_text()


def test_where_no_log_can_be_opened_anew_it_goes_on_in_the_old(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    assert regfs("mount", image.root, mountpoint, "--log-file", tmp_path / "log/regfs.log").returncode == 0
    (tmp_path / "log").rename(tmp_path / "moved")
    hang_up(mountpoint)
    log = tmp_path / "moved/regfs.log"
    until(
        lambda: "cannot be opened anew: No such file or directory" in log.read_text(), "a line that says so"
    )
    assert os.listdir(mountpoint) == ["team"]


def test_sighup_in_the_background_without_a_log_file_leaves_the_mount_alone(
    image: StoreBuilder, mountpoint: Path
) -> None:
    assert regfs("mount", image.root, mountpoint).returncode == 0
    hang_up(mountpoint)
    assert os.listdir(mountpoint) == ["team"]
    assert only_process(mountpoint)


def test_a_log_on_a_full_disk_disturbs_nobody(image: StoreBuilder, mountpoint: Path) -> None:
    mounted = Mount(image.root, mountpoint, "log_file=/dev/full")
    assert os.listdir(mountpoint) == ["team"]
    assert mounted.end() == 0
    assert mounted.log.read_text() == ""


# --- service managers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_service_of_type_notify_says_when_it_is_ready_and_when_it_stops(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    address = {"path": str(tmp_path / "notify"), "abstract": f"@regfs-test-{os.getpid()}"}[kind]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0", 1) if kind == "abstract" else address)
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        process = subprocess.Popen([*REGFS, "mount", "-f", str(image.root), str(mountpoint)])
        assert manager.recv(100) == b"READY=1"
        assert os.listdir(mountpoint) == ["team"]
        process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
        assert process.wait(20) == 0


def test_a_mount_in_the_background_does_not_speak_for_the_service_that_made_it(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert regfs("mount", image.root, mountpoint).returncode == 0
        assert regfs("umount", mountpoint).returncode == 0
        with pytest.raises(BlockingIOError):
            manager.recv(100, socket.MSG_DONTWAIT)


def test_a_service_manager_that_is_gone_keeps_no_mount_from_its_work(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nothing"))
    mounted = Mount(image.root, mountpoint)
    assert os.listdir(mountpoint) == ["team"]
    assert mounted.end() == 0
    assert "Traceback" not in mounted.log.read_text()


# --- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "team", "team/app", "team/app/1.0", "team/app/1.0/layers", "@blobs"])
def test_a_name_that_is_too_long_is_told_from_one_that_is_not_there_as_by_bindfs(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, place: str
) -> None:
    assert regfs("mount", image.root, mountpoint).returncode == 0
    other = tmp_path / "bindfs"
    other.mkdir()
    output(need("bindfs"), image.root, other)
    try:
        for length, expected in ((255, errno.ENOENT), (256, errno.ENAMETOOLONG), (1025, errno.ENAMETOOLONG)):
            for directory in (mountpoint / place, other):
                with pytest.raises(OSError, match=r".") as caught:
                    os.stat(directory / ("x" * length))
                assert caught.value.errno == expected, (directory, length)
        with pytest.raises(OSError, match=r".") as caught:
            os.stat(mountpoint / place / ("ü" * 128))  # 256 bytes
        assert caught.value.errno == errno.ENAMETOOLONG
    finally:
        clear(other)


# --- updatedb ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prune", ["", "fuse.regfs"])
def test_updatedb_walks_the_mount_unless_its_type_is_in_prunefs(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, as_root: None, prune: str
) -> None:
    assert regfs("mount", image.root, mountpoint).returncode == 0
    database = tmp_path / "locate.db"
    output(need("updatedb"), "-U", tmp_path, "-o", database, "--prunefs", prune, "--require-visibility", "no")
    found = run(need("plocate"), "-d", database, "manifest.json").stdout
    assert (str(mountpoint / "team/app/1.0/manifest.json") in found) == (prune == "")
