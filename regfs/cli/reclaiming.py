"""`regfs reclaim`: what certain rules select, and what deleting that frees."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sized
from typing import BinaryIO

import click

from regfs.cli.opening import follow_symlinks_option, opened_index
from regfs.cli.reporting import format_option, print_table
from regfs.errors import RuleError, UsageError
from regfs.graph.index import Need
from regfs.graph.index.doubt import has_no_tags
from regfs.graph.reports.contents import BlobContents
from regfs.graph.reports.reclaim import by_tag
from regfs.graph.reports.reclaim import reclaim as compute
from regfs.graph.reports.rules import By, Pattern, Rules, read_keep_list, read_pattern
from regfs.graph.reports.table import Format, Table, columns, readable_size

_AGE = re.compile(r"([0-9]+)\s*([hdwmy]?)\Z")
#: Numbers with more digits are beyond all time, too.
_DIGITS = 30
_SECONDS = {"h": 3600, "d": 86_400, "": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000}


def _read_age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Read an age, as the time before which something must have been pushed, in nanoseconds."""
    if value is None:
        return None
    match = _AGE.match(value)
    if not match:
        raise click.BadParameter(f"{value!r} is no age such as 90d, 12h, 6w, 6m or 1y")
    return max(time.time_ns() - int(match[1][:_DIGITS]) * _SECONDS[match[2]] * 1_000_000_000, 0)


def _read(reader: Callable[[], tuple[Pattern, ...]]) -> tuple[Pattern, ...]:
    """Read patterns; what can match nothing is a wrong option."""
    try:
        return reader()
    except RuleError as error:
        raise click.BadParameter(str(error)) from error


