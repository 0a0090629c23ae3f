"""`regfs ls` and `regfs cat`: the mounted tree without a mount, for containers and locked-down hosts."""

from __future__ import annotations

import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence

import click

from regfs.cli.archives import registry_option, write, write_archive, write_images
from regfs.cli.documents import DocumentForm, document_option, print_documents
from regfs.cli.opening import (
    Choices,
    cache_directory,
    chosen_max_layer_size,
    follow_symlinks_option,
    max_layer_size_option,
    open_store,
    opened_tree,
)
from regfs.cli.progress import LayerProgress
from regfs.cli.progress import complain as say
from regfs.errors import IsDirectoryError, NoEntryError, RegfsError, UsageError, printable
from regfs.graph.reports.table import Value, text
from regfs.graph.times import iso
from regfs.mount.options import this_machine
from regfs.oci import Platform
from regfs.tree import Attributes, Directory, File, Node, Symlink, Tree
from regfs.tree.interop import ArchiveFile

#: Bytes that `cat` reads at once.
_PIECE = 1 << 20


def _read_platform(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Platform:
    try:
        return Platform.parse(value) if value else this_machine()
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


platform_option = click.option(
    "--platform",
    callback=_read_platform,
    metavar="OS/ARCH",
    help="Whose config and layers an index shows as its own (this machine's).",
)


def open_tree(store: str, platform: Platform, *, partial: bool = False, registry: str = "") -> Tree:
    """Open the tree of a store, for one short command: what was read once is not read again.

    It is closed when the command ends. `partial`: images are shown without the layers that cannot be read.
    """
    choices = Choices(
        ttl=float("inf"),
        layer_progress=LayerProgress(),
        max_layer_size=chosen_max_layer_size(),
        partial=partial,
        registry=registry,
    )
    opened = opened_tree(open_store(store), cache_directory(), platform, choices)
    return click.get_current_context().with_resource(opened)


@click.command(short_help="List a path of the tree, without a mount.")
@click.argument("store")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("-l", "--long", is_flag=True, help="Show mode, links, size in bytes, date and target as well.")
@document_option
@platform_option
@max_layer_size_option
@follow_symlinks_option
def ls(store: str, paths: tuple[str, ...], long: bool, form: DocumentForm, platform: Platform) -> None:
    """List PATH, a path of the tree that `regfs mount` shows, without a mount (the top if none is given).

    Dates are local, and -l says of which zone. In json each name is an object with its exact values.
    """
    tree = open_tree(store, platform)
    if form is not DocumentForm.TEXT:
        complaints: list[tuple[str, RegfsError]] = []
        print_documents(_documents(tree, paths or ("/",), complaints), form)
        sys.stdout.flush()
        for path, error in complaints:
            complain(path, error)
        if complaints:
            sys.exit(1)
        return
    failed = False
    for number, path in enumerate(paths or ("/",)):
        if len(paths) > 1:
            print(("\n" if number else "") + f"{printable(path)}:")
        try:
            failed = _list(tree, path, long=long) or failed
        except RegfsError as error:
            failed = complain(path, error)
    if failed:
        sys.exit(1)


def _documents(
    tree: Tree, paths: Sequence[str], complaints: list[tuple[str, RegfsError]]
) -> Iterator[dict[str, Value]]:
    """Give each name at some paths, with what a long listing says of it; what cannot be read is noted."""
    for path in paths:
        try:
            node = walk(tree, path)
            if not isinstance(node, Directory):
                yield _facts(path, node, node.attributes())
                continue
            entries = sorted(node.entries(), key=lambda entry: entry[0].name)
        except RegfsError as error:
            complaints.append((path, error))
            continue
        for child, found in entries:
            place = f"{path.rstrip('/')}/{child.name}".lstrip("/")
            try:
                shown = child.node or node.lookup(child.name)
                yield _facts(place, shown, found or shown.attributes())
            except RegfsError as error:
                complaints.append((place, error))


#: What a name of the tree may be.
_KINDS = {stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


def _facts(path: str, node: Node, found: Attributes) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "path": text(path),
        "type": _KINDS.get(stat.S_IFMT(found.mode), "file"),
        "mode": f"{stat.S_IMODE(found.mode):04o}",
        "links": found.links,
        "size": found.size,
        "changed": iso(found.mtime_ns),
        "target": text(node.target()) if isinstance(node, Symlink) else None,
    }
    try:
        facts["digest"] = node.facts().get("digest")
    except RegfsError:
        facts["digest"] = None  # what is wrong is said by who enters it
    return facts


def _list(tree: Tree, path: str, *, long: bool) -> bool:
    """List a path; tell whether something in it could not be looked at, which has been complained of."""
    node = walk(tree, path, follow=not long or path.endswith("/"))
    if not isinstance(node, Directory):
        print(_line(path, node, node.attributes()) if long else printable(path))
        return False
    if not long:
        for child in sorted(node.children()):
            print(printable(child.name))
        return False
    failed = False
    for child, found in sorted(node.entries(), key=lambda entry: entry[0].name):
        try:
            shown = child.node or node.lookup(child.name)
            print(_line(child.name, shown, found or shown.attributes()))
        except RegfsError as error:
            print(f"?????????? ? {'?':>12} {'?' * 22} {printable(child.name)}")
            failed = complain(f"{path.rstrip('/')}/{child.name}", error)
    return failed


def walk(tree: Tree, path: str, *, follow: bool = True) -> Node:
    """Find the node at a path, as `Tree.walk` does; also at one that is written as regfs prints it.

    A name that cannot be printed is printed with escapes (`caf\\udce9`), which can be typed anywhere.
    """
    try:
        return tree.walk(path, follow=follow)
    except NoEntryError:
        if "\\" not in path:
            raise
    found = "/" if path.startswith("/") else ""
    for name in path.split("/"):
        try:
            tree.walk(found + name, follow=False)
        except NoEntryError:
            name = as_named(name)
        found += f"{name}/"
    return tree.walk(found if path.endswith("/") else found[:-1], follow=follow)


def as_named(text: str) -> str:
    """Give the name that `printable` has made a text of."""
    return _ESCAPE.sub(_unescaped, text)


#: What `printable` makes of what cannot be printed.
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])")


