"""Finding the store in an object store: from what a person gives to the prefix that holds `blobs/`."""

from __future__ import annotations

from regfs.errors import StoreAwayError, StoreError, StoreGoneError, StoreNotFoundError
from regfs.registry import layout
from regfs.storage.objects import Bucket, ObjectStorage

#: What a store has at its top, one of them at least.
_TOP = frozenset({layout.BLOBS, layout.REPOSITORIES})


def open_objects(bucket: Bucket) -> ObjectStorage:
    """Find the store at a prefix, the registry's `rootdirectory`, or at any prefix from there down to `v2`.

    Asks one question for each level. Raises StoreNotFoundError, which says what was looked for and what is
    there; StoreAwayError.
    """
    text = str(bucket.address)
    prefix, way = bucket.address.prefix, list(layout.BELOW_ROOT)
    try:
        found, files = _names(bucket, prefix)
        while not found & _TOP:
            step = next((name for name in way if name in found), "")
            if not step:
                raise StoreNotFoundError(text, _explanation(bucket, prefix, found, files))
            prefix = "/".join(filter(None, (prefix, step)))
            way = way[way.index(step) + 1 :]
            found, files = _names(bucket, prefix)
    except StoreNotFoundError:
        raise
    except StoreGoneError as error:
        raise StoreNotFoundError(text, "there is no such bucket") from error
    except StoreAwayError as error:
        raise StoreNotFoundError(text, error.reason) from error
    except StoreError as error:
        raise StoreNotFoundError(
            text, f"{error.reason}. Credentials come from the environment, as for other programs"
        ) from error
    if "oci-layout" in files and layout.REPOSITORIES not in found:
        raise StoreNotFoundError(text, "is an OCI image layout, not the storage of a registry")
    return ObjectStorage(bucket, prefix, _TOP)


def _names(bucket: Bucket, prefix: str) -> tuple[set[str], set[str]]:
    prefixes, objects = bucket.names(prefix)
    return set(prefixes), {key.path.rpartition("/")[2] for key in objects}


def _explanation(bucket: Bucket, prefix: str, found: set[str], files: set[str]) -> str:
    if "" in found and not prefix:
        return (
            "holds keys that begin with a slash, as registries before 3.0 write them to Azure (legacy root "
            "prefix), which regfs cannot read. Copy the container without that slash, and give the copy"
        )
    if "oci-layout" in files or "index.json" in files:
        return "is an OCI image layout, not the storage of a registry"
    inside = _inside(bucket)
    if inside:
        return f"lies inside a store; give the store itself: {inside}"
    below = ["/".join(layout.BELOW_ROOT[first:]) for first in range(len(layout.BELOW_ROOT))]
    looked_for = ", ".join(f"{way}/{layout.REPOSITORIES}" for way in reversed(below))
    names = sorted(found | files)
    there = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
    return (
        f"no registry storage found. Looked for {layout.REPOSITORIES} or {layout.BLOBS} here, {looked_for}; "
        f"there is {there}. Give the registry's rootdirectory (storage.s3.rootdirectory in its config.yml)"
    )


def _inside(bucket: Bucket) -> str:
    """Name the store that a prefix lies in, as far as its own name tells; "" for none."""
    parts = bucket.address.prefix.split("/")
    for end in range(len(parts) - 1, 0, -1):
        if parts[end - 1] == layout.BELOW_ROOT[-1] and parts[end] in _TOP:
            return f"{bucket.address.scheme}://{bucket.address.host}/{'/'.join(parts[:end])}"
    return ""
