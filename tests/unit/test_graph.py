"""What tags lead to: what is kept by ttl and by digest, and torn links. Only a fake clock runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from regfs.errors import (
    BlobMissingError,
    LinkError,
    MissingError,
    TooLargeError,
    UnsafeError,
)
from regfs.oci import Digest, ImageManifest
from tests.builder import StoreBuilder
from tests.unit.ground import TTL, Ground


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


# --- what is kept for how long -----------------------------------------------------------------------


def test_a_tag_is_read_once_in_a_ttl(ground: Ground) -> None:
    first = ground.built.image("app", "1.0")
    second = ground.built.image("app", None, layers=[])
    assert str(ground.graph.tag("app", "1.0")) == first.digest
    ground.built.tag("app", "1.0", second)
    ground.clock.now += TTL - 0.001
    assert str(ground.graph.tag("app", "1.0")) == first.digest
    assert ground.store.count("examine", "current/link") == 1
    ground.clock.now += 0.001
    assert str(ground.graph.tag("app", "1.0")) == second.digest


def test_with_a_ttl_of_zero_every_change_shows_at_once(store: StoreBuilder) -> None:
    ground = Ground(store, ttl=0.0)
    for layers in ([], None):
        pushed = store.image("app", "1.0", layers=layers)
        assert str(ground.graph.tag("app", "1.0")) == pushed.digest
        assert list(ground.graph.listing("app").tags) == ["1.0"]
    ground.local.close()


def test_with_an_infinite_ttl_nothing_is_read_twice(store: StoreBuilder) -> None:
    pushed = store.image("app", "1.0")
    ground = Ground(store, ttl=float("inf"))
    for _ in range(3):
        ground.graph.listing("app")
        ground.graph.manifest("app", ground.graph.tag("app", "1.0"))
        ground.graph.blob("app", Digest.parse(pushed.digest))
        ground.clock.now += 1e9
    assert max(ground.store.calls.values()) == 1
    ground.local.close()


def test_a_listing_is_read_once_in_a_ttl_and_a_new_tag_shows_after_it(ground: Ground) -> None:
    ground.built.image("app", "1.0")
    assert list(ground.graph.listing("app").tags) == ["1.0"]
    ground.built.image("app", "2.0")
    ground.built.image("app/sub", "1.0")
    assert list(ground.graph.listing("app").tags) == ["1.0"]
    ground.clock.now += TTL
    listing = ground.graph.listing("app")
    assert (list(listing.nested), list(listing.tags)) == (["sub"], ["1.0", "2.0"])


def test_a_listing_reads_the_directories_and_no_file(ground: Ground) -> None:
    for number in range(20):
        ground.built.image("team/app", f"{number}")
    ground.graph.listing("team/app")
    assert ground.store.count("list") == 2
    assert ground.store.count("stat") == ground.store.count("read") == ground.store.count("open") == 0


def test_a_manifest_and_a_config_are_read_once_whatever_time_passes(ground: Ground) -> None:
    pushed = ground.built.image("app", "1.0")
    digest = Digest.parse(pushed.digest)
    for _ in range(3):
        image = ground.graph.manifest("app", digest)
        assert isinstance(image, ImageManifest)
        config = ground.graph.config("app", image)
        assert config is not None
        assert config.created == "2024-02-03T04:05:06Z"
        ground.clock.now += 1e9
    assert ground.store.count("read", "blobs/") == 2


def test_a_blob_is_looked_at_once_in_a_ttl_and_seen_gone_after_it(ground: Ground) -> None:
    blob = ground.built.blob(b"content")
    digest = Digest.parse(blob.digest)
    for _ in range(3):
        found = ground.graph.blob("app", digest)
        assert (found.digest, found.size) == (digest, 7)
    assert ground.store.count("stat", "blobs/") == 1
    ground.built.data(blob.digest).unlink()
    assert ground.graph.blob("app", digest).size == 7
    ground.clock.now += TTL
    with pytest.raises(BlobMissingError):
        ground.graph.blob("app", digest)


def test_what_went_wrong_is_not_kept(ground: Ground) -> None:
    pushed = ground.built.image("app", "1.0")
    digest, data = Digest.parse(pushed.digest), ground.built.data(pushed.digest)
    raw = data.read_bytes()
    data.unlink()
    with pytest.raises(BlobMissingError):
        ground.graph.manifest("app", digest)
    data.write_bytes(raw)
    assert ground.graph.manifest("app", digest).raw == raw


# --- links -------------------------------------------------------------------------------------------


def test_a_torn_link_is_read_again_until_it_is_whole(ground: Ground) -> None:
    """Registries before 3.1 rewrite a link in place: for a moment it is empty."""
    pushed = ground.built.image("app", "1.0")
    link = ground.built.tag_link("app", "1.0")
    link.write_bytes(b"")
    reads = 0

    def finish_the_push(path: str) -> None:
        nonlocal reads
        reads += 1
        if reads == 3:
            link.write_text(pushed.digest)

    ground.store.before_read = finish_the_push
    assert str(ground.graph.tag("app", "1.0")) == pushed.digest
    assert (reads, len(ground.clock.pauses)) == (3, 2)
    assert sum(ground.clock.pauses) < 0.1


def test_a_link_that_was_broken_long_ago_is_not_waited_for(ground: Ground) -> None:
    ground.built.image("app", "1.0")
    link = ground.built.tag_link("app", "1.0")
    link.write_bytes(b"")
    age(link, 3600)
    with pytest.raises(LinkError, match="empty"):
        ground.graph.tag("app", "1.0")
    assert ground.clock.pauses == []


def test_the_last_good_value_serves_one_more_ttl_for_a_torn_link(ground: Ground) -> None:
    pushed = ground.built.image("app", "1.0")
    link = ground.built.tag_link("app", "1.0")
    ground.graph.tag("app", "1.0")
    link.write_bytes(b"")
    age(link, 3600)
    ground.clock.now += TTL
    assert str(ground.graph.tag("app", "1.0")) == pushed.digest
    ground.clock.now += TTL - 0.001
    assert str(ground.graph.tag("app", "1.0")) == pushed.digest
    ground.clock.now += 0.001
    with pytest.raises(LinkError):
        ground.graph.tag("app", "1.0")


def test_a_link_repaired_meanwhile_is_taken_at_once(ground: Ground) -> None:
    ground.built.image("app", "1.0")
    ground.graph.tag("app", "1.0")
    link = ground.built.tag_link("app", "1.0")
    link.write_bytes(b"")
    age(link, 3600)
    ground.clock.now += TTL
    ground.graph.tag("app", "1.0")
    second = ground.built.image("app", "1.0", layers=[])
    assert str(ground.graph.tag("app", "1.0")) == second.digest


def test_a_tag_without_a_link_is_broken_and_one_that_is_deleted_is_missing(ground: Ground) -> None:
    ground.built.image("app", "1.0")
    ground.built.tag_link("app", "1.0").unlink()
    with pytest.raises(LinkError, match="current/link: is missing"):
        ground.graph.tag("app", "1.0")
    with pytest.raises(MissingError):
        ground.graph.tag("app", "2.0")


def test_a_deleted_tag_is_missing_and_not_served_on(ground: Ground) -> None:
    ground.built.image("app", "1.0")
    ground.graph.tag("app", "1.0")
    tag = ground.built.tag_link("app", "1.0").parent.parent
    tag.rename(ground.built.root / "deleted")
    ground.clock.now += TTL
    with pytest.raises(MissingError):
        ground.graph.tag("app", "1.0")


@pytest.mark.parametrize("kind", ["symlink", "huge"])
def test_a_hostile_link_is_an_error(ground: Ground, kind: str) -> None:
    ground.built.image("app", "1.0")
    link = ground.built.tag_link("app", "1.0")
    link.unlink()
    if kind == "symlink":
        link.symlink_to("/etc/passwd")
    else:
        link.touch()
        os.truncate(link, 1 << 30)
    with pytest.raises(UnsafeError if kind == "symlink" else TooLargeError):
        ground.graph.tag("app", "1.0")


def test_a_repository_holds_the_revisions_that_have_a_link(ground: Ground) -> None:
    pushed = ground.built.image("app", None)
    digest = Digest.parse(pushed.digest)
    assert ground.graph.holds("app", digest)
    assert not ground.graph.holds("other", digest)
    ground.built.revision_link("app", pushed.digest).unlink()
    assert not ground.graph.holds("app", digest)


# --- many tags at once -------------------------------------------------------------------------------


def test_tags_that_no_index_knows_are_looked_at_together_and_not_again(ground: Ground) -> None:
    pushed = ground.built.image("app", "0")
    tags = [str(number) for number in range(20)]
    for number, tag in enumerate(tags):
        ground.built.tag("app", tag, pushed, mtime=1_000_000 + number)
    links = ground.graph.look_at_links("app", tags)
    assert {tag: link.pushed // 10**9 for tag, link in links.items()} == {
        tag: 1_000_000 + number for number, tag in enumerate(tags)
    }
    looks = sum(ground.store.calls.values())
    assert [ground.graph.link("app", tag) for tag in tags] == list(links.values())
    assert ground.graph.look_at_links("app", tags) == links
    assert sum(ground.store.calls.values()) == looks
    assert ground.store.count("examine") == ground.store.count("open") == 0


def test_a_link_that_was_read_and_is_the_same_is_not_read_again(ground: Ground) -> None:
    first = ground.built.image("app", "0")
    second = ground.built.image("app", None, layers=[])
    tags = [str(number) for number in range(20)]
    for tag in tags:
        ground.built.tag("app", tag, first)
    time.sleep(2.6)  # until then a link's time tells nothing of its content
    for tag in tags:
        ground.graph.tag("app", tag)
    ground.built.tag("app", "19", second)
    ground.clock.now += TTL
    links = ground.graph.look_at_links("app", tags)
    assert {tag for tag in tags if links[tag].digest is None} == {"19"}
    assert str(links["18"].digest) == first.digest
    assert str(ground.graph.tag("app", "19")) == second.digest


def test_what_is_no_link_is_left_to_whoever_asks_for_it(ground: Ground, tmp_path: Path) -> None:
    pushed = ground.built.image("app", "0")
    tags = [str(number) for number in range(20)]
    for tag in tags:
        ground.built.tag("app", tag, pushed)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/link").write_text(pushed.digest)
    for tag in ("2", "10"):
        current = ground.built.tag_link("app", tag).parent
        (current / "link").unlink()
        current.rmdir()
        current.symlink_to(tmp_path / "elsewhere")
    for tag in ("1", "11"):
        ground.built.tag_link("app", tag).unlink()
        os.mkfifo(ground.built.tag_link("app", tag))
    ground.built.tag_link("app", "12").unlink()
    links = ground.graph.look_at_links("app", tags)
    assert set(tags) - set(links) == {"1", "2", "10", "11", "12"}
    for tag in ("1", "2", "10", "11"):
        with pytest.raises(UnsafeError):
            ground.graph.link("app", tag)
