from pathlib import Path

import pytest

from regfs.errors import StoreNotFoundError
from regfs.registry import locate
from tests.builder import StoreBuilder


@pytest.mark.parametrize("given", ["", "docker", "docker/registry", "docker/registry/v2"])
def test_any_directory_from_the_root_down_to_v2_leads_to_the_store(tmp_path: Path, given: str) -> None:
    built = StoreBuilder(tmp_path / "registry")
    assert locate(str(built.root / given)) == str(built.v2)


@pytest.mark.parametrize("below", ["", "v2", "registry/v2"])
def test_the_store_may_lie_under_any_prefix(tmp_path: Path, below: str) -> None:
    built = StoreBuilder(tmp_path / "nfs/dir1/dir2", below)
    assert locate(str(tmp_path / "nfs/dir1/dir2")) == str(built.v2)


def test_the_way_may_be_relative_end_in_a_slash_or_lead_through_a_symlink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = StoreBuilder(tmp_path / "registry")
    (tmp_path / "link").symlink_to("registry")
    monkeypatch.chdir(tmp_path)
    for way in ("registry", "registry/", "./registry/docker/..", "link", "link/docker/registry/"):
        assert locate(way) == str(built.v2)


@pytest.mark.parametrize("only", ["blobs", "repositories"])
def test_half_a_store_is_a_store(tmp_path: Path, only: str) -> None:
    (tmp_path / "docker/registry/v2" / only).mkdir(parents=True)
    assert locate(str(tmp_path)) == str(tmp_path / "docker/registry/v2")


def explanation(path: Path) -> str:
    with pytest.raises(StoreNotFoundError) as caught:
        locate(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_error_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    for name in ("home", "etc", "var"):
        (tmp_path / name).mkdir()
    text = explanation(tmp_path)
    assert "docker/registry/v2/repositories" in text
    assert "registry/v2/repositories" in text
    assert "there is etc, home, var" in text
    assert "rootdirectory" in text


def test_a_long_listing_is_cut_in_the_error(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"d{number:03}").mkdir()
    text = explanation(tmp_path)
    assert "d007, …" in text
    assert "d008" not in text


def test_an_empty_directory_is_told(tmp_path: Path) -> None:
    assert "there is nothing" in explanation(tmp_path)


def test_what_does_not_exist_or_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "no such directory" in explanation(tmp_path / "nothing")
    assert "not a directory" in explanation(tmp_path / "file")


def test_an_oci_layout_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "index.json").write_text("{}")
    assert "OCI image layout" in explanation(tmp_path)
    assert f"skopeo inspect oci:{tmp_path}" in explanation(tmp_path)


def test_a_directory_with_a_store_below_says_which_to_give(tmp_path: Path) -> None:
    """As Harbor's data directory is: registry, database, redis, job_logs."""
    for name in ("database", "job_logs", "registry/docker/registry/v2/repositories"):
        (tmp_path / name).mkdir(parents=True)
    assert explanation(tmp_path).endswith(f"give {tmp_path}/registry")


@pytest.mark.parametrize("inside", ["blobs", "blobs/sha256", "repositories/team", "repositories/v2/team"])
def test_a_place_inside_a_store_is_answered_with_the_store(tmp_path: Path, inside: str) -> None:
    built = StoreBuilder(tmp_path / "registry")
    (built.v2 / inside).mkdir(parents=True, exist_ok=True)
    text = explanation(built.v2 / inside)
    assert "inside a store" in text
    assert text.endswith(f" {built.v2}")


def test_names_that_are_there_cannot_disturb_a_terminal_or_a_line(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J").mkdir()
    (tmp_path / "b\nc").mkdir()
    assert explanation(tmp_path).isprintable()


@pytest.mark.parametrize("target", ["data", "nowhere", "../../../../../../../../outside"])
def test_damage_of_the_blob_that_is_looked_at_makes_a_store_no_other_form(
    tmp_path: Path, target: str
) -> None:
    built = StoreBuilder(tmp_path / "registry")
    data = built.data(built.blob(b"one").digest)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/xl.meta").touch()
    data.unlink()
    data.symlink_to(target)
    assert locate(str(built.root)) == str(built.v2)


def test_minios_own_disk_format_is_told(tmp_path: Path) -> None:
    built = StoreBuilder(tmp_path / "registry")
    data = built.data(built.blob(b"one").digest)
    data.unlink()
    data.mkdir()
    (data / "xl.meta").touch()
    assert "MinIO" in explanation(built.root)
