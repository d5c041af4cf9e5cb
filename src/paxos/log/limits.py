"""What bounds a log: every buffer has a limit, and the limit a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from paxos.errors import MisuseError
from paxos.log.entries import C, Commands, Entry

ENTRY_WEIGHT = 64
"""What an entry weighs beyond its commands: a slot, an ID and a few lengths, in bytes."""


def weigh_bytes(command: object) -> int:
    """What a command of bytes weighs. Of anything else only the number is bounded."""
    return len(command) if isinstance(command, bytes) else 1


@dataclass(frozen=True)
class Limits(Generic[C]):
    """The same for all nodes of a cluster. Weights are bytes where commands are bytes."""

    window: int = 64
    """How many slots may be open at once, and how many slots after a change of the members it
    takes effect (PMS 3 calls it alpha). It never changes in the life of a log."""

    batch: int = 512
    """How many commands fill one slot at most."""

    batch_weight: int = 256 << 10
    """What they weigh together at most; a single command may weigh as much. Each vote writes it,
    so it bounds the length of a sync and of a message."""

    queue: int = 8192
    """How many commands may wait for a slot. More are refused: they would wait for seconds."""

    queue_weight: int = 32 << 20
    """What they weigh together at most."""

    page: int = 128
    """How many entries one message tells of at most."""

    page_weight: int = 1 << 20
    """What they weigh together at most, unless a single one weighs more."""

    weigh: Callable[[C], int] = weigh_bytes
    """What a command weighs."""

    def __post_init__(self) -> None:
        bounds = (self.window, self.batch, self.batch_weight, self.queue, self.page)
        if min(bounds) < 1 or self.queue_weight < self.batch_weight:
            raise MisuseError("every limit must be 1 or more, and the queue hold a batch")

    @property
    def reach(self) -> int:
        """How far beyond the slots known to be chosen a node remembers votes.

        The leader is at most one window ahead of what it knows, and has told others of all but
        the last window: whoever is farther behind learns first.
        """
        return 2 * self.window

    def weight(self, entry: Entry[C]) -> int:
        """What an entry weighs."""
        if isinstance(entry, Commands):
            return ENTRY_WEIGHT + sum(map(self.weigh, entry.commands))
        return ENTRY_WEIGHT

    def how_many(self, entries: list[Entry[C]]) -> int:
        """How many of these entries, from the first on, fit into one message: at least one."""
        weight = 0
        for count, entry in enumerate(entries[: self.page]):
            weight += self.weight(entry)
            if weight > self.page_weight and count:
                return count
        return min(len(entries), self.page)
