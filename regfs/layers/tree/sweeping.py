"""What is done to a layer's tree when all its entries are in the tables."""

from __future__ import annotations

import sqlite3

#: From 0, which has the root as its one name (schema.ROOT_KEY). No node below has itself below it.
_DELETE_NAMES = """
WITH RECURSIVE reached (id) AS (
    VALUES (0)
    UNION ALL
    SELECT node FROM reached JOIN name ON parent = id
)
DELETE FROM name WHERE parent NOT IN reached
"""


def sweep(connection: sqlite3.Connection) -> None:
    """Delete what no path leads to: what was below a directory that something else has replaced."""
    connection.execute(_DELETE_NAMES)
    connection.execute("DELETE FROM node WHERE id NOT IN (SELECT node FROM name)")
    connection.execute("DELETE FROM directory WHERE node NOT IN (SELECT id FROM node)")
    connection.execute("DELETE FROM xattr WHERE node NOT IN (SELECT id FROM node)")
    connection.execute("DELETE FROM extent WHERE node NOT IN (SELECT id FROM node)")


def count_links(connection: sqlite3.Connection) -> None:
    """Set the number of names of each node that has several."""
    counted = connection.execute("SELECT count(*), node FROM name GROUP BY node HAVING count(*) > 1")
    connection.executemany("UPDATE node SET links = ? WHERE id = ?", counted.fetchall())
