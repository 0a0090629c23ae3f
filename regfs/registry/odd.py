"""What is odd in a storage, as findings: what no registry makes, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator

from regfs.errors import RegfsError, StoreError, UnreadableError, UnsafeError
from regfs.oci.names import is_whole_repository
from regfs.registry import layout
from regfs.registry.findings import Finding, Kind, Reach, stopped
from regfs.registry.survey import DirectorySeen, LinkSeen, LinksSeen, Survey, TagSeen
from regfs.storage.protocol import Entry, FileType


def unlisted(path: str, error: RegfsError | None, reach: Reach, repository: str = "") -> list[Finding]:
    """Give the finding for a directory that cannot be listed; none if there is no error."""
    if error is None:
        return []
    found = advised(error)
    return [Finding(Kind.DIRECTORY, repository, wanted="a directory", found=found, path=path, reach=reach)]


def advised(error: RegfsError) -> str:
    """Say why something could not be read, and what helps."""
    said = reason(error)
    if isinstance(error, UnsafeError) and error.got == FileType.SYMLINK.value:
        return said if error.want == FileType.DIRECTORY.value else f"{said}. Put the file itself there"
    if isinstance(error, UnsafeError) and error.got == FileType.FILE.value:
        return f"{said}. If it is none of the registry's, move it away"
    if getattr(error, "denied", False):
        return f"{said}. Read the store as root, or as the registry's user"
    return said


def reason(error: RegfsError) -> str:
    """Give what is wrong, without the place, which is told beside it."""
    return getattr(error, "reason", "") or str(error)


def misplaced(place: str, entry: Entry, reach: Reach, repository: str = "") -> Finding:
    """Give the finding for what stands where a directory of the registry's belongs."""
    return unlisted(place, UnsafeError(place, entry.type.value, FileType.DIRECTORY.value), reach, repository)[
        0
    ]


def stray(repository: str, path: str, entry: Entry, want: str, tag: str = "") -> Finding:
    """Give the finding for what no registry makes."""
    found = f"a {entry.type.value} under a name or in a form that no registry makes"
    return Finding(Kind.STRAY, repository, tag, wanted=f"a {want}", found=found, path=path)


def hiding(repository: str, place: str, seen: DirectorySeen) -> Iterator[Finding]:
    """Give the finding for a file that the collector takes for a reason to look no further in a directory.

    (distribution, catalog.go: handleRepository gives ErrSkipDir, which for a file ends its directory's walk.)
    """
    file = place.rpartition("/")[2]
    after = [name for name in seen.directories() if name > file]
    if any(not name.startswith("_") or name in layout.REPOSITORY_MARKS for name in after):
        found = (
            "garbage-collect does not see what comes after this name, and would delete what is needed there"
        )
        yield Finding(Kind.COLLECTOR_HIDES, repository, wanted="nothing", found=found, path=place)


def look_into(survey: Survey, finding: Finding) -> list[Finding]:
    """Look into a directory that no registry makes: whether the collector stops there, and what it may hold.

    The collector goes through all directories: it stops at a file `data` below `blobs`, and at a repository
    whose name it refuses. What such a repository refers to is not read.
    """
    path = finding.path
    if finding.kind is not Kind.STRAY:
        return [finding]
    if path.startswith(f"{layout.BLOBS}/"):
        for file, _ in survey.files_below(path):
            if file.rpartition("/")[2] == layout.DATA:
                return [finding._replace(kind=Kind.COLLECTOR_STOPS, found=stopped("", f"{file} is no blob"))]
        return [finding]
    mark = survey.marks_below(path, layout.REPOSITORY_MARKS)
    if mark is None:
        return [] if layout.ignored(path.rpartition("/")[2]) else [finding]
    holds = finding._replace(
        kind=Kind.DIRECTORY,
        wanted="a name that a repository can have",
        found=f"{mark} is not read, for no registry serves it under this name",
        reach=Reach.EVERYTHING,
    )
    return [
        holds,
        finding._replace(kind=Kind.COLLECTOR_STOPS, found=stopped("", "no repository is named so")),
    ]


def undated(repository: str, upload: str) -> Finding:
    """Give the finding for an upload without a date."""
    return Finding(
        Kind.UPLOAD,
        repository,
        wanted="a date in startedat",
        found="none: no purge takes this upload",
        path=layout.upload(repository, upload),
    )


