"""Many small questions to a storage at once, side by side where it is slow.

A fast storage is asked by whoever wants to know, one question after the other: threads would only cost. Where
it proves slow (`pace`), questions that somebody will probably ask next are begun in threads of their own, and
whoever needs an answer that is under way waits for that instead of asking again. It knows neither the storage
nor who keeps the answers: a `load` puts what it finds where its reader looks first. What fails is silent
here, for the reader meets it again. Threads are started as needed, and end when there was nothing to do for a
while; they are daemons, so none that is stuck holds up an exit. Safe for many threads.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from threading import Condition, Event, Lock, Thread, get_ident
from typing import TypeVar

from regfs.errors import GivenUpError, RegfsError
from regfs.registry.pace import FarAway, Pace

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Loads that wait for a thread, or run.
_ROOM = 4096

#: Loads that run side by side. Of a storage on a network nearly all of the time they wait for it: to know
#: 1,000 tags takes each thread three round trips for each of its share, and three shares are as much as
#: `ls -l` has time for. A disk answers so soon that more threads wait for each other.
_FAR, _NEAR = 384, 2

#: Seconds after which a thread without work ends; seconds between two questions whether to go on waiting.
_IDLE = 5.0
_PAUSE = 0.05


class Flight:
    """One load: in the queue, or under way."""

    __slots__ = ("done", "key", "load", "taken")

    def __init__(self, key: Hashable, load: Callable[[], object]) -> None:
        self.key = key
        self.load = load
        self.taken = False
        self.done = Event()


class SideBySide:
    """The threads, what they load, and how fast the storage answers.

    `given_up` tells whether nobody waits for the calling thread any more; `near` and `far` are how many loads
    may run at once on a slow storage, by how slow it is.
    """

    def __init__(
        self,
        given_up: Callable[[], bool],
        pace: Pace | FarAway | None = None,
        *,
        near: int = _NEAR,
        far: int = _FAR,
        room: int = _ROOM,
        idle: float = _IDLE,
    ) -> None:
        self._given_up = given_up
        self._pace = pace or Pace()
        self._near, self._far = near, far
        self._room = room
        self._idle = idle
        self._lock = Lock()
        self._wake = Condition(self._lock)
        self._flights: dict[Hashable, Flight] = {}
        self._queue: deque[Flight] = deque()
        self._threads: set[int] = set()
        self._starting = 0
        self._resting = 0
        self._closed = False

    @property
    def slow(self) -> bool:
        """Whether the storage is slow, so that it is worth asking ahead."""
        return self._pace.slow

    @property
    def doubtful(self) -> bool:
        """Whether the next answer is to decide anew: not while others ask, which would blur it."""
        return self._pace.expired() and not self.busy

    def timed(self, ask: Callable[[], T]) -> T:
        """Ask one small question in the calling thread, and note how long it took."""
        began = self._pace.now()
        try:
            return ask()
        finally:
            if not self.busy:
                self._pace.took(began)

    @property
    def busy(self) -> bool:
        """Whether anything is in the queue or under way."""
        return bool(self._flights)

    def begin(self, key: Hashable, load: Callable[[], object]) -> bool:
        """Have something loaded, once however often it is begun. Gives False if there is no room."""
        with self._lock:
            if key in self._flights:
                return True
            if self._closed or max(len(self._queue), len(self._flights)) >= self._room:
                return False
            flight = self._flights[key] = Flight(key, load)
            self._queue.append(flight)
            self._wake.notify()
            more = self._wants_thread()
        if more:
            self._start()
        return True

    def join(self, key: Hashable) -> None:
        """Wait for what is being loaded under a key, if anything is: then look where it was to be put.

        What waits in the queue is taken out: the caller loads it sooner. So is all for a thread that loads.
        Raises GivenUpError soon after `given_up()`.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is None or get_ident() in self._threads:
                return
            if not flight.taken:
                del self._flights[key]
                return
        while not flight.done.wait(_PAUSE):
            if self._given_up():
                raise GivenUpError("asked ahead")

    def close(self) -> None:
        """Begin nothing more. What is under way ends when the store answers, and nobody waits for it."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._flights.clear()
            self._wake.notify_all()

    def _wants_thread(self) -> bool:
        """Tell, under the lock, whether to start another thread; it is counted as starting then."""
        if (
            self._starting
            or len(self._queue) <= self._resting
            or len(self._threads) >= (self._far if self._pace.far else self._near)
        ):
            return False
        self._starting += 1
        return True

    def _start(self) -> None:
        Thread(target=self._work, name="regfs-ask", daemon=True).start()

    def _work(self) -> None:
        """Load one after the other, until there is nothing to do for a while."""
        with self._lock:
            self._threads.add(get_ident())
            self._starting -= 1
        try:
            while (flight := self._next()) is not None:
                self._load(flight)
        finally:
            with self._lock:
                self._threads.discard(get_ident())

    def _next(self) -> Flight | None:
        """Wait for something to load; None if there is nothing. Starts a thread beside this, if it should."""
        with self._lock:
            while (flight := self._take()) is None:
                if self._closed:
                    return None
                self._resting += 1
                woken = self._wake.wait(self._idle)
                self._resting -= 1
                if not woken and not self._queue:
                    return None
            more = self._wants_thread()
        if more:
            self._start()
        return flight

    def _take(self) -> Flight | None:
        """Take the first of the queue that no reader took before."""
        while self._queue:
            flight = self._queue.popleft()
            if self._flights.get(flight.key) is flight:
                flight.taken = True
                return flight
        return None

    def _load(self, flight: Flight) -> None:
        try:
            with suppress(RegfsError):
                flight.load()
        except Exception:  # noqa: BLE001 - the thread goes on, and the reader meets it again
            _log.exception("asking ahead: unexpected error, please report it")
        finally:
            with self._lock:
                if self._flights.get(flight.key) is flight:
                    del self._flights[flight.key]
            flight.done.set()
