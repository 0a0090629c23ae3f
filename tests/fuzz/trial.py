"""One damaged store: copied, damaged by a seed, examined in a process of its own, and judged."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import Mount, need
from tests.fuzz import disk, stores
from tests.fuzz.damage import Damager
from tests.fuzz.judge import INSIDE, Examined, judge
from tests.fuzz.looking import Looked, Shown, look_at_mount
from tests.property.model import Model

#: Seconds for all questions about one store; what takes so long hangs.
_HANG = 300

#: Which of the seeds look through a mount as well, and which are watched by strace.
EACH_MOUNTED, EACH_TRACED = 10, 10

#: Seconds for which a mount believes what it read.
_TTL = 1

#: A process of root's that has no right to read what its mode forbids.
_UNPRIVILEGED = ("--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search")

_SECRET = b"what stands outside of the store\n"


class Result(NamedTuple):
    """What was done to a store, and what was wrong with what regfs made of it."""

    seed: int
    store: str
    damages: list[str]
    wrong: list[str]

    def __str__(self) -> str:
        return "\n  ".join([f"seed {self.seed}, {self.store}:", *self.damages, "but:", *self.wrong])


class Base:
    """A store before any damage. Made and looked at once."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory / f"base-{name}"
        self.root = stores.prepare(name, self.directory)
        self.v2 = self.root / "docker" / "registry" / "v2"
        self.model = Model.of(self.v2)
        images = [f"{repository}/{tag}" for repository, tag in self.model.tags]
        answers = _examine(self.root, self.directory, images, trace=False)
        assert not wrong_answers(answers), wrong_answers(answers)
        self.examined = examined(answers)

    def images(self, v2: Path, chance: random.Random) -> list[str]:
        """Choose images to look into: some of those that the damage at `v2` touched, and some others."""
        damaged = disk.Disk(self.model, self.v2, v2)
        touched: list[str] = []
        others: list[str] = []
        for repository, tag, digest in damaged.tags():
            content = damaged.content(repository, tag, digest)
            whole = all(damaged.intact(path) for path in content)
            (others if whole else touched).append(f"{repository}/{tag}")
        return [*chance.sample(touched, min(len(touched), 6)), *chance.sample(others, min(len(others), 4))]


class Trial:
    """One seed's store, in a directory that is removed when all is well."""

    def __init__(self, base: Base, directory: Path, seed: int) -> None:
        self._base = base
        self._seed = seed
        self._directory = directory / f"seed-{seed}"

    def run(self, *, mounted: bool, usual: set[str] | None = None) -> Result:
        """Do all of it; through a mount as well if asked. With the files that regfs opens whatever store it
        reads, strace looks what else is opened.
        """
        self._directory.mkdir()
        outside = self._directory / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(_SECRET)
        v2 = stores.copy(self._base.root, self._directory / "store")
        damager = Damager(v2, outside, self._seed)
        wrong: list[str] = []
        try:
            if mounted:
                damages, looked = self._mounted(damager, v2)
            else:
                damages, looked = list(damager.run()), None
            before = disk.record(v2)
            images = self._base.images(v2, random.Random(self._seed))
            answers = _examine(self._directory / "store", self._directory, images, trace=usual is not None)
            wrong += wrong_answers(answers)
            wrong += self._judge(examined(answers), v2, images)
            if looked:
                wrong += [f"mounted: {fault}" for fault in looked.faults]
                shown = examined(answers)._replace(shown=looked.shown)
                wrong += [f"mounted: {fault}" for fault in self._judge(shown, v2, images, warm=True)]
            if disk.record(v2) != before:
                wrong.append("something below the store was written")
            if usual is not None:
                wrong += self._outside(opened(self._directory / "trace") - usual)
        finally:
            self._unlock()
        if not wrong:
            shutil.rmtree(self._directory)
        return Result(self._seed, self._base.name, damages, wrong)

    def _judge(
        self, after: Examined, v2: Path, images: Sequence[str], *, warm: bool = False
    ) -> Iterator[str]:
        """Judge what was seen, but the insides of the images that nobody looked into this time."""
        shown = {
            path: was
            for path, was in self._base.examined.shown.items()
            if not (inside := INSIDE.search(path)) or path[: inside.start()] in images
        }
        before = self._base.examined._replace(shown=shown)
        return judge(before, after, disk.Disk(self._base.model, self._base.v2, v2), warm=warm)

    def _mounted(self, damager: Damager, v2: Path) -> tuple[list[str], Looked]:
        """Mount the sound store, look at it, damage it below the mount, and look again."""
        made = Mount(self._directory / "store", self._directory / "mnt", f"ttl={_TTL},platform=linux/amd64")
        try:
            first = look_at_mount(str(made.path), self._base.images(v2, random.Random(self._seed)))
            damages = list(damager.run())
            time.sleep(3 * _TTL)  # a good link is believed for two, before one that is torn is
            second = look_at_mount(str(made.path), self._base.images(v2, random.Random(self._seed)))
        finally:
            made.end()
        faults = [*first.faults, *second.faults]
        log = made.log.read_text(errors="replace")
        if "Traceback" in log:
            faults.append(log[log.index("Traceback") :][:2000])
        return damages, Looked(second.shown, faults)

    def _outside(self, found: set[str]) -> Iterator[str]:
        for path in sorted(found):
            own = tuple(str(self._directory / name) for name in ("store", "cache", "answers.json"))
            if not path.startswith(own):
                yield f"opened {path!r}"

    def _unlock(self) -> None:
        """Make all directories removable again."""
        for directory, names, _ in os.walk(self._directory / "store"):
            for name in names:
                path = Path(directory, name)
                if not path.is_symlink():
                    path.chmod(0o755)


