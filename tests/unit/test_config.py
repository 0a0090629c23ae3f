import pytest

from regfs.errors import ConfigError
from regfs.oci import ImageConfig, Platform
from tests.unit.documents import packed


def test_a_config_tells_when_it_was_built_and_for_what() -> None:
    raw = packed(
        created="2024-02-03T04:05:06.789Z",
        os="windows",
        architecture="arm64",
        variant="v8",
        **{"os.version": "10.0.1"},
        config={"Env": ["A=B"]},
        rootfs={"type": "layers", "diff_ids": []},
    )
    assert ImageConfig.parse(raw) == ImageConfig(
        "2024-02-03T04:05:06.789Z", Platform("windows", "arm64", "v8", "10.0.1")
    )


@pytest.mark.parametrize("raw", [b"{}", packed(created=None, os=None, architecture=None, variant=None)])
def test_all_of_it_may_be_absent_or_null(raw: bytes) -> None:
    assert ImageConfig.parse(raw) == ImageConfig("", Platform("", ""))


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff", b'{"created": 5}', b'{"os": {}}', b'{"a":' * 100_000],
)
def test_what_is_no_config_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        ImageConfig.parse(raw)
