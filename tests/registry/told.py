"""What regfs tells of a store, as tests ask it; and the collector's word beside it."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.catalogue import REPORTS, Reports
from regfs.registry import Contents, locate, open_local
from regfs.storage import WholeStorage
from tests.registry.collector import Collection, collect, count_and_size
from tests.registry.random_pushes import RandomPushes, States
from tests.registry.server import Registry

Row = dict[str, Any]
StartRegistry = Callable[[], Registry]

ALARMS = {
    "collector-deletes",
    "collector-hides",
    "manifest-lost",
    "directory",
    "unread",
    "tags-elsewhere",
}
HAZARD = "collector-m-deletes"


class Told:
    """What regfs tells of one store, looked at anew for each answer; or once for all."""

    def __init__(self, root: Path | WholeStorage, cache: Path | None, *, once: bool = False) -> None:
        store = open_local(locate(str(root))) if isinstance(root, Path) else root
        # On a clock that stands still no refresh takes time, and none is believed for longer than that.
        ttl = math.inf if once else 0.0
        self.index = ReferenceIndex(store, store.identity, cache, ttl=ttl, clock=lambda: 0.0)
        self._reports = Reports(self.index, Contents(store))

    def rows(self, report: str) -> list[Row]:
        with self._reports.making(report) as table:
            names = [column.name for column in table.columns]
            return [dict(zip(names, row, strict=True)) for row in table.rows]

    def orphans(self) -> set[str]:
        return {row["digest"] for row in self.rows("orphans")}

    def states(self) -> States:
        found = States(set(), set(), set(), set())
        for row in self.rows("blobs"):
            getattr(found, row["state"]).add(row["digest"])
        return found

    def tags(self) -> dict[tuple[str, str], str | None]:
        return {(row["repository"], row["tag"]): row["digest"] for row in self.rows("tags")}

    def untagged(self) -> dict[tuple[str, str], str]:
        """Give what each image that no tag names is needed as; empty for most."""
        return {(row["repository"], row["digest"]): row["needed_as"] for row in self.rows("untagged")}

    def summary(self, section: str, item: str) -> Row:
        (row,) = (row for row in self.rows("summary") if (row["section"], row["item"]) == (section, item))
        return row

    def stored(self) -> tuple[int, int]:
        """Give the number of blobs and their bytes, as the summary has them."""
        rows = [self.summary("stored", state) for state in States._fields]
        return sum(row["count"] for row in rows), sum(row["size"] for row in rows)

    def findings(self) -> set[tuple[str, str, str]]:
        """Give kind, repository and tag of what is wrong; without hazards, and where the collector stops."""
        found = self.rows("broken")
        assert all((row["severity"] == "alarm") == (row["kind"] in ALARMS) for row in found)
        return {
            (row["kind"], row["repository"], row["tag"])
            for row in found
            if row["kind"] != HAZARD and not row["kind"].endswith("-stops")
        }

    def stops(self) -> set[tuple[str, str]]:
        """Give kind and repository of each place where the collector ends with an error."""
        return {
            (row["kind"], row["repository"]) for row in self.rows("broken") if row["kind"].endswith("-stops")
        }

    def hazards(self) -> set[tuple[str, str]]:
        """Give the tags that need what `garbage-collect -m` of 2.x would delete, and no plain one would."""
        return {(row["repository"], row["tag"]) for row in self.rows("broken") if row["kind"] == HAZARD}

    def alarms(self) -> set[tuple[str, str, str]]:
        return {found for found in self.findings() if found[0] in ALARMS}

    def everything(self) -> dict[str, list[Row]]:
        # This one looks at more than the others, and the summary counts what it found.
        found = {"broken": self.rows("broken")}
        found |= {name: self.rows(name) for name in REPORTS}
        # They are told in the order in which they were first seen.
        found["blobs"].sort(key=lambda row: row["digest"])
        return found


Tell = Callable[..., Told]


class Pushed(NamedTuple):
    """A store that was filled at random, and the truth about it."""

    root: Path
    pushes: RandomPushes


def copy_of(root: Path, directory: Path) -> Path:
    return Path(shutil.copytree(root, directory / "copy"))


def would_go(root: Path, told: Told) -> tuple[Collection, Collection]:
    """Run the collector dry, without and with `-m`, and see that regfs's summary knows what would go."""
    collections = collect(root), collect(root, untagged=True)
    unknown = told.states().unknown
    for item, collection in zip(("garbage-collect", "garbage-collect -m"), collections, strict=True):
        row = told.summary("would be freed by", item)
        assert (row["count"], row["size"]) == count_and_size(root, collection.blobs - unknown)
        assert row["note"].startswith("at least") == bool(collection.blobs & unknown)
        # What a collection takes of tagged images stands beside it in words.
        harm = told.states().tagged & collection.blobs
        assert row["note"].endswith("of it tags need!") == bool(harm)
    return collections
