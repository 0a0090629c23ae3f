"""Plans beside stores that changed since, or that cannot be read; and files that are no plans."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from regfs.errors import PlanError
from regfs.graph.index import Need, ReferenceIndex
from regfs.graph.reports.plan import Plan, decode, encode, make_plan
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.proof import Proof, prove, see_that_it_is_of
from regfs.graph.reports.reclaim import reclaim
from regfs.graph.reports.rules import Patterns, Rules, read_pattern
from regfs.registry import open_local
from tests.builder import Blob, StoreBuilder

OLD = 1_700_000_000


class Store:
    """A store with an image of each of three tags in two repositories, that share nothing."""

    def __init__(self, built: StoreBuilder) -> None:
        self.built = built
        built.now = OLD
        self.images: dict[str, Blob] = {}
        for repository in ("app", "other"):
            for tag in ("pr-1", "pr-2", "keep"):
                self.push(repository, tag)

    def push(self, repository: str, tag: str | None, **keys: Any) -> Blob:
        name = f"{repository}:{tag}"
        layer = self.built.layer({"own": name.encode()})
        self.images[name] = self.built.image(
            repository, tag, [layer], self.built.config(author=name), mtime=OLD, **keys
        )
        return self.images[name]

    def ask(self, question: Callable[[Any], Any]) -> Any:
        local = open_local(str(self.built.v2))
        index = ReferenceIndex(local, str(self.built.v2), None, ttl=float("inf"))
        try:
            index.refresh(thorough=True)
            with index.snapshot(*Need) as snapshot:
                return question(snapshot)
        finally:
            index.close()
            local.close()

    def plan(self, *match: str, untagged: bool = False) -> Plan:
        patterns = tuple(read_pattern("--match", text) for text in match)
        policy = Policy((Rules(match=patterns, untagged=untagged),))

        def make(snapshot: Any) -> Plan:
            found = reclaim(snapshot, policy, listed=True)
            return make_plan(snapshot, found, policy, ("/there", 1), (time.time_ns(), "0"))

        plan: Plan = self.ask(make)
        assert decode("plan.json", "".join(encode(plan)).encode()) == plan
        return plan

    def prove(self, plan: Plan) -> Proof:
        proof: Proof = self.ask(lambda snapshot: prove(snapshot, plan))
        sums = [proof.summary().rows][0]
        promised, *parts = list(sums)
        for column in (3, 4):
            assert sum(int(row[column] or 0) for row in parts) == promised[column]
        return proof

    def outcomes(self, plan: Plan) -> dict[str, tuple[str, str]]:
        """Tell what became of each tag of a plan, and why."""
        rows = self.prove(plan).by_image().rows
        return {f"{row[0]}:{row[1]}": (str(row[4]), str(row[5])) for row in rows}

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest as a registry does, with the tags that name it."""
        self.built.revision_link(repository, digest).unlink()
        for link in self.built.repository(repository).glob("_manifests/tags/*/current/link"):
            if link.read_text() == digest:
                shutil.rmtree(link.parent.parent)


@pytest.fixture
def two(store: StoreBuilder) -> Store:
    return Store(store)


def test_what_was_deleted_and_collected_is_gone(two: Store) -> None:
    plan = two.plan("*:pr-*")
    assert plan.promised_blobs == 12
    assert {one.repository for one in plan.manifests} == {"app", "other"}
    assert two.prove(plan).to_delete == [(one.repository, one.digest) for one in plan.manifests]
    for one in plan.manifests:
        two.delete(one.repository, one.digest)
    proof = two.prove(plan)
    assert (proof.whole, proof.to_delete) == (False, [])
    assert [row[0] for row in proof.summary().rows if row[3]] == ["promised", "to collect"]
    for blob in plan.blobs:
        shutil.rmtree(two.built.data(blob.digest).parent)
    proof = two.prove(plan)
    assert proof.whole
    assert proof.grown == 0
    two.push("app", "new")
    assert (two.prove(plan).grown or 0) > 0
    shutil.rmtree(two.built.data(two.images["app:keep"].digest).parent)
    shutil.rmtree(two.built.data(two.images["other:keep"].digest).parent)
    two.delete("app", two.images["app:new"].digest)
    for path in list(two.built.v2.glob("blobs/sha256/*/*/data"))[:3]:
        path.unlink()
    assert (two.prove(plan).grown or 0) < 0


