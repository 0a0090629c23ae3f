"""Where bytes lie: an object store (S3, GCS, Azure), read over obstore. Knows no registry.

    address      what a person calls a bucket by, and how it is reached
    credentials  the environment's, where there is none: from a file
    bucket       the requests, with their errors and their number
    requests     a thread that asks, and a caller who can be interrupted
    keys         keys as a tree: what stands below a prefix, from one LIST
    listed       a directory that was listed with all below it, as a storage
    objects      the whole prefix as a storage: each question is a request
    remembered   the same for a mount: what was listed is believed for a while
    content      the bytes of one object, by ranges that are read ahead

Nothing here is asked before a process forks for the last time: a child that was forked after the first
request hangs (obstore's threads are not in it).
"""

from regfs.storage.objects.address import Address, is_address
from regfs.storage.objects.bucket import Bucket, Counts
from regfs.storage.objects.objects import ObjectStorage
from regfs.storage.objects.remembered import RememberedStorage

__all__ = ["Address", "Bucket", "Counts", "ObjectStorage", "RememberedStorage", "is_address"]
