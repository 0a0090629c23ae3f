"""Which layer a path is from, and in which images a file is: `explain`, `history --files`, `find`."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, run
from tests.inside import Item, Pushed, directory, hard_link, image, push, symlink, tar_of

BASE = (
    directory("etc"),
    Item("etc/passwd", b"root\n"),
    Item("etc/keep", b"kept\n"),
    Item("usr/lib/log4j-core-2.14.jar", b"j" * 5000),
    Item("usr/lib/big", b"b" * 20_000),
    symlink("lib", "usr/lib"),
)
CHANGES = (Item("etc/passwd", b"root\nuser\n"), Item("usr/lib/.wh.log4j-core-2.14.jar"))
TOP = (
    Item("srv/log4j-core-2.17.jar", b"k" * 4000),
    hard_link("srv/linked", "etc/keep"),
    Item("usr/lib/big", b"B"),
    Item("usr/lib/.wh..wh..opq"),
)
HISTORY = [
    {"created": "2024-01-01T00:00:00Z", "created_by": "ADD  rootfs\n/"},
    {"created": "2024-01-02T00:00:00Z", "created_by": "ENV A=b", "empty_layer": True},
    {"created": "2024-01-03T00:00:00Z", "created_by": "RUN adduser user"},
    {"created": "2024-01-04T00:00:00Z", "created_by": "COPY srv /srv"},
]


@pytest.fixture(autouse=True)
def layers(store: StoreBuilder) -> list[Pushed]:
    """team/app:1.0 of three layers; team/base:1 of the first, team/other:1 of the first two."""
    pushed = [push(store, tar_of(items)) for items in (BASE, CHANGES, TOP)]
    diff_ids = {"type": "layers", "diff_ids": [layer.diff_id for layer in pushed]}
    config = store.config(rootfs=diff_ids, history=HISTORY)
    store.image("team/app", "1.0", [layer.blob for layer in pushed], config)
    image(store, "team/base", "1", pushed[:1])
    image(store, "team/other", "1", pushed[:2])
    return pushed


def regfs(*arguments: str | Path, status: int = 0) -> str:
    done: subprocess.CompletedProcess[str] = run(*REGFS, *arguments)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- explain ---------------------------------------------------------------------------------------


def test_explain_tells_who_made_and_who_changed_a_path(store: StoreBuilder, layers: list[Pushed]) -> None:
    told = regfs("explain", store.root, "team/app:1.0", "/etc/passwd")
    assert told.splitlines() == [
        "team/app:1.0 /etc/passwd",
        "  is       file of 10 bytes (10), of layer 01",
        f"  layer 00 made 5: {layers[0].blob.digest}",
        "           2024-01-01T00:00:00Z ADD rootfs /",
        f"  layer 01 changed 10, hides 5: {layers[1].blob.digest}",
        "           2024-01-03T00:00:00Z RUN adduser user",
        "  also in  team/other/1",
    ]
    by_path = regfs("explain", store.root, "team/app/1.0/rootfs/etc/passwd")
    assert by_path.splitlines()[1:] == told.splitlines()[1:]


def test_explain_tells_who_took_a_path_away(store: StoreBuilder, layers: list[Pushed]) -> None:
    told = regfs("explain", store.root, "team/app:1.0", "/usr/lib/log4j-core-2.14.jar").splitlines()
    assert told[1] == "  is       gone: no container sees it"
    assert told[4] == f"  layer 01 removed, hides 4.9K: {layers[1].blob.digest}"
    over_a_symlink = regfs("explain", store.root, "team/app:1.0", "/lib/log4j-core-2.14.jar").splitlines()
    assert over_a_symlink[1:] == told[1:]


def test_explain_tells_the_other_images_in_which_the_same_file_shows(store: StoreBuilder) -> None:
    told = regfs("explain", store.root, "team/base:1", "/etc/keep").splitlines()
    assert told[-2:] == ["  also in  team/app/1.0", "           team/other/1"]
    assert "also in" not in regfs("explain", store.root, "team/app:1.0", "/usr/lib/big")
    assert regfs("explain", store.root, "team/base:1", "/usr/lib/big").count("team/") == 2


def test_explain_of_several_things_and_of_what_no_layer_has(
    store: StoreBuilder, layers: list[Pushed]
) -> None:
    told = regfs("explain", store.root, layers[0].blob.digest, "team/app:1.0", "/etc", "team/app:1.0")
    first = [part.splitlines()[0] for part in told.split("\n\n")]
    assert first[:2] == [layers[0].blob.digest, "team/app:1.0 /etc"]
    assert first[2].startswith("sha256:")
    assert "no layer has such a path" in regfs("explain", store.root, "team/app:1.0", "/none", status=1)


# --- history --files -------------------------------------------------------------------------------


def test_history_tells_the_names_behind_its_counts(store: StoreBuilder) -> None:
    counted = json.loads(regfs("history", store.root, "team/app:1.0", "--format", "json"))
    named = json.loads(regfs("history", store.root, "team/app:1.0", "--files", "--format", "json"))
    for step in counted:
        if step["layer"] is None:
            continue
        of_layer = [row for row in named if row["layer"] == step["layer"]]
        for kind in ("added", "changed", "removed"):
            assert step[kind] == sum(row["change"] == kind for row in of_layer)
        assert step["wasted"] == sum(row["size"] for row in of_layer if row["change"] == "wasted")
    sizes = [row["size"] for row in named]
    assert sizes == sorted(sizes, reverse=True)


def test_history_tells_the_names_of_one_kind(store: StoreBuilder) -> None:
    found = rows(regfs("history", store.root, "team/app:1.0", "--files", "wasted", "--format", "csv"))
    assert found == [
        {"layer": "02", "change": "wasted", "size": "20000", "path": "usr/lib/big"},
        {"layer": "01", "change": "wasted", "size": "5000", "path": "usr/lib/log4j-core-2.14.jar"},
        {"layer": "01", "change": "wasted", "size": "5", "path": "etc/passwd"},
    ]
    table = regfs("history", store.root, "team/app:1.0", "--files", "removed").splitlines()
    assert [line.split() for line in table[1:]] == [["01", "removed", "4.9K", "usr/lib/log4j-core-2.14.jar"]]


# --- find ------------------------------------------------------------------------------------------


def test_find_tells_image_path_and_layer(store: StoreBuilder, layers: list[Pushed]) -> None:
    found = rows(regfs("find", store.root, "log4j-core-*.jar", "--format", "csv"))
    assert [(row["image"], row["path"], row["layer"], row["digest"]) for row in found] == [
        ("team/app:1.0", "srv/log4j-core-2.17.jar", "02", layers[2].blob.digest),
        ("team/base:1", "usr/lib/log4j-core-2.14.jar", "00", layers[0].blob.digest),
    ]
    table = regfs("find", store.root, "log4j-core-*.jar").splitlines()
    assert [line.split()[:2] for line in table[1:]] == [[row["image"], row["path"]] for row in found]


@pytest.mark.parametrize(
    ("pattern", "images", "paths"),
    [
        ("big", (), {"team/app:1.0 usr/lib/big", "team/base:1 usr/lib/big", "team/other:1 usr/lib/big"}),
        ("big", ("team/o*:*", "*/base:1"), {"team/base:1 usr/lib/big", "team/other:1 usr/lib/big"}),
        ("etc/k*", ("team/base:1",), {"team/base:1 etc/keep"}),
        ("/etc/k*", ("team/base:1",), {"team/base:1 etc/keep"}),
        ("[!a-k]ib", ("team/base:1",), {"team/base:1 lib", "team/base:1 usr/lib"}),
        ("l?nked", (), {"team/app:1.0 srv/linked"}),
        (".wh.*", (), set()),
        ("none", (), set()),
        ("*", ("none:*",), set()),
    ],
)
def test_find_knows_patterns(
    store: StoreBuilder, pattern: str, images: tuple[str, ...], paths: set[str]
) -> None:
    chosen = [word for name in images for word in ("--image", name)]
    found = rows(regfs("find", store.root, pattern, *chosen, "--format", "csv"))
    assert {f"{row['image']} {row['path']}" for row in found} == paths


def test_find_says_which_layer_cannot_be_read_and_finds_in_the_others(store: StoreBuilder) -> None:
    damaged = store.blob(b"\7" * 5000, "application/vnd.oci.image.layer.v1.tar")
    whole = push(store, tar_of([Item("usr/big", b"x")]))
    store.image("team/bad", "1", [damaged, whole.blob], store.config(rootfs={"type": "layers"}))
    done = run(*REGFS, "find", store.root, "big", "--image", "team/bad:*", "--format", "csv")
    assert (done.returncode, [row["path"] for row in rows(done.stdout)]) == (1, ["usr/big"])
    assert f"regfs: team/bad:1: layer {damaged.digest}" in done.stderr