@pytest.mark.parametrize(
    "place", ["repositories/app/_manifests/revisions", "repositories/app", "repositories"]
)
def test_what_lies_where_nothing_was_read_is_unknown_and_not_gone(two: Store, place: str) -> None:
    plan = two.plan("*:pr-*")
    moved = two.built.v2 / place
    shutil.move(moved, two.built.root.parent / "elsewhere")
    moved.symlink_to(two.built.root.parent / "elsewhere")
    proof = two.prove(plan)
    found = two.outcomes(plan)
    for tag in ("app:pr-1", "app:pr-2"):
        assert found[tag][0] == "unknown", found
    assert not [one for one in proof.to_delete if one[0] == "app"]
    assert all(outcome != "gone" for outcome, _ in found.values())
    assert not proof.whole
    assert proof.left


def test_a_blob_whose_shard_was_not_read_is_unknown_and_not_freed(two: Store) -> None:
    plan = two.plan("app:pr-1")
    shard = two.built.data(plan.blobs[0].digest).parent.parent
    two.delete("app", two.images["app:pr-1"].digest)
    shutil.move(shard, two.built.root.parent / "shard")
    shard.symlink_to(two.built.root.parent / "shard")
    proof = two.prove(plan)
    assert proof.blobs[plan.blobs[0].digest].value == "unknown"
    assert proof.unread
    assert proof.grown is None
    assert not proof.whole


def test_what_a_tag_may_need_that_cannot_be_read_is_in_no_plan_and_to_be_deleted_no_more(two: Store) -> None:
    loose = two.push("app", None)
    before = two.plan("app:*", untagged=True)
    assert loose.digest in {one.digest for one in before.manifests}
    two.built.tag_link("other", "keep").write_text("")  # torn: it may name what it has named
    tags = two.built.repository("app") / "_manifests/tags"
    shutil.move(tags, two.built.root.parent / "tags")
    tags.symlink_to(two.built.root.parent / "tags")
    assert two.plan("*:*", untagged=True).manifests == [
        one for one in two.plan("other:*").manifests if one.digest != two.images["other:keep"].digest
    ]
    proof = two.prove(before)
    assert proof.to_delete == []
    assert {judged.outcome.value for judged in proof.manifests.values()} == {"unknown"}


def test_a_torn_link_of_a_revision_is_no_proof_that_it_went(two: Store) -> None:
    plan = two.plan("app:pr-1")
    digest = two.images["app:pr-1"].digest
    two.delete("app", digest)
    two.built.revision_link("app", digest).write_text("")
    assert two.outcomes(plan)["app:pr-1"][0] == "stays"
    assert two.prove(plan).to_delete == []


@pytest.mark.parametrize("after", [1, 3600])
def test_what_was_pushed_since_stays_however_slow_the_storage_s_clock_is(two: Store, after: int) -> None:
    """A file's time may be a tick behind the clock, and a storage elsewhere has another one."""
    plan = two.plan("app:pr-*")
    again, signed = (two.images[f"app:pr-{number}"].digest for number in (1, 2))
    two.delete("app", again)
    two.built.now = OLD + after
    two.built.revision("app", two.images["app:pr-1"])
    two.push("app", f"{signed.replace(':', '-')}.sig")
    found = two.outcomes(plan)
    assert found["app:pr-1"][0] == "stays"
    assert found["app:pr-2"][0] == "stays"
    assert found["app:pr-2"][1].endswith(" belongs to it, which was pushed since the plan")
    assert two.prove(plan).to_delete == []


def test_what_is_tagged_since_stays_with_what_it_leads_to(two: Store) -> None:
    child = two.push("app", None)
    platform = {"os": "linux", "architecture": "amd64"}
    index = two.built.index("app", "pr-list", [child.descriptor(platform=platform)], mtime=OLD)
    plan = two.plan("app:pr-*")
    assert [one.digest for one in plan.manifests if one.digest in (child.digest, index.digest)] == [
        index.digest,
        child.digest,
    ]
    two.built.tag("app", "prod", index, mtime=OLD + 5)
    found = two.prove(plan)
    assert found.left[f"app@{index.digest}"].startswith("app:prod names it since the plan, 2023-11-14")
    assert found.left[f"app@{child.digest}"] == "app:prod leads to it"
    assert {digest for _, digest in found.to_delete} == {
        two.images["app:pr-1"].digest,
        two.images["app:pr-2"].digest,
    }


