"""One mount from its start to its end: `serve` blocks until it is unmounted; `in_background` detaches.

SIGTERM, SIGINT and, where nobody blocks it, SIGHUP are libfuse's: they end the loop, unmount, and `serve`
returns.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from regfs.errors import MountpointError
from regfs.machine import collect_cycles_seldom, hold_little_memory
from regfs.mount.mountpoint import is_trigger, mark_process
from regfs.mount.operations import Lifetimes, Operations
from regfs.mount.options import MountOptions
from regfs.oci import Digest
from regfs.tree import Tree

_log = logging.getLogger(__name__)

#: Seconds between two lines of the log about the progress of the index.
_LINE_EVERY = 10.0

#: Longer than any mount lives, where libfuse wants a number of seconds for "never".
_NEVER = 1e9


#: Opens the tree to serve: what it tells is so many seconds old at most; `given_up` as for `opened_tree`.
OpenTree = Callable[[float, Callable[[], bool]], AbstractContextManager[Tree]]


def serve(
    open_tree: OpenTree,
    fsname: str,
    mountpoint: str,
    options: MountOptions,
    *,
    library: str,
    debug: bool = False,
    ready: Callable[[], None] = lambda: None,
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Mount a tree at an absolute path and answer the kernel until it is unmounted.

    `fsname` is what the mount shows as its source. `ready` is called when it is mounted, `ending` when it is
    unmounted. `library` is libfuse's name, from `check_requirements`. Raises MountpointError if libfuse
    refuses, after it has printed why.
    """
    hold_little_memory()
    collect_cycles_seldom()
    # fusepy looks for libfuse as it is imported, by running compilers; this tells it.
    os.environ.setdefault("FUSE_LIBRARY_PATH", library)
    from regfs.mount.dispatch import Dispatch, interrupted
    from regfs.mount.stat_struct import Owner

    lifetimes = Lifetimes.of(options.ttl)
    timeout = str(min(lifetimes.kernel, _NEVER))
    libfuse: dict[str, str | bool] = {
        "attr_timeout": timeout,
        "entry_timeout": timeout,
        # The kernel lets 12 read-aheads wait at once; that many hanging on one slow disk would stop all.
        "max_background": "200",
        "congestion_threshold": "150",
        **options.libfuse,
        # Who waits for a layer to be read can give up (signal(7)): libfuse tells `interrupted`.
        "intr": True,
        "ro": True,
        "nosuid": True,
        "nodev": True,
        "use_ino": True,
        "fsname": _escape(fsname),
        "subtype": "regfs",
    }

    if is_trigger(mountpoint):
        libfuse["nonempty"] = True  # else libfuse lists it, which is a visit

    def mounted() -> None:
        mark_process(mountpoint)
        ready()

    try:
        with open_tree(lifetimes.graph, interrupted) as tree:
            Dispatch(
                Operations(tree, lifetimes),
                mountpoint,
                Owner(options.uid, options.gid, options.umask, options.image_owners),
                mounted,
                {**libfuse, "debug": debug},
            )
            ending()
    except UnicodeEncodeError as error:
        raise MountpointError(
            mountpoint, "a path that is not UTF-8 cannot be mounted or mounted on"
        ) from error
    except RuntimeError as error:
        raise MountpointError(mountpoint, f"libfuse could not mount (status {error})") from error


class LoggedProgress:
    """Tells the log how far the index is, now and then; nothing of what takes no time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._heard = clock()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note how many of a kind are done, and of how many (0: unknown)."""
        now = self._clock()
        if now - self._heard > _LINE_EVERY:  # a new pass has begun
            self._last = now
        self._heard = now
        if now - self._last >= _LINE_EVERY:
            self._last = now
            _log.info("index: %s %d%s", what, done, f" of {total}" if total else "")


class LoggedLayers:
    """Tells the log of each layer that is read as a whole, and now and then how far that is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[Digest, float] = {}

    def __call__(self, digest: Digest, read: int, size: int) -> None:
        """Note how many bytes of a layer were read, and of how many."""
        now = self._clock()
        if now - self._last.setdefault(digest, now - _LINE_EVERY) >= _LINE_EVERY and read < size:
            self._last[digest] = now
            _log.info("reading layer %s, for what is inside: %d of %d bytes", digest, read, size)
        if read >= size:
            self._last.pop(digest, None)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,")


def in_background() -> Callable[[], None]:
    """Go on in a child process, detached from the terminal; gives the function to call when it is ready.

    The parent waits for that call and exits with status 0; if the child ends before, with the child's
    status. Until the call, the child's standard error is the parent's, and so is its process group: autofs
    takes everybody outside of it for a visitor, who waits for the mount. No other descriptor is kept: a lock
    or pipe of whoever mounts is not the mount's.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        ready = os.read(reading, 1)
        sys.exit(0 if ready else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or 1)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in (0, 1, 2, writing):
            with suppress(OSError):  # the one that listed them
                os.close(descriptor)

    def ready_now() -> None:
        os.setsid()
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.close(nothing)
        os.write(writing, b"+")
        os.close(writing)

    return ready_now
