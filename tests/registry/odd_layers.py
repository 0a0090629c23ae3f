"""Layers as people's images hold them, and unpackers disagree about or regfs once got wrong.

Each case is the tars of an image, base first, made entry by entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.inside import Item, directory, hard_link, symlink, tar_of
from tests.registry.tars import global_header

#: As long as a name can be without its whiteout's prefix: with it, no file system can have it.
LONG = "b" * 252

#: How the layers of a case are compressed, if not by gzip.
COMPRESSED = {"bzip2-as-tar": "bzip2", "zstd-with-a-wide-window": "wide"}

#: Base and upper layers of each image.
CASES: dict[str, Sequence[bytes]] = {
    "whiteout-of-a-long-name": [
        tar_of([directory("d"), Item(f"d/{LONG}", b"long"), Item("d/stays", b"stays")]),
        tar_of([Item(f"d/.wh.{LONG}")]),
    ],
    "whiteout-in-the-middle-of-a-path": [
        tar_of([Item("f", b"base"), directory("g"), Item("g/in", b"in")]),
        tar_of([Item(".wh.f/x", b"x"), Item("new", b"new")]),
    ],
    "whiteout-that-is-a-directory": [
        tar_of([Item("f", b"base"), Item("stays", b"stays")]),
        tar_of([directory(".wh.f")]),
    ],
    "hard-link-over-a-lower-symlink": [
        tar_of(
            [directory("usr"), directory("usr/lib"), Item("usr/lib/x", b"x's"), symlink("lib", "usr/lib")]
        ),
        tar_of([hard_link("usr/lib/y", "lib/x")]),
    ],
    "hard-link-over-an-absolute-symlink": [
        tar_of(
            [directory("usr"), directory("usr/lib"), Item("usr/lib/x", b"x's"), symlink("lib", "/usr/lib")]
        ),
        tar_of([hard_link("usr/lib/y", "lib/x")]),
    ],
    "hard-link-to-its-own-layer-over-a-lower-symlink": [
        tar_of([directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib")]),
        tar_of([Item("usr/lib/x", b"x's"), hard_link("usr/lib/y", "lib/x")]),
    ],
    "whiteout-of-a-directory-then-of-what-was-in-it": [
        tar_of([directory("test"), Item("test/test", b"t"), Item("stays", b"stays")]),
        tar_of([Item(".wh.test"), Item("test/.wh.test")]),
    ],
    "whiteout-of-what-was-in-a-directory-then-of-it": [
        tar_of([directory("test"), Item("test/test", b"t"), Item("stays", b"stays")]),
        tar_of([Item("test/.wh.test"), Item(".wh.test")]),
    ],
    "whiteouts-deep-below-a-directory-that-goes": [
        tar_of([directory("a"), directory("a/b"), Item("a/b/c", b"c"), Item("stays", b"stays")]),
        tar_of([Item("a/b/.wh.c"), Item("a/.wh.b"), Item(".wh.a")]),
    ],
    "whiteout-of-a-directory-that-comes-again": [
        tar_of([directory("test"), Item("test/old", b"t"), Item("stays", b"stays")]),
        tar_of([Item(".wh.test"), directory("test"), Item("test/new", b"n")]),
    ],
    "global-owner": [
        global_header(b"uid=4242") + tar_of([Item("f", b"f", owner=(7, 7)), directory("d")]),
    ],
    "global-path": [
        global_header(b"path=evil") + tar_of([Item("f", b"f"), Item("g", b"g")]),
    ],
    "bzip2-as-tar": [tar_of([Item("f", b"f" * 100_000), directory("d")])],
    "zstd-with-a-wide-window": [tar_of([Item("f", b"f" * 100_000), directory("d")])],
    "times-before-1970": [
        tar_of(
            [
                Item("old", b"old", mtime_ns=-1_500_000_000),
                Item("eve", b"eve", mtime_ns=-1),
                Item("now", b"now"),
            ]
        ),
    ],
}