def test_another_repository_that_shares_a_blob_since_keeps_the_blob_and_no_manifest(two: Store) -> None:
    plan = two.plan("app:pr-1")
    two.built.tag("other", "copy", two.images["app:pr-1"])
    two.built.revision("other", two.images["app:pr-1"])
    proof = two.prove(plan)
    assert proof.to_delete == [("app", two.images["app:pr-1"].digest)]
    assert {outcome.value for outcome in proof.blobs.values()} == {"stays"}


def test_what_is_to_be_kept_now_is_not_to_be_deleted_any_more(two: Store) -> None:
    plan = two.plan("app:pr-*", "other:pr-*")
    digest = two.images["other:pr-2"].digest
    keep = Patterns(read_pattern("--keep", text) for text in ("app:pr-1", f"other@{digest}"))
    proof: Proof = two.ask(lambda snapshot: prove(snapshot, plan, keep))
    assert proof.left == {
        f"app@{two.images['app:pr-1'].digest}": "--keep 'app:pr-1' keeps it",
        f"other@{digest}": f"--keep 'other@{digest}' keeps it",
    }
    assert {digest for _, digest in proof.to_delete} == {
        two.images["app:pr-2"].digest,
        two.images["other:pr-1"].digest,
    }


def test_a_tag_that_moved_since_leaves_its_image_to_be_deleted(two: Store) -> None:
    plan = two.plan("app:pr-1")
    two.built.tag("app", "pr-1", two.images["app:keep"], mtime=time.time() + 5)
    assert two.outcomes(plan)["app:pr-1"] == ("to delete", "")


def test_a_plan_is_of_the_store_that_has_most_of_what_stays(two: Store, tmp_path_factory: Any) -> None:
    plan = two.plan("*:pr-*")
    other = StoreBuilder(tmp_path_factory.mktemp("other") / "registry")
    other.image("app", "keep", [other.layer({"of": b"another store"})])
    elsewhere = Store.__new__(Store)
    elsewhere.built = other
    for place in (("/here", 1), ("/there", 2), ("/there", None)):
        note = two.ask(lambda snapshot, place=place: see_that_it_is_of(snapshot, "p", plan, place))
        assert "believed to be a copy" in note
        with pytest.raises(PlanError, match=r"of 2 images that stay there this store has 0"):
            elsewhere.ask(lambda snapshot, place=place: see_that_it_is_of(snapshot, "p", plan, place))
    assert two.ask(lambda snapshot: see_that_it_is_of(snapshot, "p", plan, ("/there", 1))) == ""
    nothing = two.plan("*:*")
    with pytest.raises(PlanError):
        two.ask(lambda snapshot: see_that_it_is_of(snapshot, "p", nothing, ("/here", 1)))


def changed(document: dict[str, Any], *path: str | int, to: object) -> dict[str, Any]:
    part: Any = document
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = to
    return document


def test_what_regfs_did_not_write_is_no_plan(two: Store) -> None:
    text = "".join(encode(two.plan("app:pr-*")))
    whole = decode("plan.json", text.encode())
    for end in range(0, len(text) - 2, 97):
        with pytest.raises(PlanError, match="is no whole plan"):
            decode("plan.json", text[:end].encode())
    blob = whole.blobs[0]
    for path, to in (
        (("plan",), 2),
        (("made",), "yesterday"),
        (("store", "newest"), "yesterday"),
        (("promised_size",), whole.promised_size + 1),
        (("promised_blobs",), 1),
        (("blobs", 0, "size"), blob.size + 1),
        (("blobs", 0, "digest"), "sha256:12"),
        (("blobs", 0, "digest"), whole.blobs[1].digest),
        (("manifests", 0, "repository"), "a;b"),
        (("manifests", 0, "digest"), blob.digest.upper()),
        (("manifests",), []),
        (("images", 0, "tag"), "$(id)"),
        (("images", 0, "digest"), f"sha256:{'0' * 64}"),
        (("images",), None),
        (("store",), {}),
    ):
        document = changed(json.loads(text), *path, to=to)
        with pytest.raises(PlanError) as raised:
            decode("plan.json", json.dumps(document).encode())
        assert str(raised.value).startswith("plan.json: ")


@pytest.fixture(autouse=True)
def _no_store_is_written(store: StoreBuilder) -> Iterator[None]:
    yield
    assert not list(store.root.rglob("*.json"))
