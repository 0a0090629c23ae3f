"""The mount against the registry's own API, for every repository in its catalog and every tag."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REGFS, output, run
from tests.registry.api import SCHEMA1
from tests.registry.conftest import Filled
from tests.registry.pushes import FOREIGN_URL
from tests.registry.served import serve_image
from tests.registry.shown import (
    Link,
    digest_of,
    files_of,
    kind_of,
    read_image,
    repositories,
    tag_directory,
)

pytestmark = pytest.mark.registry


@pytest.fixture
def mounted(filled: Filled, mount_once: Callable[[Path], Path]) -> Path:
    return mount_once(filled.registry.root)


def test_the_mount_lists_the_catalog_and_each_tag_and_nothing_else(filled: Filled, mounted: Path) -> None:
    api, pushed = filled.registry.api, filled.pushed
    catalog = {repository: set(api.tags(repository)) for repository in api.catalog()}
    assert catalog == pushed.tags
    assert repositories(mounted) == catalog


def test_every_tag_has_the_bytes_that_the_api_serves(filled: Filled, mounted: Path) -> None:
    api, compared, files = filled.registry.api, 0, 0
    for repository, tags in filled.pushed.tags.items():
        for tag in tags:
            if api.manifest(repository, tag).media_type == SCHEMA1:
                continue
            shown = read_image(tag_directory(mounted, repository, tag))
            assert shown == serve_image(api, repository, tag), f"{repository}:{tag}"
            compared += 1
            files += sum(isinstance(file.content, bytes) for file in files_of(shown))
    assert compared == sum(map(len, filled.pushed.tags.values())) - 1
    assert files > 3 * compared


def test_a_schema_1_image_is_the_stored_form_of_what_the_api_signs(filled: Filled, mounted: Path) -> None:
    api, repository = filled.registry.api, "legacy/v2s1"
    served = api.manifest(repository, "v1")
    assert served.media_type == SCHEMA1
    shown = read_image(mounted / repository / "v1")
    assert shown.manifest.digest == served.digest
    signed, stored = served.document, json.loads(shown.manifest.body)
    signed.pop("signatures")
    stored.pop("signatures", None)
    assert stored == signed
    base_first = [layer["blobSum"] for layer in reversed(signed["fsLayers"])]
    assert len(base_first) == 3
    assert [layer.content for layer in shown.layers] == [
        api.blob(repository, digest) for digest in base_first
    ]
    assert [layer.name for layer in shown.layers] == [f"{n:02}.tar.gz" for n in range(3)]


def test_a_schema_1_image_has_the_config_that_its_history_tells(filled: Filled, mounted: Path) -> None:
    history = filled.registry.api.manifest("legacy/v2s1", "v1").document["history"]
    newest_first = [json.loads(entry["v1Compatibility"]) for entry in history]
    config = json.loads((mounted / "legacy/v2s1/v1/config.json").read_bytes())
    for key in ("architecture", "os", "created", "config"):
        assert config[key] == newest_first[0][key]
    # skopeo tells the command of every layer but the newest.
    commands = [entry.get("container_config", {}).get("Cmd", []) for entry in reversed(newest_first)]
    assert commands == [["ADD 0"], ["ADD 1"], []]
    assert [step.get("created_by", "") for step in config["history"]] == ["ADD 0", "ADD 1", ""]


def test_manifests_without_a_tag_show_by_their_digest(filled: Filled, mounted: Path) -> None:
    api, untagged = filled.registry.api, filled.pushed.untagged
    assert len({digest for _, digest in untagged}) == 11  # ten pushes of one tag, and a referrer
    for repository, digest in untagged:
        assert f"@{digest}" not in os.listdir(mounted / repository)
        assert read_image(mounted / repository / f"@{digest}") == serve_image(api, repository, digest)


def test_a_tag_pushed_ten_times_names_the_last_push(filled: Filled, mounted: Path) -> None:
    pushes = [digest for repository, digest in filled.pushed.untagged if repository == "churn/app"]
    shown = (mounted / "churn/app/nightly/manifest.json").read_bytes()
    assert len(pushes) == 10
    assert digest_of(shown) == pushes[-1]


def test_what_was_deleted_is_gone_by_tag_and_by_digest(filled: Filled, mounted: Path) -> None:
    assert len(filled.pushed.deleted) == len(filled.pushed.deleted_tags) == 3
    for repository, tag in filled.pushed.deleted_tags:
        assert tag not in os.listdir(mounted / repository)
        assert not (mounted / repository / tag).exists()
        assert not tag_directory(mounted, repository, tag).exists()
    for repository, digest in filled.pushed.deleted:
        assert not (mounted / repository / f"@{digest}").exists()


def test_a_tag_with_the_name_of_a_nested_repository_gives_way_to_it(filled: Filled, mounted: Path) -> None:
    assert sorted(os.listdir(mounted / "clash")) == [":sub", "sub"]
    assert os.listdir(mounted / "clash/sub") == ["sub"]
    shown = read_image(mounted / "clash/:sub")
    assert shown == serve_image(filled.registry.api, "clash", "sub")
    assert shown != read_image(mounted / "clash/sub/sub")


def test_a_layer_that_images_share_is_one_inode_in_all_of_them(mounted: Path) -> None:
    base_of = (
        "team/app/1.0",
        "team/app/tool/1.0",
        "team/only",
        "churn/app/nightly",
        "compat/oci/Tag_With.UPPER-1",
    )
    found = {(mounted / image / "layers/00.tar.gz").stat().st_ino for image in base_of}
    assert len(found) == 1


def test_an_upload_cut_short_makes_no_repository(filled: Filled, mounted: Path) -> None:
    uploads = filled.registry.root / "docker/registry/v2/repositories"
    for name in ("odd/cut", "odd/started"):
        assert len(os.listdir(uploads / name / "_uploads")) == 1
        assert kind_of(mounted / name) == "namespace"
        assert os.listdir(mounted / name) == []


@pytest.mark.parametrize(
    ("tag", "name", "start"),
    [
        ("team/app/1.0", "00.tar.gz", b"\x1f\x8b"),
        ("compress/zstd/v1", "00.tar.zst", b"\x28\xb5\x2f\xfd"),
        ("compress/none/v1", "00.tar", b"etc/os-release\0"),
    ],
)
def test_the_name_of_a_layer_tells_how_it_is_compressed(
    mounted: Path, tag: str, name: str, start: bytes
) -> None:
    base = read_image(mounted / tag).layers[0]
    assert base.name == name
    assert base.body.startswith(start)


def test_a_blob_pushed_as_sha512_shows_under_the_digest_it_is_stored_by(
    filled: Filled, mounted: Path
) -> None:
    shown = read_image(mounted / "odd/sha512/v1")
    named = json.loads(shown.manifest.body)["layers"][0]["digest"]
    content = shown.layers[0].body
    assert digest_of(content, "sha512") == named
    stored = digest_of(content).removeprefix("sha256:")
    assert (mounted / "odd/sha512/v1/layers/00.tar").stat().st_ino == int(stored[:16], 16)


def test_a_foreign_layer_is_a_link_to_where_it_is_kept(mounted: Path) -> None:
    shown = read_image(mounted / "odd/foreign/v1")
    assert [layer.name for layer in shown.layers] == ["00.tar.gz", "01.tar.gz"]
    assert shown.layers[0].content == Link(FOREIGN_URL)
    assert isinstance(shown.layers[1].content, bytes)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("team/app/1.0", "image"),
        ("legacy/v2s1/v1", "image"),
        ("forms/unnamed/oci", "image"),
        ("artifacts/sbom/own-config", "artifact: application/vnd.example.config.v1+json"),
        ("artifacts/sbom/typed", "artifact: application/vnd.example.sbom"),
        ("multi/index/plain", "index"),
        ("multi/index/unnamed", "index"),
        ("multi/list/latest", "index"),
        ("multi/index/attested/platforms/linux-amd64", "image"),
        ("multi/index/attested/platforms/unknown-unknown", "attestation"),
        ("multi/index/attested/platforms/unknown-unknown-2", "attestation"),
    ],
)
def test_every_manifest_tells_what_it_is(mounted: Path, image: str, kind: str) -> None:
    assert kind_of(mounted / image) == kind


def test_every_tag_tells_the_digest_that_the_api_tells(filled: Filled, mounted: Path) -> None:
    api, told = filled.registry.api, 0
    for repository, tags in filled.pushed.tags.items():
        for tag in tags:
            digest = os.getxattr(tag_directory(mounted, repository, tag), "user.regfs.digest").decode()
            assert digest == api.manifest(repository, tag).digest
            told += 1
    assert told == sum(map(len, filled.pushed.tags.values()))


def test_ls_without_a_mount_lists_the_same(filled: Filled, mounted: Path) -> None:
    listed = {
        os.path.relpath(directory, mounted): sorted([*below, *files])
        for directory, below, files in os.walk(mounted)
    }
    assert len(listed) > 100
    command = [*REGFS, "ls", "--platform=linux/amd64", str(filled.registry.root)]
    printed = {}
    for section in output(*command, *listed).removesuffix("\n").split("\n\n"):
        name, *names = section.split("\n")
        printed[name.removesuffix(":")] = [name for name in names if name]
    assert printed == listed


def test_cat_without_a_mount_gives_the_same_bytes(filled: Filled, mounted: Path) -> None:
    files = [
        Path(directory, name).relative_to(mounted)
        for directory, _, names in os.walk(mounted)
        for name in names
        if Path(directory, name).exists()  # all but the foreign layer
    ]
    assert len(files) > 250
    # One process for all of them: that their bytes stand one behind the other says as much.
    command = [*REGFS, "cat", "--platform=linux/amd64", str(filled.registry.root), *map(str, files)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert digest_of(done.stdout) == digest_of(b"".join((mounted / file).read_bytes() for file in files))


def test_cat_of_a_foreign_layer_says_where_it_is(filled: Filled) -> None:
    done = run(*REGFS, "cat", filled.registry.root, "odd/foreign/v1/layers/00.tar.gz")
    assert done.returncode == 1
    assert FOREIGN_URL in done.stderr