def _read_patterns(
    _ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[Pattern, ...]:
    return _read(lambda: tuple(read_pattern(param.opts[0], text) for text in value))


def _read_keep_lists(
    _ctx: click.Context, _param: click.Parameter, value: tuple[BinaryIO, ...]
) -> tuple[Pattern, ...]:
    return tuple(
        pattern
        for file in value
        for pattern in _read(
            lambda file=file: read_keep_list(  # type: ignore[misc]
                file.name, file.read().decode(errors="backslashreplace").splitlines()
            )
        )
    )


@click.command(short_help="Tell what deleting certain tags would free. Deletes nothing.")
@click.argument("store")
@click.option(
    "--match", multiple=True, metavar="PATTERN", callback=_read_patterns, help="Only what is like this."
)
@click.option(
    "--keep", multiple=True, metavar="PATTERN", callback=_read_patterns, help="Never what is like this."
)
@click.option(
    "--keep-from",
    multiple=True,
    type=click.File("rb"),
    metavar="FILE",
    callback=_read_keep_lists,
    help="Never the images that FILE names, one a line; - is standard input.",
)
@click.option(
    "--keep-last", type=click.IntRange(0), default=0, metavar="N", help="Not the last N tags of a repository."
)
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    callback=lambda _ctx, _param, value: value and By(value),
    help="What makes a tag one of the last.",
)
@click.option(
    "--older-than", "before", callback=_read_age, metavar="AGE", help="Pushed longer ago: 90d, 12h."
)
@click.option("--untagged", is_flag=True, help="Images that no tag leads to as well.")
@click.option("--stale-signatures", is_flag=True, help="Signatures whose image is gone as well.")
@click.option(
    "--ignore",
    type=click.Choice(["no-tags"]),
    help="Believe a store that has manifests and no tag at all, as where tags are kept elsewhere.",
)
@click.option(
    "--show",
    type=click.Choice(["repositories", "tags", "digests"]),
    default="repositories",
    show_default=True,
    help="The bytes by repository; the selected tags; or repository@digest to hand to what deletes.",
)
@format_option
@follow_symlinks_option
def reclaim(
    store: str,
    match: tuple[Pattern, ...],
    keep: tuple[Pattern, ...],
    keep_from: tuple[Pattern, ...],
    keep_last: int,
    by: By | None,
    before: int | None,
    untagged: bool,
    stale_signatures: bool,
    ignore: str | None,
    show: str,
    form: Format,
) -> None:
    """Tell what the rules select in STORE, and the bytes that deleting it frees. Deletes nothing.

    The bytes are exact: what the store shrinks by when the images are deleted by digest and garbage is
    collected. Layers that something else needs are not counted.

    Whatever is selected, all rules that are given select it. --match and --keep may be repeated; one that
    fits is enough. A PATTERN is REPO:TAG or REPO@DIGEST, where * and ? stand for anything, also for slashes.

    \b
      --match REPO:TAG     tags; if TAG is just *, untagged images, too
      --match REPO@DIGEST  untagged images
      --keep REPO:TAG      tags; if TAG is just *, all of REPO
      --keep REPO@DIGEST   the image, tagged or not

    A line of --keep-from is repository:tag, repository@digest, or an image as kubectl and docker ps print
    it (reg.example.com:5000/team/app:1.0; no tag means latest). Lines that begin with # are passed over.

    --keep-last counts the tags of each repository that --match selects, and no untagged images. It keeps
    those that are among the last N by push, and those that are by the date that their images were built: a
    copy of a store may have lost the one, and a build may not tell the other. Where nothing tells which of
    several is the last, it keeps all. --by takes one order alone; version is as people read them: 1.10 after
    1.9, 2.0-rc1 before 2.0. A tag without a date, or that is no version, is kept and not counted.

    `latest` is spared, and not counted, unless a --match names it: '*:latest'.

    Signatures, attestations and SBOMs (tags such as sha256-….sig, and what has a `subject`) go and stay with
    their image, and no rule counts or selects them. Where that is gone, --stale-signatures does.

    An untagged image is as old as its link in the repository.

    What may be in use, for something could not be read, is neither selected nor counted. Exit status: 0, 1 if
    the answer leaves such things out, 2 if there is none.

    \b
      regfs reclaim STORE --keep-last 10 --older-than 90d --keep '*:release-*'
      regfs reclaim STORE --match 'team/*:pr-*' --show digests
      regfs reclaim STORE --untagged --match '*@*' --older-than 30d
      kubectl get pods -A -o jsonpath='{..image}' | tr ' ' '\\n' |
        regfs reclaim STORE --older-than 90d --keep-from -
    """
    rules = Rules(
        match, keep + keep_from, before, keep_last, by, untagged, stale_signatures, ignore == "no-tags"
    )
    _see_that_something_is_asked(rules)
    with opened_index(store) as it:
        if rules.need_created:
            BlobContents(it.references, it.contents).read_configs()
        with it.references.snapshot(*([Need.WEIGHTS] if show == "tags" else [])) as snapshot:
            if untagged and not rules.ignore_no_tags and has_no_tags(snapshot):
                raise UsageError(
                    f"{store} has manifests and not one tag: Harbor from 2.15 and OpenShift keep tags in a "
                    "database of their own, and what is in use cannot be told from here. Where you know "
                    "that there are none, --ignore no-tags says so"
                )
            found = compute(snapshot, rules)
            table = by_tag(snapshot, found, time.time_ns()) if show == "tags" else found.by_repository()
    if show == "digests":
        _print_digests(found.digests, form)
    else:
        print_table(table, form)
    if form is Format.TABLE:
        selected = f"{_counted(found.tags, 'tag')}, {_counted(found.digests, 'manifest')}"
        orphaned = readable_size(found.freed.orphaned[1])
        print(
            f"regfs: {selected}; with a garbage collection {readable_size(found.size)} ({found.size} bytes) "
            f"go, of which {orphaned} without any deletion",
            file=sys.stderr,
        )
    for note in found.notes:
        print(f"regfs: {note}", file=sys.stderr)
    if found.leaves_out:
        size = readable_size(found.freed.unknown[1])
        print(
            f"regfs: not everything could be read: {found.withheld} that the rules match may be in use, and "
            f"{size} besides; see regfs report broken",
            file=sys.stderr,
        )
        sys.exit(1)


def _see_that_something_is_asked(rules: Rules) -> None:
    besides = rules.untagged or rules.stale_signatures
    if not (rules.tags or besides):
        raise click.UsageError(
            "give a rule: --match, --keep-last, --older-than, --untagged or --stale-signatures"
        )
    if rules.by and not rules.keep_last:
        raise click.UsageError("--by says which tags are the last: give --keep-last as well")
    for pattern in rules.match:
        if pattern.digest and not besides:
            raise click.UsageError(f"{pattern.given} selects untagged images: give --untagged as well")


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _print_digests(digests: Iterable[str], form: Format) -> None:
    if form is Format.TABLE:
        for digest in digests:
            print(digest)
        return
    print_table(Table(columns("repository", "digest"), [digest.split("@") for digest in digests]), form)
