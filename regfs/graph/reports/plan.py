"""A plan: what `reclaim` answered one day, in a file: what is to go and why, the bytes, the store's state.

It is handed to whoever deletes, and compared with the store after that (`proof`). JSON, an item a line, so
that a person can read two plans' diff. Nothing in it is believed before it was checked: a plan that was cut
short or changed is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from regfs.errors import PlanError
from regfs.graph.index import Snapshot
from regfs.graph.index.blobs import sum_of_blobs
from regfs.graph.index.repositories import count_repositories
from regfs.graph.index.revisions import times_of_revisions
from regfs.graph.index.tags import count_tags, tags
from regfs.graph.reports.check import verdict
from regfs.graph.reports.policy import Policy
from regfs.graph.reports.reclaim import Reclaim
from regfs.graph.reports.rules import Rules
from regfs.graph.times import exact, iso, nanoseconds
from regfs.oci.digest import well_formed
from regfs.oci.names import is_tag, is_whole_repository

#: The form of the file. Another number is another form, which this version does not read.
FORM = 1

#: Images that stay and that the plan remembers, by which a copy of the store is known.
_REMEMBERED = 64


class PlannedImage(msgspec.Struct, frozen=True):
    """A tag that goes with what it names; or an image that no tag leads to (`tag` is ""), and why.

    `pushed` is when, to the nanosecond; "" where that could not be read.
    """

    repository: str
    tag: str
    digest: str
    pushed: str
    selected_by: str


class PlannedManifest(msgspec.Struct, frozen=True):
    """A manifest that is to be deleted from its repository. `pushed` is when its link there was written."""

    repository: str
    digest: str
    pushed: str


class PlannedBlob(msgspec.Struct, frozen=True):
    """A blob that a collection frees then, and its bytes; `orphaned`: it does so without any deletion."""

    digest: str
    size: int
    orphaned: bool


class StoreState(msgspec.Struct, frozen=True):
    """The store when the plan was made. `inode` is its directory's, where it has one.

    `newest` is when the last manifest was pushed, by the store's own clock, which need not be that of `made`.
    `unpullable` counts the tags that could not be pulled; `kept` are images that stay, repository@digest.
    """

    path: str
    inode: int | None
    changed: str
    newest: str
    repositories: int
    tags: int
    unpullable: int
    blobs: int
    size: int
    kept: list[str]


class Plan(msgspec.Struct, frozen=True):
    """What is to go. `withheld` and `unknown_size` count what may be in use, and so is not in it."""

    plan: int
    regfs: str
    made: str
    store: StoreState
    rules: list[dict[str, Any]]
    ignore_no_tags: bool
    withheld: int
    unknown_size: int
    promised_blobs: int
    promised_size: int
    images: list[PlannedImage]
    manifests: list[PlannedManifest]
    blobs: list[PlannedBlob]


def make_plan(
    snapshot: Snapshot, found: Reclaim, policy: Policy, place: tuple[str, int | None], made: tuple[int, str]
) -> Plan:
    """Make a plan of an answer whose blobs were listed. Needs LINKS and CONTENTS.

    `place` is the store's path and its directory's inode; `made` when (ns), and by which version of regfs.
    """
    times = times_of_revisions(snapshot)
    manifests = [
        PlannedManifest(repository, digest, pushed_in_words(times[repository][digest]))
        for repository, digest in found.manifests
    ]
    newest = max((time or 0 for held in times.values() for time in held.values()), default=0)
    every, state = sum_of_blobs(snapshot), verdict(snapshot)
    promised = found.freed.total
    return Plan(
        plan=FORM,
        regfs=made[1],
        made=exact(made[0]),
        store=StoreState(
            path=place[0],
            inode=place[1],
            changed=iso(snapshot.changed),
            newest=exact(newest),
            repositories=count_repositories(snapshot),
            tags=count_tags(snapshot),
            unpullable=state.tags - state.sound,
            blobs=every.number,
            size=every.size,
            kept=_remembered(snapshot, set(found.digests)),
        ),
        rules=[_rule(rules) for rules in policy.rules],
        ignore_no_tags=policy.ignore_no_tags,
        withheld=found.withheld,
        unknown_size=found.freed.unknown.size,
        promised_blobs=promised.number,
        promised_size=promised.size,
        images=[
            PlannedImage(tag.path, tag.tag, tag.digest, pushed_in_words(tag.pushed), why)
            for tag, why, _ in (*found.tags, *found.untagged)
        ],
        manifests=manifests,
        blobs=[PlannedBlob(*blob) for blob in found.freed.blobs],
    )


def pushed_in_words(pushed: int | None) -> str:
    """Write the time of a push as a plan has it."""
    return "" if pushed is None else exact(pushed)


def _remembered(snapshot: Snapshot, goes: set[str]) -> list[str]:
    """Give the images that stay and were pushed first: what was kept for long is likely to be."""
    stays = {
        f"{tag.repository}@{tag.digest}": tag.pushed or 0 for tag in tags(snapshot) if tag.digest is not None
    }
    return sorted(stays.keys() - goes, key=lambda name: (stays[name], name))[:_REMEMBERED]


def _rule(rules: Rules) -> dict[str, Any]:
    """Write a rule down as it was given."""
    given = {
        "name": rules.name,
        "match": [pattern.given for pattern in rules.match],
        "keep": [pattern.given for pattern in rules.keep],
        "keep-last": rules.keep_last,
        "by": rules.by.value if rules.by else "",
        "pushed-before": "" if rules.before is None else iso(rules.before),
        "untagged": rules.untagged,
        "stale-signatures": rules.stale_signatures,
    }
    return {key: value for key, value in given.items() if value}


def encode(plan: Plan) -> Iterator[str]:
    """Write a plan: JSON, an item a line."""
    between = "{\n"
    for field in msgspec.structs.fields(Plan):
        value = getattr(plan, field.name)
        yield f'{between}"{field.name}": '
        if isinstance(value, list) and value:
            yield "[\n" + ",\n".join(f" {_json(item)}" for item in value) + "\n]"
        else:
            yield _json(value)
        between = ",\n"
    yield "\n}\n"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def decode(path: str, raw: bytes) -> Plan:
    """Read a plan. `path` is the file's, for errors. Raises PlanError."""
    try:
        form = msgspec.json.decode(raw, type=_Form).plan
        if form != FORM:
            raise PlanError(path, f"is a plan of form {form}, which another version of regfs wrote")
        plan = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(path, f"is no whole plan, as regfs reclaim --save writes one: {error}") from error
    if wrong := next(_mistakes(plan), ""):
        raise PlanError(path, f"was changed since regfs wrote it: {wrong}")
    return plan


