"""The one table from regfs's errors to errno. What is not in it is EIO."""

from __future__ import annotations

import errno

from regfs.errors import (
    GivenUpError,
    IsDirectoryError,
    LoopError,
    MissingError,
    NameTooLongError,
    NoAttributeError,
    NoEntryError,
    NoNamespaceError,
    NoRoomError,
    NotDirectoryError,
    NotSymlinkError,
    OutdatedError,
    RegfsError,
    StoreAwayError,
    UnreadableError,
)

_TABLE: dict[type[RegfsError], int] = {
    NoEntryError: errno.ENOENT,
    NameTooLongError: errno.ENAMETOOLONG,
    MissingError: errno.ENOENT,
    NotDirectoryError: errno.ENOTDIR,
    IsDirectoryError: errno.EISDIR,
    NotSymlinkError: errno.EINVAL,
    NoAttributeError: errno.ENODATA,
    NoNamespaceError: errno.ENOTSUP,
    NoRoomError: errno.ENOSPC,
    GivenUpError: errno.EINTR,
    LoopError: errno.ELOOP,
    # An open(2) that ends so goes the whole path again, and asks for all attributes on it (namei.c).
    OutdatedError: errno.ESTALE,
}

#: What this process lacks: the reader cannot mend the store, but can wait.
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def errno_of(error: RegfsError) -> int:
    """Give the errno that a program shall see for an error."""
    if isinstance(error, UnreadableError) and error.denied:
        return errno.EACCES
    if isinstance(error, StoreAwayError) and error.errno in _OURS:
        return error.errno
    return _TABLE.get(type(error), errno.EIO)
