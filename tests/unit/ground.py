"""A built store, the graph over it, and both the clock and the calls in the test's hands."""

from __future__ import annotations

from regfs.graph import Graph
from regfs.registry import Contents, open_local
from tests.builder import StoreBuilder
from tests.unit.fakes import CountingStore, FakeClock

TTL = 10.0


class Ground:
    """A built store, and the graph over it that counts what it reads."""

    def __init__(self, built: StoreBuilder, ttl: float = TTL) -> None:
        self.built = built
        self.clock = FakeClock()
        self.local = open_local(str(built.v2))
        self.store = CountingStore(self.local)
        self.graph = Graph(Contents(self.store), ttl=ttl, clock=self.clock, pause=self.clock.pause)
