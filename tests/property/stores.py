"""Stores of any shape, pushed and changed step by step as registries, their collector and people do it.

A `Pusher` draws what to do next; each step leaves a store that some registry or some person could have made.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.builder import Blob, StoreBuilder

T = TypeVar("T")

REPOSITORIES = ("app", "team/app", "team/app/sub", "team/other", "zoo")
_TAGS = ("1.0", "2.0", "latest", "sub")
_PLATFORMS = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}, None)
_TYPES = ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar", "x/y", "")

#: Sizes are powers of two, so that any sum of them tells what it is a sum of.
_LAYERS = 8

#: What a registry, its collector or a person takes away whole: the time of the directory above tells it.
_REMOVABLE = (
    "repositories/**/_layers",
    "repositories/**/_manifests",
    "repositories/**/_uploads",
    "repositories/**/_manifests/tags",
    "repositories/**/_manifests/tags/*",
    "repositories/**/_manifests/tags/*/current",
    "repositories/**/_manifests/revisions",
    "repositories/**/_manifests/revisions/*",
    "repositories/**/_manifests/revisions/*/*",
    "repositories/**/_layers/*",
    "repositories/**/_layers/*/*",
    "blobs/*",
    "blobs/*/*",
)

#: Where names may stand that no registry makes.
_ODD_PLACES = (
    "repositories",
    "repositories/team",
    "repositories/**/_manifests",
    "repositories/**/_manifests/tags",
    "repositories/**/_manifests/revisions",
    "repositories/**/_manifests/revisions/*",
    "repositories/**/_layers",
    "repositories/**/_layers/*",
    "repositories/**/_uploads",
    "blobs",
    "blobs/*",
    "blobs/*/*",
)
_ODD_NAMES = ("Odd Name", "\udcff", ".nfs1", "_x", "link.tmp", "sha384", "00", "v1", "0" * 64, "e" * 64)


class Pusher:
    """Does to a store what `draw` says."""

    def __init__(self, draw: Callable[..., Any], store: StoreBuilder) -> None:
        self._draw = draw
        self.store = store
        self.manifests: list[Blob] = []
        self._homes: dict[Blob | None, str] = {}
        self._contents: dict[str, bytes] = {}

    def some(self, things: Sequence[T]) -> T:
        return self._draw(st.sampled_from(things))

    def steps(self, most: int) -> None:
        """Push and change some things, mostly push."""
        for _ in range(self._draw(st.integers(0, most))):
            self.some([self.push, self.push, self.push, *self._changes()])()

    def changes(self, most: int) -> None:
        """Change some things, and put there what does not belong there."""
        for _ in range(self._draw(st.integers(1, most))):
            self.some([*self._changes(), self.put_oddity])()

    def damages(self, most: int) -> None:
        """Do some things that show in no directory's time."""
        for _ in range(self._draw(st.integers(1, most))):
            self.some(
                [self.truncate_blob, self.lose_data, self.lose_layer_link, self.lose_history, self.tear_link]
            )()

    def _changes(self) -> list[Callable[[], None]]:
        return [
            self.push,
            self.retag,
            self.delete_tag,
            self.delete_manifest,
            self.collect,
            self.remove_blob,
            self.restore_blobs,
            self.add_orphan,
            self.begin_upload,
            self.finish_upload,
            self.remove_repository,
            self.remove_directory,
            self.tear_tag,
        ]

    # --- what a registry does ----------------------------------------------------------------------

    def push(self) -> None:
        """Push an image, an index or schema 1; some of them refer to another, which may not be there."""
        repository, tag = self.some(REPOSITORIES), self.some([None, *_TAGS])
        kind = self.some(["image", "image", "index", "index", "schema1", "sha512"])
        subject = self.some([None, None, None, *self.manifests, self._layer(), self._elsewhere()])
        more = {"subject": subject.descriptor()} if subject else {}
        if subject in self._homes and self.some([True, True, False]):  # as signatures and the like are pushed
            repository, tag = self._homes[subject], None
        if kind == "schema1":
            layers = [self._layer()]
            manifest = self.store.schema1(repository, tag or "old", layers, [{}], signed=False)
        elif kind == "index":
            manifest = self.store.index(repository, tag, self._children(repository), **more)
        else:
            layers = [self._layer() for _ in range(self._draw(st.integers(0, 3)))]
            if kind == "sha512":
                layers.append(self.store.sha512_layer(repository, b"5" * 1024, "x/y"))
            config = self.store.config(created=f"2024-01-0{self._draw(st.integers(1, 3))}T00:00:00Z")
            manifest = self.store.image(repository, tag, layers, config, **more)
        self._pushed(repository, manifest)

    def _layer(self) -> Blob:
        number = self._draw(st.integers(0, _LAYERS - 1))
        return self.store.blob(bytes([number]) * (1 << number), _TYPES[number % len(_TYPES)])

    def _children(self, repository: str) -> list[dict[str, Any]]:
        """Choose children of an index: any manifests, also of other repositories, and what nobody has."""
        chosen = [
            self.some([*self.manifests, self._elsewhere()]) for _ in range(self._draw(st.integers(0, 3)))
        ]
        for child in chosen:
            if child in self.manifests and self._draw(st.booleans()):
                self.store.revision(repository, child)
        return [child.descriptor(platform=self.some(_PLATFORMS)) for child in chosen]

    def _elsewhere(self) -> Blob:
        return Blob(f"sha256:{'e' * 64}", 100, "application/vnd.oci.image.manifest.v1+json")

    def _pushed(self, repository: str, manifest: Blob) -> None:
        if manifest not in self.manifests:
            self.manifests.append(manifest)
        self._homes[manifest] = repository
        for path in self._found("blobs/*/*/*/data"):
            self._contents.setdefault(f"{path.parts[-4]}:{path.parts[-2]}", path.read_bytes())

    def retag(self) -> None:
        """Move a tag, or make one, without a revision."""
        if self.manifests:
            self.store.tag(self.some(REPOSITORIES), self.some(_TAGS), self.some(self.manifests))

    def delete_tag(self) -> None:
        self._remove("repositories/**/_manifests/tags/*")

    def delete_manifest(self) -> None:
        """Delete a manifest as the API does: its link goes, its directory stays, the tags at it go."""
        link = self._one("repositories/**/_manifests/revisions/*/*/link")
        if link is not None:
            digest = f"{link.parts[-3]}:{link.parts[-2]}"
            link.unlink()
            for current in link.parents[3].glob("tags/*/current/link"):
                if current.read_text() == digest:
                    shutil.rmtree(current.parents[1])

    def collect(self) -> None:
        """Delete an untagged revision as `garbage-collect -m` does: also in histories, and its blob."""
        link = self._one("repositories/**/_manifests/revisions/*/*/link")
        if link is not None:
            digest = f"{link.parts[-3]}:{link.parts[-2]}"
            tags = list(link.parents[3].glob("tags/*"))
            if all(
                not (tag / "current/link").is_file() or (tag / "current/link").read_text() != digest
                for tag in tags
            ):
                shutil.rmtree(link.parent)
                for tag in tags:
                    shutil.rmtree(tag / "index" / link.parts[-3] / link.parts[-2], ignore_errors=True)
                shutil.rmtree(self.store.data(digest).parent, ignore_errors=True)

    def remove_blob(self) -> None:
        self._remove("blobs/*/*/*")

    def add_orphan(self) -> None:
        self.store.blob(self._draw(st.binary(max_size=4)))

    def begin_upload(self) -> None:
        self.store.upload(
            self.some(REPOSITORIES),
            self._draw(st.binary(max_size=4)),
            self.some([None, "2024-01-02T03:04:05Z"]),
        )

    def finish_upload(self) -> None:
        self._remove("repositories/**/_uploads/*")

    # --- what people and crashes do ----------------------------------------------------------------

    def restore_blobs(self) -> None:
        """Put every blob back, as a copy of the store does that brings the links first."""
        for digest, content in self._contents.items():
            if not self.store.data(digest).is_file():
                self.store.write(self.store.data(digest), content)

    def remove_repository(self) -> None:
        shutil.rmtree(self.store.repository(self.some([*REPOSITORIES, "team"])), ignore_errors=True)

    def remove_directory(self) -> None:
        self._remove(self.some(_REMOVABLE))

    def tear_tag(self) -> None:
        """Leave a tag's link empty, as a registry before 3.1 does that is killed while it writes."""
        link = self._one("repositories/**/_manifests/tags/*/current/link")
        if link is not None:
            link.write_bytes(b"")

    def put_oddity(self) -> None:
        """Put something where it has no place; what has its place is left alone."""
        above = self._one(self.some(_ODD_PLACES))
        if above is None or not above.is_dir():
            return
        path = above / self.some(_ODD_NAMES)
        how = self.some(["file", "directory", "symlink"])
        if path.exists() or path.is_symlink():
            return
        if how == "file":
            path.write_bytes(b"")
        elif how == "directory":
            path.mkdir()
        else:
            path.symlink_to("nowhere")

    # --- what shows in no directory's time ---------------------------------------------------------

    def truncate_blob(self) -> None:
        if path := self._one("blobs/*/*/*/data"):
            path.write_bytes(path.read_bytes()[: self._draw(st.integers(0, 40))])

    def lose_data(self) -> None:
        if path := self._one("blobs/*/*/*/data"):
            path.unlink()

    def lose_layer_link(self) -> None:
        if path := self._one("repositories/**/_layers/*/*/link"):
            path.unlink()

    def lose_history(self) -> None:
        if path := self._one("repositories/**/_manifests/tags/*/index/*/*/link"):
            shutil.rmtree(path.parent)

    def tear_link(self) -> None:
        if path := self._one(
            self.some(["repositories/**/_layers/*/*/link", "repositories/**/_manifests/revisions/*/*/link"])
        ):
            path.write_bytes(b"")

    # -----------------------------------------------------------------------------------------------

    def _found(self, pattern: str) -> list[Path]:
        return sorted(self.store.v2.glob(pattern))

    def _one(self, pattern: str) -> Path | None:
        found = self._found(pattern)
        return self.some(found) if found else None

    def _remove(self, pattern: str) -> None:
        path = self._one(pattern)
        if path is not None and path.is_dir():
            shutil.rmtree(path)
