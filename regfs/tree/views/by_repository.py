"""A view whose entries lie below their repository's name: `@untagged/team/app/…`."""

from __future__ import annotations

import abc
from collections.abc import Iterable

from regfs.errors import NoEntryError
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType


class Shelf(abc.ABC):
    """What a view keeps for each repository."""

    @abc.abstractmethod
    def repositories(self) -> list[str]:
        """Name every repository that has entries; "" for entries that belong to none."""

    @abc.abstractmethod
    def entries(self, repository: str, parent: Directory) -> Iterable[Child]:
        """List the entries of a repository, none of which is named as a repository nested in it."""

    @abc.abstractmethod
    def entry(self, repository: str, parent: Directory, name: str) -> Node:
        """Find an entry. Raises NoEntryError."""


class RepositoriesDirectory(Directory):
    """The entries of one repository, and the repositories below its name that have some; "" is the top."""

    __slots__ = ("_repository", "_shelf")
    dear = True

    def __init__(self, shelf: Shelf, number: int, repository: str = "") -> None:
        super().__init__(number)
        self._shelf = shelf
        self._repository = repository

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells, without looking for entries."""
        return Attributes.of_directory(self.inode, 0)

    def children(self) -> Iterable[Child]:
        """List the parts of names that lead on, then the entries."""
        repositories = self._shelf.repositories()
        for part in sorted(self._nested(repositories)):
            yield Child(part, NodeType.DIRECTORY, inode.of_child(self.inode, part))
        if self._repository in repositories:
            yield from self._shelf.entries(self._repository, self)

    def lookup(self, name: str) -> Node:
        """Find a part of a name, or else an entry."""
        repositories = self._shelf.repositories()
        if name in self._nested(repositories):
            below = f"{self._repository}/{name}" if self._repository else name
            return RepositoriesDirectory(self._shelf, inode.of_child(self.inode, name), below)
        if self._repository not in repositories:
            raise NoEntryError(name)
        return self._shelf.entry(self._repository, self, name)

    def _nested(self, repositories: list[str]) -> set[str]:
        start = f"{self._repository}/" if self._repository else ""
        return {
            name[len(start) :].partition("/")[0]
            for name in repositories
            if name.startswith(start) and len(name) > len(start)
        }
