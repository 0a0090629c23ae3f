"""The `-o` options: regfs's own, dropped, passed to libfuse, refused, unknown."""

from __future__ import annotations

import grp
import math
import os
import pwd

import pytest

from regfs.errors import OptionError
from regfs.layers import CACHE_SIZE
from regfs.mount.options import DEFAULT_TTL, MountOptions, parse_options, this_machine
from regfs.oci import Platform


def parse(*texts: str) -> MountOptions:
    return parse_options(texts, uid=1000, gid=1001)


def refused(*texts: str) -> OptionError:
    with pytest.raises(OptionError) as caught:
        parse(*texts)
    assert str(caught.value).startswith(f"option {caught.value.option}: ")
    assert "\n" not in str(caught.value)
    return caught.value


def test_without_options_all_is_the_mounting_users() -> None:
    options = parse()
    assert (options.uid, options.gid, options.umask) == (1000, 1001, 0)
    assert (options.ttl, options.allow_other, options.nonempty) == (DEFAULT_TTL, False, False)
    assert (options.platform, options.libfuse) == (this_machine(), {})


@pytest.mark.parametrize("empty", ["", ",", ",,,"])
def test_empty_options_are_none(empty: str) -> None:
    assert parse(empty) == parse()


@pytest.mark.parametrize(
    ("text", "ttl"),
    [
        ("0", 0),
        ("1", 1),
        ("0.5", 0.5),
        ("60", 60),
        ("inf", math.inf),
        ("1e3", 1000),
        ("1s", 1),
        ("5min", 300),
    ],
)
def test_ttl_is_a_number_of_seconds(text: str, ttl: float) -> None:
    assert parse(f"ttl={text}").ttl == ttl


@pytest.mark.parametrize("text", ["-1", "ten", "nan", "1m", "-inf", "0x10"])
def test_another_ttl_is_refused(text: str) -> None:
    assert text in str(refused(f"ttl={text}"))


def test_platform_is_read_into_its_normal_form() -> None:
    assert parse("platform=linux/aarch64").platform == Platform("linux", "arm64")
    assert "linux/arm/v7" in str(refused("platform=linux"))


def test_the_registry_is_a_host_that_images_are_named_after() -> None:
    assert parse().registry == ""
    assert parse("registry=reg.example.com:5000").registry == "reg.example.com:5000"
    assert "HOST[:PORT]" in str(refused("registry=https://reg.example.com"))


def test_this_machine_is_the_one_that_regfs_runs_on() -> None:
    assert this_machine() == Platform.of_machine(os.uname().sysname, os.uname().machine)


def test_owners_go_by_number_or_name() -> None:
    assert (parse("uid=5,gid=6").uid, parse("uid=5,gid=6").gid) == (5, 6)
    user, group = pwd.getpwuid(0), grp.getgrgid(0)
    options = parse(f"uid={user.pw_name},gid={group.gr_name}")
    assert (options.uid, options.gid) == (0, 0)


@pytest.mark.parametrize(
    "option", ["uid=nosuchuser", "gid=nosuchgroup", "uid=-1", "uid=1.5", "gid=0x0", "uid=1 2", "uid=a\\,b"]
)
def test_another_owner_is_refused(option: str) -> None:
    assert refused(option).option == option[:3]


@pytest.mark.parametrize("option", ["uid=4294967296", "gid=99999999999999999999", "uid=4294967295"])
def test_an_owner_beyond_what_the_kernel_has_is_refused(option: str) -> None:
    """32 bits, and all ones mean "no user" to chown(2): no stat could ever be packed with more."""
    assert refused(option).option == option[:3]


@pytest.mark.parametrize(("text", "umask"), [("0", 0), ("022", 0o22), ("77", 0o77), ("0777", 0o777)])
def test_umask_is_octal(text: str, umask: int) -> None:
    assert parse(f"umask={text}").umask == umask


@pytest.mark.parametrize("text", ["8", "0o22", "-1", "00000", "u=rwx", "7777777"])
def test_another_umask_is_refused(text: str) -> None:
    assert text in str(refused(f"umask={text}"))


def test_what_is_inside_images_has_their_owners_unless_asked_otherwise() -> None:
    assert parse().image_owners
    assert parse("owner=image").image_owners
    assert not parse("owner=me").image_owners
    assert parse("owner=me,owner=image").image_owners


def test_the_source_and_the_log_are_named_by_options_that_may_hold_commas() -> None:
    assert (parse().fsname, parse().log_file) == (None, None)
    options = parse("fsname=a\\,b,log_file=/var/log/a b=c\\,d")
    assert (options.fsname, options.log_file) == ("a,b", "/var/log/a b=c,d")
    assert options.libfuse == {}


@pytest.mark.parametrize("option", ["fsname", "fsname=", "log_file", "log_file="])
def test_a_source_and_a_log_without_a_name_are_refused(option: str) -> None:
    assert refused(option).option == option.rstrip("=")


@pytest.mark.parametrize("text", ["root", "Me", "0", "me ", "image=me"])
def test_images_can_have_no_other_owners(text: str) -> None:
    error = refused(f"owner={text}")
    assert (error.option, "image" in str(error), "me" in str(error)) == ("owner", True, True)


