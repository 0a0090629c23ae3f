"""A bar is shown for what takes long, in a terminal alone, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Iterator

import pytest

from regfs.cli import progress
from regfs.cli.progress import Bar, LayerProgress, Steps, complain
from regfs.oci import Digest
from tests.unit.fakes import FakeClock


class Terminal:
    """A terminal that is standard error."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.file = open(slave, "w")  # noqa: SIM115

    def take(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Become standard error; in the test itself, for pytest sets that anew for each of its phases."""
        monkeypatch.setattr(sys, "stderr", self.file)

    def shown(self) -> str:
        """Give what was written since the last look."""
        self.file.flush()
        text = b""
        while select.select([self._master], [], [], 0.2)[0]:  # the kernel hands it on a little later
            text += os.read(self._master, 1 << 16)
        return text.decode()

    def close(self) -> None:
        self.file.close()
        os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    yield made
    progress.clear()
    made.close()


def test_what_is_quick_shows_nothing_and_what_takes_long_does(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.take(monkeypatch)
    clock = FakeClock()
    with Bar("blobs", clock=clock) as bar:
        bar.show(1, 10)
        assert terminal.shown() == ""
        clock.now += 1.5
        bar.show(5, 10)
        assert "regfs: blobs" in (shown := terminal.shown())
        assert "5/10" in shown
    ended = terminal.shown()
    assert "\x1b[2K" in ended  # the line is erased,
    assert "\x1b[?25h" in ended  # and the cursor is back


def test_what_is_said_meanwhile_stands_on_a_line_of_its_own(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.take(monkeypatch)
    clock = FakeClock()
    bar = Bar("blobs", clock=clock)
    clock.now += 2
    bar.show(5, 10)
    terminal.shown()
    complain("something")
    erased, _, said = terminal.shown().partition("regfs: something")
    assert erased.endswith("\x1b[2K")
    assert said == "\r\n"
    clock.now += 1
    bar.show(6, 10)
    assert "6/10" in terminal.shown()


def test_many_kinds_are_waited_for_together(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.take(monkeypatch)
    clock = FakeClock()
    with Steps(clock) as steps:
        for number in range(4):
            steps(f"kind {number}", 1, 9)
            clock.now += 0.4
        shown = terminal.shown()
    assert "kind 3" in shown
    assert "kind 2" not in shown


def test_without_a_terminal_and_when_quiet_there_is_no_bar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.take(monkeypatch)
    clock = FakeClock()
    monkeypatch.setitem(progress._asked, "quiet", True)
    bar = Bar("blobs", clock=clock)
    clock.now += 2
    bar.show(5, 10)
    progress.note("nothing")
    assert terminal.shown() == ""
    monkeypatch.setitem(progress._asked, "quiet", False)
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    bar = Bar("blobs", clock=clock)
    clock.now += 2
    bar.show(5, 10)
    assert text.getvalue() == ""


def test_the_bar_of_layers_ends_when_all_are_read() -> None:
    layers = LayerProgress()
    one, other = (Digest.parse(f"sha256:{letter * 64}") for letter in "ab")
    layers(one, 5, 10)
    layers(other, 10, 10)
    assert layers._bar is not None
    layers(one, 10, 10)
    assert layers._bar is None
