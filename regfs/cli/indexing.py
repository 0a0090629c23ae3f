"""`regfs index`: reading a store, or the layers of images, ahead of the questions about them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import click

from regfs.cli.documents import DocumentForm, document_option
from regfs.cli.opening import (
    follow_symlinks_option,
    max_layer_size_option,
    opened_index,
    say_requests,
    verbose_option,
)
from regfs.cli.progress import clear, complain, is_quiet, quiet_option
from regfs.errors import NoFileSystemError, NotKnownError, RegfsError, UsageError
from regfs.graph.index.blobs import sum_of_blobs
from regfs.graph.index.tags import count_tags
from regfs.graph.reports.formats import encoded
from regfs.graph.reports.table import Value, readable_size, text
from regfs.graph.reports.words import counted


@click.command(short_help="Read the store once, and keep who holds what.")
@click.argument("store")
@click.argument("images", nargs=-1, metavar="[REPOSITORY[:TAG]]...")
@click.option(
    "--thorough", is_flag=True, help="Look at every file again, not only at what a registry changed."
)
@click.option(
    "--layers",
    is_flag=True,
    help="Read the layers of the images instead (all, if none is named), for what is inside them.",
)
@document_option
@verbose_option
@max_layer_size_option
@quiet_option
@follow_symlinks_option
def index(store: str, images: tuple[str, ...], thorough: bool, layers: bool, form: DocumentForm) -> None:
    """Read STORE once and keep which tag and repository holds which blob, for the reports and the @ views.

    Those do it by themselves when they are first asked; this does it ahead, say from cron. Later it reads
    what has changed since, which takes a fraction of the time. The index lies below $XDG_CACHE_HOME/regfs
    (~/.cache/regfs).

    With --layers it reads layers, whole and two side by side, so that rootfs/, layers/NN/ and layers/NN.tar
    of these images open at once: of an index, this machine's image. What is no image of files (a
    signature, a chart) is passed over with a word, and an error where it is named itself.

    \b
      regfs index /var/lib/registry
      regfs index --layers /var/lib/registry team/app:1.0 team/base
    """
    if layers:
        _index_layers(store, images, form)
    elif images:
        raise UsageError("images are named only with --layers")
    else:
        _index_store(store, form, thorough=thorough)


def _index_store(store: str, form: DocumentForm, *, thorough: bool) -> None:
    with opened_index(store) as it:
        done = it.references.refresh(thorough=thorough)
        kind = (
            "read"
            if done.first
            else "brought up to date"
            if done.changed
            else "looked through; nothing changed"
        )
        say_requests(it.storage)
        with it.references.snapshot() as snapshot:
            tags, stored = count_tags(snapshot), sum_of_blobs(snapshot)
    facts: dict[str, Value] = {
        "store": text(it.path),
        "first": done.first,
        "changed": done.changed,
        "seconds": round(done.seconds, 3),
        "tags": tags,
        "blobs": stored.number,
        "blob_bytes": stored.size,
    }
    what = f"{counted(tags, 'tag')}, {counted(stored.number, 'blob')}, {readable_size(stored.size)}"
    _tell(form, facts, [f"{it.path}: {kind} in {done.seconds:.3f} s: {what}"])


def _index_layers(store: str, images: Sequence[str], form: DocumentForm) -> None:
    # Only now: to index a store takes none of them.
    from regfs.cli.browse import open_tree
    from regfs.cli.images import find_image, images_of
    from regfs.mount.options import this_machine

    began = time.perf_counter()
    tree = open_tree(store, this_machine())
    seen: dict[str, int] = {}
    passed_over: Counter[str] = Counter()
    failed = 0

    def read(ref: str) -> None:
        scope, image = find_image(tree, ref).image
        seen.update(
            (str(layer.digest), layer.size) for layer in scope.opener.layers_of(scope.repository, image)
        )

    with ThreadPoolExecutor(2) as readers:
        for ref, done in [(ref, readers.submit(read, ref)) for ref in images_of(tree, images)]:
            try:
                done.result()
            except RegfsError as error:
                if isinstance(error, NoFileSystemError) and ref not in images:
                    passed_over[error.media_type] += 1
                    continue
                if isinstance(error, NotKnownError) and not images:
                    continue  # an index without an image for this machine, which nobody asked for
                failed += 1
                complain(f"{ref}: {error}")
    lines = [
        f"{counted(count, 'tag')} passed over, no file system: {media_type or 'an artifact of no media type'}"
        for media_type, count in sorted(passed_over.items())
    ]
    seconds, size = time.perf_counter() - began, sum(seen.values())
    lines.append(f"{counted(seen, 'layer')}, {readable_size(size)} uncompressed, in {seconds:.1f} s")
    facts: dict[str, Value] = {
        "store": text(store),
        "seconds": round(seconds, 3),
        "layers": len(seen),
        "unpacked_bytes": size,
        "tags_passed_over": passed_over.total(),
        "tags_failed": failed,
    }
    _tell(form, facts, lines)
    if failed:
        sys.exit(1)


def _tell(form: DocumentForm, facts: Mapping[str, Value], lines: Iterable[str]) -> None:
    """Print what was done: for people, unless the command is to be quiet; or as one object."""
    clear()
    if form is not DocumentForm.TEXT:
        print(encoded(facts))
    elif not is_quiet():
        print("\n".join(lines))
