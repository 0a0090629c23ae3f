"""open, read, release: any bytes at any place, and what the kernel may keep."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.builder import StoreBuilder

if TYPE_CHECKING:
    from tests.adapter.calls import Calls

CONFIG = b"/app/1.0/config.json"
LAYER = b"/app/1.0/layers/00.bin"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_files_are_given_byte_for_byte(store: StoreBuilder, calls: Calls) -> None:
    layer, config = store.blob(os.urandom(300_000), "x/y"), store.config()
    image = store.image("app", "1.0", [layer], config)
    for path, blob in ((LAYER, layer), (CONFIG, config), (b"/app/1.0/manifest.json", image)):
        assert calls.content(path) == store.data(blob.digest).read_bytes()


def test_a_made_config_is_read_like_any_file(store: StoreBuilder, calls: Calls) -> None:
    store.schema1(
        "app", "1.0", [store.layer({})], [{"os": "linux", "created": "2015-01-01T00:00:00Z"}], signed=False
    )
    content = calls.content(CONFIG)
    assert len(content) == calls.getattr(CONFIG).st_size
    info = calls.open(CONFIG)
    for offset in range(len(content) + 2):
        for size in (1, 3, 4096):
            assert calls.read(info, size, offset) == content[offset : offset + size]
    calls.call("release", CONFIG, info)


@pytest.mark.parametrize("seed", range(4))
def test_reads_at_any_offset_and_size_equal_the_slice(store: StoreBuilder, calls: Calls, seed: int) -> None:
    source = random.Random(seed)
    content = source.randbytes(source.choice([1, 4095, 4096, 4097, 300_000]))
    store.image("app", "1.0", [store.blob(content, "x/y")])
    info = calls.open(LAYER)
    for _ in range(200):
        offset, size = source.randrange(len(content) + 5000), source.choice([0, 1, 511, 4096, 131_072])
        assert calls.read(info, size, offset) == content[offset : offset + size]
    assert calls.read(info, 4096, 1 << 62) == b""
    assert calls.call("release", LAYER, info) == 0


def test_every_release_closes_a_file(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    before = descriptors()
    opened = [calls.open(CONFIG) for _ in range(20)]
    assert descriptors() == before + 20
    assert len({info.contents.fh for info in opened}) == 20
    for info in opened:
        calls.call("release", CONFIG, info)
    assert descriptors() == before


def test_a_handle_that_was_released_is_good_for_nothing(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    info = calls.open(CONFIG)
    calls.call("release", CONFIG, info)
    answer = calls.read(info, 10, 0)
    assert isinstance(answer, int)
    assert answer < 0


def test_a_directory_cannot_be_opened_as_a_file(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    assert calls.open(b"/app") == calls.open(b"/") == calls.open(b"/app/1.0/layers") == -errno.EISDIR


def test_damage_is_eio_and_leaves_no_file_open(store: StoreBuilder, calls: Calls) -> None:
    missing, short = store.blob(b"missing", "x/y"), store.blob(b"short", "x/y")
    store.image("app", "1.0", [missing, short])
    store.data(missing.digest).unlink()
    store.data(short.digest).write_bytes(b"s")
    before = descriptors()
    assert calls.open(b"/app/1.0/layers/00.bin") == -errno.EIO
    assert calls.open(b"/app/1.0/layers/01.bin") == -errno.EIO
    assert calls.getattr(b"/app/1.0/layers/00.bin").st_size == 7
    assert descriptors() == before


def test_a_file_that_is_open_keeps_its_content_when_the_tag_moves_and_the_blob_goes(
    store: StoreBuilder, calls: Calls
) -> None:
    config = store.config(number=1)
    old = store.data(config.digest).read_bytes()
    store.image("app", "1.0", config=config)
    calls.getattr(CONFIG)
    info = calls.open(CONFIG)
    store.image("app", "1.0", config=store.config(number=22222))
    store.data(config.digest).unlink()
    assert calls.read(info, 4096, 0) == old
    calls.call("release", CONFIG, info)
    assert b"22222" in calls.content(CONFIG)


def test_files_are_read_around_the_page_cache_which_has_one_set_of_pages_for_each_path(
    store: StoreBuilder, calls: Calls
) -> None:
    store.image("app", "1.0", config=store.config(number=1))
    for _ in range(2):
        info = calls.open(CONFIG)
        assert (info.contents.keep_cache, info.contents.direct_io) == (0, 1)
        calls.call("release", CONFIG, info)


def test_what_is_told_of_a_path_is_what_it_names_now_though_a_file_of_before_is_open(
    store: StoreBuilder, calls: Calls
) -> None:
    store.image("app", "1.0", config=store.config(number=1))
    before = calls.getattr(CONFIG)
    info = calls.open(CONFIG)
    store.image("app", "1.0", config=store.config(number=22222))
    assert calls.getattr(CONFIG).st_ino != before.st_ino
    assert calls.getattr(CONFIG).st_size == before.st_size + 4
    calls.call("release", CONFIG, info)


def test_a_moved_tag_shows_after_the_ttl_and_not_later(
    store: StoreBuilder, serve: Callable[..., Calls]
) -> None:
    from regfs.mount.portable.operations import PathLifetimes

    ttl = 10.0
    lifetimes = PathLifetimes.of(ttl)
    assert sum(lifetimes) == pytest.approx(ttl)
    calls = serve(ttl=lifetimes.graph)
    store.image("app", "1.0", config=store.config(number=1))
    assert b'"number": 1' in calls.content(CONFIG)
    new = store.image("app", "1.0", config=store.config(number=2))
    store.image("app", "2.0")
    names = calls.readdir(b"/app")
    assert not isinstance(names, int)
    calls.clock.now += lifetimes.graph + lifetimes.paths
    assert calls.content(b"/app/1.0/manifest.json") == store.data(new.digest).read_bytes()
    assert b'"number": 2' in calls.content(CONFIG)
    listed = calls.readdir(b"/app")
    assert not isinstance(listed, int)
    assert b"2.0" in [entry.name for entry in listed]


def test_many_threads_read_at_once(store: StoreBuilder, calls: Calls) -> None:
    contents = [os.urandom(100_000) for _ in range(4)]
    store.image("app", "1.0", [store.blob(content, "x/y") for content in contents])

    def check(number: int) -> bool:
        path = b"/app/1.0/layers/%02d.bin" % (number % 4)
        calls.getattr(path)
        return calls.content(path) == contents[number % 4]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(check, range(400)))
