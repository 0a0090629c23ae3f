"""What only the blobs themselves tell: when an image was built, what an orphan is.

Read when a report first needs it, before that takes its snapshot, and kept in the index: the content of a
digest does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice

from regfs.errors import MissingError, RegfsError
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.contents import (
    ConfigRead,
    Recognised,
    keep_configs,
    keep_recognised,
    unread_configs,
    unrecognised,
)
from regfs.oci import Digest, ImageConfig, Schema1Manifest, parse_manifest
from regfs.oci.signature import ENOUGH, recognise
from regfs.registry import Contents
from regfs.registry.contents import CONFIG_LIMIT

#: Blobs that are read before what they tell is kept.
_AT_ONCE = 1000


class BlobContents:
    """Reads what the index lacks from the store, and has the index keep it. No lock is held meanwhile."""

    def __init__(self, index: ReferenceIndex, contents: Contents) -> None:
        self._index = index
        self._contents = contents

    def read_configs(self) -> None:
        """Read when, and for which platform, each image was built."""
        with self._index.snapshot() as snapshot:
            lacking = unread_configs(snapshot)
        for some in _read(lacking, self._config):
            rows = [ConfigRead(digest, *texts) for digest, texts in some]
            self._index.write(partial(keep_configs, configs=rows))

    def read_orphans(self) -> None:
        """Recognise each blob that is orphaned or unknown by its first bytes."""
        self._recognise(None)

    def read_orphan(self, digest: str) -> None:
        """Recognise one blob, if it is orphaned or unknown."""
        self._recognise(digest)

    def _recognise(self, digest: str | None) -> None:
        with self._index.snapshot() as snapshot:
            lacking = unrecognised(snapshot, digest)
        for some in _read(lacking, self._orphan):
            rows = [Recognised(digest, *texts) for digest, texts in some]
            self._index.write(partial(keep_recognised, blobs=rows))

    def _config(self, digest: Digest) -> tuple[str, str]:
        try:
            raw = self._contents.read_blob(digest, CONFIG_LIMIT)
            with suppress(RegfsError):
                manifest = parse_manifest(raw)
                raw = manifest.config if isinstance(manifest, Schema1Manifest) else raw
            config = ImageConfig.parse(raw)
        except MissingError:
            raise
        except RegfsError:
            return "", ""
        platform = config.platform
        return config.created, "-".join(filter(None, (platform.os, platform.architecture, platform.variant)))

    def _orphan(self, digest: Digest) -> tuple[str, str]:
        try:
            return recognise(self._start(digest))
        except MissingError:
            raise
        except RegfsError:
            return ".bin", ""

    def _start(self, digest: Digest) -> bytes:
        """Read the first bytes of a blob; all of it, if it begins as JSON and is not too large."""
        content = self._contents.open_blob(digest)
        try:
            buffer = bytearray(ENOUGH)
            start = bytes(buffer[: content.read_into(memoryview(buffer), 0)])
        finally:
            content.close()
        if start.lstrip()[:1] == b"{" and len(start) == ENOUGH:
            with suppress(RegfsError):
                return self._contents.read_blob(digest, CONFIG_LIMIT)
        return start


def _read(
    digests: Iterable[str], read: Callable[[Digest], tuple[str, str]]
) -> Iterator[list[tuple[str, tuple[str, str]]]]:
    """Read blobs, and give what they tell, some at a time; without those that were collected meanwhile."""
    waiting = iter(digests)
    while some := list(islice(waiting, _AT_ONCE)):
        found = []
        for digest in some:
            with suppress(MissingError):
                one, other = (text.encode(errors="replace").decode() for text in read(Digest.parse(digest)))
                found.append((digest, (one, other)))
        yield found
