"""Which member has promised a ballot for which slots: phase 1, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from paxos.log.messages import EVERY_LATER_SLOT


@dataclass(frozen=True, slots=True)
class Promises:
    """Who has promised the present ballot, from which slot on and how far. Sorted by member.

    A promise comes in pages, and each page is a promise for its own slots only: a member whose
    first page is here has said nothing yet of the slots behind it.
    """

    of: tuple[tuple[str, int, int], ...] = ()

    def with_page(self, member: str, start: int, end: int) -> Self:
        """Add a page.

        One that does not go on where the last one ended replaces it: meanwhile its sender has
        learned that the slots between are chosen.
        """
        known = {each: (first, last) for each, first, last in self.of}
        first, last = known.get(member, (start, start))
        known[member] = (first, max(last, end)) if first <= start <= last else (start, end)
        return type(self)(tuple((each, *known[each]) for each in sorted(known)))

    def of_members(self, members: tuple[str, ...]) -> Self:
        """Without those of anybody else."""
        kept = tuple([each for each in self.of if each[0] in members])
        return self if kept == self.of else type(self)(kept)

    def for_slot(self, slot: int) -> tuple[str, ...]:
        """Who has promised for this slot."""
        return tuple([member for member, start, end in self.of if start <= slot < end])

    def end_of(self, member: str, otherwise: int) -> int:
        """The first slot for which this member has not promised yet."""
        for each, _, end in self.of:
            if each == member:
                return end
        return otherwise

    def for_all_from(self, slot: int) -> tuple[str, ...]:
        """Who has promised for this slot and every later one."""
        return tuple([m for m, start, end in self.of if start <= slot and end == EVERY_LATER_SLOT])

    def holds_for_all_from(self, slot: int) -> bool:
        """Whether no promise begins, or ends, above this slot."""
        return all(start <= slot and end == EVERY_LATER_SLOT for _, start, end in self.of)
