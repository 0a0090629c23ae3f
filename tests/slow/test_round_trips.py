"""What commands cost on a store that is far away: counted in round trips that follow on one another.

The overlay answers in rounds, so the counts are the same on a fast and on a busy machine; only where it stops
for longer than QUIET, a round becomes two. The bounds have room for that, and are far below what reading one
thing after the other takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, output
from tests.mount.conftest import until
from tests.slow.conftest import Afar, Far, Told, push

pytestmark = [pytest.mark.fuse, pytest.mark.alone]

#: Seconds without a request that end a round.
QUIET = 0.02

TAGS = 200

Seen = Callable[..., Far]


@pytest.fixture
def far(store: StoreBuilder, afar: Callable[..., Afar], mount: Callable[..., Mount]) -> Seen:
    """Give a function that mounts the store from afar; the overlay has forgotten what the mounting asked."""

    def make(options: str = "ttl=60", cached: float = 60.0, **orders: object) -> Far:
        overlay = afar(store.root, 0.001, cached=cached)
        made = Far(overlay, mount(overlay.path, options))
        overlay.tell(**orders)
        return made

    return make


def told(far: Far, *command: str | Path) -> Told:
    """Run a command, and tell what it made the overlay answer."""
    output(*command)
    return far.overlay.tell()


def test_ls_reads_the_times_of_tags_side_by_side(store: StoreBuilder, far: Seen) -> None:
    push(store, "team/app", TAGS)
    seen = far(quiet=QUIET)
    cost = told(seen, "ls", "-l", seen.top / "team/app")
    assert cost.calls["lookup"] > 3 * TAGS  # each tag's directory, `current`, `link`
    assert cost.most > 50
    assert cost.rounds < TAGS // 4


@pytest.mark.parametrize("command", [("find", "-ls"), ("du", "-s")])
def test_images_are_read_ahead_of_who_walks_through_them(
    store: StoreBuilder, far: Seen, command: tuple[str, str]
) -> None:
    push(store, "team/app", TAGS)
    seen = far(quiet=QUIET)
    program, option = command
    cost = told(seen, program, seen.top / "team/app", option)
    assert cost.all > 15 * TAGS
    assert cost.rounds < TAGS


def test_what_is_shown_is_the_same_from_afar(
    store: StoreBuilder, far: Seen, mount: Callable[..., Mount]
) -> None:
    push(store, "team/app", 40)
    push(store, "team/tool", 10)
    store.data(store.image("team/app", "broken").digest).unlink()
    store.tag_link("team/app", "v0007").write_bytes(b"")
    os.utime(store.tag_link("team/app", "v0007"), (1, 1))
    child = store.image("team/multi")
    platform = {"architecture": "amd64", "os": "linux"}
    store.index("team/multi", "all", [child.descriptor(platform=platform)])
    shown = "%P %y %s %b %i %n %m %T@\n"
    seen, near = far(latency=0.003), mount(store)
    found = [sorted(run_find(top, shown)) for top in (near.path, seen.top)]
    assert found[0] == found[1]
    assert len(found[0]) > 400


def run_find(top: Path, shown: str) -> list[str]:
    """List a tree in which some directories cannot be entered."""
    return output("sh", "-c", 'find "$1" -printf "$2" 2>/dev/null || true', "sh", top, shown).splitlines()


def test_a_push_shows_after_its_ttl_where_times_are_read_ahead(store: StoreBuilder, far: Seen) -> None:
    push(store, "team/app", 20)
    seen = far("ttl=1", cached=0.1, latency=0.003)
    tag = seen.top / "team/app/v0010"
    listing = ("ls", "-l", seen.top / "team/app")
    output(*listing)
    os.utime(store.tag_link("team/app", "v0010"), (1_000_000_000, 1_000_000_000))
    until(lambda: "2001" in output(*listing), "the time of the push")
    assert tag.stat().st_mtime == 1_000_000_000


@pytest.mark.slow
def test_ls_of_a_thousand_tags_takes_twenty_round_trips(store: StoreBuilder, far: Seen) -> None:
    push(store, "team/app", 1000)
    costs = []
    for _ in range(3):
        seen = far(quiet=0.05)
        costs.append(told(seen, "ls", "-l", seen.top / "team/app").rounds)
        seen.mount.end()
    assert min(costs) <= 20


@pytest.mark.slow
def test_a_thousand_images_take_a_fifth_of_a_round_trip_each(store: StoreBuilder, far: Seen) -> None:
    push(store, "team/app", 1000)
    costs = []
    for _ in range(3):
        seen = far(quiet=0.05)
        costs.append(told(seen, "find", seen.top / "team/app", "-ls").rounds)
        seen.mount.end()
    assert min(costs) <= 200


@pytest.mark.slow
def test_the_index_is_read_side_by_side(store: StoreBuilder, afar: Callable[..., Afar]) -> None:
    push(store, "team/app", 60)
    overlay = afar(store.root, 0.001, cached=60.0)
    overlay.tell(quiet=QUIET)
    output(*REGFS, "index", overlay.path)
    cost = overlay.tell()
    assert cost.all > 10 * 60
    assert cost.rounds < 4 * 60
