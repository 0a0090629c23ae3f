"""Every error that regfs raises on purpose, and nothing else.

    RegfsError
    ├── ContentError              bytes that are not what their place says (oci)
    │   ├── DigestError
    │   ├── ManifestError
    │   └── ConfigError
    ├── StoreError                the storage cannot give what was asked (store)
    │   ├── StoreNotFoundError    no registry storage at that path
    │   ├── MissingError          nothing has that name in the store
    │   ├── UnsafeError           a symlink, FIFO, device where a file or directory belongs
    │   ├── TooLargeError         larger than such a file can be
    │   └── UnreadableError       the operating system refused; `errno` tells why
    ├── StoreAwayError            no part of the storage can be read just now (store)
    │   └── StoreGoneError        no store is at its path any more
    ├── DamageError               stored, but not as what refers to it says (graph)
    │   ├── LinkError             a link that holds no digest
    │   ├── BlobMissingError
    │   ├── SizeError
    │   ├── MismatchError         content of another digest
    │   ├── IncompleteError       an image that lacks blobs
    │   └── NestingError          indexes nested deeper than any tool builds them
    ├── NotKnownError             what was asked about is not in the store (graph)
    │   └── NoFileSystemError     it is an artifact, whose layers are no file system (tree)
    ├── LayerError                what cannot be read inside a layer (layers)
    │   ├── LayerLimitError       it would take more than is allowed: entries, bytes, length of a name
    │   └── LayerProcessError     the process that read it ended without an answer; the next may do better
    ├── NoRoomError               what has to be kept cannot be: the disk is full (layers, tree)
    ├── GivenUpError              who asked gave up before there was an answer (layers)
    ├── IndexFileError            the reference graph's index cannot be read; it is built anew (graph)
    ├── TreeError                 a path of the mounted tree that leads nowhere (tree)
    │   ├── NoEntryError
    │   │   └── NameTooLongError  longer than a name can be
    │   ├── NotDirectoryError
    │   ├── IsDirectoryError
    │   ├── NotSymlinkError
    │   ├── NoAttributeError
    │   │   └── NoNamespaceError  no attribute of that kind exists: do not ask for others
    │   ├── LoopError
    │   └── ForgottenError        of a node that is known no more (mount)
    ├── BadRequestError           what the kernel asked cannot be understood (mount)
    ├── ReplacedError             regfs was upgraded or removed under this process, which lacks a part (later)
    └── UsageError                what a person asked for cannot be done; says what to do (mount, cli)
        ├── OptionError
        ├── MountpointError
        ├── RequirementError
        ├── PasswordFileError     a file of passwords that cannot be used (serve)
        ├── RuleError             a rule of `reclaim` that cannot match anything (graph)
        ├── PolicyError           a policy of `reclaim` that cannot be read (graph)
        └── PlanError             a plan of `reclaim` that is none, or of another store (graph)

`str()` of each is one printable line for a person, whatever it quotes. The fields are for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def printable(text: str) -> str:
    """Give text that cannot disturb a terminal or a line: what is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(
        part if part.isprintable() else part.encode("unicode_escape").decode("ascii") for part in text
    )


class RegfsError(Exception):
    """The root: catch this to catch all that regfs raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle, for another process, what was made: the leaves' constructors take other arguments."""
        return remake, (type(self), self.args, self.__dict__)


def remake(kind: type[RegfsError], args: tuple[object, ...], fields: Mapping[str, object]) -> RegfsError:
    """Make an error of its class, text and fields, past the constructor, which takes other arguments."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class ContentError(RegfsError):
    """Bytes that are not what their place in the store says they are."""


class DigestError(ContentError):
    """Text that is no digest. `text` is what was there, shortened."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text if len(text) <= 160 else text[:160] + "…"
        self.reason = reason
        super().__init__(f"not a digest: {self.text!r}: {reason}")


class ManifestError(ContentError):
    """Bytes that are no manifest of any known form."""


