"""Opening a store and putting all together that reads it: the one place that does, for each command."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from regfs import layers
from regfs.amounts import read_size
from regfs.cli.progress import Steps, complain, note
from regfs.errors import RegfsError, StoreNotFoundError
from regfs.graph import index, reports
from regfs.later import Later
from regfs.registry import Contents, locate, open_local
from regfs.storage import WholeStorage

if TYPE_CHECKING:
    from regfs.graph.index import ReferenceIndex
    from regfs.graph.index.update import Progress as Told
    from regfs.graph.reports.catalogue import Reports
    from regfs.oci import Digest, Platform
    from regfs.storage.objects import ObjectStorage
    from regfs.tree import Source, Tree

#: Processes that read a store side by side in a first pass; more only wait for the one that writes.
_MOST_PROCESSES = 4


#: Of the time that links and listings of an object store are believed, what is the listing's own share.
_LISTED = 0.35

#: Where click keeps what `follow_symlinks_option` was given, for whatever opens a store.
_FOLLOW_SYMLINKS = "regfs.follow_symlinks"


def _note_follow_symlinks(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_FOLLOW_SYMLINKS] = value


#: For each command that takes a store.
follow_symlinks_option = click.option(
    "--follow-symlinks",
    is_flag=True,
    expose_value=False,
    callback=_note_follow_symlinks,
    help="Directories of the store may be symlinks. Who can write to it can then point regfs at others.",
)


#: Where click keeps what `max_layer_size_option` was given, for whatever opens layers.
_MAX_LAYER_SIZE = "regfs.max_layer_size"


def _note_max_layer_size(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    try:
        ctx.meta[_MAX_LAYER_SIZE] = read_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


#: For each command that looks into layers.
max_layer_size_option = click.option(
    "--max-layer-size",
    metavar="SIZE",
    expose_value=False,
    callback=_note_max_layer_size,
    help="The most that a layer may be uncompressed (64G).",
)


#: Where click keeps whether `verbose_option` was given.
_VERBOSE = "regfs.verbose"


def _note_verbose(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_VERBOSE] = value


#: For each command that reads a whole store.
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_note_verbose,
    help="Tell of an object store how many requests there were.",
)


def say_requests(storage: WholeStorage) -> None:
    """Say how many requests an object store was asked, if the command was given --verbose."""
    ctx = click.get_current_context(silent=True)
    counts = getattr(getattr(storage, "bucket", None), "counts", None)
    if counts is not None and ctx is not None and ctx.meta.get(_VERBOSE):
        note(f"{storage.root}: requests: {counts}")


def chosen_max_layer_size() -> int | None:
    """Give the bytes that the command's options bound a layer to; None where they do not."""
    ctx = click.get_current_context(silent=True)
    return ctx.meta.get(_MAX_LAYER_SIZE) if ctx else None


def open_store(store: str) -> WholeStorage:
    """Open the store at or below a path or address, as the command's options say.

    For an object store that makes requests: nothing may be forked any more. Raises StoreError, UsageError.
    """
    if is_object_store(store):
        return open_object_store(store)
    ctx = click.get_current_context(silent=True)
    return open_local(locate(store), follow_symlinks=bool(ctx and ctx.meta.get(_FOLLOW_SYMLINKS)))


def is_object_store(store: str) -> bool:
    """Tell whether a STORE is in an object store: s3://, gs://, az://."""
    return "://" in store


def check_object_store(store: str, **reached: Any) -> None:
    """See that such a STORE is named rightly, and can be asked at all; nothing is asked yet."""
    from regfs.storage.objects import Address

    Address.parse(store).reached_by(**reached).connect()


def take_credentials(path: str) -> None:
    """Set in the environment what a file of credentials says. Raises UsageError."""
    from regfs.storage.objects.credentials import take_credentials

    take_credentials(path)


def open_object_store(
    store: str, given_up: Callable[[], bool] | None = None, **reached: Any
) -> ObjectStorage:
    """Open the store in a bucket. `reached`: see `Address.reached_by`; else as the environment says."""
    from regfs.machine import hold_little_memory, reuse_large_pieces  # only now: few need it
    from regfs.registry.locate_objects import open_objects
    from regfs.storage.objects import Address, Bucket

    hold_little_memory()  # 64 threads and more: an index of 650,000 objects takes a tenth less
    reuse_large_pieces()
    bucket = Bucket(Address.parse(store).reached_by(**reached), given_up)
    return open_objects(bucket)


def see_store(store: str) -> None:
    """See that a store is there, in a process that forks afterwards. Raises StoreError; or ends the process.

    An object store is asked by a child, whose end tells: after the first request nothing may be forked.
    """
    if not is_object_store(store):
        open_store(store).close()
        return
    check_object_store(store)
    child = os.fork()
    if not child:
        status = 0
        try:
            open_store(store)
        except RegfsError as error:
            complain(str(error))
            status = 2 if isinstance(error, StoreNotFoundError) else 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        sys.exit(status)


