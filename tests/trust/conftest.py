"""What the tests of gaps share: a store of two repositories, and what regfs's commands tell of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder
from tests.conftest import REGFS, run

Row = dict[str, Any]


class Image(NamedTuple):
    manifest: Blob
    config: Blob
    layer: Blob

    @property
    def digests(self) -> set[str]:
        return {blob.digest for blob in self}


class Two:
    """A store with an image in small/app and one in big/app, that share nothing; and what is told of it."""

    def __init__(self, store: StoreBuilder) -> None:
        self.store = store
        self.small, self.big = self.image("small/app"), self.image("big/app")

    def image(self, repository: str, tag: str | None = "1.0", content: str = "") -> Image:
        """Push an image of its own."""
        content = content or repository
        layer = self.store.layer({"f": content.encode()})
        config = self.store.config(author=content)
        return Image(self.store.image(repository, tag, [layer], config), config, layer)

    def aside(self, path: str) -> None:
        """Move something elsewhere, and leave a symlink in its place."""
        place, elsewhere = self.store.v2 / path, self.store.root.parent / "elsewhere"
        shutil.move(place, elsewhere)
        place.symlink_to(elsewhere)

    def ask(self, *arguments: str | Path, status: int = 0) -> str:
        """Run regfs as a person does."""
        done = run(*REGFS, *arguments)
        assert "Traceback" not in done.stderr
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout

    def rows(self, report: str) -> list[Row]:
        if report == "summary":  # one flat object in json: its rows are csv's
            rows = csv.DictReader(io.StringIO(self.ask("report", report, self.store.root, "--format", "csv")))
            numbers = ("count", "size")
            return [{**row, **{name: int(row[name] or 0) for name in numbers}} for row in rows]
        return list(json.loads(self.ask("report", report, self.store.root, "--format", "json")))

    def states(self) -> dict[str, str]:
        return {row["digest"]: row["state"] for row in self.rows("blobs")}

    def summary(self, section: str, item: str) -> Row:
        (row,) = (row for row in self.rows("summary") if (row["section"], row["item"]) == (section, item))
        return row

    def kinds(self, kind: str) -> list[Row]:
        """Give the rows of `broken` of one kind."""
        return [row for row in self.rows("broken") if row["kind"] == kind]

    def pulled(self) -> dict[str, str]:
        """Give what `check` says of each tag."""
        done = run(*REGFS, "check", self.store.root, "--all", "--format", "json")
        words = {True: "yes", False: "no", None: "unknown"}
        return {
            f"{row['repository']}:{row['tag']}": words[row["can_be_pulled"]]
            for row in json.loads(done.stdout)
        }

    def check(self, *more: str) -> int:
        """Give the exit status of `check`."""
        done = run(*REGFS, "check", self.store.root, *more)
        assert "Traceback" not in done.stderr
        return done.returncode

    def sums_up(self) -> None:
        """See that the states' sums are the store, and that views and reports say the same."""
        rows = {row["item"]: row["size"] for row in self.rows("summary") if row["section"] == "stored"}
        stored = sum(path.stat().st_size for path in (self.store.v2 / "blobs").glob("*/*/*/data"))
        assert sum(size for item, size in rows.items() if item != "all") == rows["all"]
        if not any(path.is_symlink() for path in (self.store.v2 / "blobs").glob("**/*")):
            assert rows["all"] - rows["uploads"] == stored
        for state, report in (("orphaned", "orphans"), ("unknown", "unknown")):
            assert rows[state] == sum(row["size"] for row in self.rows(report))


@pytest.fixture
def two(store: StoreBuilder) -> Two:
    return Two(store)
