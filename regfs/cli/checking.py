"""`regfs check` and `regfs diff`: for the fail-over host."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from regfs.amounts import read_size
from regfs.cli.opening import (
    Opened,
    follow_symlinks_option,
    is_object_store,
    opened,
    say_requests,
    verbose_option,
)
from regfs.cli.progress import Bar, clear, is_quiet, note, quiet_option
from regfs.cli.tables import Output, table_options, tell
from regfs.errors import RegfsError, UsageError
from regfs.graph.index import Need
from regfs.graph.index.blobs import NumberedBlob
from regfs.graph.index.doubt import has_gaps
from regfs.graph.index.findings import findings
from regfs.graph.reports import check as checking
from regfs.graph.reports import difference
from regfs.graph.reports.causes import by_cause
from regfs.graph.reports.comparison import Comparison
from regfs.graph.reports.hashing import Throttle
from regfs.graph.reports.table import Row, Table, readable_size
from regfs.graph.reports.words import counted
from regfs.registry.findings import SEVERITIES

#: As diff(1) and fsck(8): 0 for no difference or damage, 1 for some, 2 for trouble.
_FOUND_SOME = 1


def _read_rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        rate = read_size(value.removesuffix("/s"))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not rate:
        raise click.BadParameter(f"{value!r}: nothing could be read")
    return float(rate)


@contextmanager
def _trouble() -> Iterator[None]:
    """Turn what stops a check into exit status 2: 1 says that it found damage."""
    try:
        yield
    except RegfsError as error:
        raise UsageError(str(error)) from error


_jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="How many are hashed at once."
)
_bandwidth_option = click.option(
    "--bandwidth", callback=_read_rate, metavar="RATE", help="Read at most so much a second: 50M."
)


@click.command(short_help="Tell whether each image can be pulled.")
@click.argument("store")
@click.option("--digests", is_flag=True, help="Hash the content of every blob as well.")
@_jobs_option
@_bandwidth_option
@click.option("--strict", is_flag=True, help="Hazards of garbage-collect -m give exit status 1 as well.")
@click.option("--by-tag", is_flag=True, help="A row for each tag that cannot be pulled, with what it lacks.")
@click.option("--all", "everything", is_flag=True, help="List the tags that can be pulled, too.")
@verbose_option
@table_options
@quiet_option
@follow_symlinks_option
def check(
    store: str,
    digests: bool,
    jobs: int,
    bandwidth: float | None,
    strict: bool,
    by_tag: bool,
    everything: bool,
    output: Output,
) -> None:
    """Tell what is damaged in STORE, by its cause, and whether each tag can be pulled.

    A row is one cause, however many images suffer: a blob that is missing or has another size, a torn link,
    what could not be read; `path` is the file below the store, to be copied from another host. --digests
    reads everything; stopped, it goes on where it was.

    Severities: alarm, a plain garbage collection would lose data, or something was not read; unknown, images
    need what was not read; damage, images are not whole; hazard, what only garbage-collect -m of registries
    before 3.0 would delete (what the tags of several platforms need): counted, and listed with --strict.

    Exit status: 0 all is well, 1 there is an alarm, damage or something unknown (with --strict: a hazard), 2
    the check could not be done. With --quiet nothing is printed if all is well, so that cron mails only then.

    \b
      regfs check --quiet --digests --bandwidth 50M /var/lib/registry
      regfs check --by-tag --format csv /var/lib/registry
    """
    with _trouble(), opened(store) as it:
        it.references.refresh(thorough=True)
        if digests:
            _hash(it, bandwidth, jobs)
        with it.references.snapshot(Need.LINKS, Need.CONTENTS) as snapshot:
            all_findings = findings(snapshot)
            found = checking.verdict(snapshot)
            if by_tag or everything:
                table = checking.by_tag(snapshot, sound=everything)
            else:
                table = by_cause(snapshot, [*_LOUD, *(["hazard"] if strict else [])])
            gaps = has_gaps(snapshot)
        say_requests(it.storage)
    counts = Counter(finding.kind.severity for finding in all_findings)
    loud = gaps or any(counts[severity] for severity in _LOUD) or (strict and counts["hazard"] > 0)
    without_tag = sum(finding.kind.severity == "damage" and not finding.tag for finding in all_findings)
    _tell(output, table, [*_verdict(found), *_in_words(counts, without_tag)], loud=loud)
    if loud:
        sys.exit(_FOUND_SOME)


#: What gives exit status 1.
_LOUD = ("alarm", "unknown", "damage")


def _tell(output: Output, table: Table, words: Sequence[str], *, loud: bool) -> None:
    """Print what was found, and the sums: for people below the table, else beside it."""
    if is_quiet() and not loud and output.for_people:
        return
    rows = list(table.rows)
    if rows or not output.for_people:
        output.print(table._replace(rows=rows))
    if not output.for_people:
        tell(words)
        return
    clear()
    print(("\n" if rows else "") + "\n".join(words))


def _verdict(found: checking.Verdict) -> Iterator[str]:
    untold = f"; of {found.untold} that cannot be told" if found.untold else ""
    yield f"{found.sound} of {counted(found.tags, 'tag')} can be pulled{untold}"


def _in_words(counts: Mapping[str, int], without_tag: int) -> Iterator[str]:
    if without_tag:
        yield f"{counted(without_tag, 'finding')} of damage that no tag suffers from; see regfs report broken"
    for severity in ("alarm", "hazard"):
        if counts[severity]:
            yield f"{counted(counts[severity], severity)}: {SEVERITIES[severity]}; see regfs report broken"


def _hash(it: Opened, bandwidth: float | None, jobs: int) -> None:
    work = checking.DigestCheck(it.references, it.contents, Throttle(bandwidth), jobs)
    if work.done:
        note(f"goes on after {readable_size(work.done)} hashed before")
    done = work.done
    with Bar("hashed", bytes_of_it=True) as bar:

        def hashed(size: int) -> None:
            nonlocal done
            done += size
            bar.show(done, work.total)

        work.run(hashed)


@click.command(short_help="Tell how two stores differ.")
@click.argument("first", metavar="STORE_A")
@click.argument("second", metavar="STORE_B")
@click.option(
    "--show",
    type=click.Choice(["tags", "blobs", "paths"]),
    default="tags",
    show_default=True,
    help="Tags added, removed and moved; the blobs that tags of A need and B lacks; or what rsync takes.",
)
@click.option("--digests", is_flag=True, help="Compare contents, too: by hashes, or by ETags.")
@_jobs_option
@_bandwidth_option
@table_options
@quiet_option
@follow_symlinks_option
def diff(
    first: str, second: str, show: str, digests: bool, jobs: int, bandwidth: float | None, output: Output
) -> None:
    """Tell how the tags of two stores differ, and what STORE_B lacks that the tags of STORE_A need.

    A tag is added if only B has it, removed if only A has it, moved if it names another image.

    --show paths names the files that B lacks, below both stores: blobs first, then the links of the tags that
    only A has. Tags that moved are left as they are.

    --digests compares the content of blobs that both have: what lies in a directory is read and hashed, an
    object by its ETag, where that is an MD5; only what that puts in doubt is fetched. How many cannot be
    compared so (objects uploaded in parts) is said: regfs check --digests reads those.

    Exit status: 0 they are equal in that, 1 they differ, or it is unknown, for something could not be read; 2
    they could not be compared.

    \b
      regfs diff --show paths A B |
        rsync -a --files-from=- A/docker/registry/v2/ B/docker/registry/v2/
    """
    with _trouble(), opened(first) as one, opened(second) as other:
        if one.path == other.path:
            raise UsageError(f"{first} and {second} are the same store: {one.path}")
        for it in (one, other):
            it.references.refresh(thorough=True)
        with one.references.snapshot() as a, other.references.snapshot() as b:
            work = Comparison(one.contents, other.contents, Throttle(bandwidth), jobs)
            if digests:
                _compare(work, difference.in_both(a, b))
            tags, blobs = difference.tags(a, b), difference.blobs(a, b, work.otherwise)
            changes, missing = list(tags.rows), list(blobs.rows)
            paths = list(difference.paths(a, missing, changes)) if show == "paths" else []
        if not is_object_store(first):
            paths = [path for path in paths if os.path.lexists(os.path.join(one.path, path))]
    if show == "paths":
        output.print_lines("path", paths)
    else:
        output.print(
            (tags if show == "tags" else blobs)._replace(rows=changes if show == "tags" else missing)
        )
    if output.for_people:
        note(_differences(first, second, changes, missing))
    if work.untold.number:
        untold = f"{counted(work.untold.number, 'blob')}, {readable_size(work.untold.size)}"
        note(f"not compared by content: {untold}; regfs check --digests reads all")
    if changes or missing:
        sys.exit(_FOUND_SOME)


def _compare(work: Comparison, blobs: Sequence[NumberedBlob]) -> None:
    done, total = 0, sum(blob.size for blob in blobs)
    with Bar("compared", bytes_of_it=True) as bar:

        def compared(size: int) -> None:
            nonlocal done
            done += size
            bar.show(done, total)

        work.run(blobs, compared)


def _differences(first: str, second: str, changes: Sequence[Row], missing: Sequence[Row]) -> str:
    changed = Counter(row[0] for row in changes)
    words = ", ".join(f"{changed[name]} {name}" for name in ("added", "removed", "moved"))
    words += f", {changed['unknown']} unknown" if changed["unknown"] else ""
    said = Counter(row[3] for row in missing)
    lacks = [row for row in missing if row[3] not in (difference.NOT_READ, difference.OTHER_IN_FIRST)]
    size = sum(row[1] for row in lacks if isinstance(row[1], int))
    unread = f", of {said[difference.NOT_READ]} it is unknown" if said[difference.NOT_READ] else ""
    bad = said[difference.OTHER_IN_FIRST] + said[difference.OTHER_IN_BOTH]
    other = f"; {first} has other content in {counted(bad, 'blob')}" if bad else ""
    return f"tags: {words}; {second} lacks {counted(lacks, 'blob')}, {readable_size(size)}{unread}{other}"
