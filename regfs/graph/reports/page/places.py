"""Where the bytes are, by place and by month: each byte once, so that all of it adds up to the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from regfs.graph.index import Snapshot, State
from regfs.graph.index.blobs import Sum
from regfs.graph.index.places import BytesInPlace, bytes_in_places
from regfs.graph.index.uploads import uploads
from regfs.page.document import MapPlace, Months, MonthSeries, PlaceKind, StorePart

#: Names at the top that have a colour of their own; the others share one.
_TOP = 8

#: What each part is called, and what is to be said of it, in the order in which they are drawn.
_PARTS = {
    PlaceKind.OWN: ("one image's own", "no other tagged image needs it"),
    PlaceKind.SHARED: ("shared in a repository", "several of its images need it"),
    PlaceKind.BETWEEN: ("shared between repositories", "images of several repositories need it"),
    PlaceKind.UNTAGGED: ("untagged", "some revision leads there, and no tag"),
    PlaceKind.ORPHANED: ("orphaned", "nothing leads there"),
    PlaceKind.UNKNOWN: ("unknown", "what was not read may lead there"),
    PlaceKind.UPLOADS: ("unfinished uploads", "pushes that did not end"),
}

_OTHER_STATES = {
    State.UNTAGGED: PlaceKind.UNTAGGED,
    State.ORPHANED: PlaceKind.ORPHANED,
    State.UNKNOWN: PlaceKind.UNKNOWN,
}


@dataclass(slots=True)
class Places:
    """Bytes by part, place, image (by its digest), month; `several`: images in more than one repository.

    `at_least`: uploads may have more.
    """

    parts: dict[PlaceKind, Sum] = field(default_factory=dict)
    by_place: dict[tuple[PlaceKind, str], Sum] = field(default_factory=dict)
    own: Counter[str] = field(default_factory=Counter)
    several: set[str] = field(default_factory=set)
    by_month: dict[tuple[PlaceKind, str], Counter[str]] = field(default_factory=dict)
    by_top: Counter[str] = field(default_factory=Counter)
    at_least: bool = False

    def add(self, row: BytesInPlace) -> None:
        """Count what lies in one place."""
        kind = _kind(row)
        _count(self.parts, kind, row.number, row.size)
        above = row.above or ""
        if row.image:
            self.own[row.image] += row.size
        if kind is not PlaceKind.OWN:
            _count(self.by_place, (kind, above), row.number, row.size)
        elif row.repositories:
            self.several.add(row.image)
            _count(self.by_place, (PlaceKind.BETWEEN, above), row.number, row.size)
        top = above.partition("/")[0] if row.state is State.TAGGED else ""
        self.by_top[top] += row.size
        shown = (PlaceKind.OWN, top) if top else (kind, "")
        self.by_month.setdefault(shown, Counter())[row.month] += row.size

    @property
    def top(self) -> list[str]:
        """The names at the top that take most."""
        return [name for name, _ in self.by_top.most_common(_TOP + 1) if name][:_TOP]

    def shown_parts(self) -> list[StorePart]:
        """Give all parts, also those that are empty."""
        return [
            StorePart(
                kind,
                name,
                *self.parts.get(kind, Sum(0, 0)),
                note,
                self.at_least and kind is PlaceKind.UPLOADS,
            )
            for kind, (name, note) in _PARTS.items()
        ]

    def shown_places(self) -> list[MapPlace]:
        """Give all places but the images."""
        return [MapPlace(kind, name, *found) for (kind, name), found in self.by_place.items()]

    def shown_months(self) -> Months:
        """Give the bytes of each month from the first to the last; names that take little are one, ""."""
        months = _all_months({month for found in self.by_month.values() for month in found})
        top = self.top
        series: dict[tuple[PlaceKind, str], Counter[str]] = {(PlaceKind.OWN, name): Counter() for name in top}
        for (kind, name), found in self.by_month.items():
            series.setdefault((kind, name if name in top else ""), Counter()).update(found)
        return Months(
            months,
            [
                MonthSeries(kind, name, [found[month] for month in months])
                for (kind, name), found in series.items()
            ],
        )


def find_places(snapshot: Snapshot) -> Places:
    """Find out where all bytes are."""
    found = Places()
    for row in bytes_in_places(snapshot):
        found.add(row)
    for upload in uploads(snapshot):
        _count(found.parts, PlaceKind.UPLOADS, 1, upload.size)
        _count(found.by_place, (PlaceKind.UPLOADS, upload.repository), 1, upload.size)
        found.at_least = found.at_least or upload.at_least
    return found


def _kind(row: BytesInPlace) -> PlaceKind:
    if row.state is not State.TAGGED:
        return _OTHER_STATES[row.state]
    if row.image:
        return PlaceKind.OWN
    return PlaceKind.BETWEEN if row.repositories else PlaceKind.SHARED


_Key = tuple[PlaceKind, str]


def _count(sums: dict[PlaceKind, Sum] | dict[_Key, Sum], key: object, number: int, size: int) -> None:
    before = sums.get(key, Sum(0, 0))  # type: ignore[call-overload]  # one of the two
    sums[key] = Sum(before.number + number, before.size + size)  # type: ignore[index]


def _all_months(known: Iterable[str]) -> list[str]:
    """Give each month from the first to the last; a time that the calendar does not reach has none."""
    told = sorted(month for month in known if month)
    if not told:
        return []
    first, last = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (told[0], told[-1]))
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(first, last + 1)]
