"""`regfs report` and `explain`: what the store holds and who needs it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace

import click

from regfs.cli.documents import DocumentForm, document_option, print_documents
from regfs.cli.opening import Opened, follow_symlinks_option, max_layer_size_option, opened
from regfs.cli.patterns import read_patterns
from regfs.cli.progress import clear, complain, quiet_option
from regfs.cli.tables import Output, table_options, tell
from regfs.errors import NotKnownError, RegfsError, StoreError, TreeError, UsageError
from regfs.graph.reports import explain as explaining
from regfs.graph.reports.catalogue import PAGE, REPORTS
from regfs.graph.reports.rules import Pattern
from regfs.graph.reports.table import Value
from regfs.oci.digest import LENGTHS
from regfs.oci.names import read_registry
from regfs.oci.naming import ROOTFS

#: What is no table, but takes its place.
METRICS = "metrics"

#: Bytes of a report that are kept in memory; a longer one goes to a temporary file.
_IN_MEMORY = 1 << 20


_REPORT_HELP = """Print the report NAME about STORE: the same as in @reports/ of a mount.

\b
""" + "\n".join(f"  {name:<13} {report.help}" for name, report in REPORTS.items())
_REPORT_HELP += f"\n  {METRICS:<13} for Prometheus: what node_exporter's textfile collector takes"
_REPORT_HELP += f"\n  {PAGE:<13} all of it as one page for a browser, to be sent to a file"


def _read_registry(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    try:
        return read_registry(value) if value else ""
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(short_help="Print a report: summary, tags, blobs, …", help=_REPORT_HELP)
@click.argument("name", type=click.Choice([*REPORTS, METRICS, PAGE]), metavar="NAME")
@click.argument("store")
@click.option(
    "--match",
    multiple=True,
    metavar="PATTERN",
    callback=read_patterns,
    help="Only what REPO:TAG or REPO@DIGEST fits, as in regfs reclaim; of blobs, what such images need.",
)
@click.option(
    "--registry",
    metavar="HOST[:PORT]",
    callback=_read_registry,
    help="With html: the registry that the page's docker pull commands name.",
)
@table_options
@quiet_option
@follow_symlinks_option
def report(name: str, store: str, match: tuple[Pattern, ...], registry: str, output: Output) -> None:
    """Print one report: all of it is made first, so that nobody waits for who reads it."""
    if registry and name != PAGE:
        raise UsageError("--registry is for html alone")
    if name == PAGE:
        if match or output != Output():
            raise UsageError("html is a form by itself: no option of a table goes with it")
        _print_page(store, registry)
        return
    if name == METRICS:
        if match or output != Output():
            raise UsageError("metrics are for Prometheus: no option of a table goes with them")
        from regfs.cli.monitoring import print_metrics  # only now: no other report takes it

        print_metrics(store)
        return
    view = replace(output.view, match=match)
    if match and name == "summary":
        raise UsageError("--match: the summary is of the whole store")
    notes: list[str] = []
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as made:
        with opened(store) as it, it.reports.viewing(name, view) as seen:
            for text in output.text(seen.table, notes):
                made.write(text.encode(errors="backslashreplace"))
        made.seek(0)
        while piece := made.read(_IN_MEMORY):
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    tell([*seen.notes, *notes])


def _print_page(store: str, registry: str) -> None:
    if sys.stdout.isatty():
        raise UsageError("a page is for a browser, not a terminal: regfs report html STORE > page.html")
    with opened(store) as it:
        made = it.reports.page(registry)
    sys.stdout.buffer.write(made)


@click.command(short_help="Say what a blob is, who holds it, what keeps it.")
@click.argument("store")
@click.argument("things", nargs=-1, required=True, metavar="DIGEST|PREFIX|PATH|IMAGE [PATH]...")
@document_option
@quiet_option
@max_layer_size_option
@follow_symlinks_option
def explain(store: str, things: tuple[str, ...], form: DocumentForm) -> None:
    """Say of each thing what it is, how large and how old, who holds it, and what would have to go for it.

    A thing is a digest or the first digits of one; a path of the tree such as team/app/1.0/layers/00.tar.gz,
    below a mountpoint or not; an image such as team/app:1.0; or a path below the store's blobs.

    Of a path in an image it says which layer made it, which changed it and which took it away, by which step
    of the build, and in which other images the same file shows: team/app:1.0 /etc/passwd, as two words, or
    team/app/1.0/rootfs/etc/passwd, below a mountpoint or not.

    \b
      regfs explain /var/lib/registry sha256:1f3e team/app:1.0
      regfs explain /var/lib/registry team/app:1.0 /etc/passwd
    """
    failed = False
    documents: list[dict[str, Value]] = []
    with opened(store) as it:
        for number, thing in enumerate(_joined(it, things)):
            try:
                lines, facts = _explained(it, thing, form)
            except RegfsError as error:
                complain(str(error))
                failed = True
                continue
            documents.append(facts)
            if form is DocumentForm.TEXT:
                clear()
                print(("\n" if number else "") + "\n".join(lines))
    if form is not DocumentForm.TEXT:
        print_documents(documents, form)
    if failed:
        sys.exit(1)


def _explained(it: Opened, thing: str, form: DocumentForm) -> tuple[list[str], dict[str, Value]]:
    """Explain one thing: in lines for people, or in facts for programs."""
    in_words = form is DocumentForm.TEXT
    if _INSIDE in thing:
        # Only now: the reports take none of the tree, and it takes a while to load.
        from regfs.cli.inside import explain_path, path_facts, trace_path

        trace = trace_path(it, below_mountpoint(thing))
        return (list(explain_path(it, trace)), {}) if in_words else ([], path_facts(it, trace))
    # Before the index is asked: a path of the tree may ask it as well.
    name = _digest_of(it, thing) or thing
    with it.references.snapshot() as snapshot:
        digest = explaining.find(snapshot, name)
    with it.reports.explaining(digest) as snapshot:
        if in_words:
            return list(explaining.explain(snapshot, digest)), {}
        return [], explaining.facts(snapshot, digest)


def _joined(it: Opened, things: Iterable[str]) -> list[str]:
    """Join an image and the path in it that follows, to a path of the tree."""
    joined: list[str] = []
    for thing in things:
        image = _REFERENCE.match(joined[-1]) if joined and not os.path.lexists(joined[-1]) else None
        if image and thing.startswith("/") and _INSIDE not in thing + joined[-1] and not _leads(it, thing):
            joined[-1] = f"{image['repository']}/{image['name']}{_INSIDE}{thing.lstrip('/')}"
        else:
            joined.append(thing)
    return joined


def _leads(it: Opened, path: str) -> bool:
    """Tell whether a path leads to a blob or an image by itself."""
    try:
        return _digest_of(it, path) is not None
    except RegfsError:
        return False


#: What stands between an image and a path in it.
_INSIDE = f"/{ROOTFS}/"


def below_mountpoint(path: str) -> str:
    """Give the path in the tree of one that is in a mount of regfs; any other as it is."""
    above = os.path.abspath(path)
    while above != "/":
        if os.path.ismount(above):
            break
        above = os.path.dirname(above)
    return os.path.relpath(os.path.abspath(path), above) if above != "/" else path


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
