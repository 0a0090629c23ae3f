"""regfs started from a process that has imported it: a command in 20 ms of processor time instead of 250.

The tests run some thousand commands, and most of what these cost was Python's start and the imports. So
each process of pytest has one server that has imported regfs, and for each command forks a process that
runs `python -m regfs` from there on: its own argv, environment, directory and standard streams, its own end.
Other starts (mounts, servers, a command run by setpriv or under another locale) are as a person's.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import IO

#: What of the environment Python and libc look at before a program's first line.
_EARLY = ("LC_", "LANG", "PYTHON")
#: Commands that stay, or look for processes; regfs itself, without one, is started as it is.
_REAL = {"mount", "umount", "serve"}
#: What `ForkServer.run` knows of the keywords of subprocess.run.
_KEYWORDS = {"cwd", "encoding", "errors"}

#: Seconds after which a command is killed.
_TIMEOUT = 120


def may_fork(arguments: list[str], environment: dict[str, str], keywords: Iterable[str]) -> bool:
    """Tell whether a command is the same from a fork as from a new process."""
    early = [name for name in (*environment, *os.environ) if name.startswith(_EARLY)]
    return (
        bool(arguments)
        and arguments[0].isalpha()
        and arguments[0] not in _REAL
        and _KEYWORDS.issuperset(keywords)
        and all(environment.get(name) == os.environ.get(name) for name in early)
    )


class ForkServer:
    """The server of one process of pytest, started with the first command; any thread may run one."""

    def __init__(self) -> None:
        self._ours: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def run(
        self,
        arguments: list[str],
        environment: dict[str, str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        encoding: str = "utf-8",
        errors: str = "strict",
    ) -> subprocess.CompletedProcess[str]:
        """Run `regfs ARGUMENTS` to its end, as subprocess.run does; its input is that of this process."""
        command = ["regfs", *arguments]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done, told = os.pipe()
            with open(done, "rb", buffering=0) as ending:
                request = json.dumps([arguments, environment, os.fspath(cwd or os.getcwd())]).encode()
                try:
                    self._send(request, [0, out.fileno(), err.fileno(), told])
                finally:
                    os.close(told)
                status = _status(ending, command)
            texts = [_read(file, encoding, errors) for file in (out, err)]
        return subprocess.CompletedProcess(command, status, *texts)

    def end(self) -> None:
        """End the server, as the end of pytest does."""
        if self._ours is not None and self._process is not None:
            self._ours.close()
            self._process.wait()

    def _send(self, request: bytes, descriptors: list[int]) -> None:
        if self._ours is None:
            self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-m", "tests.started", str(theirs.fileno())]
                self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        socket.send_fds(self._ours, [request], descriptors)


def _status(ending: IO[bytes], command: list[str]) -> int:
    """Wait until a command has ended: its process writes its number first, and then its status."""
    process = int(ending.read(16))
    if not select.select([ending], [], [], _TIMEOUT)[0]:
        os.kill(process, signal.SIGKILL)
        raise subprocess.TimeoutExpired(command, _TIMEOUT)
    return os.waitstatus_to_exitcode(int(ending.read(16)))


def _read(file: IO[bytes], encoding: str, errors: str) -> str:
    file.seek(0)
    text = file.read().decode(encoding, errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def serve(number: int) -> None:
    """Answer until pytest's end of the socket is closed; in a process for a command, run that command."""
    _import_all()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    with socket.socket(fileno=number) as server:
        while True:
            request, descriptors, _flags, _address = socket.recv_fds(server, 1 << 20, 4)
            if not request:
                return
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, told = descriptors
    process = os.fork()
    if process:
        os.write(told, b"%-16d" % process)
        os.write(told, b"%-16d" % os.waitpid(process, 0)[1])
        os._exit(0)
    _become(json.loads(request), standard)


def _import_all() -> None:
    package = importlib.import_module("regfs.cli")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"regfs.cli.{module.name}")


def _become(request: tuple[list[str], dict[str, str], str], standard: list[int]) -> None:
    arguments, environment, directory = request
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
    os.closerange(3, 1 << 16)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv[1:] = arguments
    runpy.run_module("regfs", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
