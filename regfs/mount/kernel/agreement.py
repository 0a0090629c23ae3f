"""What a mount and the kernel agree on, by the INIT message that opens each connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from regfs.mount.kernel import wire
from regfs.mount.kernel.wire import Agreed, Flag, Offered

#: What is wanted where the kernel offers it. READDIRPLUS for each listing and not now and then (AUTO): to
#: look at many names at once is what is fast. INIT_EXT: there are flags beyond 32.
_WANTED = (
    Flag.ASYNC_READ
    | Flag.SPLICE_WRITE
    | Flag.SPLICE_MOVE
    | Flag.SPLICE_READ
    | Flag.AUTO_INVAL_DATA
    | Flag.DO_READDIRPLUS
    | Flag.PARALLEL_DIROPS
    | Flag.MAX_PAGES
    | Flag.CACHE_SYMLINKS
    | Flag.NO_OPENDIR_SUPPORT
    | Flag.INIT_EXT
)

#: Nothing is written: the least that the kernel takes.
_MAX_WRITE = 4096

#: Pages of one READ, 1 MiB; bytes that the kernel reads ahead.
_MAX_PAGES = 256
_READ_AHEAD = 1 << 20

#: Requests of read-ahead that may wait at once: 12 that hang on one slow disk would stop all others.
_BACKGROUND, _CONGESTION = 200, 150

#: File systems that may be stacked on this one, less one: what passthrough wants to know.
_STACK = 1


class Settings(NamedTuple):
    """What a mount's options say of the connection; None: as it is best."""

    passthrough: bool
    async_read: bool = True
    max_readahead: int | None = None
    max_background: int | None = None
    congestion_threshold: int | None = None

    @classmethod
    def of_options(cls, options: Mapping[str, str | bool], *, passthrough: bool) -> Settings:
        """Read them from the options that libfuse knows."""

        def number(name: str) -> int | None:
            value = options.get(name)
            return int(float(value)) if isinstance(value, str) else None

        return cls(
            passthrough,
            not options.get("sync_read"),
            number("max_readahead"),
            number("max_background"),
            number("congestion_threshold"),
        )


def acceptable(offered: Offered) -> bool:
    """Tell whether a kernel speaks what is spoken here."""
    return offered.major == wire.MAJOR and offered.minor >= wire.OLDEST_MINOR


def agree(offered: Offered, settings: Settings) -> Agreed:
    """Choose from what a kernel offers."""
    flags = _WANTED & offered.flags
    if not settings.async_read:
        flags &= ~Flag.ASYNC_READ
    stack = 0
    if settings.passthrough and Flag.PASSTHROUGH in offered.flags:
        flags |= Flag.PASSTHROUGH
        stack = _STACK

    def chosen(value: int | None, otherwise: int) -> int:
        return otherwise if value is None else min(value, 0xFFFF)

    background = chosen(settings.max_background, _BACKGROUND)
    ahead = _READ_AHEAD if settings.max_readahead is None else settings.max_readahead
    return Agreed(
        min(offered.minor, wire.MINOR),
        flags,
        min(ahead, offered.max_readahead) if offered.max_readahead else ahead,
        background,
        chosen(settings.congestion_threshold, min(_CONGESTION, max(1, background * 3 // 4))),
        _MAX_WRITE,
        _MAX_PAGES if Flag.MAX_PAGES in flags else 0,
        stack,
    )


def stateless(agreed: Agreed) -> bool:
    """Tell whether the kernel opens no directories once it was told that it need not."""
    return Flag.NO_OPENDIR_SUPPORT in agreed.flags