class ConfigError(ContentError):
    """Bytes that are no image config."""


class StoreError(RegfsError):
    """The storage cannot give what was asked: `path` is relative to the store, `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = printable(reason)
        super().__init__(_said_of(path, reason))

    def at(self, path: str) -> StoreError:
        """Give the same about another path: a name for the same place, or for one that holds it."""
        again = remake(type(self), (printable(_said_of(path, self.reason)),), {**self.__dict__, "path": path})
        assert isinstance(again, StoreError)  # noqa: S101 - as it was
        return again


def _said_of(path: str, reason: str) -> str:
    return f"{path or '.'}: {reason}"


class StoreNotFoundError(StoreError):
    """There is no registry storage at `path`."""


class MissingError(StoreError):
    """Nothing has that name in the store."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "not in the store")


class UnsafeError(StoreError):
    """Something other than a plain file or directory stands there. `got` names its type."""

    def __init__(self, path: str, got: str, want: str) -> None:
        self.got = got
        self.want = want
        said = f"is a {got}, not a {want}; it is not followed"
        if (got, want) == ("symbolic link", "directory"):
            said += ". Mount its target there (mount --bind), or use follow_symlinks"
        super().__init__(path, said)


class TooLargeError(StoreError):
    """A file larger than its place allows. Sizes in bytes."""

    def __init__(self, path: str, got: int, limit: int) -> None:
        self.got = got
        self.limit = limit
        super().__init__(path, f"has {got} bytes, at most {limit} are possible here")


class UnreadableError(StoreError):
    """The operating system refused. `errno` is its number, `denied` whether for lack of permission."""

    def __init__(self, path: str, reason: str, number: int, *, denied: bool) -> None:
        self.errno = number
        self.denied = denied
        super().__init__(path, reason)


class StoreAwayError(RegfsError):
    """Nothing can be read just now: the store's server is gone, or this process may open no more files.

    It says nothing of what lies at `path`, relative to the store. So it is no StoreError, which shows what
    stands there as damaged or missing: nothing may be concluded from it. `errno` is the system's number,
    `reason` says why, without the path.
    """

    def __init__(self, path: str, reason: str, number: int) -> None:
        self.path = path
        self.errno = number
        self.reason = printable(reason)
        super().__init__(_said_of(path, reason))


class StoreGoneError(StoreAwayError):
    """No store is at `path` any more, which is absolute here. The log has said so, once; `since` is when."""

    def __init__(self, path: str, since: str, number: int) -> None:
        self.since = since
        super().__init__(path, f"no store is there any more, since {since}; bring it back", number)


class DamageError(RegfsError):
    """Something is stored, but not as what refers to it says."""


class LinkError(DamageError):
    """A link file that holds no digest. `path` is relative to the store."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class BlobMissingError(DamageError):
    """A blob that something names is not stored."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(f"blob {digest} is not stored")


class SizeError(DamageError):
    """A blob is stored with another size, in bytes, than what refers to it says."""

    def __init__(self, digest: str, got: int, want: int) -> None:
        self.digest = digest
        self.got = got
        self.want = want
        super().__init__(f"blob {digest} has {got} bytes, the manifest says {want}")


class MismatchError(DamageError):
    """A blob's content has another digest than its name."""

    def __init__(self, digest: str, got: str) -> None:
        self.digest = digest
        self.got = got
        super().__init__(f"blob {digest} is damaged: its content is {got}")


class IncompleteError(DamageError):
    """An image that is not given, for it lacks blobs. `lacks` says which, in words."""

    def __init__(self, what: str, lacks: Sequence[str]) -> None:
        self.what = what
        self.lacks = lacks
        super().__init__(f"{what}: damaged, so nothing is written; it lacks {'; '.join(lacks)}")


class NestingError(DamageError):
    """Indexes nested deeper than `limit`."""

    def __init__(self, digest: str, limit: int) -> None:
        self.digest = digest
        self.limit = limit
        super().__init__(f"index {digest} is nested more than {limit} deep")


