"""A layer of a million entries, through a mount. Takes a minute or two: `scripts/test -m slow`."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Callable

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

_ENTRIES = 1_000_000
_OF_A_DIRECTORY = 5_000


def place(number: int) -> str:
    return f"srv/{number // _OF_A_DIRECTORY:03}/{number:07}"


@pytest.mark.timeout(900)
def test_a_million_entries_show(store: StoreBuilder, mount: Callable[..., Mount]) -> None:
    packed, plain, gzip = bytearray(), hashlib.sha256(), zlib.compressobj(1, wbits=31)
    for number in range(_ENTRIES):
        header = tarfile.TarInfo(place(number)).tobuf(tarfile.USTAR_FORMAT)
        plain.update(header)
        packed += gzip.compress(header)
    plain.update(bytes(1024))
    packed += gzip.compress(bytes(1024)) + gzip.flush()
    layer = store.blob(bytes(packed), "application/vnd.oci.image.layer.v1.tar+gzip")
    config = store.config(rootfs={"type": "layers", "diff_ids": [f"sha256:{plain.hexdigest()}"]})
    store.image("app", "1", [layer], config)
    rootfs = mount(store).path / "app/1/rootfs"
    found = output("find", rootfs, "-type", "f", "-printf", "%P\n").splitlines()
    assert len(found) == _ENTRIES
    assert set(found) == set(map(place, range(_ENTRIES)))
    assert (rootfs / place(_ENTRIES - 1)).read_bytes() == b""
    assert not (rootfs / place(_ENTRIES)).exists()
