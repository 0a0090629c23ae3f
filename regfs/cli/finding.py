"""`regfs find`: a file by its name, in many images, without a mount."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

import click

from regfs.cli.browse import open_tree, platform_option
from regfs.cli.images import find_image, images_of
from regfs.cli.opening import follow_symlinks_option, max_layer_size_option
from regfs.cli.progress import Steps, complain, quiet_option
from regfs.cli.tables import Output, table_options
from regfs.errors import NoFileSystemError, NotKnownError, RegfsError
from regfs.graph.reports.table import SPARE, Column, Row, Table, Type
from regfs.oci import Platform
from regfs.tree import Tree
from regfs.tree.inside.search import Search

COLUMNS = (
    Column("image", help="REPOSITORY:TAG"),
    Column("path", help="in the image"),
    Column("layer", help="the number of the one that it is from"),
    Column("digest", Type.DIGEST, "of that layer", SPARE),
)


@click.command(short_help="Find files by their name in many images.")
@click.argument("store")
@click.argument("pattern")
@click.option(
    "--image", "images", multiple=True, metavar="'REPOSITORY:TAG'", help="Only in such images (all)."
)
@table_options
@quiet_option
@platform_option
@max_layer_size_option
@follow_symlinks_option
def find(store: str, pattern: str, images: tuple[str, ...], output: Output, platform: Platform) -> None:
    """Find the files whose name matches PATTERN in the images of STORE, as containers see them.

    PATTERN and --image are as in a shell: `*`, `?`, `[…]`; a PATTERN with a slash is one of the whole path.
    Each layer is searched once, however many images have it; those that were never read are read first. The
    status is 1 if something cannot be read.

    \b
      regfs find /var/lib/registry 'log4j-core-*.jar'
      regfs find /var/lib/registry 'etc/ssl/*' --image 'team/*:*'
    """
    tree = open_tree(store, platform)
    complaints: list[str] = []
    with Steps() as progress:
        rows = _rows(tree, pattern, images, progress, complaints)
        # In a terminal the rows would stand in the bar's way; elsewhere they are printed as they are found.
        output.print(Table(COLUMNS, list(rows) if output.for_people or sys.stdout.isatty() else rows))
    sys.stdout.flush()
    for complaint in complaints:
        complain(complaint)
    if complaints:
        sys.exit(1)


def _rows(
    tree: Tree, pattern: str, images: tuple[str, ...], progress: Steps, complaints: list[str]
) -> Iterator[Row]:
    search = Search(os.fsencode(pattern))
    refs = [
        ref
        for ref in images_of(tree, (), lambda place, error: complaints.append(f"{place}: {error}"))
        if not images or any(fnmatchcase(ref, image) for image in images)
    ]
    for number, ref in enumerate(refs):
        progress("images searched", number, len(refs))
        try:
            scope, image = find_image(tree, ref).image
            attempts = scope.opener.attempts(scope.repository, image)
        except NoFileSystemError:
            continue
        except NotKnownError:
            continue  # an index without an image for this platform
        except RegfsError as error:
            complaints.append(f"{ref}: {error}")
            continue
        for found in search.image(attempts):
            if isinstance(found, RegfsError):
                complaints.append(f"{ref}: {found}")
                continue
            path = found.path.decode("utf-8", "surrogateescape")
            yield (ref, path, f"{found.position:02}", str(found.layer.digest))
    progress("images searched", len(refs), len(refs))
