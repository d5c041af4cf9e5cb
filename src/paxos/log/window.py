"""The slots that a node remembers: each is a `Node`, and decides one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Self

from paxos.log.entries import C, Entry
from paxos.messages import NOTHING_CHOSEN
from paxos.node import Node


@dataclass(frozen=True)
class Window(Generic[C]):
    """A row of slots without a gap. What is before it is chosen and on the disk."""

    first: int = 0
    nodes: tuple[Node[Entry[C]], ...] = ()

    @property
    def end(self) -> int:
        """The slot after the last one."""
        return self.first + len(self.nodes)

    def get(self, slot: int) -> Node[Entry[C]] | None:
        """The node of this slot, or None if it is outside."""
        index = slot - self.first
        return self.nodes[index] if 0 <= index < len(self.nodes) else None

    def put(self, slot: int, node: Node[Entry[C]], unused: Callable[[int], Node[Entry[C]]]) -> Self:
        """Put a slot's node in place. Slots that lie between get the `unused` node of theirs."""
        index = slot - self.first
        nodes = self.nodes
        if index < len(nodes):
            return type(self)(self.first, (*nodes[:index], node, *nodes[index + 1 :]))
        between = tuple(unused(each) for each in range(self.end, slot))
        return type(self)(self.first, (*nodes, *between, node))

    def without(self, below: int) -> Self:
        """Without the slots below this one."""
        if below <= self.first:
            return self
        return type(self)(below, self.nodes[below - self.first :])

    def each(self, change: Callable[[int, Node[Entry[C]]], Node[Entry[C]]]) -> Self:
        """With every slot's node changed."""
        return type(self)(
            self.first,
            tuple(change(slot, node) for slot, node in enumerate(self.nodes, self.first)),
        )

    def between(self, start: int, end: int) -> Iterator[tuple[int, Node[Entry[C]]]]:
        """The slots from `start` up to, but not including, `end`, with their nodes."""
        low = max(start, self.first)
        nodes = self.nodes[low - self.first : max(end - self.first, 0)]
        return enumerate(nodes, low)

    def chosen_from(self, slot: int) -> int:
        """The first slot, from this one on, that is not known to be chosen."""
        for each, node in self.between(slot, self.end):
            if node.learner.chosen is NOTHING_CHOSEN:
                return each
        return max(slot, self.end)
