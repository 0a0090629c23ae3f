"""The requests to a bucket: what each gives, what its errors mean, and how many there were.

Paths are keys. Safe for many threads. Nobody may fork after the first request.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from regfs.errors import (
    MissingError,
    RegfsError,
    StoreAwayError,
    StoreGoneError,
    TooLargeError,
    UnreadableError,
)
from regfs.storage.objects.address import Address
from regfs.storage.objects.requests import Requests

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Keys in one page of a LIST (S3: at most 1,000; GCS the same, Azure 5,000).
_PAGE = 1000

#: Bytes that are taken out of an answer at once, or a few more.
_PART = 256 << 10

#: Seconds after a store did not answer for which others are not made to wait for it as well.
_AWAY = 2.0

#: Codes of answers that tell nothing of what was asked for: the key, the clock, the session.
_NOT_US = frozenset(
    {
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "RequestTimeTooSkewed",
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
    }
)

_MD5 = re.compile(r"[0-9a-f]{32}")


class Key(NamedTuple):
    """An object: its key, bytes, LastModified in seconds, the ETag without its quotes."""

    path: str
    size: int
    modified: int
    etag: str

    @property
    def md5(self) -> str:
        """What may be the content's MD5; "" for an ETag of another form."""
        return self.etag if _MD5.fullmatch(self.etag) else ""


class Counts(NamedTuple):
    """Requests so far. Pages of a LIST are counted by their keys; attempts that were made again are not."""

    lists: int
    heads: int
    gets: int

    def __str__(self) -> str:
        """Say it for people."""
        return f"{self.lists} LIST, {self.heads} HEAD, {self.gets} GET"


#: What obstore says of them.
_ODD_KEY = "object with invalid path"


#: What it says of an answer that ended too early.
_BROKEN_OFF = "response body error"


class OddKeyError(UnreadableError):
    """A listing holds keys that no path can name, with `//`, `.` or `..` in them: it gives none at all."""

    def __init__(self, path: str) -> None:
        said = "cannot be listed, for it holds keys with an empty part, or with . or .. for one"
        super().__init__(path, f"{said}, which no registry makes", errno.EINVAL, denied=False)


