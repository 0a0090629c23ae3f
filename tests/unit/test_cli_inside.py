"""`regfs tree`, `history` and `index --layers`, run as a person runs them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.builder import Blob, StoreBuilder
from tests.builder.layers import MTIME, make_tar
from tests.conftest import REGFS, run

pytestmark = pytest.mark.long

BASE = {"etc/a": b"one\n", "etc/b": b"two\n", "bin/sh": b"#!" * 5000}
TOP = {"etc/a": b"ONE!\n", "etc/.wh.b": b"", "srv/app": b"app"}


def push(
    store: StoreBuilder, repository: str, tag: str, layers: Sequence[Mapping[str, bytes]], **keys: object
) -> Blob:
    diff_ids = [f"sha256:{hashlib.sha256(make_tar(files)).hexdigest()}" for files in layers]
    config = store.config(rootfs={"type": "layers", "diff_ids": diff_ids}, **keys)
    return store.image(repository, tag, [store.layer(files) for files in layers], config)


HISTORY = [
    {"created": "2024-01-01T00:00:00Z", "created_by": "ADD  rootfs\n/"},
    {"created": "2024-01-02T00:00:00Z", "created_by": "ENV A=b", "empty_layer": True},
    {"created": "2024-01-03T00:00:00Z", "comment": "by hand"},
]


@pytest.fixture(autouse=True)
def image(store: StoreBuilder) -> Blob:
    return push(store, "team/app", "1.0", [BASE, TOP], history=HISTORY)


def printed(*arguments: str | Path, status: int = 0) -> str:
    done = run(*REGFS, *arguments)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_tree_lists_what_a_container_sees(store: StoreBuilder) -> None:
    found = rows(printed("tree", store.root, "team/app:1.0", "--format", "csv"))
    assert [row["path"] for row in found] == ["bin", "etc", "srv", "bin/sh", "etc/a", "srv/app"]
    assert found[4] == {
        "mode": "-rw-r--r--",
        "uid": "0",
        "gid": "0",
        "size": "5",
        "changed": "2023-11-14T22:13:20Z",
        "path": "etc/a",
        "target": "",
    }
    assert MTIME == 1_700_000_000


def test_tree_of_a_path(store: StoreBuilder) -> None:
    assert [
        row["path"] for row in rows(printed("tree", store.root, "team/app:1.0", "/etc/", "--format", "csv"))
    ] == ["etc/a"]
    assert [
        row["path"] for row in rows(printed("tree", store.root, "team/app:1.0", "etc/a", "--format", "csv"))
    ] == ["etc/a"]
    assert "etc/none" in printed("tree", store.root, "team/app:1.0", "etc/none", status=1)


def test_history_tells_what_each_step_did(store: StoreBuilder) -> None:
    found = json.loads(printed("history", store.root, "team/app:1.0", "--format", "json"))
    sizes = [(store.layer(files).size, len(make_tar(files))) for files in (BASE, TOP)]
    assert [(step["layer"], step["command"], step["created"]) for step in found] == [
        ("00", "ADD  rootfs\n/", "2024-01-01T00:00:00Z"),
        (None, "ENV A=b", "2024-01-02T00:00:00Z"),
        ("01", "by hand", "2024-01-03T00:00:00Z"),
    ]
    assert [(step["stored"], step["unpacked"]) for step in found if step["layer"]] == sizes
    assert [[step[key] for key in ("added", "changed", "removed", "wasted")] for step in found] == [
        [3, 0, 0, 0],
        [None] * 4,
        [1, 1, 1, 8],
    ]
    table = printed("history", store.root, "team/app:1.0")
    assert "ADD rootfs /" in table
    assert len(table.splitlines()) == 4


def test_a_history_that_does_not_fit_stands_beside_the_layers(store: StoreBuilder) -> None:
    push(store, "team/app", "odd", [BASE, TOP], history=HISTORY[:2])
    found = json.loads(printed("history", store.root, "team/app:odd", "--format", "json"))
    assert [(step["layer"], step["command"]) for step in found] == [
        ("00", ""),
        ("01", ""),
        (None, "ADD  rootfs\n/"),
        (None, "ENV A=b"),
    ]


def test_an_image_is_named_by_tag_by_digest_or_as_latest(store: StoreBuilder, image: Blob) -> None:
    by_digest = printed("history", store.root, f"team/app@{image.digest}")
    assert by_digest == printed("history", store.root, "team/app:1.0")
    assert "give a tag: team/app:TAG" in printed("history", store.root, "team/app", status=1)
    store.tag("team/app", "latest", image)
    assert printed("history", store.root, "team/app") == by_digest
    for name in ("none:1", "team/app:2", "team", f"team/app@sha256:{'0' * 64}"):
        assert printed("history", store.root, name, status=1).startswith(f"regfs: {name}")


def test_of_an_index_the_platform_that_was_asked_for(store: StoreBuilder) -> None:
    children = []
    for architecture in ("amd64", "arm64"):
        child = push(store, "multi", "", [{f"etc/{architecture}": b""}], architecture=architecture)
        children.append(child.descriptor(platform={"os": "linux", "architecture": architecture}))
    store.index("multi", "1", children)
    found = rows(printed("tree", store.root, "multi:1", "--platform", "linux/arm64", "--format", "csv"))
    assert [row["path"] for row in found] == ["etc", "etc/arm64"]


def indexes() -> list[str]:
    place = Path(os.environ["XDG_CACHE_HOME"]) / "regfs/layers"
    return sorted(path.stem for path in place.glob("*.sqlite")) if place.exists() else []


def names(store: StoreBuilder, *layers: Mapping[str, bytes]) -> list[str]:
    return sorted(store.layer(files).digest.replace(":", "-") for files in layers)


def test_index_layers_reads_ahead(store: StoreBuilder) -> None:
    other = {"other": b"image"}
    push(store, "other", "1", [BASE, other])
    assert indexes() == []
    assert printed("index", "--layers", store.root, "team/app").startswith("2 layers, ")
    assert indexes() == names(store, BASE, TOP)
    assert printed("index", "--layers", store.root).startswith("3 layers, ")
    assert indexes() == names(store, BASE, TOP, other)


def test_one_damaged_layer_does_not_stop_the_others(store: StoreBuilder) -> None:
    damaged = store.layer({"damaged": b"x" * 1000})
    push(store, "bad", "1", [{"damaged": b"x" * 1000}])
    content = bytearray(store.data(damaged.digest).read_bytes())
    content[len(content) // 2] ^= 1
    store.data(damaged.digest).write_bytes(content)
    said = printed("index", "--layers", store.root, status=1)
    assert "bad:1" in said
    assert damaged.digest in said
    assert "Traceback" not in said
    assert indexes() == names(store, BASE, TOP)


SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"


def sign(store: StoreBuilder, repository: str, tag: str) -> None:
    """Push a signature as cosign does: with an image's config."""
    store.image(repository, tag, [store.blob(b'{"critical":{}}', SIGNATURE)])


