"""mount(8) and fstab(5) with the type fuse.regfs, for real, in a mount namespace of its own.

mount(8) starts its helper without a PATH, so `regfs` must be in one of the shell's standard places. The
namespace has it in /usr/local/sbin, and nothing of that is seen outside.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.mount.namespace import Namespace, namespace
from tests.readme import example

__all__ = ["namespace"]

pytestmark = pytest.mark.fuse


def mount(namespace: Namespace, store: StoreBuilder, mountpoint: Path, options: str) -> None:
    namespace.output("mount", "-t", "fuse.regfs", store.root, mountpoint, "-o", options)


def options_of(namespace: Namespace, mountpoint: Path) -> set[str]:
    return set(namespace.entry(mountpoint)[3].split(","))


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0")
    return store


def test_mount_t_fuse_regfs_takes_what_fstab_and_systemd_put_in(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path
) -> None:
    options = "_netdev,x-systemd.automount,defaults,noauto,nofail,user,ttl=1,allow_other,comment=x,noatime"
    mount(namespace, image, mountpoint, options)
    assert namespace.output("ls", mountpoint / "team/app/1.0").split() == [
        "config.json",
        "layers",
        "manifest.json",
    ]
    line = namespace.entry(mountpoint)
    assert line[:3] == [str(image.root), str(mountpoint), "fuse.regfs"]
    assert {"ro", "nosuid", "nodev", "noexec", "allow_other", "default_permissions"} <= set(
        line[3].split(",")
    )
    namespace.output("umount", mountpoint)
    assert namespace.output("ls", mountpoint) == ""


def test_a_mount_that_was_asked_to_be_rw_suid_dev_is_ro_nosuid_nodev(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path
) -> None:
    mount(namespace, image, mountpoint, "rw,suid,dev")
    found = options_of(namespace, mountpoint)
    assert {"ro", "nosuid", "nodev"} <= found
    assert not {"rw", "suid", "dev"} & found
    assert "Read-only file system" in namespace.run("touch", mountpoint / "x").stderr


@pytest.mark.parametrize("by", ["mountpoint", "store", "all"])
def test_a_line_in_fstab_mounts(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path, tmp_path: Path, by: str
) -> None:
    fstab = tmp_path / "fstab"
    noauto = "" if by == "all" else ",noauto"
    fstab.write_text(f"{image.root} {mountpoint} fuse.regfs _netdev,allow_other,ttl=60{noauto} 0 0\n")
    last = {"mountpoint": mountpoint, "store": image.root, "all": "-a"}[by]
    namespace.output("mount", "-T", fstab, last)
    assert namespace.output("ls", mountpoint) == "team\n"
    assert "allow_other" in options_of(namespace, mountpoint)


@pytest.mark.parametrize("way", ["", "/", "/docker/registry/v2", "link", "my registry"])
def test_mount_a_twice_finds_that_it_is_mounted_and_umount_and_findmnt_find_it_by_the_store(
    namespace: Namespace, store: StoreBuilder, mountpoint: Path, tmp_path: Path, way: str
) -> None:
    store.image("team/app", "1.0")
    given = f"{store.root}{way}"
    if way in ("link", "my registry"):
        given = f"{tmp_path}/{way}"
        Path(given).symlink_to(store.root) if way == "link" else store.root.rename(given)
    fstab = tmp_path / "fstab"
    places = {"store": given.replace(" ", r"\040"), "mountpoint": mountpoint}
    fstab.write_text(example(r"^/var/lib/registry .*fuse\.regfs  _netdev.*\n", **places))
    for _ in range(3):
        namespace.output("mount", "-T", fstab, "-a")
        assert namespace.output("ls", mountpoint) == "team\n"
        found = namespace.output("findmnt", "--noheadings", "-o", "TARGET", "--source", given.rstrip("/"))
        assert found == f"{mountpoint}\n"
    # Without -l umount(8) of root takes any directory for a mountpoint, and looks no further, for bindfs too.
    namespace.output("umount", "-l", given)
    assert namespace.entry(mountpoint) == []


def test_fsname_says_otherwise_and_log_file_tells_of_the_mount(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    log = tmp_path / "regfs.log"
    mount(namespace, image, mountpoint, f"fsname=registry,log_file={log}")
    assert namespace.entry(mountpoint)[:3] == ["registry", str(mountpoint), "fuse.regfs"]
    assert f"{image.v2} is mounted at {mountpoint}" in log.read_text()
    namespace.output("umount", "registry")


def test_a_store_with_a_space_in_its_path_mounts_from_fstab(
    namespace: Namespace, tmp_path: Path, mountpoint: Path
) -> None:
    store = StoreBuilder(tmp_path / "my registry")
    store.image("team/app", "1.0")
    fstab = tmp_path / "fstab"
    fstab.write_text(
        f"{store.root} {mountpoint} fuse.regfs noauto 0 0\n".replace("my registry", r"my\040registry")
    )
    namespace.output("mount", "-T", fstab, mountpoint)
    assert namespace.output("ls", mountpoint) == "team\n"
    assert namespace.entry(mountpoint)[0] == str(store.root).replace(" ", r"\040")


@pytest.mark.parametrize("options", ["remount", "remount,ttl=5", "remount,rw"])
def test_remount_says_what_to_do_instead_and_leaves_the_mount_alone(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path, options: str
) -> None:
    mount(namespace, image, mountpoint, "allow_other")
    done = namespace.run("mount", "-o", options, mountpoint)
    assert done.returncode != 0
    assert "unmount it and mount it again" in done.stderr
    assert namespace.output("ls", mountpoint) == "team\n"
    assert "ro" in options_of(namespace, mountpoint)


def test_unmounting_and_mounting_again_takes_new_options(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path
) -> None:
    for options in ("ttl=1", "allow_other"):
        mount(namespace, image, mountpoint, options)
        assert namespace.output("ls", mountpoint) == "team\n"
        assert ("allow_other" in options_of(namespace, mountpoint)) == (options == "allow_other")
        namespace.output("umount", mountpoint)


def test_a_second_mount_at_the_same_place_is_refused(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path
) -> None:
    mount(namespace, image, mountpoint, "ttl=1")
    done = namespace.run("mount", "-t", "fuse.regfs", image.root, mountpoint)
    assert done.returncode != 0
    assert "already a mount" in done.stderr
    assert str(image.root) in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("ttk=3", "option ttk: unknown; did you mean ttl?"),
        ("frobnicate", "option frobnicate: unknown"),
        ("ttl=soon", "option ttl: 'soon' is no duration"),
        ("umask=9", "option umask: '9' is not an octal number"),
        ("uid=no-such-user", "option uid:"),
        ("platform=linux", "option platform: 'linux' is not os/arch"),
        ("kernel_cache", "option kernel_cache:"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_mounted(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path, options: str, said: str
) -> None:
    done = namespace.run("mount", "-t", "fuse.regfs", image.root, mountpoint, "-o", options)
    assert done.returncode != 0
    assert said in done.stderr
    assert namespace.entry(mountpoint) == []


def test_generic_options_of_mount8_are_taken(
    namespace: Namespace, image: StoreBuilder, mountpoint: Path
) -> None:
    mount(namespace, image, mountpoint, "relatime,nodiratime,async,nouser,exec,auto,X-mount.mkdir,silent")
    assert namespace.output("ls", mountpoint) == "team\n"
