"""Plans beside stores that were pushed to at random since: nothing that is needed now is to be deleted."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import given, note, settings
from hypothesis import strategies as st

from regfs.graph.index import Need, ReferenceIndex, Snapshot
from regfs.graph.reports.plan import make_plan
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.proof import Outcome, prove
from regfs.graph.reports.reclaim import reclaim
from regfs.graph.reports.rules import Rules, read_pattern
from regfs.registry import open_local
from tests.builder import Blob, StoreBuilder

REPOSITORIES = ("app", "app/sub", "other")
TAGS = ("a", "b", "c", "pr-1", "pr-2", "latest")
RULES = ("*:pr-*", "app:*", "*:a", "*@*", "other:*")
T = TypeVar("T")


class Pusher:
    """Pushes to a store at random, few images under many names; and knows what names which."""

    def __init__(self, store: StoreBuilder, chance: random.Random) -> None:
        self.store = store
        self.chance = chance
        self.clock = 1_700_000_000
        self.tags: dict[tuple[str, str], Blob] = {}
        self.held: dict[str, set[str]] = {name: set() for name in REPOSITORIES}
        self.below: dict[str, list[str]] = {}
        self.made: list[Blob] = []
        self.named_at: dict[tuple[str, str], int] = {}
        # A store without any tag is believed to keep them elsewhere, and all of it to be unknown.
        store.image("base", "1.0")

    def push(self) -> None:
        repository, tag = self.chance.choice(REPOSITORIES), self.chance.choice((*TAGS, None))
        self.clock += 10
        kind = self.chance.random()
        if self.made and kind < 0.35:  # what is there already, under another name
            image = self.chance.choice(self.made)
            self._hold(repository, image)
            if tag:
                self.store.tag(repository, tag, image, mtime=self.clock)
        elif self.made and kind < 0.6:
            children = self.chance.sample(self.made, min(2, len(self.made)))
            for child in children:
                self._hold(repository, child)
            platform = {"os": "linux", "architecture": "amd64"}
            described = [child.descriptor(platform=platform) for child in children]
            image = self.store.index(repository, tag, described, mtime=self.clock)
            self.below[image.digest] = [child.digest for child in children]
        else:
            number = self.chance.randrange(4)
            layer = self.store.layer({"f": b"%d" % number})
            image = self.store.image(
                repository, tag, [layer], self.store.config(author=f"{number}"), mtime=self.clock
            )
        self.made.append(image)
        self.held[repository].add(image.digest)
        if tag:
            self.tags[repository, tag] = image
            self.named_at[repository, tag] = self.clock

    def _hold(self, repository: str, image: Blob) -> None:
        """Push a manifest, with those below it, to a repository."""
        found = {blob.digest: blob for blob in self.made}
        for digest in self.leads_to(image.digest):
            self.store.revision(repository, found[digest])
            self.held[repository].add(digest)

    def untag(self) -> None:
        if self.tags:
            repository, tag = self.chance.choice(sorted(self.tags))
            del self.tags[repository, tag], self.named_at[repository, tag]
            shutil.rmtree(self.store.tag_link(repository, tag).parent.parent)

    def leads_to(self, digest: str) -> set[str]:
        reached = {digest}
        for below in self.below.get(digest, ()):
            reached |= self.leads_to(below)
        return reached

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest as a registry does: the tags of its repository that name it go as well."""
        self.store.revision_link(repository, digest).unlink()
        self.held[repository].discard(digest)
        for (name, tag), image in list(self.tags.items()):
            if (name, image.digest) == (repository, digest):
                del self.tags[name, tag], self.named_at[name, tag]
                shutil.rmtree(self.store.tag_link(name, tag).parent.parent)


def ask(store: StoreBuilder, question: Callable[[Snapshot], T]) -> T:
    local = open_local(str(store.v2))
    index = ReferenceIndex(local, str(store.v2), None, ttl=float("inf"))
    try:
        with index.snapshot(*Need) as snapshot:
            return question(snapshot)
    finally:
        index.close()
        local.close()


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    rules=st.sets(st.sampled_from(RULES), min_size=1, max_size=2),
    before=st.integers(3, 9),
    since=st.integers(0, 5),
)
def test_nothing_that_is_named_since_is_to_be_deleted(
    seed: int, rules: set[str], before: int, since: int
) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        pusher = Pusher(StoreBuilder(Path(directory) / "registry"), chance)
        for _ in range(before):
            pusher.push()
        policy = Policy(
            tuple(
                Rules(match=(read_pattern("--match", text),), untagged=True, name=text)
                for text in sorted(rules)
            )
        )

        def plan_of(snapshot: Snapshot) -> object:
            found = reclaim(snapshot, policy, listed=True)
            return make_plan(snapshot, found, policy, ("/", 1), (time.time_ns(), "0"))

        plan = ask(pusher.store, plan_of)
        went = {(image.repository, image.tag) for image in plan.images}  # type: ignore[attr-defined]
        planned_at = dict(pusher.named_at)
        for _ in range(since):
            (pusher.push if chance.random() < 0.8 else pusher.untag)()
        proof = ask(pusher.store, lambda snapshot: prove(snapshot, plan))  # type: ignore[arg-type]
        note(f"{plan} {pusher.tags} {proof.to_delete} {proof.left}")

        # Who names an image now and was not of the plan, or names it anew, needs it with all below it.
        for (repository, tag), image in pusher.tags.items():
            if (repository, tag) in went and pusher.named_at[repository, tag] == planned_at[repository, tag]:
                continue
            needed = {(repository, digest) for digest in pusher.leads_to(image.digest)}
            assert not needed & set(proof.to_delete), (repository, tag)
        planned = {(one.repository, one.digest) for one in plan.manifests}  # type: ignore[attr-defined]
        assert set(proof.to_delete) <= planned
        if not since:
            assert set(proof.to_delete) == planned
            assert not proof.left

        kept = {
            name: image.digest
            for name, image in pusher.tags.items()
            if (name[0], image.digest) not in proof.to_delete
        }
        for repository, digest in proof.to_delete:
            pusher.delete(repository, digest)
        assert {name: image.digest for name, image in pusher.tags.items()} == kept
        proof = ask(pusher.store, lambda snapshot: prove(snapshot, plan))  # type: ignore[arg-type]
        assert proof.to_delete == []
        outcomes = set(proof.blobs.values())
        assert Outcome.UNKNOWN not in outcomes
        if not since:
            assert outcomes <= {Outcome.TO_COLLECT}
