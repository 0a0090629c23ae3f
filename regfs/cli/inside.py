"""`regfs tree` and `regfs history`: what is inside an image, without a mount and without a daemon."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator, Sequence

import click

from regfs.cli.browse import open_tree, platform_option, walk
from regfs.cli.images import find_image
from regfs.cli.opening import follow_symlinks_option, max_layer_size_option
from regfs.cli.reporting import format_option, print_table
from regfs.errors import RegfsError, printable
from regfs.graph.reports.table import Format, Row, Table, Type, columns
from regfs.layers import Layer
from regfs.oci import Platform
from regfs.tree import Directory, Node, Symlink, Tree
from regfs.tree.inside.nodes import MISSING
from regfs.tree.inside.steps import BuildStep, steps

_TREE = columns("mode", uid=Type.NUMBER, gid=Type.NUMBER, size=Type.SIZE, changed=Type.TIME) + columns(
    "path", "target"
)
_HISTORY = columns(
    "layer",
    stored=Type.SIZE,
    unpacked=Type.SIZE,
    added=Type.NUMBER,
    changed=Type.NUMBER,
    removed=Type.NUMBER,
    wasted=Type.SIZE,
    left_out=Type.NUMBER,
) + columns("created", "digest", "command")

#: The mode of what cannot be looked at.
_UNREADABLE = "??????????"

#: What a table shows of a command; csv and json have all of it.
_SHORT = 60

REF = "REPOSITORY[:TAG|@DIGEST]"


@click.command(short_help="List the files inside an image, as a container sees them.")
@click.argument("store")
@click.argument("ref", metavar=REF)
@click.argument("path", default="/")
@format_option
@platform_option
@max_layer_size_option
@follow_symlinks_option
def tree(store: str, ref: str, path: str, form: Format, platform: Platform) -> None:
    """List all that stands at PATH (the whole if none is given) in an image of STORE, its layers merged.

    Without a tag, the image that is tagged `latest`. What cannot be looked at is marked by `?`, and the
    status is 1 then; so it is where a layer cannot be read, and the others are shown.

    \b
      regfs tree /var/lib/registry team/app:1.0 /etc
      regfs tree /var/lib/registry team/app:1.0 --format csv | grep '^.rws'
    """
    opened = open_tree(store, platform, partial=True)
    image = find_image(opened, ref)
    complaints: list[str] = []
    scope, manifest = image.image
    for position, layer in enumerate(scope.opener.attempts(scope.repository, manifest)):
        if not isinstance(layer, Layer):
            complaints.append(f"layer {position:02} is missing from what is shown: {layer}")
        elif layer.meta.skipped:
            print(f"regfs: {_left_out(position, layer)}", file=sys.stderr)
    at = f"{image.path}/rootfs/{path.strip('/')}".rstrip("/")
    rows = _rows(opened, at, path.strip("/"), complaints, missing=bool(complaints))
    print_table(Table(_TREE, rows), form)
    _complain(complaints)


def _left_out(position: int, layer: Layer) -> str:
    count, first = layer.meta.skipped, layer.left_out[0].decode("utf-8", "surrogateescape")
    first = printable(first if len(first) <= _SHORT else f"{first[:_SHORT]}…")
    entries = "1 entry" if count == 1 else f"{count} entries"
    return f"layer {position:02}: {entries} left out, which no file system can show: {first}"


def _complain(complaints: Sequence[str]) -> None:
    """Say what could not be read, behind all that could, and exit with status 1."""
    sys.stdout.flush()
    for complaint in complaints:
        print(f"regfs: {complaint}", file=sys.stderr)
    if complaints:
        sys.exit(1)


def _rows(opened: Tree, at: str, path: str, complaints: list[str], *, missing: bool) -> Iterator[Row]:
    """List all at a path; what cannot be looked at is marked, and complained of."""
    top = walk(opened, at)
    if not isinstance(top, Directory):
        yield _row(top, path)
        return
    waiting: list[tuple[str, Directory]] = [(path, top)]
    while waiting:
        above, directory = waiting.pop()
        below = []
        for child in sorted(directory.children()):
            if missing and not above and child.name == MISSING:
                continue
            name = f"{above}/{child.name}".lstrip("/")
            try:
                node = directory.lookup(child.name)
                yield _row(node, name)
            except RegfsError as error:
                complaints.append(f"{printable(name)}: {error}")
                yield (_UNREADABLE, None, None, None, None, name, "")
                continue
            if isinstance(node, Directory):
                below.append((name, node))
        waiting.extend(reversed(below))


def _row(node: Node, path: str) -> Row:
    found = node.attributes()
    uid, gid = found.owner or (0, 0)
    target = node.target() if isinstance(node, Symlink) else ""
    return (stat.filemode(found.mode), uid, gid, found.size, found.mtime_ns, path, target)


@click.command(short_help="Tell what each step of an image's build did to its files.")
@click.argument("store")
@click.argument("ref", metavar=REF)
@format_option
@platform_option
@max_layer_size_option
@follow_symlinks_option
def history(store: str, ref: str, form: Format, platform: Platform) -> None:
    """List the steps that built an image of STORE, the first one first, with what each did to the files.

    `stored` and `unpacked` are the layer's bytes as they are stored and as a tar; `added`, `changed` and
    `removed` count files; `wasted` are the bytes of files in lower layers that the step replaced or removed:
    they are still stored, and no container sees them; `left_out` counts what no file system can show. A layer
    that cannot be read has no counts, those above it are compared with the others, and the status is 1.

    \b
      regfs history /var/lib/registry team/app:1.0
      regfs history /var/lib/registry team/app@sha256:1f3e… --format json
    """
    scope, image = find_image(open_tree(store, platform), ref).image
    found = list(steps(scope, image))
    print_table(Table(_HISTORY, [_step(step, short=form is Format.TABLE) for step in found]), form)
    layers = [step.layer for step in found if step.layer is not None]
    _complain([f"layer {layer.position:02} cannot be read: {layer.error}" for layer in layers if layer.error])


def _step(step: BuildStep, *, short: bool) -> Row:
    command = " ".join(step.command.split()) if short else step.command
    if short and len(command) > _SHORT:
        command = command[: _SHORT - 1] + "…"
    layer = step.layer
    if layer is None:
        return (*[None] * 8, step.created, None, command)
    digest = layer.digest[: layer.digest.index(":") + 13] if short else layer.digest
    number = f"{layer.position:02}"
    changes = layer.changes or (None,) * 4
    return (
        number,
        layer.stored,
        layer.unpacked,
        *changes,
        layer.left_out,
        step.created,
        digest,
        command,
    )
