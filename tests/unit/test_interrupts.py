"""Which signals end the waiting of who has them, by what proc(5) says of a thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from regfs.mount.kernel.interrupts import Interrupts, is_to_end
from tests.mount.conftest import until

INT, QUIT, TERM, KILL, HUP = signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP
ALRM, CHLD, URG, WINCH, TSTP = signal.SIGALRM, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGTSTP


def status(**masks: set[int]) -> str:
    """Write what /proc/PID/status says."""
    names = {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"}
    assert masks.keys() <= names
    lines = [f"{name}:\t{sum(1 << (n - 1) for n in masks.get(name, ())):016x}" for name in sorted(names)]
    return "\n".join(["Name:\tls", "SigQ:\t0/95000", *lines, ""])


@pytest.mark.parametrize(
    ("masks", "ends"),
    [
        ({}, False),
        ({"ShdPnd": {INT}}, True),
        ({"SigPnd": {KILL}}, True),
        ({"SigPnd": {TERM}}, True),
        ({"SigPnd": {TERM}, "SigCgt": {TERM}}, False),
        ({"SigPnd": {HUP}, "SigCgt": {HUP}}, False),
        ({"SigPnd": {INT}, "SigCgt": {INT}}, True),
        ({"ShdPnd": {QUIT}, "SigCgt": {QUIT}}, True),
        ({"ShdPnd": {INT}, "SigIgn": {INT}}, False),
        ({"ShdPnd": {INT}, "SigBlk": {INT}}, False),
        ({"ShdPnd": {ALRM}}, True),
        ({"ShdPnd": {ALRM}, "SigCgt": {ALRM}}, False),
        *[({"ShdPnd": {number}}, False) for number in (CHLD, URG, WINCH, TSTP)],
        ({"ShdPnd": {64}}, True),
        ({"ShdPnd": {64}, "SigCgt": {64}}, False),
        ({"SigPnd": {KILL}, "ShdPnd": {CHLD}, "SigBlk": {INT}, "SigCgt": {INT, TERM}}, True),
    ],
)
def test_what_ends_a_thread_or_is_typed_ends_its_waiting(masks: dict[str, set[int]], ends: bool) -> None:
    assert is_to_end(status(**masks)) is ends


def test_a_real_thread_has_these_lines() -> None:
    assert is_to_end(Path(f"/proc/{os.getpid()}/status").read_text()) is False


def test_who_is_gone_or_cannot_be_seen_waits_no_more() -> None:
    for pid in (0, 2**31 - 1):
        ended: list[int] = []
        Interrupts(lambda _, pid=pid: pid, ended.append).came(7)  # type: ignore[misc]
        assert ended == [7]


def test_what_is_answered_meanwhile_is_left() -> None:
    ended: list[int] = []
    Interrupts(lambda _: None, ended.append).came(7)
    assert ended == []


def test_who_has_nothing_that_ends_it_is_looked_at_until_it_has() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        ended: list[int] = []
        interrupts = Interrupts(lambda _: process.pid, ended.append)
        interrupts.came(7)
        interrupts.came(8)
        assert ended == []
        process.kill()
        process.wait()
        until(lambda: sorted(ended) == [7, 8], "both have ended")
    until(lambda: "interrupts" not in {thread.name for thread in threading.enumerate()}, "nobody looks")