def usual_files(directory: Path) -> set[str]:
    """Give the files that regfs opens whatever store it reads, besides Python's: the system's libraries."""
    root = stores.prepare("library", directory)
    assert not wrong_answers(_examine(root, directory, ["team/app/1.0"], trace=True))
    return opened(directory / "trace")


def _examine(root: Path, directory: Path, images: Sequence[str], *, trace: bool) -> dict[str, Any]:
    """Have a process ask all there is to ask of a store."""
    answers = directory / "answers.json"
    command: list[str] = []
    if os.geteuid() == 0:
        command += [need("setpriv"), *_UNPRIVILEGED, "--"]
    if trace:
        calls = "--seccomp-bpf", "-e", "trace=%file", "-y", "-qq", "-s", "500", "-o", str(directory / "trace")
        command = [need("strace"), "-f", *calls, *command]
    command += [sys.executable, "-m", "tests.fuzz.examine", str(root), str(directory / "cache"), str(answers)]
    try:
        done = subprocess.run(
            [*command, *images], capture_output=True, text=True, check=False, timeout=_HANG, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return {"said": {}, "shown": {}, "faults": [f"no answer in {_HANG} s"]}
    if done.returncode or not answers.exists():
        return {"said": {}, "shown": {}, "faults": [f"status {done.returncode}: {done.stderr[-3000:]}"]}
    found: dict[str, Any] = json.loads(answers.read_text())
    return found


def examined(answers: dict[str, Any]) -> Examined:
    """Give what was shown, the rows of the report of what is broken, and the status of the check."""
    said = answers["said"]
    try:
        rows = json.loads(said["broken"][1])
    except (KeyError, ValueError):
        rows = []
    shown = {path: Shown(*values) for path, values in answers["shown"].items()}
    return Examined(shown, rows, said["check"][0] if said else -1)


def wrong_answers(answers: dict[str, Any]) -> list[str]:
    """Say what no command may do: crash, fail where there is a store, print what is no json."""
    wrong = list(answers["faults"])
    lost = all("no registry" in err or "storage" in err for _, _, err, _ in answers["said"].values())
    for name, (status, out, err, fault) in answers["said"].items():
        if fault or "Traceback" in err:
            wrong.append(f"{name}: {fault or err}")
        elif lost:
            continue
        elif status != 0 and (name != "check" or status != 1):
            wrong.append(f"{name}: status {status}: {err[-500:]}")
        elif "." not in name and name != "index":
            json.loads(out)
    return wrong


def opened(trace: Path) -> set[str]:
    """Give the paths that were opened, as strace saw where they led to; but for those of Python itself."""
    text = trace.read_text(errors="replace")
    own = tuple({sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "/proc/", "/dev/shm/sem."})
    found = re.findall(r"= \d+<(/[^\n]*)>$", text, re.MULTILINE)
    # glibc loads libgcc_s where Python ends a thread that is still at work, which is a matter of timing.
    return {path for path in found if not path.startswith(own) and not path.endswith("/libgcc_s.so.1")}
