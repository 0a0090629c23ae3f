"""`regfs tree` and `regfs history`: what is inside an image, without a mount and without a daemon."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

from regfs.cli.browse import as_named, open_tree, platform_option, walk
from regfs.cli.images import find_image, image_at
from regfs.cli.opening import Opened, follow_symlinks_option, max_layer_size_option
from regfs.cli.progress import complain, note, quiet_option
from regfs.cli.tables import Output, table_options
from regfs.errors import NotKnownError, RegfsError, TreeError, printable
from regfs.graph.reports import explain as explaining
from regfs.graph.reports.table import SPARE, Column, Row, Table, Type, Value, readable_size, text
from regfs.layers import Layer
from regfs.layers.changes import Change, Changes
from regfs.layers.entry import EntryType
from regfs.mount.options import this_machine
from regfs.oci import Platform
from regfs.oci.naming import LAYERS, ROOTFS
from regfs.tree import Directory, Node, Symlink, Tree
from regfs.tree.inside import origin
from regfs.tree.inside.nodes import MISSING
from regfs.tree.inside.steps import BuildStep, changed_files, steps

TREE = (
    Column("mode", help="as ls -l has it; ?: it cannot be looked at"),
    Column("uid", Type.NUMBER, "the owner's number", SPARE),
    Column("gid", Type.NUMBER, "the group's number", SPARE),
    Column("size", Type.SIZE, "of a file"),
    Column("changed", Type.TIME, "its own time", SPARE),
    Column("path", help="in the image"),
    Column("target", help="of a symlink"),
)
_AMOUNT = Type.NUMBER
HISTORY = (
    Column("layer", help="its number, from the base; empty: a step that made none"),
    Column("stored", Type.SIZE, "its bytes as they are stored"),
    Column("unpacked", Type.SIZE, "its bytes as a tar", SPARE),
    Column("added", _AMOUNT, "files that no layer below has"),
    Column("changed", _AMOUNT, "files that it replaces"),
    Column("removed", _AMOUNT, "files that it takes away"),
    Column("wasted", Type.SIZE, "bytes of files below that it replaces or takes away", SPARE),
    Column("left_out", _AMOUNT, "entries that no file system can show", SPARE),
    Column("created", Type.TIME, "when the step was done, as the config says", SPARE),
    Column("digest", Type.DIGEST, "the layer's", SPARE),
    Column("command", help="of the step"),
)
FILES = (
    Column("layer", help="its number, from the base"),
    Column("change", help="added, changed, removed or wasted"),
    Column("size", Type.SIZE, "of the file; of what is wasted by it"),
    Column("path", help="in the image"),
)

#: What a layer does to a file.
_KINDS = Changes._fields

#: Images that are looked into for the same file.
_MOST_IMAGES = 50

#: The mode of what cannot be looked at.
_UNREADABLE = "??????????"

#: What a table shows of a command; csv and json have all of it.
_SHORT = 60

REF = "REPOSITORY[:TAG|@DIGEST]"


@click.command(short_help="List the files inside an image, as a container sees them.")
@click.argument("store")
@click.argument("ref", metavar=REF)
@click.argument("path", default="/")
@table_options
@quiet_option
@platform_option
@max_layer_size_option
@follow_symlinks_option
def tree(store: str, ref: str, path: str, output: Output, platform: Platform) -> None:
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
            note(_left_out(position, layer))
    at = f"{image.path}/rootfs/{path.strip('/')}".rstrip("/")
    try:
        top = walk(opened, at)
    except TreeError as error:  # it may be in a layer that is missing
        _complain([*complaints, str(error)])
        return
    rows = _rows(top, path.strip("/"), complaints, missing=bool(complaints))
    output.print(Table(TREE, rows))
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
        complain(complaint)
    if complaints:
        sys.exit(1)


def _rows(top: Node, path: str, complaints: list[str], *, missing: bool) -> Iterator[Row]:
    """List all at a path; what cannot be looked at is marked, and complained of."""
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
@table_options
@quiet_option
@platform_option
@max_layer_size_option
@follow_symlinks_option
@click.option(
    "--files",
    type=click.Choice(["all", *_KINDS]),
    is_flag=False,
    flag_value="all",
    metavar=f"[{'|'.join(_KINDS)}]",
    help="List the names behind the counts instead, the largest first.",
)
def history(store: str, ref: str, output: Output, platform: Platform, files: str | None) -> None:
    """List the steps that built an image of STORE, the first one first, with what each did to the files.

    `stored` and `unpacked` are the layer's bytes as they are stored and as a tar; `added`, `changed` and
    `removed` count files; `wasted` are the bytes of files in lower layers that the step replaced or removed:
    they are still stored, and no container sees them; `left_out` counts what no file system can show. A layer
    that cannot be read has no counts, those above it are compared with the others, and the status is 1.

    \b
      regfs history /var/lib/registry team/app:1.0
      regfs history /var/lib/registry team/app@sha256:1f3e… --format json
      regfs history /var/lib/registry team/app:1.0 --files wasted
    """
    scope, image = find_image(open_tree(store, platform), ref).image
    if files:
        changed = changed_files(scope, image)
        names = [change for change in changed.changes if files in ("all", change.kind)]
        names.sort(key=lambda change: (-change.size, change.position, change.kind, change.path))
        output.print(Table(FILES, map(_file, names)))
        _complain([f"layer {position:02} cannot be read: {error}" for position, error in changed.missing])
        return
    found = list(steps(scope, image))
    output.print(Table(HISTORY, [_step(step, short=output.for_people and not output.wide) for step in found]))
    layers = [step.layer for step in found if step.layer is not None]
    _complain([f"layer {layer.position:02} cannot be read: {layer.error}" for layer in layers if layer.error])


class Trace(NamedTuple):
    """A path in an image: which layers made, changed and removed it, and which layer's file shows now.

    `image` is the directory of the image in the tree, `name` the path in it; `built` tells when and by which
    command each layer was made, where the config does.
    """

    tree: Tree
    image: str
    name: bytes
    layers: Sequence[Layer]
    built: Sequence[tuple[str, str]]
    events: Sequence[origin.Event]
    here: origin.Origin | None

    @property
    def shown(self) -> str:
        """The image and the path, as a person would type them."""
        return printable(f"{self.image.replace('/:', ':')} /{os.fsdecode(self.name)}")


def trace_path(it: Opened, path: str) -> Trace:
    """Find which layers of an image made a path in it what it is; the path is one of the tree.

    Raises NotKnownError if no layer ever had it, and what is damaged.
    """
    above, _, inner = path.partition(f"/{ROOTFS}/")
    opened = open_tree(it.path, this_machine())
    scope, image = image_at(opened, above).image
    layers = scope.opener.layers_of(scope.repository, image)
    built = scope.opener.built(scope.repository, image)
    name = os.fsencode(inner)
    found = list(origin.events(layers, name))
    if not found and "\\" in inner:
        name = os.fsencode(as_named(inner))
        found = list(origin.events(layers, name))
    if not found:
        raise NotKnownError(f"{above}: /{inner}", "no layer has such a path")
    return Trace(opened, above, name, layers, built or (), found, origin.place(layers, name))


def explain_path(it: Opened, trace: Trace) -> Iterator[str]:
    """Say what a path in an image is, and by which steps, in lines."""
    yield trace.shown
    here, layers = trace.here, trace.layers
    if here is None:
        yield "  is       gone: no container sees it"
    else:
        size = trace.events[-1].size
        number = next(n for n, layer in enumerate(layers) if layer is here.layer)
        told = "" if size is None else f" of {size} bytes ({readable_size(size)})"
        yield f"  is       {here.type.name.lower()}{told}, of layer {number:02}"
    for event in trace.events:
        created, command = trace.built[event.position] if trace.built else ("", "")
        hidden = "" if not event.hidden else f", hides {readable_size(event.hidden)}"
        grown = "" if event.size is None or event.what == "removed" else f" {readable_size(event.size)}"
        yield f"  layer {event.position:02} {event.what}{grown}{hidden}: {layers[event.position].digest}"
        if command:
            yield f"           {created} {printable(' '.join(command.split()))}".rstrip()
    label = "also in"
    others = _places(it, trace)
    for place, error in _also(trace, others[:_MOST_IMAGES]):
        yield f"  {label:<8} {place}" + (f"? {error}" if error else "")
        label = ""
    if len(others) > _MOST_IMAGES:
        yield f"  {label:<8} and perhaps {len(others) - _MOST_IMAGES} more, which were not looked at"


def path_facts(it: Opened, trace: Trace) -> dict[str, Value]:
    """Tell the same for programs. `also_in` are images, `not_told` those of which that cannot be told."""
    others = _places(it, trace)
    also = list(_also(trace, others[:_MOST_IMAGES]))
    here = trace.here
    return {
        "path": trace.shown,
        "type": None if here is None else here.type.name.lower(),
        "size": None if here is None else trace.events[-1].size,
        "layer": None if here is None else str(here.layer.digest),
        "steps": [
            {
                "layer": event.position,
                "digest": str(trace.layers[event.position].digest),
                "what": event.what,
                "size": event.size,
                "hidden": event.hidden,
                "created": trace.built[event.position][0] if trace.built else None,
                "command": text(trace.built[event.position][1]) if trace.built else None,
            }
            for event in trace.events
        ],
        "also_in": [place for place, error in also if error is None],
        "not_told": [place for place, error in also if error is not None] + others[_MOST_IMAGES:],
    }


def _places(it: Opened, trace: Trace) -> list[str]:
    """Name the other images that have the layer whose file shows."""
    if trace.here is None or trace.here.type is EntryType.DIRECTORY:
        return []
    digest = str(trace.here.layer.digest)
    with it.reports.explaining(digest) as snapshot:
        held = explaining.describe(snapshot, digest)["held_by"]
    assert isinstance(held, list)  # noqa: S101 - for the type checker
    return sorted({path.partition(f"/{LAYERS}/")[0] for path in held} - {trace.image.replace("/:", "/")})


def _also(trace: Trace, places: Sequence[str]) -> Iterator[tuple[str, RegfsError | None]]:
    """Give the images in which the same file of the same layer shows, and those of which that is unknown."""
    here = trace.here
    for place in places:
        try:
            scope, image = image_at(trace.tree, place).image
            layers = scope.opener.layers_of(scope.repository, image)
            there = origin.place(layers, trace.name)
        except RegfsError as error:
            yield place, error
            continue
        if here and there and (there.layer.digest, there.node) == (here.layer.digest, here.node):
            yield place, None


def _file(change: Change) -> Row:
    path = change.path.decode("utf-8", "surrogateescape")
    return (f"{change.position:02}", change.kind, change.size, path)


def _step(step: BuildStep, *, short: bool) -> Row:
    command = " ".join(step.command.split()) if short else step.command
    if short and len(command) > _SHORT:
        command = command[: _SHORT - 1] + "…"
    layer = step.layer
    if layer is None:
        return (*[None] * 8, step.created, None, command)
    number = f"{layer.position:02}"
    changes = layer.changes or (None,) * 4
    return (
        number,
        layer.stored,
        layer.unpacked,
        *changes,
        layer.left_out,
        step.created,
        layer.digest,
        command,
    )
