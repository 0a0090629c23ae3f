"""The tar inside a layer, read as a stream: bytes in, entries out. No I/O, and no content is kept.

parser = TarParser(TarLimits())
for piece in pieces:
    for entry in parser.feed(piece): ...
parser.finish()
"""

from regfs.layers.tar.limits import TarLimits
from regfs.layers.tar.parser import TarParser

__all__ = ["TarLimits", "TarParser"]
