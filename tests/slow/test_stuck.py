"""A part of the store stops answering while it is read ahead: who does not need it does not notice.

Deadlines are those of what hangs for ever, not measurements.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output
from tests.mount.conftest import until
from tests.slow.conftest import Afar, Far, push

pytestmark = [pytest.mark.fuse, pytest.mark.alone]

#: The tag whose directory hangs, far behind the first.
STUCK = "v0010"


@pytest.fixture
def far(store: StoreBuilder, afar: Callable[..., Afar], mount: Callable[..., Mount]) -> Far:
    """A mount in which the first look at a tag has begun to read all others, and one of these hangs."""
    push(store, "team/app", 30)
    push(store, "team/tool", 5)
    overlay = afar(store.root, 0.003)
    made = Far(overlay, mount(overlay.path, "ttl=60"))
    overlay.tell(stick=f"/tags/{STUCK}/")
    output("ls", "-U", made.top / "team/app")
    # The first looks tell that the store is slow.
    output("timeout", "20", "stat", *(made.top / "team/app" / f"v{number:04}" for number in range(6)))
    until(lambda: overlay.tell().stuck, "a stuck read-ahead")
    return made


def test_what_is_stuck_holds_up_nothing_else(far: Far) -> None:
    for command in (
        ["ls", "-lR", far.top / "team/tool"],
        ["find", far.top / "team/app/v0003", "-ls"],
        ["stat", far.top / "team/app/v0011", far.top / "team/app/v0029"],
        ["cat", far.top / "team/app/v0020/manifest.json"],
    ):
        assert output("timeout", "20", *command)
    assert far.overlay.tell().stuck == 1


def test_what_is_stuck_goes_on_when_the_store_does(far: Far) -> None:
    with subprocess.Popen(["ls", "-l", far.top / "team/app"], stdout=subprocess.PIPE, text=True) as waiting:
        time.sleep(0.5)
        assert waiting.poll() is None
        far.overlay.tell(stick="")
        told, _ = waiting.communicate(timeout=60)
    assert len(told.splitlines()) == 1 + 30


@pytest.mark.parametrize("command", ["ls -l", "find"])
def test_who_waits_for_what_is_stuck_can_be_interrupted(far: Far, command: str) -> None:
    with subprocess.Popen([*command.split(), far.top / "team/app"], stdout=subprocess.DEVNULL) as waiting:
        time.sleep(0.5)
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        try:
            assert waiting.wait(10) == -signal.SIGINT
        finally:
            far.overlay.tell(stick="")
    assert output("ls", far.top / "team/tool")


def test_what_is_stuck_does_not_hold_up_unmounting(far: Far) -> None:
    far.mount.process.send_signal(signal.SIGTERM)
    try:
        assert far.mount.process.wait(10) == 0
    finally:
        far.overlay.tell(stick="")


#: Asks one thing, while a timer's signal comes every 20 ms, and tells how it went. No restart: see signal(7).
TIMED = """
import os, signal, sys
came = 0
def tick(*_):
    global came
    came += 1
signal.signal(signal.SIGALRM, tick)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
found = {"stat": os.stat, "listdir": os.listdir}[sys.argv[1]](sys.argv[2])
signal.setitimer(signal.ITIMER_REAL, 0)
assert came, "no signal"
"""


def asking(far: Far, how: str) -> subprocess.Popen[str]:
    """Have a program with a timer ask for what is stuck."""
    place = far.top / "team/app" / STUCK
    program = [sys.executable, "-c", TIMED, how, place]
    return subprocess.Popen(program, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", ["stat", "listdir"])
def test_a_signal_that_ends_nothing_interrupts_nothing(far: Far, how: str) -> None:
    """As on NFS: a program with timers, or with children that end, never hears EINTR of a file."""
    with asking(far, how) as waiting:
        time.sleep(0.5)
        assert waiting.poll() is None
        far.overlay.tell(stick="")
        _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, said) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL, signal.SIGINT])
def test_what_ends_a_program_does_so_after_signals_that_did_not(far: Far, number: signal.Signals) -> None:
    """The kernel tells of the first signal only. SIGINT has a handler in Python, and is for people."""
    with asking(far, "listdir") as waiting:
        time.sleep(0.5)
        waiting.send_signal(number)
        try:
            _, said = waiting.communicate(timeout=10)
        finally:
            far.overlay.tell(stick="")
    if number is signal.SIGINT:  # Python raises InterruptedError, or its handler KeyboardInterrupt
        assert "Interrupt" in said
    else:
        assert (waiting.returncode, said) == (-number, "")
