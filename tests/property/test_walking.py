"""A store of any shape, damaged or not: what a listing shows is there, and is what the listing said."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.errors import RegfsError
from regfs.tree import Child, Directory, File, Symlink, Tree
from tests.builder import Blob, StoreBuilder
from tests.property.conftest import tried
from tests.unit.trees import content_bytes, opened_tree

repositories = st.sampled_from(["app", "team/app", "team/app/sub", "team/app/1.0", "a/b/c"])
tags = st.sampled_from(["1.0", "latest", "sub", "app", "c"])
architectures = st.sampled_from(["amd64", "arm64", "unknown", "../x"])
suffixes = st.sampled_from(["x/y", "application/json", "application/vnd.oci.image.layer.v1.tar+gzip"])
damages = st.sampled_from(["", "", "", "missing", "empty", "torn link", "no link", "symlink", "crossed link"])
oddities = st.sampled_from(["", "", "@x", ":1.0", "Odd Name", "\udcff", "_x", ".nfs1", "1.0"])


def push(draw: Callable[..., Any], store: StoreBuilder, depth: int = 0) -> tuple[str, Blob]:
    """Push an image, a schema 1 image, an artifact or an index to some repository."""
    repository = draw(repositories)
    tag = draw(st.one_of(st.none(), tags)) if depth else draw(tags)
    layers = [store.blob(draw(st.binary(max_size=8)), draw(suffixes)) for _ in range(draw(st.integers(0, 3)))]
    kind = draw(st.sampled_from(["image", "artifact", "schema1", "sha512", "index", "index"]))
    if kind == "schema1":
        layers = layers or [store.blob(b"", "x/y")]
        manifest = store.schema1(repository, tag or "old", layers, [{}] * len(layers), signed=False)
    elif kind == "index" and depth < 3:
        children = []
        for _ in range(draw(st.integers(0, 3))):
            _, child = push(draw, store, depth + 1)
            children.append(child.descriptor(platform={"os": "linux", "architecture": draw(architectures)}))
            store.revision(repository, child)
        manifest = store.index(repository, tag, children)
    else:
        more = {"artifactType": "text/x"} if kind == "artifact" else {}
        pushed = [store.sha512_layer(repository, b"sha512", "x/y")] if kind == "sha512" else []
        manifest = store.image(repository, tag, [*layers, *pushed], **more)
        if pushed:
            store.sha512_layer(repository, b"sha512", "x/y")  # image() has linked it to itself
    for blob in (*layers, manifest):
        damage(draw(damages), store, repository, tag, blob)
    return repository, manifest


def damage(how: str, store: StoreBuilder, repository: str, tag: str | None, blob: Blob) -> None:
    data = store.data(blob.digest)
    if how == "missing":
        data.unlink(missing_ok=True)
    elif how == "empty" and not data.is_symlink():
        store.write(data, b"")
    elif how == "torn link" and tag is not None:
        store.write(store.tag_link(repository, tag), b"")
    elif how == "torn link":
        store.write(store.layer_link(repository, blob.digest), b"")
    elif how == "no link" and tag is not None:
        store.tag_link(repository, tag).unlink(missing_ok=True)
    elif how == "symlink":
        data.unlink(missing_ok=True)
        data.symlink_to("/etc/hostname")
    elif how == "crossed link":
        data.unlink(missing_ok=True)
        store.write(store.layer_link(repository, blob.digest), store.blob(b"crossed").digest)


@contextmanager
def built(data: st.DataObject) -> Iterator[Tree]:
    """Build a store of some shape, and open its tree."""
    with tempfile.TemporaryDirectory() as directory:
        store = StoreBuilder(Path(directory) / "registry")
        for _ in range(data.draw(st.integers(0, 4))):
            repository, _ = push(data.draw, store)
            oddity = data.draw(oddities)
            if oddity:
                place = data.draw(st.sampled_from(["", "_manifests/tags"]))
                (store.repository(repository) / place / oddity).mkdir(parents=True, exist_ok=True)
        with opened_tree(store) as tree:
            yield tree


def everything(directory: Directory, path: str = "") -> Iterator[tuple[str, Directory]]:
    """Give each directory of the tree that can be entered; the others are still checked by their parents."""
    yield path, directory
    try:
        children = list(directory.children())
    except RegfsError:
        return
    for child in children:
        node = directory.lookup(child.name)
        if isinstance(node, Directory):
            yield from everything(node, f"{path}/{child.name}")


@tried(0.2)
@given(st.data())
def test_what_is_listed_can_be_looked_up_and_is_what_the_listing_said(data: st.DataObject) -> None:
    with built(data) as tree:
        for path, directory in everything(tree.root):
            try:
                children = list(directory.children())
            except RegfsError:
                continue
            names = [child.name for child in children]
            assert len(set(names)) == len(names), f"{path} lists a name twice: {names}"
            for child in children:
                check_child(directory, child, f"{path}/{child.name}")


def check_child(directory: Directory, child: Child, where: str) -> None:
    assert child.name not in ("", ".", "..")
    assert "/" not in child.name
    node = directory.lookup(child.name)
    try:
        found = node.attributes()
    except RegfsError:  # a layer that is not stored, and whose size schema 1 does not tell
        assert isinstance(node, File), where
        with pytest.raises(RegfsError):
            node.open()
        return
    assert (node.type, found.type) == (child.type, child.type), where
    assert node.inode == found.inode == child.inode, where
    assert child.inode > 1, where
    for name in node.xattr_names():
        assert node.xattr(name).decode().isprintable(), where
    if isinstance(node, Symlink):
        assert node.target(), where
    if isinstance(node, File):
        check_file(node, found.size, where)


def check_file(node: File, size: int, where: str) -> None:
    """See that a file's bytes are as many as it says, or that it cannot be opened."""
    try:
        content = node.open()
    except RegfsError:
        return
    assert len(content_bytes(content)) == size, where


@tried(0.1)
@given(st.data())
def test_every_path_leads_to_the_inode_that_its_listing_told(data: st.DataObject) -> None:
    with built(data) as tree:
        for path, directory in everything(tree.root):
            assert tree.walk(path).inode == directory.inode
