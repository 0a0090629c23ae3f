"""The store that the tests of the page read: something in each place, and names that mean harm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.builder import Blob, StoreBuilder

PUSHED = 1_700_000_000
DAY = 86_400
#: The day of the page.
NOW = PUSHED + 400 * DAY

#: What a browser must show, and never do.
HOSTILE = "<img src=x onerror=document.title='taken'>"
ENDS = "</script><script>document.title='taken'</script>"


class Everything(NamedTuple):
    """The store, and those of its images and blobs that tests ask for."""

    store: StoreBuilder
    base: Blob
    signed: Blob
    moved: Blob
    hostile: Blob


def build_everything(root: Path) -> Everything:
    """Push images that share and that do not, signatures, what no tag names, and names that mean harm."""
    store = StoreBuilder(root)
    store.now = PUSHED
    base = store.layer({"base": os.urandom(40_000)})
    signed = _image(store, "team/app", "1.0", [base], days=0)
    common = store.layer({"common": os.urandom(15_000)})
    _image(store, "team/app", "1.1", [base, common, store.layer({"own": os.urandom(30_000)})], days=380)
    store.tag("team/app", "stable", signed, PUSHED + 5 * DAY)
    old = _image(store, "team/app", "nightly", [base], days=10, author="old")
    moved = _image(store, "team/app", "nightly", [base, common], days=395, author="new")
    assert old.digest != moved.digest
    shared = store.layer({"both": os.urandom(20_000)})
    for repository in ("team/app/tools", "team/web"):
        _image(store, repository, "latest", [shared], days=100, author=repository)
    _image(store, "alone", "latest", [store.layer({"a": os.urandom(10_000)})], days=200)
    for media_type in ("application/vnd.dev.cosign.simplesigning.v1+json", "application/spdx+json"):
        content = store.blob(media_type.encode(), media_type)
        config = store.blob(b"{}", "application/vnd.oci.empty.v1+json")
        store.image("team/app", None, [content], config, subject=signed.descriptor())
    _image(store, "alone", None, [store.layer({"loose": os.urandom(5_000)})], days=0)
    store.blob(os.urandom(7_000))
    store.upload("team/web", b"x" * 3_000)
    hostile = _image(store, "bad", "tag", [base], days=50, architecture=HOSTILE, os=ENDS)
    store.write(store.repository("bad") / "_manifests" / "tags" / HOSTILE / "current" / "link", "sha256:0")
    return Everything(store, base, signed, moved, hostile)


def _image(
    store: StoreBuilder, repository: str, tag: str | None, layers: list[Blob], *, days: float, **keys: object
) -> Blob:
    time = PUSHED + days * DAY
    store.now = time
    config = store.config(**{"author": f"{repository}:{tag}", **keys})
    return store.image(repository, tag, layers, config, mtime=time)
