"""The tree of one layer, kept in SQLite, and the merged tree of several.

`TreeWriter` makes the tables from the entries of a tar, `LayerTree` reads them, and `MergedTree` lays the
trees of an image's layers over one another as they are asked for. `schema` draws the tables. The file is the
caller's: where it lies, how it is opened, and what else stands in it.
"""

from regfs.layers.tree.layer_tree import Hit, LayerTree
from regfs.layers.tree.merged import Identity, Merged, MergedTree
from regfs.layers.tree.node import LayerNode, Member
from regfs.layers.tree.schema import ROOT, SCHEMA
from regfs.layers.tree.writing import TreeWriter, Written

__all__ = [
    "ROOT",
    "SCHEMA",
    "Hit",
    "Identity",
    "LayerNode",
    "LayerTree",
    "Member",
    "Merged",
    "MergedTree",
    "TreeWriter",
    "Written",
]
