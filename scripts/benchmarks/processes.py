"""Runs programs, and tells how long they took and what they needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

REGFS = [sys.executable, "-m", "regfs"]


#: Seconds after which a command is given up: that is no comparison any more.
_PATIENCE = 300.0


_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class FailedError(Exception):
    """A program that is measured is not there, or failed."""


class Run(NamedTuple):
    """One command: seconds, the largest of its processes in MB, and what it printed."""

    seconds: float
    memory: float
    output: str


def run(command: Sequence[str]) -> Run:
    """Run a command that must succeed. Raises FailedError."""
    if shutil.which(command[0]) is None:
        raise FailedError(f"{command[0]} is not installed")
    reading, writing = os.pipe()
    with os.fdopen(reading) as report:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", _LAUNCHER, str(writing), *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                pass_fds=[writing],
                check=True,
            )
        finally:
            os.close(writing)
        seconds, kilobytes, status = report.read().split()
    if int(status):
        raise FailedError(f"{' '.join(command)}: status {status}")
    return Run(float(seconds), int(kilobytes) / 1024, done.stdout)


def seconds_of(command: Sequence[str]) -> float:
    """Time a command that must succeed, and throw away what it prints. Raises FailedError."""
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=_PATIENCE
        )
    except FileNotFoundError as error:
        raise FailedError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"{' '.join(command)}: gave up after {_PATIENCE:.0f} s") from error
    if done.returncode:
        raise FailedError(f"{' '.join(command)}: {last_line(done.stderr)}")
    return time.perf_counter() - began


def prepare(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> str:
    """Run what is not measured, and give what it printed. Raises FailedError."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **environment}, cwd=directory, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise FailedError(f"{command[0]} is not installed") from error
    if done.returncode:
        raise FailedError(f"{' '.join(command)}: {last_line(done.stderr)}")
    return done.stdout.decode()


def last_line(printed: bytes) -> str:
    """Give the last line of what a program said, which names the reason as a rule."""
    lines = printed.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it did not say why"


def drop_caches() -> None:
    """Make the next run a cold one, where this user can."""
    if can_drop_caches():
        os.sync()
        _DROP_CACHES.write_text("3")


def can_drop_caches() -> bool:
    """Tell whether this user can: root, where /proc is writable."""
    return os.access(_DROP_CACHES, os.W_OK)


def peak_memory(process: int) -> float:
    """Tell the most memory that a process has had, in MB (VmHWM)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise FailedError(f"process {process} has no memory")
