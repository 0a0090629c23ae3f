"""Who may look into a mount, whose the files are."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount
from tests.mount.conftest import NOBODY, as_nobody

pytestmark = pytest.mark.fuse

FILE = "team/app/1.0/manifest.json"


@pytest.fixture
def mounted(public: Path, library: StoreBuilder) -> Iterator[Callable[[str], Path]]:
    """Mount where other users can reach it."""
    mounts: list[Mount] = []

    def make(options: str) -> Path:
        mounts.append(Mount(library.root, public / "mnt", options))
        return mounts[-1].path

    yield make
    for made in mounts:
        made.end()


def test_without_allow_other_no_other_user_gets_in(mounted: Callable[[str], Path]) -> None:
    path = mounted("ttl=1")
    for command in (["ls", path], ["cat", path / FILE], ["stat", path]):
        done = as_nobody(*command)
        assert done.returncode != 0
        assert "Permission denied" in done.stderr
    assert os.listdir(path) == ["team"]


def test_with_allow_other_everybody_reads(mounted: Callable[[str], Path]) -> None:
    path = mounted("allow_other")
    assert as_nobody("cat", path / FILE).stdout == (path / FILE).read_text()
    assert as_nobody("ls", path / "team").stdout == "app\n"


def test_a_umask_is_enforced_under_allow_other(mounted: Callable[[str], Path]) -> None:
    path = mounted("allow_other,umask=077")
    for command in (["ls", path], ["cat", path / FILE], ["ls", path / "team"]):
        done = as_nobody(*command)
        assert done.returncode != 0
        assert "Permission denied" in done.stderr
    assert (path / FILE).read_bytes()


@pytest.mark.parametrize(
    ("options", "may_read"),
    [
        (f"uid={NOBODY},umask=077", True),
        (f"gid={NOBODY},umask=027", True),
        ("gid=1,umask=027", False),
        (f"uid={NOBODY},umask=0400", False),
        ("umask=004", False),
    ],
)
def test_owner_group_and_umask_decide_who_reads(
    mounted: Callable[[str], Path], options: str, may_read: bool
) -> None:
    path = mounted(f"allow_other,{options}")
    assert (as_nobody("cat", path / FILE).returncode == 0) == may_read


def test_stat_shows_uid_gid_and_umask(mounted: Callable[[str], Path]) -> None:
    path = mounted("uid=1234,gid=4321,umask=027,allow_other")
    modes = {"": "40550", "team/app/1.0": "40550", FILE: "100440"}
    for name, mode in modes.items():
        found = os.stat(path / name)
        assert (found.st_uid, found.st_gid, f"{found.st_mode:o}") == (1234, 4321, mode)


def test_names_of_users_and_groups_serve_as_well(mounted: Callable[[str], Path]) -> None:
    found = os.stat(mounted("uid=daemon,gid=daemon") / FILE)
    assert (found.st_uid, found.st_gid) == (1, 1)
    assert stat.S_IMODE(found.st_mode) == 0o444
