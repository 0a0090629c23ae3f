"""The one table from regfs's errors to errno. What is not in it is EIO."""

from __future__ import annotations

import errno

from regfs.errors import (
    BadRequestError,
    ForgottenError,
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
    ForgottenError: errno.ESTALE,
    BadRequestError: errno.EINVAL,
}

#: What this process lacks: the reader cannot mend the store, but can wait.
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


#: Answers that tell of the question, not of the store; they are not logged.
ASKED_WRONGLY = frozenset(
    {
        errno.ENOENT,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENODATA,
        errno.ENOTSUP,
        errno.EINVAL,
        errno.EINTR,
        errno.ESTALE,
    }
)


def errno_of(error: RegfsError) -> int:
    """Give the errno that a program shall see for an error."""
    if isinstance(error, UnreadableError) and error.denied:
        return errno.EACCES
    if isinstance(error, StoreAwayError) and error.errno in _OURS:
        return error.errno
    return _TABLE.get(type(error), errno.EIO)
