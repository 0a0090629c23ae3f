"""`image.tar`: images as one archive, an OCI layout and what `docker save` writes in one.

A tar without padding to records; its headers say the same for ever (mode 0444, owner 0, time 0), so its bytes
follow from the manifests alone. Its size is known, and each part can be read, without reading another.
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from regfs.errors import MismatchError, SizeError
from regfs.oci import Digest
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.blob import BlobFile
from regfs.tree.interop.documents import LAYOUT, blob_path, docker_json, docker_loads, index_json
from regfs.tree.interop.image import Members, NamedImage, lacking, stored_size
from regfs.tree.interop.names import ARCHIVE
from regfs.tree.node import Attributes, Directory, File

_log = logging.getLogger(__name__)


#: A tar's blocks, and its end (pax(1), "ustar Interchange Format"), in bytes.
_BLOCK = 512
_END = bytes(2 * _BLOCK)

#: Bytes that `stream` reads at once.
_PIECE = 1 << 20

#: Blobs that one reader keeps open: as the kernel reads ahead, it asks for two of them in turn.
_MOST_OPEN = 4


class ArchiveStretch(NamedTuple):
    """Bytes of an archive from `start` to `end`: computed ones, or a blob's with its digest."""

    start: int
    end: int
    content: bytes | BlobFile
    digest: Digest | None


class Archive:
    """What an archive of some images holds. `directory` is what its blobs hang on in the tree.

    Raises what is wrong with the manifests.
    """

    def __init__(self, directory: Directory, images: Sequence[NamedImage]) -> None:
        self._members: list[tuple[NamedImage, Members]] = []
        self._seen: set[Digest] = set()
        self._computed = bytearray()
        self._end = 0
        self.stretches: list[ArchiveStretch] = []
        self._add_bytes("oci-layout", LAYOUT)
        self._add_bytes("index.json", index_json(images))
        if docker := docker_json(images):
            self._add_bytes("manifest.json", docker)
        for image in images:
            self._add_blobs(image, directory)
        self._computed += _END
        self._flush()
        self.starts = [stretch.start for stretch in self.stretches]
        self.size = self._end

    def _add_bytes(self, name: str, content: bytes) -> None:
        self._computed += _header(name, len(content)) + content + _padding(len(content))

    def _add_blobs(self, image: NamedImage, directory: Directory) -> None:
        members = Members()
        members.add(image)
        self._members.append((image, members))
        for member in members:
            digest = member.descriptor.digest
            if digest in self._seen:
                continue
            self._seen.add(digest)
            size = stored_size(image.scope, member.descriptor)
            self._computed += _header(blob_path(digest), size)
            self._flush()
            file = BlobFile(image.scope, member.named, member.kind, directory)
            self._append(size, file, digest)
            self._computed += _padding(size)

    def _flush(self) -> None:
        """End a stretch of computed bytes."""
        self._append(len(self._computed), bytes(self._computed), None)
        self._computed.clear()

    def _append(self, size: int, content: bytes | BlobFile, digest: Digest | None) -> None:
        if size:
            self.stretches.append(ArchiveStretch(self._end, self._end + size, content, digest))
            self._end += size

    @property
    def identity(self) -> str:
        """The digest of the bytes that are computed: they name all others, with their sizes."""
        found = hashlib.sha256()
        for stretch in self.stretches:
            if isinstance(stretch.content, bytes):
                found.update(stretch.content)
        return f"archive {found.hexdigest()}"

    def lacking(self) -> list[str]:
        """Tell in words which blobs are missing or have another size: to read it would end so."""
        found = (what for image, members in self._members for what in lacking(image.scope, members))
        return list(dict.fromkeys(found))

    def left_out(self) -> list[str]:
        """Tell in words what images for other platforms lack, which is not in the archive."""
        return list(dict.fromkeys(what for _, members in self._members for what in members.left_out))

    def stream(self) -> Iterator[bytes | memoryview]:
        """Read all of it, and see that each blob has its digest.

        Raises MismatchError or SizeError before the last bytes of a blob that has not, so that what was given
        until then is no whole archive. A piece is valid until the next one.
        """
        buffer = memoryview(bytearray(_PIECE))
        for stretch in self.stretches:
            if isinstance(stretch.content, bytes):
                yield stretch.content
            else:
                yield from _checked(stretch, stretch.content, buffer)


