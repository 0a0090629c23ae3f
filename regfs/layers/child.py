"""The child process: makes one file of one layer after the other, and says how far it is.

It is a process of its own so that what a layer takes of memory and of the interpreter is not the mount's, and
so that a blob that brings down a decoder brings down no mount. It is given each blob as an open descriptor,
and ends with its parent: then its input is closed.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread

from regfs.errors import RegfsError
from regfs.layers.index.building import build_index
from regfs.layers.index.copying import make_copy
from regfs.layers.index.pipeline import BlobSource
from regfs.layers.messages import Done, Failed, Job, Progress, Reply, decode_job, encode
from regfs.storage.local import OpenFile
from regfs.storage.protocol import Content

#: Seconds between two reports of progress.
_PAUSE = 0.1

#: Seconds that a thread may keep the interpreter while others wait: with the usual 5 ms, the one that
#: decompresses would wait so long for each piece until the one that parses lets go.
_SWITCH = 0.0005

_INPUT, _OUTPUT = 0, 1

#: The most bytes of a job; and what comes beside it: the blob, and the lock of what is made of it.
_JOB = 1 << 16
_DESCRIPTORS = 2

Given = tuple[Job, list[int]]


def main() -> None:
    """Do the jobs that come by the input; after one that failed, end the process."""
    sys.setswitchinterval(_SWITCH)
    jobs: Queue[Given] = Queue()
    Thread(target=_take, args=(jobs,), daemon=True).start()
    while True:
        job, descriptors = jobs.get()
        try:
            _do(job, descriptors[0])
            reply: Reply = Done(_peak())
        except RegfsError as error:
            reply = Failed.of(error, job.digest)
        for descriptor in descriptors:
            os.close(descriptor)
        _tell(reply)
        if isinstance(reply, Failed):
            os._exit(0)  # the threads that read ahead may stand still anywhere


def _take(jobs: Queue[Given]) -> None:
    """Take the jobs as they come, and end the process with the parent."""
    with suppress(OSError), socket.socket(fileno=_INPUT) as parent:
        while True:
            job, descriptors, _, _ = socket.recv_fds(parent, _JOB, _DESCRIPTORS)
            if not job:
                break
            jobs.put((decode_job(job), descriptors))
    os._exit(1)


def _do(job: Job, descriptor: int) -> None:
    name = f"blob {job.digest}"
    content: Content = OpenFile(descriptor, name) if job.seekable else _Fed(descriptor, name)
    source = BlobSource(job.digest, content, job.size, _progress(job.size), job.most)
    if job.copy_of:
        make_copy(source, job.path, job.copy_of)
    else:
        build_index(source, job.path)


class _Fed:
    """What comes through a pipe, as content that is read in its order."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._position = 0

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` with what comes next, which is what stands at `offset`."""
        assert offset == self._position, self._name  # noqa: S101 - of `BlobSource`: read once, in its order
        filled = 0
        while filled < len(buffer) and (got := os.readv(self._descriptor, [buffer[filled:]])):
            filled += got
        self._position += filled
        return filled

    def close(self) -> None:
        """Leave the pipe open: it is closed when the job is done."""


def _progress(size: int) -> Callable[[int], None]:
    due = time.monotonic()

    def told(read: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due or read == size:
            due = now + _PAUSE
            _tell(Progress(read, size))

    return told


def _tell(reply: Reply) -> None:
    # At most PIPE_BUF bytes, or nobody else is left to write: lines do not mix (pipe(7)).
    os.write(_OUTPUT, encode(reply))


def _peak() -> int:
    """Give the most memory that this process ever had (proc(5), VmHWM).

    What getrusage(2) tells is its parent's, where that had more.
    """
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) << 10 if found else 0
