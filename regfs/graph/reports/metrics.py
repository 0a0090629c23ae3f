"""What a monitoring system asks of a store, in Prometheus's text format.

Gauges alone, without times, as node_exporter's textfile collector takes them; Prometheus keeps the history.
What is not known is NaN or in a series of its own, never 0. Each series is of a store: one host may have two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regfs.graph.index import Need, Snapshot, State, blobs
from regfs.graph.index.collector import Collected, collected
from regfs.graph.index.doubt import gaps
from regfs.graph.index.findings import findings_of_each_kind, some_blobs_unread
from regfs.graph.index.repositories import repositories_described
from regfs.graph.index.uploads import sum_of_uploads
from regfs.graph.reports.check import verdict
from regfs.graph.reports.summary import purged_uploads
from regfs.registry.findings import SEVERITIES

#: What `metrics` needs of the index.
NEEDS = (Need.WEIGHTS, Need.LINKS, Need.CONTENTS, Need.COLLECTIONS)

#: A series: its labels besides the store, and its value; None is not known.
Sample = tuple[dict[str, str], int | float | None]


class Look(NamedTuple):
    """Of which store, by which version of regfs; when the index was brought up to date, and in what time.

    In seconds, the first since 1970.
    """

    store: str
    version: str
    done: float
    seconds: float


class Metric(NamedTuple):
    """A metric: its name without `regfs_`, what it says, and its series."""

    name: str
    help: str
    samples: list[Sample]


def metrics(snapshot: Snapshot, about: Look) -> Iterator[str]:
    """Give the lines of all metrics. Needs NEEDS."""
    for metric in (
        *_stored(snapshot),
        *_reclaimable(snapshot, about.done),
        *_repositories(snapshot),
        *_wrong(snapshot),
        Metric("index_timestamp_seconds", "When the store was last looked at.", [({}, about.done)]),
        Metric("index_duration_seconds", "How long that took.", [({}, about.seconds)]),
        Metric("build_info", "The version of regfs.", [({"version": about.version}, 1)]),
    ):
        yield from _lines(metric, about.store)


def _stored(snapshot: Snapshot) -> Iterator[Metric]:
    sums = blobs.sums_by_state(snapshot)
    of_states = [({"state": state.word}, sums.get(state, blobs.Sum(0, 0))) for state in State]
    # What lies where blobs were not read is in no sum.
    untold = {State.UNKNOWN.word} if some_blobs_unread(snapshot) else set()
    uploads = sum_of_uploads(snapshot)
    yield Metric(
        "blob_bytes",
        "Bytes of blobs by who needs them; unknown: something that was not read may.",
        [(labels, None if labels["state"] in untold else found.size) for labels, found in of_states],
    )
    yield Metric(
        "blobs",
        "Blobs by who needs them.",
        [(labels, None if labels["state"] in untold else found.number) for labels, found in of_states],
    )
    yield Metric(
        "upload_bytes", "Bytes of unfinished pushes; in an object store, at least.", [({}, uploads.size)]
    )
    yield Metric("uploads", "Unfinished pushes.", [({}, uploads.number)])


def _reclaimable(snapshot: Snapshot, now: float) -> Iterator[Metric]:
    found: dict[str, Collected] = {
        "garbage_collect": collected(snapshot, delete_untagged=False),
        "garbage_collect_untagged": collected(snapshot, delete_untagged=True),
    }
    unread = some_blobs_unread(snapshot)
    sizes: list[Sample] = [
        ({"by": by}, 0 if collection.stops else collection.size) for by, collection in found.items()
    ]
    purged = purged_uploads(snapshot, now)
    yield Metric(
        "reclaimable_bytes",
        "Bytes that the registry's own cleaning would free, for certain.",
        [*sizes, ({"by": "upload_purge"}, None if purged.at_least else purged.size)],
    )
    yield Metric(
        "reclaimable_unknown_bytes",
        "Bytes of which it is unknown whether it would free them.",
        [({"by": by}, None if unread else collection.doubted) for by, collection in found.items()],
    )
    yield Metric(
        "reclaimable_needed_bytes",
        "Bytes that it would free although a tag needs them.",
        [({"by": by}, 0 if collection.stops else collection.needed) for by, collection in found.items()],
    )


def _repositories(snapshot: Snapshot) -> Iterator[Metric]:
    found = [({"repository": one.repository}, one) for one in repositories_described(snapshot)]
    yield Metric(
        "repository_bytes",
        "Bytes that a repository leads to, each blob once.",
        [(labels, one.size) for labels, one in found],
    )
    yield Metric(
        "repository_exclusive_bytes",
        "Bytes that no other repository leads to; NaN: unknown.",
        [(labels, one.exclusive) for labels, one in found],
    )
    yield Metric("repository_tags", "Tags of a repository.", [(labels, one.tags) for labels, one in found])
    yield Metric(
        "repository_last_push_timestamp_seconds",
        "When a tag of the repository was last pushed.",
        [(labels, one.pushed / 1e9) for labels, one in found if one.pushed is not None],
    )


def _wrong(snapshot: Snapshot) -> Iterator[Metric]:
    kinds = findings_of_each_kind(snapshot)
    yield Metric(
        "findings",
        "What is wrong, by severity; see regfs report broken.",
        [
            (
                {"severity": severity},
                sum(number for kind, number in kinds.items() if kind.severity == severity),
            )
            for severity in SEVERITIES
        ],
    )
    pulled = verdict(snapshot)
    unpullable = pulled.tags - pulled.sound - pulled.untold
    yield Metric("gaps", "Places that could not be read.", [({}, len(gaps(snapshot)))])
    yield Metric("tags", "Tags.", [({}, pulled.tags)])
    yield Metric("unpullable_tags", "Tags whose image is not whole.", [({}, unpullable)])
    yield Metric(
        "unknown_tags", "Tags of which cannot be told whether their image is whole.", [({}, pulled.untold)]
    )


def _lines(metric: Metric, store: str) -> Iterator[str]:
    name = f"regfs_{metric.name}"
    if not metric.samples:
        return
    yield f"# HELP {name} {metric.help}\n# TYPE {name} gauge\n"
    for labels, value in metric.samples:
        text = "NaN" if value is None else repr(value) if isinstance(value, int) else f"{value:.3f}"
        yield f"{name}{{{_labels({'store': store, **labels}.items())}}} {text}\n"


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    """Write a label's value (Prometheus, "Exposition formats"); what is no UTF-8 is readable."""
    value = value.encode("utf-8", "backslashreplace").decode()
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
