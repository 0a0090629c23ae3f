"""What the index must say of a store, worked out the slow way: plain dicts and sets, and nothing of regfs.

The terms are DESIGN's. All is read from the disk anew, each blob's holders are found by walking from each of
them, and nothing is kept: where this and regfs disagree, one of them has not understood the terms.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_DIGEST = re.compile("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

#: Which blobs each digest leads to, in one way.
Edges = dict[str, set[str]]

#: A tag or an untagged revision: its repository, and the tag or the digest.
Name = tuple[str, str]


@dataclass
class Model:
    """One store, as its files say."""

    blobs: dict[str, int] = field(default_factory=dict)
    repositories: set[str] = field(default_factory=set)
    tags: dict[Name, str | None] = field(default_factory=dict)
    revisions: set[Name] = field(default_factory=set)
    uploads: dict[Name, int] = field(default_factory=dict)
    children: Edges = field(default_factory=dict)
    referrers: Edges = field(default_factory=dict)
    parts: Edges = field(default_factory=dict)
    #: What tags have named, what each repository links below `_layers`, and manifests that cannot be read.
    history: dict[Name, set[str]] = field(default_factory=dict)
    links: Edges = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    # --- who needs what ----------------------------------------------------------------------------

    def leads_to(self, starts: Iterable[str], *ways: Edges) -> set[str]:
        """Give all digests that some lead to, and those themselves; in every way, or in the ways given."""
        reached: set[str] = set()
        waiting = list(starts)
        while waiting:
            digest = waiting.pop()
            if digest not in reached:
                reached.add(digest)
                for edges in ways or (self.children, self.referrers, self.parts):
                    waiting += edges.get(digest, ())
        return reached

    def states(self) -> dict[str, str]:
        """Give the state of each stored blob."""
        tagged = self.leads_to(digest for digest in self.tags.values() if digest)
        held = self.leads_to(digest for _, digest in self.revisions)
        may_be_tagged, may_be_held = self.doubts()
        return {
            digest: "tagged"
            if digest in tagged
            else "unknown"
            if digest in may_be_tagged or (digest in may_be_held and digest not in held)
            else "untagged"
            if digest in held
            else "orphaned"
            for digest in self.blobs
        }

    def doubts(self) -> tuple[set[str], set[str]]:
        """Give what some tag may lead to for all that could be read, and what some revision may."""
        tagged, held = set[str](), set[str]()
        for name, digest in self.tags.items():
            if digest is None:
                tagged |= self.history[name] or self._revisions(name[0])
        for lost in self.lost:
            by_tag, by_revision = self._holders_of(lost)
            for repository in by_tag | by_revision:
                (tagged if by_tag else held).update(self.links.get(repository, ()))
            for repository in by_tag:
                tagged |= self._revisions(repository)
        if self.keeps_tags_elsewhere:
            tagged |= {digest for _, digest in self.revisions}
        return self.leads_to(tagged), self.leads_to(held)

    @property
    def keeps_tags_elsewhere(self) -> bool:
        """Whether it seems so: manifests in several repositories, and no tag at all."""
        return not self.tags and len({repository for repository, _ in self.revisions}) > 1

    def _revisions(self, repository: str) -> set[str]:
        return {digest for where, digest in self.revisions if where == repository}

    def _holders_of(self, digest: str) -> tuple[set[str], set[str]]:
        """Give the repositories in which a tag may lead to a manifest, and those that hold it."""
        above = {digest}
        while more := {parent for parent in self.children if self.children[parent] & above} - above:
            above |= more
        by_tag = {repository for (repository, _), named in self.tags.items() if named in above}
        by_tag |= {name[0] for name, named in self.tags.items() if not named and self.history[name] & above}
        return by_tag, {repository for repository, named in self.revisions if named in above}

    def untagged(self, *, doubtful: bool = False) -> dict[Name, bool]:
        """Give the revisions that no tag of their repository leads to, and which are needed as referrers.

        Without those that may have a tag for all that could be read, unless asked for.
        """
        found = {}
        states, (may_be_tagged, _) = self.states(), self.doubts()
        gaps = {repository for (repository, _), digest in self.tags.items() if digest is None}
        gaps = gaps.union(*(set[str]().union(*self._holders_of(lost)) for lost in self.lost))
        for repository, digest in self.revisions:
            tags = [named for (where, _), named in self.tags.items() if where == repository and named]
            doubt = digest in may_be_tagged and (repository in gaps or states.get(digest) != "tagged")
            if digest not in self.leads_to(tags, self.children) and (doubtful or not doubt):
                found[repository, digest] = digest in self.leads_to(tags, self.children, self.referrers)
        return found

    # --- what it takes -----------------------------------------------------------------------------

    def _holders(self) -> dict[tuple[str, Name], set[str]]:
        """Give each tag, and each untagged revision that is nobody's referrer, with what it leads to."""
        roots = {("tag", name): digest for name, digest in self.tags.items() if digest}
        roots |= {
            ("revision", name): name[1]
            for name, referrer in self.untagged(doubtful=True).items()
            if not referrer
        }
        return {name: self.leads_to([digest]) & self.blobs.keys() for name, digest in roots.items()}

    def weights(self, kind: str) -> dict[Name, tuple[int, int | None]]:
        """Give size and exclusive size of each `tag`, or of each `revision` that is a holder.

        The second is None where it depends on what could not be read.
        """
        holders = self._holders()
        found = {}
        for (what, name), held in holders.items():
            others = set[str]().union(*(blobs for other, blobs in holders.items() if other != (what, name)))
            if what == kind:
                found[name] = self._size(held), self._exclusive(held - others)
        return found

    def repository_weights(self) -> dict[str, tuple[int, int | None]]:
        """Give size and exclusive size of each repository: of all that its tags and revisions lead to."""
        held: dict[str, set[str]] = {name: set() for name in self.repositories}
        for (repository, _), digest in self.tags.items():
            if digest:
                held[repository] |= self.leads_to([digest]) & self.blobs.keys()
        for repository, digest in self.untagged(doubtful=True):
            held[repository] |= self.leads_to([digest]) & self.blobs.keys()
        return {
            name: (
                self._size(held[name]),
                self._exclusive(held[name].difference(*(held[other] for other in held if other != name))),
            )
            for name in held
        }

    def _exclusive(self, digests: set[str]) -> int | None:
        return None if digests & set[str]().union(*self.doubts()) else self._size(digests)

    def _size(self, digests: Iterable[str]) -> int:
        return sum(self.blobs[digest] for digest in digests)

    # --- reading -----------------------------------------------------------------------------------

    @classmethod
    def of(cls, v2: Path) -> Model:
        """Read the store whose `v2` directory is given."""
        model = cls()
        files = {
            f"{path.parts[-4]}:{path.parts[-2]}": path
            for path in v2.glob("blobs/*/*/*/data")
            if path.is_file() and not path.is_symlink()
        }
        model.blobs = {digest: path.stat().st_size for digest, path in files.items()}
        for path in (v2 / "repositories").rglob("_*"):
            name = str(path.parent.relative_to(v2 / "repositories"))
            if path.name == "_manifests":
                model.repositories.add(name)
                model._read_manifests(name, path)
            elif path.name == "_layers":
                model.repositories.add(name)
                model.links[name] = {f"{link.parts[-3]}:{link.parts[-2]}" for link in path.glob("*/*/link")}
                model._read_aliases(path)
            elif path.name == "_uploads":
                for upload in path.iterdir():
                    sizes = [file.stat().st_size for file in upload.rglob("*") if file.is_file()]
                    model.uploads[name, upload.name] = sum(sizes)
        model._follow(files)
        return model

    def _read_manifests(self, repository: str, path: Path) -> None:
        for tag in (path / "tags").glob("*"):
            self.tags[repository, tag.name] = _digest(tag / "current" / "link")
            self.history[repository, tag.name] = {
                f"{entry.parts[-2]}:{entry.parts[-1]}" for entry in (tag / "index").glob("*/*")
            }
        for link in (path / "revisions").glob("*/*/link"):
            self.revisions.add((repository, _digest(link) or f"{link.parts[-3]}:{link.parts[-2]}"))

    def _read_aliases(self, path: Path) -> None:
        for link in path.glob("*/*/link"):
            digest, name = _digest(link), f"{link.parts[-3]}:{link.parts[-2]}"
            if digest and digest != name:
                self.parts.setdefault(name, set()).add(digest)

    def _follow(self, files: Mapping[str, Path]) -> None:
        """Read each manifest that a tag, a revision or an index names, and that is what its digest says."""
        waiting = [digest for digest in self.tags.values() if digest]
        waiting += [digest for _, digest in self.revisions]
        for name, digest in self.tags.items():
            waiting += self.history[name] if digest is None else ()
        self.lost = set(waiting) - files.keys()  # an index may lack children
        done = set()
        while waiting:
            digest = waiting.pop()
            if digest in done or digest not in files:
                continue
            done.add(digest)
            content = files[digest].read_bytes()
            if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest:
                waiting += self._read_manifest(digest, json.loads(content))
            else:
                self.lost.add(digest)

    def _read_manifest(self, digest: str, document: dict[str, Any]) -> set[str]:
        if subject := document.get("subject"):
            self.referrers.setdefault(subject["digest"], set()).add(digest)
        parts = [layer["digest"] for layer in document.get("layers", ())]
        parts += [layer["blobSum"] for layer in document.get("fsLayers", ())]
        if config := document.get("config"):
            parts.append(config["digest"])
        self.parts.setdefault(digest, set()).update(parts)
        children = {child["digest"] for child in document.get("manifests", ())}
        self.children[digest] = children
        return children


def _digest(link: Path) -> str | None:
    """Give what a link holds, if that is a digest."""
    content = link.read_text() if link.is_file() else ""
    return content if _DIGEST.fullmatch(content) else None
