"""Mounts that are made when somebody visits them: autofs, with the daemon and the kernel's own.

The daemon runs in a mount namespace of its own, so nothing of its maps is seen outside.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import cannot_run, need
from tests.mount.conftest import processes_with, until
from tests.mount.namespace import Namespace, namespace
from tests.readme import example

__all__ = ["namespace"]

pytestmark = pytest.mark.fuse

#: Seconds after which the daemon unmounts what nobody uses.
IDLE = 1


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0")
    return store


@pytest.fixture
def automount(namespace: Namespace, tmp_path: Path, mountpoint: Path) -> Iterator[Callable[[str, str], None]]:
    """Give a function that starts automount(8) with one map: `automount("/place", "key options :/store")`."""
    if "\tautofs" not in Path("/proc/filesystems").read_text():
        cannot_run("this kernel has no autofs")
    program, log = need("automount"), tmp_path / "automount.log"
    daemons = []

    def start(place: str, entry: str) -> None:
        (tmp_path / "map").write_text(entry + "\n")
        (tmp_path / "master").write_text(f"{place} {tmp_path}/map --timeout={IDLE}\n")
        command = (program, "-f", "-v", "-C", "-p", tmp_path / "pid", tmp_path / "master")
        with log.open("w") as said:
            daemons.append(namespace.start(*command, stdout=said, stderr=said))
        until(
            lambda: (
                (namespace.entry(mountpoint) or [""] * 3)[2] == "autofs" or daemons[-1].poll() is not None
            ),
            "a trigger of autofs",
        )
        assert daemons[-1].poll() is None, log.read_text()

    yield start
    for daemon in daemons:
        daemon.send_signal(signal.SIGTERM)  # it unmounts all that it has
        daemon.wait(20)


def visit(namespace: Namespace, path: Path) -> str:
    """List a directory; the visit that is never let in fails after a while, instead of waiting for ever."""
    return namespace.output("timeout", "-s", "KILL", "30", "ls", path)


def test_a_direct_map_mounts_on_a_visit_and_unmounts_when_idle(
    namespace: Namespace, automount: Callable[[str, str], None], image: StoreBuilder, mountpoint: Path
) -> None:
    automount("/-", example("`(/mnt/reg -fstype=[^`]*)`", store=image.root, mountpoint=mountpoint))
    for _ in range(2):
        assert visit(namespace, mountpoint) == "team\n"
        assert namespace.entry(mountpoint)[::2][:2] == [str(image.root), "fuse.regfs"]
        until(lambda: namespace.entry(mountpoint)[2] == "autofs", "the mount expires")
        until(lambda: not processes_with(mountpoint), "its process ends")


def test_an_indirect_map_mounts_on_a_visit_and_unmounts_when_idle(
    namespace: Namespace, automount: Callable[[str, str], None], image: StoreBuilder, mountpoint: Path
) -> None:
    automount(str(mountpoint), f"reg -fstype=fuse.regfs,ttl=1 :{image.root}")
    place = mountpoint / "reg"
    for _ in range(2):
        assert visit(namespace, place) == "team\n"
        assert namespace.entry(place)[::2][:2] == [str(image.root), "fuse.regfs"]
        until(lambda: not namespace.entry(place), "the mount expires")
        until(lambda: not processes_with(place), "its process ends")


def test_an_indirect_map_has_a_mount_for_each_store_by_a_pattern(
    namespace: Namespace, automount: Callable[[str, str], None], tmp_path: Path, mountpoint: Path
) -> None:
    for name in ("one", "two"):
        StoreBuilder(tmp_path / "stores" / name).image(f"team/{name}", "1.0")
    automount(str(mountpoint), f"* -fstype=fuse.regfs :{tmp_path}/stores/&")
    for name in ("one", "two"):
        assert visit(namespace, mountpoint / name / "team") == f"{name}\n"


def test_who_mounts_by_hand_mounts_on_the_trigger_without_a_visit(
    namespace: Namespace, automount: Callable[[str, str], None], image: StoreBuilder, mountpoint: Path
) -> None:
    automount("/-", f"{mountpoint} -fstype=fuse.regfs :{image.root}/nothing")
    namespace.output("regfs", "mount", image.root, mountpoint)
    assert visit(namespace, mountpoint) == "team\n"
    namespace.output("regfs", "umount", mountpoint)
    assert namespace.entry(mountpoint)[2] == "autofs"


def test_a_map_with_a_wrong_option_lets_nobody_wait(
    namespace: Namespace, automount: Callable[[str, str], None], image: StoreBuilder, mountpoint: Path
) -> None:
    automount("/-", f"{mountpoint} -fstype=fuse.regfs,ttk=1 :{image.root}")
    done = namespace.run("timeout", "-s", "KILL", "30", "ls", mountpoint)
    assert done.returncode == 2, done.stderr
    assert "No such file or directory" in done.stderr
