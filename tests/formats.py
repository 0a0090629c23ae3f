"""The document of what regfs prints for programs, from the columns themselves.

`python -m tests.formats` writes regfs/docs/formats.md; tests/unit/test_formats.py sees that it is up to date,
and that the commands print what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regfs.cli import finding, inside
from regfs.graph.reports import causes, check, difference, lists, proof, reclaim, summary
from regfs.graph.reports.formats import SCHEMA
from regfs.graph.reports.table import Column

FILE = Path(__file__).parent.parent / "regfs/docs/formats.md"

#: Each table, by the command that prints it.
TABLES: dict[str, tuple[Column, ...]] = {
    "report summary (table, csv)": summary.COLUMNS,
    **{f"report {name}": shown for name, shown in lists.COLUMNS.items()},
    "check": causes.CAUSES,
    "check --by-tag": check.BY_TAG,
    "diff": difference.TAGS,
    "diff --show blobs": difference.BLOBS,
    "reclaim": reclaim.BY_REPOSITORY,
    "reclaim --show tags": reclaim.BY_TAG,
    "reclaim --verify": proof.OUTCOMES,
    "reclaim --verify --show tags": proof.IMAGES,
    "find": finding.COLUMNS,
    "tree": inside.TREE,
    "history": inside.HISTORY,
    "history --files": inside.FILES,
}

#: The objects that are no rows, by the command that prints them.
OBJECTS = {
    "report summary (json, jsonl)": summary.FACTS,
    "explain (a blob)": {
        "digest": "its name",
        "kind": "layer, config, or the kind of manifest that it is",
        "media_type": "as what names it says, or its first bytes",
        "size": "bytes; null: not stored",
        "blocks": "of 512 bytes on the disk; null: not stored",
        "stored": "when; null: not stored",
        "state": "tagged, untagged, orphaned, unknown",
        "unread": "whether it lies where the store could not be read: then it may be stored",
        "held_by": "a list: paths of the mounted tree at which it shows",
        "linked": "a list: the repositories that have a link to it, in words",
        "images": "a list: the images that a signature or the like belongs to",
        "was": "a list: the tags that have named it",
        "goes_with": "a list: what would all have to be deleted for it to go; null: unknown",
        "gaps": "a list: what was not read and may hold it",
        "findings": "a list: what is wrong with it; fields as of the report broken",
    },
    "explain (a path in an image)": {
        "path": "the image and the path",
        "type": "file, directory, symlink, …; null: gone, no container sees it",
        "size": "bytes; null: it has none",
        "layer": "the digest of the layer whose file shows; null: gone",
        "steps": "a list: layer (number), digest, what (made, changed, …), size, hidden, created, command",
        "also_in": "a list: images in which the same file shows",
        "not_told": "a list: images of which that is not known",
    },
    "ls": {
        "path": "in the tree",
        "type": "directory, file, symlink",
        "mode": "octal digits",
        "links": "2 for a blob, however many show it",
        "size": "bytes",
        "changed": "when it was stored or pushed",
        "target": "of a symlink; else null",
        "digest": "of the blob or image; null: it has none, or it cannot be read",
    },
    "index": {
        "store": "its path",
        "first": "whether all of it was read",
        "changed": "whether anything had changed",
        "seconds": "that it took",
        "tags": "how many there are",
        "blobs": "how many are stored",
        "blob_bytes": "their bytes",
    },
    "index --layers": {
        "store": "its path",
        "seconds": "that it took",
        "layers": "how many were read, or were read before",
        "unpacked_bytes": "their bytes, as tars",
        "tags_passed_over": "tags whose image is no file system",
        "tags_failed": "tags that could not be read",
    },
}

_HEAD = f"""# What regfs prints for programs

Written by `python -m tests.formats` from the columns themselves; a test sees that it is up to date.

`--format csv`: a header, then a line for each row. `--format json`: a list of objects, or one
object. `--format jsonl`: an object on each line. The first field of each object is `schema`, now {SCHEMA}:
another number says that a field means something else or is gone. New fields and words may come at any time.

| type | csv | json |
|---|---|---|
| text, word | as it is; bytes that are no UTF-8 as `\\udcff` | text; null: none |
| number, bytes | digits; empty: unknown, or none | number; null |
| time | 2026-11-23T18:42:00Z; empty: unknown | text; null |
| seconds | digits; empty: unknown | number; null |
| digest | `sha256:` and 64 digits | text; null: none |
| list | parts with spaces between; records with `; ` between, as phrases | list of texts, or of objects |
| truth | yes, no, unknown | true, false, null |

Unknown is not 0: what depends on something that could not be read is empty, or says so, in each form and at
the end of each order.

Exit statuses: 0 done; 1 something is wrong or differs, or a part could not be read; 2 nothing was done: a
wrong option, no store; 130 interrupted.
"""


def document() -> str:
    """Give the document."""
    return "\n".join([_HEAD, *_tables(), *_objects()])


def _tables() -> Iterator[str]:
    for name, shown in TABLES.items():
        yield f"## regfs {name}\n\n| column | type | |\n|---|---|---|"
        yield "".join(f"| `{column.name}` | {column.type.value} | {column.help} |\n" for column in shown)


def _objects() -> Iterator[str]:
    for name, fields in OBJECTS.items():
        yield f"## regfs {name}\n\n| field | |\n|---|---|"
        yield "".join(f"| `{field}` | {meaning} |\n" for field, meaning in fields.items())


if __name__ == "__main__":
    FILE.write_text(document())
