"""The tables of one layer's tree.

Names, targets and attributes are bytes, as they stand in the tar. Sizes and offsets are bytes, times
nanoseconds since 1970. `type` is an EntryType.
"""

from __future__ import annotations

from typing import Final

#: The node of the layer's root, and the key of the one name that leads to it.
ROOT: Final = 1
ROOT_KEY: Final = (0, b"")

#: What there is to say of a directory besides its attributes. The values stand in the file.
#: No entry names it: it is there because something is below it.
IMPLIED: Final = 1
#: It hides what the directories of lower layers hold.
OPAQUE: Final = 2
#: Some name in it begins with `.wh.`.
WHITEOUTS: Final = 4
#: It is implied by whiteouts alone, beside one of its own name: laid over other layers, it is gone.
EMPTIED: Final = 8

SCHEMA: Final = """
-- What stands in the layer. `links` counts its names; an unresolved hard link (one whose target stands in a
-- lower layer) has its target's path. A sparse file's content is in `extent`, another's `size` bytes of the
-- tar from `offset` on.
CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    target BLOB NOT NULL,
    major INTEGER NOT NULL,
    minor INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    sparse INTEGER NOT NULL,
    links INTEGER NOT NULL DEFAULT 1
);

-- The names in each directory. The node's type stands here too, so that to list is to read one table.
CREATE TABLE name (
    parent INTEGER NOT NULL,
    name BLOB NOT NULL,
    node INTEGER NOT NULL,
    type INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;

-- The few directories with traits: IMPLIED, OPAQUE, WHITEOUTS, EMPTIED.
CREATE TABLE directory (node INTEGER PRIMARY KEY, traits INTEGER NOT NULL);

CREATE TABLE xattr (
    node INTEGER NOT NULL,
    name BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (node, name)
) WITHOUT ROWID;

CREATE TABLE extent (
    node INTEGER NOT NULL,
    position INTEGER NOT NULL,
    start INTEGER NOT NULL,
    size INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (node, position)
) WITHOUT ROWID;
"""
