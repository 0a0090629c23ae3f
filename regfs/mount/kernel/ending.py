"""How a mount ends: it is unmounted by somebody, or a signal has this process unmount it.

Only in the main thread, and once for each process, as signals are.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from regfs.mount.kernel.mounting import unmount

#: Seconds for which the end of a mount waits for those that still have files of it open.
_LINGER = 1.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Ending:
    """Unmounts on SIGTERM, SIGINT and SIGHUP, while in `with`; `wait` returns when the mount has ended.

    A signal that is ignored stays so; one that is blocked does not come. Any thread may get a signal: it
    wakes the main thread through a pipe, for that might sleep on in a lock.
    """

    def __init__(self, mountpoint: str) -> None:
        self._mountpoint = mountpoint
        self._ended = False
        self._before: dict[signal.Signals, Any] = {}
        #: Whether a signal came.
        self.asked = False

    def __enter__(self) -> Ending:
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)
        self._waker = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._waker)
        os.close(self._reading)
        os.close(self._writing)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        unmount(self._mountpoint)
        patience = threading.Timer(_LINGER, self.ended)
        patience.daemon = True
        patience.start()

    def ended(self) -> None:
        """Tell that the mount has ended; from any thread."""
        self._ended = True
        with suppress(OSError):  # full: it will be read; closed: nobody waits any more
            os.write(self._writing, b"\0")

    def wait(self) -> None:
        """Wait for the end."""
        while not self._ended:
            select.select([self._reading], [], [])
            with suppress(BlockingIOError):
                os.read(self._reading, 64)
