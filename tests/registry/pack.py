"""Cuts the stores of other versions to a part small enough for the repository; run by hand.

    python -m tests.registry.pack DIRECTORY      where DIRECTORY holds VERSION/store-* and VERSION/truth

Blobs above LIMIT bytes are left out, which the tests use: the mount must show them as missing.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.registry.truth import PACKED

VERSIONS = ("2.7.1", "3.0.0")
LIMIT = 64_000

#: What is kept of a descriptor.
_KEYS = ("digest", "size", "mediaType", "urls", "platform")


def cut_truth(directory: Path) -> dict[str, Any]:
    """Merge what the API said of all stores: each manifest once, by its digest."""
    manifests: dict[str, Any] = {}
    stores = {}
    for version in VERSIONS:
        truth = directory / version / "truth"
        for name in ("before", "after"):
            document = json.loads((truth / f"truth-{name}.json").read_text())
            stores[f"{version}/store-{name}"] = _cut_store(document, manifests)
        crash = json.loads((truth / "truth-crash.json").read_text())
        stores[f"{version}/store-crash"] = _cut_crash(crash)
        proxy = json.loads((truth / "truth-proxy.json").read_text())
        stores[f"{version}/store-proxy"] = _cut_proxy(proxy)
        _add_crash_manifest(directory / version / "store-crash", crash["allTagsBefore"], manifests)
    for name, store in stores.items():
        store["lacking"] = _lacking(directory / name, store, manifests)
    return {"manifests": manifests, "dropped": {}, "stores": stores}


def _cut_store(document: dict[str, Any], manifests: dict[str, Any]) -> dict[str, Any]:
    repositories = {}
    for found in document["repositories"]:
        for answer in [*found["tags"], *found["children"], *found["otherPushed"]]:
            if "contentType" in answer:
                facts = _cut_manifest(answer)
                assert manifests.setdefault(answer["digest"], facts) == facts, answer
        repositories[found["repo"]] = {
            "catalog": found["inCatalog"],
            # Of most of many/tags only the digest was asked for, which says that it was served.
            "tags": {tag["tag"]: [tag.get("status", 200), tag["digest"]] for tag in found["tags"]},
            "revisions": {
                answer["wanted"]: answer["status"] for answer in [*found["children"], *found["otherPushed"]]
            },
            "unserved": [
                blob["digest"] for blob in document["blobs"] if blob["status"].get(found["repo"], 200) != 200
            ],
        }
    return {"repositories": repositories}


def _cut_manifest(answer: dict[str, Any]) -> dict[str, Any]:
    facts = {"type": answer["contentType"], "size": answer["size"]}
    if "fsLayers" in answer:
        # The registry serves it signed anew each time; only the unsigned bytes are stored.
        return {"type": answer["contentType"], "fsLayers": answer["fsLayers"]}
    if "manifests" in answer:
        return {**facts, "children": [_cut_descriptor(child) for child in answer["manifests"]]}
    return {
        **facts,
        "config": _cut_descriptor(answer["config"]),
        "layers": [_cut_descriptor(layer) for layer in answer["layers"]],
    }


def _cut_descriptor(descriptor: dict[str, Any]) -> dict[str, Any]:
    return {key: descriptor[key] for key in _KEYS if key in descriptor}


def _cut_crash(document: dict[str, Any]) -> dict[str, Any]:
    tags = {tag["tag"]: [tag["status"], tag["digest"]] for tag in document["tags"]}
    return {
        "repositories": {document["repo"]: {"catalog": True, "tags": tags, "revisions": {}, "unserved": []}}
    }


def _cut_proxy(document: dict[str, Any]) -> dict[str, Any]:
    repositories: dict[str, Any] = {}
    for pulled in document["pulled"]:
        entry = {"catalog": True, "tags": {}, "revisions": {}, "unserved": []}
        repositories.setdefault(pulled["repo"], entry)["tags"][pulled["tag"]] = [200, pulled["digest"]]
    return {"repositories": repositories}


def _add_crash_manifest(store: Path, digest: str, manifests: dict[str, Any]) -> None:
    """Read from the store what the API was not asked for: the one manifest of `store-crash`."""
    raw = _data(store, digest).read_bytes()
    document = json.loads(raw)
    answer = {"contentType": document["mediaType"], "size": len(raw), **document}
    manifests[digest] = _cut_manifest(answer)


def _lacking(root: Path, store: dict[str, Any], manifests: dict[str, Any]) -> list[str]:
    """List the children of tagged indexes that are not stored: the API failed on them, or was not asked."""
    lacking = set()
    for repository in store["repositories"].values():
        for status, digest in repository["tags"].values():
            for child in manifests[digest].get("children", ()) if status == 200 else ():
                if not _data(root, child["digest"]).exists():
                    assert repository["revisions"].get(child["digest"]) != 200
                    lacking.add(child["digest"])
    return sorted(lacking)


def _data(store: Path, digest: str) -> Path:
    algorithm, encoded = digest.split(":")
    return store / "docker/registry/v2/blobs" / algorithm / encoded[:2] / encoded / "data"


def pack(directory: Path, archive: Path, dropped: dict[str, int]) -> None:
    """Pack all stores in one archive, sorted so that like stands by like; note what is dropped."""
    found = sorted(
        (path for version in VERSIONS for path in (directory / version).glob("store-*/**/*")),
        key=lambda path: (path.name == "data", path.parent.name if path.name == "data" else "", str(path)),
    )
    with tarfile.open(archive, "w:xz", format=tarfile.GNU_FORMAT, preset=9) as packed:
        for path in found:
            size = path.stat().st_size
            if path.name == "data" and "blobs" in path.parts and size > LIMIT:
                dropped[f"sha256:{path.parent.name}"] = size
                continue
            entry = packed.gettarinfo(path, path.relative_to(directory).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = int(entry.mtime)
            if entry.isfile():
                with path.open("rb") as content:
                    packed.addfile(entry, content)
            else:
                packed.addfile(entry)


def main() -> None:
    directory = Path(os.path.abspath(sys.argv[1]))
    PACKED.mkdir(exist_ok=True)
    truth = cut_truth(directory)
    pack(directory, PACKED / "stores.tar.xz", truth["dropped"])
    (PACKED / "truth.json").write_text(json.dumps(truth, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
