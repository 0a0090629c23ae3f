"""A store that an attacker has written: each oddity in a repository of its own, sound images between them."""

from __future__ import annotations

import json
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import OCI_INDEX, OCI_LAYER, OCI_MANIFEST

SECRET = b"the secret that no reader of the mount may see\n"

#: A file name of bytes that are no UTF-8.
NOT_UTF8 = b"bad-\xff\xfe"


class HostileStore(StoreBuilder):
    """The store, and `outside` it a secret file and a directory with a store's files."""

    def __init__(self, root: Path, outside: Path) -> None:
        super().__init__(root)
        self.outside = outside
        outside.mkdir()
        self.secret = outside / "secret"
        self.secret.write_bytes(SECRET)
        self.escape = os.path.relpath(self.secret, self.v2)

    def broken_link(self, repository: str, put: Callable[[Path], object]) -> None:
        """Make a repository with a tag `sound`, and a tag `bad` whose link is put there by `put`."""
        self.image(repository, "sound")
        link = self.tag_link(repository, "bad")
        link.parent.mkdir(parents=True)
        put(link)

    def odd_data(self, repository: str, put: Callable[[Path], object]) -> None:
        """Make an image whose layer's data file is put there by `put`."""
        layer = self.blob(random.Random(repository).randbytes(1000), OCI_LAYER)
        self.image(repository, "bad", [layer])
        self.image(repository, "sound")
        data = self.data(layer.digest)
        data.unlink()
        put(data)


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def symlink(target: Path | str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def device(major: int, minor: int) -> Callable[[Path], object]:
    return lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))


