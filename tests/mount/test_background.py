"""`regfs mount` in the background: it returns when the files are there, or says why they are not."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, output, run
from tests.mount.conftest import mount_entry, processes_with, regfs, until

pytestmark = pytest.mark.fuse


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0")
    return store


def only_process(mountpoint: Path) -> int:
    (found,) = processes_with(mountpoint)
    return found


def test_the_files_are_there_as_soon_as_the_command_returns(image: StoreBuilder, mountpoint: Path) -> None:
    for _ in range(10):
        done = regfs("mount", image.root, mountpoint)
        assert done.returncode == 0, done.stderr
        assert os.listdir(mountpoint) == ["team"]
        done = regfs("umount", mountpoint)
        assert done.returncode == 0, done.stderr
        assert os.listdir(mountpoint) == []


def test_a_shell_line_can_mount_and_read_at_once(image: StoreBuilder, mountpoint: Path) -> None:
    command = f'{" ".join(REGFS)} mount "$1" "$2" && ls "$2/team/app" && cat "$2/team/app/1.0/manifest.json"'
    shown = output("sh", "-c", command, "sh", image.root, mountpoint)
    assert shown.startswith('1.0\n{"schemaVersion": 2')


def test_regfs_store_mountpoint_means_mount(image: StoreBuilder, mountpoint: Path) -> None:
    done = regfs(image.root, mountpoint, "-o", "ttl=1")
    assert done.returncode == 0, done.stderr
    assert os.listdir(mountpoint) == ["team"]


def test_the_command_lets_go_of_terminal_and_working_directory(image: StoreBuilder, mountpoint: Path) -> None:
    done = regfs("mount", image.root, mountpoint, cwd=image.root)  # returns only if the pipes are closed
    assert done.returncode == 0, done.stderr
    process = Path("/proc", str(only_process(mountpoint)))
    assert os.readlink(process / "cwd") == "/"
    assert {os.readlink(process / "fd" / str(number)) for number in range(3)} == {"/dev/null"}
    session = int((process / "stat").read_text().rpartition(") ")[2].split()[3])
    assert session == int(process.name) != os.getsid(0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tmp}/nothing", "{mnt}"], "there is no such directory"),
        (["{tmp}/empty", "{mnt}"], "no registry storage found"),
        (["{store}", "{tmp}/nothing"], "does not exist; make it with mkdir"),
        (["{store}", "{mnt}", "-o", "no_such_option"], "option no_such_option: unknown"),
        (["{store}", "{mnt}", "-o", "max_read=0,congestion_threshold=x"], "option congestion_threshold"),
        (["{store}", "{mnt}", "--log-file", "{tmp}/nothing/log"], "log file "),
        (["{store}"], "MOUNTPOINT"),
    ],
    ids=[
        "no store",
        "empty store",
        "no mountpoint",
        "unknown option",
        "wrong value",
        "log file",
        "one argument",
    ],
)
def test_a_mount_that_cannot_be_made_says_why_and_fails(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"tmp": tmp_path, "store": image.root, "mnt": mountpoint}
    done = regfs("mount", *(argument.format(**places) for argument in arguments))
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert mount_entry(mountpoint) is None
    assert not processes_with(mountpoint)


def test_what_the_kernel_refuses_reaches_the_person_who_mounts(image: StoreBuilder, mountpoint: Path) -> None:
    source = "x" * 5000  # longer than a page, which is the most that mount(2) takes
    done = regfs("mount", image.root, mountpoint, "-o", f"fsname={source}")
    assert done.returncode != 0
    assert "cannot be mounted" in done.stderr
    assert "Traceback" not in done.stderr
    assert mount_entry(mountpoint) is None
    assert not processes_with(mountpoint)


def test_a_log_file_tells_of_mount_damage_and_unmount(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    image.tag_link("team/app", "1.0").write_bytes(b"")
    done = regfs("mount", image.root, "mnt", "--log-file", "regfs.log", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert run("ls", mountpoint / "team/app/1.0").returncode != 0
    assert regfs("umount", mountpoint).returncode == 0
    log = tmp_path / "regfs.log"
    until(lambda: "is unmounted" in log.read_text(), "the last line of the log")
    first, second, last = log.read_text().splitlines()
    assert f"INFO {image.v2} is mounted at {mountpoint} (FUSE 7." in first
    assert "WARNING /team/app/1.0: " in second
    assert "team/app/_manifests/tags/1.0/current/link" in second
    assert last.endswith(f"INFO {mountpoint} is unmounted")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_background_process_unmounts(
    image: StoreBuilder, mountpoint: Path, number: signal.Signals
) -> None:
    assert regfs("mount", image.root, mountpoint).returncode == 0
    process = only_process(mountpoint)
    os.kill(process, number)
    until(lambda: not processes_with(mountpoint), "the process ends")
    assert mount_entry(mountpoint) is None
    assert os.listdir(mountpoint) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_foreground_unmounts_and_exits_0(
    image: StoreBuilder, mountpoint: Path, number: signal.Signals
) -> None:
    command = [*REGFS, "mount", "-f", str(image.root), str(mountpoint)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: os.path.ismount(mountpoint), "mounted")
    assert os.listdir(mountpoint) == ["team"]
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert mount_entry(mountpoint) is None
    assert said.splitlines()[-1] == f"regfs: {mountpoint} is unmounted"
    assert "Traceback" not in said


def test_ctrl_c_while_files_are_open_ends_with_0_as_well(image: StoreBuilder, mountpoint: Path) -> None:
    process = subprocess.Popen(
        [*REGFS, "mount", "-f", str(image.root), str(mountpoint)], stderr=subprocess.PIPE, text=True
    )
    until(lambda: os.path.ismount(mountpoint), "mounted")
    held = os.open(mountpoint / "team/app/1.0/manifest.json", os.O_RDONLY)
    try:
        assert os.read(held, 1) == b"{"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0, said
        assert mount_entry(mountpoint) is None
    finally:
        with suppress(OSError):  # its file system is gone
            os.close(held)


def test_umount_ends_the_background_process(image: StoreBuilder, mountpoint: Path) -> None:
    assert regfs("mount", image.root, mountpoint).returncode == 0
    assert len(processes_with(mountpoint)) == 1
    output("umount", mountpoint)
    until(lambda: not processes_with(mountpoint), "the process ends")
