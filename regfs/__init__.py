"""regfs: the storage of a Docker/OCI registry as a read-only file system."""

__version__ = "0.1.0"
