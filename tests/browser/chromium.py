"""Chromium without a window, driven through a pair of pipes: the Chrome DevTools Protocol, no package needed.

`--remote-debugging-pipe`: commands on descriptor 3, answers and events on 4; each is JSON, and a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: What the program is called: Debian's without a window first, which takes less.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "headless_shell")

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # tests run as root
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)

#: Gives the browser its two pipes, where it looks for them, and becomes it.
_AT_3_AND_4 = """
import fcntl, os, sys
there = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, descriptor in enumerate(there, 3):
    os.dup2(descriptor, number)
os.execv(sys.argv[3], sys.argv[3:])
"""

_PATIENCE = 30


def find_browser() -> str | None:
    """Find the program; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserError(Exception):
    """The browser refused a command, or a script of the page failed."""


class Browser:
    """One browser with one page at a time."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._last = 0
        self._buffer = b""
        self._session = self._target = ""
        #: Events of the page since it was opened.
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command to the page, and its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive()
            if found.get("id") == self._last:
                if "error" in found:
                    raise BrowserError(f"{method}: {found['error']}")
                answer: dict[str, Any] = found["result"]
                return answer
            self.events.append(found)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._answers, 1 << 20)
            if not piece:
                raise BrowserError("the browser has ended")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a page anew, and wait until its scripts have made it ready."""
        self._session = ""
        if self._target:
            self.send("Target.closeTarget", targetId=self._target)
        self._target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        self.events.clear()
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=url)
        self.wait("document.documentElement?.dataset.ready")

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in its pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, script: str) -> Any:
        """Give the value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise BrowserError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true, and give it."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if found := self.run(script):
                return found
            time.sleep(0.02)
        raise BrowserError(f"never came true: {script}")

    def click(self, selector: str, number: int = 0) -> None:
        """Click where an element shows, as a person does."""
        x, y = self.run(
            f"(() => {{ const one = document.querySelectorAll({json.dumps(selector)})[{number}];"
            "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            "return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        self.click_at(x, y)

    def click_at(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key that has a name, such as ArrowRight."""
        code = {
            "Enter": 13,
            "Escape": 27,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
            "Tab": 9,
        }
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code[key],
                **(text if kind == "keyDown" else {}),
            )

    def type(self, selector: str, text: str) -> None:
        """Put a text in a field's place."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self.send("Input.insertText", text=text)

    def text(self, selector: str) -> str:
        """Give the text of an element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Take a picture of the window, or of the whole page."""
        made = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))

    def messages(self, *methods: str) -> list[dict[str, Any]]:
        """Give the events of some kinds that came since the page was opened."""
        self.run("1")  # what came until now
        return [event["params"] for event in self.events if event.get("method") in methods]

    def requests(self) -> list[str]:
        """Name what the page asked for, itself included."""
        return [event["request"]["url"] for event in self.messages("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Give the errors of scripts, and what the browser logged: a policy that was broken, too."""
        thrown = [str(one["exceptionDetails"]) for one in self.messages("Runtime.exceptionThrown")]
        logged = [one["entry"]["text"] for one in self.messages("Log.entryAdded")]
        return thrown + logged


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Run a browser with a profile of its own, which is gone afterwards."""
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()

    with tempfile.TemporaryDirectory(prefix="regfs-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", _AT_3_AND_4, str(theirs_in), str(theirs_out)),
                *(program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(commands, answers)
        finally:
            os.close(commands)
            os.close(answers)
            process.terminate()
            process.wait(10)