def refused(name: str) -> list[Finding]:
    """Give the finding for a repository whose name the collector refuses, though it may lead to others."""
    if is_whole_repository(name):
        return []
    path, found = layout.repository(name), stopped("", "no repository is named so")
    return [Finding(Kind.COLLECTOR_STOPS, name, wanted="a repository", found=found, path=path)]


def odd_blob(path: str, digest: str, error: RegfsError) -> Finding:
    """Give the finding for what has no place in a shard, or for a blob of it that cannot be looked at."""
    if getattr(error, "path", "") == path:
        return unlisted(path, error, Reach.BLOBS)[0]
    place = f"{path}/{digest.partition(':')[2]}"
    if isinstance(error, UnsafeError) and not digest:
        stops = error.got == "blob of no digest"
        return Finding(
            Kind.COLLECTOR_STOPS if stops else Kind.STRAY,
            wanted="a blob of this shard",
            found=stopped("", "no digest is named so") if stops else str(error),
            path=error.path,
        )
    if isinstance(error, UnsafeError) and error.path != place and error.got != FileType.SYMLINK.value:
        return Finding(Kind.BLOB, digest=digest, wanted="a file", found=str(error), path=path)
    kind = Kind.DIRECTORY if isinstance(error, UnsafeError) and error.path == place else Kind.UNREAD
    return Finding(kind, digest=digest, wanted="a blob", found=advised(error), path=place, reach=Reach.BLOBS)


def odd_links(repository: str, directory: str, seen: LinksSeen, reach: Reach) -> Iterator[Finding]:
    """Give what is wrong with links below `revisions` or `_layers`."""
    yield from unlisted(directory, seen.error, reach, repository)
    for link in seen.links:
        path = f"{directory}/{link.name.partition(':')[2]}/{layout.LINK}"
        if isinstance(link.error, StoreError):
            found = advised(link.error)
            yield Finding(Kind.UNREAD, repository, "", "", link.name, "a digest", found, path, Reach.NOTHING)
        elif link.error:
            yield Finding(Kind.LINK, repository, "", "", link.name, "a digest", reason(link.error), path)
            if reach is Reach.REVISIONS:
                stops, found = Kind.COLLECTOR_STOPS, stopped("", "no digest")
            else:
                stops, found = Kind.COLLECTOR_3_STOPS, stopped("of registries from 3.0 on", "no digest")
            yield Finding(stops, repository, "", "", link.name, "a digest", found, path)
        elif link.digest != link.name and not is_alias(link):
            yield Finding(Kind.LINK, repository, "", "", link.name, link.name, f"{link.digest}", path)


def is_alias(link: LinkSeen) -> bool:
    """Tell whether a link leads from one algorithm's digest to another's, as a push by sha512 leaves it."""
    return link.digest is not None and link.digest.partition(":")[0] != link.name.partition(":")[0]


def tag_findings(repository: str, tag: TagSeen) -> list[Finding]:
    """Give what is wrong with a tag's link, and how far that reaches."""
    path = layout.tag_link(repository, tag.name)
    if tag.error is None:
        if tag.unread is None:
            return []
        place = layout.tag_history(repository, tag.name)
        return unlisted(place, _at(place, tag.unread), Reach.NOTHING, repository)
    reach = Reach.TAG if tag.history and tag.unread is None else Reach.TAGS
    if isinstance(tag.error, StoreError):
        path, found = getattr(tag.error, "path", path) or path, advised(tag.error)
        if not path.startswith(layout.REPOSITORIES):
            path = layout.tag(repository, tag.name)
        return [Finding(Kind.UNREAD, repository, tag.name, "", "", "a digest", found, path, reach)]
    found = reason(tag.error)
    odd = [Finding(Kind.TAG_LINK, repository, tag.name, "", "", "a digest", found, path, reach)]
    if tag.stamp:  # a link that is missing is no error to the collector
        found = stopped("-m", "no digest")
        kind = Kind.COLLECTOR_M_STOPS
        odd.append(Finding(kind, repository, tag.name, wanted="a digest", found=found, path=path))
    return odd


def _at(path: str, error: StoreError) -> StoreError:
    """Give an error about what stands at `path`, in place of a name below it."""
    return UnreadableError(path, str(error) if error.path else error.reason, 0, denied=False)
