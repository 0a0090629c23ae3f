"""Inside a layer blob: its bytes uncompressed at any offset, its tree, and the merged tree of an image.

Knows blobs by their digests and bytes, not what holds them: that is `graph`'s. Nothing here is read or kept
before somebody looks into a layer.
"""
