"""getxattr and listxattr: sizes as xattr(7) and getxattr(2) have them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from tests.builder import StoreBuilder

if TYPE_CHECKING:
    from tests.adapter.calls import Calls

DIGEST = b"user.regfs.digest"


def test_a_size_of_zero_asks_how_long_the_value_is(store: StoreBuilder, calls: Calls) -> None:
    pushed = store.image("app", "1.0")
    length = len(pushed.digest)
    assert calls.getxattr(b"/app/1.0", DIGEST, 0) == (length, b"")
    assert calls.getxattr(b"/app/1.0", DIGEST, length) == (length, pushed.digest.encode())
    assert calls.getxattr(b"/app/1.0", DIGEST, 65536) == (length, pushed.digest.encode())


@pytest.mark.parametrize("short", [1, 2, 70])
def test_a_buffer_too_small_is_erange(store: StoreBuilder, calls: Calls, short: int) -> None:
    pushed = store.image("app", "1.0")
    assert calls.getxattr(b"/app/1.0", DIGEST, len(pushed.digest) - short) == (-errno.ERANGE, b"")
    length, _ = calls.listxattr(b"/app/1.0", 0)
    assert calls.listxattr(b"/app/1.0", length - short) == (-errno.ERANGE, b"")


def test_the_names_are_listed_with_a_nul_byte_behind_each(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    length, nothing = calls.listxattr(b"/app/1.0", 0)
    assert nothing == b""
    for size in (length, length + 100):
        answer, listed = calls.listxattr(b"/app/1.0", size)
        assert answer == length == len(listed)
        assert listed.endswith(b"\0")
    names = listed[:-1].split(b"\0")
    assert set(names) == {
        b"user.regfs." + name for name in (b"digest", b"media_type", b"kind", b"created", b"pushed")
    }
    for name in names:
        answer, value = calls.getxattr(b"/app/1.0", name, 4096)
        assert answer == len(value) > 0


def test_a_node_without_any_has_an_empty_list(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    assert calls.listxattr(b"/app/1.0/layers", 0) == (0, b"")
    assert calls.listxattr(b"/app/1.0/layers", 100) == (0, b"")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (b"security.selinux", errno.ENOTSUP),
        (b"security.capability", errno.ENOTSUP),
        (b"system.posix_acl_access", errno.ENOTSUP),
        (b"trusted.overlay.opaque", errno.ENOTSUP),
        (b"user.other", errno.ENODATA),
        (b"user.regfs", errno.ENODATA),
        (b"user.regfs.", errno.ENODATA),
        (b"user.regfs.nosuch", errno.ENODATA),
        (b"user.regfs.digest.x", errno.ENODATA),
        (b"user.regfs.\xff", errno.ENODATA),
        (b"user.regfs.pushed", errno.ENODATA),
    ],
)
@pytest.mark.parametrize("size", [0, 100])
def test_other_names_are_refused(
    store: StoreBuilder, calls: Calls, name: bytes, number: int, size: int
) -> None:
    store.image("app", "1.0")
    assert calls.getxattr(b"/app/1.0/config.json", name, size) == (-number, b"")


def test_what_is_not_there_has_no_attributes(store: StoreBuilder, calls: Calls) -> None:
    assert calls.getxattr(b"/nothing", DIGEST, 100) == (-errno.ENOENT, b"")
    assert calls.listxattr(b"/nothing", 100) == (-errno.ENOENT, b"")


def test_a_value_that_is_not_ascii_is_given_in_utf_8(store: StoreBuilder, calls: Calls) -> None:
    layer = store.blob(b"x", "application/größe")
    store.image("app", "1.0", [layer])
    _, value = calls.getxattr(b"/app/1.0/layers/00.bin", b"user.regfs.media_type", 100)
    assert value.decode() == "application/größe"
