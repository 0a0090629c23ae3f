"""Images and repositories larger than any tool builds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output
from tests.mount.conftest import lines

pytestmark = pytest.mark.fuse


def test_an_image_of_10000_layers_is_listed_and_each_layer_found(
    store: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    one, other = store.layer({"one": b"1"}), store.layer({"other": b"22"}, "none")
    store.image("many", "1.0", [one, other] * 5_000)
    layers = mount(store).path / "many" / "1.0" / "layers"
    listed = [line.split() for line in lines(output("ls", "-l", layers))[1:]]
    assert [entry[-1] for entry in listed] == [
        f"{number:04}.tar" if number % 2 else f"{number:04}.tar.gz" for number in range(10_000)
    ]
    assert {int(entry[4]) for entry in listed[0::2]} == {one.size}
    assert {int(entry[4]) for entry in listed[1::2]} == {other.size}
    assert (layers / "9999.tar").read_bytes() == store.data(other.digest).read_bytes()
    assert int(output("du", "-sb", layers).split()[0]) == one.size + other.size


def test_2000_tags_are_listed_and_each_is_found(store: StoreBuilder, mount: Callable[..., Mount]) -> None:
    image = store.image("app", "t00000")
    for number in range(1, 2_000):
        store.write(store.tag_link("app", f"t{number:05}"), image.digest)
    app = mount(store).path / "app"
    assert [line.split()[-1] for line in lines(output("ls", "-l", app))[1:]] == [
        f"t{n:05}" for n in range(2_000)
    ]
    assert (app / "t01777/manifest.json").read_bytes() == store.data(image.digest).read_bytes()
