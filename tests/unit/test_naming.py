"""The names of layers: an image's are numbered, an artifact's have their titles where those are safe."""

from __future__ import annotations

import pytest

from regfs.oci import parse_manifest
from regfs.oci.naming import TITLE, layer_name, layer_titles
from tests.unit.documents import A, B, descriptor, image


def named(titles: list[str | None], **keys: object) -> list[str]:
    """Name layers of an artifact that have these titles."""
    layers = [
        descriptor(
            f"sha256:{number:064x}",
            "text/plain",
            annotations={} if title is None else {TITLE: title},
        )
        for number, title in enumerate(titles)
    ]
    found = parse_manifest(image(layers=layers, **keys))
    return [
        layer_name(position, len(layers), layer.media_type, title)
        for position, (layer, title) in enumerate(zip(found.layers, layer_titles(found), strict=True))
    ]


@pytest.mark.parametrize(
    "title", ["a b.txt", "app-1.0.tgz", "é.md", "-rf", ".hidden", "00", "00.tar", "x" * 255]
)
def test_an_artifacts_layers_are_named_by_title(title: str) -> None:
    assert named([None, title]) == ["00.bin", title]


@pytest.mark.parametrize(
    "title",
    [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "../etc",
        "a\0",
        "a\nb",
        "\x1b[2J",
        "\x7f",
        "\u202egnp",
        "x" * 256,
        "é" * 128,
    ],
)
def test_a_title_that_is_no_name_of_a_file_is_numbered(title: str) -> None:
    assert named([title, "b"]) == ["00.bin", "b"]


@pytest.mark.parametrize(
    ("titles", "names"),
    [
        (["a", "a", "b"], ["00.bin", "01.bin", "b"]),
        (["01.bin", None, "b"], ["00.bin", "01.bin", "b"]),
        (["02.bin", "b", "c"], ["00.bin", "b", "c"]),
    ],
)
def test_titles_that_clash_are_numbered(titles: list[str | None], names: list[str]) -> None:
    assert named(titles) == names


def test_an_images_layers_are_numbered_whatever_their_titles() -> None:
    layers = [descriptor(A, annotations={TITLE: "a"}), descriptor(B, annotations={TITLE: "b"})]
    assert list(layer_titles(parse_manifest(image(layers=layers)))) == ["", ""]
