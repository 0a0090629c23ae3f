"""The decoders of a reader, and which read is done by which of them.

A decoder only goes forward. One that stands at a read's offset, or shortly before, serves it at the speed of
plain decompression; anything else begins anew at a point. So decoders are kept, as runs. A read that follows
on one which is still being done waits for it: no other way is shorter.

The kernel reads ahead with several threads, whose reads arrive in any order; so what a run skips is kept for
the read that is on its way. And readers at random places must not take the place of those that go on: runs
that served one read only are kept apart, as a segmented LRU does to keep a scan from emptying a cache.

Safe for many threads. There is one lock, under which nothing is decoded.
"""

from __future__ import annotations

import threading

from regfs.layers.streams.run import Run, Stretch

#: Runs that are kept while nobody reads from them: in all, and of those that went on. The others have
#: the rest, so that as many readers in sequence can begin side by side. One of gzip takes up to 1 MB.
_KEPT = 8
_STEADY = 4

#: How far, in plain bytes, a run is moved on to reach a read. A steady one's own reader comes back for what
#: lies between, so no farther than the kernel's reads are ahead of each other. Another is moved as far as
#: costs less than to begin anew does.
_NEAR = 256 << 10
_FAR = 512 << 10


class Turn:
    """A place in a run's queue. Within `with`, the run is the thread's own."""

    __slots__ = ("_after", "_before", "repeated", "run")

    def __init__(self, run: Run, *, repeated: bool) -> None:
        """Queue up. This is for whoever holds the lock of the runs."""
        self.run = run
        #: Whether the run has skipped what is read, when the turn comes.
        self.repeated = repeated
        self._before = run.queue
        self._after = run.queue = threading.Lock()
        self._after.acquire()

    def __enter__(self) -> Run:
        self._before.acquire()
        return self.run

    def __exit__(self, *exception: object) -> None:
        self._after.release()


class Runs:
    """The runs of one reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The least recently used first.
        self._runs: list[Run] = []

    def turn(self, offset: int, size: int) -> Turn:
        """Give a read its turn: with a run that comes by, or has skipped what is read, or with a new one."""
        with self._lock:
            run = self._skipped(offset, size)
            repeated = run is not None
            if run is None:
                run = self._before(offset)
                if run is None:
                    run = Run()
                else:
                    run.steady = run.steady or offset - run.end <= _NEAR
                    self._runs.remove(run)
                    if run.end < offset:
                        run.skipped = Stretch(run.end, offset)
                run.end = offset + size
                self._runs.append(run)
            turn = Turn(run, repeated=repeated)
            dropped = self._excess()
        for other in dropped:
            other.close()
        return turn

    def give_up(self, run: Run) -> None:
        """Drop a run in the turn of a read that failed. Those that wait for it find it broken."""
        run.broken = True
        with self._lock:
            if run in self._runs:
                self._runs.remove(run)
        run.close()

    def close(self) -> None:
        """Free all decoders. Nobody may be reading."""
        with self._lock:
            runs, self._runs = self._runs, []
        for run in runs:
            run.close()

    def _skipped(self, offset: int, size: int) -> Run | None:
        return next((run for run in self._runs if run.skipped.holds(offset, size)), None)

    def _before(self, offset: int) -> Run | None:
        """Find the run that is the least way before `offset`, and near enough."""
        near = [run for run in self._runs if 0 <= offset - run.end <= (_NEAR if run.steady else _FAR)]
        return max(near, key=lambda run: run.end, default=None)

    def _excess(self) -> list[Run]:
        """Take out the least recently used of the idle runs that are too many."""
        idle = [run for run in self._runs if not run.queue.locked()]
        steady = [run for run in idle if run.steady]
        others = [run for run in idle if not run.steady]
        dropped = steady[: max(len(steady) - _STEADY, 0)]
        dropped += others[: max(len(others) - (_KEPT - min(len(steady), _STEADY)), 0)]
        for run in dropped:
            self._runs.remove(run)
        return dropped
