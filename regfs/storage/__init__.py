"""Where bytes lie: a directory, or an object store (objects/). Lists, looks, reads, opens; knows no registry.

Every access goes through a `Storage`, which follows no symlink and opens nothing but plain files. Nothing
here writes. Safe to use from many threads.
"""

from regfs.storage.local import LocalStorage
from regfs.storage.protocol import Content, Entry, FileStat, FileType, Leaf, Space, Storage, WholeStorage

__all__ = [
    "Content",
    "Entry",
    "FileStat",
    "FileType",
    "Leaf",
    "LocalStorage",
    "Space",
    "Storage",
    "WholeStorage",
]
