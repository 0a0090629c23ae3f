"""The part of fusepy 3.0.1 that regfs uses; fusepy itself has no annotations."""

import ctypes
from typing import Any, ClassVar

c_off_t = ctypes.c_longlong

class c_stat(ctypes.Structure):
    st_ino: int
    st_mode: int

class Operations:
    use_ns: bool
    access: Any
    flush: Any
    fsync: Any
    fsyncdir: Any
    ioctl: Any
    opendir: Any
    releasedir: Any

class FUSE:
    OPTIONS: ClassVar[tuple[tuple[str, str], ...]]
    def __init__(
        self,
        operations: Operations,
        mountpoint: str,
        raw_fi: bool = ...,
        encoding: str = ...,
        **kwargs: Any,
    ) -> None: ...

_libfuse: Any
