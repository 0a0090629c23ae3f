"""Whether what regfs shows of a damaged store, and says of it, is right.

Damage is harmless if nothing that a tag needs is touched by it, or if each tag still shows byte for byte what
it showed before; or if it is an error at that place, and `check --digests` has a row that names it. More:

- What a tag shows whose files are all as they were is as it was: damage elsewhere hides nothing.
- A file that is shown with a digest has that digest, or `check --digests` names it. What stands inside layers
  is always right, and so is a manifest when it is read for the first time.
- A tag that is gone was deleted by the damage, with its directory; or a row names what stands there instead.
- A tag names what its link holds: after a swap, another image that is as whole as any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.fuzz.disk import Disk
from tests.fuzz.looking import Shown

#: Where the inside of an image or a layer begins in a path.
INSIDE = re.compile(r"/(rootfs|layers/\d\d(\.tar)?)(/|\Z)")


class Examined(NamedTuple):
    """What regfs showed of a store, and the rows of its report of what is broken."""

    shown: Mapping[str, Shown]
    rows: list[dict[str, Any]]
    status: int

    def names(self, repository: str, tag: str, paths: set[str]) -> bool:
        """Tell whether a row names a tag, or one of some files, or a directory above one."""
        digests = {f"{parts[1]}:{parts[3]}" for path in paths if (parts := path.split("/"))[0] == "blobs"}
        return any(
            (row["repository"], row["tag"]) == (repository, tag)
            or row["digest"] in digests
            or (
                row["path"]
                and any(path == row["path"] or path.startswith(row["path"] + "/") for path in paths)
            )
            for row in self.rows
        )

    @property
    def wrong_content(self) -> set[str]:
        """The digests of blobs whose content is not theirs, as the report has it."""
        return {row["digest"] for row in self.rows if row["kind"] in ("content", "size", "blob", "manifest")}


def judge(before: Examined, after: Examined, disk: Disk, *, warm: bool = False) -> Iterator[str]:
    """Say what is wrong, one line for each thing. `warm`: regfs had read the store before the damage."""
    yield from _false_bytes(before, after, warm)
    for repository, tag, digest in disk.tags():
        name = _shown_as(before.shown, repository, tag)
        if name is not None:
            yield from _tag(before, _as_before(after, name), disk, (repository, tag, digest), name)


def _shown_as(shown: Mapping[str, Shown], repository: str, tag: str) -> str | None:
    """Give the path of a tag in the tree, if it was shown whole before."""
    for name in (f"{repository}/:{tag}", f"{repository}/{tag}"):
        if f"{name}/manifest.json" in shown:
            return name
    return None


def _as_before(after: Examined, name: str) -> Examined:
    """Give what was seen with a tag under the name that it had before.

    It has a colon no more where the nested repository that had its name, too, is gone.
    """
    above, colon, tag = name.rpartition("/:")
    plain = f"{above}/{tag}"
    if not colon or name in after.shown or plain not in after.shown:
        return after
    below = {path: shown for path, shown in after.shown.items() if f"{path}/".startswith(f"{plain}/")}
    shown = {**after.shown, **{name + path.removeprefix(plain): was for path, was in below.items()}}
    return after._replace(shown=shown)


def _false_bytes(before: Examined, after: Examined, warm: bool) -> Iterator[str]:
    """Find files that are not what their digest says, and that no row names."""
    named = after.wrong_content
    for path, shown in after.shown.items():
        if shown.type != "file" or not shown.digest.startswith("sha256:") or INSIDE.search(path):
            continue
        if shown.said == shown.digest.removeprefix("sha256:") or before.shown.get(path) == shown:
            continue
        if path.endswith("/manifest.json") and not warm:
            yield f"{path!r} shows a manifest that is not {shown.digest}"
        elif shown.digest not in named:
            yield f"{path!r} shows what is not {shown.digest}, and check does not name it"


def _tag(
    before: Examined, after: Examined, disk: Disk, tag: tuple[str, str, str], name: str
) -> Iterator[str]:
    repository, tag_name, digest = tag
    obstacle = disk.obstacle(repository, tag_name)
    if obstacle is not None:
        # A plain file among the repositories or tags is what some tool left there, not what replaced one.
        of_registry = obstacle.endswith(("/_manifests", "/_manifests/tags"))
        replaced = disk.exists(obstacle) and (of_registry or not disk.is_file(obstacle))
        if replaced and not _names_obstacle(after, obstacle, repository, tag_name):
            yield f"{name} is gone, and check does not name what stands at {obstacle}"
        return
    content = disk.content(repository, tag_name, digest)
    touched = {path for path in content if not disk.intact(path)}
    shown = after.shown.get(name, Shown("nothing"))
    if shown.type == "directory" and shown.digest and shown.digest != digest:
        link = next(path for path in content if path.endswith("current/link"))
        if link not in touched:
            yield f"{name} is {shown.digest}, not {digest}, though its link is as it was"
        return
    yield from _differences(before, after, name, sound=not touched)
    if touched and not after.names(repository, tag_name, touched):
        yield f"{name} needs {sorted(touched)[:2]}, and check does not name that"
    if touched and after.status != 1:
        yield f"{name} needs {sorted(touched)[:2]}, and check's status is {after.status}"
    links = {path for path in disk.links(repository, digest) if not disk.intact(path)}
    if not touched and links and not after.names(repository, tag_name, links | _data(links)):
        yield f"{name} is not served without {sorted(links)[:2]}, and check does not name that"


def _data(links: set[str]) -> set[str]:
    """Give the files of the blobs that links name by their paths."""
    found = set()
    for path in links:
        *_, algorithm, encoded, _ = path.split("/")
        found.add(f"blobs/{algorithm}/{encoded[:2]}/{encoded}/data")
    return found


def _names_obstacle(after: Examined, obstacle: str, repository: str, tag: str) -> bool:
    """Tell whether a row says that something stands where a directory belongs."""
    return any(
        row["path"] == obstacle
        or obstacle.startswith(row["path"] + "/") * bool(row["path"])
        or (row["repository"] == repository and row["tag"] in ("", tag))
        or (row["repository"] and (repository + "/").startswith(row["repository"] + "/"))
        for row in after.rows
    )


def _differences(before: Examined, after: Examined, name: str, *, sound: bool) -> Iterator[str]:
    """Find what an image showed and does not show any more, without an error in its place or above."""
    found = []
    for path, was in before.shown.items():
        if path != name and not path.startswith(name + "/"):
            continue
        now = after.shown.get(path)
        if now == was or (now and was.type == now.type and was.type in ("directory", "error")):
            continue
        if sound:
            found.append(f"{path!r} was {was}, is {now}, though none of its files was touched")
        elif now is None:
            if not _explained(after.shown, path, name):
                found.append(f"{path!r} is gone without an error")
        elif now.type != "error" and (was.type != "file" or INSIDE.search(path[len(name) :])):
            found.append(f"{path!r} was {was}, is {now}")
    yield from found[:3]


def _explained(shown: Mapping[str, Shown], path: str, name: str) -> bool:
    """Tell whether a missing path is below an error, or of a child of an index that is not stored.

    That child is an empty directory, and the index shows no config and layers of its own then.
    """
    while path != name:
        path = path.rpartition("/")[0]
        at = shown.get(path)
        if at is not None and (at.type == "error" or f"{path}/manifest.json" not in shown):
            return "/platforms/" in path or at.type == "error"
    return f"{name}/platforms" in shown