def sparse(size: int) -> Callable[[Path], object]:
    def put(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return put


def build(store: HostileStore) -> None:
    """Put all of it into a store, and whole images beside it. Needs root, for the devices."""
    store.image("sound", "1.0", [store.layer({"sound": b"sound"})])
    links(store)
    data_files(store)
    directories(store)
    documents(store)
    names(store)


def links(store: HostileStore) -> None:
    """Links whose content, or whose kind of file, is not a link's."""
    climb = "../" * 22
    found: dict[str, Callable[[Path], object]] = {
        "dots": text("../../../../../../secret"),
        "absolute": text(str(store.secret)),
        "digest-dots": text(f"sha256:{climb[:64]}"),
        "digest-path": text(f"sha256:{store.escape}"),
        "algorithm-dots": text(f"{store.escape}:{'a' * 64}"),
        "upper": text(f"sha256:{'A' * 64}"),
        "nul": text("sha256:" + "\0" * 64),
        "huge": sparse(1 << 30),
        "symlink": symlink(store.secret),
        "fifo": os.mkfifo,
        "device": device(1, 5),
        "directory": Path.mkdir,
    }
    for name, put in found.items():
        store.broken_link(f"link-{name}", put)


def data_files(store: HostileStore) -> None:
    """Blobs whose data is no plain file."""
    found: dict[str, Callable[[Path], object]] = {
        "symlink": symlink(store.secret),
        "relative": lambda path: path.symlink_to(os.path.relpath(store.secret, path.parent)),
        "shadow": symlink("/etc/shadow"),
        "fifo": os.mkfifo,
        "device": device(1, 5),
        "directory": Path.mkdir,
    }
    for name, put in found.items():
        store.odd_data(f"data-{name}", put)
    layer = store.blob(b"x" * len(SECRET), OCI_LAYER)  # even where the size is right
    store.image("data-right-size", "bad", [layer])
    store.data(layer.digest).unlink()
    store.data(layer.digest).symlink_to(store.secret)
    moved = store.blob(b"in a directory that is a symlink", OCI_LAYER)
    store.image("data-moved", "bad", [moved])
    shard = store.data(moved.digest).parent
    shard.rename(store.outside / "moved-blob")
    shard.symlink_to(store.outside / "moved-blob")


def directories(store: HostileStore) -> None:
    """Directories that are symlinks: out of the store, or round in a circle."""
    other = StoreBuilder(store.outside / "other")
    other.image("stolen", "1.0", [other.layer({"stolen": SECRET})])
    (store.v2 / "repositories" / "repository-outside").symlink_to(other.repository("stolen"))
    store.image("tag-outside", "sound")
    store.tag_link("tag-outside", "bad").parent.parent.symlink_to(
        other.tag_link("stolen", "1.0").parent.parent, target_is_directory=True
    )
    store.image("current-outside", "sound")
    (store.repository("current-outside") / "_manifests/tags/bad").mkdir()
    store.tag_link("current-outside", "bad").parent.symlink_to(other.tag_link("stolen", "1.0").parent)
    (store.repository("tags-outside") / "_manifests").mkdir(parents=True)
    (store.repository("tags-outside") / "_manifests/tags").symlink_to(
        other.repository("stolen") / "_manifests/tags"
    )
    store.repository("manifests-outside").mkdir()
    (store.repository("manifests-outside") / "_manifests").symlink_to(
        other.repository("stolen") / "_manifests"
    )
    store.image("loop", "sound")
    (store.repository("loop") / "again").symlink_to(".")
    (store.repository("loop") / "up").symlink_to("..")
    (store.repository("loop") / "one").symlink_to("other")
    (store.repository("loop") / "other").symlink_to("one")


def documents(store: HostileStore) -> None:
    """Manifests that ask for too much, or for what is elsewhere."""
    padded = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "a": "x" * 5_000_000}
    store.manifest("large", "bad", json.dumps(padded).encode(), OCI_MANIFEST)
    store.image("large", "sound")
    child = store.image("nested", None)
    for _ in range(50):
        child = store.index(
            "nested", None, [child.descriptor(platform={"os": "linux", "architecture": "amd64"})]
        )
    store.tag("nested", "deep", child)
    store.image("nested", "sound")
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    store.manifest("nested", "json", deep, OCI_INDEX)
    for number, digest in enumerate(
        ("sha256:" + "../" * 21 + ".", f"sha256:{store.escape}", str(store.secret))
    ):
        layer = {"mediaType": OCI_LAYER, "digest": digest, "size": len(SECRET)}
        document = {"schemaVersion": 2, "config": store.config().descriptor(), "layers": [layer]}
        store.manifest("digests", f"bad{number}", json.dumps(document).encode(), OCI_MANIFEST)
    store.image("digests", "sound")
    platform = {"os": "../../..", "architecture": "/etc/../\n", "variant": "\0" + "v" * 5000}
    store.index("platforms", "1.0", [store.image("platforms", None).descriptor(platform=platform)] * 3)
    absent = Blob(f"sha256:{'0' * 64}", 5, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    urls = {
        "url": "https://example.com/layer",
        "path": str(store.secret),
        "long": "http://" + "x" * 5000,
        "empty": "",
    }
    for tag, url in urls.items():
        layers = [absent.descriptor(urls=[url])]
        document = {"schemaVersion": 2, "config": store.config().descriptor(), "layers": layers}
        store.manifest("foreign", tag, json.dumps(document).encode(), OCI_MANIFEST)


def names(store: HostileStore) -> None:
    """Names that no registry gives, some of them of others that work in the same directory."""
    sound = store.image("names", "sound")
    link = store.tag_link("names", "sound")
    tags = os.fsencode(link.parent.parent.parent)
    for name in (b"new\nline", NOT_UTF8, b"-rf", b"sp ace", b"x" * 200):
        (Path(os.fsdecode(tags + b"/" + name)) / "current").mkdir(parents=True)
        (Path(os.fsdecode(tags + b"/" + name)) / "current/link").write_text(sound.digest)
    repositories = os.fsencode(store.v2 / "repositories")
    for name in (b"new\nline", NOT_UTF8, b"names/UPPER", b"names/sp ace"):
        os.makedirs(repositories + b"/" + name + b"/_manifests/tags/1.0")
    for name in ("_x", "_referrers", ".nfs0000001", "lost+found", "names/_unknown", "names/lost+found"):
        store.write(store.v2 / "repositories" / name / "_manifests/tags/1.0/current/link", sound.digest)
    for name in ("x.tmp", ".nfs0000002", "names/file.tmp", "names/_manifests/tags/link.123.tmp"):
        (store.v2 / "repositories" / name).write_text("left over")
    deep = store.v2 / "repositories" / "deep" / "/".join(["abcdefghi"] * 40)
    store.write(deep / "_manifests/tags/1.0/current/link", sound.digest)
    store.image("/".join(["fits"] * 40), "1.0")
    at = os.open(store.v2 / "repositories", os.O_RDONLY)
    try:
        for _ in range(450):  # longer than PATH_MAX
            os.mkdir("endless-x", dir_fd=at)
            at, above = os.open("endless-x", os.O_RDONLY, dir_fd=at), at
            os.close(above)
    finally:
        os.close(at)
