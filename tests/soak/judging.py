"""Judges what was odd: right for what had gone or changed, a fault for what was there and whole all the time.

Nothing is judged at once: a request to the registry that is still under way may explain it. By then the path
is asked about once more, when the mount is to remember nothing of what was.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.conftest import Mount
from tests.soak.chronicle import Span
from tests.soak.paths import Expectations, subject_of
from tests.soak.tally import Tally

#: A line of complaint that find, du, cat, grep or tar prints: the path, and why.
_COMPLAINT = re.compile(
    r"\w+: (?:cannot [a-z ]+|reading directory |fts_read failed: |failed to read file names [a-z ]+)?"
    r"'?(?P<path>/.+?)'?: (?:Cannot \w+: )?(?P<why>[A-Z][A-Za-z/ ]+)"
)
#: What tar says of a file that is another by the time it has read it.
_MOVED = re.compile(r"tar: (?P<path>/.+?): [Ff]ile (?:changed|removed|shrank).*")
#: What it says in the end.
_ENDINGS = ("tar: Exiting with failure status", "tar: Exiting")

_NUMBERS = {os.strerror(number): number for number in errno.errorcode}

#: Whatever these views show is gone when it is no longer so: an upload is finished, an image tagged.
_PASSING = ("@broken", "@history", "@orphans", "@unknown", "@untagged", "@uploads")

#: Files that every image has.
_ALWAYS = ("", "manifest.json")


class _Doubt(NamedTuple):
    """What is to be judged at `due`, when all is known that happened in `span`."""

    due: float
    span: Span
    judge: Callable[[], None]


class Judge:
    """Judges what one reader meets. For one thread."""

    def __init__(self, mount: Mount, expectations: Expectations, tally: Tally) -> None:
        self._top = mount.path
        self._log = mount.log
        self._expectations = expectations
        self._tally = tally
        self._doubts: deque[_Doubt] = deque()

    # --- noting ------------------------------------------------------------------------------------

    def later(self, span: Span, judge: Callable[[], None]) -> None:
        """Have something judged when all is known that happened in a span."""
        self._doubts.append(_Doubt(time.monotonic() + 2 * self._expectations.late, span, judge))

    def error(self, path: str, number: int, span: Span, what: str) -> None:
        """Note an error that a path of the mount gave in a span."""
        self.later(span, lambda: self._judge_error(path, number, span, what))

    def complaints(self, text: str, span: Span, what: str) -> set[str]:
        """Note what a program printed to standard error; gives the paths that it complained of."""
        paths = set()
        for line in text.splitlines():
            if line.startswith(_ENDINGS):
                continue
            moved, found = _MOVED.match(line), _COMPLAINT.fullmatch(line)
            if moved:
                path = self._inner(moved["path"])
                self._move(path, span, f"{what}: {line}")
            elif found and found["why"] in _NUMBERS:
                path = self._inner(found["path"])
                self.error(path, _NUMBERS[found["why"]], span, what)
            else:
                self._tally.fault(f"{what} said: {line}")
                continue
            paths.add(path)
        return paths

    def _move(self, path: str, span: Span, said: str) -> None:
        def judge() -> None:
            subject = subject_of(path)
            passed = "removed" in said and path.startswith(_PASSING)
            if subject and not passed and self._expectations.steady(subject, span):
                self._tally.fault(f"{said}, but it was there and the same all the time")
            else:
                self._tally.excused("tar c: changed while it was read")

        self.later(span, judge)

    def _inner(self, path: str) -> str:
        return os.path.relpath(path, self._top) if path.startswith(str(self._top)) else path

    # --- judging -----------------------------------------------------------------------------------

    def again(self, *, wait: bool = False) -> None:
        """Judge what is due by now; with `wait`, all."""
        while self._doubts:
            due, span, judge = self._doubts[0]
            if time.monotonic() < due or not self._expectations.known(span):
                if not wait:
                    return
                time.sleep(0.1)
                continue
            self._doubts.popleft()
            judge()

    def _judge_error(self, path: str, number: int, span: Span, what: str) -> None:
        start = time.monotonic()
        answer = _ask(self._top / path)
        asked = Span(start, time.monotonic())
        self._tally.did("asked again")
        if self._wrong(path, number, span):
            now = os.strerror(answer) if answer else "no error"
            said = f"{os.strerror(number)}; asked again: {now}; logged: {self._logged(path)}"
            self._tally.fault(f"{what}: {path}: {said}")
            return
        self._tally.excused(f"{what}: {errno.errorcode[number]}")
        if answer:
            self.later(asked, lambda: self._judge_answer(path, answer, asked))

    def _judge_answer(self, path: str, answer: int, asked: Span) -> None:
        """Judge the second answer. What is whole again must be read; but it may be another image.

        That may have other files, or layers that nobody can look into.
        """
        subject = subject_of(path)
        if answer == errno.ENOENT and subject and subject.rest not in _ALWAYS:
            return
        if answer == errno.EIO and subject and self._expectations.closed(subject, asked):
            return
        if self._wrong(path, answer, asked):
            said = f"asked again {os.strerror(answer)}, when it was whole; logged: {self._logged(path)}"
            self._tally.fault(f"{path}: {said}")

    def _logged(self, path: str) -> str:
        """Give the last line of the mount's log about a path."""
        lines = self._log.read_text(errors="replace").splitlines()
        return next((line.partition(": /")[2] for line in reversed(lines) if f"/{path}: " in line), "nothing")

    def _wrong(self, path: str, number: int, span: Span) -> bool:
        if number == errno.ENOENT and path.startswith(_PASSING):
            return False
        subject = subject_of(path)
        return subject is None or self._expectations.steady(subject, span)


def _ask(path: Path) -> int:
    """Look at a path and read it; gives the error's number, or 0."""
    try:
        if path.is_symlink():
            path.readlink()
        elif path.is_dir():
            os.listdir(path)
        else:
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
    except OSError as error:
        return error.errno or errno.EIO
    return 0
