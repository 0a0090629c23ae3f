"""What stands in a page: plain values, in the order and with the names that its scripts read.

Sizes are bytes, times seconds since 1970 (None: not known). Columns belong together by position.
"""

from __future__ import annotations

import enum

import msgspec


class PlaceKind(str, enum.Enum):
    """What lies in a place. The values stand in the page's data."""

    #: What one image needs and no other: bytes of images are no places of their own, see `ImageColumns`.
    OWN = "own"
    #: What several images of one repository need.
    SHARED = "shared"
    #: What images of several repositories need.
    BETWEEN = "between"
    UNTAGGED = "untagged"
    ORPHANED = "orphaned"
    UNKNOWN = "unknown"
    UPLOADS = "uploads"
    #: What is own to the images of a repository that are too many to list.
    MORE = "more"


class ImageFlag(enum.IntFlag):
    """What is to be known of an image. The values stand in the page's data."""

    SIGNED = 1
    SBOM = 2
    ATTESTED = 4
    #: What was not read may hold its signatures.
    BELONGINGS_UNKNOWN = 8
    #: It is in several repositories, so its own bytes lie between them.
    SEVERAL_REPOSITORIES = 16
    #: What was not read may need some of its own bytes.
    OWN_UNKNOWN = 32


class TagFlag(enum.IntFlag):
    """What is to be known of a tag. The values stand in the page's data."""

    #: It cannot be pulled, or not as it was pushed.
    DAMAGED = 1
    #: Something that it needs was not read.
    CANNOT_TELL = 2


class StorePart(msgspec.Struct, frozen=True):
    """A part of the store, each byte in one: its blobs or uploads, and what is to be said of it.

    `at_least`: it may have more bytes.
    """

    kind: PlaceKind
    name: str
    number: int
    size: int
    note: str
    at_least: bool


class MapPlace(msgspec.Struct, frozen=True, array_like=True):
    """Bytes in a repository, or above several (`name`; "": the top); `number` counts blobs, uploads, tags."""

    kind: PlaceKind
    name: str
    number: int
    size: int


class ImageColumns(msgspec.Struct):
    """Tagged images: the first twelve digits of digests, bytes, and bytes that no other tagged image needs.

    `kinds` and `platforms` point into `words`; `flags` are sums of `ImageFlag`.
    """

    digests: list[str]
    sizes: list[int | None]
    own: list[int]
    built: list[int | None]
    kinds: list[int]
    platforms: list[int]
    flags: list[int]
    words: list[str]


class FormerImage(msgspec.Struct, frozen=True, array_like=True):
    """What a tag named before: when it was pushed, its digest's first digits, its size, if it is stored."""

    pushed: int | None
    digest: str
    size: int | None
    stored: bool


class TagColumns(msgspec.Struct):
    """Tags: repositories (positions in `repositories`), names, images (-1: what it names is not known).

    `pushes` counts what each has named; `flags` are sums of `TagFlag`. By position in these columns:
    `former` has what some named before, and `belongs_to` the images whose signatures and such some are.
    """

    repositories: list[int]
    names: list[str]
    images: list[int]
    pushed: list[int | None]
    flags: list[int]
    former: dict[int, list[FormerImage]]
    belongs_to: dict[int, str]


class Months(msgspec.Struct, frozen=True):
    """Bytes of blobs by the month in which they were stored, parted by whose they are."""

    months: list[str]
    series: list[MonthSeries]


class MonthSeries(msgspec.Struct, frozen=True):
    """The bytes of one kind, or of one top-level name, in each of the months."""

    kind: PlaceKind
    name: str
    sizes: list[int]


class AgeGroup(msgspec.Struct, frozen=True):
    """Tags of an age: days since the push, from and below (None: without end; both: not known)."""

    name: str
    least: int | None
    below: int | None
    tags: int
    own: int


class RuleAnswer(msgspec.Struct, frozen=True):
    """What a rule would free: tags that go (None: it is about none) and bytes; `command` says how to ask.

    `orphaned` of the freed bytes go with any collection. Of `unknown` bytes besides nobody knows.
    `note` is what is to be known before; `alarm`: it would do harm.
    """

    name: str
    command: str
    tags: int | None
    freed: int
    orphaned: int
    unknown: int
    note: str
    alarm: bool


class WrongThing(msgspec.Struct, frozen=True):
    """One finding, in words."""

    where: str
    wanted: str
    found: str


class WrongGroup(msgspec.Struct, frozen=True):
    """Findings of one kind: how many, of how many tags, and the first of them."""

    severity: str
    kind: str
    meaning: str
    number: int
    tags: int
    examples: list[WrongThing]


class UnreadPlace(msgspec.Struct, frozen=True):
    """What could not be read, why, and what is therefore not known."""

    where: str
    why: str
    hides: str


class Page(msgspec.Struct):
    """All that stands in a page.

    `store` is the store's path and `host` the registry's name, "" if it is not known; `made` is when the page
    was, `read` when the store was last seen to change. `total` are all bytes; `some_unread`: but what lies
    where blobs could not be read; `uploads_at_least`: but what no listing shows of uploads; `not_needed` are
    those that for certain no tag needs. `listed` of `number_of_tags` tags are in `tags`. `top` are the names
    at the top that take most, in their order.
    """

    store: str
    host: str
    version: str
    made: int
    read: int
    total: int
    not_needed: int
    some_unread: bool
    uploads_at_least: bool
    number_of_repositories: int
    number_of_tags: int
    number_of_images: int
    number_of_blobs: int
    parts: list[StorePart]
    top: list[str]
    places: list[MapPlace]
    repositories: list[str]
    images: ImageColumns
    tags: TagColumns
    months: Months
    ages: list[AgeGroup]
    rules: list[RuleAnswer]
    wrong: list[WrongGroup]
    unread: list[UnreadPlace]
    number_unread: int

    @property
    def listed(self) -> int:
        """How many tags are listed."""
        return len(self.tags.names)
