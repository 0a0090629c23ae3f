"""Many looks at files of one storage, side by side where a disk has to seek for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from regfs.errors import RegfsError

T = TypeVar("T")
U = TypeVar("U")

#: The first ones are timed; where one takes so many seconds, it was sought on the disk, and so many threads
#: look for the others. 2,000 links with nothing in memory: 0.71 s by one, 0.26 by eight.
_FIRST = 6
_SEEK = 50e-6
_THREADS = 8


def look_at_all(look: Callable[[Sequence[T]], list[U]], wanted: Sequence[T]) -> list[U]:
    """Give what `look` gives for all that is wanted, in its order: it is called with parts of that.

    Maybe by threads at once: os.stat releases Python's lock. What one of them raises of regfs's is raised.
    """
    began = time.perf_counter()
    found = look(wanted[:_FIRST])
    if len(wanted) <= _FIRST or time.perf_counter() - began < _FIRST * _SEEK:
        return found + look(wanted[_FIRST:])
    return found + _side_by_side(look, wanted[_FIRST:])


def _side_by_side(look: Callable[[Sequence[T]], list[U]], wanted: Sequence[T]) -> list[U]:
    share = -(-len(wanted) // _THREADS)
    parts = [wanted[start : start + share] for start in range(0, len(wanted), share)]
    answers: list[list[U] | RegfsError] = [[] for _ in parts]

    def run(place: int) -> None:
        try:
            answers[place] = look(parts[place])
        except RegfsError as error:
            answers[place] = error

    # Daemons: a look that is stuck shall not hold up the end of the process.
    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(parts))]
    for place, thread in enumerate(threads):
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            run(place)
    for thread in threads:
        if thread.ident is not None:
            thread.join()
    found: list[U] = []
    for answer in answers:
        if isinstance(answer, RegfsError):
            raise answer
        found += answer
    return found
