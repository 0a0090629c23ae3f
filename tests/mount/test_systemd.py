"""Mounts that systemd starts: on a visit (x-systemd.automount), and as a service of Type=notify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import output
from tests.mount.conftest import until
from tests.mount.systemd import Systemd
from tests.readme import example

#: Only when asked for: it starts a process 1, and a fault in what keeps that apart would harm the machine.
pytestmark = [pytest.mark.fuse, pytest.mark.slow]

Start = Callable[..., Systemd]

#: This systemd has no sysinit.target, which a service needs otherwise.
SERVICE = "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\n"


@pytest.fixture
def systemd(tmp_path: Path, fuse: None, as_root: None) -> Iterator[Start]:
    """Give a function that starts systemd; it is ended after the test."""
    started: list[Systemd] = []

    def start(**keywords: object) -> Systemd:
        started.append(Systemd(tmp_path / "systemd", **keywords))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0")
    return store


def unit_of(systemd: Systemd, mountpoint: Path, suffix: str) -> str:
    return systemd.output("systemd-escape", "--path", f"--suffix={suffix}", mountpoint).strip()


def test_an_automount_of_fstab_mounts_on_a_visit_and_again_after_it_was_stopped(
    systemd: Start, image: StoreBuilder, mountpoint: Path
) -> None:
    line = example(r"^/var/lib/registry .*x-systemd.automount.*\n", store=image.root, mountpoint=mountpoint)
    host = systemd(fstab=line)
    host.output("systemctl", "start", unit_of(host, mountpoint, "automount"))
    mount = unit_of(host, mountpoint, "mount")
    for _ in range(2):
        assert host.property(mount, "ActiveState") == "inactive"
        assert host.output("ls", mountpoint) == "team\n"
        assert host.property(mount, "ActiveState") == "active"
        assert host.property(mount, "What") == str(image.root)
        host.output("systemctl", "stop", mount)


def test_an_automount_of_fstab_unmounts_when_idle(
    systemd: Start, image: StoreBuilder, mountpoint: Path
) -> None:
    options = "noauto,x-systemd.automount,x-systemd.idle-timeout=1s,ttl=60"
    host = systemd(fstab=f"{image.root} {mountpoint} fuse.regfs {options} 0 0\n")
    host.output("systemctl", "start", unit_of(host, mountpoint, "automount"))
    mount = unit_of(host, mountpoint, "mount")
    assert host.output("ls", mountpoint) == "team\n"
    until(lambda: host.property(mount, "ActiveState") == "inactive", "it is unmounted")
    assert host.output("ls", mountpoint) == "team\n"


def test_the_environment_of_a_mount_unit_reaches_regfs(
    systemd: Start, image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    """As regfs/docs/objects.md has it for credentials: a drop-in for the unit that systemd makes of fstab."""
    cache = tmp_path / "cache"
    (tmp_path / "regfs.env").write_text(f"XDG_CACHE_HOME={cache}\n")
    unit = output("systemd-escape", "--path", "--suffix=mount", mountpoint).strip()
    drop_in = f"[Mount]\nEnvironmentFile={tmp_path}/regfs.env\n"
    host = systemd(
        fstab=f"{image.root} {mountpoint} fuse.regfs noauto 0 0\n", units={f"{unit}.d/regfs.conf": drop_in}
    )
    host.output("systemctl", "start", unit)
    assert "team/app" in host.output("cat", mountpoint / "@reports/tags.txt")
    assert list(cache.glob("regfs/graph-*/*"))


def test_a_service_of_type_notify_is_up_when_the_files_are_there_and_opens_its_log_on_reload(
    systemd: Start, image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    log = tmp_path / "regfs.log"
    places = {"store": image.root, "mountpoint": mountpoint, "log": log}
    lines = [example(f"`(Exec{key}=[^`]*)`", **places) for key in ("Start", "Reload", "Stop")]
    service = SERVICE + "\n".join(lines)
    host = systemd(units={"reg.service": service})
    host.output("systemctl", "start", "reg.service")
    assert host.output("ls", mountpoint) == "team\n"
    assert host.property("reg.service", "ActiveState") == "active"
    log.rename(tmp_path / "old.log")
    host.output("systemctl", "reload", "reg.service")
    until(log.exists, "the log is opened anew")
    host.output("systemctl", "stop", "reg.service")
    assert host.property("reg.service", "Result") == "success"
    assert host.output("ls", mountpoint) == ""
    assert "is unmounted" in log.read_text()


def test_a_service_of_type_notify_that_cannot_mount_fails(
    systemd: Start, image: StoreBuilder, tmp_path: Path
) -> None:
    service = SERVICE + f"ExecStart=regfs mount -f {image.root} {tmp_path}/nothing\n"
    host = systemd(units={"reg.service": service})
    assert host.run("systemctl", "start", "reg.service").returncode != 0
    assert host.property("reg.service", "Result") == "exit-code"
