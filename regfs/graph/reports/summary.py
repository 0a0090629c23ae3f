"""The summary: how much of the store is in use, what could go, and what is wrong, on one page."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone

from regfs.graph.index import Kind, Mark, Reach, Role, State
from regfs.graph.index.states import EVERY_REVISION, MARKED, TAGGED_REVISION
from regfs.graph.reports.check import look_at_contents
from regfs.graph.reports.links import look_at_links
from regfs.graph.reports.table import Row, Table, Type, columns, readable_size
from regfs.graph.reports.weights import weigh
from regfs.graph.times import iso
from regfs.registry.findings import SEVERITIES

#: What registries purge by default: uploads older than a week (distribution's configuration,
#: storage.maintenance.uploadpurging.age).
_PURGE_AGE = timedelta(days=7)

_LARGEST = 10


def summary(connection: sqlite3.Connection, now: float) -> Table:
    """Sum the store up. `now` is in seconds since 1970: uploads have an age."""
    weigh(connection)
    look_at_links(connection)
    look_at_contents(connection)
    return Table(
        columns("section", "item", count=Type.NUMBER, size=Type.SIZE, note=Type.TEXT),
        list(_rows(connection, now)),
    )


def _rows(connection: sqlite3.Connection, now: float) -> Iterator[Row]:
    yield from _stored(connection)
    yield from _freed(connection, now)
    yield from _names(connection)
    yield from _dates(connection)
    yield from _wrong(connection)
    for name, size, exclusive in connection.execute(
        "SELECT name, size, exclusive FROM repository_weight JOIN repository ON repository.id = repository "
        "ORDER BY size DESC, name LIMIT ?",
        (_LARGEST,),
    ):
        own = "unknown" if exclusive is None else readable_size(exclusive)
        yield "largest repositories", name, None, size, f"{own} its own alone"


def _stored(connection: sqlite3.Connection) -> Iterator[Row]:
    found = {
        State(state): (count, size)
        for state, count, size in connection.execute(
            "SELECT coalesce(state, ?), count(*), sum(size) FROM blob LEFT JOIN held ON held.blob = id "
            "WHERE size IS NOT NULL GROUP BY 1",
            (State.ORPHANED,),
        )
    }
    notes = {
        State.TAGGED: "some tag leads there",
        State.UNTAGGED: "some revision leads there, and no tag",
        State.ORPHANED: "nothing leads there",
        State.UNKNOWN: "what was not read may lead there" if found.get(State.UNKNOWN) else "",
    }
    for state in State:
        yield "stored", state.word, *found.get(state, (0, 0)), notes[state]
    uploads = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM upload").fetchone()
    yield "stored", "uploads", *uploads, "unfinished pushes"
    count, size, blocks = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(blocks), 0) FROM blob WHERE size IS NOT NULL"
    ).fetchone()
    note = f"blobs and uploads; the blobs take {readable_size(blocks * 512)} of disk"
    if _unread(connection):
        note = f"and what was not read: see broken; {note}"
    yield "stored", "all", count + uploads[0], size + uploads[1], note
    (links,) = connection.execute("SELECT sum(size) FROM elsewhere WHERE path = ''").fetchone()
    yield "beside that", "links", None, links or 0, "of tags, manifests and layers, as last looked at"
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM elsewhere WHERE path != ''"
    ).fetchone()
    (example,) = connection.execute("SELECT min(path) FROM elsewhere WHERE path != ''").fetchone()
    yield "beside that", "elsewhere", count, size, f"no blob, link or upload, as {example}" if count else ""


def _unread(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM finding WHERE reach = ? LIMIT 1"
    return connection.execute(query, (Reach.BLOBS.value,)).fetchone() is not None


def _freed(connection: sqlite3.Connection, now: float) -> Iterator[Row]:
    section = "would be freed by"
    plain = {Kind.COLLECTOR_STOPS, Kind.COLLECTOR_PLAIN_STOPS}
    yield section, "garbage-collect", *_collected(connection, EVERY_REVISION, plain)
    with_m = {Kind.COLLECTOR_STOPS, Kind.COLLECTOR_M_STOPS}
    yield section, "garbage-collect -m", *_collected(connection, TAGGED_REVISION, with_m)
    limit = datetime.fromtimestamp(now, timezone.utc) - _PURGE_AGE
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM upload WHERE started != '' AND started < ?",
        (limit.strftime("%Y-%m-%dT%H:%M:%S"),),
    ).fetchone()
    yield section, "an upload purge", count, size, "older than a week, as registries do by default"


def _collected(
    connection: sqlite3.Connection, revisions: str, stops: Collection[Kind]
) -> tuple[int, int, str]:
    """Tell what a collection by the registry would delete: blobs, bytes, and what is to be known of that.

    `stops` are the kinds of findings at which it ends with an error, and frees nothing.
    """
    query = "SELECT blobs, size, needed, doubted FROM collection WHERE revisions = ?"
    if not connection.execute(query, (revisions,)).fetchone():
        connection.execute(
            f"""
            INSERT INTO collection
            WITH marked AS ({MARKED.format(revisions=revisions)}),
            unmarked AS (
                SELECT size, coalesce(state, {State.ORPHANED:d}) AS state FROM blob
                LEFT JOIN held ON held.blob = id
                WHERE size IS NOT NULL AND id NOT IN (SELECT blob FROM marked WHERE blob IS NOT NULL)
            )
            SELECT ?, coalesce(sum(state != {State.UNKNOWN:d}), 0),
                coalesce(sum(CASE WHEN state != {State.UNKNOWN:d} THEN size END), 0),
                coalesce(sum(CASE WHEN state = {State.TAGGED:d} THEN size END), 0),
                coalesce(sum(CASE WHEN state = {State.UNKNOWN:d} THEN size END), 0)
            FROM unmarked
            """,
            (revisions,),
        )
    count, size, needed, doubted = connection.execute(query, (revisions,)).fetchone()
    words = [f"{readable_size(needed)} of it tags need!" if needed else "no tag needs any of it"]
    if doubted:
        words = [f"at least; of {readable_size(doubted)} more it is unknown", *(words if needed else ())]
    elif _unread(connection):
        words = ["at least; some blobs were not read", *(words if needed else ())]
    marks = ", ".join("?" * len(stops))
    stop = connection.execute(
        "SELECT CASE WHEN path = '' THEN digest ELSE path END FROM finding "
        f"LEFT JOIN repository ON repository.name = finding.repository WHERE kind IN ({marks}) AND ("
        "kind != ? OR EXISTS (SELECT 1 FROM revision WHERE revision.repository = repository.id)) ORDER BY 1",
        (*(kind.value for kind in stops), Kind.COLLECTOR_M_STOPS.value),
    ).fetchall()
    if stop:
        more = f" and {len(stop) - 1} more" if len(stop) > 1 else ""
        return 0, 0, f"nothing: it ends with an error at {stop[0][0]}{more}"
    return count, size, "; ".join(words)


def _names(connection: sqlite3.Connection) -> Iterator[Row]:
    (repositories,) = connection.execute(
        "SELECT count(*) FROM repository WHERE marks & ?", (Mark.LAYERS | Mark.MANIFESTS,)
    ).fetchone()
    yield "names", "repositories", repositories, None, ""
    (tags,) = connection.execute("SELECT count(*) FROM tag").fetchone()
    yield "names", "tags", tags, None, ""
    (revisions,) = connection.execute("SELECT count(*) FROM revision").fetchone()
    (untagged, doubt) = connection.execute(
        "SELECT count(*), count(nullif(doubt, 0)) FROM untagged"
    ).fetchone()
    note = f"{untagged - doubt} of them no tag of their repository leads to"
    note += f"; of {doubt} it is unknown" if doubt else ""
    yield "names", "manifests", revisions, None, note
    (indexes,) = connection.execute(
        "SELECT count(DISTINCT source) FROM edge WHERE role = ?", (Role.CHILD,)
    ).fetchone()
    yield "names", "indexes", indexes, None, ""


def _dates(connection: sqlite3.Connection) -> Iterator[Row]:
    for item, what, table in (("blob stored", "stored", "blob"), ("tag pushed", "pushed", "tag")):
        oldest, newest = connection.execute(f"SELECT min({what}), max({what}) FROM {table}").fetchone()
        if oldest is not None:
            yield "dates", f"oldest {item}", None, None, iso(oldest)
            yield "dates", f"newest {item}", None, None, iso(newest)


def _wrong(connection: sqlite3.Connection) -> Iterator[Row]:
    found = connection.execute("SELECT kind, count(*) FROM finding GROUP BY 1").fetchall()
    for severity, note in SEVERITIES.items():
        count = sum(number for kind, number in found if Kind(kind).severity == severity)
        yield "wrong", severity, count, None, f"{note}: see broken" if count else ""
