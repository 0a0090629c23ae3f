"""`regfs tree`, `history`, `ls` and `cat` of layers that are odd, or no tars: run as a person runs them."""

from __future__ import annotations

import bz2
import csv
import io
import json
import lzma
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import REGFS, need, run
from tests.inside import Item, hard_link, image, push, tar_of

Printed = subprocess.CompletedProcess[str]

EROFS = bytes(1024) + b"\xe2\xe1\xf5\xe0" + bytes(7000) + b"file system"

#: What is no tar: the blob, its media type, and what is said of it.
FOREIGN = {
    "erofs": (EROFS, "application/vnd.erofs.layer.v1", "EROFS file system (application/vnd.erofs.layer.v1)"),
    "erofs-as-tar": (EROFS, OCI_LAYER, "it is no tar, but an EROFS file system"),
    "encrypted": (b"\x81" * 5000, f"{OCI_LAYER}+gzip+encrypted", "gzip+encrypted): no key here"),
    "squashfs": (
        b"hsqs" + bytes(5000),
        "application/vnd.oci.image.layer.v1.squashfs",
        "a squashfs file system",
    ),
    "squashfs-as-tar": (b"hsqs" + b"\x07" * 5000, OCI_LAYER, "it is no tar, but a squashfs file system"),
    "nydus": (b"\x07" * 5000, "application/vnd.oci.image.layer.nydus.blob.v1", "a nydus file system"),
    "json": (
        b'{"a": "b"}' * 100,
        "application/vnd.oci.image.layer.v1+json",
        "no file system: application/vnd.oci.image.layer.v1+json",
    ),
    "json-as-tar": (b'{"a": "b"}' * 100, OCI_LAYER, "it is no tar, but JSON"),
    "lzma": (lzma.compress(bytes(5000), lzma.FORMAT_ALONE), OCI_LAYER, "it is no tar, but an lzma file"),
    "unknown": (b"\x07" * 5000, "application/x-own", "(its media type is application/x-own)"),
    "zeros": (bytes(4096) + b"more", OCI_LAYER, "begins with as many zeros as end one"),
}


def regfs(*arguments: str | Path) -> Printed:
    return run(*REGFS, *arguments)


def rows(done: Printed) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(done.stdout)))


def image_of(store: StoreBuilder, tag: str, layers: Sequence[Blob], **config: object) -> None:
    store.image("team/app", tag, layers, store.config(rootfs={"type": "layers"}, **config))


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_tar_is_an_error_that_says_what_it_is(store: StoreBuilder, kind: str) -> None:
    content, media_type, said = FOREIGN[kind]
    image_of(store, "1", [store.blob(content, media_type)])
    for command in ("tree", "history"):
        done = regfs(command, store.root, "team/app:1")
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    done = regfs("index", "--layers", store.root, "team/app:1")
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_an_empty_layer_is_none_of_these(store: StoreBuilder) -> None:
    image_of(store, "1", [store.blob(bytes(1024), OCI_LAYER), store.blob(bytes(10240), OCI_LAYER)])
    done = regfs("tree", store.root, "team/app:1", "--format", "csv")
    assert (done.returncode, rows(done)) == (0, [])


def test_one_bad_layer_among_five_hides_no_other(store: StoreBuilder) -> None:
    tars = [tar_of([Item(f"d/{number}", b"x" * number), Item("same", b"s" * number)]) for number in range(5)]
    layers = [push(store, tar).blob for tar in tars]
    layers[2] = store.blob(EROFS, "application/vnd.erofs.layer.v1")
    steps = [{"created_by": f"step {number}"} for number in range(5)]
    image_of(store, "1", layers, history=steps)
    done = regfs("tree", store.root, "team/app:1", "--format", "csv")
    assert done.returncode == 1
    assert [row["path"] for row in rows(done)] == ["d", "same", "d/0", "d/1", "d/3", "d/4"]
    assert "layer 02 is missing from what is shown" in done.stderr
    assert "application/vnd.erofs.layer.v1" in done.stderr
    done = regfs("tree", store.root, "team/app:1", "/none", "--format", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "layer 02 is missing from what is shown" in done.stderr
    assert "no such file or directory" in done.stderr
    done = regfs("history", store.root, "team/app:1", "--format", "csv")
    assert done.returncode == 1
    told = [(row["layer"], row["added"], row["changed"], row["command"]) for row in rows(done)]
    assert told == [
        ("00", "2", "0", "step 0"),
        ("01", "1", "1", "step 1"),
        ("02", "", "", "step 2"),
        ("03", "1", "1", "step 3"),
        ("04", "1", "1", "step 4"),
    ]
    assert "layer 02 cannot be read" in done.stderr
    assert "layer 02" not in regfs("cat", store.root, "team/app/1/rootfs/same").stdout
    assert regfs("cat", store.root, "team/app/1/layers/04/same").stdout == "ssss"


def test_a_layer_whose_blob_is_gone_hides_no_other(store: StoreBuilder) -> None:
    layers = [push(store, tar_of([Item(f"f{number}", b"x")])).blob for number in range(3)]
    image_of(store, "1", layers)
    store.data(layers[1].digest).unlink()
    done = regfs("tree", store.root, "team/app:1", "--format", "csv")
    assert (done.returncode, [row["path"] for row in rows(done)]) == (1, ["f0", "f2"])
    assert f"layer 01 is missing from what is shown: blob {layers[1].digest} is not stored" in done.stderr


def test_one_dead_hard_link_hides_none_of_the_others(store: StoreBuilder) -> None:
    items = [Item(f"f{number:02}", b"x") for number in range(99)]
    image(store, "team/app", "1", [push(store, tar_of([*items, hard_link("f50x", "nowhere")]))])
    for form in ("csv", "json", "table"):
        done = regfs("tree", store.root, "team/app:1", "--format", form)
        assert done.returncode == 1
        assert "f50x: a hard link to 'nowhere', which no layer below has" in done.stderr
        assert done.stdout.count("f98") == 1
    found = rows(regfs("tree", store.root, "team/app:1", "--format", "csv"))
    assert len(found) == 100
    assert [row["path"] for row in found if "?" in row["mode"]] == ["f50x"]
    done = regfs("ls", "-l", store.root, "team/app/1/rootfs")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 100)


