"""Inside a layer blob: its bytes uncompressed at any offset, its tree, and the merged tree of an image.

Knows blobs by their digests and bytes (`blobs` is what it asks of whoever has them), not what holds them:
that is `graph`'s. Nothing here is read or kept before somebody looks into a layer.

    Layers ── Layer ── Content      what is asked for: layers by digests, opened, and what is read of them
      │         └─ keeping          seekable copies, decoders
    builds                          each thing once, two side by side
      │
    making ── cache                 one file of the cache directory, made by one process at a time
      │
    process ─ messages ─ child      the process that reads the whole blob
                           │
    index ── streams, tar, tree     what it makes of it

A layer is believed when the bytes of its blob have the digest of its name, and its index when it is whole.
"""

from typing import TYPE_CHECKING

from regfs.later import door

if TYPE_CHECKING:
    from regfs.layers.builds import never
    from regfs.layers.layer import Layer
    from regfs.layers.layers import Layers
    from regfs.layers.sizes import CACHE_SIZE, MAX_LAYER_SIZE
else:
    __getattr__ = door(
        __name__,
        {
            "CACHE_SIZE": "sizes",
            "MAX_LAYER_SIZE": "sizes",
            "Layer": "layer",
            "Layers": "layers",
            "never": "builds",
        },
    )

__all__ = [
    "CACHE_SIZE",
    "MAX_LAYER_SIZE",
    "Layer",
    "Layers",
    "never",
]
