"""Processes whose results do not wait for one another.

A pipe takes 64 KiB, and a task may give a megabyte. So a process that has read something would stand still
until the one that asked, busy with what was read before, comes to take it in, piece by piece.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext, ForkContext
from multiprocessing.queues import SimpleQueue
from typing import Any

#: Bytes in the pipe: as many as Linux lets anyone have (proc(5), /proc/sys/fs/pipe-max-size).
_WIDE = 1 << 20


class _Results(SimpleQueue[Any]):
    _writer: Connection

    def __init__(self, *, ctx: BaseContext) -> None:
        super().__init__(ctx=ctx)
        with suppress(OSError):  # who has many pipes gets no wider ones
            fcntl.fcntl(self._writer.fileno(), fcntl.F_SETPIPE_SZ, _WIDE)


class ForkWithWidePipes(ForkContext):
    """Forks, as `multiprocessing.get_context("fork")` does; results come through a wide pipe."""

    def SimpleQueue(self) -> SimpleQueue[Any]:  # noqa: N802
        """Give what a ProcessPoolExecutor takes for its results."""
        return _Results(ctx=self.get_context())
