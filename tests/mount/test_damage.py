"""Damage never hides: one damaged image among sound ones, under a real mount.

Each kind of damage has a repository of its own, with a tag `sound` beside its tag `broken`, and says which
paths of that image are EIO and what the log must name.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import OCI_MANIFEST
from tests.conftest import Mount, need, output, run
from tests.mount.conftest import lines

pytestmark = pytest.mark.fuse

FILES = {"manifest.json", "config.json", "layers/00.tar.gz", "layers/01.tar.gz"}


class Built(NamedTuple):
    """The parts of the image that is to be damaged."""

    store: StoreBuilder
    repository: str
    manifest: Blob
    config: Blob
    layer: Blob

    def data(self, blob: Blob) -> Path:
        return self.store.data(blob.digest)

    @property
    def link(self) -> Path:
        return self.store.tag_link(self.repository, "broken")


class Damage(NamedTuple):
    """What is EIO below the image ("" is the image itself), and a text that the log must hold."""

    unreadable: set[str]
    named: str


def missing_layer(built: Built) -> Damage:
    built.data(built.layer).unlink()
    return Damage({"layers/01.tar.gz"}, f"{built.layer.digest} is not stored")


def missing_layer_directory(built: Built) -> Damage:
    shutil.rmtree(built.data(built.layer).parent)
    return Damage({"layers/01.tar.gz"}, f"{built.layer.digest} is not stored")


def missing_config(built: Built) -> Damage:
    built.data(built.config).unlink()
    return Damage({"config.json"}, f"{built.config.digest} is not stored")


def longer_layer(built: Built) -> Damage:
    with built.data(built.layer).open("ab") as data:
        data.write(b"!")
    return Damage({"layers/01.tar.gz"}, f"{built.layer.digest} has {built.layer.size + 1} bytes")


def shorter_layer(built: Built) -> Damage:
    os.truncate(built.data(built.layer), built.layer.size - 1)
    return Damage({"layers/01.tar.gz"}, f"{built.layer.digest} has {built.layer.size - 1} bytes")


def empty_layer(built: Built) -> Damage:
    os.truncate(built.data(built.layer), 0)
    return Damage({"layers/01.tar.gz"}, f"{built.layer.digest} has 0 bytes")


def empty_config(built: Built) -> Damage:
    os.truncate(built.data(built.config), 0)
    return Damage({"config.json"}, f"{built.config.digest} has 0 bytes")


def empty_link(built: Built) -> Damage:
    built.link.write_bytes(b"")
    return Damage({""}, f"{built.repository}/_manifests/tags/broken/current/link")


def torn_link(built: Built) -> Damage:
    built.link.write_text(built.manifest.digest[:40])
    return Damage({""}, f"{built.repository}/_manifests/tags/broken/current/link")


def link_with_a_newline(built: Built) -> Damage:
    built.link.write_text(built.manifest.digest + "\n")
    return Damage({""}, f"{built.repository}/_manifests/tags/broken/current/link")


def no_link(built: Built) -> Damage:
    built.link.unlink()
    return Damage({""}, f"{built.repository}/_manifests/tags/broken/current/link")


def no_current(built: Built) -> Damage:
    shutil.rmtree(built.link.parent)
    return Damage({""}, f"{built.repository}/_manifests/tags/broken/current/link")


def manifest_missing(built: Built) -> Damage:
    built.data(built.manifest).unlink()
    return Damage({""}, f"{built.manifest.digest} is not stored")


def manifest_empty(built: Built) -> Damage:
    os.truncate(built.data(built.manifest), 0)
    return Damage({""}, built.manifest.digest)


def manifest_corrupted(built: Built) -> Damage:
    data = built.data(built.manifest)
    data.write_bytes(data.read_bytes().replace(b'"schemaVersion": 2', b'"schemaVersion": 3'))
    return Damage({""}, f"{built.manifest.digest} is damaged")


def manifest_of_no_form(built: Built) -> Damage:
    built.store.manifest(built.repository, "broken", b'{"schemaVersion": 2}', OCI_MANIFEST)
    return Damage({""}, "no known form of manifest")


def manifest_of_5_mb(built: Built) -> Damage:
    padded = {**json.loads(built.data(built.manifest).read_bytes()), "annotations": {"a": "x" * 5_000_000}}
    manifest = built.store.manifest(built.repository, "broken", json.dumps(padded).encode(), OCI_MANIFEST)
    return Damage({""}, f"{manifest.digest.split(':')[1]}/data: has {manifest.size} bytes")


KINDS = [
    missing_layer,
    missing_layer_directory,
    missing_config,
    longer_layer,
    shorter_layer,
    empty_layer,
    empty_config,
    empty_link,
    torn_link,
    link_with_a_newline,
    no_link,
    no_current,
    manifest_missing,
    manifest_empty,
    manifest_corrupted,
    manifest_of_no_form,
    manifest_of_5_mb,
]


class Seen(NamedTuple):
    """A mounted repository with one damaged image."""

    damage: Damage
    app: Path
    built: Built
    log: Path

    @property
    def image(self) -> Path:
        return self.app / "broken"

    @property
    def spoiled(self) -> bool:
        """Whether the image cannot even be entered."""
        return "" in self.damage.unreadable


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, mount_module: Callable[..., Mount]
) -> dict[str, Seen]:
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    base = store.layer({"base": b"base"})
    found: dict[str, tuple[Built, Damage]] = {}
    for kind in KINDS:
        name = kind.__name__
        store.image(name, "sound", [base, store.layer({"sound": b"sound"})], store.config(author="sound"))
        layer, config = store.layer({"own": name.encode()}), store.config(author=name)
        manifest = store.image(name, "broken", [base, layer], config)
        built = Built(store, name, manifest, config, layer)
        found[name] = (built, kind(built))
    made = mount_module(store.root)
    return {name: Seen(damage, made.path / name, built, made.log) for name, (built, damage) in found.items()}


@pytest.fixture(params=[kind.__name__ for kind in KINDS], ids=lambda name: name.replace("_", "-"))
def seen(request: pytest.FixtureRequest, everything: dict[str, Seen]) -> Seen:
    return everything[request.param]


def test_the_damaged_tag_is_listed_and_every_other_file_is_readable(seen: Seen) -> None:
    done = run("ls", "-l", seen.app)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in lines(done.stdout)[1:]] == ["broken", "sound"]
    for name in FILES:
        assert error_of(seen.app / "sound" / name) is None
        broken = seen.spoiled or name in seen.damage.unreadable
        assert error_of(seen.image / name) == (errno.EIO if broken else None), name


def error_of(path: Path) -> int | None:
    try:
        path.read_bytes()
    except OSError as error:
        return error.errno
    return None


def test_the_log_names_the_damage_and_ls_says_input_output_error(seen: Seen) -> None:
    done = run("ls", seen.image)
    if seen.spoiled:
        assert done.returncode != 0
        assert "Input/output error" in done.stderr
    else:
        assert done.stdout.split() == ["config.json", "layers", "manifest.json"]
        for name in seen.damage.unreadable:
            assert "Input/output error" in run("cat", seen.image / name).stderr
    logged = lines(seen.log.read_text())
    told = [line for line in logged if f"{seen.app.name}/broken" in line]
    assert any(seen.damage.named in line for line in told), told
    assert len(told) == len(set(told))  # each finding once, however often it was met
    assert not [line for line in logged if "Traceback" in line]


@pytest.mark.parametrize("tool", ["cp", "tar", "rsync"])
def test_a_copy_fails_loudly_and_has_everything_else(seen: Seen, tmp_path: Path, tool: str) -> None:
    if tool == "cp":
        done = run("cp", "-r", seen.app, tmp_path)
    elif tool == "rsync":
        done = run(need("rsync"), "-a", seen.app, tmp_path)
    else:
        done = run("tar", "-C", seen.app.parent, "-cf", tmp_path / "a.tar", seen.app.name)
        output("tar", "-C", tmp_path, "-xf", tmp_path / "a.tar")
    assert done.returncode != 0
    for name in seen.damage.unreadable:
        assert str(Path(seen.app.name, "broken", name)) in done.stderr
    assert "Input/output error" in done.stderr
    copy = tmp_path / seen.app.name
    output("diff", "-r", seen.app / "sound", copy / "sound")
    for name in set() if seen.spoiled else FILES - seen.damage.unreadable:
        assert (copy / "broken" / name).read_bytes() == (seen.image / name).read_bytes()


def test_a_damaged_blob_is_listed_with_the_size_that_it_should_have(everything: dict[str, Seen]) -> None:
    looked_at = 0
    for seen in everything.values():
        wanted = {"layers/01.tar.gz": seen.built.layer.size, "config.json": seen.built.config.size}
        for name in seen.damage.unreadable - {""}:
            found = os.stat(seen.image / name)
            assert (found.st_size, found.st_nlink) == (wanted[name], 2)
            looked_at += 1
    assert looked_at == 7


def test_a_walk_of_the_whole_store_goes_on_past_all_damage(everything: dict[str, Seen]) -> None:
    top = next(iter(everything.values())).app.parent
    done = run("find", top, "-type", "f", "-exec", "sha256sum", "{}", "+")
    assert done.returncode != 0
    summed = {line[66:] for line in lines(done.stdout)}
    for seen in everything.values():
        expected = {str(seen.app / "sound" / name) for name in FILES}
        if not seen.spoiled:
            expected |= {str(seen.image / name) for name in FILES - seen.damage.unreadable}
        assert {path for path in summed if path.startswith(f"{seen.app}/")} == expected
    assert len(lines(done.stderr)) == len(everything)
