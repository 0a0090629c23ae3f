"""What is inside layers, without a mount: which names resolve and to what, and `regfs ls` and `cat`."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from regfs.errors import (
    ForgottenError,
    LayerError,
    LoopError,
    NoAttributeError,
    NoEntryError,
)
from regfs.tree import Directory, File, NodeType, Symlink, Tree
from tests.builder import StoreBuilder
from tests.conftest import REGFS, output, run
from tests.inside import APP, BASE, CAPABILITY, MTIME_NS, Item, Library, image, push, symlink, tar_of
from tests.unit.trees import content_bytes, names, opened_tree, read

ROOTFS = "team/app/1.0/rootfs"
LAYERS = "team/app/1.0/layers"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library.build(tmp_path_factory.mktemp("inside") / "registry")


@pytest.fixture(scope="module")
def shown(library: Library, caches: object) -> Iterator[Tree]:
    with opened_tree(library.store) as tree:
        yield tree


def below(tree: Tree, path: str) -> set[str]:
    """List all that is below a directory, by relative paths."""
    found = set()
    for name in names(tree, path):
        found.add(name)
        node = tree.walk(f"{path}/{name}", follow=False)
        if isinstance(node, Directory):
            found |= {f"{name}/{rest}" for rest in below(tree, f"{path}/{name}")}
    return found


def with_parents(paths: set[str]) -> set[str]:
    return {
        "/".join(parts[:end])
        for path in paths
        for parts in [path.split("/")]
        for end in range(1, len(parts) + 1)
    }


# --- names -----------------------------------------------------------------------------------------------


def test_what_is_inside_resolves_and_is_in_no_listing(shown: Tree) -> None:
    assert names(shown, "team/app/1.0") == ["manifest.json", "layers", "config.json"]
    assert names(shown, LAYERS) == ["00.tar.gz", "01.tar.zst"]
    assert names(shown, "multi/1.0") == ["manifest.json", "platforms", "config.json", "layers"]
    for name in ("rootfs", "layers/00", "layers/01"):
        assert isinstance(shown.walk(f"team/app/1.0/{name}"), Directory)
    for name in ("00.tar", "01.tar"):
        assert shown.walk(f"{LAYERS}/{name}").type is NodeType.FILE


@pytest.mark.parametrize(
    "path",
    [
        *(f"{LAYERS}/{name}" for name in ("0", "000", "02", "99", "0.tar", "02.tar", "00.ta", "00.tar.")),
        *(
            f"{LAYERS}/{name}"
            for name in ("00.", "00.tar.zst", "01.tar.gz", "-0", "+0", " 0", "0_0", "rootfs")
        ),
        *(f"{LAYERS}/{name}" for name in ("\u0660\u0660", "\u0660\u0660.tar", "\u00b2")),
        pytest.param(f"{LAYERS}/{'9' * 5000}", id="more digits than Python reads as a number"),
        "chart/1.0/rootfs",
        "team/rootfs",
        "team/app/rootfs",
        "rootfs",
        "team/app/1.0/rootfs.tar",
        "team/app/1.0/Rootfs",
    ],
)
def test_no_other_name_resolves(shown: Tree, path: str) -> None:
    with pytest.raises(NoEntryError):
        shown.walk(path)


def test_a_layer_that_is_stored_uncompressed_has_its_tar_once(store: StoreBuilder) -> None:
    layer = push(store, tar_of(APP), "cat")
    image(store, "app", "1.0", [layer])
    with opened_tree(store) as tree:
        assert names(tree, "app/1.0/layers") == ["00.tar"]
        assert read(tree, "app/1.0/layers/00.tar") == layer.tar
        assert tree.walk("app/1.0/layers/00.tar").xattr("user.regfs.digest") == layer.blob.digest.encode()
        assert "srv" in names(tree, "app/1.0/layers/00")


def test_an_index_shows_the_default_platforms_and_each_platform_its_own(library: Library) -> None:
    for chosen in ("amd64", "arm64"):
        with opened_tree(library.store, platform=f"linux/{chosen}") as tree:
            link = tree.walk("multi/1.0/rootfs", follow=False)
            assert isinstance(link, Symlink)
            assert link.target() == f"platforms/linux-{chosen}/rootfs"
            assert read(tree, "multi/1.0/rootfs/etc/arch") == chosen.encode()
            for each in ("amd64", "arm64"):
                assert read(tree, f"multi/1.0/platforms/linux-{each}/rootfs/etc/arch") == each.encode()
    with opened_tree(library.store, platform="linux/s390x") as tree, pytest.raises(NoEntryError):
        tree.walk("multi/1.0/rootfs", follow=False)


# --- trees -----------------------------------------------------------------------------------------------


def test_a_layers_own_tree_shows_whiteouts_as_they_are_stored(shown: Tree) -> None:
    for number, items in ((0, BASE), (1, APP)):
        assert below(shown, f"{LAYERS}/{number:02}") == with_parents({item.name for item in items})


def test_rootfs_is_the_layers_merged(shown: Tree) -> None:
    want = {item.name for item in (*BASE, *APP)} - {
        "var/.wh.gone",
        "var/gone",
        "opt/.wh..wh..opq",
        "opt/below",
    }
    assert below(shown, ROOTFS) == with_parents(want)
    assert read(shown, f"{ROOTFS}/etc/os-release") == b"ID=demo\nVERSION_ID=2\n"
    assert read(shown, f"{LAYERS}/00/etc/os-release") == b"ID=demo\nVERSION_ID=1\n"


def test_what_an_item_is_told_as_the_tar_has_it(shown: Tree) -> None:
    """But for hard links, which are the files that they name."""
    for item in BASE:
        if item.target and item.name.startswith("usr/lib"):
            continue
        found = shown.walk(f"{LAYERS}/00/{item.name}", follow=False).attributes()
        size = len(item.target) if found.type is NodeType.SYMLINK else len(item.content)
        assert (found.permissions, found.owner, found.mtime_ns, found.size, found.device) == (
            item.mode,
            item.owner,
            item.mtime_ns,
            size,
            item.device,
        ), item.name


def test_the_names_of_one_file_share_an_inode_wherever_their_layer_shows(shown: Tree) -> None:
    tops = (f"{LAYERS}/00", ROOTFS, "team/app/1.1/layers/00", "team/app/1.1/rootfs")
    paths = [f"{top}/usr/lib/{name}" for top in tops for name in ("one", "two", "three")]
    found = [shown.walk(path).attributes() for path in paths]
    assert len({each.inode for each in found}) == 1
    assert {each.links for each in found} == {3}
    assert shown.walk(f"{ROOTFS}/etc/passwd").inode != found[0].inode


def test_a_hard_link_into_a_lower_layer_is_a_file_in_rootfs_and_an_error_in_its_own_layer(
    shown: Tree,
) -> None:
    assert read(shown, f"{ROOTFS}/srv/passwd") == read(shown, f"{ROOTFS}/etc/passwd")
    assert shown.walk(f"{ROOTFS}/srv/passwd").inode == shown.walk(f"{ROOTFS}/etc/passwd").inode
    alone = shown.walk(f"{LAYERS}/01/srv/passwd")
    with pytest.raises(LayerError, match="etc/passwd"):
        alone.attributes()


def test_the_images_extended_attributes_are_the_nodes(shown: Tree) -> None:
    for top in (ROOTFS, f"{LAYERS}/00"):
        node = shown.walk(f"{top}/var/noted")
        assert set(node.xattr_names()) == {"user.note", "security.capability"}
        assert (node.xattr("user.note"), node.xattr("security.capability")) == (b"a\0b\xff", CAPABILITY)
        for name in ("user.other", "user.regfs.digest", "security.selinux"):
            with pytest.raises(NoAttributeError):
                node.xattr(name)
        assert shown.walk(f"{top}/etc/passwd").xattr_names() == []


# --- the tar ---------------------------------------------------------------------------------------------


def test_each_path_tells_its_layer_and_the_step_that_made_it(store: StoreBuilder) -> None:
    layers = [push(store, tar_of(items)) for items in (BASE, APP)]
    steps = [{"created_by": "ADD base"}, {"created_by": "ENV A=b", "empty_layer": True}, {"comment": "café"}]
    config = store.config(
        rootfs={"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}, history=steps
    )
    store.image("app", "1.0", [layer.blob for layer in layers], config)
    with opened_tree(store) as tree:
        for path, number, command in (
            ("etc/passwd", 0, "ADD base"),
            ("etc/os-release", 1, "café"),
            ("srv/app.py", 1, "café"),
            ("etc", 0, "ADD base"),
            ("srv/passwd", 0, "ADD base"),
        ):
            node = tree.walk(f"app/1.0/rootfs/{path}")
            told = f"{number:02} {layers[number].blob.digest}"
            assert node.xattr("user.regfs.layer") == told.encode(), path
            assert node.xattr("user.regfs.created_by") == command.encode()
            assert [name for name in node.xattr_names() if "regfs" in name] == []
        with pytest.raises(NoAttributeError):
            tree.walk("app/1.0/layers/00/etc/passwd").xattr("user.regfs.layer")


def test_the_tar_has_the_layers_bytes_and_tells_its_digests(shown: Tree, library: Library) -> None:
    for number, layer in enumerate((library.base, library.app)):
        path = f"{LAYERS}/{number:02}.tar"
        node = shown.walk(path)
        assert read(shown, path) == layer.tar
        assert node.attributes().size == len(layer.tar)
        assert node.xattr("user.regfs.diff_id") == layer.diff_id.encode()
        assert node.xattr("user.regfs.digest") == layer.blob.digest.encode()
        assert hashlib.sha256(read(shown, path)).hexdigest() == layer.diff_id.removeprefix("sha256:")


# --- what is no image's content --------------------------------------------------------------------------


def test_a_schema_1_image_has_a_rootfs(store: StoreBuilder) -> None:
    layers = [push(store, tar_of(items)).blob for items in (BASE, APP)]
    v1 = [{"id": name, "os": "linux", "created": "2015-01-01T00:00:00Z"} for name in ("a", "b")]
    store.schema1("old", "1.0", layers, v1, signed=True)
    with opened_tree(store) as tree:
        assert read(tree, "old/1.0/rootfs/srv/app.py") == b"print('hello')\n"
        assert read(tree, "old/1.0/rootfs/etc/passwd") == BASE[1].content


def test_an_image_without_layers_has_an_empty_rootfs(store: StoreBuilder) -> None:
    store.image("app", "1.0", [])
    with opened_tree(store) as tree:
        assert names(tree, "app/1.0/rootfs") == []
        assert tree.walk("app/1.0/rootfs").attributes().type is NodeType.DIRECTORY


def test_a_wrong_diff_id_spoils_what_is_inside_its_layer_alone(store: StoreBuilder) -> None:
    base, app = push(store, tar_of(BASE)), push(store, tar_of(APP))
    config = store.config(rootfs={"type": "layers", "diff_ids": [base.diff_id, base.diff_id]})
    store.image("app", "1.0", [base.blob, app.blob], config)
    with opened_tree(store) as tree:
        for path in ("rootfs", "layers/01"):
            with pytest.raises(LayerError, match=app.blob.digest):
                names(tree, f"app/1.0/{path}")
            # To look at it, from outside, reads no layer.
            assert tree.walk(f"app/1.0/{path}").attributes().permissions is None
        with pytest.raises(LayerError, match=app.blob.digest):
            tree.walk("app/1.0/layers/01.tar").attributes()
        assert "etc" in names(tree, "app/1.0/layers/00")
        assert read(tree, "app/1.0/layers/01.tar.gz")


# --- the way through symlinks ----------------------------------------------------------------------------


def test_an_absolute_symlink_leads_to_the_images_root(shown: Tree) -> None:
    for path in ("bin/tool", "bin/../bin/tool", "bin/../relative"):
        assert read(shown, f"{ROOTFS}/{path}") == b"#!/bin/sh\necho tool\n", path
    assert read(shown, f"{LAYERS}/00/bin/tool") == b"#!/bin/sh\necho tool\n"


def test_no_symlink_leads_out_of_an_image(shown: Tree) -> None:
    assert read(shown, f"{ROOTFS}/etc/escape") == BASE[1].content
    with pytest.raises(NoEntryError):
        shown.walk(f"{ROOTFS}/etc/mtab")
    # What a person writes may.
    assert (
        shown.walk(f"{ROOTFS}/etc/../../manifest.json").inode
        == shown.walk("team/app/1.0/manifest.json").inode
    )


def test_symlinks_inside_an_image_are_no_way_to_its_neighbours(store: StoreBuilder) -> None:
    links = (
        symlink("a", "/../../manifest.json"),
        symlink("b", "../../../app/1.0/manifest.json"),
        symlink("deep/c", "/deep/../../../config.json"),
        symlink("loop", "loop"),
        symlink("ping", "/pong"),
        symlink("pong", "ping"),
        symlink("top", "/"),
        symlink("up", ".."),
        Item("file", b"x"),
    )
    image(store, "app", "1.0", [push(store, tar_of(links))])
    with opened_tree(store) as tree:
        for top in ("app/1.0/rootfs", "app/1.0/layers/00"):
            for path in ("a", "b", "deep/c", "up/manifest.json"):
                with pytest.raises(NoEntryError):
                    tree.walk(f"{top}/{path}")
            for path in ("loop", "ping", "pong/x"):
                with pytest.raises(LoopError):
                    tree.walk(f"{top}/{path}")
            for path in ("top/file", "up/file", "top/up/top/file"):
                assert read(tree, f"{top}/{path}") == b"x"


# --- the command line ------------------------------------------------------------------------------------


def regfs(*arguments: str | Path) -> str:
    return output(*REGFS, *arguments, env={**os.environ, "TZ": "UTC"})


@pytest.mark.long
def test_ls_and_cat_reach_what_is_inside(library: Library, caches: object) -> None:
    root = library.store.root
    listing = regfs("ls", "-l", root, f"{ROOTFS}/etc").splitlines()
    told = {line.split()[6]: line.split() for line in listing}
    assert sorted(told) == ["escape", "mtab", "os-release", "passwd", "shadow"]
    assert (told["shadow"][0], told["shadow"][2]) == ("-rw-------", "15")
    assert (told["mtab"][0], told["mtab"][7:]) == ("lrwxrwxrwx", ["->", "/proc/mounts"])
    devices = regfs("ls", "-l", root, f"{ROOTFS}/dev").splitlines()
    assert [line.split()[0] for line in devices] == ["brw-rw----", "crw-rw-rw-", "prw-------"]
    assert regfs("ls", "-l", root, f"{ROOTFS}/usr/bin/su").startswith("-rwsr-xr-x")
    assert regfs("cat", root, f"{ROOTFS}/etc/passwd") == "root:x:0:0::/root:/bin/sh\n"
    assert regfs("cat", root, f"{ROOTFS}/bin/tool", f"{ROOTFS}/etc/escape").startswith(
        "#!/bin/sh\necho tool\nroot:"
    )
    command = [*REGFS, "cat", str(root), f"{LAYERS}/01.tar"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == library.app.tar
    assert regfs("ls", root, f"{ROOTFS}/var").splitlines() == ["caf\\udce9", "eve", "noted", "old"]


@pytest.mark.parametrize(
    "path", ["etc/mtab", "../../../../../../etc/hostname", "etc/nothing", "dev", "dev/null"]
)
def test_cat_of_what_is_no_file_inside_is_an_error_in_one_line(library: Library, path: str) -> None:
    done = run(*REGFS, "cat", library.store.root, f"{ROOTFS}/{path}")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert path.split("/")[-1] in done.stderr


def test_what_is_no_listing_reads_no_layer(store: StoreBuilder, cache: Path) -> None:
    image(store, "app", "1.0", [push(store, tar_of(BASE))])
    with opened_tree(store) as tree:
        below(tree, "/")
        tree.walk("app/1.0/rootfs")  # to name it is not to look into it
        tree.walk("app/1.0/layers/00")
        assert not (cache / "regfs" / "layers").exists()
        names(tree, "app/1.0/rootfs")
        assert (cache / "regfs" / "layers").exists()


def test_a_time_is_told_to_the_nanosecond(shown: Tree) -> None:
    assert shown.walk(f"{ROOTFS}/etc/passwd").attributes().mtime_ns == MTIME_NS


# --- what nodes hold -------------------------------------------------------------------------------------


def file_at(tree: Tree, path: str) -> File:
    node = tree.walk(path)
    assert isinstance(node, File)
    return node


def held_open() -> int:
    """Count the files of layers that this process has open."""
    places = (os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path))
    return sum("/regfs/layers" in place for place in places)


def test_nodes_that_are_remembered_hold_no_layers_open(store: StoreBuilder, caches: object) -> None:
    """The kernel remembers what it was told of, which may be something inside of each of 100,000 images."""
    most, before = 100, held_open()
    for number in range(most):
        image(store, "app", f"v{number}", [push(store, tar_of([Item("d/f", b"%d" % number)]))])
    with opened_tree(store) as tree:
        gc.disable()  # a mount looks for cycles seldom
        try:
            files = [file_at(tree, f"app/v{number}/rootfs/d/f") for number in range(most)]
            # What Layers and Opener keep, beside what other tests' trees do.
            assert held_open() - before <= (64 + 4) * 2
        finally:
            gc.enable()
        for number, file in enumerate(files):
            assert content_bytes(file.open()) == b"%d" % number
            assert file.attributes().size == len(str(number))


def test_a_node_is_known_no_more_where_other_layers_are_missing(store: StoreBuilder, caches: object) -> None:
    """Its key would stand for something else."""
    layers = [push(store, tar_of([Item(name, name.encode())])) for name in "abc"]
    image(store, "app", "1", layers)
    place = store.data(layers[0].blob.digest)
    with opened_tree(store, partial=True) as tree:
        file = file_at(tree, "app/1/rootfs/b")
        assert content_bytes(file.open()) == b"b"
        place.write_bytes(b"")
        for number in range(20):  # more than are kept open
            image(store, "other", f"v{number}", [push(store, tar_of([Item("o", b"%d" % number)]))])
            assert read(tree, f"other/v{number}/rootfs/o") == b"%d" % number
        with pytest.raises(ForgottenError):
            file.attributes()
        assert read(tree, "app/1/rootfs/b") == b"b"
        assert sorted(names(tree, "app/1/rootfs")) == ["REGFS-LAYERS-ARE-MISSING", "b", "c"]
