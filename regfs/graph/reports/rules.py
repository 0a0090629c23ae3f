"""The rules of `regfs reclaim`, and which names they fit. Pure: nothing here asks the index."""

from __future__ import annotations

import enum
import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from regfs.amounts import read_duration
from regfs.errors import RuleError
from regfs.oci.digest import LENGTHS, well_formed
from regfs.oci.names import is_repository, is_tag

#: The wildcards of a shell.
_WILD = re.compile(r"[*?\[\]]")
#: What can stand in a pattern with wildcards; others could match nothing.
_REPOSITORY = re.compile(r"[A-Za-z0-9._:/*?\[\]!-]+\Z")
_TAG = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+\Z")
_DIGEST = re.compile(rf"(?:(?:{'|'.join(LENGTHS)}|\*):)?[0-9a-f*?\[\]!-]+\Z")
#: reference: domain, where it cannot be the first part of a repository on Docker Hub.
_HOST = re.compile(r"(?:localhost|[^/]*[.:][^/]*)\Z")
#: What kubectl's imageID may begin with.
_RUNTIME = re.compile(r"docker(?:-pullable)?://")


class By(enum.Enum):
    """What puts tags in order for `--keep-last`. The values are what a person types."""

    PUSHED = "pushed"
    CREATED = "created"
    VERSION = "version"


def read_age(text: str) -> int:
    """Read an age such as 90d, of days if no unit is given, as nanoseconds. Raises RuleError."""
    try:
        return int(read_duration(text, "d") * 1_000_000_000)
    except ValueError as error:
        raise RuleError(text, str(error).removeprefix(f"{text!r} ")) from error


class Pattern(NamedTuple):
    """Names of tags, or of images by digest, in repositories; with the wildcards of a shell.

    One of `tag` and `digest` is "". `given` is the rule as a person gave it, for what is said about it.
    """

    given: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def literal(self) -> bool:
        """Whether it has no wildcard."""
        return not _WILD.search(self.repository + self.tag + self.digest)

    @property
    def whole(self) -> bool:
        """Whether it means all of its repositories, not certain tags."""
        return self.tag == "*"


def read_pattern(option: str, text: str) -> Pattern:
    """Read REPO:TAG or REPO@DIGEST. Raises RuleError for what can match nothing."""
    given = f"{option} {text!r}"
    repository, at, digest = text.partition("@")
    if at:
        fits = _DIGEST.match(digest) if _WILD.search(digest) else well_formed(digest)
        if not fits:
            raise RuleError(
                text, f"can match nothing: no digest is {digest!r}; 'sha256:12ab*' means all so begun"
            )
        tag = ""
    else:
        repository, colon, tag = text.rpartition(":")
        if not colon or "/" in tag:
            raise RuleError(text, _hint(text))
        if not (_TAG.match(tag) if _WILD.search(tag) else is_tag(tag)):
            raise RuleError(text, f"can match nothing: no tag is named {tag!r}")
    if not (_REPOSITORY.match(repository) if _WILD.search(repository) else is_repository(repository)):
        raise RuleError(text, f"can match nothing: no repository is named {repository!r}")
    return Pattern(given, repository, tag, digest)


def _hint(text: str) -> str:
    wrong = "is neither REPO:TAG nor REPO@DIGEST; "
    if "/" in text:
        return f"{wrong}'{text}:*' means all tags of these repositories"
    return (
        f"{wrong}'*:{text}' means these tags of all repositories, '{text}:*' all tags of these repositories"
    )


def read_keep_list(name: str, lines: Iterable[str]) -> tuple[Pattern, ...]:
    """Read images that are to be kept, one a line.

    A line is repository:tag, repository@digest, or an image's name as `docker ps` and kubectl print it, with
    the registry's host in front. What could be such a host may as well be a part of the repository's name:
    then both are kept. Raises RuleError for a line of another form, and where no line names an image: what
    should have written them has failed.
    """
    patterns: list[Pattern] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            patterns.extend(_read_image(f"{name}, line {number}", text))
    if not patterns:
        raise RuleError(name, "names no image, so it would keep none")
    return tuple(patterns)


