"""Readings of the store side by side: how many are under way, and that all are applied."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, cast

import pytest

from regfs.graph.index import readers
from regfs.registry.listings import ListedShard
from regfs.registry.survey import Survey
from regfs.registry.units import Shard, Unit


@pytest.mark.parametrize(("kind", "most"), [(ListedShard, readers._LISTINGS), (Shard, 200)])
def test_few_listings_are_under_way_at_once_and_all_are_applied(kind: type, most: int) -> None:
    sent: list[Unit] = []
    applied: list[Unit] = []
    under_way: list[int] = []

    def send(units: Sequence[Unit]) -> Future[list[Any]]:
        sent.extend(units)
        under_way.append(len(sent) - len(applied))
        future = Future[list[Any]]()
        future.set_result([unit.path for unit in units])
        return future

    def apply(unit: Any, result: str) -> list[Unit]:
        assert unit.path == result
        applied.append(unit)
        return []

    units = [kind("sha256", f"{number:02x}") for number in range(256)]
    readers.run(cast(Survey, None), units, apply, readers.Beside(send, window=200))
    assert applied == units
    assert max(under_way) == most
