"""Digests: the names of blobs.

Grammar and registered algorithms: OCI image-spec, descriptor.md, "Digests" and "Registered Algorithms".
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from regfs.errors import DigestError

#: Length of the encoded part for each registered algorithm, in hex digits (image-spec, descriptor.md,
#: "Registered Algorithms"; go-digest, which distribution uses, knows sha384 besides).
LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}

#: The longest text that can be a digest, in bytes.
LONGEST = max(len(algorithm) + 1 + length for algorithm, length in LENGTHS.items())

_WELL_FORMED = re.compile("|".join(f"{name}:[a-f0-9]{{{length}}}" for name, length in LENGTHS.items()))


def well_formed(text: str) -> bool:
    """Tell whether `Digest.parse` would take a text; for many, where no values are needed."""
    return _WELL_FORMED.fullmatch(text) is not None


class Digest(msgspec.Struct, frozen=True, order=True):
    """`algorithm:hex`. Only `parse` and `of` make one, so every Digest is well formed."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read a digest from its text form; `str()` gives the text back.

        Raises DigestError.
        """
        algorithm, colon, encoded = text.partition(":")
        if _WELL_FORMED.fullmatch(text):
            return cls(algorithm, encoded)
        if not colon:
            raise DigestError(text, "empty" if not text else "no colon")
        length = LENGTHS.get(algorithm)
        if length is None:
            raise DigestError(text, f"unknown algorithm, want one of {', '.join(LENGTHS)}")
        if len(encoded) != length:
            raise DigestError(text, f"{len(encoded)} digits, {algorithm} has {length}")
        raise DigestError(text, "not all lower-case hex digits")

    @classmethod
    def parse_link(cls, content: bytes) -> Digest:
        """Read the content of a link file: a digest, and not a byte more, as the registry demands.

        Raises DigestError.
        """
        return cls.parse(content[: LONGEST + 1].decode("ascii", "backslashreplace"))

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        """Compute the digest of `content`. `algorithm` must be one that hashlib has."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    @property
    def computable(self) -> bool:
        """Whether this machine can compute digests of this algorithm."""
        return self.algorithm in hashlib.algorithms_available

    @property
    def short(self) -> str:
        """The first twelve hex digits, as Docker shows digests."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
