"""`regfs index`: reading a store ahead of the questions about it."""

from __future__ import annotations

import click

from regfs.cli.opening import opened_index
from regfs.graph.reports.table import readable_size


@click.command(short_help="Read the store once, and keep who holds what.")
@click.argument("store")
@click.option(
    "--thorough", is_flag=True, help="Look at every file again, not only at what a registry changed."
)
def index(store: str, thorough: bool) -> None:
    """Read STORE once and keep which tag and repository holds which blob, for the reports and the @ views.

    Those do it by themselves when they are first asked; this does it ahead, say from cron. Later it reads
    what has changed since, which takes a fraction of the time. The index lies below $XDG_CACHE_HOME/regfs
    (~/.cache/regfs).
    """
    with opened_index(store) as it:
        done = it.references.refresh(thorough=thorough)
        kind = (
            "read"
            if done.first
            else "brought up to date"
            if done.changed
            else "looked through; nothing changed"
        )
        with it.references.reading() as connection:
            count, size = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE size IS NOT NULL"
            ).fetchone()
            (tags,) = connection.execute("SELECT count(*) FROM tag").fetchone()
    print(f"{it.path}: {kind} in {done.seconds:.3f} s: {tags} tags, {count} blobs, {readable_size(size)}")
