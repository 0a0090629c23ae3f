"""The tags of a page, and the images that they name. A large store's smallest images are not listed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from regfs.graph.index import Snapshot
from regfs.graph.index.blobs import Sum
from regfs.graph.index.findings import findings, unread_findings
from regfs.graph.index.signatures import kinds_that_belong, tags_that_belong
from regfs.graph.index.tags import TagDescribed, former_pushes, tags_described
from regfs.graph.reports.page.places import Places
from regfs.graph.reports.words import image_in_words
from regfs.graph.times import nanoseconds
from regfs.page.document import (
    AgeGroup,
    FormerImage,
    ImageColumns,
    ImageFlag,
    PlaceKind,
    TagColumns,
    TagFlag,
)
from regfs.registry.findings import Kind, Reach

#: Digits of a digest that tell it from others.
_DIGITS = 12

_SECOND = 1_000_000_000
_DAY = 86_400

#: Gaps that hide no manifest: nothing that could be a signature.
_HIDE_NO_MANIFEST = (Reach.NOTHING, Reach.LAYERS)

#: Days since a push, up to which a tag is of an age, and the words for that.
_AGES = (
    (7, "under a week"),
    (30, "under a month"),
    (90, "under 3 months"),
    (180, "under 6 months"),
    (365, "under a year"),
    (730, "under 2 years"),
    (None, "older"),
)


@dataclass(slots=True)
class ListedTags:
    """The tags that are listed, and the images that they name; sums over all tags, listed or not."""

    repositories: list[str]
    images: ImageColumns
    tags: TagColumns
    number_of_tags: int
    number_of_images: int
    ages: list[AgeGroup] = field(default_factory=list)


def list_tags(snapshot: Snapshot, places: Places, now: int, most: int) -> ListedTags:
    """List the tags, `most` at most: those of the images with most bytes of their own.

    What is own to the others is added to `places`, by repository. `now` is in seconds. Needs WEIGHTS and
    LINKS.
    """
    every = tags_described(snapshot)
    chosen = _choose(every, places.own, most)
    left_out = [tag for tag in every if tag not in chosen]
    _sum_up(left_out, places)
    marks = _Marks(snapshot)
    repositories = sorted({tag.repository for tag in chosen})
    numbers = {name: number for number, name in enumerate(repositories)}
    images, positions = _images(chosen, places, marks)
    tags = TagColumns(
        repositories=[numbers[tag.repository] for tag in chosen],
        names=[tag.tag for tag in chosen],
        images=[-1 if tag.digest is None else positions[tag.digest] for tag in chosen],
        pushed=[_seconds(tag.pushed) for tag in chosen],
        flags=[marks.of_tag(tag) for tag in chosen],
        former={},
        belongs_to={},
    )
    _note_names(snapshot, tags, {(tag.repository, tag.tag): number for number, tag in enumerate(chosen)})
    number_of_images = len({tag.digest for tag in every if tag.digest})
    return ListedTags(repositories, images, tags, len(every), number_of_images, _ages(every, places.own, now))


def _choose(tags: Iterable[TagDescribed], own: Mapping[str, int], most: int) -> dict[TagDescribed, None]:
    """Choose the tags that are listed, in their order: images whole, the largest first, then the newest."""
    tags = list(tags)
    if len(tags) <= most:
        return dict.fromkeys(tags)
    by_weight = sorted(tags, key=lambda tag: (-own.get(tag.digest or "", 0), -(tag.pushed or 0)))
    chosen = set(by_weight[:most])
    cut = {tag.digest for tag in by_weight[most:] if tag.digest}
    return dict.fromkeys(tag for tag in tags if tag in chosen and tag.digest not in cut)


def _sum_up(tags: Iterable[TagDescribed], places: Places) -> None:
    """Note what is own to images that are not listed."""
    seen: set[str | None] = set()
    for tag in tags:
        size = 0 if tag.digest in seen or tag.digest in places.several else places.own[tag.digest or ""]
        seen.add(tag.digest)
        key = (PlaceKind.MORE, tag.repository)
        before = places.by_place.get(key, Sum(0, 0))
        places.by_place[key] = Sum(before.number + 1, before.size + size)


class _Marks:
    """Tells what is to be known of images and tags besides their numbers."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._belonging = kinds_that_belong(snapshot)
        #: Repositories of which some manifests may not have been read; "" for all of them.
        self._unread = {
            found.finding.repository
            for found in unread_findings(snapshot)
            if found.reach not in _HIDE_NO_MANIFEST
        }
        self._tags: dict[tuple[str, str], TagFlag] = {}
        for found in findings(snapshot):
            if found.tag and (flag := _flag_of(found.kind)):
                name = found.repository, found.tag
                self._tags[name] = self._tags.get(name, TagFlag(0)) | flag

    def of_tag(self, tag: TagDescribed) -> int:
        found = self._tags.get((tag.repository, tag.tag), TagFlag(0))
        return found or (TagFlag.DAMAGED if tag.digest is None else found)

    def of_image(self, tag: TagDescribed, *, several: bool) -> int:
        kinds = self._belonging.get(tag.digest or "", set())
        flags = ImageFlag(0)
        for kind, flag in (
            ("signature", ImageFlag.SIGNED),
            ("sbom", ImageFlag.SBOM),
            ("attestation", ImageFlag.ATTESTED),
        ):
            if kind in kinds:
                flags |= flag
        if self._unread & {"", tag.repository}:
            flags |= ImageFlag.BELONGINGS_UNKNOWN
        if several:
            flags |= ImageFlag.SEVERAL_REPOSITORIES
        if tag.size is not None and tag.exclusive is None:
            flags |= ImageFlag.OWN_UNKNOWN
        return flags


