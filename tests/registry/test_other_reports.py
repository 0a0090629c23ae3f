"""What regfs reports of stores that registries 2.7.1 and 3.0.0 wrote, against what their APIs said."""

from pathlib import Path

import pytest

from tests.registry.collector import AbortedError, collect, stored
from tests.registry.random_pushes import States
from tests.registry.told import Tell, would_go
from tests.registry.truth import Truth

pytestmark = pytest.mark.registry

TRUTH = Truth.packed()
ALL = sorted(TRUTH.stores)
WHOLE = [store for store in ALL if store.endswith(("before", "after"))]


@pytest.mark.parametrize("store_name", ALL)
def test_every_tag_of_another_version_has_the_digest_that_the_api_said(
    store_name: str, unpacked: Path, tell: Tell
) -> None:
    said = {
        (repository, tag): digest or None
        for served in (True, False)
        for repository, tag, digest in TRUTH.tags(store_name, served=served)
    }
    assert len(said) > 2
    assert tell(unpacked / store_name).tags() == said


@pytest.mark.parametrize("store_name", ALL)
def test_what_is_wrong_in_the_store_of_another_version_is_what_its_api_failed_on(
    store_name: str, unpacked: Path, tell: Tell
) -> None:
    said = TRUTH.stores[store_name]["repositories"]
    told = tell(unpacked / store_name)
    assert told.alarms() == set()
    rows = [row for row in told.rows("broken") if not row["kind"].startswith("collector-")]
    # Each says of which image it is, if no tag leads there.
    assert all(row["tag"] or row["image"] for row in rows)
    wrong = {
        kind: [row for row in rows if row["kind"] == kind] for kind in sorted({row["kind"] for row in rows})
    }
    missing = {row["digest"] for row in wrong.pop("missing", ())}
    assert missing == (TRUTH.absent.keys() if store_name in WHOLE else missing & TRUTH.absent.keys())
    dangling = {(row["repository"], row["tag"], "") for row in wrong.pop("tag-link", ())}
    assert dangling == set(TRUTH.tags(store_name, served=False))
    unlinked = {(row["repository"], row["digest"]) for row in wrong.pop("unlinked", ())}
    assert wrong == {}
    refused = {(repository, digest) for repository, found in said.items() for digest in found["unserved"]}
    for repository, found in said.items():
        refused |= {(repository, digest) for digest, status in found["revisions"].items() if status == 404}
    assert unlinked <= refused
    assert ("gone/blob" in {repository for repository, _ in unlinked}) == (store_name in WHOLE)


@pytest.mark.parametrize("version", ["2.7.1", "3.0.0"])
def test_another_version_collected_with_m_what_regfs_had_called_orphaned_and_untagged(
    version: str, unpacked: Path, tell: Tell
) -> None:
    """Between the two, each registry's own collector ran. The children of its indexes had tags as well."""
    before, after = (unpacked / f"{version}/store-{name}" for name in ("before", "after"))
    states = tell(before).states()
    gone = stored(before).keys() - stored(after).keys()
    assert states.orphaned | states.untagged == gone
    assert len(states.orphaned) == 10
    then = tell(after).states()
    assert then == States(states.tagged, set(), set())


@pytest.mark.parametrize("store_name", ALL)
def test_the_orphans_in_the_store_of_another_version_are_what_the_collector_takes(
    store_name: str, unpacked: Path, tell: Tell
) -> None:
    told = tell(unpacked / store_name)
    try:
        plain, _ = would_go(unpacked / store_name, told)
    except AbortedError:
        # An empty link of a tag stops it with -m.
        assert store_name.endswith("store-crash")
        plain = collect(unpacked / store_name)
    assert plain.blobs == told.orphans()
