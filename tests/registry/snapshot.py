"""All that a file system records about the files below a directory, but for the times of reading."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple


class Recorded(NamedTuple):
    mode: int
    links: int
    owner: tuple[int, int]
    size: int
    mtime_ns: int
    ctime_ns: int
    content: str


def snapshot(root: Path) -> dict[str, Recorded]:
    """Record every name below a directory, and itself."""
    found = {".": _record(root)}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(directory, name)
            found[path.relative_to(root).as_posix()] = _record(path)
    return found


def _record(path: Path) -> Recorded:
    now = path.lstat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(now.st_mode) else ""
    owner = (now.st_uid, now.st_gid)
    return Recorded(now.st_mode, now.st_nlink, owner, now.st_size, now.st_mtime_ns, now.st_ctime_ns, content)
