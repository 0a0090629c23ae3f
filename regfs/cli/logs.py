"""Where the log goes: standard error in the foreground, syslog in the background, or a file."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import threading
import time
from collections.abc import Callable

import cachetools

from regfs.errors import RequirementError

_SYSLOG = "/dev/log"
_TO_FILE = "%(asctime)s %(levelname)s %(message)s"
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


def start_log(*, log_file: str | None, foreground: bool, debug: bool) -> None:
    """Send regfs's log where it belongs. Raises RequirementError for a file that cannot be written."""
    try:
        handler, form = _handler(log_file, foreground=foreground)
    except OSError as error:
        raise RequirementError(log_file or _SYSLOG, f"--log-file {log_file}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(form))
    handler.addFilter(OnceInAWhile())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)


def _handler(log_file: str | None, *, foreground: bool) -> tuple[logging.Handler, str]:
    if log_file:
        return logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace"), _TO_FILE
    if foreground:
        return logging.StreamHandler(sys.stderr), _TO_TERMINAL
    logging.raiseExceptions = False  # a syslog that goes away must not end in tracebacks
    if os.path.exists(_SYSLOG):
        return logging.handlers.SysLogHandler(_SYSLOG), _TO_SYSLOG
    print(f"regfs: no syslog ({_SYSLOG}): nothing will be logged; --log-file FILE helps", file=sys.stderr)
    return logging.NullHandler(), _TO_FILE
