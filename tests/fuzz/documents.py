"""What is fuzzed of documents: any bytes are one, or raise the one documented error, and make sense."""

from __future__ import annotations

import re
from contextlib import suppress

from regfs.errors import ConfigError, DigestError, ManifestError
from regfs.oci import Digest, ImageConfig, Index, Manifest, Platform, parse_manifest
from regfs.oci.digest import well_formed
from regfs.oci.kinds import media_type_of
from regfs.oci.names import is_repository, is_tag, is_upload
from regfs.oci.naming import layer_name, layer_titles
from regfs.oci.platform import choose, directory_names
from regfs.oci.signature import ENOUGH, recognise
from regfs.registry import Contents, layout
from tests.unit.memory_store import MemoryStore

_HERE = Platform("linux", "amd64")


def link(content: bytes) -> None:
    """Read the content of a link file, of one that a tag has, and the date of an upload."""
    text = content.decode("latin-1")
    sound = False
    with suppress(DigestError):
        digest = Digest.parse_link(content)
        sound = True
        assert str(digest).encode() == content
        assert Digest.parse(str(digest)) == digest
        assert re.fullmatch(r"blobs/\w+/[0-9a-f]{2}/[0-9a-f]{64,128}/data", layout.blob_data(digest))
    assert sound == well_formed(text)
    store = MemoryStore()
    store.write(layout.upload("a", "b") + "/" + layout.STARTED, content[: layout.LONGEST_DATE])
    store.write(layout.tag_link("a", "b"), content[: len(content) % 200])
    contents = Contents(store)
    contents.upload("a", "b").started()
    with suppress(DigestError):
        wanted = Digest.parse_link(content[: len(content) % 200])
        assert contents.tag("a", "b")[1] == wanted


def name(content: bytes) -> None:
    """Take bytes for names of repositories, tags and uploads: what is sound is safe as a path."""
    text = content.decode("utf-8", "surrogateescape")
    if is_repository(text) or is_tag(text) or is_upload(text):
        assert text.isascii()
        assert text.isprintable()
        assert not re.search(r"(^|/)(\.\.?)?(/|$)", text)
        assert not text.startswith(("@", ":", "-"))
    if is_repository(text):
        assert not re.search(r"(^|/)_", text)
    if is_tag(text) or is_upload(text):
        assert "/" not in text


def manifest(raw: bytes) -> None:
    """Read a manifest of any form, and what is worked out from it before any blob is read."""
    media_type_of(raw)
    recognise(raw[:ENOUGH])
    try:
        found = parse_manifest(raw)
    except ManifestError:
        return
    assert parse_manifest(raw) == found
    assert found.raw == raw
    assert re.fullmatch("[a-z]+(: [!-~]+)?", found.kind)
    hash(found)
    _check_names(found)


def _check_names(found: Manifest) -> None:
    """See that all names in the tree that a manifest gives are safe and unlike each other."""
    titles = layer_titles(found)
    names = [layer_name(i, len(titles), layer.media_type, titles[i]) for i, layer in enumerate(found.layers)]
    platforms = [child.platform for child in found.children] if isinstance(found, Index) else []
    directories = directory_names(platforms)
    assert len(directories) == len(platforms)
    assert choose(platforms, _HERE) in (None, *range(len(platforms)))
    for some in (names, directories):
        assert len(set(some)) == len(some)
        assert all(name in titles or re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name) for name in some)
        assert all(name not in (".", "..") and not {*"/\0\n"} & {*name} for name in some)
    described = found.manifests if isinstance(found, Index) else found.layers
    for descriptor in described:
        assert Digest.parse(str(descriptor.digest)) == descriptor.digest
        assert descriptor.size is None or 0 <= descriptor.size < 1 << 63


def config(raw: bytes) -> None:
    """Read an image config."""
    try:
        found = ImageConfig.parse(raw)
    except ConfigError:
        return
    assert ImageConfig.parse(raw) == found
    assert len(found.created) <= 64
    normal = found.platform.normal()
    assert normal.normal() == normal
    assert found.platform.unknown or found.platform.runs(found.platform) == 0
