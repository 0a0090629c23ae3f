"""`regfs serve`: the store as a read-only registry."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import ssl
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regfs.cli.archives import registry_option
from regfs.cli.opening import (
    Choices,
    cache_directory,
    follow_symlinks_option,
    open_store,
    opened_source,
    see_store,
)
from regfs.errors import RequirementError, UsageError
from regfs.mount.options import DEFAULT_TTL, read_ttl, this_machine

if TYPE_CHECKING:
    from regfs.serve.application import Application
    from regfs.serve.server import Listening

#: What `regfs[serve]` installs.
_NEEDED = ("gunicorn", "bcrypt")


def _read_ttl(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return read_ttl(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(short_help="Answer pulls as a read-only registry, where no registry runs.")
@click.argument("store")
@click.option("--listen", default="127.0.0.1:5000", show_default=True, metavar="HOST:PORT")
@click.option(
    "--auth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Only for the names in FILE, with bcrypt hashes: htpasswd -Bc FILE NAME.",
)
@click.option("--anonymous", is_flag=True, help="For everybody who reaches the port.")
@click.option("--cert", type=click.Path(), metavar="FILE", help="TLS: the certificate, with its chain.")
@click.option("--key", type=click.Path(), metavar="FILE", help="TLS: its key.")
@click.option(
    "--ttl",
    default=f"{DEFAULT_TTL:g}s",
    show_default=True,
    callback=_read_ttl,
    metavar="DURATION",
    help="How long tags and lists are believed; inf for a store that never changes.",
)
@click.option(
    "--print-config",
    type=click.Choice(["podman", "containerd", "docker"]),
    help="Print what makes that program pull from here, under the names of --registry, and end.",
)
@registry_option("The registry in whose place this one is, for --print-config (reg.example.com).")
@follow_symlinks_option
def serve(
    store: str,
    listen: str,
    auth: Path | None,
    anonymous: bool,
    cert: str | None,
    key: str | None,
    ttl: float,
    print_config: str | None,
    registry: str,
) -> None:
    """Answer as the registry of STORE, in the foreground, until SIGTERM or Ctrl-C. Nothing can be pushed.

    One of --auth and --anonymous must be given: every user of this machine reaches a port of it, and the
    modes of the store's files do not bind who pulls.

    \b
      regfs serve /var/lib/registry --anonymous
      regfs serve STORE --print-config podman --registry reg.example.com
      podman pull reg.example.com/team/app:1.0
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise RequirementError(
            ", ".join(missing), f"serve needs {' and '.join(missing)}: pip install 'regfs[serve]'"
        )
    from regfs.serve.mirrors import PROGRAMS
    from regfs.serve.server import Listening

    if bool(cert) != bool(key):
        raise UsageError("TLS needs both --cert and --key")
    if cert:
        _check_certificate(cert, key)
    place = Listening.parse(listen, cert, key)
    if print_config:
        print(PROGRAMS[print_config](place, registry or "reg.example.com"), end="")
        return
    if bool(auth) == anonymous:
        raise UsageError(
            "say who may pull: --auth FILE, or --anonymous for everybody who reaches the port, as every user"
            " of this machine does"
        )
    see_store(store)
    _run(store, place, auth, ttl)


def _check_certificate(cert: str, key: str | None) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"TLS: {cert} and {key} are no certificate and its key: {error}") from error


def _run(store: str, place: Listening, auth: Path | None, ttl: float) -> None:
    from regfs.serve.passwords import Passwords
    from regfs.serve.server import Server, check_place

    passwords = Passwords(auth) if auth else None
    check_place(place)
    logging.basicConfig(format="regfs: %(message)s", level=logging.INFO, stream=sys.stderr)
    if not place.loopback:
        _warn(place, passwords)

    def make() -> Application:
        from regfs.serve.api import RegistryApi
        from regfs.serve.application import Application

        stack = ExitStack()
        atexit.register(stack.close)
        opened = opened_source(open_store(store), cache_directory(), this_machine(), Choices(ttl))
        source = stack.enter_context(opened)
        return Application(RegistryApi(source.graph, source.references()), passwords)

    def ready() -> None:
        print(f"regfs: {store} answers at {place.url}", file=sys.stderr, flush=True)

    Server(place, make, ready).run()


def _warn(place: Listening, passwords: object) -> None:
    reached = f"other machines may reach {place.address}"
    if passwords is None:
        print(f"regfs: {reached}, and --anonymous gives all images to each", file=sys.stderr)
    if not place.certificate:
        said = "what they pull" if passwords is None else "passwords, and what they pull,"
        print(f"regfs: {reached}; without --cert and --key {said} can be read on the way", file=sys.stderr)