def _read_image(place: str, text: str) -> Iterable[Pattern]:
    named, at, digest = _RUNTIME.sub("", text, count=1).partition("@")
    if not at and well_formed(named):
        return [Pattern(f"{place}: {text!r}", "*", digest=named)]
    tag = "latest"
    if ":" in named.rpartition("/")[2]:
        named, _, tag = named.rpartition(":")
    if not (is_repository(named) and is_tag(tag) and (not at or well_formed(digest))):
        raise RuleError(
            f"{place}: {text}", "is neither REPOSITORY:TAG, REPOSITORY@DIGEST nor an image's name"
        )
    host, slash, rest = named.partition("/")
    names = [named, rest] if slash and _HOST.match(host) else [named]
    # A digest says it all: the tag beside it may have moved since.
    return [Pattern(f"{place}: {text!r}", name, "" if at else tag, digest) for name in names]


class Patterns:
    """Many patterns, asked together: thousands without a wildcard cost what one does."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._literal: dict[tuple[str, str, str], Pattern] = {}
        self._wild: list[tuple[Pattern, re.Pattern[str], re.Pattern[str]]] = []
        for pattern in patterns:
            if pattern.literal:
                self._literal.setdefault(pattern[1:], pattern)
            else:
                names = pattern.repository, pattern.tag or pattern.digest
                repository, name = (re.compile(fnmatch.translate(name)) for name in names)
                self._wild.append((pattern, repository, name))

    def find(self, repository: str, tag: str, digest: str) -> Pattern | None:
        """Find a pattern that fits a tag; or, where that is "", an image that no tag leads to."""
        if tag:
            return self.tag(repository, tag)
        return self.whole(repository) or self.digest(repository, digest)

    def tag(self, repository: str, tag: str) -> Pattern | None:
        """Find a pattern that fits a tag."""
        return self._literal.get((repository, tag, "")) or next(
            (pattern for pattern in self._fitting(repository, tag) if pattern.tag), None
        )

    def literally(self, repository: str, tag: str) -> bool:
        """Tell whether a pattern fits a tag that spells its name out."""
        return (repository, tag, "") in self._literal or any(
            pattern.tag == tag for pattern in self._fitting(repository, tag)
        )

    def digest(self, repository: str, digest: str) -> Pattern | None:
        """Find a pattern that fits an image by its digest."""
        return self._literal.get((repository, "", digest)) or next(
            (pattern for pattern in self._fitting(repository, digest) if pattern.digest), None
        )

    def whole(self, repository: str) -> Pattern | None:
        """Find a pattern that means all of a repository."""
        return next((pattern for pattern in self._fitting(repository, "*") if pattern.whole), None)

    def _fitting(self, repository: str, name: str) -> Iterable[Pattern]:
        return (
            pattern
            for pattern, of_repository, of_name in self._wild
            if of_name.match(name) and of_repository.match(repository)
        )


@dataclass(frozen=True)
class Rules:
    """What may go. Something is selected if all rules that are given select it.

    Some of `match` must fit, if there are any, and none of `keep`. `before` is a time of push, in
    nanoseconds. `keep_last` counts tags in each repository, in the order `by` (None: in that of their pushes,
    and in that of when their images were built; it keeps the last of either). `untagged` and
    `stale_signatures` select images that no tag leads to, and signatures whose image is gone, besides tags.
    `ignore_no_tags`: a store without any tag is believed to have none. `name` is a policy's for them.
    """

    match: tuple[Pattern, ...] = ()
    keep: tuple[Pattern, ...] = ()
    before: int | None = None
    keep_last: int = 0
    by: By | None = None
    untagged: bool = False
    stale_signatures: bool = False
    ignore_no_tags: bool = False
    name: str = ""

    @property
    def tags(self) -> bool:
        """Whether they select any tags: `keep`, `untagged` and `stale_signatures` alone do not."""
        return bool(self.match or self.before is not None or self.keep_last)

    def mistake(self, prefix: str = "--") -> str:
        """Say what is wrong with them together; "" if nothing is. `prefix` is that of the rules' names."""
        besides = self.untagged or self.stale_signatures
        if not (self.tags or besides):
            names = [prefix + name for name in ("match", "keep-last", "older-than", "untagged")]
            return f"give a rule: {', '.join(names)} or {prefix}stale-signatures"
        if self.by and not self.keep_last:
            return f"{prefix}by says which tags are the last: give {prefix}keep-last as well"
        for pattern in self.match:
            if pattern.digest and not besides:
                return f"{pattern.given} selects untagged images: give {prefix}untagged as well"
        return ""

    @property
    def need_created(self) -> bool:
        """Whether they ask when images were built."""
        return bool(self.keep_last) and self.by in (None, By.CREATED)

    @cached_property
    def matching(self) -> Patterns:
        """`match`, to be asked."""
        return Patterns(self.match)

    @cached_property
    def keeping(self) -> Patterns:
        """`keep`, to be asked."""
        return Patterns(self.keep)
