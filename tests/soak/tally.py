"""What was done and what was found, counted by many threads and told at the end."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator

#: Kinds of faults told: of each the first in full, and the number.
_MOST_TOLD = 20

#: How the names of writes begin.
WRITE = "write: "

#: What differs between faults of one kind: digests, numbers, names.
_WHERE = re.compile(r"[0-9a-f]{12,}|\d+|(?<=/)[^ /:]+")


class Tally:
    """Counts. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: Counter[str] = Counter()
        self._excused: Counter[str] = Counter()
        self._hashed: Counter[str] = Counter()
        self.faults: list[str] = []

    def did(self, what: str, times: int = 1) -> None:
        """Count an operation by its kind."""
        with self._lock:
            self._done[what] += times

    def hashed(self, where: str, size: int) -> None:
        """Count a file whose bytes were compared with what they must be."""
        with self._lock:
            self._hashed[f"files {where}"] += 1
            self._hashed[f"bytes {where}"] += size

    def excused(self, why: str) -> None:
        """Count an error that was right."""
        with self._lock:
            self._excused[why] += 1

    def fault(self, what: str) -> None:
        """Note what must not be."""
        with self._lock:
            self.faults.append(what)

    def done(self, what: str) -> int:
        with self._lock:
            return self._done[what]

    def written(self) -> int:
        """Tell how many writes there were."""
        with self._lock:
            return sum(count for what, count in self._done.items() if what.startswith(WRITE))

    def lines(self) -> Iterator[str]:
        """Tell everything."""
        with self._lock:
            for title, counts in (
                ("done", self._done),
                ("read and compared", self._hashed),
                ("errors that were right", self._excused),
            ):
                yield f"{title}:"
                yield from (f"  {count:>12,}  {what}" for what, count in sorted(counts.items()))
            yield f"faults: {len(self.faults)}"
            kinds: dict[str, list[str]] = {}
            for fault in self.faults:
                kinds.setdefault(_WHERE.sub("…", fault), []).append(fault)
            yield from (f"  {len(found)} times: {found[0]}" for found in list(kinds.values())[:_MOST_TOLD])
