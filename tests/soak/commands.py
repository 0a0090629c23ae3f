"""The programs that people walk over a mount with, and regfs's own commands beside it."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
import time

from tests.conftest import REGFS
from tests.registry.collector import digest_of
from tests.soak.chronicle import Span
from tests.soak.judging import Judge
from tests.soak.reading import Read, Reader
from tests.soak.tally import Tally

_PATIENCE = 120.0
_PLAIN = {**os.environ, "LC_ALL": "C"}
#: What each command line is, with the mount's path at the end.
WALKS = {
    "find -ls": ("find", "-P", "{}", "-ls"),
    "du -s": ("du", "-s", "{}"),
    "grep -r": ("grep", "-r", "-a", "-c", "architecture", "{}"),
    "ls -lR": ("ls", "-lR", "{}"),
}
#: As grep(1): 1 for nothing found, 2 for trouble, which is on standard error as well.
_MOST_STATUS = 2


class Commands:
    """Runs them. For one thread."""

    def __init__(self, reader: Reader, judge: Judge, tally: Tally) -> None:
        self._reader = reader
        self._judge = judge
        self._tally = tally

    def walk(self, name: str, directory: str) -> None:
        """Run one of WALKS over a directory of the mount."""
        start = time.monotonic()
        command = [part.format(self._reader.top / directory) for part in WALKS[name]]
        done = subprocess.run(
            command, capture_output=True, env=_PLAIN, timeout=_PATIENCE, check=False, cwd="/"
        )
        span = Span(start, time.monotonic())
        complaints = self._judge.complaints(done.stderr.decode(errors="replace"), span, name)
        if not 0 <= done.returncode <= _MOST_STATUS or (
            done.returncode and not complaints and name != "grep -r"
        ):
            self._tally.fault(f"{name} {directory}: status {done.returncode}")
        self._tally.did("lines printed", done.stdout.count(b"\n"))

    def tar(self, directory: str) -> None:
        """Pack a directory, and compare each file that comes out."""
        start, found = time.monotonic(), []
        # To a file: a pipe that nobody reads to its end would block tar.
        with tempfile.TemporaryFile() as complaints:
            command = [
                "tar",
                "--quoting-style=literal",
                "-P",
                "-c",
                "-f",
                "-",
                str(self._reader.top / directory),
            ]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, env=_PLAIN)
            with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isreg() and (file := archive.extractfile(member)):
                        content = file.read()
                        path = os.path.relpath(f"/{member.name.lstrip('/')}", self._reader.top)
                        found.append((path, Read(digest_of(content), len(content))))
                while process.stdout and process.stdout.read(1 << 16):
                    pass  # the padding
            complaints.seek(0)
            said = complaints.read().decode(errors="replace")
        span = Span(start, time.monotonic())
        torn = self._judge.complaints(said, span, "tar c")
        for path, read in found:
            if path not in torn:
                self._reader.compare(path, read, span, "by tar c")

    def regfs(self, *arguments: str, may_fail: bool = False) -> None:
        """Run a command of regfs on the store."""
        name, *others = arguments
        command = [*REGFS, name, *others]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False, env=_PLAIN
        )
        said = done.stderr.strip()[-500:]
        if "Traceback" in done.stderr or (done.returncode and not may_fail) or done.returncode not in (0, 1):
            self._tally.fault(f"regfs {' '.join(arguments)}: status {done.returncode}: {said}")
        elif done.returncode:
            self._tally.excused(f"regfs {name}: {said.rpartition(':')[2].strip()}")
