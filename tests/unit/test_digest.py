import hashlib

import pytest

from regfs.errors import ContentError, DigestError
from regfs.oci import Digest

HEX = hashlib.sha256(b"x").hexdigest()
SHA256 = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("algorithm", "length"), [("sha256", 64), ("sha384", 96), ("sha512", 128), ("blake3", 64)]
)
def test_every_registered_algorithm_parses_and_prints_itself_back(algorithm: str, length: int) -> None:
    text = f"{algorithm}:{'0123456789abcdef' * 8}"[: len(algorithm) + 1 + length]
    digest = Digest.parse(text)
    assert (digest.algorithm, len(digest.hex), str(digest)) == (algorithm, length, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (HEX, "no colon"),
        (f":{HEX}", "unknown algorithm"),
        (f"md5:{HEX[:32]}", "unknown algorithm"),
        (f"SHA256:{HEX}", "unknown algorithm"),
        (f"tarsum.v1+sha256:{HEX}", "unknown algorithm"),
        ("sha256:", "0 digits, sha256 has 64"),
        (f"sha256:{HEX[:-1]}", "63 digits, sha256 has 64"),
        (f"sha256:{HEX}0", "65 digits, sha256 has 64"),
        (f"sha512:{HEX}", "64 digits, sha512 has 128"),
        (f"sha256:{HEX.upper()}", "lower-case"),
        (f"sha256:{HEX[:-1]}g", "hex digits"),
        (f"sha256:{HEX[:-1]}\n", "hex digits"),
        (f"sha256:{HEX[:-1]}\u0663", "hex digits"),
        (f"sha256:../../{HEX[6:]}", "hex digits"),
        (f"sha256::{HEX[1:]}", "hex digits"),
        (f" sha256:{HEX}", "unknown algorithm"),
    ],
)
def test_anything_else_is_refused_with_its_text_and_the_reason(text: str, reason: str) -> None:
    with pytest.raises(DigestError, match=reason) as caught:
        Digest.parse(text)
    assert isinstance(caught.value, ContentError)
    assert caught.value.text == text


def test_an_error_stays_short_and_on_one_line_whatever_the_text() -> None:
    with pytest.raises(DigestError) as caught:
        Digest.parse("a\n" * 100_000)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_a_link_holds_a_digest_and_not_a_byte_more() -> None:
    assert str(Digest.parse_link(SHA256.encode())) == SHA256


@pytest.mark.parametrize(
    "content",
    [
        b"",
        SHA256.encode() + b"\n",
        b"\n" + SHA256.encode(),
        SHA256.encode() + b"\0",
        SHA256.encode().replace(b"sha256", b"\xff\xfe"),
        b"../../../etc/passwd",
        b"/etc/shadow",
        b"\0" * 71,
        b"sha512:" + b"a" * 129,
        b"x" * 1_000_000,
    ],
)
def test_a_link_with_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(DigestError):
        Digest.parse_link(content)


def test_the_digest_of_bytes_is_their_hash() -> None:
    assert Digest.of(b"x") == Digest.parse(SHA256)
    assert Digest.of(b"x", "sha512").hex == hashlib.sha512(b"x").hexdigest()


def test_digests_are_values() -> None:
    assert Digest.parse(SHA256) == Digest.parse(SHA256)
    assert len({Digest.parse(SHA256), Digest.parse(SHA256), Digest.of(b"y")}) == 2
    with pytest.raises(AttributeError):
        Digest.parse(SHA256).hex = "0"  # type: ignore[misc]


def test_the_short_form_is_dockers() -> None:
    assert Digest.parse(SHA256).short == HEX[:12]


@pytest.mark.parametrize(("algorithm", "known"), [("sha256", True), ("sha512", True), ("nosuch", False)])
def test_a_digest_tells_whether_this_machine_can_compute_its_algorithm(algorithm: str, known: bool) -> None:
    assert Digest(algorithm, HEX).computable is known
