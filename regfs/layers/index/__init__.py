"""The index of one layer: its tree, its seek points, and what it was made from, in one SQLite file.

    schema         the tables besides the tree's, and the seal
    pipeline       reading, decompressing and hashing side by side
    building       makes the file, from a blob; runs in the child process
    copying        makes the seekable copy of a blob; runs there too
    seek_table     the end of that copy, by which it is read
    opening        opens the file, if it is whole

Where the files lie, and who may make one when, is `cache`'s.
"""

from regfs.layers.index.building import build_index
from regfs.layers.index.copying import make_copy
from regfs.layers.index.opening import LayerIndex, open_index
from regfs.layers.index.schema import Meta
from regfs.layers.index.seek_table import SeekTable

__all__ = ["LayerIndex", "Meta", "SeekTable", "build_index", "make_copy", "open_index"]
