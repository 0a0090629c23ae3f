"""`regfs tree` and `regfs history`: what is inside an image, without a mount and without a daemon."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import click

from regfs.cli.browse import open_tree, platform_option
from regfs.cli.images import find_image
from regfs.cli.opening import follow_symlinks_option
from regfs.cli.reporting import format_option, print_table
from regfs.graph.reports.table import Format, Row, Table, Type, columns
from regfs.oci import Platform
from regfs.tree import Directory, Node, Symlink, Tree
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
) + columns("created", "digest", "command")

#: What a table shows of a command; csv and json have all of it.
_SHORT = 60

REF = "REPOSITORY[:TAG|@DIGEST]"


@click.command(short_help="List the files inside an image, as a container sees them.")
@click.argument("store")
@click.argument("ref", metavar=REF)
@click.argument("path", default="/")
@format_option
@platform_option
@follow_symlinks_option
def tree(store: str, ref: str, path: str, form: Format, platform: Platform) -> None:
    """List all that stands at PATH (the whole if none is given) in an image of STORE, its layers merged.

    Without a tag, the image that is tagged `latest`.

    \b
      regfs tree /var/lib/registry team/app:1.0 /etc
      regfs tree /var/lib/registry team/app:1.0 --format csv | grep '^.rws'
    """
    opened = open_tree(store, platform)
    at = f"{find_image(opened, ref).path}/rootfs/{path.strip('/')}".rstrip("/")
    print_table(Table(_TREE, _rows(opened, at, path.strip("/"))), form)


def _rows(opened: Tree, at: str, path: str) -> Iterator[Row]:
    top = opened.walk(at)
    if not isinstance(top, Directory):
        yield _row(top, path)
        return
    waiting: list[tuple[str, Directory]] = [(path, top)]
    while waiting:
        above, directory = waiting.pop()
        below = []
        for child in sorted(directory.children()):
            node = directory.lookup(child.name)
            name = f"{above}/{child.name}".lstrip("/")
            yield _row(node, name)
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
@follow_symlinks_option
def history(store: str, ref: str, form: Format, platform: Platform) -> None:
    """List the steps that built an image of STORE, the first one first, with what each did to the files.

    `stored` and `unpacked` are the layer's bytes as they are stored and as a tar; `added`, `changed` and
    `removed` count files; `wasted` are the bytes of files in lower layers that the step replaced or removed:
    they are still stored, and no container sees them.

    \b
      regfs history /var/lib/registry team/app:1.0
      regfs history /var/lib/registry team/app@sha256:1f3e… --format json
    """
    scope, image = find_image(open_tree(store, platform), ref).image
    rows = [_step(step, short=form is Format.TABLE) for step in steps(scope, image)]
    print_table(Table(_HISTORY, rows), form)


def _step(step: BuildStep, *, short: bool) -> Row:
    command = " ".join(step.command.split()) if short else step.command
    if short and len(command) > _SHORT:
        command = command[: _SHORT - 1] + "…"
    layer = step.layer
    if layer is None:
        return (None, None, None, None, None, None, None, step.created, None, command)
    digest = layer.digest[: layer.digest.index(":") + 13] if short else layer.digest
    number = f"{layer.position:02}"
    return (number, layer.stored, layer.unpacked, *layer.changes, step.created, digest, command)
