"""Every read is a slice, however the content is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.registry import open_local
from regfs.storage import Content
from regfs.tree.blob import BytesContent

offsets = st.one_of(st.integers(0, 300), st.integers(0, 20_000), st.sampled_from([1 << 31, 1 << 62]))
sizes = st.one_of(st.integers(0, 300), st.integers(0, 20_000))
CONTENT = b"".join(number.to_bytes(2, "big") for number in range(5000))


def piece(content: Content, offset: int, size: int) -> bytes:
    buffer = bytearray(b"\xee" * (size + 1))
    got = content.read_into(memoryview(buffer)[:size], offset)
    assert bytes(buffer[got:]) == b"\xee" * (size + 1 - got)
    return bytes(buffer[:got])


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Content]:
    root: Path = tmp_path_factory.mktemp("store")
    (root / "file").write_bytes(CONTENT)
    store = open_local(str(root))
    content = store.open("file")
    yield content
    content.close()
    store.close()


@given(offset=offsets, size=sizes)
def test_a_read_of_a_file_is_the_slice(local: Content, offset: int, size: int) -> None:
    assert piece(local, offset, size) == CONTENT[offset : offset + size]


@given(content=st.binary(max_size=1000), offset=offsets, size=sizes)
def test_a_read_of_computed_bytes_is_the_slice(content: bytes, offset: int, size: int) -> None:
    assert piece(BytesContent(content), offset, size) == content[offset : offset + size]
