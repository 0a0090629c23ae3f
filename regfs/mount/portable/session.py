"""fusepy's session: the kernel is answered by path, through libfuse 2.

For where our own session cannot be had. It asks anew for all and reads around the kernel's caches.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from regfs.errors import MountpointError
from regfs.mount.mountpoint import is_trigger, mark_process
from regfs.mount.owner import Owner
from regfs.mount.portable.operations import Operations, PathLifetimes
from regfs.mount.requirements import check_libfuse

if TYPE_CHECKING:
    from regfs.mount.options import MountOptions
    from regfs.mount.session import Ends, OpenTree

#: Longer than any mount lives, where libfuse wants a number of seconds for "never".
_NEVER = 1e9


def serve_by_fusepy(
    open_tree: OpenTree, fsname: str, mountpoint: str, options: MountOptions, ends: Ends, *, debug: bool
) -> None:
    """Serve through libfuse. Raises RequirementError; MountpointError if libfuse refuses (it says why)."""
    # fusepy looks for libfuse as it is imported, by running compilers; this tells it.
    os.environ.setdefault("FUSE_LIBRARY_PATH", check_libfuse())
    from regfs.mount.portable.dispatch import Dispatch, interrupted

    lifetimes = PathLifetimes.of(options.ttl)
    libfuse: dict[str, str | bool] = {
        "attr_timeout": "0",
        "entry_timeout": str(min(lifetimes.kernel, _NEVER)),
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
        ends.ready("through libfuse 2 and fusepy")

    try:
        with open_tree(lifetimes.graph, interrupted) as tree:
            Dispatch(
                Operations(tree, lifetimes),
                mountpoint,
                Owner(options.uid, options.gid, options.umask, options.image_owners),
                mounted,
                {**libfuse, "debug": debug},
            )
            ends.ending()
    except UnicodeEncodeError as error:
        raise MountpointError(
            mountpoint, "a path that is not UTF-8 cannot be mounted or mounted on"
        ) from error
    except RuntimeError as error:
        raise MountpointError(mountpoint, f"libfuse could not mount (status {error})") from error


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,")
