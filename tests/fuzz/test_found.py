"""Damage that fuzzing found to be told of wrongly, each as small as it can be; told by the command line."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.catalogue import Reports
from regfs.registry import Contents, open_local
from tests.builder import Blob, StoreBuilder
from tests.builder.layers import make_layer
from tests.conftest import REGFS, output, run
from tests.faults.conftest import stored

#: Contents of layers whose digests come before most others: holders are looked for in the order of digests.
EARLY = [
    content
    for content in (f"{number}".encode() for number in range(200))
    if hashlib.sha256(make_layer({"file": content})).hexdigest() < "10"
]


@pytest.fixture
def image(store: StoreBuilder) -> Blob:
    """Two repositories hold one image, of two layers."""
    layers = [store.layer({"file": content}) for content in EARLY[:2]]
    store.image("other", "1.0", layers)
    pushed = store.image("app", "1.0", layers)
    assert pushed.digest > max(layer.digest for layer in layers)
    return pushed


def rows(store: StoreBuilder) -> list[dict[str, str]]:
    """Give all that is found wrong after a check of all digests."""
    checked = run(*REGFS, "check", "--digests", store.root)
    assert "Traceback" not in checked.stderr
    found: list[dict[str, str]] = json.loads(
        output(*REGFS, "report", "broken", store.root, "--format", "json")
    )
    return found


def layer_links(store: StoreBuilder) -> list[Path]:
    return sorted((store.repository("app") / "_layers").rglob("link"))


def test_nothing_is_wrong_before(store: StoreBuilder, image: Blob) -> None:
    assert rows(store) == []
    assert len(layer_links(store)) == 3


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_layer_links_that_name_each_other_stop_no_report(
    store: StoreBuilder, image: Blob, tmp_path: Path, algorithm: str
) -> None:
    one, two, *_ = layer_links(store)
    first, second = one.read_text(), two.read_text()
    if algorithm == "sha512":
        second = f"sha512:{hashlib.sha512().hexdigest()}"
        two = store.repository("app") / "_layers" / second.replace(":", "/") / "link"
        two.parent.mkdir(parents=True)
    one.write_text(second)
    two.write_text(first)
    path = str(store.v2)
    # In one process: a pass over links that are so young forgets what a thorough one saw.
    with (
        closing(open_local(path)) as local,
        closing(ReferenceIndex(local, path, tmp_path / "cache", ttl=float("inf"))) as index,
    ):
        index.refresh(thorough=True)
        with Reports(index, Contents(local)).making("blobs") as table:
            assert {row[0] for row in table.rows} == set(stored(store))


def test_a_repository_below_one_whose_tags_cannot_be_listed_is_listed(
    store: StoreBuilder, image: Blob
) -> None:
    store.image("app/nested", "1.0")
    directory = store.repository("app") / "_manifests"
    directory.rename(directory.with_name("gone"))
    directory.write_bytes(b"")
    assert "1.0" in output(*REGFS, "ls", store.root, "app/nested")
    assert "nested" in run(*REGFS, "ls", store.root, "app").stdout


def test_a_layer_link_to_another_digest_is_named(store: StoreBuilder, image: Blob) -> None:
    link = layer_links(store)[0]
    digit = link.read_text()[-1]
    link.write_text(link.read_text()[:-1] + ("0" if digit != "0" else "1"))
    assert [(row["repository"], row["digest"]) for row in rows(store)] == [
        ("app", f"sha256:{link.parent.name}")
    ]


def test_a_tag_whose_manifest_its_repository_does_not_hold_is_named(store: StoreBuilder, image: Blob) -> None:
    store.revision_link("app", image.digest).unlink()
    assert [(row["repository"], row["tag"]) for row in rows(store)] == [("app", "1.0")]


@pytest.mark.parametrize("name", ["_manifests", "_manifests/tags"])
@pytest.mark.parametrize("kind", ["file", "FIFO", "symlink"])
def test_what_stands_in_place_of_a_repositorys_tags_is_named(
    store: StoreBuilder, image: Blob, name: str, kind: str
) -> None:
    directory = store.repository("app") / name
    directory.rename(directory.with_name("gone"))
    if kind == "file":
        directory.write_bytes(b"")
    elif kind == "FIFO":
        os.mkfifo(directory)
    else:
        directory.symlink_to("gone")
    found = rows(store)
    assert str(directory.relative_to(store.v2)) in [row["path"] for row in found]


def test_a_fifo_in_place_of_a_repository_is_named(store: StoreBuilder, image: Blob) -> None:
    directory = store.repository("app")
    directory.rename(store.root / "gone")
    os.mkfifo(directory)
    assert str(directory.relative_to(store.v2)) in [row["path"] for row in rows(store)]


def test_revision_links_that_are_swapped_are_named(store: StoreBuilder, image: Blob) -> None:
    other = store.image("app", "2.0", [store.layer({"other": b"other"})])
    first, second = (store.revision_link("app", blob.digest) for blob in (image, other))
    first.write_text(other.digest)
    second.write_text(image.digest)
    assert {row["digest"] for row in rows(store)} == {image.digest, other.digest}
