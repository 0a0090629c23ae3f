"""What registries store, as values: bytes in, values out.

Pure: no module here opens a file, reads a clock or the environment. All values are immutable, so every
function may be called from any thread. Bytes that are not what they should be raise a `ContentError`
and nothing else.
"""

from regfs.oci.config import ImageConfig
from regfs.oci.descriptor import Descriptor
from regfs.oci.digest import Digest
from regfs.oci.manifest import ImageManifest, Index, Manifest, parse_manifest
from regfs.oci.names import RepositoryName, TagName
from regfs.oci.platform import Platform
from regfs.oci.schema1 import Schema1Manifest

__all__ = [
    "Descriptor",
    "Digest",
    "ImageConfig",
    "ImageManifest",
    "Index",
    "Manifest",
    "Platform",
    "RepositoryName",
    "Schema1Manifest",
    "TagName",
    "parse_manifest",
]