def test_owner_alone_is_an_option_of_fstab_and_says_nothing_of_images() -> None:
    """mount(8): "Allow an ordinary user to mount the filesystem if that user is the owner of the device"."""
    assert parse("owner=me,owner") == parse("owner=me")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("4096", 4096),
        ("1K", 1 << 10),
        ("500M", 500 << 20),
        ("5G", 5 << 30),
        ("2T", 2 << 40),
        ("1.5G", 3 << 29),
        ("5GB", 5 << 30),
        ("5 gib", 5 << 30),
    ],
)
def test_cache_size_is_a_number_of_bytes_with_a_unit(text: str, size: int) -> None:
    assert parse(f"cache_size={text}").cache_size == size


def test_the_cache_has_five_gigabytes_unless_asked_otherwise() -> None:
    assert parse().cache_size == CACHE_SIZE == 5_000_000_000


@pytest.mark.parametrize("text", ["-1", "G", "5X", "1.G", "0x10", "1e9", "inf", "9" * 19, "٣"])
def test_another_cache_size_is_refused(text: str) -> None:
    error = refused(f"cache_size={text}")
    assert (error.option, "5G" in str(error)) == ("cache_size", True)


def test_partial_and_the_most_of_a_layer() -> None:
    assert (parse().partial, parse("partial").partial) == (False, True)
    assert (parse().max_layer_size, parse("max_layer_size=2G").max_layer_size) == (64 << 30, 2 << 30)
    assert refused("max_layer_size=x").option == "max_layer_size"


def test_others_are_let_in_only_together_with_the_check_of_modes() -> None:
    options = parse("allow_other")
    assert options.allow_other
    assert options.libfuse == {"allow_other": True, "default_permissions": True}


@pytest.mark.parametrize(
    "option",
    [
        "ro",
        "rw",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "defaults",
        "auto",
        "noauto",
        "nofail",
        "_netdev",
        "user",
        "users",
        "nouser",
        "owner",
        "group",
        "x-systemd.automount",
        "x-systemd.requires=a.mount",
        "X-mount.mkdir=0755",
        "comment=backup",
    ],
)
def test_what_only_mount_and_fstab_care_about_is_dropped(option: str) -> None:
    assert parse(option) == parse()


@pytest.mark.parametrize(
    "option",
    [
        "allow_root",
        "auto_unmount",
        "nonempty",
        "default_permissions",
        "exec",
        "noexec",
        "atime",
        "noatime",
        "async",
        "sync",
        "dirsync",
        "async_read",
        "sync_read",
        "large_read",
        "intr",
        "noforget",
    ],
)
def test_libfuses_flags_are_passed_on(option: str) -> None:
    assert parse(option).libfuse == {option: True}
    assert "takes no value" in str(refused(f"{option}=1"))


@pytest.mark.parametrize(
    "name",
    [
        "max_read",
        "max_readahead",
        "max_background",
        "congestion_threshold",
        "attr_timeout",
        "entry_timeout",
        "negative_timeout",
        "ac_attr_timeout",
        "remember",
        "intr_signal",
    ],
)
def test_libfuses_values_are_passed_on(name: str) -> None:
    assert parse(f"{name}=15").libfuse == {name: "15"}
    assert "needs a value" in str(refused(name))
    for value in ("", "x", "-1", "1.2.3", "."):
        assert refused(f"{name}={value}").option == name


def test_nonempty_is_noted() -> None:
    assert parse("nonempty").nonempty


@pytest.mark.parametrize("option", ["kernel_cache", "auto_cache", "direct_io"])
def test_the_kernels_cache_is_regfs_own_business(option: str) -> None:
    assert "moved tag" in str(refused(option))


@pytest.mark.parametrize("option", ["use_ino", "readdir_ino", "subtype=x", "remount", "remount,ttl=5"])
def test_what_regfs_sets_itself_is_refused_with_the_reason(option: str) -> None:
    assert "unknown" not in str(refused(option))


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("tll=5", "ttl"),
        ("plattform=linux/arm64", "platform"),
        ("allow-other", "allow_other"),
        ("nonemtpy", "nonempty"),
        ("atrr_timeout=1", "attr_timeout"),
        ("cachesize=5G", "cache_size"),
        ("max_layersize=5G", "max_layer_size"),
    ],
)
def test_an_unknown_option_is_named_with_what_may_be_meant(option: str, meant: str) -> None:
    error = refused(option)
    assert error.option == option.partition("=")[0]
    assert f"did you mean {meant}?" in str(error)


def test_an_option_like_no_other_is_named_too() -> None:
    assert "regfs mount --help" in str(refused("qqqqqq"))
    assert refused("ttl=5,qqqqqq=1,umask=0").option == "qqqqqq"


@pytest.mark.parametrize(
    "option",
    ["ttl", "platform", "uid", "gid", "umask", "cache_size", "ttl=", "uid=", "owner=", "cache_size="],
)
def test_an_own_option_needs_a_value(option: str) -> None:
    assert "value" in str(refused(option))


def test_allow_other_takes_no_value() -> None:
    assert "no value" in str(refused("allow_other=1"))


def test_options_add_up_over_all_arguments_and_the_last_one_counts() -> None:
    options = parse("ttl=1,umask=022", "ttl=2", "nonempty,max_read=4096")
    assert (options.ttl, options.umask) == (2, 0o22)
    assert options.libfuse == {"nonempty": True, "max_read": "4096"}


def test_an_escaped_comma_belongs_to_the_value() -> None:
    assert "'a,b'" in str(refused(r"ttl=a\,b"))
    assert r"'a\\b'" in str(refused(r"ttl=a\\b"))
    assert parse(r"x-note=one\,qqqqqq,ttl=3").ttl == 3
