"""What a path of the mount is about, and which bytes may stand there: by the chronicle, not by regfs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.registry.random_pushes import REPOSITORIES, TAGS
from tests.soak.chronicle import Chronicle, Span, revision
from tests.soak.images import Inside

_SHORT = re.compile(r"[0-9TZ:-]+Z-([0-9a-f]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = ("manifest.json", "config.json", "layers", "platforms", "rootfs")
_INSIDE = re.compile(r"rootfs/.+|layers/\d+\.tar")
_LAYER = re.compile(r"layers/(\d+)\.(?:tar|json|bin)(?:\.\w+)?")


class Subject(NamedTuple):
    """An image: by the tag of a repository, or by its digest; or one blob. `rest` is the path in there."""

    repository: str = ""
    tag: str = ""
    digest: str = ""
    rest: str = ""


def subject_of(path: str) -> Subject | None:
    """Tell what a path, relative to the mountpoint, is about; None: about no one image or blob."""
    parts = path.strip("/").split("/")
    if parts[0] == "@blobs" and len(parts) > 2:
        return Subject(digest=f"sha256:{parts[2]}", rest="/".join(parts[3:]))
    if parts[0] == "@orphans" and len(parts) > 2:
        return Subject(digest=f"sha256:{parts[2].partition('.')[0]}", rest="data")
    if parts[0] == "@untagged":
        return _revision(parts[1:], "")
    if parts[0] == "@history":
        return _push(parts[1:])
    if parts[0].startswith("@"):
        return None
    return _revision(parts, "@") or _tag(parts)


def _revision(parts: list[str], mark: str) -> Subject | None:
    for place, part in enumerate(parts):
        digest = part.removeprefix(mark)
        if part.startswith(mark) and _DIGEST.fullmatch(digest):
            return Subject("/".join(parts[:place]), "", digest, "/".join(parts[place + 1 :]))
    return None


def _push(parts: list[str]) -> Subject | None:
    """Find an entry of a history: the time of a push, and the first digits of a digest."""
    for place, part in enumerate(parts):
        if short := _SHORT.fullmatch(part):
            return Subject(
                "/".join(parts[: place - 1]), "", f"sha256:{short[1]}", "/".join(parts[place + 1 :])
            )
    return None


def _tag(parts: list[str]) -> Subject | None:
    """Find the repository, the longest first: a tag may have the name of a nested one."""
    if "/".join(parts) in REPOSITORIES:
        return None
    for place in range(len(parts) - 1, 0, -1):
        repository, tag = "/".join(parts[:place]), parts[place].removeprefix(":")
        rest = parts[place + 1 :]
        if repository in REPOSITORIES and tag in TAGS and (not rest or rest[0] in _IMAGE):
            return Subject(repository, tag, rest="/".join(rest))
    return None


class Expectations:
    """Says what may be seen. `late` is how many seconds old an answer of the mount may be.

    `insides` has the images with real layers, by the manifest's digest; others have bytes that are no tar.
    """

    def __init__(self, chronicle: Chronicle, insides: Mapping[str, Inside], late: float) -> None:
        self._chronicle = chronicle
        self._insides = insides
        self.late = late

    def known(self, span: Span) -> bool:
        """Tell whether all that happened in a span is known."""
        return self._chronicle.known(span)

    def manifests(self, subject: Subject, span: Span) -> set[str | None]:
        """Give which manifest an image may be in a span; None if it may not be there."""
        if subject.tag:
            return self._chronicle.named(subject.repository, subject.tag, span.wider(self.late))
        return {self._chronicle.whole(subject.digest)}

    def _images(self, subject: Subject, span: Span) -> set[str]:
        """Give which images may show at a path in a span: of an index, any that it holds."""
        reached = self._chronicle.reach(str(digest) for digest in self.manifests(subject, span) - {None})
        return {
            digest
            for digest in reached
            if (manifest := self._chronicle.manifest(digest)) and not manifest.children
        }

    def inner(self, subject: Subject, span: Span) -> set[str]:
        """Give the digests that a file inside layers may have which was read in a span."""
        images = self._images(subject, span)
        found = {self._insides[digest].digest(subject.rest) for digest in images & self._insides.keys()}
        # What is no tar, and stored as .tar, shows as it is.
        return found if images <= self._insides.keys() else found | self.acceptable(subject, span)

    def closed(self, subject: Subject, span: Span) -> bool:
        """Tell whether a path is inside layers of which some may be no tars."""
        return (
            bool(_INSIDE.fullmatch(subject.rest)) and not self._images(subject, span) <= self._insides.keys()
        )

    def acceptable(self, subject: Subject, span: Span) -> set[str]:
        """Give the digests that a stored file may have which was read in a span; empty if it is none."""
        if not subject.repository:
            return {subject.digest} if subject.rest == "data" else set()
        found: set[str] = set()
        for digest in self.manifests(subject, span) - {None}:
            found.update(self._file(str(digest), subject.rest))
        return found

    def _file(self, digest: str, name: str) -> Iterator[str]:
        """Give which blob stands at a path of an image."""
        manifest = self._chronicle.manifest(digest)
        if manifest is None:
            return
        if name == "manifest.json":
            yield digest
        elif name.startswith("platforms/"):
            *_, inner = name.split("/", 2)
            for child in manifest.children:
                yield from self._file(child, inner)
        elif manifest.children:  # the default platform's
            for child in manifest.children:
                yield from self._file(child, name)
        elif name == "config.json":
            yield from manifest.holds[:1]
        elif (layer := _LAYER.fullmatch(name)) and int(layer[1]) + 1 < len(manifest.holds):
            yield manifest.holds[int(layer[1]) + 1]

    def told(self, subject: Subject | None, span: Span) -> str:
        """Tell what the tag of a path named around a span; nothing if it is not below a tag."""
        return self._chronicle.told(subject.repository, subject.tag, span) if subject and subject.tag else ""

    def steady(self, subject: Subject, span: Span) -> bool:
        """Tell whether an image or blob was there, whole and the same, in a span and shortly before."""
        span = span.wider(self.late)
        if not subject.repository:
            quiet = self._chronicle.quiet([subject.digest], span)
            return quiet and self._chronicle.there(subject.digest, span)
        manifests = self.manifests(subject, span)
        if len(manifests) != 1 or None in manifests:
            return False
        blobs = self._chronicle.reach(str(digest) for digest in manifests)
        held = [revision(subject.repository, digest) for digest in blobs]
        # Of an index a collection may have taken some child, and the others stay whole.
        needed = self.acceptable(subject, span) or blobs
        wanted = [str(digest) for digest in needed | manifests]
        wanted += [revision(subject.repository, str(digest)) for digest in manifests]
        there = all(self._chronicle.there(key, span) for key in wanted)
        return there and self._chronicle.quiet([*blobs, *held], span)
