"""A real `regfs serve`, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from tests.conftest import REGFS
from tests.registry.api import Api
from tests.registry.server import free_port


class Serving:
    """One running `regfs serve`; gone with `end`."""

    def __init__(self, store: Path, directory: Path, *arguments: str, who: str = "--anonymous") -> None:
        while True:
            # The port is free now; another process may still take it first.
            self.port = free_port()
            self.address = f"127.0.0.1:{self.port}"
            self._log = directory / f"serve-{self.port}.log"
            command = [*REGFS, "serve", str(store), "--listen", self.address, *who.split(), *arguments]
            with self._log.open("wb") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log)
            if self._answers():
                break
        self.api = Api(self.address)

    def _answers(self) -> bool:
        """Wait until it answers; False if another process has its port."""
        deadline = time.monotonic() + 30
        while "answers at http" not in self.log():
            if self.process.poll() is not None and "already in use" in self.log():
                return False
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise AssertionError(f"it does not answer: {self.log()}")
            time.sleep(0.02)
        return True

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def memory(self) -> int:
        """Tell what its processes hold, in bytes: of what they share, each its part (PSS)."""
        found = 0
        for process in (self.process.pid, *self.workers()):
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            found += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return found * 1024

    def workers(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in text.split()]

    def descriptors(self) -> int:
        return sum(len(os.listdir(f"/proc/{process}/fd")) for process in self.workers())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def end(self) -> int:
        """Stop it as a service manager does; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def ask_raw(serving: Serving, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Send bytes, and read what comes until the server hangs up."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(serving.connect())
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(request)
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
        return found
