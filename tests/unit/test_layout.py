"""Each path against the drawing in distribution's paths.go."""

import pytest

from regfs.oci import Digest
from regfs.registry import layout

HEX = "0123456789abcdef" * 4
DIGEST = Digest("sha256", HEX)
SHA512 = Digest("sha512", HEX * 2)


@pytest.mark.parametrize(
    ("path", "drawn"),
    [
        (layout.blob_directory(DIGEST), f"blobs/sha256/01/{HEX}"),
        (layout.blob_data(DIGEST), f"blobs/sha256/01/{HEX}/data"),
        (layout.blob_data(SHA512), f"blobs/sha512/01/{HEX * 2}/data"),
        (layout.repository(""), "repositories"),
        (layout.repository("team/app"), "repositories/team/app"),
        (layout.tags("team/app"), "repositories/team/app/_manifests/tags"),
        (layout.tag("team/app", "1.0"), "repositories/team/app/_manifests/tags/1.0"),
        (layout.tag_link("team/app", "1.0"), "repositories/team/app/_manifests/tags/1.0/current/link"),
        (layout.tag_history("team/app", "1.0"), "repositories/team/app/_manifests/tags/1.0/index"),
        (
            layout.link_below(layout.tag_history("app", "1.0"), DIGEST),
            f"repositories/app/_manifests/tags/1.0/index/sha256/{HEX}/link",
        ),
        (layout.revisions("app"), "repositories/app/_manifests/revisions"),
        (
            layout.link_below(layout.revisions("app"), DIGEST),
            f"repositories/app/_manifests/revisions/sha256/{HEX}/link",
        ),
        (layout.layers("app"), "repositories/app/_layers"),
        (layout.link_below(layout.layers("app"), SHA512), f"repositories/app/_layers/sha512/{HEX * 2}/link"),
        (layout.uploads("app"), "repositories/app/_uploads"),
    ],
)
def test_a_path_is_as_drawn(path: str, drawn: str) -> None:
    assert path == drawn


@pytest.mark.parametrize(
    "name",
    ["_layers", "_manifests", "_uploads", "_referrers", ".nfs0001", ".snapshot", "lost+found", ".", ".."],
)
def test_names_of_the_layout_and_of_the_file_system_are_passed_over(name: str) -> None:
    assert layout.ignored(name)


@pytest.mark.parametrize("name", ["app", "a_b", "foo.tmp", "lost", "lost+found2", "Upper", "bad name"])
def test_other_names_are_not(name: str) -> None:
    assert not layout.ignored(name)
