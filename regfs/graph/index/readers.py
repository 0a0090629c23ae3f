"""Doing many small readings of the store: one after the other, or side by side where the store is slow.

A task reads in whatever thread or process, and applies its result in the thread that runs them all, which may
give more tasks. So only one thread touches the index, and no more results wait than `WINDOW`.
"""

from __future__ import annotations

import gc
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from regfs.store.survey import Survey

#: Results that may wait at once. A task's result is bounded by what it was given: some hundred names.
WINDOW = 64

Read = Callable[..., Any]

#: Has something read elsewhere: `submit(read, arguments)` is for `read(survey, *arguments)`.
Submit = Callable[[Read, tuple[object, ...]], "Future[Any]"]


class Task(NamedTuple):
    """`read(survey, *arguments)` may run anywhere; `apply` gets what it gave, and may give more tasks."""

    read: Read
    arguments: tuple[object, ...]
    apply: Callable[[Any], Iterable[Task] | None]


def run(survey: Survey, tasks: Iterable[Task], submit: Submit | None = None) -> None:
    """Run tasks and all that come of them, in no order. What a task raises ends the run."""
    waiting: Iterator[Task] = iter(tasks)
    more: deque[Task] = deque()
    flying: deque[tuple[Task, Future[Any]]] = deque()
    while True:
        task = more.popleft() if more else next(waiting, None)
        if task is not None and submit is None:
            more.extend(task.apply(task.read(survey, *task.arguments)) or ())
        elif task is not None and submit is not None:
            flying.append((task, submit(task.read, task.arguments)))
        elif not flying:
            return
        if len(flying) >= (WINDOW if task is not None else 1):
            done, future = flying.popleft()
            more.extend(done.apply(future.result()) or ())


class Readers(NamedTuple):
    """How many threads, or else how many processes, read side by side; one of each: the caller alone."""

    threads: int = 1
    processes: int = 1


@contextmanager
def side_by_side(survey: Survey, readers: Readers) -> Iterator[Submit | None]:
    """Start readers; give how to have something read by them, None for the caller alone."""
    if readers.threads > 1:
        with ThreadPoolExecutor(readers.threads, "regfs-index") as threads:
            yield lambda read, arguments: threads.submit(read, survey, *arguments)
    elif readers.processes > 1:
        # Only now: it takes a while to import, and few need it.
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        processes = ProcessPoolExecutor(
            readers.processes, mp_context=get_context("fork"), initializer=_begin, initargs=(survey,)
        )
        try:
            # An interrupt half way through the forks would leave readers that nobody tells to end.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                wait([processes.submit(_nothing) for _ in range(readers.processes)])
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield partial(_submit, processes, survey)
        finally:
            processes.shutdown(cancel_futures=True)
    else:
        yield None


def _submit(processes: Executor, survey: Survey, read: Read, arguments: tuple[object, ...]) -> Future[Any]:
    """Have something read by another process, unless to ask for it costs more than to do it."""
    if read not in _LIGHT:
        return processes.submit(_read, read, arguments)
    done: Future[Any] = Future()
    done.set_result(read(survey, *arguments))
    return done


_LIGHT = {Survey.directory, Survey.uploads, Survey.stamps, Survey.blob}


def _begin(survey: Survey) -> None:
    """Begin a process that reads: it inherits the open store. An interrupt is for the one that asks."""
    global _survey
    _survey = survey
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # it lives for seconds, and makes no cycles


def _nothing() -> None:
    """Do nothing: to ask for it starts the processes, one each time before Python 3.11.2."""


def _read(read: Read, arguments: tuple[object, ...]) -> Any:
    return read(_survey, *arguments)


_survey: Survey