class Bucket:
    """One bucket; `address` is what a person called it by, with a prefix that plays no part here.

    `given_up` tells whether nobody waits any more for the calling thread; None where nobody ever gives up.
    """

    def __init__(
        self,
        address: Address,
        given_up: Callable[[], bool] | None = None,
        connect: Callable[[], ObjectStore] | None = None,
    ) -> None:
        self.address = address
        self.given_up = given_up
        self._connect = connect or address.connect
        self._store: ObjectStore | None = None
        self._lock = threading.Lock()
        self._requests = Requests()
        self._counts: Counter[str] = Counter()
        self._away_until = 0.0
        self._away: StoreAwayError | None = None
        self._gone_since = ""
        #: Whether it ever answered: before that, whoever opens it is told, and no log.
        self._answered = False

    @property
    def counts(self) -> Counts:
        """How many requests there were."""
        return Counts(self._counts["list"], self._counts["head"], self._counts["get"])

    # --- what is asked ------------------------------------------------------------------------------------

    def names(self, path: str) -> tuple[list[str], list[Key]]:
        """List what is right below a path: the prefixes below it, and the objects. Both empty: no such path.

        One LIST for each thousand names. A part of a key that is empty is the prefix "". Raises OddKeyError.
        """

        def ask(store: ObjectStore) -> tuple[list[str], list[Key]]:
            found = store.list_with_delimiter(path or None)
            skip = len(path) + 1 if path else 0
            prefixes = [prefix[skip:] for prefix in found["common_prefixes"]]
            objects = [_key(meta) for meta in found["objects"]]
            self._count("list", len(prefixes) + len(objects))
            # "dir/", which consoles make, shows as "dir", even in the listing of itself.
            return prefixes, [key for key in objects if key.path != path and key.path[skip:] not in prefixes]

        return self._ask(path, ask)

    def keys(self, path: str, offset: str = "", end: str = "") -> list[Key]:
        """List all objects below a path, in no order; one LIST for each thousand.

        `offset` and `end`: only those with keys behind the one and up to the other, where the store lists in
        their order. Raises OddKeyError besides.
        """

        def ask(store: ObjectStore) -> list[Key]:
            found: list[Key] = []
            for page in store.list(path or None, offset=offset or None, chunk_size=_PAGE):
                found += map(_key, page)
                if end and found and found[-1].path > end:
                    break
            self._count("list", len(found))
            return [key for key in found if not end or key.path <= end] if end else found

        return self._ask(path, ask)

    def head(self, path: str) -> Key:
        """Look at one object."""

        def ask(store: ObjectStore) -> Key:
            self._count("head")
            return _key(store.head(path))

        return self._ask(path, ask)

    def get(self, path: str, limit: int) -> tuple[Key, bytes]:
        """Read one object of at most `limit` bytes, and look at it: both of one object."""

        def ask(store: ObjectStore) -> tuple[Key, bytes]:
            self._count("get")
            answer = store.get(path)
            key = _key(answer.meta)
            if key.size > limit:
                raise TooLargeError(path, key.size, limit)
            return key, bytes(answer.bytes())

        return self._ask(path, ask)

    def begin_range(
        self,
        path: str,
        start: int,
        end: int,
        came: Callable[[memoryview], bool],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        """Begin to read the bytes of an object from `start` up to `end`, which are not behind its last.

        `came` is called with each part of them, in another thread, and tells whether more are wanted; at last
        `ended`, with what was wrong. A new request is made for the rest where an answer breaks off.
        """
        at = start

        def ask() -> None:
            nonlocal at
            self._count("get")
            answer = self.connected().get(path, options={"range": (at, end)})
            for part in answer.stream(min_chunk_size=_PART):
                at += len(part)
                if not came(memoryview(part)):
                    break

        def read() -> None:
            error: BaseException | None = None
            try:
                self._translated(path, ask, lambda: at)
            except BaseException as raised:  # noqa: BLE001 - it is raised where the bytes are waited for
                error = raised
            ended(error)

        self._requests.begin(read)

    # --- how ----------------------------------------------------------------------------------------------

    def connected(self) -> ObjectStore:
        """Give what asks, which is made by the first request."""
        with self._lock:
            if self._store is None:
                self._store = self._connect()
            return self._store

    def _count(self, kind: str, keys: int = 0) -> None:
        with self._lock:
            self._counts[kind] += max(1, -(-keys // _PAGE))

    def _ask(self, path: str, ask: Callable[[ObjectStore], T]) -> T:
        """Make one request, in another thread where `Requests` tells why: that costs as much as a request."""

        def translated() -> T:
            return self._translated(path, lambda: ask(self.connected()))

        if self.given_up is None and threading.current_thread() is not threading.main_thread():
            return translated()
        return self._requests.begin(translated).wait(self.given_up, path or str(self.address))

    def _translated(self, path: str, ask: Callable[[], T], so_far: Callable[[], int] = lambda: 0) -> T:
        away = self._away
        if away is not None and time.monotonic() < self._away_until:
            raise StoreAwayError(path, away.reason, away.errno)
        try:
            found = self._until_whole(ask, so_far)
        except RegfsError:
            raise
        except Exception as error:  # noqa: BLE001 - obstore has a class for each store's own
            if _ODD_KEY in str(error):
                raise OddKeyError(path) from None
            told = self._error(path, error)
            if isinstance(told, StoreAwayError) and not isinstance(told, StoreGoneError):
                if self._away is None and self._answered:
                    _log.warning("%s: %s", self.address, told)
                self._away, self._away_until = told, time.monotonic() + _AWAY
            raise told from None  # what obstore says holds all of an answer
        if away is not None:
            self._away = None
            _log.warning("%s: answers again", self.address)
        self._gone_since, self._answered = "", True
        return found

    def _until_whole(self, ask: Callable[[], T], so_far: Callable[[], int]) -> T:
        """Ask; again, if the answer broke off half way: obstore asks again only before it has begun.

        As often as more has come by then, `so_far`; else once, unless it has taken long.
        """
        again = False
        while True:
            began, before = time.monotonic(), so_far()
            try:
                return ask()
            except Exception as error:
                if _BROKEN_OFF not in str(error):
                    raise
                if so_far() == before and (again or time.monotonic() - began > self.address.timeout / 2):
                    raise
                again = so_far() == before

    def _error(self, path: str, error: Exception) -> RegfsError:
        """Give regfs's error for one of obstore's: by its class, the answer's status, and its code."""
        text = str(error)
        first = text.partition("\n")[0]
        code = _first(r"<Code>([A-Za-z]+)</Code>", text)
        status = _first(r"status code: (\d{3})", text)
        if code in ("NoSuchBucket", "ContainerNotFound") or "bucket does not exist" in text:
            return self.gone(f"there is no such bucket ({code})")
        if isinstance(error, FileNotFoundError):
            return MissingError(path)
        if isinstance(error, UnicodeError | ValueError):
            return MissingError(path)  # a name that no key can have
        if code in _NOT_US:
            return StoreAwayError(path, f"the store refuses what regfs signs with ({code})", errno.EACCES)
        denied = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError")
        if code == "InvalidObjectState":
            said = "is archived (InvalidObjectState): it has to be restored before it can be read"
            return UnreadableError(path, said, errno.EIO, denied=False)
        if denied or status in ("401", "403"):
            said = f"the store denies it ({' '.join(filter(None, (status, code))) or 'no permission'})"
            return UnreadableError(path, f"{said}; regfs wants to list and to get", errno.EACCES, denied=True)
        if status in ("301", "307", "308") or code == "PermanentRedirect" or "redirect" in first.lower():
            return StoreAwayError(path, "the bucket is in another region: give it (region=)", errno.EREMOTE)
        said = " ".join(filter(None, (status and f"status {status}", code))) or _short(first)
        return StoreAwayError(path, f"the store is away: {said}", errno.EIO)

    def gone(self, why: str) -> StoreGoneError:
        """Give the error for a store of which nothing is there any more; the log is told once."""
        if not self._gone_since:
            self._gone_since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        if self._answered:
            self._answered = False
            _log.warning("no store is at %s any more: %s; what was known of it is kept", self.address, why)
        return StoreGoneError(str(self.address), self._gone_since, errno.EIO)


def _key(meta: ObjectMeta) -> Key:
    etag = (meta["e_tag"] or "").strip('"')
    return Key(meta["path"], meta["size"], int(meta["last_modified"].timestamp()), etag)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _short(line: str) -> str:
    """Give the end of what obstore says of a failed request: why, without the URL."""
    return re.sub(r"https?://\S+", "", line).rpartition(" - ")[2].strip()[:160]
