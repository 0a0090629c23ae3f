"""Every path of the store, and nothing else: the one place that knows where things lie.

    v2/                                                     the store
    ├── blobs/
    │   └── <alg>/<hex[0:2]>/<hex>/data                     every byte: layers, configs, manifests
    └── repositories/
        └── <name, nested to any depth>/
            ├── _layers/<alg>/<hex>/link                    a blob that the repository may serve
            ├── _manifests/
            │   ├── revisions/<alg>/<hex>/link              a manifest that the repository holds
            │   └── tags/<tag>/
            │       ├── current/link                        the digest that the tag names now
            │       └── index/<alg>/<hex>/link              a digest that it has named
            └── _uploads/<id>/
                ├── data                                    the bytes received so far
                ├── startedat                               RFC 3339
                └── hashstates/<alg>/<offset>

Source: distribution, registry/storage/paths.go, which draws the same tree. Paths are relative to `v2`,
with slashes, without one at either end; names that are not UTF-8 carry surrogate escapes (PEP 383).
"""

from __future__ import annotations

import re

from regfs.oci.digest import Digest

BLOBS = "blobs"
REPOSITORIES = "repositories"
LAYERS = "_layers"
MANIFESTS = "_manifests"
UPLOADS = "_uploads"

#: A link's name, whatever directory says what it is for.
LINK = "link"

#: A blob's or an upload's bytes; when an upload began.
DATA = "data"
STARTED = "startedat"

#: Below an upload's directory: what the digest's calculation had come to, at each of some offsets.
HASHSTATES = "hashstates"

#: Bytes that a date in `startedat` can have.
LONGEST_DATE = 128

#: Below a tag's directory: the link to what it names now, and the links to all that it has named.
CURRENT = f"current/{LINK}"
HISTORY = "index"

#: What a repository has in every version: 2.x makes `_layers` first, 3.x tells one by `_manifests`.
REPOSITORY_MARKS = frozenset({LAYERS, MANIFESTS})

#: What is a repository's own among the directories in it; the others are nested repositories.
OWN = REPOSITORY_MARKS | {UPLOADS}

#: What a part of a path can be for distribution's storage drivers (PathRegexp); others are an error there.
PATH_NAME = re.compile(r"[A-Za-z0-9._-]+")

#: A blob's bytes, and links, by their places (schema 1 had links to signatures below its revisions).
BLOB_PATH = re.compile(rf"{BLOBS}/[a-z0-9]+/([0-9a-f]{{2}})/\1[0-9a-f]*/{DATA}")
LINK_PATH = re.compile(
    rf"/(?:{LAYERS}|{MANIFESTS}/(?:revisions|tags/[^/]+/index))/[a-z0-9]+/[0-9a-f]+"
    rf"(?:/signatures/[a-z0-9]+/[0-9a-f]+)?/{LINK}\Z|/{MANIFESTS}/tags/[^/]+/current/{LINK}\Z"
)

#: What a shard is called: the first two digits.
SHARD = re.compile(r"[0-9a-f]{2}")

#: Beside the store: GitLab's registry makes it when it keeps tags and manifests in its metadata database.
DATABASE_LOCK = "lockfiles/database-in-use"

#: What desktops and file servers leave in directories; other such names begin with a dot.
_LEFTOVERS = frozenset({"lost+found", "Thumbs.db", "desktop.ini", "@eaDir", "#recycle", "#snapshot"})

#: The registry's root directory holds the store here (paths.go, storagePathRoot and -Version).
BELOW_ROOT = ("docker", "registry", "v2")


def blob_directory(digest: Digest) -> str:
    """Give the directory that holds one blob's `data`."""
    return f"{BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"


def blob_data(digest: Digest) -> str:
    """Give the file that holds one blob's bytes."""
    return f"{blob_directory(digest)}/{DATA}"


def repository(name: str) -> str:
    """Give the directory of a repository, or of the part of names that leads to one; "" is the top."""
    return f"{REPOSITORIES}/{name}" if name else REPOSITORIES


def tags(name: str) -> str:
    """Give the directory of a repository's tags."""
    return f"{REPOSITORIES}/{name}/{MANIFESTS}/tags"


def tag(name: str, tag_name: str) -> str:
    """Give the directory of one tag."""
    return f"{tags(name)}/{tag_name}"


def tag_current(name: str, tag_name: str) -> str:
    """Give the directory of the link that says what a tag names now."""
    return f"{tags(name)}/{tag_name}/current"


def tag_link(name: str, tag_name: str) -> str:
    """Give the link that says what a tag names now."""
    return f"{tag(name, tag_name)}/{CURRENT}"


def tag_history(name: str, tag_name: str) -> str:
    """Give the directory of all digests that a tag has named."""
    return f"{tag(name, tag_name)}/{HISTORY}"


def revisions(name: str) -> str:
    """Give the directory of a repository's manifests."""
    return f"{REPOSITORIES}/{name}/{MANIFESTS}/revisions"


def layers(name: str) -> str:
    """Give the directory of a repository's layer links."""
    return f"{REPOSITORIES}/{name}/{LAYERS}"


def uploads(name: str) -> str:
    """Give the directory of a repository's unfinished pushes."""
    return f"{REPOSITORIES}/{name}/{UPLOADS}"


def shard(algorithm: str, prefix: str) -> str:
    """Give the directory of the blobs whose hex digits begin with `prefix`, two of them."""
    return f"{BLOBS}/{algorithm}/{prefix}"


def upload(name: str, identifier: str) -> str:
    """Give the directory of one unfinished push."""
    return f"{uploads(name)}/{identifier}"


def link_below(directory: str, digest: Digest) -> str:
    """Give the link for a digest below `revisions`, `layers` or `tag_history`."""
    return f"{directory}/{digest.algorithm}/{digest.hex}/{LINK}"


def ignored(name: str) -> bool:
    """Tell whether a name among repositories is none of the registry's, and is passed over.

    The layout's own directories, and later versions', begin with an underscore; hidden ones are the file
    system's (`.nfs…`, `.snapshot`), as is `lost+found`.
    """
    return name.startswith("_") or ignored_tag(name)


def ignored_tag(name: str) -> bool:
    """Tell whether a name among tags is none of the registry's, and is passed over."""
    return name.startswith(".") or name in _LEFTOVERS
