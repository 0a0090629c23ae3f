"""Running the child processes, from the side of the mount. Safe for many threads.

A child that has read a small layer is kept for a moment, for the next: to start one takes longer than most
layers do. One that has read a large layer is not, nor one that failed, so that what it holds is given back.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import BoundedSemaphore, Lock, Timer

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

#: Bytes of a blob up to which the child that has read it may read another, and for how many seconds it waits
#: for that.
_SMALL = 8 << 20
_KEPT = 0.5


class ChildProcess:
    """A child process: it does one job after the other, until its end of the socket is closed."""

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        # Packets: one is a job, with the descriptors that go with it (unix(7)).
        self._jobs, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                # A session of its own: what is typed at the terminal (SIGINT) is for the mount.
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    _COMMAND, stdin=theirs.fileno(), stdout=subprocess.PIPE, start_new_session=True
                )
            except OSError:
                self._jobs.close()
                raise

    def do(
        self, job: Job, descriptors: Sequence[int], told: Callable[[int, int], object]
    ) -> Done | Failed | None:
        """Give it a job and hear it to its end; give its last word, or None if it had none."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._jobs, [encode(job)], list(descriptors))
        for line in self._process.stdout:
            with suppress(ValueError):
                reply: Reply = decode_reply(line)
                if not isinstance(reply, Progress):
                    return reply
                told(reply.read, reply.size)
        self._process.wait()
        return None

    def kill(self) -> None:
        """End it at once; whoever waits for its answer gets None."""
        self._process.kill()

    def end(self) -> int:
        """Leave nothing of it behind; give its exit status."""
        self._jobs.close()
        self._process.kill()
        status = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status


class Children:
    """The child processes that run now."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._slots = BoundedSemaphore(_MOST)
        self._running: set[ChildProcess] = set()
        #: Those that wait for a job, each with what ends it if none comes.
        self._waiting: dict[ChildProcess, Timer] = {}
        self._closed = False

    def run(self, job: Job, descriptors: Sequence[int], told: Callable[[int, int], object]) -> Done:
        """Do a job in a child, which is given the descriptors. `told` hears of bytes read, of how many.

        Raises what the child reports; LayerProcessError if it ends without a report; GivenUpError if
        `close` ended it.
        """
        with self._slots:
            child = self._take(job)
            reply: Done | Failed | None = None
            try:
                reply = child.do(job, descriptors, told)
            finally:
                status = self._let_go(child, again=isinstance(reply, Done) and job.size <= _SMALL)
        if isinstance(reply, Done):
            _log.debug("made %s with %d MB of memory", job.path, reply.peak >> 20)
            return reply
        if isinstance(reply, Failed):
            raise reply.error()
        if self._closed:
            raise GivenUpError(f"layer {job.digest}")
        raise LayerProcessError(f"layer {job.digest}: the process that read it {_fate(status)}")

    def close(self) -> None:
        """End all children, and start no more."""
        with self._lock:
            self._closed = True
            for child in self._running:
                child.kill()
            waiting, self._waiting = self._waiting, {}
        for child, timer in waiting.items():
            timer.cancel()
            child.end()

    def _take(self, job: Job) -> ChildProcess:
        """Give a child that waits for a job, or a new one."""
        with self._lock:
            if self._closed:
                raise GivenUpError(f"layer {job.digest}")
            if self._waiting:
                child, timer = self._waiting.popitem()
                timer.cancel()
            else:
                try:
                    child = ChildProcess()
                except OSError as error:
                    reason = f"layer {job.digest}: no process can be started to read it: {error.strerror}"
                    raise LayerProcessError(reason) from error
            self._running.add(child)
            return child

    def _let_go(self, child: ChildProcess, *, again: bool) -> int:
        """Keep a child for the next job, or end it; gives the status of one that has ended."""
        with self._lock:
            self._running.discard(child)
            if again and not self._closed:
                timer = Timer(_KEPT, self._retire, [child])
                timer.daemon = True
                self._waiting[child] = timer
                timer.start()
                return 0
        return child.end()

    def _retire(self, child: ChildProcess) -> None:
        """End a child for which no job came."""
        with self._lock:
            if self._waiting.pop(child, None) is None:
                return
        child.end()


def _fate(status: int) -> str:
    if status >= 0:
        return f"failed with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
