"""Reading ahead, with real threads; the store is opened and closed to them by the test."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from regfs.errors import BlobMissingError, GivenUpError, StoreError
from regfs.graph.ahead import AheadGraph
from regfs.graph.pace import FAR_DISK, FAR_NETWORK, SLOW, Pace
from regfs.graph.read_ahead import ReadAhead
from regfs.graph.walk import Readers
from regfs.layers import never
from regfs.oci import Digest
from regfs.registry import Contents
from regfs.storage import FileStat
from tests.builder import StoreBuilder
from tests.unit.fakes import CountingStore, FakeClock
from tests.unit.ground import TTL, Ground

#: How long a test waits for what must come.
SOON = 20.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Gate:
    """Loads that wait until they may go on."""

    def __init__(self) -> None:
        self.open = Event()
        self.begun: list[str] = []
        self.ended: list[str] = []

    def load(self, name: str) -> Callable[[], None]:
        def load() -> None:
            self.begun.append(name)
            assert self.open.wait(SOON)
            self.ended.append(name)

        return load


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


# --- the threads -------------------------------------------------------------------------------------


def test_loads_run_side_by_side_up_to_the_most_threads(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 5)
    for number in range(8):
        assert pool.begin(number, gate.load(str(number)))
    until(lambda: len(gate.begun) == 5)
    assert pool.busy
    gate.open.set()
    until(lambda: not pool.busy)
    assert sorted(gate.ended) == [str(number) for number in range(8)]


def test_what_is_begun_twice_is_loaded_once(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 8)
    for _ in range(3):
        assert pool.begin("key", gate.load("one"))
    gate.open.set()
    until(lambda: not pool.busy)
    assert gate.ended == ["one"]


def test_nothing_is_begun_beyond_the_room(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 1, room=2)
    assert [pool.begin(number, gate.load(str(number))) for number in range(3)] == [True, True, False]


def test_a_reader_waits_for_what_is_under_way(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 8)
    pool.begin("key", gate.load("one"))
    until(lambda: gate.begun)
    reader = threading.Thread(target=pool.join, args=("key",))
    reader.start()
    reader.join(0.1)
    assert reader.is_alive()
    gate.open.set()
    reader.join(SOON)
    assert gate.ended == ["one"]


def test_a_reader_takes_what_no_thread_has_begun_out_of_the_queue(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 1)
    pool.begin("stuck", gate.load("stuck"))
    until(lambda: gate.begun)
    pool.begin("next", gate.load("next"))
    pool.join("next")
    gate.open.set()
    until(lambda: not pool.busy)
    assert gate.begun == ["stuck"]


def test_a_reader_who_gives_up_waits_no_more(gate: Gate) -> None:
    given_up = Event()
    pool = ReadAhead(given_up.is_set, lambda: 8)
    pool.begin("key", gate.load("one"))
    until(lambda: gate.begun)
    given_up.set()
    with pytest.raises(GivenUpError):
        pool.join("key")
    assert gate.ended == []


def test_a_thread_that_loads_never_waits_for_another(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 8)
    pool.begin("one", gate.load("one"))
    until(lambda: gate.begun)
    joined = Event()
    pool.begin("two", lambda: (pool.join("one"), joined.set()))
    assert joined.wait(SOON)


@pytest.mark.filterwarnings("error")
def test_what_fails_is_silent_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    pool = ReadAhead(never, lambda: 1)
    done = Event()

    def fail() -> None:
        raise StoreError("a path", "a reason")

    pool.begin("bad", fail)
    pool.begin("good", done.set)
    assert done.wait(SOON)
    assert caplog.text == ""


def test_to_close_waits_for_nothing_and_begins_nothing_more(gate: Gate) -> None:
    pool = ReadAhead(never, lambda: 1)
    pool.begin("stuck", gate.load("stuck"))
    until(lambda: gate.begun)
    pool.begin("waiting", gate.load("waiting"))
    pool.close()
    assert not pool.begin("late", gate.load("late"))
    gate.open.set()
    until(lambda: gate.ended)
    time.sleep(0.05)
    assert gate.begun == ["stuck"]


def test_threads_end_when_there_was_nothing_to_do() -> None:
    pool = ReadAhead(never, lambda: 3, idle=0.05)
    before = threading.active_count()
    for number in range(9):
        pool.begin(number, lambda: None)
    until(lambda: threading.active_count() <= before)
    done = Event()
    pool.begin("again", done.set)
    assert done.wait(SOON)


# --- where readers are -------------------------------------------------------------------------------

NAMES = [f"v{number:03}" for number in range(100)]


class Begun(list[str]):
    """Takes all that is begun, or no more than `room`."""

    room = 1000

    def __call__(self, name: str) -> bool:
        if len(self) >= self.room:
            return False
        self.append(name)
        return True


def readers(first: int = 2, most: int = 8) -> Readers:
    return Readers(NAMES, {name: position for position, name in enumerate(NAMES)}, first, most)


def ask(readers: Readers, *positions: int, begun: Begun | None = None) -> list[str]:
    begun = Begun() if begun is None else begun
    for position in positions:
        readers.asked(NAMES[position], begun)
    return begun


def test_who_asks_for_the_first_name_is_taken_to_go_on() -> None:
    assert ask(readers(), 0) == NAMES[1:3]


def test_the_window_doubles_with_each_name_and_nothing_is_begun_twice() -> None:
    assert ask(readers(), 0, 1, 2, 3) == NAMES[1:12]


def test_who_begins_in_the_middle_is_believed_at_the_second_name() -> None:
    assert ask(readers(), 50) == []
    assert ask(readers(), 50, 51) == NAMES[52:54]


def test_who_jumps_about_begins_nothing() -> None:
    assert ask(readers(), 50, 20, 80, 5, 95) == []


def test_readers_of_one_listing_are_told_apart() -> None:
    assert ask(readers(), 50, 70, 51, 71) == [*NAMES[52:54], *NAMES[72:74]]


def test_the_end_of_the_names_is_the_end() -> None:
    assert ask(readers(), 97, 98, 99) == NAMES[99:]


def test_what_had_no_room_is_begun_with_the_next_name() -> None:
    one, begun = readers(), Begun()
    begun.room = 1
    ask(one, 0, begun=begun)
    begun.room = 1000
    ask(one, 1, begun=begun)
    assert begun == NAMES[1:6]


def test_what_was_forgotten_is_begun_again() -> None:
    one = readers()
    ask(one, 0)
    one.missed(NAMES[0])
    assert ask(one, 1) == NAMES[2:6]


# --- how fast the store is ---------------------------------------------------------------------------


class Stopwatch:
    """A pace whose clock is the test's; `idle` is what Python's lock takes."""

    def __init__(self, idle: float = 0.0, *, network: bool = False) -> None:
        self.clock = FakeClock()
        self.pace = Pace(network=network, clock=self.clock, idle=lambda: self.clock.pause(idle))

    def calls(self, *seconds: float) -> bool:
        for taken in seconds:
            began = self.pace.now()
            self.clock.now += taken
            self.pace.took(began)
        return self.pace.slow


def test_three_slow_calls_make_a_store_slow() -> None:
    assert not Stopwatch().calls(10 * SLOW, 10 * SLOW)
    assert Stopwatch().calls(10 * SLOW, 10 * SLOW, 10 * SLOW)


def test_fast_calls_keep_a_store_fast_and_make_it_fast_again() -> None:
    watch = Stopwatch()
    assert not watch.calls(*[SLOW / 2, 10 * SLOW] * 10)
    assert watch.calls(*[10 * SLOW] * 3)
    assert watch.calls(SLOW / 2)
    assert not watch.calls(SLOW / 2, SLOW / 2)


def test_calls_that_only_waited_for_pythons_lock_are_not_slow() -> None:
    assert not Stopwatch(idle=5 * SLOW).calls(*[10 * SLOW] * 20)
    assert Stopwatch(idle=SLOW).calls(*[10 * SLOW] * 3)


@pytest.mark.parametrize(("network", "far"), [(True, FAR_NETWORK), (False, FAR_DISK)])
def test_a_store_that_takes_long_enough_is_far(network: bool, far: float) -> None:
    near, away = Stopwatch(network=network), Stopwatch(network=network)
    assert near.calls(*[far / 2] * 3)
    assert not near.pace.far
    assert away.calls(*[2 * far] * 3)
    assert away.pace.far
    assert not away.calls(*[SLOW / 2] * 3)
    assert not away.pace.far


def test_after_a_while_one_call_decides() -> None:
    watch = Stopwatch()
    watch.calls(*[10 * SLOW] * 3)
    assert not watch.pace.expired()
    watch.clock.now += 60
    assert watch.pace.expired()
    assert not watch.calls(SLOW / 2)


# --- the graph ---------------------------------------------------------------------------------------


class SteppingStore(CountingStore):
    """A store whose answers can be held up, below paths with some text in them."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground.local)
        self.held = ""
        self.go = Event()

    def stat(self, path: str, below: str = "") -> FileStat:
        found = super().stat(path, below)
        if self.held and self.held in path:
            assert self.go.wait(SOON)
        return found


