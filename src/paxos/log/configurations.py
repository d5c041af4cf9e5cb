"""Which members decide in which slot.

Each slot has exactly one configuration. A change that is chosen in slot i governs from slot
i + window on (Lamport, PMS 3), and nobody proposes there before slot i is chosen: so whoever
proposes in a slot knows who decides there.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Self

from paxos.log.entries import Change, Configuration, Member


@dataclass(frozen=True, slots=True)
class Configurations:
    """The configuration of every slot whose predecessors, `window` back, are known."""

    steps: tuple[tuple[int, Configuration], ...] = ()
    """From which slot on which configuration governs. Sorted by slot; the first one is the
    oldest that still matters."""

    @classmethod
    def fixed(cls, configuration: Configuration) -> Self:
        """One configuration for all slots, until the log says otherwise."""
        return cls(((0, configuration),))

    def at(self, slot: int) -> Configuration:
        """Who decides in this slot."""
        if len(self.steps) == 1:
            return self.steps[0][1]
        after = bisect_right(self.steps, slot, key=lambda step: step[0])
        return self.steps[max(after - 1, 0)][1]

    @property
    def newest(self) -> Configuration:
        """The last one that was chosen, though it may not govern yet."""
        return self.steps[-1][1]

    def having_chosen(self, slot: int, change: Change, window: int) -> Self:
        """The configurations once this change is chosen in this slot. Call it in slot order."""
        return type(self)((*self.steps, (slot + window, change.configuration)))

    def from_slot(self, slot: int) -> Self:
        """Without those that govern only slots below this one."""
        kept = bisect_right(self.steps, slot, key=lambda step: step[0])
        return self if kept <= 1 else type(self)(self.steps[kept - 1 :])

    def between(self, first: int, end: int) -> tuple[Member, ...]:
        """Everybody who decides in one of these slots: each member once, sorted."""
        members = {
            member
            for start, (slot, configuration) in zip(self._ends(), self.steps, strict=True)
            if slot < end and start > first
            for member in configuration.members
        }
        return tuple(sorted(members, key=lambda member: (member.node_id, member.incarnation)))

    def _ends(self) -> list[int]:
        """Where each step ends: at the next one's slot."""
        return [slot for slot, _ in self.steps[1:]] + [1 << 62]


NO_CONFIGURATIONS = Configurations()
"""Of a node that was never told of any."""
