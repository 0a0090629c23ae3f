"""Asking in a thread of its own, so that whoever waits can be interrupted.

A request of obstore's sees no signal until it has its answer, which may take as long as its timeout. So where
a signal or `given_up` may come, it is made by a thread from here, and the caller waits for that. Threads are
daemons, started as needed, and rest for a few seconds; one that is stuck holds up no exit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from regfs.errors import GivenUpError

T = TypeVar("T")

#: Seconds for which a thread waits for the next request; and between two looks whether to go on waiting.
_IDLE = 5.0
_PAUSE = 0.05


def wait(come: Callable[[float | None], object], given_up: Callable[[], bool] | None, what: str) -> None:
    """Wait until `come` says that it is there: it waits so many seconds at most itself (None: for ever).

    Raises GivenUpError if `given_up` says that nobody waits any more.
    """
    while not come(_PAUSE if given_up else None):
        if given_up and given_up():
            raise GivenUpError(what)


class Asked(Generic[T]):
    """One request: to be made, under way, or answered."""

    __slots__ = ("_ask", "_done", "_error", "_value")

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._value: T | None = None

    def make(self) -> None:
        """Make it, in the calling thread."""
        try:
            self._value = self._ask()
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            self._error = error
        self._done.set()

    @property
    def done(self) -> bool:
        """Whether it was answered."""
        return self._done.is_set()

    def wait(self, given_up: Callable[[], bool] | None, what: str) -> T:
        """Wait for the answer. Raises GivenUpError if `given_up` says that nobody waits any more."""
        wait(self._done.wait, given_up, what)
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Requests:
    """The threads. Safe for many threads; none is made before the first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._queue: deque[Asked[object]] = deque()
        self._resting = 0

    def begin(self, ask: Callable[[], T]) -> Asked[T]:
        """Have a request made; gives what to wait for."""
        asked = Asked(ask)
        with self._lock:
            self._queue.append(asked)  # type: ignore[arg-type]
            if self._resting >= len(self._queue):
                self._wake.notify()
                return asked
        try:
            threading.Thread(target=self._run, name="regfs-request", daemon=True).start()
        except RuntimeError:  # there can be no more
            with self._lock:
                waits = asked in self._queue  # else one of those that are there has it
                if waits:
                    self._queue.remove(asked)  # type: ignore[arg-type]
            if waits:
                asked.make()
        return asked

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._resting += 1
                    try:
                        self._wake.wait_for(lambda: self._queue, _IDLE)
                    finally:
                        self._resting -= 1
                if not self._queue:
                    return
                asked = self._queue.popleft()
            asked.make()
