"""Doing many small readings of the store: one after the other, or side by side where the store is slow.

A task reads in whatever thread or process, and applies its result in the thread that runs them all, which may
give more tasks. So only one thread touches the index, and no more results wait than `WINDOW`.

A fast store is read by the caller, or by processes, which share out what Python costs. A slow one is read by
threads: there waiting is all that counts, so each looks at few names, and what one task has to look at in one
directory is looked at side by side as well.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

from regfs.machine import can_open, end_with
from regfs.store.survey import Survey

#: Results that may wait at once. A task's result is bounded by what it was given: some hundred names.
WINDOW = 64

#: Names in one task: enough to be worth a directory's opening, few enough to share out; of a slow store.
NAMES, _FEW_NAMES = 256, 8

#: Threads that run the tasks of a slow store, and threads that look at single files for them.
_TASKS = _LOOKS = 64

#: Descriptors that processes which read take, at most. Without them the pool would wait for ever.
_DESCRIPTORS = 32

Read = Callable[..., Any]


class Task(NamedTuple):
    """`read(survey, *arguments)` may run anywhere; `apply` gets what it gave, and may give more tasks."""

    read: Read
    arguments: tuple[object, ...]
    apply: Callable[[Any], Iterable[Task] | None]


#: What is sent of a task.
Order = tuple[Read, tuple[object, ...]]


class Elsewhere(NamedTuple):
    """Who reads beside the caller: `send` takes at most `batch` orders, and gives what each read.

    `light` are the readings that cost less than to ask for them: the caller does those itself. `names` is how
    many a task should look at.
    """

    send: Callable[[Sequence[Order]], Future[list[Any]]]
    batch: int = 1
    light: frozenset[Read] = frozenset()
    names: int = NAMES


def run(survey: Survey, tasks: Iterable[Task], elsewhere: Elsewhere | None = None) -> None:
    """Run tasks and all that come of them, in no order. What a task raises ends the run."""
    waiting: Iterator[Task] = iter(tasks)
    more: deque[Task] = deque()
    batch: list[Task] = []
    flying: deque[tuple[list[Task], Future[list[Any]]]] = deque()
    while True:
        task = more.popleft() if more else next(waiting, None)
        if task is not None and (elsewhere is None or task.read in elsewhere.light):
            more.extend(task.apply(task.read(survey, *task.arguments)) or ())
            continue
        if task is not None:
            batch.append(task)
        if elsewhere is not None and batch and (task is None or len(batch) == elsewhere.batch):
            flying.append((batch, elsewhere.send([one[:2] for one in batch])))
            batch = []
        if elsewhere is not None and len(flying) * elsewhere.batch >= (WINDOW if task is not None else 1):
            done, future = flying.popleft()
            for one, result in zip(done, future.result(), strict=True):
                more.extend(one.apply(result) or ())
        elif task is None:
            return


class Readers(NamedTuple):
    """Who reads: threads, as the store is slow; or else so many processes; one: the caller alone."""

    slow: bool = False
    processes: int = 1


@contextmanager
def side_by_side(survey: Survey, readers: Readers) -> Iterator[Elsewhere | None]:
    """Start readers; give how to have something read by them, None for the caller alone."""
    if readers.slow:
        with (
            ThreadPoolExecutor(_LOOKS, "regfs-look") as looks,
            ThreadPoolExecutor(_TASKS, "regfs-index") as tasks,
        ):
            beside = survey.looking_by(looks)
            yield Elsewhere(lambda orders: tasks.submit(_read_all, beside, orders), names=_FEW_NAMES)
    elif readers.processes > 1 and can_open(_DESCRIPTORS):
        # Only now: it takes a while to import, and few need it.
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        processes = ProcessPoolExecutor(
            readers.processes,
            mp_context=get_context("fork"),
            initializer=_begin,
            initargs=(survey, os.getpid()),
        )
        try:
            # An interrupt half way through the forks would leave readers that nobody tells to end.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                wait([processes.submit(_nothing) for _ in range(readers.processes)])
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield Elsewhere(lambda orders: processes.submit(_read_here, orders), _BATCH, _LIGHT)
        finally:
            processes.shutdown(cancel_futures=True)
    else:
        yield None


#: Orders for a process at once: to send one takes as long as to look at a hundred files.
_BATCH = 8

_LIGHT: frozenset[Read] = frozenset({Survey.directory, Survey.uploads, Survey.stamps, Survey.blob})


def _begin(survey: Survey, parent: int) -> None:
    """Begin a process that reads: it inherits the open store. An interrupt is for the one that asks."""
    global _survey
    _survey = survey
    end_with(parent)  # each holds both ends of the pipes, so that none would hear of it by those
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # it lives for seconds, and makes no cycles


def _nothing() -> None:
    """Do nothing: to ask for it starts the processes, one each time before Python 3.11.2."""


def _read_here(orders: Sequence[Order]) -> list[Any]:
    return _read_all(_survey, orders)


def _read_all(survey: Survey, orders: Sequence[Order]) -> list[Any]:
    return [read(survey, *arguments) for read, arguments in orders]


_survey: Survey
