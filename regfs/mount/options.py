"""The `-o` options of a mount: which there are, what they mean, and which are not for regfs.

regfs's own come first; those that only mount(8) and fstab(5) care about are taken and dropped; libfuse's
own are passed on (mount.fuse(8)). Each other one is an error that names it.
"""

from __future__ import annotations

import difflib
import enum
import grp
import math
import os
import pwd
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from regfs.amounts import read_duration, read_size
from regfs.errors import OptionError
from regfs.layers import CACHE_SIZE, MAX_LAYER_SIZE
from regfs.oci import Platform
from regfs.oci.names import read_registry

#: Seconds for which links and listings are believed, unless asked otherwise.
DEFAULT_TTL = 10.0

#: The same of an object store. There to see whether anything has changed is a LIST: it costs money, and takes
#: as long as to list a thousand files.
OBJECTS_TTL = 300.0

#: What mount(8), mount.fuse(8) or systemd put in; `rw`, `suid` and `dev` come by default from there, and
#: a regfs mount is `ro,nosuid,nodev` all the same.
_DROPPED = frozenset(
    {
        "ro",
        "rw",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "defaults",
        "auto",
        "noauto",
        "nofail",
        "_netdev",
        "user",
        "users",
        "nouser",
        "owner",
        "group",
        # Of the kernel's options on times and the like, libfuse 2 knows only those passed on below; to a
        # file system that never writes they mean nothing.
        "relatime",
        "norelatime",
        "strictatime",
        "nostrictatime",
        "diratime",
        "nodiratime",
        "lazytime",
        "nolazytime",
        "silent",
        "loud",
    }
)
_DROPPED_PREFIXES = ("x-", "X-", "comment=", "user=")

_PASSED_FLAGS = frozenset(
    {
        "allow_root",
        "auto_unmount",
        "nonempty",
        "default_permissions",
        "exec",
        "noexec",
        "atime",
        "noatime",
        "async",
        "sync",
        "dirsync",
        "async_read",
        "sync_read",
        "large_read",
        "intr",
        "noforget",
    }
)
_PASSED_VALUES = frozenset(
    {
        "max_read",
        "max_readahead",
        "max_background",
        "congestion_threshold",
        "attr_timeout",
        "entry_timeout",
        "negative_timeout",
        "ac_attr_timeout",
        "remember",
        "intr_signal",
    }
)

_CACHED = "regfs decides at each open what the kernel may keep, or a moved tag would show old bytes"

_REFUSED = {
    "kernel_cache": _CACHED,
    "auto_cache": _CACHED,
    "direct_io": _CACHED,
    "use_ino": "always on",
    "readdir_ino": "always on, as use_ino",
    "subtype": "is always regfs",
}

#: (uid_t) -1 means "no change" to chown(2), and is nobody's number.
_NOBODY_AT_ALL = 0xFFFFFFFF

_OWN = (
    "ttl",
    "platform",
    "uid",
    "gid",
    "umask",
    "owner",
    "cache_size",
    "max_layer_size",
    "partial",
    "allow_other",
    "views",
    "fsname",
    "log_file",
    "follow_symlinks",
    "registry",
    "endpoint",
    "region",
    "anonymous",
    "timeout",
    "credentials",
    "session",
)

#: Seconds that anybody may be made to wait for a store that does not answer.
_LONGEST_TIMEOUT = 600

#: Whose the files inside an image are: as the image says, or the mounting user's.
_OWNERS = {"image": True, "me": False}


class Session(enum.Enum):
    """What answers the kernel: our own session or fusepy's, or the first that can be had."""

    AUTO = "auto"
    KERNEL = "kernel"
    FUSEPY = "fusepy"


@dataclass(slots=True)
class MountOptions:
    """What the options say. `ttl` in seconds, sizes in bytes; `libfuse` goes there as it is.

    `fsname` is what the mount shows as its source, if not the store. `registry` is the host that images are
    named after for other tools, or empty. `endpoint` and what follows is how an object store is reached;
    `credentials` is the path of a file.
    """

    uid: int
    gid: int
    umask: int = 0
    ttl: float = DEFAULT_TTL
    platform: Platform = field(default_factory=lambda: this_machine())
    image_owners: bool = True
    cache_size: int = CACHE_SIZE
    max_layer_size: int = MAX_LAYER_SIZE
    partial: bool = False
    allow_other: bool = False
    views: bool = False
    fsname: str | None = None
    log_file: str | None = None
    follow_symlinks: bool = False
    registry: str = ""
    endpoint: str = ""
    region: str = ""
    anonymous: bool = False
    timeout: float | None = None
    credentials: str = ""
    session: Session = Session.AUTO
    libfuse: dict[str, str | bool] = field(default_factory=dict)

    @property
    def for_objects(self) -> str:
        """Name an option that was given and is for object stores; "" if none was."""
        given = {
            "endpoint": self.endpoint,
            "region": self.region,
            "anonymous": self.anonymous,
            "timeout": self.timeout is not None,
            "credentials": self.credentials,
        }
        return next((name for name, value in given.items() if value), "")

    @property
    def nonempty(self) -> bool:
        """Whether the mountpoint may hold files."""
        return "nonempty" in self.libfuse


