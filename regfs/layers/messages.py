"""What a child process is told, and what it answers: JSON, one object a line."""

from __future__ import annotations

import json
from typing import TypeAlias

import msgspec

from regfs import errors
from regfs.errors import LayerError, RegfsError
from regfs.layers.sizes import MAX_LAYER_SIZE
from regfs.oci.digest import Digest


class Job(msgspec.Struct, frozen=True):
    """What a child is to make at `path`: an index, or if `copy_of` is a DiffID, the seekable copy of that.

    The blob of `size` bytes comes as an open descriptor beside the job; one that is not `seekable` is a pipe.
    It may become `most` plain bytes.
    """

    digest: Digest
    size: int
    path: str
    copy_of: str = ""
    seekable: bool = True
    most: int = MAX_LAYER_SIZE


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How many bytes were read of a blob, of how many."""

    read: int
    size: int


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It is made. `peak` is the most memory that the child had, in bytes."""

    peak: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot be made: an error of `regfs.errors`, by its class, its text and its fields."""

    kind: str
    text: str
    fields: dict[str, str | int | bool]

    @classmethod
    def of(cls, error: RegfsError, digest: Digest) -> Failed:
        """Put an error into words. One of a layer gets the layer's name, which those below do not know."""
        fields = dict(error.__dict__)
        text = str(error)
        if isinstance(error, LayerError):
            fields["reason"] = f"layer {digest}: {error.reason}"
            text = f"layer {digest}: {text}"
        return cls(type(error).__name__, text, fields)

    def error(self) -> RegfsError:
        """Give the error again."""
        return errors.remake(getattr(errors, self.kind), (self.text,), self.fields)


Reply: TypeAlias = Progress | Done | Failed

# Worked out now: two threads that are the first to use a form at once crash the process (oci/document.py).
for _form in (Job, Reply):
    msgspec.json.Decoder(_form)


def encode(message: Job | Reply) -> bytes:
    """Give a message as a line of ASCII. msgspec itself cannot write paths that are no UTF-8 (PEP 383)."""
    return json.dumps(msgspec.to_builtins(message)).encode("ascii") + b"\n"


def decode_job(line: bytes) -> Job:
    """Read a job."""
    return msgspec.convert(json.loads(line), Job)


def decode_reply(line: bytes) -> Reply:
    """Read a reply. Raises ValueError for anything else."""
    reply: Reply = msgspec.convert(json.loads(line), Reply)
    return reply
