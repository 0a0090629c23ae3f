"""The tables of the index: what stands in one store, and what follows from that.

Everything above `untagged` is read from the store; that and what is below, and the findings whose owner is
no path, follow from it and are made anew when it has changed (derived.py). Digests are text,
`sha256:…`, so that a person can ask the file with sqlite3(1) too. Sizes are bytes, blocks 512 bytes, times
and stamps nanoseconds since 1970.
"""

from __future__ import annotations

import enum

from regfs.registry.terms import Role

#: Another number throws every older index away: it costs a pass over the store, and no migration.
VERSION = 7

#: The key in `meta` of the run of the machine in which the index was last known to be whole.
BOOT = "boot"

#: The key in `meta` that says that what follows from the tables does not yet.
CHANGED = "changed"

#: The key in `meta` of the time at which they last changed, in nanoseconds since 1970.
WHEN = "when"


class State(enum.IntEnum):
    """Who needs a blob. The values stand in the index; what is in no other state is orphaned.

    `UNKNOWN`: what could not be read may need it, and nothing that was read tells that a tag does.
    """

    TAGGED = 1
    UNTAGGED = 2
    ORPHANED = 3
    UNKNOWN = 4

    @property
    def word(self) -> str:
        """What reports call it."""
        return self.name.lower()


class Doubt(enum.IntFlag):
    """What a gap may do to a blob that it reaches. The values stand in the index."""

    #: Some revision may lead to it.
    HELD = 1
    #: Some tag may.
    TAGGED = 2
    #: Some tag may, if tags are kept somewhere else.
    TAGGED_ELSEWHERE = 4


