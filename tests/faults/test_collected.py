"""A collection takes blobs that a mount has shown already."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, run
from tests.faults.conftest import answer, listed
from tests.inside import BASE, image, push, tar_of
from tests.mount.conftest import until
from tests.registry.collector import collect

pytestmark = [pytest.mark.fuse, pytest.mark.registry]

Make = Callable[..., Mount]


@pytest.fixture
def collected(store: StoreBuilder, mount: Make) -> Path:
    """An orphan in a mount that has listed it, and that was collected since."""
    store.image("app", "1.0")
    orphan = store.blob(b"nobody's", "x/y")
    top = mount(store, "ttl=600").path
    (name,) = listed(top / "@orphans/sha256")
    assert collect(store.root, really=True).blobs == {orphan.digest}
    return top / "@orphans/sha256" / name


def test_a_collected_orphan_is_no_empty_file_in_a_copy(collected: Path, tmp_path: Path) -> None:
    # By a command of its own: the kernel may have attributes of the other name.
    done = run("tar", "-C", collected.parent, "-cf", tmp_path / "copy.tar", ".")
    packed = run("tar", "-tvf", tmp_path / "copy.tar").stdout
    assert done.returncode != 0 or collected.name not in packed, packed


def test_a_collected_orphan_is_gone(collected: Path) -> None:
    assert answer(collected.read_bytes) == errno.ENOENT


def test_the_room_of_a_collected_layer_is_free_when_ttl_has_passed(store: StoreBuilder, mount: Make) -> None:
    layer = push(store, tar_of(BASE))
    image(store, "app", "1.0", [layer])
    manifest = store.tag_link("app", "1.0").read_text()
    made = mount(store, "ttl=0.2")
    assert listed(made.path / "app/1.0/rootfs")
    store.tag_link("app", "1.0").parent.parent.rename(store.root / "tag")
    store.revision_link("app", manifest).unlink()
    assert layer.blob.digest in collect(store.root, really=True).blobs

    def held() -> list[str]:
        found = []
        for name in os.listdir(f"/proc/{made.process.pid}/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/{made.process.pid}/fd/{name}"))
        return [target for target in found if target.endswith("/data (deleted)")]

    until(lambda: not held(), "nothing deleted is held open", 5)
