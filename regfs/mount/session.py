"""One mount from its start to its end: `serve` blocks until it is unmounted; `in_background` detaches.

SIGTERM, SIGINT and, where nobody blocks it, SIGHUP unmount, and `serve` returns. The kernel is answered by
our own session (`kernel`), or by path through libfuse 2 and fusepy (`portable`), as the option `session`
says. `auto` is our own, unless it cannot be had.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import NamedTuple

from regfs.errors import MountpointError
from regfs.machine import collect_cycles_seldom, hold_little_memory
from regfs.mount import programs
from regfs.mount.kernel.agreement import Settings
from regfs.mount.kernel.ending import Ending
from regfs.mount.kernel.files import max_read
from regfs.mount.kernel.mounting import mount, unmount
from regfs.mount.kernel.requests import Lifetimes
from regfs.mount.kernel.session import KernelSession, KernelTooOldError
from regfs.mount.kernel.wire import Agreed, Flag
from regfs.mount.mountpoint import mark_process, topmost
from regfs.mount.options import MountOptions, Session
from regfs.mount.owner import Owner
from regfs.oci import Digest
from regfs.tree import Tree

_log = logging.getLogger(__name__)

#: Seconds between two lines of the log about the progress of the index.
_LINE_EVERY = 10.0

#: The part of `ttl` that is the kernel's; the rest is the graph's. The kernel may be told what the graph
#: believes just before that expires.
KERNELS_SHARE = 0.5

#: Opens the tree to serve: what it tells is so many seconds old at most; `given_up` as for `opened_tree`.
OpenTree = Callable[[float, Callable[[], bool]], AbstractContextManager[Tree]]


class Ends(NamedTuple):
    """Called when the file system is mounted, with what answers the kernel; and when it is unmounted."""

    ready: Callable[[str], None]
    ending: Callable[[], None]


def serve(
    open_tree: OpenTree,
    fsname: str,
    mountpoint: str,
    options: MountOptions,
    *,
    local: bool,
    debug: bool = False,
    ready: Callable[[str], None] = lambda _: None,
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Mount a tree at an absolute path and answer the kernel until it is unmounted.

    `fsname` is what the mount shows as its source. `ready` is called when it is mounted, with the session in
    words, `ending` when it is unmounted. `local`: the store is not on a network, so the kernel may read its
    files by itself. Raises MountpointError where the mount is refused.
    """
    hold_little_memory()
    collect_cycles_seldom()
    ends = Ends(ready, ending)
    if options.session is not Session.FUSEPY:
        try:
            serve_by_kernel(open_tree, fsname, mountpoint, options, ends, local=local)
        except KernelTooOldError as error:
            if options.session is Session.KERNEL:
                raise MountpointError(mountpoint, f"{error}; mount with -o session=fusepy") from error
            _log.warning("%s: it is answered through libfuse and fusepy", error)
        else:
            return
    from regfs.mount.portable.session import serve_by_fusepy  # only now: it fails where there is no libfuse

    serve_by_fusepy(open_tree, fsname, mountpoint, options, ends, debug=debug)


def serve_by_kernel(
    open_tree: OpenTree, fsname: str, mountpoint: str, options: MountOptions, ends: Ends, *, local: bool
) -> None:
    """Serve by our own session. Raises KernelTooOldError before anything was answered."""
    given = options.libfuse
    share = KERNELS_SHARE * options.ttl if math.isfinite(options.ttl) else options.ttl

    def seconds(name: str) -> float:
        value = given.get(name)
        return float(value) if isinstance(value, str) else share

    lifetimes = Lifetimes(seconds("entry_timeout"), seconds("attr_timeout"), seconds("negative_timeout"))
    settings = Settings.of_options(given, passthrough=local and os.geteuid() == 0)
    owner = Owner(options.uid, options.gid, options.umask, options.image_owners)
    only_for = frozenset({0, os.geteuid()}) if given.get("allow_root") else None
    sessions: list[KernelSession] = []

    def given_up() -> bool:
        return any(session.crew.given_up() for session in sessions)

    rest = options.ttl - share if math.isfinite(share) else share
    with open_tree(rest, given_up) as tree, Ending(mountpoint) as ending, ExitStack() as stack:
        device = mount(fsname, mountpoint, given, max_read(given))
        stack.callback(os.close, device)
        session = KernelSession(
            device, tree, settings, lifetimes, owner, only_for=only_for, on_end=ending.ended
        )
        sessions.append(session)
        try:
            agreed = session.begin()
            stack.callback(session.close)
            if given.get("auto_unmount") and (mounted := topmost(mountpoint)):
                stack.callback(programs.AutoUnmount(mountpoint, mounted.device).close)
            session.crew.start()
            mark_process(mountpoint)
            ends.ready(_in_words(agreed))
        except BaseException:
            unmount(mountpoint)
            raise
        if ending.asked:  # before there was anything to unmount
            unmount(mountpoint)
        ending.wait()
        ends.ending()


def _in_words(agreed: Agreed) -> str:
    reads = ", stored files read by the kernel itself" if Flag.PASSTHROUGH in agreed.flags else ""
    return f"FUSE 7.{agreed.minor}{reads}"


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
        # At once: to take apart all that was loaded takes as long as to load a tenth of it.
        os._exit(0 if ready else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or 1)
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
