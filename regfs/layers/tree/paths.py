"""Paths and names as tars hold them: which of them a file system can show, and which are whiteouts."""

from __future__ import annotations

from typing import Final

#: Bytes: Linux's NAME_MAX, and PATH_MAX without the closing NUL. (limits.h)
LONGEST_NAME: Final = 255
LONGEST_PATH: Final = 4095

#: How many symlinks one path may lead over. (Linux, path_resolution(7))
FOLLOWED: Final = 40

#: A name that begins with this hides the rest of it in lower layers, and never shows itself.
#: (image-spec, layer.md, "Whiteouts")
WHITEOUT: Final = b".wh."

#: This one hides all that lower layers have in its directory. (layer.md, "Opaque Whiteout")
OPAQUE_WHITEOUT: Final = b".wh..wh..opq"

#: Other names that begin so are aufs' own, and mean nothing.
AUFS: Final = b".wh..wh."


def split(path: bytes) -> list[bytes]:
    """Give the names of a path: "." dropped, ".." going up as the text says, and never above the root.

    By the text alone, as runtimes clean an entry's path before they look at any symlink.
    """
    names: list[bytes] = []
    for name in path.split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in {b"", b"."}:
            names.append(name)
    return names


def can_name(name: bytes) -> bool:
    """Tell whether a file system can show a name, or a whiteout hide it: its own never has to exist."""
    return len(name.removeprefix(WHITEOUT)) <= LONGEST_NAME and b"\0" not in name


def can_show(name: bytes) -> bool:
    """Tell whether a file system can show a name, also if it is a whiteout's own."""
    return len(name) <= LONGEST_NAME and b"\0" not in name


def can_point(target: bytes) -> bool:
    """Tell whether a link can have a target."""
    return 0 < len(target) <= LONGEST_PATH and b"\0" not in target