def _unescaped(escape: re.Match[str]) -> str:
    return escape[0].encode("ascii").decode("unicode_escape")


def _line(name: str, node: Node, found: Attributes) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M %z", time.localtime(found.mtime_ns // 1_000_000_000))
    arrow = f" -> {printable(node.target())}" if isinstance(node, Symlink) else ""
    return f"{stat.filemode(found.mode)} {found.links} {found.size:>12} {moment} {printable(name)}{arrow}"


@click.command(short_help="Write a file of the tree to standard output, without a mount.")
@click.argument("store")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--archive",
    is_flag=True,
    help="PATH are images, REPOSITORY[:TAG|@DIGEST]: write one archive of them, shared layers once.",
)
@registry_option("The registry that oci/ and image.tar name the images after: HOST/team/app:1.0.")
@platform_option
@max_layer_size_option
@follow_symlinks_option
def cat(store: str, paths: tuple[str, ...], archive: bool, registry: str, platform: Platform) -> None:
    """Write the bytes at each PATH of the tree to standard output, without a mount.

    Each image has an image.tar, which docker load, podman load and ctr images import take. Nothing is written
    of one that lacks a layer, and a layer that has not its digest is an error before it is written whole.

    \b
      regfs cat /var/lib/registry team/app/1.0/image.tar | docker load
      regfs cat /var/lib/registry team/app:1.0 team/db --archive > images.tar
    """
    tree = open_tree(store, platform, registry=registry)
    if archive:
        write_images(tree, paths)
        return
    failed = False
    for path in paths:
        try:
            _copy(tree, path)
        except UsageError:
            raise
        except RegfsError as error:
            failed = complain(path, error)
    if failed:
        sys.exit(1)


def _copy(tree: Tree, path: str) -> None:
    node = walk(tree, path)
    if not isinstance(node, File):
        raise IsDirectoryError(path)
    if isinstance(node, ArchiveFile):
        write_archive(node.archive(), path, [node.image])
        return
    content = node.open()
    try:
        buffer = memoryview(bytearray(_PIECE))
        offset = 0
        while got := content.read_into(buffer, offset):
            write(buffer[:got])
            offset += got
    finally:
        content.close()


def complain(path: str, error: RegfsError) -> bool:
    """Print what is wrong with one path; the others are still shown."""
    text, name = str(error), printable(path)
    say(text if text.startswith(name) else f"{name}: {text}")
    return True