class NotKnownError(RegfsError):
    """There is no such thing in the store, or none of that kind. `what` is what was asked about."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        super().__init__(f"{what}: {reason}")


class NoFileSystemError(NotKnownError):
    """What was asked about is an artifact: its layers are no file system. `media_type` tells what it is."""

    def __init__(self, what: str, media_type: str) -> None:
        self.media_type = media_type
        super().__init__(what, f"no file system: {media_type or 'an artifact of no media type'}")


class LayerError(RegfsError):
    """A layer is not what it should be: its compression is damaged, its tar cut short. `reason` says what."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class LayerLimitError(LayerError):
    """A layer would take more than regfs allows: of entries, of bytes for each stored one, of a name."""


class LayerProcessError(LayerError):
    """The process that read a layer was killed or failed. It says nothing of the layer: ask again."""


class NoRoomError(RegfsError):
    """What is worth keeping cannot be kept: `path` has no room left, or cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: nothing can be kept there: {reason}")


class GivenUpError(RegfsError):
    """Who asked gave up, or the layers were closed, before there was an answer. `what` was waited for."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what}: nobody waits for it any more")


class IndexFileError(RegfsError):
    """The index could not be read or written. It is given up: the next question builds it anew."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the index of the store cannot be used ({reason}); ask again: it is built anew")


class TreeError(RegfsError):
    """A path of the mounted tree that does not lead where it was used for."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}")


class NoEntryError(TreeError):
    """The tree has no such name."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "no such file or directory")


class NameTooLongError(NoEntryError):
    """The tree has no such name, and no file system could have it."""


class NotDirectoryError(TreeError):
    """A file was used as a directory."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "not a directory")


class IsDirectoryError(TreeError):
    """A directory was used as a file."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "is a directory")


class NotSymlinkError(TreeError):
    """Something else was read as a symlink."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "not a symbolic link")


class NoAttributeError(TreeError):
    """The node has no extended attribute of that name."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        super().__init__(path, f"no extended attribute {name}")


class NoNamespaceError(NoAttributeError):
    """The node can have no extended attribute of that namespace (xattr(7))."""


class LoopError(TreeError):
    """Symlinks that lead round in a circle."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "too many levels of symbolic links")


class ForgottenError(TreeError):
    """A node that the kernel asks about is known no more: it was forgotten, or never told."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "is known no more")


class BadRequestError(RegfsError):
    """What the kernel asked cannot be understood: it is too short, or says what it is not."""


class ReplacedError(RegfsError):
    """regfs was upgraded or removed since this process began, and `part` of it was not loaded yet."""

    def __init__(self, part: str) -> None:
        self.part = part
        super().__init__(
            f"regfs was upgraded or removed since this process began, and {part} is not loaded: start it anew"
        )


class UsageError(RegfsError):
    """What a person asked for cannot be done. The text says what to do."""


class OptionError(UsageError):
    """A wrong `-o` option. `option` is its name."""

    def __init__(self, option: str, reason: str) -> None:
        self.option = option
        super().__init__(f"option {option}: {reason}")


class MountpointError(UsageError):
    """A mountpoint that cannot be used. `path` is the mountpoint."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"mountpoint {path}: {reason}")


class RequirementError(UsageError):
    """Something that the machine lacks. `missing` names it."""

    def __init__(self, missing: str, reason: str) -> None:
        self.missing = missing
        super().__init__(reason)


class PasswordFileError(UsageError):
    """A file of names and passwords that cannot be used. `path` is the file."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class RuleError(UsageError):
    """A rule that cannot match anything. `rule` is its text."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule = rule
        super().__init__(printable(f"{rule!r} {reason}"))


class PolicyError(UsageError):
    """A file of rules that cannot be read as such. `place` is its name, and where in it."""

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        super().__init__(f"{place}: {reason}")


class PlanError(UsageError):
    """A file that is no whole plan, or no plan of this store. `path` is the file's."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")
