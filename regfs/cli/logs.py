"""Where the log goes: standard error in the foreground, syslog in the background, or a file.

A file is opened anew on SIGHUP, as logrotate(8) wants it. A thread waits for that signal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import cachetools

from regfs.errors import RequirementError

_log = logging.getLogger(__name__)

_SYSLOG = "/dev/log"
_TO_FILE = "%(asctime)s %(levelname)s %(message)s"
_MOMENT = "%Y-%m-%d %H:%M:%S %z"
_TO_SYSLOG = "regfs[%(process)d]: %(message)s"
_TO_TERMINAL = "regfs: %(message)s"

#: The same message is logged once in so many seconds: `find` over a damaged store must not fill a disk.
_REPEAT_AFTER = 60.0
_MOST_REMEMBERED = 4096


class OnceInAWhile(logging.Filter):
    """Drops what was logged in the last minute already."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seen: cachetools.TTLCache[str, bool] = cachetools.TTLCache(
            _MOST_REMEMBERED, _REPEAT_AFTER, timer=clock
        )
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is news."""
        message = record.getMessage()
        with self._lock:
            if message in self._seen:
                return False
            self._seen[message] = True
            return True


class LogFile(logging.FileHandler):
    """A log in a file that may be renamed and opened anew."""

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def open_again(self) -> None:
        """Go on in the file that has the name now; in the old one where none can be opened."""
        try:
            stream = self._open()
        except OSError as error:
            _log.warning("%s cannot be opened anew: %s", self.baseFilename, error.strerror)
            return
        old = self.setStream(stream)
        if old:
            old.close()


def start_log(*, log_file: str | None, foreground: bool, debug: bool) -> None:
    """Send regfs's log where it belongs. Raises RequirementError for a file that cannot be written.

    From then on SIGHUP opens the file anew, and does nothing in the background without one. In the
    foreground without one it is left as it is: it tells that the terminal is gone.
    """
    logging.raiseExceptions = False  # a full disk, a syslog that goes away must not end in tracebacks
    try:
        handler, form = _handler(log_file, foreground=foreground)
    except OSError as error:
        raise RequirementError(log_file or _SYSLOG, f"log file {log_file}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(form, _MOMENT))
    handler.addFilter(OnceInAWhile())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    if isinstance(handler, LogFile) or not foreground:
        # Blocked in all threads to come, so that libfuse, which would unmount, never gets it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        threading.Thread(target=_open_on_hangup, args=(handler,), name="hangup", daemon=True).start()


def _open_on_hangup(handler: logging.Handler) -> None:
    while signal.sigwait({signal.SIGHUP}):
        if isinstance(handler, LogFile):
            handler.open_again()


def _handler(log_file: str | None, *, foreground: bool) -> tuple[logging.Handler, str]:
    if log_file:
        return LogFile(log_file), _TO_FILE
    if foreground:
        return logging.StreamHandler(sys.stderr), _TO_TERMINAL
    if os.path.exists(_SYSLOG):
        from logging.handlers import SysLogHandler  # only now: it takes a while to load

        return SysLogHandler(_SYSLOG), _TO_SYSLOG
    print(f"regfs: no syslog ({_SYSLOG}): nothing will be logged; --log-file FILE helps", file=sys.stderr)
    return logging.NullHandler(), _TO_FILE
