"""The side that reads: threads that do one thing after the other, at random, until they are told to end."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial

from tests.conftest import Mount
from tests.registry.random_pushes import REPOSITORIES
from tests.soak.commands import WALKS, Commands
from tests.soak.judging import Judge
from tests.soak.paths import Expectations, subject_of
from tests.soak.reading import Reader
from tests.soak.tally import Tally
from tests.soak.worker import Worker
from tests.soak.writing import Writer

VIEWS = ("@blobs", "@broken", "@history", "@orphans", "@reports", "@unknown", "@untagged", "@uploads")
REPORTS = ("summary", "repositories", "tags", "blobs", "untagged", "orphans", "unknown", "uploads", "broken")


class Looking(Worker):
    """One reader. What goes wrong in itself is raised by `end`."""

    def __init__(
        self, mount: Mount, writer: Writer, expectations: Expectations, tally: Tally, seed: int
    ) -> None:
        super().__init__(f"reader {seed}")
        self._random = random.Random(seed)
        self._writer = writer
        self._expectations = expectations
        self._tally = tally
        self._judge = Judge(mount, expectations, tally)
        self._reader = Reader(mount.path, expectations, self._judge, tally, self.ending.is_set)
        self._store = str(writer.root)
        self._commands = Commands(self._reader, self._judge, tally)

    def work(self) -> None:
        kinds: Mapping[Callable[[], None], int] = {
            self._read_tag: 30,
            self._read_blobs: 10,
            self._read_revision: 10,
            self._look_inside: 25,
            self._read_view: 12,
            self._walk: 12,
            self._tar: 4,
            self._report: 3,
            self._explain: 3,
            self._index: 2,
        }
        while not self.ending.is_set():
            (act,) = self._random.choices(list(kinds), list(kinds.values()))
            self._tally.did(f"read: {act.__name__[1:]}")
            act()
            self._judge.again()
        self._judge.again(wait=True)

    # --- what is done ------------------------------------------------------------------------------

    def _tag_now(self) -> tuple[str, str, str] | None:
        """Choose a tag that is there: its directory, and what it names."""
        tags = self._writer.tags()
        if not tags:
            return None
        (repository, tag), digest = self._random.choice(tags)
        return repository, tag, digest

    def _read_tag(self) -> None:
        if found := self._tag_now():
            self._reader.all_below(f"{found[0]}/:{found[1]}", "of tags")

    def _read_revision(self) -> None:
        if found := self._tag_now():
            self._reader.all_below(f"{found[0]}/@{found[2]}", "of revisions")

    def _read_blobs(self) -> None:
        blobs = self._writer.blobs()
        for digest in self._random.sample(blobs, min(10, len(blobs))):
            self._reader.file(f"@blobs/sha256/{digest.partition(':')[2]}/data", "of @blobs")

    def _look_inside(self) -> None:
        """Read the files of an image with real layers, and its layers uncompressed."""
        inside = self._writer.pushes.insides
        known = [one for one in self._writer.tags() if one[1] in inside]
        if not known:
            return
        (repository, tag), digest = self._random.choice(known)
        place = f"{repository}/@{digest}" if self._random.random() < 0.5 else f"{repository}/:{tag}"
        for number in range(len(inside[digest].diff_ids)):
            self._inner(place, f"layers/{number:02}.tar", "of layers/NN.tar")
        for name in inside[digest].files:
            self._inner(place, f"rootfs/{name}", "of rootfs")

    def _inner(self, place: str, name: str, what: str) -> None:
        """Read what no manifest names; a tag may move meanwhile."""
        subject = subject_of(f"{place}/{name}")
        assert subject
        wanted = partial(self._expectations.inner, subject)
        self._reader.file(f"{place}/{name}", what, wanted)

    def _read_view(self) -> None:
        view = self._random.choice(VIEWS)
        if view == "@blobs":
            self._read_blobs()
        else:
            repository = self._random.choice(REPOSITORIES) if view in ("@history", "@untagged") else ""
            self._reader.all_below(f"{view}/{repository}", f"of {view}")

    def _place(self) -> str:
        return self._random.choice(["", *REPOSITORIES, *(view for view in VIEWS if view != "@blobs")])

    def _walk(self) -> None:
        name = self._random.choice([*WALKS])
        self._tally.did(f"run: {name}")
        self._commands.walk(name, self._place())

    def _tar(self) -> None:
        self._commands.tar(self._random.choice([*REPOSITORIES, "@untagged", "@orphans"]))

    def _report(self) -> None:
        form = self._random.choice(("table", "csv", "json"))
        self._commands.regfs("report", self._random.choice(REPORTS), self._store, "--format", form)

    def _explain(self) -> None:
        blobs = self._writer.blobs()
        self._commands.regfs("explain", self._store, self._random.choice(blobs), may_fail=True)

    def _index(self) -> None:
        thorough = ("--thorough",) * (self._random.random() < 0.3)
        self._commands.regfs("index", self._store, *thorough)