class OpenedIndex(NamedTuple):
    """A store, and its index."""

    path: str
    contents: Contents
    references: ReferenceIndex
    storage: WholeStorage


class Opened(NamedTuple):
    """A store, and what can be asked of it."""

    path: str
    contents: Contents
    references: ReferenceIndex
    storage: WholeStorage
    reports: Reports


@contextmanager
def opened_index(store: str) -> Iterator[OpenedIndex]:
    """Open a store with its index. For one short command: what was read once is believed to its end.

    Raises StoreError.
    """
    local = open_store(store)
    with Steps() as progress:
        references = index.ReferenceIndex(
            local,
            local.identity,
            cache_directory(),
            ttl=float("inf"),
            processes=min(_MOST_PROCESSES, (os.cpu_count() or 1) + 1),
            progress=progress,
        )
        try:
            yield OpenedIndex(local.root, Contents(local), references, local)
        finally:
            references.close()
            local.close()


@contextmanager
def opened(store: str) -> Iterator[Opened]:
    """Open a store with all that can be asked of it, as `opened_index` does."""
    from regfs.graph.reports.catalogue import Reports  # only now: to index a store takes none of them

    with opened_index(store) as it:
        yield Opened(*it, Reports(it.references, it.contents))


@dataclass(frozen=True)
class Choices:
    """How a store is to be read. What is told is at most `ttl` seconds old.

    The indexes of layers take `cache_size` bytes; no layer of more than `max_layer_size` bytes is read.
    `partial` and `given_up`: see Opener; `registry`: see Scope.
    """

    ttl: float
    progress: Told = lambda what, done, total: None
    layer_progress: Callable[[Digest, int, int], None] = lambda digest, read, size: None
    cache_size: int | None = None
    max_layer_size: int | None = None
    partial: bool = False
    given_up: Callable[[], bool] = lambda: False
    registry: str = ""


@contextmanager
def opened_source(
    storage: WholeStorage, cache: Path, platform: Platform, choices: Choices
) -> Iterator[Source]:
    """Put together all that reads an open storage, and close both in the end.

    `cache` keeps the indexes of the store and of layers.
    """
    # Only now: to index a store takes none of them.
    from regfs.graph import Graph
    from regfs.graph.index.database import Database
    from regfs.graph.index.keeper import Keeper
    from regfs.graph.index.known import Known
    from regfs.machine import on_network
    from regfs.registry.pace import FarAway, Pace
    from regfs.registry.side_by_side import SideBySide
    from regfs.tree import Source
    from regfs.tree.inside.opener import Opener

    contents, ttl = Contents(storage), choices.ttl
    references = Later(
        lambda: index.ReferenceIndex(storage, storage.identity, cache, ttl=ttl, progress=choices.progress)
    )
    files = Database(cache, storage.identity, follow_symlinks=storage.follow_symlinks)
    pace: Pace | FarAway = Pace(network=on_network(storage.root))
    if is_object_store(storage.root):
        from regfs.storage.objects import ObjectStorage, RememberedStorage

        assert isinstance(storage, ObjectStorage)  # noqa: S101 - for the type checker
        # What was listed answers for a third of the time, what follows from it for the rest.
        contents, ttl = Contents(RememberedStorage(storage, ttl * _LISTED)), ttl * (1 - _LISTED)
        pace = FarAway()
    aside = SideBySide(choices.given_up, pace)
    graph = Graph(contents, ttl=ttl, known=Known(files), keeper=Keeper(files), aside=aside)
    inside = Later(
        lambda: layers.Layers(
            contents,
            cache,
            cache_size=choices.cache_size or layers.CACHE_SIZE,
            max_layer_size=choices.max_layer_size or layers.MAX_LAYER_SIZE,
            progress=choices.layer_progress,
        )
    )
    opener = Opener(graph, inside, choices.given_up, partial=choices.partial)
    made = Later(lambda: reports.Reports(references(), contents))
    source = Source(graph, references, made, platform, opener, choices.registry)
    try:
        yield source
    finally:
        # First whoever reads the store: a number that another file gets meanwhile must not be read for it.
        graph.close()
        for opened_layers in inside.if_made():
            opened_layers.close()
        for opened_references in references.if_made():
            opened_references.close()
        storage.close()


@contextmanager
def opened_tree(
    storage: WholeStorage, cache: Path, platform: Platform, choices: Choices, *, views: bool = False
) -> Iterator[Tree]:
    """Put together the tree over an open storage, as `opened_source` does. `views`: the top lists them."""
    from regfs.tree import Tree  # only now: see above

    with opened_source(storage, cache, platform, choices) as source:
        yield Tree(source, list_views=views)


def cache_directory() -> Path:
    """Tell where regfs keeps what it computed (XDG Base Directory Specification, XDG_CACHE_HOME)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):  # the specification: a relative path is to be ignored
        return Path(named) / "regfs"
    home = os.environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    return Path(home) / ".cache" / "regfs"
