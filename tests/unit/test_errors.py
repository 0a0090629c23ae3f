"""Errors of a storage say where and why, and each of both by itself."""

from __future__ import annotations

import pickle

import pytest

from regfs.errors import (
    MissingError,
    StoreAwayError,
    StoreError,
    TooLargeError,
    UnreadableError,
    UnsafeError,
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MissingError("a/b"), "not in the store"),
        (MissingError(""), "not in the store"),
        (UnsafeError("a: b", "FIFO", "file"), "is a FIFO, not a file; it is not followed"),
        (TooLargeError("a\n", 5, 4), "has 5 bytes, at most 4 are possible here"),
        (UnreadableError("a", "no\x1b", 13, denied=True), "no\\x1b"),
        (StoreAwayError("a", "the store is away", 5), "the store is away"),
    ],
)
def test_the_reason_is_what_is_said_without_the_path(error: StoreError | StoreAwayError, reason: str) -> None:
    assert error.reason == reason
    place = error.path.replace("\n", "\\n") or "."
    assert str(error) == f"{place}: {reason}"
    assert pickle.loads(pickle.dumps(error)).reason == reason


def test_an_error_about_another_path_is_the_same_otherwise() -> None:
    error = UnreadableError("d/f", "Permission denied", 13, denied=True).at("a/d/f")
    assert (str(error), error.path, error.reason) == (
        "a/d/f: Permission denied",
        "a/d/f",
        "Permission denied",
    )
    assert isinstance(error, UnreadableError)
    assert (error.errno, error.denied) == (13, True)
