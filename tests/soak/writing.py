"""The side that writes: pushes, moved tags, deletions, cut uploads, collections. All go into a chronicle."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.mount.conftest import processes_with
from tests.registry.collector import AbortedError, Collection, collect, stored
from tests.registry.server import Registry
from tests.soak.chronicle import Chronicle, Span
from tests.soak.pushing import ALL, HARMLESS, ChronicledPushes
from tests.soak.tally import Tally
from tests.soak.worker import Worker

#: Seconds between two things that are done, and between two collections.
PAUSE = 0.1
COLLECTION_EVERY = 12.0


class Way(NamedTuple):
    """How a collection is run: with `-m`, with the registry stopped, while others delete."""

    untagged: bool = False
    stopped: bool = False
    meanwhile: bool = False


WAYS = {
    "registry up": Way(),
    "registry up, -m": Way(untagged=True),
    "registry stopped": Way(stopped=True),
    "registry stopped, -m": Way(untagged=True, stopped=True),
    "deletions meanwhile": Way(meanwhile=True),
}


class _Deleter(Worker):
    """Does what no collection can do harm to."""

    def __init__(self, pushes: ChronicledPushes, tally: Tally) -> None:
        super().__init__("deleter")
        self._pushes = pushes
        self._tally = tally

    def work(self) -> None:
        while not self.ending.wait(PAUSE / 20):
            self._pushes.do_one(HARMLESS, self._tally)


class Writer(Worker):
    """Writes until it is told to end."""

    def __init__(self, registry: Registry, seed: int, tally: Tally) -> None:
        super().__init__("writer")
        self.chronicle = Chronicle()
        self.pushes = ChronicledPushes(registry, seed, self.chronicle)
        self._registry = registry
        self._random = random.Random(seed + 2)
        self._tally = tally

    def begin(self, count: int) -> None:
        """Push something to begin with, and start."""
        for _ in range(count):
            self.pushes.do_one(ALL, self._tally)
        self.start()

    def work(self) -> None:
        due = time.monotonic() + COLLECTION_EVERY / 2
        while not self.ending.wait(PAUSE):
            if time.monotonic() >= due:
                self._collect(self._random.choice([*WAYS]))
                due = time.monotonic() + COLLECTION_EVERY
            self.pushes.do_one(ALL, self._tally)

    @property
    def root(self) -> Path:
        """The registry's rootdirectory."""
        return self._registry.root

    def tags(self) -> list[tuple[tuple[str, str], str]]:
        """List repository and tag of each that is there now, and what it names."""
        return list(self.pushes.tags.items())

    def blobs(self) -> list[str]:
        """List the digests that are stored now."""
        return list(self.pushes.stored)

    def mend(self) -> None:
        """Delete the images that collections did harm to: with `-m` they take children of tagged indexes."""
        for repository, digest in self.pushes.harmed():
            self._tally.did("deleted, for a collection had harmed it")
            self.pushes.delete(repository, digest)

    def _collect(self, name: str) -> None:
        way = WAYS[name]
        self._tally.did(f"collect: {name}")
        done: list[Collection] = []

        def note(span: Span) -> None:
            gone = self.pushes.stored.keys() - stored(self._registry.root).keys()
            self.pushes.collected_in(Collection(gone, done[0].manifests), span)

        with self.chronicle.spanned(note), self._stopped() if way.stopped else self._meanwhile(way.meanwhile):
            try:
                done.append(collect(self._registry.root, untagged=way.untagged, really=True))
            except AbortedError as error:
                # It meets a manifest that goes under its hands, or with -m a repository that no tag was ever
                # pushed to, and gives up before it deletes anything.
                if not (way.meanwhile or (way.untagged and "failed to retrieve tags" in str(error))):
                    raise
                self._tally.did("collect: gave up")
                done.append(Collection(set(), set()))

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        (process,) = processes_with(self._registry.config)
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    @contextmanager
    def _meanwhile(self, wanted: bool) -> Iterator[None]:
        if not wanted:
            yield
            return
        deleter = _Deleter(self.pushes, self._tally)
        deleter.start()
        try:
            yield
        finally:
            deleter.end()