def test_a_name_that_is_no_utf_8_is_printed_and_taken_back(store: StoreBuilder) -> None:
    names = ["caf\udce9", "d\udcff/in\nner", "back\\slash", "literal\\udce9"]
    image(
        store,
        "team/app",
        "1",
        [push(store, tar_of([Item(name, name.encode("utf-8", "replace")) for name in names]))],
    )
    listed = json.loads(regfs("tree", store.root, "team/app:1", "--format", "json").stdout)
    paths = [row["path"] for row in listed]
    assert "caf\\udce9" in paths
    assert subprocess.run([need("python3"), "-m", "json.tool"], input=json.dumps(listed).encode(), check=True)
    texts = {
        "ls": regfs("ls", store.root, "team/app/1/rootfs").stdout.splitlines(),
        "csv": [row["path"] for row in rows(regfs("tree", store.root, "team/app:1", "--format", "csv"))],
        "json": paths,
    }
    for told in texts.values():
        for text in told:
            if text.startswith("d"):
                continue
            done = regfs("cat", store.root, f"team/app/1/rootfs/{text}")
            assert done.returncode == 0, done.stderr
            assert regfs("ls", store.root, f"team/app/1/rootfs/{text}").returncode == 0
    assert regfs("cat", store.root, "team/app/1/rootfs/caf\\udce9").stdout == "caf?"
    assert regfs("cat", store.root, "team/app/1/rootfs/literal\\udce9").stdout == "literal\\udce9"
    assert regfs("ls", store.root, "team/app/1/rootfs/d\\udcff").stdout == "in\\nner\n"
    assert regfs("cat", store.root, "team/app/1/rootfs/d\\udcff/in\\nner").returncode == 0
    found = rows(regfs("tree", store.root, "team/app:1", "/d\\udcff", "--format", "csv"))
    assert len(found) == 1


def test_what_no_file_system_can_show_is_counted_and_named(store: StoreBuilder) -> None:
    tar = tar_of([Item("f", b"x"), Item("n" * 300, b"x"), Item("d/" + "m" * 256, b"x")])
    image(store, "team/app", "1", [push(store, tar)])
    done = regfs("tree", store.root, "team/app:1", "--format", "csv")
    assert done.returncode == 0
    assert "layer 00: 2 entries left out, which no file system can show: nnn" in done.stderr
    assert f"no file system can show 2 of its entries: b'{'n' * 300}', b'd/{'m' * 256}'" in done.stderr
    (step,) = json.loads(regfs("history", store.root, "team/app:1", "--format", "json").stdout)
    assert (step["added"], step["left_out"]) == (1, 2)


def test_half_a_character_in_the_history_spoils_nothing(store: StoreBuilder) -> None:
    layer = push(store, tar_of([Item("f", b"f")]))
    config = store.blob(
        json.dumps(
            {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
                "history": [{"created_by": "echo \ud83d \\ud83d \U0001f600"}],
            }
        ).encode(),
        "application/vnd.oci.image.config.v1+json",
    )
    store.image("team/app", "1", [layer.blob], config)
    assert regfs("cat", store.root, "team/app/1/rootfs/f").stdout == "f"
    assert regfs("cat", store.root, "team/app/1/layers/00/f").stdout == "f"
    (step,) = json.loads(regfs("history", store.root, "team/app:1", "--format", "json").stdout)
    assert step["command"] == "echo � \\ud83d \U0001f600"


def test_bzip2_is_read_whatever_its_media_type(store: StoreBuilder) -> None:
    tar = tar_of([Item("f", b"f" * 3_000_000)])
    for tag, media_type in (("1", OCI_LAYER), ("2", f"{OCI_LAYER}+gzip"), ("3", f"{OCI_LAYER}+bzip2")):
        image_of(store, tag, [store.blob(bz2.compress(tar), media_type)])
        assert regfs("cat", store.root, f"team/app/{tag}/rootfs/f").stdout == "f" * 3_000_000


def test_a_limit_that_people_set(store: StoreBuilder) -> None:
    image(store, "team/app", "1", [push(store, tar_of([Item("f", bytes(3_000_000))]))])
    done = regfs("cat", "--max-layer-size", "1M", store.root, "team/app/1/rootfs/f")
    assert done.returncode == 1
    assert "more than 1048576 bytes uncompressed; max_layer_size= allows more" in done.stderr
    assert regfs("cat", "--max-layer-size", "4M", store.root, "team/app/1/rootfs/f").returncode == 0
    assert "no number of bytes" in regfs("cat", "--max-layer-size", "x", store.root, "y").stderr
