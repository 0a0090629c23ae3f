"""The same pushes into two real registries: one with its storage in a bucket, one in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from regfs.registry.locate_objects import open_objects
from regfs.storage.objects import Address, Bucket, ObjectStorage
from tests.objects.server import BUCKET, KEY, SECRET, Seaweed
from tests.registry.images import BASE, make_layout
from tests.registry.pushes import skopeo
from tests.registry.random_pushes import RandomPushes
from tests.registry.server import Registry

#: What is pushed at random, and how often.
SEED, PUSHES = 20261129, 90


class Pair(NamedTuple):
    """The prefix in the bucket, the directory, and what is true of both."""

    prefix: str
    root: Path
    pushes: RandomPushes

    @property
    def address(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"


def s3_storage(seaweed: Seaweed, prefix: str) -> dict[str, dict[str, object]]:
    """Give a registry's config of its storage."""
    driver = {
        "accesskey": KEY,
        "secretkey": SECRET,
        "region": "us-east-1",
        "regionendpoint": seaweed.endpoint,
        "bucket": BUCKET,
        "forcepathstyle": True,
        "secure": False,
        "v4auth": True,
        "rootdirectory": f"/{prefix}",
    }
    return {"s3": driver, "redirect": {"disable": True}}


def push_to_both(seaweed: Seaweed, prefix: str, directory: Path) -> Pair:
    layouts = {
        "1.0": make_layout(directory / "one", [BASE, {"app/main": b"main\n"}, {"app/.wh.main": b""}]),
        "2.0": make_layout(directory / "two", [BASE, {"bin/tool": b"\x7fELF tool" + bytes(3 << 20)}]),
    }
    truths = []
    for name, storage in (("bucket", s3_storage(seaweed, prefix)), ("directory", None)):
        (directory / name).mkdir()
        registry = Registry(directory / name / "root", directory / name, storage)
        try:
            for tag, layout in layouts.items():
                skopeo(layout, registry, "by-skopeo/app", tag)
            skopeo(layouts["2.0"], registry, "by-skopeo/app", "1.0")
            pushes = RandomPushes(registry.api, SEED)
            pushes.run(PUSHES)
            truths.append(pushes)
        finally:
            registry.end()
    one, other = truths
    assert one.tags == other.tags
    assert one.states() == other.states()
    assert one.uploads
    assert one.deletions
    return Pair(prefix, directory / "directory" / "root", other)


def opened(seaweed: Seaweed, prefix: str, **reached: object) -> ObjectStorage:
    """Open a store in the bucket; the environment has the credentials."""
    address = Address.parse(f"s3://{BUCKET}/{prefix}").reached_by(seaweed.endpoint, **reached)  # type: ignore[arg-type]
    return open_objects(Bucket(address))
