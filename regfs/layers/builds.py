"""What is being made now: each thing once, however many threads want it, and two at a time.

A thread that waits asks again and again whether it should go on. What is begun is finished even if nobody
waits any more: who asked once will ask again, and half of the work would be lost. What was not begun is
dropped then.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread, current_thread
from typing import Generic, TypeVar

from regfs.errors import GivenUpError, RegfsError

Made = TypeVar("Made")

#: At most so many things are made side by side: a machine has other things to do.
_WORKERS = 2

#: Seconds between two questions whether to go on.
_PAUSE = 0.05


def never() -> bool:
    """Never give up."""
    return False


class Build(Generic[Made]):
    """One thing that is being made, or waits until it is."""

    def __init__(self, name: str, make: Callable[[], Made]) -> None:
        self.name = name
        self.waiting = 0
        self._make = make
        self._done = Event()
        self._made: list[Made] = []
        self._failure: BaseException | None = None

    def work(self) -> None:
        """Make it."""
        try:
            self._made.append(self._make())
        except BaseException as error:  # noqa: BLE001 - raised again in the threads that wait
            self._failure = error
        self._done.set()

    def wait(self, given_up: Callable[[], bool]) -> Made:
        """Wait for it. Raises what its making raised, and GivenUpError as soon as `given_up()`."""
        while not self._done.wait(_PAUSE):
            if given_up():
                raise GivenUpError(self.name)
        if isinstance(self._failure, RegfsError):
            raise copy.copy(self._failure)  # each thread its own, with its own traceback
        if self._failure is not None:
            raise self._failure
        return self._made[0]

    def drop(self) -> None:
        """Tell all that wait that it is not going to be made."""
        self._failure = GivenUpError(self.name)
        self._done.set()


class Builds(Generic[Made]):
    """All that is being made. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._builds: dict[str, Build[Made]] = {}
        self._pending: deque[Build[Made]] = deque()
        self._workers: set[Thread] = set()
        self._closed = False

    @contextmanager
    def joined(self, name: str, make: Callable[[], Made]) -> Iterator[Build[Made]]:
        """See to it that something is made, while in `with`; or join who did."""
        build = self._join(name, make)
        try:
            yield build
        finally:
            with self._lock:
                build.waiting -= 1
                if not build.waiting and build in self._pending:
                    self._pending.remove(build)
                    del self._builds[name]

    def close(self) -> None:
        """Begin nothing more, and wait for what is begun: that it ends soon is up to the caller."""
        with self._lock:
            self._closed = True
            dropped, workers = list(self._pending), list(self._workers)
            self._pending.clear()
            for build in dropped:
                del self._builds[build.name]
        for build in dropped:
            build.drop()
        for worker in workers:
            worker.join()

    def _join(self, name: str, make: Callable[[], Made]) -> Build[Made]:
        with self._lock:
            if self._closed:
                raise GivenUpError(name)
            build = self._builds.get(name)
            if build is None:
                build = self._builds[name] = Build(name, make)
                self._pending.append(build)
                if len(self._workers) < _WORKERS:
                    worker = Thread(target=self._work, name="layers", daemon=True)
                    self._workers.add(worker)
                    worker.start()
            build.waiting += 1
            return build

    def _work(self) -> None:
        """Make one after the other until nothing is left."""
        while (build := self._next()) is not None:
            build.work()
            with self._lock:
                del self._builds[build.name]

    def _next(self) -> Build[Made] | None:
        with self._lock:
            if self._pending:
                return self._pending.popleft()
            self._workers.discard(current_thread())
            return None
