"""The store changes under the mount: what shows, and when.

After the ttl a change must show, whatever was cached; sleeping longer than the ttl can only help it.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import Blob, StoreBuilder
from tests.conftest import Mount, output, run
from tests.mount.conftest import snapshot, until

pytestmark = pytest.mark.fuse

TTL = 0.25


def wait() -> None:
    time.sleep(TTL + 0.05)


def push(store: StoreBuilder, tag: str, word: str) -> Blob:
    """Push an image that differs from that of any other word."""
    return store.image("app", tag, [store.layer({word: word.encode()})], store.config(author=word))


def stored(store: StoreBuilder, blob: Blob) -> bytes:
    return store.data(blob.digest).read_bytes()


@pytest.fixture
def app(store: StoreBuilder, mount: Callable[..., Mount]) -> Path:
    """A mounted repository that was walked, so that all that can be cached is."""
    push(store, "1.0", "one")
    path: Path = mount(store, f"ttl={TTL}").path
    output("ls", "-lR", path)
    snapshot(path)
    return path / "app"


def test_a_tag_that_moves_shows_after_the_ttl(store: StoreBuilder, app: Path) -> None:
    new = push(store, "1.0", "two")
    wait()
    assert (app / "1.0/manifest.json").read_bytes() == stored(store, new)
    assert b'"two"' in (app / "1.0/config.json").read_bytes()
    assert output("tar", "-tzf", app / "1.0/layers/00.tar.gz") == "two\n"
    assert os.getxattr(app / "1.0", "user.regfs.digest").decode() == new.digest
    assert os.stat(app / "1.0/manifest.json").st_ino == int(new.digest.split(":")[1][:16], 16)


def test_a_new_tag_a_new_repository_and_a_nested_one_show_after_the_ttl(
    store: StoreBuilder, app: Path
) -> None:
    push(store, "2.0", "two")
    store.image("other", "1.0")
    store.image("app/nested", "1.0")
    wait()
    assert sorted(os.listdir(app)) == ["1.0", "2.0", "nested"]
    assert sorted(os.listdir(app.parent)) == ["app", "other"]
    assert (app / "2.0/manifest.json").exists()
    assert (app / "nested/1.0/manifest.json").exists()


def test_a_name_that_was_looked_for_before_it_existed_shows_after_the_ttl(
    store: StoreBuilder, app: Path
) -> None:
    assert not (app / "2.0").exists()
    push(store, "2.0", "two")
    wait()
    assert (app / "2.0").exists()


def test_a_tag_that_is_deleted_goes_after_the_ttl(store: StoreBuilder, app: Path) -> None:
    push(store, "2.0", "two")
    wait()
    assert (app / "2.0/config.json").exists()
    shutil.rmtree(store.tag_link("app", "2.0").parent.parent)
    wait()
    assert os.listdir(app) == ["1.0"]
    with pytest.raises(FileNotFoundError):
        (app / "2.0/manifest.json").read_bytes()


def test_a_repository_that_is_deleted_goes_after_the_ttl(store: StoreBuilder, app: Path) -> None:
    shutil.rmtree(store.repository("app"))
    wait()
    assert os.listdir(app.parent) == []
    assert not app.exists()


def test_a_tag_that_moves_to_and_fro_shows_the_right_bytes_each_time(store: StoreBuilder, app: Path) -> None:
    images = [push(store, "1.0", word) for word in ("same", "size")]
    assert images[0].size == images[1].size
    for _ in range(2):
        for image in images:
            store.tag("app", "1.0", image)
            wait()
            assert (app / "1.0/manifest.json").read_bytes() == stored(store, image)


def test_an_image_of_the_same_sizes_and_times_shows_its_own_bytes(store: StoreBuilder, app: Path) -> None:
    layers = [store.layer({"file": word * 5000}, "none") for word in (b"a", b"b")]
    configs = [store.config(author=word) for word in "ab"]
    images = [
        store.image("app", "2.0", [layer], config) for layer, config in zip(layers, configs, strict=True)
    ]
    for blob in (*layers, *configs, *images):
        os.utime(store.data(blob.digest), (1_600_000_000, 1_600_000_000))
    assert layers[0].size == layers[1].size
    files = ("manifest.json", "config.json", "layers/00.tar")
    for image, layer, config in [*zip(images, layers, configs, strict=True)] * 2:
        store.tag("app", "2.0", image, 1_600_000_000)
        wait()
        for name, blob in zip(files, (image, config, layer), strict=True):
            assert (app / "2.0" / name).read_bytes() == stored(store, blob)
            assert output("cat", app / "2.0" / name).encode() == stored(store, blob)


def test_damage_that_is_repaired_is_readable_after_the_ttl(store: StoreBuilder, app: Path) -> None:
    image = push(store, "2.0", "two")
    content = stored(store, image)
    store.data(image.digest).unlink()
    wait()
    assert run("ls", app / "2.0").returncode != 0
    store.write(store.data(image.digest), content)
    wait()
    assert (app / "2.0/manifest.json").read_bytes() == content


def test_a_torn_link_is_served_from_the_last_good_value_and_then_eio(store: StoreBuilder, app: Path) -> None:
    link = store.tag_link("app", "1.0")
    before = (app / "1.0/manifest.json").read_bytes()
    link.write_bytes(b"")

    def gone() -> bool:
        try:
            assert (app / "1.0/manifest.json").read_bytes() == before
        except OSError as error:
            return error.errno == errno.EIO
        return False

    until(gone, "the last good value is given up")
    assert os.listdir(app) == ["1.0"]


def test_with_a_long_ttl_nothing_changes_at_once(store: StoreBuilder, mount: Callable[..., Mount]) -> None:
    old = push(store, "1.0", "one")
    app = mount(store, "ttl=600").path / "app"
    assert (app / "1.0/manifest.json").read_bytes() == stored(store, old)
    assert os.listdir(app) == ["1.0"]
    push(store, "1.0", "two")
    push(store, "2.0", "two")
    assert os.listdir(app) == ["1.0"]
    assert (app / "1.0/manifest.json").read_bytes() == stored(store, old)


def test_with_an_infinite_ttl_nothing_ever_changes(store: StoreBuilder, mount: Callable[..., Mount]) -> None:
    push(store, "1.0", "one")
    path = mount(store, "ttl=inf").path
    before = snapshot(path)
    assert os.listdir(path / "app") == ["1.0"]
    push(store, "1.0", "two")
    push(store, "2.0", "two")
    time.sleep(0.5)
    assert os.listdir(path / "app") == ["1.0"]
    assert snapshot(path) == before


def test_with_a_ttl_of_0_every_change_shows_at_once(store: StoreBuilder, mount: Callable[..., Mount]) -> None:
    push(store, "1.0", "one")
    app = mount(store, "ttl=0").path / "app"
    for word in ("two", "three", "four"):
        new = push(store, "1.0", word)
        assert (app / "1.0/manifest.json").read_bytes() == stored(store, new)
        push(store, word, word)
        assert word in os.listdir(app)