def this_machine() -> Platform:
    """Tell the platform that regfs runs on."""
    uname = os.uname()
    return Platform.of_machine(uname.sysname, uname.machine)


def parse_options(texts: Iterable[str], *, uid: int, gid: int, ttl: float = DEFAULT_TTL) -> MountOptions:
    """Read the arguments of all `-o`. `uid` and `gid` are the mounting user's. Raises OptionError.

    `ttl` is that of a mount for which none is given.
    """
    options = MountOptions(uid=uid, gid=gid, ttl=ttl)
    given = [option for text in texts for option in _split(text)]
    if "remount" in given:  # comes with all that /proc/mounts shows
        raise OptionError("remount", "a mounted regfs takes no new options; unmount it and mount it again")
    for option in given:
        _apply(options, option)
    if options.allow_other and "allow_root" in options.libfuse:
        raise OptionError("allow_root", "lets root alone in, and allow_other everybody: choose one")
    if options.allow_other:
        options.libfuse["allow_other"] = True
        options.libfuse["default_permissions"] = True
    return options


def _split(text: str) -> Iterator[str]:
    """Split at commas; a backslash takes the next character as it is, as in libfuse."""
    for option in re.findall(r"(?:\\.|[^,\\])+", text):
        yield re.sub(r"\\(.)", r"\1", option)


def _apply(options: MountOptions, option: str) -> None:
    name, equals, value = option.partition("=")
    if option in _DROPPED or option.startswith(_DROPPED_PREFIXES):
        return
    if name in _REFUSED:
        raise OptionError(name, _REFUSED[name])
    if name == "allow_other" and not equals:
        options.allow_other = True
    elif name in ("views", "follow_symlinks", "partial", "anonymous") and not equals:
        setattr(options, name, True)
    elif name in _PASSED_FLAGS and not equals:
        options.libfuse[name] = True
    elif name in _PASSED_VALUES and value.replace(".", "", 1).isdigit():
        options.libfuse[name] = value
    elif name in _OWN and value:
        _apply_own(options, name, value)
    elif name in _OWN or name in _PASSED_VALUES:
        raise OptionError(
            name, f"needs another value than {value!r}" if equals else f"needs a value: {name}=…"
        )
    elif name in _PASSED_FLAGS:
        raise OptionError(name, "takes no value")
    else:
        known = [*_OWN, *_PASSED_FLAGS, *_PASSED_VALUES]
        close = difflib.get_close_matches(name, known, 1)
        raise OptionError(
            name, f"unknown; did you mean {close[0]}?" if close else "unknown (see regfs mount --help)"
        )


def _apply_own(options: MountOptions, name: str, value: str) -> None:
    try:
        match name:
            case "ttl":
                options.ttl = read_ttl(value)
            case "platform":
                options.platform = Platform.parse(value)
            case "uid":
                options.uid = _owner(value, lambda name: pwd.getpwnam(name).pw_uid)
            case "gid":
                options.gid = _owner(value, lambda name: grp.getgrnam(name).gr_gid)
            case "umask":
                options.umask = _umask(value)
            case "owner":
                options.image_owners = _owner_of_images(value)
            case "cache_size":
                options.cache_size = read_size(value)
            case "max_layer_size":
                options.max_layer_size = read_size(value)
            case "fsname":
                options.fsname = value
            case "log_file":
                options.log_file = value
            case "endpoint" | "region" | "credentials":
                setattr(options, name, value)
            case "timeout":
                options.timeout = _timeout(value)
            case "session":
                options.session = _session(value)
            case "registry":
                options.registry = read_registry(value)
            case _:
                raise ValueError("takes no value")
    except (ValueError, KeyError, OverflowError) as error:
        raise OptionError(name, str(error.args[0] if error.args else error)) from error


def read_ttl(value: str) -> float:
    """Read how long something is believed, in seconds: a duration, or inf. Raises ValueError."""
    if value == "inf":
        return math.inf
    try:
        return read_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}; inf for a store that never changes") from error


def _timeout(value: str) -> float:
    seconds = read_ttl(value)
    if not 1 <= seconds <= _LONGEST_TIMEOUT:
        raise ValueError(f"{value!r} is not from 1 to {_LONGEST_TIMEOUT} seconds")
    return seconds


def _owner(value: str, look_up: Callable[[str], int]) -> int:
    number = int(value) if value.isdecimal() else look_up(value)
    if number >= _NOBODY_AT_ALL:
        raise ValueError(f"{value} is more than the kernel's {_NOBODY_AT_ALL - 1}")
    return number


def _owner_of_images(value: str) -> bool:
    if value not in _OWNERS:
        raise ValueError(f"{value!r} is neither {' nor '.join(_OWNERS)}")
    return _OWNERS[value]


def _session(value: str) -> Session:
    try:
        return Session(value)
    except ValueError:
        raise ValueError(f"{value!r} is none of {', '.join(one.value for one in Session)}") from None


def _umask(value: str) -> int:
    if not re.fullmatch(r"[0-7]{1,4}", value):
        raise ValueError(f"{value!r} is not an octal number such as 077")
    return int(value, 8) & 0o777
