"""Answers that are made ahead in parts: by one thread at a time, and never for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from regfs.mount.kernel.ahead import AnswersAhead
from tests.unit.test_foresight import ROOM, Walk, of_tags


class InParts:
    """Answers of three parts each; `stops` holds up whoever makes the second."""

    def __init__(self) -> None:
        self.walk: Walk = of_tags(9)
        self.parts: list[int] = []
        self.stops: dict[int, threading.Event] = {}
        self.stopped = threading.Event()
        self.ahead = AnswersAhead(self.walk.foresight, self._make)
        for nodeid in (1, 10, 11):
            self.walk.ask(nodeid)

    def _make(self, nodeid: int) -> Iterator[int]:
        self.walk.foresight.begin(nodeid)
        for number in range(3):
            if number == 1 and nodeid in self.stops:
                self.stopped.set()
                assert self.stops[nodeid].wait(10)
            self.parts.append(nodeid)
            yield nodeid
        self.walk.foresight.made(nodeid, {nodeid: self.walk.answer(nodeid)}, ROOM)


@pytest.fixture
def made() -> InParts:
    return InParts()


def test_a_part_is_made_at_a_time_and_then_the_next_answer(made: InParts) -> None:
    for part in range(3):
        assert made.ahead.expected() == 20
        made.ahead.go_on(20)
        assert made.parts == [20] * (part + 1)
    made.ahead.go_on(20)
    assert made.ahead.expected() == 30
    assert made.ahead.begun(20, ROOM) == made.walk.answer(20)


def test_who_asks_for_what_is_begun_makes_the_rest_of_it(made: InParts) -> None:
    made.ahead.go_on(20)
    assert made.ahead.begun(20, ROOM) == made.walk.answer(20)
    assert made.parts == [20] * 3
    assert made.ahead.expected() == 30


def held_up(made: InParts, threads: ThreadPoolExecutor) -> tuple[Future[None], threading.Event]:
    """Have a thread held up that makes the second part of an answer; give what lets it go on."""
    stop = made.stops[20] = threading.Event()
    made.ahead.go_on(20)
    making = threads.submit(made.ahead.go_on, 20)
    assert made.stopped.wait(10)
    return making, stop


def test_who_asks_for_what_another_is_at_waits_for_it(made: InParts) -> None:
    with ThreadPoolExecutor(2) as threads:
        making, stop = held_up(made, threads)
        asking = threads.submit(made.ahead.begun, 20, ROOM)
        stop.set()
        making.result(10)
        assert asking.result(10) == made.walk.answer(20)
    assert made.parts == [20] * 3


def test_who_was_held_up_makes_his_to_the_end_where_another_is_at_the_next(made: InParts) -> None:
    with ThreadPoolExecutor(1) as threads:
        making, stop = held_up(made, threads)
        assert made.ahead.expected() == 30
        made.ahead.go_on(30)
        stop.set()
        making.result(10)
    assert made.parts == [20, 30, 20, 20]
    assert made.ahead.expected() == 30
    assert made.ahead.begun(20, ROOM) == made.walk.answer(20)
