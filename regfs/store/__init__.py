"""The registry's storage: where everything lies, and how it is read without trusting it.

Nothing here writes. Every path below the store is drawn in `layout`; every access goes through a
`Store`, which follows no symlink and opens nothing but plain files. Safe to use from many threads.
"""

from regfs.store.contents import Contents
from regfs.store.local import LocalStore
from regfs.store.locate import locate
from regfs.store.protocol import Content, Entry, FileStat, FileType, Store

__all__ = ["Content", "Contents", "Entry", "FileStat", "FileType", "LocalStore", "Store", "locate"]