def _flag_of(kind: Kind) -> TagFlag:
    if kind.stops_pull:
        return TagFlag.DAMAGED
    return TagFlag.CANNOT_TELL if kind is Kind.UNTOLD else TagFlag(0)


def _images(
    tags: Iterable[TagDescribed], places: Places, marks: _Marks
) -> tuple[ImageColumns, dict[str, int]]:
    """List the images that tags name, and give their positions by digest."""
    found = ImageColumns([], [], [], [], [], [], [], [])
    positions: dict[str, int] = {}
    words: dict[str, int] = {}
    for tag in tags:
        if tag.digest is None or tag.digest in positions:
            continue
        positions[tag.digest] = len(positions)
        found.digests.append(tag.digest.partition(":")[2][:_DIGITS])
        found.sizes.append(tag.size)
        found.own.append(places.own[tag.digest])
        found.built.append(_seconds(nanoseconds(tag.created or "")))
        found.kinds.append(words.setdefault(tag.kind or "broken", len(words)))
        found.platforms.append(words.setdefault(tag.platforms or "", len(words)))
        found.flags.append(marks.of_image(tag, several=tag.digest in places.several))
    found.words.extend(words)
    return found, positions


def _note_names(snapshot: Snapshot, tags: TagColumns, positions: Mapping[tuple[str, str], int]) -> None:
    """Note what the listed tags named before, and to which images some belong."""
    for push in former_pushes(snapshot):
        position = positions.get((push.repository, push.tag))
        if position is not None:
            digits = push.digest.partition(":")[2][:_DIGITS]
            former = FormerImage(_seconds(push.pushed), digits, push.size, push.stored)
            tags.former.setdefault(position, []).append(former)
    for found in tags_that_belong(snapshot):
        position = positions.get((found.repository, found.tag))
        if position is not None:
            tags.belongs_to[position] = image_in_words(found)


def _ages(tags: Collection[TagDescribed], own: Mapping[str, int], now: int) -> list[AgeGroup]:
    """Count tags by their age, and what is own to images, each by its newest tag."""
    newest: dict[str, int | None] = {}
    for tag in tags:
        if tag.digest:
            before = newest.get(tag.digest)
            newest[tag.digest] = max(before or 0, tag.pushed or 0) or None
    counts = [0] * (len(_AGES) + 1)
    sizes = [0] * (len(_AGES) + 1)
    for tag in tags:
        counts[_age(_seconds(tag.pushed), now)] += 1
    for digest, pushed in newest.items():
        sizes[_age(_seconds(pushed), now)] += own.get(digest, 0)
    bounds = [0, *(bound for bound, _ in _AGES)]
    groups = [
        AgeGroup(name, bounds[number], bound, counts[number], sizes[number])
        for number, (bound, name) in enumerate(_AGES)
    ]
    if counts[-1]:
        groups.append(AgeGroup("not known", None, None, counts[-1], sizes[-1]))
    return groups


def _age(pushed: int | None, now: int) -> int:
    """Tell which age a push has, as a position in `_AGES`; behind them if it is not known."""
    if pushed is None:
        return len(_AGES)
    days = (now - pushed) / _DAY
    return next(number for number, (bound, _) in enumerate(_AGES) if bound is None or days < bound)


def _seconds(nanoseconds_: int | None) -> int | None:
    return None if nanoseconds_ is None else nanoseconds_ // _SECOND
