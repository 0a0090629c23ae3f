"""`regfs mount` and `regfs umount`."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import click

from regfs.cli.logs import start_log
from regfs.cli.opening import (
    Choices,
    cache_directory,
    check_object_store,
    is_object_store,
    open_object_store,
    opened_tree,
    take_credentials,
)
from regfs.cli.service import READY, STOPPING, tell_service_manager
from regfs.errors import OptionError
from regfs.machine import on_network
from regfs.mount import programs
from regfs.mount.mountpoint import check_mountpoint
from regfs.mount.options import DEFAULT_TTL, OBJECTS_TTL, Session, parse_options
from regfs.mount.requirements import check_allow_other, check_requirements
from regfs.mount.session import LoggedLayers, LoggedProgress, in_background, serve
from regfs.registry import locate, open_local
from regfs.storage import WholeStorage
from regfs.tree import Tree

_log = logging.getLogger(__name__)

_OPTIONS = """\b
Options for -o, separated by commas:
  ttl=DURATION      how long links and listings are believed (10s); a new push
                    shows after this time at the latest. inf for a store that
                    never changes. Of an object store 300, for each look is a
                    LIST, which costs money and as long as a thousand files
  platform=OS/ARCH[/VARIANT]
                    whose config and layers an index shows as its own (this
                    machine's)
  uid=, gid=        owner of all files (you)
  umask=OCTAL       permission bits that all files lack (0)
  owner=image|me    whose the files inside images are, and with which modes:
                    as the image says (image), or yours
  cache_size=SIZE   what the indexes of layers may take below $XDG_CACHE_HOME
                    (5G)
  max_layer_size=SIZE
                    the most that a layer may be uncompressed (64G)
  partial           show images without those of their layers that cannot be
                    read; a file at the top of rootfs/ says which
  views             list the @ directories at the top: @untagged, @orphans,
                    @reports, …; they resolve without it, too
  log_file=FILE     the same as --log-file
  fsname=NAME       what /proc/mounts and df show as the source (STORE)
  registry=HOST[:PORT]
                    what oci/ and image.tar call the images: HOST/team/app:1.0
  follow_symlinks   directories of the store may be symlinks (off): links,
                    manifests and layers still may not. Who can write to the
                    store can then point a mount of root's at others
  endpoint=URL      of s3:// that is not Amazon's: MinIO, SeaweedFS, Ceph, R2
  region=NAME       of an S3 bucket ($AWS_REGION, else us-east-1)
  anonymous         sign nothing: a public bucket
  timeout=SECONDS   how long an object store that does not answer is waited
                    for (20)
  credentials=FILE  what of AWS_…, AZURE_…, GOOGLE_… the environment would
                    say otherwise: a line NAME=VALUE each
  allow_other       let other users in; the modes are then enforced
  session=auto|kernel|fusepy
                    what answers the kernel: regfs itself, or libfuse 2 and
                    fusepy; auto takes the first that can be had
  nonempty          mount over a directory that holds files
  auto_unmount, max_read=, max_background=, entry_timeout=, attr_timeout=, …
                    libfuse's own, see mount.fuse(8)
The mount is always read-only (ro,nosuid,nodev). In /etc/fstab:
  /var/lib/registry /mnt/reg fuse.regfs _netdev,allow_other,ttl=60 0 0
  s3://bucket /mnt/s3 fuse.regfs _netdev,allow_other,region=eu-west-1 0 0
Credentials of an object store are those of the environment (AWS_…, GOOGLE_…,
AZURE_…, web identity, the machine's role) or of a file, never an option.
"""


@click.command(epilog=_OPTIONS)
@click.argument("store")
@click.argument("mountpoint")
@click.option("-o", "options", metavar="OPTIONS", multiple=True, help="Mount options, see below.")
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground and log to standard error.")
@click.option("-d", "--debug", is_flag=True, help="Stay in the foreground and log every request.")
@click.option("--platform", metavar="OS/ARCH", help="The same as -o platform=OS/ARCH.")
@click.option(
    "--log-file",
    metavar="FILE",
    help="Log to a file (in the background: not to syslog). SIGHUP opens it anew.",
)
def mount(
    store: str,
    mountpoint: str,
    options: tuple[str, ...],
    foreground: bool,
    debug: bool,
    platform: str | None,
    log_file: str | None,
) -> None:
    """Mount STORE at MOUNTPOINT, an empty directory. Returns when the files are there.

    `regfs umount MOUNTPOINT` or umount(8) ends it.
    """
    uid, gid = os.geteuid(), os.getegid()
    extra = (f"platform={platform}",) if platform else ()
    remote = is_object_store(store)
    default = OBJECTS_TTL if remote else DEFAULT_TTL
    parsed = parse_options((*options, *extra), uid=uid, gid=gid, ttl=default)
    reached = {name: getattr(parsed, name) for name in ("endpoint", "region", "anonymous", "timeout")}
    if remote:
        if parsed.credentials:
            take_credentials(parsed.credentials)
        check_object_store(store, **reached)
    elif parsed.for_objects:
        raise OptionError(parsed.for_objects, f"is for s3://, gs:// and az://, and {store} is a directory")
    root = "" if remote else locate(store)
    source = parsed.fsname or (store if remote else os.path.abspath(store))
    cache = cache_directory()
    check_requirements(uid=uid, fusepy=parsed.session is Session.FUSEPY)
    if parsed.allow_other:
        check_allow_other(uid=uid)
    place = check_mountpoint(mountpoint, root, source=source, nonempty=parsed.nonempty, uid=uid)
    log_file = log_file or parsed.log_file
    log_file = os.path.abspath(log_file) if log_file else None
    stay = foreground or debug
    detach = None if stay else in_background()
    start_log(log_file=log_file, foreground=stay, debug=debug)

    # A mount in the background is not the service: a script that made it may be, and goes on.
    serving = threading.Event()

    def begun(session: str) -> None:
        serving.set()
        _log.info("%s is mounted at %s (%s)", root or store, place, session)
        if detach:
            detach()
        else:
            tell_service_manager(READY)

    def ending() -> None:
        serving.clear()
        if not detach:
            tell_service_manager(STOPPING)

    def open_tree(ttl: float, given_up: Callable[[], bool]) -> AbstractContextManager[Tree]:
        choices = Choices(
            ttl,
            LoggedProgress(),
            LoggedLayers(),
            cache_size=parsed.cache_size,
            max_layer_size=parsed.max_layer_size,
            partial=parsed.partial,
            given_up=given_up,
            registry=parsed.registry,
        )
        storage: WholeStorage
        if remote:  # only now, in the process that stays: see regfs.storage.objects
            # The kernel's session can tell who waits while there is one, and not before.
            storage = open_object_store(store, lambda: serving.is_set() and given_up(), **reached)
        else:
            storage = open_local(root, follow_symlinks=parsed.follow_symlinks)
        return opened_tree(storage, cache, parsed.platform, choices, views=parsed.views)

    local = not remote and not on_network(root)
    serve(open_tree, source, place, parsed, local=local, debug=debug, ready=begun, ending=ending)
    _log.info("%s is unmounted", place)


@click.command()
@click.argument("mountpoint")
@click.option("-l", "--lazy", is_flag=True, help="Detach now, and end when the last open file is closed.")
def umount(mountpoint: str, lazy: bool) -> None:
    """End the mount at MOUNTPOINT."""
    programs.unmount(mountpoint, lazy=lazy)