def test_index_layers_passes_over_what_is_no_image_and_says_so(store: StoreBuilder) -> None:
    sign(store, "team/app", "sha256-1.sig")
    sign(store, "team/app", "sha256-2.sig")
    chart = store.blob(b"no tar", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    config = store.blob(b"{}", "application/vnd.cncf.helm.config.v1+json")
    store.image("chart", "1.0", [chart], config)
    passed_over = f"2 tags passed over, no file system: {SIGNATURE}\n"
    said = printed("index", "--layers", store.root)
    assert said.startswith(f"1 tag passed over, no file system: {config.media_type}\n{passed_over}2 layers, ")
    assert printed("index", "--layers", store.root, "team/app").startswith(f"{passed_over}2 layers, ")
    assert indexes() == names(store, BASE, TOP)


def test_an_artifact_that_is_named_is_said_to_have_no_file_system(store: StoreBuilder) -> None:
    sign(store, "team/app", "sig")
    cache = store.blob(b"{}", "application/vnd.buildkit.cacheconfig.v0")
    store.index("cache", "1", [store.layer(BASE).descriptor(), cache.descriptor()])
    for ref, media_type in (("team/app:sig", SIGNATURE), ("cache:1", cache.media_type)):
        for arguments in (("tree", store.root), ("history", store.root), ("index", "--layers", store.root)):
            said = printed(*arguments, ref, status=1)
            assert said.endswith(f": no file system: {media_type}\n")
            assert said.count("\n") == 1


def test_images_without_layers_is_a_wrong_command(store: StoreBuilder) -> None:
    assert "--layers" in printed("index", store.root, "team/app", status=2)
