"""`regfs check` and `regfs diff`: for the fail-over host."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import click

from regfs.cli.opening import Opened, follow_symlinks_option, opened
from regfs.cli.tables import Output, table_options
from regfs.errors import RegfsError, UsageError
from regfs.graph.index import Need
from regfs.graph.index.doubt import has_gaps
from regfs.graph.reports import check as checking
from regfs.graph.reports import difference
from regfs.graph.reports.lists import broken
from regfs.graph.reports.table import readable_size
from regfs.registry.findings import SEVERITIES

#: As diff(1) and fsck(8): 0 for no difference or damage, 1 for some, 2 for trouble.
_FOUND_SOME = 1

_RATE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?(?:/s)?\Z", re.IGNORECASE)


def _read_rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = _RATE.match(value)
    rate = float(match[1]) * 1024 ** "_KMGT".index(match[2].upper() or "_") if match else 0.0
    if not rate:
        raise click.BadParameter(f"{value!r} is no number of bytes per second such as 50M")
    return rate


@contextmanager
def _trouble() -> Iterator[None]:
    """Turn what stops a check into exit status 2: 1 says that it found damage."""
    try:
        yield
    except RegfsError as error:
        raise UsageError(str(error)) from error


@click.command(short_help="Tell whether each image can be pulled.")
@click.argument("store")
@click.option("--digests", is_flag=True, help="Hash the content of every blob as well.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Blobs hashed at once."
)
@click.option("--bandwidth", callback=_read_rate, metavar="RATE", help="Read at most so much a second: 50M.")
@click.option("--strict", is_flag=True, help="Hazards of garbage-collect -m give exit status 1 as well.")
@click.option("--all", "everything", is_flag=True, help="List the tags that can be pulled, too.")
@table_options
@follow_symlinks_option
def check(
    store: str,
    digests: bool,
    jobs: int,
    bandwidth: float | None,
    strict: bool,
    everything: bool,
    output: Output,
) -> None:
    """Tell of each tag in STORE whether it can be pulled: whether all is there, with the right sizes.

    --digests reads everything; stopped, it goes on where it was. Exit status: 0 all is well, 1 something is
    damaged or could not be read, or the registry's garbage collector would delete what a tag needs, 2 the
    check could not be done. What only garbage-collect -m of registries before 3.0 would delete (what the
    tags of several platforms need) is a hazard: named, and no reason for status 1 but with --strict.
    """
    with _trouble(), opened(store) as it:
        it.references.refresh(thorough=True)
        if digests:
            _hash(it, bandwidth, jobs)
        with it.references.snapshot(Need.LINKS, Need.CONTENTS) as snapshot:
            all_findings = list(broken(snapshot).rows)
            found = checking.verdict(snapshot)
            tags = checking.by_tag(snapshot, sound=everything)
            gaps = has_gaps(snapshot)
    if tags.rows or not output.for_people:
        output.print(tags)
    untold = f"; of {found.untold} that cannot be told" if found.untold else ""
    print(f"regfs: {found.sound} of {found.tags} tags can be pulled{untold}", file=sys.stderr)
    counts = Counter(row[0] for row in all_findings)
    without_tag = sum(row[0] == "damage" and not row[3] for row in all_findings)
    for count, what, why in (
        (without_tag, "finding", "of damage that no tag suffers from"),
        (counts["alarm"], "alarm", f": {SEVERITIES['alarm']}"),
        (counts["hazard"], "hazard", f": {SEVERITIES['hazard']}"),
    ):
        if count:
            plural = "" if count == 1 else "s"
            between = "" if why.startswith(":") else " "
            print(f"regfs: {count} {what}{plural}{between}{why}; see regfs report broken", file=sys.stderr)
    loud = counts["alarm"] or counts["damage"] or counts["unknown"] or gaps or (strict and counts["hazard"])
    if loud:
        sys.exit(_FOUND_SOME)


def _hash(it: Opened, bandwidth: float | None, jobs: int) -> None:
    work = checking.DigestCheck(it.references, it.contents, checking.Throttle(bandwidth), jobs)
    if work.done:
        print(f"regfs: goes on after {readable_size(work.done)} hashed before", file=sys.stderr)
    from tqdm import tqdm  # only now, as in opening.py

    bar = tqdm(
        total=work.total,
        initial=work.done,
        desc="regfs: hashing",
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=None,
        leave=False,
    )
    with bar:
        work.run(bar.update)


@click.command(short_help="Tell how two stores differ.")
@click.argument("first", metavar="STORE_A")
@click.argument("second", metavar="STORE_B")
@click.option(
    "--show",
    type=click.Choice(["tags", "blobs"]),
    default="tags",
    show_default=True,
    help="Tags added, removed and moved; or the blobs that tags of A need and B lacks.",
)
@table_options
@follow_symlinks_option
def diff(first: str, second: str, show: str, output: Output) -> None:
    """Tell how the tags of two stores differ, and what STORE_B lacks that the tags of STORE_A need.

    A tag is added if only B has it, removed if only A has it, moved if it names another image. Exit status:
    0 they are equal in that, 1 they differ, or it is unknown, for something could not be read; 2 they could
    not be compared.
    """
    with _trouble(), opened(first) as one, opened(second) as other:
        if one.path == other.path:
            raise UsageError(f"{first} and {second} are the same store: {one.path}")
        for it in (one, other):
            it.references.refresh(thorough=True)
        with one.references.snapshot() as a, other.references.snapshot() as b:
            tags, blobs = difference.tags(a, b), difference.blobs(a, b)
    changes, missing = list(tags.rows), list(blobs.rows)
    output.print((tags if show == "tags" else blobs)._replace(rows=changes if show == "tags" else missing))
    if output.for_people:
        changed = Counter(row[0] for row in changes)
        words = ", ".join(f"{changed[name]} {name}" for name in ("added", "removed", "moved"))
        words += f", {changed['unknown']} unknown" if changed["unknown"] else ""
        lacks = [row for row in missing if row[3] != "not read"]
        size = sum(row[1] for row in lacks if isinstance(row[1], int))
        unread = f", of {len(missing) - len(lacks)} it is unknown" if len(missing) > len(lacks) else ""
        print(
            f"regfs: tags: {words}; {second} lacks {len(lacks)} blobs, {readable_size(size)}{unread}",
            file=sys.stderr,
        )
    if changes or missing:
        sys.exit(_FOUND_SOME)
