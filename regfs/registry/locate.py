"""Finding the store: from the path that a person gives to the directory that holds `blobs/`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from itertools import islice

from regfs.errors import StoreNotFoundError
from regfs.registry import layout
from regfs.storage.local import Expected, LocalStorage


def locate(path: str) -> str:
    """Find the store at or below `path`: the registry's root directory, or any directory down to `v2`.

    Gives an absolute path without symlinks. Raises StoreNotFoundError, which says what was looked for and
    what is there.
    """
    start = os.path.realpath(path)
    try:
        if not stat.S_ISDIR(os.stat(start).st_mode):
            raise StoreNotFoundError(path, "is not a directory")
        for first in range(len(layout.BELOW_ROOT), -1, -1):
            candidate = os.path.join(start, *layout.BELOW_ROOT[first:])
            if is_store(candidate):
                if form := _other_form(candidate):
                    raise StoreNotFoundError(path, form)
                return candidate
        raise StoreNotFoundError(path, _explanation(start))
    except FileNotFoundError as error:
        raise StoreNotFoundError(path, "there is no such directory") from error
    except OSError as error:
        place = error.filename or start
        reason = f"cannot look into {place}: {error.strerror}"
        if isinstance(error, PermissionError):
            reason += ". The registry's files often belong to root: try sudo"
        raise StoreNotFoundError(path, reason) from error


def open_local(root: str, *, follow_symlinks: bool = False) -> LocalStorage:
    """Open the store that `locate` found. Raises StoreError."""
    top = frozenset({"", layout.BLOBS, layout.REPOSITORIES})
    return LocalStorage(root, follow_symlinks=follow_symlinks, expected=Expected(is_store, top))


def _other_form(store: str) -> str:
    """Tell what a directory is that only looks like a store; empty for what is one."""
    blobs = os.path.join(store, layout.BLOBS)
    if _is(os.path.join(store, "images"), stat.S_ISDIR) and not _is(blobs, stat.S_ISDIR):
        return "is the storage of a registry v1 (docker-registry 0.9 and before), which regfs cannot read"
    for first in _some_names(blobs):
        for shard in _some_names(f"{blobs}/{first}"):
            for blob in _some_names(f"{blobs}/{first}/{shard}"):
                data = f"{blobs}/{first}/{shard}/{blob}/{layout.DATA}"
                if _is_directory(data) and os.path.lexists(f"{data}/xl.meta"):
                    return (
                        "is in MinIO's own disk format (xl.meta), which only MinIO can read: copy the bucket "
                        "out of it (mc mirror, rclone), and give the copy"
                    )
    return ""


def _is_directory(path: str) -> bool:
    """Tell whether a path is a directory, and no symlink; no as well where that cannot be told."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _some_names(directory: str) -> list[str]:
    """Give the first few names in a directory; none where it cannot be listed."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in islice(entries, 2))
    except OSError:
        return []


def is_store(candidate: str) -> bool:
    """Tell whether a directory holds a store. Raises OSError where it may not be looked at."""
    if _is(os.path.join(candidate, layout.REPOSITORIES), stat.S_ISDIR):
        return True
    blobs = _is(os.path.join(candidate, layout.BLOBS), stat.S_ISDIR)
    return blobs and not _is(os.path.join(candidate, "oci-layout"), stat.S_ISREG)


def _is(path: str, wanted: Callable[[int], bool]) -> bool:
    """As os.path.isdir, which says no as well where it may not look; this raises OSError for that."""
    try:
        return wanted(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


#: Names in a directory that are looked into for a store: Harbor's data directory has a dozen.
_MOST_NAMES = 64


def _holds_store(path: str) -> bool:
    try:
        return is_store(os.path.join(path, *layout.BELOW_ROOT))
    except OSError:
        return False


def _explanation(start: str) -> str:
    found = sorted(os.listdir(start))
    if "oci-layout" in found:
        return (
            "is an OCI image layout, not the storage of a registry: skopeo, crane and umoci read it "
            f"(skopeo inspect oci:{start})"
        )
    for name in found[:_MOST_NAMES]:
        inner = os.path.join(start, name)
        if _holds_store(inner):
            return f"has a registry's storage below: give {inner}"
    above = os.path.dirname(start)
    while above != "/" and not (is_store(above) and os.path.basename(above) == layout.BELOW_ROOT[-1]):
        above = os.path.dirname(above)
    if above != "/":
        return f"lies inside a store; give the store itself: {above}"
    below = ["/".join(layout.BELOW_ROOT[first:]) for first in range(len(layout.BELOW_ROOT))]
    looked_for = ", ".join(f"{way}/{layout.REPOSITORIES}" for way in reversed(below))
    there = ", ".join(found[:8]) + (", …" if len(found) > 8 else "") if found else "nothing"
    return (
        "no registry storage found. Looked for "
        f"{layout.REPOSITORIES} or {layout.BLOBS} here, {looked_for}; there is {there}. Give the registry's "
        "rootdirectory (storage.filesystem.rootdirectory in its config.yml, often /var/lib/registry)"
    )
