"""Inside the layers: `layers/NN.tar`, `layers/NN/` and `rootfs/`, which resolve and are in no listing.

`Opener` has a layer indexed when it is first asked for; `view` asks what stands there, and `layered` answers
for one layer and for several merged; `nodes` are the files and directories of both. `steps` tells what each
layer changed, `origin` which layer a path is from, `search` in which images a file is.
"""

from typing import TYPE_CHECKING

from regfs.later import door

if TYPE_CHECKING:
    from regfs.tree.inside.layered import MergedLayers, OneLayer
    from regfs.tree.inside.nodes import TopDirectory
    from regfs.tree.inside.opener import Opener
    from regfs.tree.inside.uncompressed import LayerTar
else:
    __getattr__ = door(
        __name__,
        {
            "LayerTar": "uncompressed",
            "MergedLayers": "layered",
            "OneLayer": "layered",
            "Opener": "opener",
            "TopDirectory": "nodes",
        },
    )

__all__ = [
    "LayerTar",
    "MergedLayers",
    "OneLayer",
    "Opener",
    "TopDirectory",
]
