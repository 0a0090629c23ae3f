"""The summary: how much of the store is in use, what could go, and what is wrong, on one page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from regfs.graph.index import Kind, Mark, Role, State
from regfs.graph.index.states import EVERY_REVISION, MARKED, TAGGED_REVISION
from regfs.graph.reports.check import look_at_contents
from regfs.graph.reports.links import look_at_links
from regfs.graph.reports.table import Row, Table, Type, columns, readable_size
from regfs.graph.reports.weights import weigh
from regfs.graph.times import iso

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
        yield "largest repositories", name, None, size, f"{readable_size(exclusive)} its own alone"


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
    }
    for state in State:
        yield "stored", state.word, *found.get(state, (0, 0)), notes[state]
    uploads = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM upload").fetchone()
    yield "stored", "uploads", *uploads, "unfinished pushes"
    count, size, blocks = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(blocks), 0) FROM blob WHERE size IS NOT NULL"
    ).fetchone()
    note = f"blobs and uploads; the blobs take {readable_size(blocks * 512)} of disk"
    yield "stored", "all", count + uploads[0], size + uploads[1], note


def _freed(connection: sqlite3.Connection, now: float) -> Iterator[Row]:
    section = "would be freed by"
    yield section, "garbage-collect", *_collected(connection, EVERY_REVISION)
    yield section, "garbage-collect -m", *_collected(connection, TAGGED_REVISION)
    limit = datetime.fromtimestamp(now, timezone.utc) - _PURGE_AGE
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM upload WHERE started != '' AND started < ?",
        (limit.strftime("%Y-%m-%dT%H:%M:%S"),),
    ).fetchone()
    yield section, "an upload purge", count, size, "older than a week, as registries do by default"


def _collected(connection: sqlite3.Connection, revisions: str) -> tuple[int, int, str]:
    """Tell what a collection by the registry would delete: blobs, bytes, and how much of that a tag needs."""
    query = "SELECT blobs, size, needed FROM collection WHERE revisions = ?"
    if not connection.execute(query, (revisions,)).fetchone():
        connection.execute(
            f"""
            INSERT INTO collection
            WITH marked AS ({MARKED.format(revisions=revisions)})
            SELECT ?, count(*), coalesce(sum(size), 0),
                coalesce(sum(CASE WHEN state = {State.TAGGED:d} THEN size END), 0)
            FROM blob LEFT JOIN held ON held.blob = id
            WHERE size IS NOT NULL AND id NOT IN (SELECT blob FROM marked WHERE blob IS NOT NULL)
            """,
            (revisions,),
        )
    count, size, needed = connection.execute(query, (revisions,)).fetchone()
    return count, size, f"{readable_size(needed)} of it tags need!" if needed else "no tag needs any of it"


def _names(connection: sqlite3.Connection) -> Iterator[Row]:
    (repositories,) = connection.execute(
        "SELECT count(*) FROM repository WHERE marks & ?", (Mark.LAYERS | Mark.MANIFESTS,)
    ).fetchone()
    yield "names", "repositories", repositories, None, ""
    (tags,) = connection.execute("SELECT count(*) FROM tag").fetchone()
    yield "names", "tags", tags, None, ""
    (revisions,) = connection.execute("SELECT count(*) FROM revision").fetchone()
    (untagged,) = connection.execute("SELECT count(*) FROM untagged").fetchone()
    yield "names", "manifests", revisions, None, f"{untagged} of them no tag of their repository leads to"
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
    notes = {
        "alarm": "a garbage collection would lose data: see broken",
        "damage": "images that are not whole: see broken",
        "note": "nobody's image suffers: see broken",
    }
    for severity, note in notes.items():
        count = sum(number for kind, number in found if Kind(kind).severity == severity)
        yield "wrong", severity, count, None, note if count else ""
