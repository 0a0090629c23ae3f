"""What is shown of a command while it runs: one bar in a terminal, and notes beside the output.

A bar appears only when something takes long, and is gone before anything else is written. `--quiet` takes
both away; errors stay. rich, which draws it, is loaded when there is a bar, and there is none where standard
error is no terminal.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from regfs.oci import Digest

#: Seconds that something takes before it gets a bar, and between two pictures of that.
_PATIENCE = 1.0
_BETWEEN = 0.1

#: What `quiet_option` was given: click's context is not seen from other threads.
_asked = {"quiet": False}


def _note_quiet(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _asked["quiet"] = value


#: For each command that may take long, or has more to say than its result.
quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_note_quiet,
    help="Neither progress nor notes: only results, and errors.",
)


def is_quiet() -> bool:
    """Tell whether the command was asked to be quiet."""
    return _asked["quiet"]


class Bar:
    """A bar for one thing that takes its time. Safe for many threads.

    `bytes_of_it`: what is counted are bytes. `began` is when a person began to wait: now, if not given.
    """

    def __init__(
        self,
        what: str,
        *,
        bytes_of_it: bool = False,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._bytes = bytes_of_it
        self._clock = clock
        self._wanted = sys.stderr.isatty() and not is_quiet()
        self._next = (clock() if began is None else began) + _PATIENCE
        self._lock = threading.Lock()
        self._shown: tuple[Progress, TaskID] | None = None

    def show(self, done: int, total: int) -> None:
        """Show how much is done, and of how much (0: unknown), if it is time to."""
        if not self._wanted or self._clock() < self._next:
            return
        with self._lock:
            self._next = self._clock() + _BETWEEN
            if self._shown is None:
                self._shown = self._begin(done)
                _shown.append(self)
            progress, task = self._shown
            progress.update(task, completed=done, total=total or None)
            progress.refresh()

    def close(self) -> None:
        """Take it away; it comes back when there is more to show."""
        with self._lock:
            if self._shown:
                self._shown[0].stop()
                self._shown = None
                _shown.remove(self)

    def _begin(self, done: int) -> tuple[Progress, TaskID]:
        from rich import progress as parts  # only now: see above
        from rich.console import Console

        amount = parts.DownloadColumn(binary_units=True) if self._bytes else parts.MofNCompleteColumn()
        columns = [parts.TextColumn("regfs: {task.description}"), parts.BarColumn(), amount]
        if self._bytes:
            columns.append(parts.TransferSpeedColumn())
        made = parts.Progress(
            *columns,
            parts.TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        made.start()
        return made, made.add_task(self._what, completed=done, total=None)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


#: The bars that are in the terminal now.
_shown: list[Bar] = []


def clear() -> None:
    """Take all bars away, before something is written."""
    for bar in list(_shown):
        bar.close()


def note(text: str) -> None:
    """Say something beside the output, unless the command is to be quiet."""
    if not is_quiet():
        complain(text)


def complain(text: str) -> None:
    """Say what went wrong with a part of what was asked for."""
    clear()
    print(f"regfs: {text}", file=sys.stderr, flush=True)


class Steps:
    """Bars for the kinds of things that are read, one after the other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._what = ""
        self._bar: Bar | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how many of a kind are done, and of how many (0: unknown)."""
        if what != self._what or self._bar is None:
            self.close()
            self._what, self._bar = what, Bar(what, began=self._began, clock=self._clock)
        self._bar.show(done, total)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LayerProgress:
    """One bar for all layers that are read side by side, in bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bar: Bar | None = None
        self._read: dict[Digest, int] = {}
        self._sizes: dict[Digest, int] = {}

    def __call__(self, digest: Digest, read: int, size: int) -> None:
        """Show how many bytes of a layer have been read, and of how many."""
        with self._lock:
            self._read[digest] = read
            self._sizes[digest] = size
            self._bar = self._bar or Bar("layers", bytes_of_it=True)
            done, total = sum(self._read.values()), sum(self._sizes.values())
            self._bar.show(done, total)
            if done >= total:
                self._bar.close()
                self._bar = None
                self._read.clear()
                self._sizes.clear()
