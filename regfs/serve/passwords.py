"""Who may ask: names and bcrypt hashes in a file, as `htpasswd -B` makes it and docker-registry reads it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import threading
from pathlib import Path

import bcrypt

from regfs.errors import PasswordFileError
from regfs.graph.cache import Cache, for_ever

_BCRYPT = re.compile(rb"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}\Z")

#: Of the largest file of people that anybody keeps by hand, in bytes.
_LARGEST = 4 << 20

#: bcrypt takes no more of a password.
_LONGEST = 72

#: A hash takes a twentieth of a second and more; what was right is remembered, by a hash of its own.
_REMEMBERED = 1024


class Passwords:
    """The file at a path, read again when it changes. Safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._hashes: dict[str, bytes] = {}
        self._key = secrets.token_bytes(32)
        self._right: Cache[bytes, bytes] = for_ever(_REMEMBERED)
        self._read()

    def let_in(self, header: str) -> bool:
        """Tell whether an Authorization header has a name and its password."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        if not colon or b"\0" in password:
            return False
        hashes = self._read()
        wanted = hashes.get(name.decode("utf-8", "replace"))
        given = hashlib.blake2b(name + b":" + password, key=self._key).digest()
        if wanted is not None and self._right.get(given) == wanted:
            return True
        # Who is nobody takes as long, or the time would tell the names.
        right = bcrypt.checkpw(password[:_LONGEST], wanted or next(iter(hashes.values())))
        if not right or wanted is None:
            return False
        self._right.put(given, wanted)
        return True

    def _read(self) -> dict[str, bytes]:
        """Give the hashes by name. Raises PasswordFileError."""
        with self._lock:
            try:
                found = os.stat(self._path)
                stamp = (found.st_mtime_ns, found.st_size)
                if stamp != self._stamp:
                    if found.st_size > _LARGEST:
                        raise PasswordFileError(str(self._path), "is too large")
                    self._hashes = _parse(str(self._path), self._path.read_bytes())
                    self._stamp = stamp
            except OSError as error:
                raise PasswordFileError(str(self._path), error.strerror or str(error)) from error
            return self._hashes


def _parse(path: str, content: bytes) -> dict[str, bytes]:
    found = {}
    for number, line in enumerate(content.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        name, _, hashed = line.partition(b":")
        if not _BCRYPT.match(hashed):
            raise PasswordFileError(path, f"line {number} has no bcrypt hash, as htpasswd -B makes it")
        found[name.decode("utf-8", "replace")] = hashed
    if not found:
        raise PasswordFileError(path, "names nobody")
    return found
