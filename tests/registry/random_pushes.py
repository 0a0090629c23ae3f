"""Pushes at random, the same for the same seed, through a real registry's API; and what must come of them.

The truth is kept while pushing, in sets, and read from no store: `states` says who needs each blob as DESIGN
puts it. Every blob has a name of its own only by its content, so layers, configs, whole images are shared.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tests.builder import Blob
from tests.builder.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)
from tests.registry.api import Api
from tests.registry.collector import Collection

#: Nested in one another, and beside; some share the beginning of their names.
REPOSITORIES = ("app", "app/web", "app/web/ui", "app-tools", "base", "team/a/b/c", "team/a")
TAGS = ("latest", "nightly", "Upper_case", "web", "2.0-rc.1", *(f"1.{number}" for number in range(9)))
PLATFORMS = ("amd64", "arm64", "s390x", "riscv64")


class Manifest(NamedTuple):
    """A manifest that was pushed: itself, and the digests that it names."""

    blob: Blob
    body: bytes
    #: Config and layers.
    holds: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    subject: str | None = None


class States(NamedTuple):
    """The digests of all stored blobs, by who needs them."""

    tagged: set[str]
    untagged: set[str]
    orphaned: set[str]
    unknown: set[str] | frozenset[str] = frozenset()


class RandomPushes:
    """Pushes, deletes, and remembers what is there now. For one thread."""

    def __init__(self, api: Api, seed: int) -> None:
        self._api = api
        self._random = random.Random(seed)
        #: The content of each blob that is no manifest, and was ever pushed.
        self._contents: dict[str, bytes] = {}
        self.stored: dict[str, int] = {}
        #: Of each repository: the blobs that it serves, the manifests, and what each tag names.
        self.links: dict[str, set[str]] = {name: set() for name in REPOSITORIES}
        self.revisions: dict[str, dict[str, Manifest]] = {name: {} for name in REPOSITORIES}
        self.tags: dict[tuple[str, str], str] = {}
        #: Every manifest that was ever pushed.
        self.manifests: dict[str, Manifest] = {}
        self.uploads = 0
        self.pushes = 0
        self.deletions = 0

    # --- what is true ------------------------------------------------------------------------------

    def reach(self, start: Iterable[str], *, children: bool = True, referrers: bool = False) -> set[str]:
        """Give what manifests lead to, and themselves, as far as it is stored."""
        held = {digest: manifest for found in self.revisions.values() for digest, manifest in found.items()}
        about: dict[str, list[str]] = {}
        for digest, manifest in held.items():
            if referrers and manifest.subject:
                about.setdefault(manifest.subject, []).append(digest)
        reached: set[str] = set()
        waiting = [*start]
        while waiting:
            digest = waiting.pop()
            if digest in reached:
                continue
            reached.add(digest)
            waiting += about.get(digest, ())
            if manifest := self.manifests.get(digest):
                waiting += manifest.holds
                waiting += manifest.children if children else ()
        return reached & self.stored.keys()

    def states(self) -> States:
        tagged = self.reach(self.tags.values(), referrers=True)
        held = self.reach(digest for found in self.revisions.values() for digest in found)
        return States(tagged, held - tagged, self.stored.keys() - held - tagged)

    # --- pushing -----------------------------------------------------------------------------------

    def run(self, count: int) -> None:
        """Do so many things, each of some kind."""
        kinds: Mapping[Callable[[], None], int] = {
            self._push_new_image: 40,
            self._push_index: 14,
            self._push_referrer: 8,
            self._tag_again: 12,
            self._copy_image: 8,
            self._push_deleted_again: 4,
            self._delete: 10,
            self._leave_upload: 3,
            self._push_blob_alone: 3,
        }
        for act in self._random.choices(list(kinds), list(kinds.values()), k=count):
            act()

    def _repository(self) -> str:
        return self._random.choice(REPOSITORIES)

    def _tag(self) -> str | None:
        """Choose a tag, or none: pushed by digest only."""
        return self._random.choice(TAGS) if self._random.random() < 0.75 else None

    def _blob(self, repository: str) -> str:
        """See that a repository serves some blob: a new one, or one that is there or was."""
        known = list(self._contents)
        if known and self._random.random() < 0.5:
            # The later, the likelier.
            digest = known[-1 - int(self._random.expovariate(0.1)) % len(known)]
        else:
            content = self._random.randbytes(self._random.randrange(20, 600))
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            self._contents[digest] = content
        self._serve(repository, digest)
        return digest

    def _serve(self, repository: str, digest: str) -> None:
        if digest in self.links[repository]:
            return
        elsewhere = [name for name in REPOSITORIES if digest in self.links[name]]
        if elsewhere and self._random.random() < 0.5:
            path = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={elsewhere[0]}"
            answer = self._api.ask("POST", path, b"")
            assert answer.status == 201, answer
        else:
            pushed = self._api.push_blob(repository, self._contents[digest], "")
            assert pushed.digest == digest
        self.links[repository].add(digest)
        self.stored[digest] = len(self._contents[digest])

    def _describe(self, digest: str, media_type: str) -> dict[str, object]:
        return Blob(digest, self.stored[digest], media_type).descriptor()

    def _push_new_image(self) -> None:
        self._push_image(self._repository(), self._tag(), None)

    def _push_referrer(self) -> None:
        repository = self._repository()
        if subject := self._any_manifest(repository):
            tag = self._tag() if self._random.random() < 0.2 else None
            self._push_image(repository, tag, subject)

    def _push_image(self, repository: str, tag: str | None, subject: Manifest | None) -> None:
        config = self._blob(repository)
        layers = [self._blob(repository) for _ in range(self._random.choice((0, 1, 1, 2, 2, 3, 5)))]
        if layers and self._random.random() < 0.1:
            layers.append(layers[0])
        docker = subject is None and self._random.random() < 0.4
        media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self._describe(config, DOCKER_CONFIG if docker else OCI_CONFIG),
            "layers": [self._describe(layer, DOCKER_LAYER if docker else OCI_LAYER) for layer in layers],
        }
        if subject:
            document["subject"] = subject.blob.descriptor()
        body, blob = _manifest(document, media_type)
        named = subject.blob.digest if subject else None
        self._push(repository, tag, Manifest(blob, body, holds=(config, *layers), subject=named))

    def _push_index(self) -> None:
        repository = self._repository()
        there = list(self.revisions[repository].values())
        if not there:
            return
        children = self._random.sample(there, min(len(there), self._random.choice((0, 1, 2, 2, 3))))
        docker = self._random.random() < 0.4
        media_type = DOCKER_LIST if docker else OCI_INDEX
        entries = [
            child.blob.descriptor(platform={"os": "linux", "architecture": self._random.choice(PLATFORMS)})
            for child in children
        ]
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
        body, blob = _manifest(document, media_type)
        names = tuple(child.blob.digest for child in children)
        self._push(repository, self._tag(), Manifest(blob, body, children=names))

    def _any_manifest(self, repository: str) -> Manifest | None:
        there = list(self.revisions[repository].values())
        return self._random.choice(there) if there else None

    def _tag_again(self) -> None:
        repository = self._repository()
        manifest = self._any_manifest(repository)
        # A registry takes no index again whose children a collection has deleted.
        if manifest and self.revisions[repository].keys() >= set(manifest.children):
            self._push(repository, self._random.choice(TAGS), manifest)

    def _push_deleted_again(self) -> None:
        repository = self._repository()
        gone = [
            digest
            for digest in self.manifests
            if not any(digest in there for there in self.revisions.values())
        ]
        if gone:
            manifest = self.manifests[self._random.choice(gone)]
            if self.revisions[repository].keys() >= set(manifest.children):
                for digest in manifest.holds:
                    self._serve(repository, digest)
                self._push(repository, self._tag(), manifest)

    def _copy_image(self) -> None:
        """Push an image, with all that it holds, to another repository, as it is."""
        source, target = self._random.sample(REPOSITORIES, 2)
        manifest = self._any_manifest(source)
        if manifest and not manifest.children:
            for digest in manifest.holds:
                self._serve(target, digest)
            self._push(target, self._tag(), manifest)

    def _push(self, repository: str, tag: str | None, manifest: Manifest) -> None:
        blob = manifest.blob
        path = f"/v2/{repository}/manifests/{tag or blob.digest}"
        answer = self._api.ask("PUT", path, manifest.body, Content_Type=blob.media_type)
        assert answer.status == 201, answer
        assert answer.headers["Docker-Content-Digest"] == blob.digest
        self.stored[blob.digest] = blob.size
        self.manifests[blob.digest] = self.revisions[repository][blob.digest] = manifest
        if tag:
            self.tags[repository, tag] = blob.digest
        self.pushes += 1

    def _push_blob_alone(self) -> None:
        self._blob(self._repository())

    def _leave_upload(self) -> None:
        repository = self._repository()
        if self._random.random() < 0.5:
            self._api.start_upload(repository)
        else:
            self._api.cut_upload(repository, b"x" * self._random.randrange(1, 5000), 10_000)
        self.uploads += 1

    # --- deleting ----------------------------------------------------------------------------------

    def _delete(self) -> None:
        """Delete a manifest by its digest; none that an index of its repository names."""
        repository = self._repository()
        there = self.revisions[repository]
        named = {child for manifest in there.values() for child in manifest.children}
        if free := [digest for digest in there if digest not in named]:
            self.delete(repository, self._random.choice(free))

    def delete(self, repository: str, digest: str) -> None:
        self._api.delete_manifest(repository, digest)
        self._forget_revision(repository, digest)
        self.deletions += 1

    def _forget_revision(self, repository: str, digest: str) -> None:
        del self.revisions[repository][digest]
        for name in [name for name, named in self.tags.items() if name[0] == repository and named == digest]:
            del self.tags[name]

    def collected(self, collection: Collection) -> None:
        """Note what a collection has deleted."""
        for repository, digest in collection.manifests:
            self._forget_revision(repository, digest)
        for digest in collection.blobs:
            del self.stored[digest]
            for links in self.links.values():
                links.discard(digest)


def _manifest(document: Mapping[str, object], media_type: str) -> tuple[bytes, Blob]:
    body = json.dumps(document).encode()
    return body, Blob(f"sha256:{hashlib.sha256(body).hexdigest()}", len(body), media_type)
