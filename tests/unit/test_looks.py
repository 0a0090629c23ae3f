"""Many looks at a storage: one after the other, or side by side where each takes as long as a disk's seek."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from regfs.errors import MissingError
from regfs.storage.looks import look_at_all

WANTED = list(range(100))


class Looks:
    """A look that takes so many seconds for each, and fails for one of them."""

    def __init__(self, seconds: float, fails: int = -1) -> None:
        self.seconds = seconds
        self.fails = fails
        self.threads: set[int] = set()

    def __call__(self, wanted: Sequence[int]) -> list[int]:
        self.threads.add(threading.get_ident())
        for number in wanted:
            if self.seconds:
                time.sleep(self.seconds)
            if number == self.fails:
                raise MissingError(str(number))
        return [2 * number for number in wanted]


@pytest.mark.parametrize("count", [0, 1, 6, 7, 14, 100])
@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_each_gets_its_answer_in_order(count: int, seconds: float) -> None:
    assert look_at_all(Looks(seconds), WANTED[:count]) == [2 * number for number in WANTED[:count]]


def test_only_where_a_look_takes_long_do_threads_look(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = Looks(0.0), Looks(0.001)
    look_at_all(far, WANTED)
    assert len(far.threads) > 2
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)  # this process may be held up meanwhile
    look_at_all(near, WANTED)
    assert near.threads == {threading.get_ident()}


def test_what_one_of_them_raises_is_raised() -> None:
    for seconds in (0.0, 0.001):
        with pytest.raises(MissingError, match="77"):
            look_at_all(Looks(seconds, fails=77), WANTED)
