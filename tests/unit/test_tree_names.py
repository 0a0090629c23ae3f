"""The directories above the images: repositories, tags, and the names that resolve unlisted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from regfs.errors import NoAttributeError, NoEntryError, StoreError
from regfs.registry import open_local
from regfs.tree import Directory, NodeType, Tree
from tests.builder import StoreBuilder
from tests.unit.fakes import CountingStore
from tests.unit.trees import names, read, tree_over

Open = Callable[..., Tree]


def test_repositories_nest_to_any_depth_and_hold_tags_beside(store: StoreBuilder, tree: Open) -> None:
    for name in ("app", "team/app", "team/app/sub", "a/b/c/d/e/f"):
        store.image(name, "1.0")
    shown = tree()
    assert names(shown) == ["a", "app", "team"]
    assert names(shown, "team") == ["app"]
    assert sorted(names(shown, "team/app")) == ["1.0", "sub"]
    assert names(shown, "a/b/c/d/e/f") == ["1.0"]
    assert names(shown, "a/b/c/d/e/f/1.0") == ["manifest.json", "layers", "config.json"]


def test_an_empty_store_is_an_empty_directory(store: StoreBuilder, tree: Open) -> None:
    assert names(tree()) == []


def test_a_store_with_blobs_alone_is_an_empty_directory(store: StoreBuilder, tree: Open) -> None:
    """`locate` accepts one: the copy of a store may have no repository yet."""
    (store.v2 / "repositories").rmdir()
    shown = tree()
    assert names(shown) == []
    assert shown.root.attributes().type is NodeType.DIRECTORY


def test_a_tag_with_a_nested_repositorys_name_shows_with_a_colon(store: StoreBuilder, tree: Open) -> None:
    tagged = store.image("app", "sub", layers=[])
    nested = store.image("app/sub", "1.0")
    shown = tree()
    assert sorted(names(shown, "app")) == [":sub", "sub"]
    assert read(shown, "app/:sub/manifest.json") == store.data(tagged.digest).read_bytes()
    assert read(shown, "app/sub/1.0/manifest.json") == store.data(nested.digest).read_bytes()
    plain, colon = shown.walk("app/sub"), shown.walk("app/:sub")
    assert plain.inode != colon.inode


def test_every_tag_resolves_with_a_colon(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "1.0")
    shown = tree()
    assert names(shown, "app") == ["1.0"]
    assert shown.walk("app/:1.0").inode == shown.walk("app/1.0").inode
    assert names(shown, "app/:1.0") == names(shown, "app/1.0")


@pytest.mark.parametrize("listed_before", [False, True])
@pytest.mark.parametrize(
    "name",
    [":", "::", ":nothing", ":.", ":..", "@", "@sha256:", "@x", "@@", "nothing", "_layers", "_manifests"],
)
def test_other_names_do_not_resolve(store: StoreBuilder, tree: Open, name: str, listed_before: bool) -> None:
    store.image("app", "1.0")
    shown = tree(ttl=60.0)
    if listed_before:
        names(shown, "app")
    with pytest.raises(NoEntryError):
        shown.walk(f"app/{name}")


def test_any_revision_resolves_by_its_digest_and_shows_in_no_listing(store: StoreBuilder, tree: Open) -> None:
    untagged = store.image("app", None)
    shown = tree()
    assert names(shown, "app") == []
    assert read(shown, f"app/@{untagged.digest}/manifest.json") == store.data(untagged.digest).read_bytes()
    attributes = shown.walk(f"app/@{untagged.digest}").attributes()
    assert attributes.mtime_ns == store.data(untagged.digest).stat().st_mtime_ns


def test_a_revision_of_another_repository_or_a_deleted_one_does_not_resolve(
    store: StoreBuilder, tree: Open
) -> None:
    pushed = store.image("app", "1.0")
    store.image("other", "1.0", layers=[])
    shown = tree()
    for place in ("other", "team", ""):
        with pytest.raises(NoEntryError):
            shown.walk(f"{place}/@{pushed.digest}")
    store.revision_link("app", pushed.digest).unlink()
    with pytest.raises(NoEntryError):
        shown.walk(f"app/@{pushed.digest}")


def test_a_deleted_tag_is_gone_and_its_revision_stays(store: StoreBuilder, tree: Open) -> None:
    pushed = store.image("app", "1.0")
    store.image("app", "2.0", layers=[])
    (store.tag_link("app", "1.0").parents[1]).rename(store.root / "deleted")
    shown = tree()
    assert names(shown, "app") == ["2.0"]
    assert "layers" in names(shown, f"app/@{pushed.digest}")


def test_a_repository_that_holds_only_uploads_or_nothing_is_an_empty_directory(
    store: StoreBuilder, tree: Open
) -> None:
    store.upload("new", b"half")
    (store.repository("bare") / "_layers").mkdir(parents=True)
    shown = tree()
    assert names(shown) == ["bare", "new"]
    assert names(shown, "new") == names(shown, "bare") == []


def test_a_tag_has_the_time_of_its_push_and_ten_pushes_one_name(store: StoreBuilder, tree: Open) -> None:
    for number in range(10):
        config = store.config(number=number)
        pushed = store.image("app", "latest", config=config, mtime=1_600_000_000 + number)
    shown = tree()
    assert names(shown, "app") == ["latest"]
    assert shown.walk("app/latest").attributes().mtime_ns == 1_600_000_009 * 10**9
    assert read(shown, "app/latest/manifest.json") == store.data(pushed.digest).read_bytes()


def test_a_repository_has_the_time_of_its_tags(store: StoreBuilder, tree: Open) -> None:
    store.image("app", "1.0")
    tags = store.repository("app") / "_manifests/tags"
    assert tree().walk("app").attributes().mtime_ns == tags.stat().st_mtime_ns


def test_directories_have_one_link_and_no_size(store: StoreBuilder, tree: Open) -> None:
    store.image("team/app", "1.0")
    shown = tree()
    for path in ("/", "team", "team/app", "team/app/1.0", "team/app/1.0/layers"):
        found = shown.walk(path).attributes()
        assert (found.type, found.links, found.size, found.blocks) == (NodeType.DIRECTORY, 1, 0, 0)


def test_the_root_is_inode_1_and_no_other_node_is(store: StoreBuilder, tree: Open) -> None:
    store.image("team/app", "1.0")
    shown = tree()
    assert shown.root.attributes().inode == shown.root.inode == 1
    paths = ("team", "team/app", "team/app/1.0", "team/app/1.0/layers", "team/app/1.0/config.json")
    inodes = {shown.walk(path).inode for path in paths}
    assert len(inodes) == len(paths)
    assert min(inodes) > 1


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "namespace"), ("team", "namespace"), ("team/app", "repository")]
)
def test_a_directory_tells_whether_it_is_a_repository(
    store: StoreBuilder, tree: Open, path: str, kind: str
) -> None:
    store.image("team/app", "1.0")
    node = tree().walk(path)
    assert node.xattr_names() == ["user.regfs.kind"]
    assert node.xattr("user.regfs.kind") == kind.encode()
    for other in ("user.regfs.digest", "user.kind", "kind", "security.selinux", ""):
        with pytest.raises(NoAttributeError):
            node.xattr(other)


@pytest.mark.parametrize("place", ["", "app", "app/_manifests/tags"])
@pytest.mark.parametrize(
    "name", ["@untagged", "@sha256:x", ":1.0", ":", "Bad Name", "a\nb", "\udcff\udcfe", "-x"]
)
def test_a_name_that_nobody_can_have_pushed_is_no_trap(
    store: StoreBuilder, tree: Open, place: str, name: str
) -> None:
    """What a listing shows can be looked up and has attributes; entering it says what is wrong."""
    store.image("app", "1.0")
    (store.v2 / "repositories" / place / name).mkdir()
    shown = tree()
    directory = shown.walk(place.split("/")[0])
    assert isinstance(directory, Directory)
    children = list(directory.children())
    assert len({child.name for child in children}) == len(children)
    for child in children:
        node = directory.lookup(child.name)
        assert (node.type, node.inode) == (child.type, child.inode)
        assert node.attributes().inode == child.inode
    assert "manifest.json" in names(shown, "app/1.0")


@pytest.mark.parametrize("name", ["Bad Name", "a\nb", "\udcff"])
def test_an_impossible_name_is_listed_and_cannot_be_entered(
    store: StoreBuilder, tree: Open, name: str
) -> None:
    store.image("app", "1.0")
    (store.repository("app") / name / "_layers").mkdir(parents=True)
    shown = tree()
    assert name in names(shown, "app")
    with pytest.raises(StoreError, match="no repository can have this name"):
        names(shown, f"app/{name}")
    with pytest.raises(StoreError, match="no repository can have this name"):
        shown.walk(f"app/{name}/1.0")


def test_a_directory_named_like_a_colliding_tag_does_not_hide_it(store: StoreBuilder, tree: Open) -> None:
    pushed = store.image("app", "sub")
    store.image("app/sub", "1.0")
    (store.repository("app") / ":sub").mkdir()
    shown = tree()
    assert len(set(names(shown, "app"))) == len(names(shown, "app"))
    assert read(shown, "app/:sub/manifest.json") == store.data(pushed.digest).read_bytes()


def test_a_listing_looks_for_the_links_of_tags_and_of_nothing_else(store: StoreBuilder) -> None:
    for number in range(20):
        store.image(f"team/nested{number}", "1.0", layers=[])
    pushed = store.image("team", "1", layers=[])
    for tag in ("2", "3", "4", "5", "nested0"):
        store.tag("team", tag, pushed)
    with closing(open_local(str(store.v2))) as local:
        counted = CountingStore(local)
        told = dict(tree_over(counted, ttl=60.0).walk("team").entries())  # type: ignore[attr-defined]
        assert counted.count("stat", "current/link") == 6
    assert len(told) == 26
    assert None not in told.values()
