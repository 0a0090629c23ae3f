from __future__ import annotations

import os
from pathlib import Path

import pytest

from regfs.errors import RequirementError
from regfs.mount.requirements import check_allow_other, check_libfuse, check_requirements

LIBC = "libc.so.6"


@pytest.fixture
def device(tmp_path: Path) -> str:
    (tmp_path / "fuse").write_bytes(b"")
    return str(tmp_path / "fuse")


def test_where_all_is_there_nothing_is_raised(device: str) -> None:
    check_requirements(uid=0, device=device, path="")


def test_the_first_library_that_can_be_loaded_is_taken() -> None:
    assert check_libfuse((LIBC,)) == LIBC
    assert check_libfuse(("libnosuch.so.9", LIBC)) == LIBC


def lacking(uid: int, device: str, path: str = "") -> RequirementError:
    with pytest.raises(RequirementError) as caught:
        check_requirements(uid=uid, device=device, path=path)
    return told_well(caught.value)


def told_well(error: RequirementError) -> RequirementError:
    assert "regfs ls" in str(error)
    assert "\n" not in str(error)
    return error


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


def test_a_missing_library_is_named_with_the_packages_of_three_systems() -> None:
    with pytest.raises(RequirementError) as caught:
        check_libfuse(("libnosuch.so.9",))
    error = told_well(caught.value)
    assert error.missing == "libfuse"
    for part in ("libnosuch.so.9", "apt-get install", "dnf install", "apk add"):
        assert part in str(error)


@pytest.mark.parametrize("helper", ["fusermount3", "fusermount"])
def test_a_missing_helper_is_named_to_all_but_root(device: str, tmp_path: Path, helper: str) -> None:
    error = lacking(1000, device, path=str(tmp_path))
    assert error.missing == "fusermount3"
    for part in ("apt-get install", "dnf install", "apk add"):
        assert part in str(error)
    (tmp_path / helper).write_text("#!/bin/sh\n")
    (tmp_path / helper).chmod(0o755)
    check_requirements(uid=1000, device=device, path=str(tmp_path))


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
