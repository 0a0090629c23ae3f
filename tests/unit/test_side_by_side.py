"""Questions side by side, with real threads; who walks through a listing; how fast a storage is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from regfs.errors import GivenUpError, StoreError
from regfs.graph.walk import Walkers, Window
from regfs.layers import never
from regfs.registry.pace import FAR_DISK, FAR_NETWORK, SLOW, Pace
from regfs.registry.side_by_side import SideBySide
from tests.unit.fakes import FakeClock

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
    pool = SideBySide(never, near=5)
    for number in range(8):
        assert pool.begin(number, gate.load(str(number)))
    until(lambda: len(gate.begun) == 5)
    assert pool.busy
    gate.open.set()
    until(lambda: not pool.busy)
    assert sorted(gate.ended) == [str(number) for number in range(8)]


def test_what_is_begun_twice_is_loaded_once(gate: Gate) -> None:
    pool = SideBySide(never, near=8)
    for _ in range(3):
        assert pool.begin("key", gate.load("one"))
    gate.open.set()
    until(lambda: not pool.busy)
    assert gate.ended == ["one"]


def test_nothing_is_begun_beyond_the_room(gate: Gate) -> None:
    pool = SideBySide(never, near=1, room=2)
    assert [pool.begin(number, gate.load(str(number))) for number in range(3)] == [True, True, False]


def test_a_reader_waits_for_what_is_under_way(gate: Gate) -> None:
    pool = SideBySide(never, near=8)
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
    pool = SideBySide(never, near=1)
    pool.begin("stuck", gate.load("stuck"))
    until(lambda: gate.begun)
    pool.begin("next", gate.load("next"))
    pool.join("next")
    gate.open.set()
    until(lambda: not pool.busy)
    assert gate.begun == ["stuck"]


def test_a_reader_who_gives_up_waits_no_more(gate: Gate) -> None:
    given_up = Event()
    pool = SideBySide(given_up.is_set, near=8)
    pool.begin("key", gate.load("one"))
    until(lambda: gate.begun)
    given_up.set()
    with pytest.raises(GivenUpError):
        pool.join("key")
    assert gate.ended == []


def test_a_thread_that_loads_never_waits_for_another(gate: Gate) -> None:
    pool = SideBySide(never, near=8)
    pool.begin("one", gate.load("one"))
    until(lambda: gate.begun)
    joined = Event()
    pool.begin("two", lambda: (pool.join("one"), joined.set()))
    assert joined.wait(SOON)


@pytest.mark.filterwarnings("error")
def test_what_fails_is_silent_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    pool = SideBySide(never, near=1)
    done = Event()

    def fail() -> None:
        raise StoreError("a path", "a reason")

    pool.begin("bad", fail)
    pool.begin("good", done.set)
    assert done.wait(SOON)
    assert caplog.text == ""


def test_to_close_waits_for_nothing_and_begins_nothing_more(gate: Gate) -> None:
    pool = SideBySide(never, near=1)
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
    pool = SideBySide(never, near=3, idle=0.05)
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


def ask(walkers: Walkers, *positions: int, begun: Begun | None = None) -> list[str]:
    begun = Begun() if begun is None else begun
    for position in positions:
        walkers.asked(NAMES[position], Window(2, 8), begun)
    return begun


def test_who_asks_for_the_first_name_is_taken_to_go_on() -> None:
    assert ask(Walkers(NAMES), 0) == NAMES[1:3]


def test_the_window_doubles_with_each_name_and_nothing_is_begun_twice() -> None:
    assert ask(Walkers(NAMES), 0, 1, 2, 3) == NAMES[1:12]


def test_who_begins_in_the_middle_is_believed_at_the_second_name() -> None:
    assert ask(Walkers(NAMES), 50) == []
    assert ask(Walkers(NAMES), 50, 51) == NAMES[52:54]


def test_who_jumps_about_begins_nothing() -> None:
    assert ask(Walkers(NAMES), 50, 20, 80, 5, 95) == []


def test_walks_through_one_listing_are_told_apart() -> None:
    assert ask(Walkers(NAMES), 50, 70, 51, 71) == [*NAMES[52:54], *NAMES[72:74]]


def test_the_end_of_the_names_is_the_end() -> None:
    assert ask(Walkers(NAMES), 97, 98, 99) == NAMES[99:]


def test_who_was_answered_many_together_and_asks_for_the_next_goes_on() -> None:
    assert ask(Walkers(NAMES), 0, 3) == NAMES[1:3] + NAMES[4:8]


def test_a_name_that_is_not_listed_begins_nothing() -> None:
    begun = Begun()
    Walkers(NAMES).asked("v0000", Window(2, 8), begun)
    assert begun == []


def test_what_had_no_room_is_begun_with_the_next_name() -> None:
    one, begun = Walkers(NAMES), Begun()
    begun.room = 1
    ask(one, 0, begun=begun)
    begun.room = 1000
    ask(one, 1, begun=begun)
    assert begun == NAMES[1:6]


def test_what_was_forgotten_is_begun_again() -> None:
    one = Walkers(NAMES)
    ask(one, 0)
    one.missed(NAMES[0])
    assert ask(one, 1) == NAMES[2:6]


# --- how fast the store is ---------------------------------------------------------------------------


class Stopwatch:
    """A pace whose clock is the test's; `idle` is what Python's lock takes."""

    def __init__(self, idle: float = 0.0, *, network: bool = True) -> None:
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
    assert near.calls(*[far / 2] * 3) is network  # a disk that does not seek is not slow either
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
