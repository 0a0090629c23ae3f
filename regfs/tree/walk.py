"""The whole tree: its root, and the way from there along a path."""

from __future__ import annotations

from regfs.errors import LoopError, NoEntryError, NotDirectoryError, TreeError
from regfs.storage.protocol import Space
from regfs.tree.node import Directory, Node, Symlink
from regfs.tree.views.root import RootDirectory
from regfs.tree.views.source import Source

#: As many symlinks as Linux follows (path_resolution(7)).
_MOST_LINKS = 40


class Tree:
    """The mounted tree of one store. `list_views`: the root's listing shows the `@` directories."""

    def __init__(self, source: Source, *, list_views: bool = False) -> None:
        self._graph = source.graph
        self.root: Directory = RootDirectory(source, listed=list_views)

    def walk(self, path: str, *, follow: bool = True) -> Node:
        """Find the node at a path from the root, following symlinks on the way as the kernel does.

        But a symlink inside an image is followed as in a container: it leads nowhere else. `follow` tells
        whether the last name, too, is followed if it is a symlink. Raises TreeError, and what is wrong with
        the store on the way.
        """
        # Each name with the number of directories that a ".." cannot leave.
        names = _parts(path, 1)
        trail = [self.root]
        node: Node = self.root
        links = 0
        while names:
            name, floor = names.pop()
            if not isinstance(node, Directory):
                raise NotDirectoryError(path)
            if name == "..":
                trail = trail[: max(len(trail) - 1, floor)]
                node = trail[-1]
                continue
            try:
                node = node.lookup(name)
            except TreeError:
                raise NoEntryError(path) from None
            if isinstance(node, Symlink) and (names or follow):
                links += 1
                if links > _MOST_LINKS:
                    raise LoopError(path)
                if "://" in node.target():
                    raise NoEntryError(f"{path}: kept elsewhere, at {node.target()}")
                floor = next((n for n in range(len(trail), 0, -1) if trail[n - 1].holds_image), 1)
                names.extend(_parts(node.target(), floor))
                if node.target().startswith("/"):
                    trail = trail[:floor]
                node = trail[-1]
            elif isinstance(node, Directory):
                trail.append(node)
        return node

    def space(self) -> Space:
        """Tell about the file system that holds the store."""
        return self._graph.space()


def _parts(path: str, floor: int) -> list[tuple[str, int]]:
    """Part a path into names, the first one last."""
    return [(name, floor) for name in reversed(path.split("/")) if name not in ("", ".")]