class _Form(msgspec.Struct):
    plan: int


_DECODER = msgspec.json.Decoder(Plan)


def _mistakes(plan: Plan) -> Iterator[str]:
    """Find what no plan has that regfs wrote."""
    for time in (plan.made, plan.store.newest):
        if nanoseconds(time) is None:
            yield f"{time!r} is no time"
    for image in plan.images:
        if image.tag and not is_tag(image.tag):
            yield f"no tag is named {image.tag!r}"
    images = [(image.repository, image.digest) for image in plan.images]
    goes = {(manifest.repository, manifest.digest) for manifest in plan.manifests}
    for repository, digest in (*goes, *images):
        if not is_whole_repository(repository) or not well_formed(digest):
            yield f"{repository}@{digest} is no image"
    for blob in plan.blobs:
        if not well_formed(blob.digest):
            yield f"no digest is {blob.digest!r}"
    if len({blob.digest for blob in plan.blobs}) != len(plan.blobs) or plan.promised_blobs != len(plan.blobs):
        yield f"it promises {plan.promised_blobs} blobs and lists {len(plan.blobs)}"
    if plan.promised_size != sum(blob.size for blob in plan.blobs):
        yield f"its blobs have not the {plan.promised_size} bytes that it promises"
    for repository, digest in images:
        if (repository, digest) not in goes:
            yield f"{repository}@{digest} is not among its manifests"
