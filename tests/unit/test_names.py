"""The grammar of distribution's reference package; the cases are after its reference_test.go."""

import pytest

from regfs.oci.names import is_repository, is_tag


@pytest.mark.parametrize(
    "name",
    [
        "app",
        "a",
        "0",
        "team/app",
        "a/b/c/d/e/f/g/h/i/j",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a---b",
        "foo.tmp",
        "docker.io/library/busybox",
        "registry.example.com/app",
        "localhost:5000/app",
        "Host.Example/app",
        "blobs/sha256",
        "tags/current",
        "a" * 255,
        "a/" * 127 + "a",
    ],
)
def test_a_repository_can_have_this_name(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/app",
        "app/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "-a",
        "a-",
        ".a",
        "a.",
        "_a",
        "a_",
        "a___b",
        "a..b",
        "a._b",
        "a-_b",
        "app/Upper",
        "a b",
        "a\n",
        "a\nb",
        "a@b",
        ":5000",
        "app/host:5000",
        "host:port",
        "ä",
        "a\udcff",
        "a\0b",
        "a" * 256,
        "a/" * 128 + "a",
        "team/_layers",
    ],
)
def test_no_repository_can_have_this_name(name: str) -> None:
    assert not is_repository(name)


@pytest.mark.parametrize("tag", ["latest", "1.0", "v1", "_", "__a", "A-b.C_d", "1..2", "a-", "a.", "0" * 128])
def test_a_tag_can_have_this_name(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "a/b",
        "a:b",
        "a@b",
        "a+b",
        "a b",
        "a\n",
        "ä",
        "\u0663",
        "a\udcff",
        "0" * 129,
    ],
)
def test_no_tag_can_have_this_name(tag: str) -> None:
    assert not is_tag(tag)