SCHEMA = f"""
PRAGMA user_version = {VERSION};

-- The store's path, and when it was last looked at.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Each directory that was listed, and its stamp then. 0: so new that more may have come within one tick.
CREATE TABLE place (path TEXT PRIMARY KEY, stamp INTEGER NOT NULL) WITHOUT ROWID;

-- Each digest that is stored or named. One that is only named has no size.
CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    size INTEGER,
    blocks INTEGER,
    stored INTEGER
);

-- Each manifest that was read; one that could not be has no kind, and the reason. `stops`: the registry's
-- collector ends with an error at its content.
CREATE TABLE manifest (
    blob INTEGER PRIMARY KEY,
    kind TEXT,
    media_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    error TEXT NOT NULL,
    stops INTEGER NOT NULL
);

-- What manifests, and links to aliases, say: `source` holds `target`. Size is what the manifest tells;
-- `elsewhere` is a foreign layer; `platform` names a child's directory, `title` a layer's file that is not
-- numbered (naming.py); `machine` is a child's platform.
CREATE TABLE edge (
    source INTEGER NOT NULL,
    role INTEGER NOT NULL,
    position INTEGER NOT NULL,
    target INTEGER NOT NULL,
    size INTEGER,
    media_type TEXT NOT NULL,
    platform TEXT NOT NULL,
    elsewhere INTEGER NOT NULL,
    title TEXT NOT NULL,
    machine TEXT NOT NULL,
    PRIMARY KEY (source, role, position)
) WITHOUT ROWID;

-- Each directory among the repositories; `marks` tells whether it is one. Below, `pushed` is empty where
-- that could not be read.
CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, marks INTEGER NOT NULL);

CREATE TABLE tag (
    repository INTEGER NOT NULL,
    name TEXT NOT NULL,
    blob INTEGER,
    pushed INTEGER,
    stamp INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;

CREATE TABLE history (
    repository INTEGER NOT NULL,
    tag TEXT NOT NULL,
    blob INTEGER NOT NULL,
    pushed INTEGER,
    PRIMARY KEY (repository, tag, blob)
) WITHOUT ROWID;

-- `name` is the digest in the link's path, `blob` the one in the link.
CREATE TABLE revision (
    repository INTEGER NOT NULL,
    name TEXT NOT NULL,
    blob INTEGER,
    pushed INTEGER,
    stamp INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;

-- The digests below a repository's `_layers`: in binary, sorted, one after the other. They are asked for as a
-- whole, and there are more of them than of anything else.
CREATE TABLE layer_links (
    repository INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    digests BLOB NOT NULL,
    PRIMARY KEY (repository, algorithm)
) WITHOUT ROWID;

-- `at_least`: it may have more bytes.
CREATE TABLE upload (
    repository INTEGER NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    files INTEGER NOT NULL,
    started TEXT NOT NULL,
    changed INTEGER NOT NULL,
    at_least INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;

-- What mounts have read by themselves, until a pass has read it, too (keeper.py): tags' links, and what
-- manifests say.
CREATE TABLE kept_link (
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    pushed INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE TABLE kept_manifest (digest TEXT PRIMARY KEY, outline BLOB NOT NULL) WITHOUT ROWID;

-- What the first bytes of an orphan, and the configs of images, say: read when first asked for.
CREATE TABLE content (blob INTEGER PRIMARY KEY, suffix TEXT NOT NULL, media_type TEXT NOT NULL);
CREATE TABLE config (blob INTEGER PRIMARY KEY, created TEXT NOT NULL, platform TEXT NOT NULL);

-- Each blob whose content was hashed since the last check began: its size and time then, the digest found.
CREATE TABLE hashed (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    found TEXT NOT NULL
) WITHOUT ROWID;

-- Files that are neither blob, link nor upload, and their bytes; looked for by a thorough pass. Rows without
-- a path tell the bytes of the owner's links then.
CREATE TABLE elsewhere (owner TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL);
CREATE INDEX elsewhere_owner ON elsewhere (owner);

-- What is wrong. `owner` is what was read when it was found, or the name of what was computed from the rest.
-- `reach` tells how far a gap reaches; empty: it is none.
CREATE TABLE finding (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    wanted TEXT NOT NULL,
    found TEXT NOT NULL,
    path TEXT NOT NULL,
    reach TEXT NOT NULL
);
CREATE INDEX finding_owner ON finding (owner);

-- What lies where the store was not read: which gap is there (the rowid of its finding).
CREATE TABLE unread (blob INTEGER PRIMARY KEY, gap INTEGER NOT NULL);

-- Where gaps begin to reach (no blob: everything), and what they reach: `why` is a Doubt.
CREATE TABLE gap (finding INTEGER NOT NULL, blob INTEGER, why INTEGER NOT NULL);
CREATE TABLE doubted (
    blob INTEGER NOT NULL,
    why INTEGER NOT NULL,
    PRIMARY KEY (blob, why)
) WITHOUT ROWID;

-- The revisions that no tag of their repository leads to; `referrer`: but to what they refer to, one does.
-- `doubt`: a gap may tag it; a sum of Doubts.
CREATE TABLE untagged (
    repository INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    referrer INTEGER NOT NULL,
    doubt INTEGER NOT NULL,
    PRIMARY KEY (repository, blob)
) WITHOUT ROWID;

-- What an image takes, all that it leads to counted once: bytes, and those that nothing else leads to.
-- Computed when first asked for; no exclusive size where a gap may hold some of it. `exclusive` is that of
-- one name of the image, which is nothing where it has several; `alone` that of all its names together.
-- `repository_weight` is the same for all images of a repository.
CREATE TABLE weight (blob INTEGER PRIMARY KEY, size INTEGER NOT NULL, exclusive INTEGER, alone INTEGER);
CREATE TABLE repository_weight (
    repository INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    exclusive INTEGER
);

-- What a garbage collection would delete, by the revisions that it starts from: blobs, their bytes, and the
-- bytes that tags need; and the bytes besides of which that cannot be told.
CREATE TABLE collection (
    revisions TEXT PRIMARY KEY,
    blobs INTEGER NOT NULL,
    size INTEGER NOT NULL,
    needed INTEGER NOT NULL,
    doubted INTEGER NOT NULL
) WITHOUT ROWID;

-- The repositories that the registry's collector does not see.
CREATE TABLE passed_over (repository INTEGER PRIMARY KEY);

-- The blobs that some revision, tag or gap leads to, and their state.
CREATE TABLE held (blob INTEGER PRIMARY KEY, state INTEGER NOT NULL);
"""

#: Made when a first pass is over: to fill tables without them is faster.
INDEXES = f"""
CREATE INDEX IF NOT EXISTS edge_alias ON edge (position) WHERE role = {Role.ALIAS:d};
CREATE INDEX IF NOT EXISTS edge_target ON edge (target, role);
CREATE INDEX IF NOT EXISTS tag_blob ON tag (blob);
CREATE INDEX IF NOT EXISTS revision_blob ON revision (blob);
"""
