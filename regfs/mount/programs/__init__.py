"""What regfs has other programs do: they mount for those who are not root, and unmount."""

from typing import TYPE_CHECKING

from regfs.later import door

if TYPE_CHECKING:
    from regfs.mount.programs.helper import AutoUnmount, detach, helper, installed, mount_by_helper
    from regfs.mount.programs.unmounting import unmount
else:
    __getattr__ = door(
        __name__,
        {
            "AutoUnmount": "helper",
            "detach": "helper",
            "helper": "helper",
            "installed": "helper",
            "mount_by_helper": "helper",
            "unmount": "unmounting",
        },
    )

__all__ = ["AutoUnmount", "detach", "helper", "installed", "mount_by_helper", "unmount"]
