"""`regfs report` and `explain`: what the store holds and who needs it."""

from __future__ import annotations

import os
import re
import sys
import tempfile

import click

from regfs.cli.opening import Opened, follow_symlinks_option, opened
from regfs.errors import NotKnownError, RegfsError, StoreError, TreeError
from regfs.graph.reports import explain as explaining
from regfs.graph.reports.catalogue import REPORTS
from regfs.graph.reports.table import Format, Table, render
from regfs.oci.digest import LENGTHS

format_option = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    default=Format.TABLE.value,
    show_default=True,
    callback=lambda _ctx, _param, value: Format(value),
    help="For people, or with sizes in bytes for programs.",
)


#: Bytes of a report that are kept in memory; a longer one goes to a temporary file.
_IN_MEMORY = 1 << 20


def print_table(table: Table, form: Format) -> None:
    """Print a table, piece by piece."""
    for piece in render(table, form):
        sys.stdout.write(piece)


_REPORT_HELP = """Print the report NAME about STORE: the same as in @reports/ of a mount.

\b
""" + "\n".join(f"  {name:<13} {report.help}" for name, report in REPORTS.items())


@click.command(short_help="Print a report: summary, tags, blobs, …", help=_REPORT_HELP)
@click.argument("name", type=click.Choice(list(REPORTS)), metavar="NAME")
@click.argument("store")
@format_option
@follow_symlinks_option
def report(name: str, store: str, form: Format) -> None:
    """Print one report: all of it is made first, so that nobody waits for who reads it."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as made:
        with opened(store) as it, it.reports.making(name) as table:
            for text in render(table, form):
                made.write(text.encode(errors="backslashreplace"))
        made.seek(0)
        while piece := made.read(_IN_MEMORY):
            sys.stdout.buffer.write(piece)


@click.command(short_help="Say what a blob is, who holds it, what keeps it.")
@click.argument("store")
@click.argument("things", nargs=-1, required=True, metavar="DIGEST|PREFIX|PATH...")
@follow_symlinks_option
def explain(store: str, things: tuple[str, ...]) -> None:
    """Say of each thing what it is, how large and how old, who holds it, and what would have to go for it.

    A thing is a digest or the first digits of one; a path of the tree such as team/app/1.0/layers/00.tar.gz,
    below a mountpoint or not; an image such as team/app:1.0; or a path below the store's blobs.
    """
    failed = False
    with opened(store) as it:
        for number, thing in enumerate(things):
            try:
                # Before the index is asked: a path of the tree may ask it as well.
                text = _digest_of(it, thing) or thing
                with it.references.snapshot() as snapshot:
                    digest = explaining.find(snapshot, text)
                with it.reports.explaining(digest) as snapshot:
                    lines = list(explaining.explain(snapshot, digest))
            except RegfsError as error:
                print(f"regfs: {error}", file=sys.stderr)
                failed = True
                continue
            print(("\n" if number else "") + "\n".join(lines))
    if failed:
        sys.exit(1)


#: A path of the store's blobs; the shard stands between algorithm and digits.
_BLOB_PATH = re.compile(rf"(?:^|/)blobs/({'|'.join(LENGTHS)})/[0-9a-f]{{2}}/([0-9a-f]{{64,128}})(?:/|\Z)")
_REFERENCE = re.compile(r"(?P<repository>[^:@]+)(?P<name>[:@].+)\Z")


def _digest_of(it: Opened, thing: str) -> str | None:
    """Find the digest of what a path leads to; None if it is no path."""
    if blob := _BLOB_PATH.search(thing):
        return f"{blob[1]}:{blob[2]}"
    try:
        return os.getxattr(thing, "user.regfs.digest").decode()
    except OSError:
        pass
    reference = _REFERENCE.match(thing)
    if "/" not in thing and (not reference or reference["repository"] in LENGTHS):
        return None
    path = f"{reference['repository']}/{reference['name']}" if reference and "/@" not in thing else thing
    # Only now: the reports take none of the tree, and it takes a while to load.
    from regfs.cli.browse import open_tree
    from regfs.mount.options import this_machine

    tree = open_tree(it.path, this_machine())
    for candidate in (thing, path):
        try:
            found = tree.walk(candidate).facts().get("digest")
        except (TreeError, StoreError):
            continue
        if found:
            return found
        raise NotKnownError(thing, "is no blob and no image; see regfs report repositories")
    raise NotKnownError(thing, "no such path in the tree")