def _checked(stretch: ArchiveStretch, file: BlobFile, buffer: memoryview) -> Iterator[memoryview]:
    size, digest = stretch.end - stretch.start, stretch.digest
    found = hashlib.new(digest.algorithm) if digest is not None and digest.computable else None
    content = file.open()
    try:
        done = 0
        while done < size:
            piece = buffer[: min(size - done, len(buffer))]
            _fill(piece, content, done, stretch)
            done += len(piece)
            if found is not None:
                found.update(piece)
                if done == size and found.hexdigest() != (digest and digest.hex):
                    raise MismatchError(str(digest), f"{digest and digest.algorithm}:{found.hexdigest()}")
            yield piece
    finally:
        content.close()


def _fill(buffer: memoryview, content: Content, offset: int, stretch: ArchiveStretch) -> None:
    """Fill all of `buffer` from a blob. Raises SizeError if that has become too short."""
    got = content.read_into(buffer, offset)
    if got < len(buffer):
        raise SizeError(str(stretch.digest), offset + got, stretch.end - stretch.start)


def _header(name: str, size: int) -> bytes:
    """Make a header: 512 bytes; 1,536 where the name is long, as that of a blob by its sha512 is."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o444
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


class ArchiveFile(File):
    """`image.tar` in an image's directory."""

    __slots__ = ("_archive", "_parent", "image")

    XATTRS = ("digest", "kind", "name", "docker_load")

    def __init__(self, parent: Directory, image: NamedImage) -> None:
        super().__init__(inode.of_child(parent.inode, ARCHIVE))
        self._parent = parent
        self.image = image
        self._archive: Archive | None = None

    def archive(self) -> Archive:
        """Work out what is in it. Raises what is wrong with the manifests."""
        if self._archive is None:
            self._archive = Archive(self._parent, [self.image])
        return self._archive

    @property
    def identity(self) -> str:
        """What all of its bytes follow from."""
        return self.archive().identity

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        size = self.archive().size
        return Attributes.of_computed(self.inode, size, self._parent.attributes().mtime_ns)

    def facts(self) -> Mapping[str, str]:
        """Tell the manifest's digest, the image's name, and whether `docker load` takes it."""
        image = self.image
        return {
            "digest": str(image.digest),
            "kind": "archive",
            "name": image.name,
            "docker_load": docker_loads(image),
        }

    def open(self) -> Content:
        """Open the bytes."""
        loads = docker_loads(self.image)
        if loads != "yes":
            name = self.image.name or self.image.digest
            _log.info("%s: docker load takes its image.tar: %s", name, loads)
        return ArchiveContent(self.archive())


class OpenedArchive:
    """An open blob, and how many read it just now."""

    __slots__ = ("content", "readers")

    def __init__(self, content: Content) -> None:
        self.content = content
        self.readers = 0


class ArchiveContent:
    """The bytes of an archive, at any offset; a few blobs are kept open. Safe for many threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._opened: dict[int, OpenedArchive] = {}

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on. Raises what is wrong with a blob that it touches."""
        stretches = self._archive.stretches
        position = bisect_right(self._archive.starts, offset) - 1
        filled = 0
        while filled < len(buffer) and position < len(stretches) and offset + filled < self._archive.size:
            stretch = stretches[position]
            begin = offset + filled - stretch.start
            piece = buffer[filled : filled + stretch.end - stretch.start - begin]
            if isinstance(stretch.content, bytes):
                piece[:] = stretch.content[begin : begin + len(piece)]
            else:
                self._read(position, stretch.content, piece, begin)
            filled += len(piece)
            position += 1
        return filled

    def _read(self, position: int, file: BlobFile, piece: memoryview, begin: int) -> None:
        opened = self._use(position, file)
        try:
            _fill(piece, opened.content, begin, self._archive.stretches[position])
        finally:
            with self._lock:
                opened.readers -= 1

    def _use(self, position: int, file: BlobFile) -> OpenedArchive:
        """Give an open blob, which stays open while it has readers."""
        with self._lock:
            opened = self._opened.get(position)
            if opened is None:
                opened = OpenedArchive(file.open())
                idle = [key for key, other in self._opened.items() if not other.readers]
                for key in idle[: max(0, len(self._opened) + 1 - _MOST_OPEN)]:
                    self._opened.pop(key).content.close()
                self._opened[position] = opened
            opened.readers += 1
            return opened

    def close(self) -> None:
        """Close the blobs."""
        for opened in self._opened.values():
            opened.content.close()
        self._opened.clear()
