"""Handles of files, by which NFS servers name them: name_to_handle_at(2), open_by_handle_at(2).

A FUSE file's handle holds its nodeid: so a test can ask for a number itself, whatever its name leads to now.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_AT_FDCWD = -100
_MOST = 128
_libc = ctypes.CDLL(None, use_errno=True)


class FileHandle(ctypes.Structure):
    """struct file_handle."""

    _fields_ = (("size", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * _MOST))


def handle_of(path: Path) -> FileHandle:
    """Give the handle of a file."""
    handle, number = FileHandle(size=_MOST), ctypes.c_int()
    if _libc.name_to_handle_at(_AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(number), 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    return handle


def open_by_handle(mountpoint: Path, handle: FileHandle) -> int:
    """Open the file of a handle, which takes root. Raises OSError: ESTALE where there is none any more."""
    top = os.open(mountpoint, os.O_RDONLY)
    try:
        descriptor: int = _libc.open_by_handle_at(top, ctypes.byref(handle), os.O_RDONLY)
    finally:
        os.close(top)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
