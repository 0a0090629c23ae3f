"""The side that writes: pushes, moved tags, deletions, cut uploads, collections. All go into a chronicle."""

from __future__ import annotations

import os
import random
import signal
import threading
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


class Writer(threading.Thread):
    """Writes until it is told to end. What goes wrong is raised by `end`."""

    def __init__(self, registry: Registry, seed: int, tally: Tally) -> None:
        super().__init__(name="writer")
        self.chronicle = Chronicle()
        self.pushes = ChronicledPushes(registry, seed, self.chronicle)
        self._registry = registry
        self._random = random.Random(seed + 2)
        self._tally = tally
        self._ending = threading.Event()
        self._failure: BaseException | None = None

    def begin(self, count: int) -> None:
        """Push something to begin with, and start."""
        for _ in range(count):
            self.pushes.do_one(ALL, self._tally)
        self.start()

    def run(self) -> None:
        try:
            due = time.monotonic() + COLLECTION_EVERY / 2
            while not self._ending.wait(PAUSE):
                if time.monotonic() >= due:
                    self._collect(self._random.choice([*WAYS]))
                    due = time.monotonic() + COLLECTION_EVERY
                self.pushes.do_one(ALL, self._tally)
        except BaseException as failure:  # noqa: BLE001 - raised again by `end`
            self._failure = failure

    def end(self) -> None:
        """Stop writing. Raises what it ended of, if it did."""
        self._ending.set()
        self.join(120)
        assert not self.is_alive()
        if self._failure:
            raise self._failure

    @property
    def failed(self) -> bool:
        return self._failure is not None

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
            except AbortedError:
                # It meets a manifest that goes under its hands, and gives up.
                assert way.meanwhile
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
        ending = threading.Event()
        failures: list[BaseException] = []
        worker = threading.Thread(target=self._work_until, args=(ending, failures))
        if wanted:
            worker.start()
        try:
            yield
        finally:
            ending.set()
            if wanted:
                worker.join(60)
        if failures:
            raise failures[0]

    def _work_until(self, ending: threading.Event, failures: list[BaseException]) -> None:
        try:
            while not ending.wait(0.005):
                self.pushes.do_one(HARMLESS, self._tally)
        except BaseException as failure:  # noqa: BLE001 - raised again by who started this
            failures.append(failure)
