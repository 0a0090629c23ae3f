"""Running the child process, from the side of the mount. Safe for many threads."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import BoundedSemaphore, Lock

from regfs.errors import GivenUpError, LayerProcessError
from regfs.layers.messages import Done, Failed, Job, Progress, Reply, decode_reply, encode

_log = logging.getLogger(__name__)

#: The child gets this process's path for modules, and looks at nothing else: no environment, no site, which
#: also takes it less time to start.
_PATHS = tuple(os.path.abspath(path) for path in sys.path)
_BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from regfs.layers.child import main; main()"
_COMMAND = (sys.executable, "-I", "-S", "-c", _BEGIN, *_PATHS)


#: At most so many children run side by side: the machine has other things to do.
_MOST = 2


class Children:
    """The child processes that run now."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._slots = BoundedSemaphore(_MOST)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, job: Job, descriptors: tuple[int, ...], told: Callable[[int, int], object]) -> Done:
        """Do a job in a child, which inherits the descriptors. `told` hears of bytes read, of how many.

        Raises what the child reports; LayerProcessError if it ends without a report; GivenUpError if
        `close` ended it.
        """
        with self._slots:
            with self._lock:
                if self._closed:
                    raise GivenUpError(f"layer {job.digest}")
                process = _start(job, descriptors)
                self._running.add(process)
            try:
                reply = _listen(process, job, told)
            finally:
                with self._lock:
                    self._running.discard(process)
                _end(process)
        if isinstance(reply, Done):
            _log.debug("made %s with %d MB of memory", job.path, reply.peak >> 20)
            return reply
        if isinstance(reply, Failed):
            raise reply.error()
        if self._closed:
            raise GivenUpError(f"layer {job.digest}")
        raise LayerProcessError(f"layer {job.digest}: the process that read it {_fate(process.returncode)}")

    def close(self) -> None:
        """End all children, and start no more."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()


def _start(job: Job, descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    try:
        # A session of its own: what is typed at the terminal (SIGINT) is for the mount.
        return subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError as error:
        reason = f"layer {job.digest}: no process can be started to read it: {error.strerror}"
        raise LayerProcessError(reason) from error


def _listen(process: subprocess.Popen[bytes], job: Job, told: Callable[[int, int], object]) -> Reply | None:
    """Give the child its job and hear it to its end; give its last word, if it had one."""
    assert process.stdin is not None  # noqa: S101 - for the type checker
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):
        process.stdin.write(encode(job))
        process.stdin.flush()
    last: Reply | None = None
    for line in process.stdout:
        with suppress(ValueError):
            reply = decode_reply(line)
            if isinstance(reply, Progress):
                told(reply.read, reply.size)
            else:
                last = reply
    process.wait()
    return last


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a child behind."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _fate(status: int) -> str:
    if status >= 0:
        return f"failed with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
