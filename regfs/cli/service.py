"""What a service manager is told of a mount: sd_notify(3), for a service of Type=notify."""

from __future__ import annotations

import logging
import os

_log = logging.getLogger(__name__)

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell_service_manager(state: str) -> None:
    """Send a state to $NOTIFY_SOCKET. Without one nobody wants to know; a failure is logged only."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    import socket  # only now: it takes a while to load

    if address.startswith("@"):  # unix(7): a name in the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.sendto(state.encode(), address)
    except OSError as error:
        _log.warning("$NOTIFY_SOCKET: %s", error.strerror or error)
