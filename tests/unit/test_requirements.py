from __future__ import annotations

import os
from pathlib import Path

import pytest

from regfs.errors import RequirementError
from regfs.mount.requirements import check_allow_other, check_requirements

LIBC = "libc.so.6"


@pytest.fixture
def device(tmp_path: Path) -> str:
    (tmp_path / "fuse").write_bytes(b"")
    return str(tmp_path / "fuse")


def test_where_all_is_there_the_library_is_given(device: str) -> None:
    assert check_requirements(uid=0, device=device, libraries=(LIBC,), path="") == LIBC


def test_the_first_library_that_can_be_loaded_is_taken(device: str) -> None:
    assert check_requirements(uid=0, device=device, libraries=("libnosuch.so.9", LIBC), path="") == LIBC


def lacking(uid: int, device: str, libraries: tuple[str, ...] = (LIBC,), path: str = "") -> RequirementError:
    with pytest.raises(RequirementError) as caught:
        check_requirements(uid=uid, device=device, libraries=libraries, path=path)
    assert "regfs ls" in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_device_is_named_for_machines_and_containers(tmp_path: Path) -> None:
    error = lacking(0, str(tmp_path / "nothing"))
    assert error.missing == str(tmp_path / "nothing")
    assert "modprobe fuse" in str(error)
    assert "--device" in str(error)


def test_a_closed_device_is_told(device: str) -> None:
    os.chmod(device, 0)
    user = os.getuid()
    if user == 0:  # access(2) goes by the real user, and root may open everything
        os.setresuid(65534, 0, 0)
    try:
        error = lacking(0, device)
    finally:
        os.setresuid(user, user, user)
    assert "permission" in str(error)


def test_a_missing_library_is_named_with_the_packages_of_three_systems(device: str) -> None:
    error = lacking(0, device, libraries=("libnosuch.so.9",))
    assert error.missing == "libfuse"
    for part in ("libnosuch.so.9", "apt-get install", "dnf install", "apk add"):
        assert part in str(error)


def test_a_missing_helper_is_named_to_all_but_root(device: str, tmp_path: Path) -> None:
    error = lacking(1000, device, path=str(tmp_path))
    assert error.missing == "fusermount"
    for part in ("apt-get install", "dnf install", "apk add"):
        assert part in str(error)
    helper = tmp_path / "fusermount"
    helper.write_text("#!/bin/sh\n")
    helper.chmod(0o755)
    assert check_requirements(uid=1000, device=device, libraries=(LIBC,), path=str(tmp_path)) == LIBC


@pytest.mark.parametrize("text", ["user_allow_other\n", "mount_max = 9\n  user_allow_other  \n"])
def test_others_are_let_in_where_root_allows_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "fuse.conf").write_text(text)
    check_allow_other(uid=1000, config=str(tmp_path / "fuse.conf"))


@pytest.mark.parametrize("text", [None, "", "#user_allow_other\n", "user_allow_others\n", "\udcff"])
def test_elsewhere_it_is_told_what_root_must_do(tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "fuse.conf"
    if text is not None:
        config.write_text(text, errors="surrogateescape")
    with pytest.raises(RequirementError, match="user_allow_other in") as caught:
        check_allow_other(uid=1000, config=str(config))
    assert str(config) in str(caught.value)
    check_allow_other(uid=0, config=str(config))
