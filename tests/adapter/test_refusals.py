"""What fails, and how: every way to write, every class of error, and what nobody thought of."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from regfs import errors
from regfs.errors import RegfsError
from regfs.storage.objects.bucket import OddKeyError
from tests.builder import StoreBuilder

if TYPE_CHECKING:
    from tests.adapter.calls import Calls

PATH = b"/app/1.0/config.json"

#: Every call of libfuse 2 that changes something, with arguments as fusepy gives them.
WRITES: list[tuple[str, tuple[object, ...]]] = [
    ("mknod", (PATH, 0o100644, 0)),
    ("mkdir", (b"/new", 0o755)),
    ("unlink", (PATH,)),
    ("rmdir", (b"/app",)),
    ("symlink", (b"target", b"/new")),
    ("rename", (PATH, b"/new")),
    ("link", (PATH, b"/new")),
    ("chmod", (PATH, 0o777)),
    ("chown", (PATH, 0, 0)),
    ("truncate", (PATH, 0)),
    ("write", (PATH, None, 5, 0, None)),
    ("setxattr", (PATH, b"user.regfs.digest", None, 0, 0)),
    ("removexattr", (PATH, b"user.regfs.digest")),
    ("create", (b"/new", 0o644, None)),
    ("ftruncate", (PATH, 0, None)),
    ("utimens", (PATH, None)),
]


@pytest.mark.parametrize(("call", "arguments"), WRITES, ids=[name for name, _ in WRITES])
def test_every_way_to_write_is_erofs(
    store: StoreBuilder, calls: Calls, call: str, arguments: tuple[object, ...]
) -> None:
    store.image("app", "1.0")
    assert calls.call(call, *arguments) == -errno.EROFS


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND])
def test_to_open_for_writing_is_erofs_and_opens_nothing(
    store: StoreBuilder, calls: Calls, flags: int
) -> None:
    store.image("app", "1.0")
    before = len(os.listdir("/proc/self/fd"))
    assert calls.open(PATH, flags) == -errno.EROFS
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDONLY | os.O_NOATIME])
def test_to_open_for_reading_is_not(store: StoreBuilder, calls: Calls, flags: int) -> None:
    store.image("app", "1.0")
    info = calls.open(PATH, flags)
    assert calls.call("release", PATH, info) == 0


def test_every_call_that_libfuse_is_offered_is_regfs_own(libfuse: None) -> None:
    """One that fell through to fusepy would decode, convert, and answer EINVAL to what it does not know."""
    import fuse

    from regfs.mount.portable.dispatch import Dispatch, Supported

    offered = [
        name
        for name, *_ in fuse.fuse_operations._fields_
        if callable(getattr(Supported(), name.removeprefix("f") if name == "ftruncate" else name, None))
    ]
    assert {"getattr", "read", "readdir", "open", "getxattr", "write", "rename"} <= set(offered)
    assert [name for name in offered if name not in vars(Dispatch)] == []


def leaves(root: type[RegfsError]) -> list[type[RegfsError]]:
    below = root.__subclasses__()
    return [leaf for each in below for leaf in leaves(each)] if below else [root]


NUMBERS = {
    errors.NoEntryError("p"): errno.ENOENT,
    errors.NameTooLongError("p"): errno.ENAMETOOLONG,
    errors.MissingError("p"): errno.ENOENT,
    errors.NotDirectoryError("p"): errno.ENOTDIR,
    errors.IsDirectoryError("p"): errno.EISDIR,
    errors.IndexFileError("damaged"): errno.EIO,
    errors.ReplacedError("regfs.layers.layers"): errno.EIO,
    errors.NotKnownError("p", "gone"): errno.EIO,
    errors.NoFileSystemError("p", "text/plain"): errno.EIO,
    errors.NotSymlinkError("p"): errno.EINVAL,
    errors.NoAttributeError("p", "n"): errno.ENODATA,
    errors.NoNamespaceError("p", "n"): errno.ENOTSUP,
    errors.LoopError("p"): errno.ELOOP,
    errors.ForgottenError("p"): errno.ESTALE,
    errors.BadRequestError("p"): errno.EINVAL,
    errors.GivenUpError("layer d"): errno.EINTR,
    errors.NoRoomError("p", "full"): errno.ENOSPC,
    errors.LayerError("cut short"): errno.EIO,
    errors.LayerLimitError("too many entries"): errno.EIO,
    errors.LayerProcessError("killed"): errno.EIO,
    errors.UnreadableError("p", "denied", errno.EACCES, denied=True): errno.EACCES,
    errors.UnreadableError("p", "stale", errno.ESTALE, denied=False): errno.EIO,
    errors.StoreAwayError("p", "gone", errno.ENOTCONN): errno.EIO,
    errors.StoreAwayError("p", "too many", errno.EMFILE): errno.EMFILE,
    errors.StoreGoneError("/srv", "2026-01-01 00:00:00", errno.EIO): errno.EIO,
    errors.DigestError("x", "empty"): errno.EIO,
    errors.ManifestError("x"): errno.EIO,
    errors.ConfigError("x"): errno.EIO,
    errors.StoreNotFoundError("p", "gone"): errno.EIO,
    errors.StoreError("p", "odd name"): errno.EIO,
    errors.UnsafeError("p", "FIFO", "file"): errno.EIO,
    OddKeyError("p"): errno.EIO,
    errors.TooLargeError("p", 9, 8): errno.EIO,
    errors.LinkError("p", "empty"): errno.EIO,
    errors.BlobMissingError("d"): errno.EIO,
    errors.SizeError("d", 1, 2): errno.EIO,
    errors.MismatchError("d", "e"): errno.EIO,
    errors.NestingError("d", 16): errno.EIO,
    errors.IncompleteError("app:1.0", ["layer 00"]): errno.EIO,
}


def test_the_table_below_names_every_error_that_can_come_up_in_a_mount() -> None:
    usage = set(leaves(errors.UsageError))
    assert set(leaves(RegfsError)) - usage <= {type(error) for error in NUMBERS}


@pytest.mark.parametrize(
    ("error", "number"),
    NUMBERS.items(),
    ids=[f"{type(error).__name__}-{number}" for error, number in NUMBERS.items()],
)
def test_each_error_becomes_its_errno_and_is_logged_unless_the_question_was_wrong(
    calls: Calls, caplog: pytest.LogCaptureFixture, error: RegfsError, number: int
) -> None:
    def fail(_path: bytes) -> NoReturn:
        raise error

    caplog.set_level(logging.DEBUG)
    assert calls.dispatch._wrapper(fail, b"/app/\xff") == -number
    asked_wrongly = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENODATA, errno.EINVAL}
    asked_wrongly |= {errno.ENAMETOOLONG}
    # And who gave up hears no answer; who was sent back asks again.
    asked_wrongly |= {errno.ENOTSUP, errno.EINTR, errno.ESTALE}
    # The store itself has said that it is gone.
    said = isinstance(error, errors.StoreGoneError)
    assert bool(caplog.records) is (number not in asked_wrongly and not said)
    for record in caplog.records:
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert str(error) in record.getMessage()
        assert "/app/\\xff" in record.getMessage()


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("odd"), OSError(5, "odd"), KeyboardInterrupt(), SystemExit(3)]
)
def test_an_unexpected_error_is_eio_with_its_traceback_in_the_log_and_raises_nothing(
    calls: Calls, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def odd_function(_path: bytes) -> NoReturn:
        raise error

    assert calls.dispatch._wrapper(odd_function, b"/app") == -errno.EIO
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "odd_function" in caplog.text
    assert "Traceback" in caplog.text


def test_what_is_expected_to_be_absent_is_not_logged(
    store: StoreBuilder, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    """Shells and file managers ask for names such as `.git` all the time."""
    store.image("app", "1.0")
    caplog.set_level(logging.DEBUG)
    for path in (
        b"/.git",
        b"/app/.Trash-1000",
        b"/app/autorun.inf",
        b"/app/1.0/.hidden",
        b"/app/" + b"x" * 300,
    ):
        assert calls.getattr(path) < 0
    assert caplog.records == []


def test_damage_is_logged_with_the_path_and_the_reason(
    store: StoreBuilder, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    layer = store.blob(b"x", "x/y")
    store.image("app", "1.0", [layer])
    store.data(layer.digest).unlink()
    assert calls.open(b"/app/1.0/layers/00.bin") == -errno.EIO
    (record,) = caplog.records
    assert record.getMessage() == f"/app/1.0/layers/00.bin: blob {layer.digest} is not stored"


def test_init_tells_that_the_mount_is_ready_and_destroy_does_nothing(calls: Calls) -> None:
    told: list[bool] = []
    calls.dispatch._ready = lambda: told.append(True)
    assert calls.call("init", None) == 0
    assert calls.call("destroy", None) == 0
    assert told == [True]
