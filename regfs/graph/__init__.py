"""The cached reference graph: which blobs a tag leads to.

`Graph` is its forward half (repository → tag → manifest → config, layers, children), read lazily. What
lies under a digest is kept as long as there is room; what lies under a link or a listing, for `ttl`
seconds.
"""

from regfs.graph.blobs import Blob
from regfs.graph.graph import Graph

__all__ = ["Blob", "Graph"]