class Always(Pace):
    """The pace of a store that is slow, or fast."""

    def __init__(self, *, slow: bool) -> None:
        super().__init__()
        self.slow = self.far = slow

    def took(self, began: float) -> None:
        """Learn nothing."""

    def expired(self) -> bool:
        return False


class Far:
    """A store with tags `v000` and on, and the graph that reads it ahead."""

    def __init__(self, store: StoreBuilder, tags: int, *, slow: bool = True) -> None:
        self.ground = Ground(store)
        self.clock = self.ground.clock
        self.images = [store.image("app", name, config=store.config(n=name)) for name in NAMES[:tags]]
        self.store = SteppingStore(self.ground)
        self.given_up = Event()
        self.graph = AheadGraph(
            Contents(self.store),
            ttl=TTL,
            given_up=self.given_up.is_set,
            clock=self.clock,
            pause=self.clock.pause,
            pace=Always(slow=slow),
        )

    def settled(self) -> None:
        until(lambda: not self.graph._pool.busy)


@pytest.fixture
def far(store: StoreBuilder) -> Iterator[Far]:
    far = Far(store, 40)
    yield far
    far.store.go.set()
    far.graph.close()


def links(far: Far) -> int:
    return far.store.count("stat", "current/link")


def test_of_a_fast_store_nothing_is_read_ahead_or_kept(store: StoreBuilder) -> None:
    far = Far(store, 10, slow=False)
    far.graph.listing("app")
    for _ in range(2):
        far.graph.tag_pushed("app", "v000")
        far.graph.tag_entered("app", "v000")
    assert links(far) == 2
    assert not far.graph._pool.busy


