"""What a link says, without reading it: by the MD5 of its content, where the storage tells one.

A link holds one of few digests: the one in its path, or one that its tag has had. Object stores give an ETag
with each name that they list, which for a plain PUT is the content's MD5; so no link has to be read. It is a
proof against damage. Where it does not hold (encryption with keys of one's own, Azure, copies in parts), the
link is read, as anywhere.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable

from regfs.storage.protocol import FileStat

_log = logging.getLogger(__name__)

#: So many links whose MD5 fits nothing, and none that does: that storage tells no MD5.
_ENOUGH = 20


class Evidence:
    """Proofs by MD5, for one storage. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._failed = 0

    @property
    def none(self) -> bool:
        """Whether what the storage tells are no MD5s, as it seems."""
        return self._failed >= _ENOUGH and not self._held

    def digest(self, stat: FileStat, candidates: Iterable[str]) -> str | None:
        """Give the digest of some that a link holds; None if it may be another."""
        if not stat.md5 or self.none:
            return None
        for digest in candidates:
            if hashlib.md5(digest.encode(), usedforsecurity=False).hexdigest() == stat.md5:
                self._held = True
                return digest
        with self._lock:
            self._failed += 1
            if self._failed == _ENOUGH and not self._held:
                _log.info("the ETags of this store are no MD5s: each link is read")
        return None

    def doubts(self, stat: FileStat, digest: str) -> bool:
        """Tell whether a link of the right length may hold another digest, for all that is told of it."""
        return bool(stat.md5) and self.digest(stat, [digest]) is None and not self.none
