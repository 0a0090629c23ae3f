"""The mounted tree: what regfs looks like as a file system is defined here, and only here.

Knows neither FUSE nor errno: `mount` and `cli` are two ways to walk the same nodes. A node is addressed
by what it is, not by a path; every method of a node may be called from any thread.
"""

from regfs.tree.node import Attributes, Child, Directory, File, Node, NodeType, Symlink
from regfs.tree.views.source import Source
from regfs.tree.walk import Tree

__all__ = ["Attributes", "Child", "Directory", "File", "Node", "NodeType", "Source", "Symlink", "Tree"]
