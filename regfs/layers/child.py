"""The child process: makes one file of one layer, says how far it is, and ends.

It is a process of its own so that what a layer takes of memory and of the interpreter is not the mount's, and
so that a blob that brings down a decoder brings down no mount. It reads the store as the mount does, below
the same open directory, and ends with its parent: then its input is closed.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

from regfs.errors import RegfsError
from regfs.layers.index.building import build_index
from regfs.layers.index.copying import make_copy
from regfs.layers.index.pipeline import Source
from regfs.layers.messages import Done, Failed, Job, Progress, Reply, decode_job, encode
from regfs.registry import layout
from regfs.storage import LocalStorage

#: Seconds between two reports of progress.
_PAUSE = 0.1

#: Seconds that a thread may keep the interpreter while others wait: with the usual 5 ms, the one that
#: decompresses would wait so long for each piece until the one that parses lets go.
_SWITCH = 0.0005

_INPUT, _OUTPUT = 0, 1


def main() -> None:
    """Do the job that stands on the input, and end the process."""
    sys.setswitchinterval(_SWITCH)
    job = decode_job(_line())
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        _do(job)
        reply: Reply = Done(_peak())
    except RegfsError as error:
        reply = Failed.of(error, job.digest)
    _tell(reply)
    os._exit(0)  # the threads that read ahead may stand still anywhere


def _do(job: Job) -> None:
    store = LocalStorage(job.root, job.descriptor, follow_symlinks=job.follow_symlinks)
    path = layout.blob_data(job.digest)
    size = store.stat(path).size
    with closing(store.open(path)) as content:
        source = Source(job.digest, content, size, _progress(size))
        if job.copy_of:
            make_copy(source, job.path, job.copy_of)
        else:
            build_index(source, job.path)


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(_INPUT, 65536)
        if not piece:
            os._exit(1)
        line += piece
    return line


def _end_with_parent() -> None:
    os.read(_INPUT, 1)
    os._exit(1)


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
