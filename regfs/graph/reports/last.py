"""Which tags of a repository are the last: by their push, by when their images were built, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from regfs.graph.reports.rules import By

#: A key that says more than another is later; None: this says nothing of when.
_Key = int | tuple[tuple[int, int, str], ...] | None

#: Nobody built an image before 2013: such a date is what reproducible builds write in place of one.
_FIRST_IMAGE = 1_356_998_400 * 1_000_000_000


class Dated(Protocol):
    """A tag, and what it can be ordered by: times in nanoseconds since 1970, None if they are not known."""

    @property
    def tag(self) -> str:
        """Its name."""

    @property
    def pushed(self) -> int | None:
        """When it was pushed."""

    @property
    def created(self) -> int | None:
        """When its image was built."""


class Last(NamedTuple):
    """Positions in a list of tags: those that are kept, being the last ones or without a place in the order.

    `tied` are kept only because nothing tells them from the last that is; `unordered` have no place.
    """

    kept: set[int]
    tied: set[int]
    unordered: set[int]


def last(tags: Sequence[Dated], count: int, by: By | None) -> Last:
    """Find the last `count` tags by one order; by None, the last by push and the last by date built together.

    Of these two, one that is the same for all tags says nothing, and is passed over where the other differs.
    """
    orders = [_keys(tags, by)] if by else [_keys(tags, By.PUSHED), _keys(tags, By.CREATED)]
    if not by:
        orders = [order for order in orders if len({*order} - {None}) > 1] or orders[:1]
    kept: set[int] = set()
    tied: set[int] = set()
    unordered = set(range(len(tags)))
    for keys in orders:
        placed = {position: key for position, key in enumerate(keys) if key is not None}
        unordered -= placed.keys()
        first, ties = _cut(placed, count)
        kept |= first
        tied |= ties
    return Last(kept | tied | unordered, tied - kept, unordered)


def _cut(placed: Mapping[int, _Key], count: int) -> tuple[set[int], set[int]]:
    """Find the last `count` positions, and those besides whose keys equal the least of theirs."""
    ordered = sorted(placed, key=placed.__getitem__, reverse=True)  # type: ignore[arg-type]  # of one order
    first = ordered[:count]
    return set(first), {
        position for position in ordered[count:] if first and placed[position] == placed[first[-1]]
    }


def _keys(tags: Sequence[Dated], by: By) -> list[_Key]:
    if by is By.PUSHED:
        return [tag.pushed for tag in tags]
    if by is By.CREATED:
        return [None if (tag.created or 0) < _FIRST_IMAGE else tag.created for tag in tags]
    return list(versions([tag.tag for tag in tags]))


# --- versions ---------------------------------------------------------------------------------------

#: What a version begins with: a number, up to a separator, a word of a release to come, or the end.
_VERSION = re.compile(r"v?(?=\d+(?:\Z|[._+-]|(?:alpha|beta|rc|pre|dev|snapshot)))", re.IGNORECASE)
_DIGIT = re.compile(r"\d", re.ASCII)
_PART = re.compile(r"([._+-]*)(?:(\d+)|([A-Za-z]+))")
#: Words that stand in a version before what it will be; others (`-alpine`, `-slim`) stand behind it.
_BEFORE = ("dev", "snapshot", "nightly", "a", "alpha", "b", "beta", "m", "pre", "preview", "c", "rc")
#: What may follow, from the least: a word of a release to come, the end, a word, -1, .1.
_TO_COME, _END, _WORD, _APPENDED, _NUMBER = range(5)


def versions(names: Sequence[str]) -> list[tuple[tuple[int, int, str], ...] | None]:
    """Give keys by which names sort as people read versions: 1.9, 1.10, 2.0-rc1, 2.0, 2.0-alpine, 2.0.1.

    Words that all names begin with are passed over (`release-1.9`). A name that is then no version has None:
    it has no place among the others.
    """
    words = {_DIGIT.split(name, maxsplit=1)[0] for name in names}
    behind = len(words.pop()) if len(words) == 1 else 0
    return [_version(name[behind:]) for name in names]


def _version(name: str) -> tuple[tuple[int, int, str], ...] | None:
    start = _VERSION.match(name)
    if not start:
        return None
    key: list[tuple[int, int, str]] = []
    for separators, number, word in _PART.findall(name, start.end()):
        if number:
            key.append((_APPENDED if separators.strip(".") else _NUMBER, int(number), ""))
        else:
            word = word.lower()
            key.append((_TO_COME, _BEFORE.index(word), "") if word in _BEFORE else (_WORD, 0, word))
    return (*key, (_END, 0, ""))
