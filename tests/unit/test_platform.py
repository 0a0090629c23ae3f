"""The rules are containerd's `platforms` package; directory names are regfs's own."""

import time

import pytest

from regfs.oci.platform import Platform, choose, directory_names

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
ATTESTATION = Platform("unknown", "unknown")


@pytest.mark.parametrize(
    ("machine", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("i686", "linux/386"),
        ("i386", "linux/386"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("armv5tel", "linux/arm/v5"),
        ("ppc64le", "linux/ppc64le"),
        ("s390x", "linux/s390x"),
        ("riscv64", "linux/riscv64"),
        ("loongarch64", "linux/loong64"),
    ],
)
def test_what_uname_says_becomes_gos_terms(machine: str, platform: str) -> None:
    assert str(Platform.of_machine("Linux", machine)) == platform


def test_a_32_bit_system_on_a_64_bit_arm_is_arm() -> None:
    machine = Platform.of_machine("Linux", "armv8l")
    assert machine.architecture == "arm"
    assert machine.runs(Platform("linux", "arm", "v7")) is not None


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_a_platform_is_read_into_its_normal_form(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal
    assert Platform.parse(text).normal() == Platform.parse(text)


@pytest.mark.parametrize("text", ["", "/", "linux", "linux/", "/amd64", "linux/arm/", "a/b/c/d", "linux//v7"])
def test_what_is_no_platform_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="linux/arm/v7"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("index", "wanted", "chosen"),
    [
        ([], "linux/amd64", None),
        ([AMD64], "linux/amd64", 0),
        ([AMD64, ARM64], "linux/arm64", 1),
        ([AMD64, ARM64], "linux/s390x", None),
        ([ARM64, ATTESTATION], "linux/amd64", 0),  # the only image there is
        ([ATTESTATION, ATTESTATION], "linux/amd64", None),
        ([None], "linux/amd64", 0),
        ([None, None], "linux/amd64", None),
        ([None, AMD64], "linux/amd64", 1),
        ([Platform("windows", "amd64"), AMD64], "linux/amd64", 1),
        ([Platform("linux", "arm64", "v8"), AMD64], "linux/arm64", 0),
        ([Platform("linux", "arm", "v5"), Platform("linux", "arm", "v7")], "linux/arm", 1),
        ([Platform("linux", "arm", "v5"), Platform("linux", "arm", "v6")], "linux/arm/v7", 1),
        ([Platform("linux", "arm", "v7"), Platform("linux", "arm", "v5")], "linux/arm/v6", 1),
        ([Platform("linux", "amd64", "v3"), AMD64], "linux/amd64", 1),
        ([AMD64, Platform("linux", "amd64", "v3")], "linux/amd64/v3", 1),
        ([AMD64, AMD64], "linux/amd64", 0),
    ],
)
def test_the_child_is_chosen_that_the_machine_would_pull(
    index: list[Platform | None], wanted: str, chosen: int | None
) -> None:
    assert choose(index, Platform.parse(wanted)) == chosen


@pytest.mark.parametrize(
    ("platforms", "names"),
    [
        ([], []),
        ([AMD64, ARM64], ["linux-amd64", "linux-arm64"]),
        ([Platform("linux", "arm", "v7")], ["linux-arm-v7"]),
        ([None, Platform("", "")], ["unknown-unknown", "unknown-unknown-2"]),
        ([AMD64, ATTESTATION, ATTESTATION], ["linux-amd64", "unknown-unknown", "unknown-unknown-2"]),
        ([AMD64, AMD64, AMD64], ["linux-amd64", "linux-amd64-2", "linux-amd64-3"]),
        (
            [Platform("windows", "amd64", "", "10.0.1"), Platform("windows", "amd64", "", "10.0.2")],
            ["windows-amd64-10.0.1", "windows-amd64-10.0.2"],
        ),
        ([Platform("windows", "amd64", "", "10.0.1"), AMD64], ["windows-amd64", "linux-amd64"]),
        (
            [Platform("w", "a", "", "1"), Platform("w", "a", "", "1"), Platform("w", "a")],
            ["w-a-1", "w-a-1-2", "w-a"],
        ),
        ([AMD64, Platform("linux", "amd64", "2"), AMD64], ["linux-amd64", "linux-amd64-2", "linux-amd64-3"]),
        ([Platform("../..", "/etc/passwd")], [".._..-_etc_passwd"]),
        ([Platform("a\nb", "c\x1bd", "e f", "")], ["a_b-c_d-e_f"]),
        ([Platform("ä", "\udcff")], ["_-_"]),
    ],
)
def test_every_child_gets_a_name_of_its_own(platforms: list[Platform | None], names: list[str]) -> None:
    assert directory_names(platforms) == names


def test_a_name_is_never_longer_than_a_file_name_can_be() -> None:
    endless = Platform("o" * 1000, "a" * 1000, "v" * 1000, "0" * 1000)
    assert all(len(name) <= 255 for name in directory_names([endless, endless]))


def test_naming_the_largest_index_that_a_registry_accepts_does_not_take_long() -> None:
    """4 MiB hold tens of thousands of children; each lookup below `platforms/` names them all."""
    started = time.process_time()
    names = directory_names([AMD64] * 10_000)
    assert time.process_time() - started < 2
    assert names[-1] == "linux-amd64-10000"
