"""Files with text that was computed from the index."""

from __future__ import annotations

from regfs.oci import Digest
from regfs.storage import Content
from regfs.tree.blob import BytesContent
from regfs.tree.node import Attributes, File


class TextFile(File):
    """Text, with the time of the index's last change."""

    __slots__ = ("_content", "_when")

    def __init__(self, content: bytes, number: int, when: int) -> None:
        super().__init__(number)
        self._content = content
        self._when = when

    @property
    def identity(self) -> str:
        """The digest of the bytes."""
        return str(Digest.of(self._content))

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_computed(self.inode, len(self._content), self._when)

    def open(self) -> Content:
        """Give the bytes."""
        return BytesContent(self._content)
