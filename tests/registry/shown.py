"""What a mount shows of an image, read with plain file operations into values that can be compared."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

#: What a user of the mount reads of an index besides its children.
_DEFAULT = ("config.json", "layers")


class Failure(NamedTuple):
    """Reading failed with this errno."""

    errno: int


class Link(NamedTuple):
    """It is a symlink, with this target."""

    target: str


class File(NamedTuple):
    """A file of the mount: its name, the size that stat(2) tells, and what reading it gives."""

    name: str
    size: int
    content: bytes | Failure | Link

    @property
    def body(self) -> bytes:
        assert isinstance(self.content, bytes), self
        return self.content

    @property
    def digest(self) -> str:
        return digest_of(self.body)


@dataclass(frozen=True)
class Image:
    """The directory of an image or index. A child that is not stored is None; `default` names a child."""

    manifest: File
    config: File | None = None
    layers: tuple[File, ...] = ()
    platforms: dict[str, Image | None] = field(default_factory=dict)
    default: str | None = None


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def read_image(directory: Path) -> Image:
    """Read all that an image's directory holds. Fails on any name that does not belong there."""
    names = set(os.listdir(directory))
    manifest = read_file(directory / "manifest.json")
    if "platforms" in names:
        default = _default(directory, names)
        assert names == {"manifest.json", "platforms", *(_DEFAULT if default else ())}
        platforms = directory / "platforms"
        children = {name: _read_child(platforms / name) for name in os.listdir(platforms)}
        return Image(manifest, platforms=children, default=default)
    assert names == {"manifest.json", "config.json", "layers"}
    layers = directory / "layers"
    return Image(
        manifest,
        config=read_file(directory / "config.json"),
        layers=tuple(read_file(layers / name) for name in sorted(os.listdir(layers))),
    )


def _read_child(directory: Path) -> Image | None:
    return read_image(directory) if os.listdir(directory) else None


def _default(directory: Path, names: set[str]) -> str | None:
    if "config.json" not in names:
        return None
    target = os.readlink(directory / "config.json")
    assert target.endswith("/config.json")
    platform = target.removesuffix("/config.json")
    assert os.readlink(directory / "layers") == f"{platform}/layers"
    return platform.removeprefix("platforms/")


#: The size of what cannot even be looked at.
UNKNOWN = -1


def read_file(path: Path) -> File:
    """Read one file of the mount, or the reason why it cannot be read, or where it points."""
    try:
        found = path.lstat()
    except OSError as error:
        return File(path.name, UNKNOWN, Failure(error.errno or 0))
    if path.is_symlink():
        return File(path.name, found.st_size, Link(os.readlink(path)))
    try:
        return File(path.name, found.st_size, path.read_bytes())
    except OSError as error:
        return File(path.name, found.st_size, Failure(error.errno or 0))


def files_of(image: Image) -> Iterator[File]:
    """Give config and layers of an image and of all below it."""
    yield from filter(None, (image.config, *image.layers))
    for child in image.platforms.values():
        if child is not None:
            yield from files_of(child)


def kind_of(directory: Path) -> str:
    """Tell what regfs says that a directory is: `repository`, `namespace`, `image`, …; "" if it cannot."""
    try:
        return os.getxattr(directory, "user.regfs.kind").decode()
    except OSError:
        return ""


def repositories(mountpoint: Path) -> dict[str, set[str]]:
    """Walk down to every repository that the mount lists; give the tags that each one lists."""
    found: dict[str, set[str]] = {}
    waiting = [mountpoint]
    while waiting:
        directory = waiting.pop()
        tags = set()
        for name in os.listdir(directory):
            if kind_of(directory / name) in ("repository", "namespace"):
                waiting.append(directory / name)
            else:
                tags.add(name.removeprefix(":"))
        if kind_of(directory) == "repository":
            found[directory.relative_to(mountpoint).as_posix()] = tags
        else:
            assert not tags, f"{directory} is no repository and has tags"
    return found


def tag_directory(mountpoint: Path, repository: str, tag: str) -> Path:
    """Give the directory of a tag, by the name that always resolves."""
    return mountpoint / repository / f":{tag}"