def test_the_times_of_all_tags_are_read_with_the_first(far: Far) -> None:
    far.graph.listing("app")
    pushed = [far.graph.tag_pushed("app", "v000")]
    far.settled()
    assert links(far) == 40
    pushed += [far.graph.tag_pushed("app", name) for name in NAMES[1:40]]
    assert links(far) == 40
    assert pushed == [os.stat(far.ground.built.tag_link("app", name)).st_mtime_ns for name in NAMES[:40]]


def test_nothing_is_read_ahead_of_a_tag_that_no_listing_led_to(far: Far) -> None:
    far.graph.tag_pushed("app", "v000")
    far.settled()
    assert links(far) == 1


def test_a_time_read_ahead_is_believed_for_a_ttl_and_no_longer(far: Far) -> None:
    far.graph.listing("app")
    far.graph.tag_pushed("app", "v000")
    far.settled()
    before = far.graph.tag_pushed("app", "v020")
    os.utime(far.ground.built.tag_link("app", "v020"), (1, 1))
    far.clock.now += TTL - 0.001
    assert far.graph.tag_pushed("app", "v020") == before
    far.clock.now += 0.001
    assert far.graph.tag_pushed("app", "v020") == 1_000_000_000


def test_images_that_follow_are_read_ahead_with_all_that_they_name(far: Far) -> None:
    far.graph.listing("app")
    for name in NAMES[:8]:
        far.graph.tag_entered("app", name)
    far.settled()
    calls = far.store.calls.total()
    for name in NAMES[1:40]:
        manifest = far.graph.manifest("app", far.graph.tag("app", name))
        for descriptor in manifest.layers:
            far.graph.blob("app", descriptor.digest)
    assert far.store.calls.total() == calls


def test_what_a_listed_manifest_names_is_read_ahead(far: Far) -> None:
    manifest = far.graph.manifest("app", Digest.parse(far.images[0].digest))
    far.graph.manifest_listed("app", manifest)
    far.settled()
    assert all(far.store.count("stat", layer.digest.hex) == 1 for layer in manifest.layers)


def test_a_reader_does_not_read_again_what_is_under_way(far: Far) -> None:
    far.graph.listing("app")
    far.store.held = "v001/current/link"
    far.graph.tag_pushed("app", "v000")
    until(lambda: far.store.count("stat", "v001/current/link"))
    reader = threading.Thread(target=far.graph.tag_pushed, args=("app", "v001"))
    reader.start()
    reader.join(0.1)
    assert reader.is_alive()
    far.store.go.set()
    reader.join(SOON)
    assert far.store.count("stat", "v001/current/link") == 1


def test_what_is_stuck_holds_up_no_other_reader_and_can_be_given_up(far: Far) -> None:
    far.graph.listing("app")
    far.store.held = "v001/current/link"
    far.graph.tag_pushed("app", "v000")
    until(lambda: far.store.count("stat", "v001/current/link"))
    for name in NAMES[2:40]:
        far.graph.tag_pushed("app", name)
    far.given_up.set()
    with pytest.raises(GivenUpError):
        far.graph.tag_pushed("app", "v001")


def test_what_fails_while_it_is_read_ahead_is_met_by_the_reader_and_not_kept(far: Far) -> None:
    data = far.ground.built.data(far.images[1].digest)
    raw = data.read_bytes()
    data.unlink()
    far.graph.listing("app")
    far.graph.tag_entered("app", "v000")
    far.settled()
    digest = far.graph.tag("app", "v001")
    with pytest.raises(BlobMissingError):
        far.graph.manifest("app", digest)
    data.write_bytes(raw)
    assert far.graph.manifest("app", digest).raw == raw


def test_a_listing_that_expires_under_a_walk_is_read_anew_as_a_whole(far: Far) -> None:
    far.graph.listing("app")
    far.graph.tag_pushed("app", "v000")
    far.settled()
    far.clock.now += TTL
    listed = far.store.count("list")
    for name in NAMES[1:40]:
        assert far.graph.find("app", name).tag
    assert far.store.count("list") == listed + 2
    assert far.store.count("stat", "app/v") == 0
