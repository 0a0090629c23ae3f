"""Running the application: gunicorn with threads, one process that answers and one that watches it.

The process that answers opens the store itself, after the fork. Files are sent by sendfile(2), but with TLS.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from regfs.errors import OptionError
from regfs.machine import hold_little_memory
from regfs.serve.application import Application

#: Threads that answer. A client that reads slowly holds one; one that is not needed is not made.
_THREADS = 64

#: Seconds for which an idle connection is kept.
_KEEP_ALIVE = 15

#: Milliseconds after which a client that takes nothing is given up, and seconds for half a request.
_MOST_PATIENCE_MS = 300_000
_PATIENCE = 30

#: Bytes of a request's first line: a name has 255, a digest 135; gunicorn allows at most this.
_LONGEST_LINE = 8190


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen: HOST:PORT, and the files of the certificate and its key for TLS."""

    host: str
    port: int
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def parse(cls, text: str, certificate: str | None = None, key: str | None = None) -> Listening:
        """Read HOST:PORT; an IPv6 address stands in brackets. Raises OptionError."""
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
            raise OptionError("listen", f"{text!r} is not HOST:PORT such as 127.0.0.1:5000")
        if ":" in bare and not host.startswith("["):
            raise OptionError("listen", f"{text!r}: write an IPv6 address in brackets, as [::1]:5000")
        return cls(bare, int(port), certificate, key)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where clients ask."""
        return f"{'https' if self.certificate else 'http'}://{self.address}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def check_place(place: Listening) -> None:
    """See that one can listen there; gunicorn tries for five seconds first. Raises OptionError."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        socket.create_server((place.host, place.port), family=family).close()
    except OSError as error:
        said = (error.strerror or str(error)).partition(" (")[0]  # Python tells the address once more
        raise OptionError("listen", f"{place.address}: {said}") from error


class ServerLog(Logger):
    """gunicorn's log, without a traceback for a client that stopped in the middle of its request."""

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log an error that is not the client's."""
        if not isinstance(sys.exc_info()[1], BlockingIOError):
            super().exception(msg, *args, **kwargs)


class Server(BaseApplication):
    """gunicorn, told what to do by this program and by no file or environment variable.

    `make` opens the store and makes the application, in the process that answers; `ready` is called there,
    when clients are answered.
    """

    def __init__(self, place: Listening, make: Callable[[], Application], ready: Callable[[], None]) -> None:
        self._place = place
        self._make = make
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn is to do."""
        settings: dict[str, object] = {
            "bind": [self._place.address],
            "workers": 1,
            "threads": _THREADS,
            "worker_class": "gthread",
            "keepalive": _KEEP_ALIVE,
            "limit_request_line": _LONGEST_LINE,
            "certfile": self._place.certificate,
            "keyfile": self._place.key,
            "proc_name": "regfs",
            # Not its warnings: clients that try TLS first are a line each.
            "loglevel": "error",
            "logger_class": ServerLog,
            "graceful_timeout": 10,
            "post_worker_init": self._begin,
            # Nobody has to control it by a socket.
            "control_socket_disable": True,
        }
        # `sendfile` stays as it is: to set it to anything turns it off.
        for name, value in settings.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Application:  # type: ignore[override]  # the stubs' WSGI is narrower than PEP 3333's
        """Make the application, in the process that answers."""
        hold_little_memory()
        return self._make()

    def _begin(self, worker: Worker) -> None:
        """Give up clients that do not go on: connections inherit what is set on the listening socket."""
        for listener in worker.sockets:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _MOST_PATIENCE_MS)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _seconds(_PATIENCE))
        self._ready()


def _seconds(count: int) -> bytes:
    """Give a struct timeval (socket(7), SO_RCVTIMEO)."""
    return count.to_bytes(8, "little") + bytes(8)
