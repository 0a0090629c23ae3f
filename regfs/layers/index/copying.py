"""Making the seekable copy of a layer that has too few points: the same tar in small zstd frames.

`zstd -dc` of the copy gives the tar. One thread calls.
"""

from __future__ import annotations

import io
import os

from regfs.errors import LayerError, NoRoomError
from regfs.layers.index.pipeline import BlobSource, Pipeline
from regfs.layers.index.seek_table import SeekTable
from regfs.layers.streams import Point, transcode

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make_copy(source: BlobSource, path: str, diff_id: str) -> None:
    """Make the copy of a blob at `path`, readable by its owner only.

    Raises LayerError, also if the plain bytes are not those of `diff_id`; StoreError; and NoRoomError if the
    file cannot be written. What was made until then stays: to remove it is the caller's.
    """
    table = SeekTable()
    pipeline = Pipeline(source, _ignore)
    try:
        with io.FileIO(os.open(path, _NEW, 0o600), "w") as file:
            transcode(pipeline, lambda frame: _write(file, frame), table.note)
            _write(file, table.encode(pipeline.size, file.tell()))
    except OSError as error:
        # Only the copy raises these: the store's are StoreErrors.
        raise NoRoomError(os.path.dirname(path), error.strerror or str(error)) from error
    if pipeline.diff_id != diff_id:
        raise LayerError(f"it became {pipeline.diff_id} uncompressed, and was {diff_id} before")


def _ignore(point: Point) -> None:
    """Take no notice: the copy has points of its own."""


def _write(file: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
