"""Doing many small readings of the store: one after the other, or side by side where the store is slow.

A unit is read in whatever thread or process, and applied in the thread that runs them all, which may give
more units. So only one thread touches the index, and no more results wait than `WINDOW`; of those that hold
all objects below a directory, `_LISTINGS`.

A fast store is read by the caller, or by processes, which share out what Python costs. A slow one is read by
threads as well, in those: there waiting is what counts, so each unit looks at few names, and what it has to
look at in one directory is looked at side by side.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from regfs.machine import can_open, end_with
from regfs.registry.listings import ListedPart, ListedRepository, ListedShard
from regfs.registry.survey import Survey
from regfs.registry.units import Algorithms, LinkStamps, OneBlob, Stamps, TagNames, Unit, Uploads

#: Results that may wait at once. A unit's result is bounded by what it was given: some hundred names.
WINDOW = 64

#: Listings of an object store that are read, or wait, at once: each may hold thousands of objects.
_LISTINGS = 48
_LISTED = frozenset({ListedShard, ListedRepository, ListedPart})

#: Names in one unit: enough to be worth a directory's opening, few enough to share out; of a slow store.
NAMES, _FEW_NAMES = 256, 8

#: Descriptors that processes which read take, at most. Without them the pool would wait for ever.
_DESCRIPTORS = 32

#: What brings a unit up to date, from what it gave; it may give more units.
Apply = Callable[[Any, Any], Iterable[Unit]]


class Beside(NamedTuple):
    """Who reads beside the caller: `send` takes at most `batch` units, and gives what each read.

    `light` are the kinds of units that cost less than to ask for them: the caller reads those itself. `names`
    is how many a unit should look at, `window` how many results may wait at once.
    """

    send: Callable[[Sequence[Unit]], Future[list[Any]]]
    batch: int = 1
    light: frozenset[type] = frozenset()
    names: int = NAMES
    window: int = WINDOW


def run(survey: Survey, units: Iterable[Unit], apply: Apply, beside: Beside | None = None) -> None:
    """Read units and all that come of them, in no order. What is raised ends the run."""
    waiting: Iterator[Unit] = iter(units)
    more: deque[Unit] = deque()
    batch: list[Unit] = []
    flying: deque[tuple[list[Unit], Future[list[Any]]]] = deque()
    listings = 0
    while True:
        unit = more.popleft() if more else next(waiting, None)
        if unit is not None and (beside is None or type(unit) in beside.light):
            more.extend(apply(unit, unit.read(survey)))
            continue
        if unit is not None:
            batch.append(unit)
        if beside is not None and batch and (unit is None or len(batch) == beside.batch):
            flying.append((batch, beside.send(batch)))
            listings += sum(type(one) in _LISTED for one in batch)
            batch = []
        full = beside is not None and (
            len(flying) * beside.batch >= (beside.window if unit is not None else 1) or listings >= _LISTINGS
        )
        if full:
            done, future = flying.popleft()
            listings -= sum(type(one) in _LISTED for one in done)
            for one, result in zip(done, future.result(), strict=True):
                more.extend(apply(one, result))
        elif unit is None:
            return


class Readers(NamedTuple):
    """How many processes read, and how many threads in each; one of each: the caller alone."""

    processes: int = 1
    threads: int = 1


@contextmanager
def side_by_side(survey: Survey, readers: Readers) -> Iterator[Beside | None]:
    """Start readers; give how to have something read by them, None for the caller alone."""
    if readers.processes > 1 and can_open(_DESCRIPTORS):
        with _processes(survey, readers) as send:
            slow = readers.threads > 1
            yield Beside(send, _BATCH, frozenset() if slow else _LIGHT, _FEW_NAMES if slow else NAMES)
    elif readers.threads > 1:
        with _threads(survey, readers.threads) as (beside, tasks):
            window = max(WINDOW, 2 * readers.threads)
            yield Beside(
                lambda units: tasks.submit(_read_all, beside, units), names=_FEW_NAMES, window=window
            )
    else:
        yield None


@contextmanager
def _threads(survey: Survey, count: int) -> Iterator[tuple[Survey, ThreadPoolExecutor]]:
    """Start threads for units, and as many that look at single files for them."""
    looks, tasks = ThreadPoolExecutor(count, "regfs-look"), ThreadPoolExecutor(count, "regfs-index")
    try:
        yield survey.looking_by(looks), tasks
    finally:
        tasks.shutdown(wait=False, cancel_futures=True)  # what is left is for nobody
        # Who waits for an object store may do so for long, and reads no file that would be closed meanwhile.
        tasks.shutdown(wait=not survey.lists)
        looks.shutdown(wait=not survey.lists)


@contextmanager
def _processes(survey: Survey, readers: Readers) -> Iterator[Callable[[Sequence[Unit]], Future[list[Any]]]]:
    # Only now: they take a while to import, and few need them. ctypes is for `end_with`, once for all.
    import ctypes  # noqa: F401
    from concurrent.futures import ProcessPoolExecutor

    from regfs.graph.index.wide_pipes import ForkWithWidePipes

    pool = ProcessPoolExecutor(
        readers.processes,
        mp_context=ForkWithWidePipes(),
        initializer=_begin,
        initargs=(survey, os.getpid(), readers.threads),
    )
    try:
        # An interrupt half way through the forks would leave readers that nobody tells to end.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            wait([pool.submit(_nothing) for _ in range(readers.processes)])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield lambda units: pool.submit(_read_here, units)
    finally:
        pool.shutdown(cancel_futures=True)


#: Units for a process at once: to send one takes as long as to look at a hundred files.
_BATCH = 8

_LIGHT = frozenset({TagNames, Algorithms, Uploads, Stamps, LinkStamps, OneBlob})


def _begin(survey: Survey, parent: int, threads: int) -> None:
    """Begin a process that reads: it inherits the open store. An interrupt is for the one that asks."""
    global _read_here_by
    end_with(parent)  # each holds both ends of the pipes, so that none would hear of it by those
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # it lives for seconds, and makes no cycles
    if threads > 1:
        survey, tasks = _ENDS_WITH_THE_PROCESS.enter_context(_threads(survey, threads))
        _read_here_by = partial(_read_by_threads, survey, tasks)
    else:
        _read_here_by = partial(_read_all, survey)


def _nothing() -> None:
    """Do nothing: to ask for it starts the processes, one each time before Python 3.11.2."""


def _read_here(units: Sequence[Unit]) -> list[Any]:
    return _read_here_by(units)


def _read_all(survey: Survey, units: Sequence[Unit]) -> list[Any]:
    return [unit.read(survey) for unit in units]


def _read_by_threads(survey: Survey, tasks: ThreadPoolExecutor, units: Sequence[Unit]) -> list[Any]:
    return list(tasks.map(lambda unit: unit.read(survey), units))


_read_here_by: Callable[[Sequence[Unit]], list[Any]]
_ENDS_WITH_THE_PROCESS = ExitStack()
