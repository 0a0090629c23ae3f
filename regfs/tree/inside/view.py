"""What stands in a layer, and in the layers of an image merged: the questions, which `layered` answers.

A key is what a name stands for; each view has its own kind. Names are bytes. Safe for many threads. Loads
nothing of what reads layers: whoever tells nodes apart needs no more than this.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from regfs.errors import ForgottenError
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.inside.opener import Opener

if TYPE_CHECKING:
    from regfs.layers import Layer
    from regfs.layers.tree import LayerNode, Member, Merged

Key = TypeVar("Key", bound="Member | Merged")


class View(abc.ABC, Generic[Key]):
    """A file system that a layer, or an image, holds. Raises LayerError, and what opening layers does."""

    @property
    def missing(self) -> bytes:
        """What is missing and why, a line for each layer; empty if nothing is."""
        return b""

    @abc.abstractmethod
    def root(self) -> Key:
        """Give the root directory."""

    @abc.abstractmethod
    def find(self, directory: Key, name: bytes) -> Key | None:
        """Find a name in a directory."""

    @abc.abstractmethod
    def children(self, directory: Key) -> Sequence[tuple[bytes, Key]]:
        """List a directory."""

    @abc.abstractmethod
    def listing(self, directory: Key) -> Sequence[tuple[bytes, Key, LayerNode | None]]:
        """List a directory with what stands there, None where only `node` can tell that, or why not."""

    @abc.abstractmethod
    def node(self, key: Key) -> LayerNode:
        """Read what stands there."""

    @abc.abstractmethod
    def xattrs(self, key: Key) -> dict[bytes, bytes]:
        """Read its extended attributes."""

    def origin(self, key: Key) -> Mapping[str, str]:
        """Tell which layer something is from, as extended attributes that no listing has."""
        return {}

    @abc.abstractmethod
    def place(self, key: Key) -> tuple[Layer, int]:
        """Tell which layer has it, and its id in that layer's tree. All names of one file have the same."""

    @abc.abstractmethod
    def open(self, key: Key) -> Content:
        """Open a file."""

    def number(self, key: Key) -> int:
        """Give a file's inode: that of its node in its layer, wherever the layer shows."""
        layer, node = self.place(key)
        return inode.of_node(layer.digest, node)


class ViewHandle(Generic[Key]):
    """A view for as long as anybody knows a node in it: opened when it is asked for, and put away meanwhile.

    So a node holds no layer open, however many nodes the kernel remembers. What was put away is opened as it
    was, or is an error: with other layers missing, the keys that nodes have would stand for something else.
    """

    __slots__ = ("_known", "_open", "_opener")

    def __init__(self, opener: Opener, open_view: Callable[[], View[Key]]) -> None:
        self._opener = opener
        self._open = open_view
        self._known: bytes | None = None

    @property
    def missing(self) -> bytes:
        """What was missing when it was opened; empty before that."""
        return self._known or b""

    def view(self) -> View[Key]:
        """Give the view. Raises what opening it does, and ForgottenError if other layers are missing now."""
        view: View[Key] = self._opener.views.through(self, self._open)
        if self._known is None:
            self._known = view.missing
        elif self._known != view.missing:
            raise ForgottenError("what was inside an image")
        return view
