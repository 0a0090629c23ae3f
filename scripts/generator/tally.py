"""What was made: numbers and bytes, as a report about the store should find them."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.generator.pushes import State


@dataclass
class Tally:
    """Numbers of what a store holds. `blobs` has number and bytes for each state."""

    repositories: int = 0
    tags: int = 0
    revisions: int = 0
    indexes: int = 0
    history: int = 0
    uploads: int = 0
    uploaded: int = 0
    files: int = 0
    blobs: dict[State, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(State, (0, 0)))

    def blob(self, state: State, size: int) -> None:
        """Count a blob."""
        count, sizes = self.blobs[state]
        self.blobs[state] = count + 1, sizes + size

    def add(self, other: Tally) -> None:
        """Add what another part of the store holds."""
        for name, value in vars(other).items():
            if name != "blobs":
                setattr(self, name, getattr(self, name) + value)
        for state, (count, size) in other.blobs.items():
            self.blobs[state] = self.blobs[state][0] + count, self.blobs[state][1] + size

    def document(self) -> dict[str, object]:
        """Give it as JSON has it."""
        blobs = {
            state.name.lower(): {"count": count, "size": size} for state, (count, size) in self.blobs.items()
        }
        return {**vars(self), "blobs": blobs}

    def __str__(self) -> str:
        lines = [
            f"{self.repositories:12,} repositories",
            f"{self.tags:12,} tags, which have named {self.history:,} images",
            f"{self.revisions:12,} revisions, {self.indexes:,} of them indexes",
        ]
        for state, (count, size) in self.blobs.items():
            lines.append(f"{count:12,} blobs {state.name.lower()}, {size:,} bytes")
        lines.append(f"{self.uploads:12,} unfinished uploads, {self.uploaded:,} bytes")
        lines.append(f"{self.files:12,} files in all")
        return "\n".join(lines)
