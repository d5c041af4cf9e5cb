"""Linearizable reads without an entry in the log and without a clock.

A leader may read what it has applied once it knows that no other leader has got anything chosen
meanwhile: a phase-2 quorum says, after the read has come, that it has promised nothing higher. A
new leader needs the promise of a phase-1 quorum, and the two share a member (PMS 2.2).

One round of questions serves all reads that wait when it begins. Its number is never used twice
in a ballot by one run of the process, so an old answer proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from paxos.quorum import Quorums

MAX_READS = 4096
"""Reads that wait at once. More are refused: rounds take a moment, so thousands mean overload."""


class Reader(NamedTuple):
    """Who wants to read: this node itself, or a follower; and by what name."""

    node_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Reads:
    """The reads that a leader has to confirm. At most one round is under way."""

    last_round: int = 0
    """The number of the newest round of this run of the process."""

    is_open: bool = False
    """Whether that round is still to be confirmed."""

    quorums: Quorums | None = None
    """Who confirms that round: those who decided where the log stood when it began."""

    asked: tuple[Reader, ...] = ()
    """The reads that it confirms."""

    slot: int = 0
    """All below may have been acknowledged when it began: they are to be applied first."""

    confirmed_by: tuple[str, ...] = ()
    """Members that have confirmed it, each once, sorted."""

    waiting: tuple[Reader, ...] = ()
    """The reads that have come since: the next round is theirs."""

    @property
    def is_full(self) -> bool:
        """Whether no more may wait."""
        return len(self.waiting) + len(self.asked) >= MAX_READS

    def wait(self, reader: Reader) -> Self:
        """A read has come; again, if its answer was lost."""
        if reader in self.waiting or reader in self.asked:
            return self
        return replace(self, waiting=(*self.waiting, reader))

    def begin(self, quorums: Quorums, slot: int) -> Self:
        """Begin a round for all that wait."""
        return type(self)(self.last_round + 1, True, quorums, self.waiting, slot)

    def confirm(self, member: str, number: int) -> tuple[Self, tuple[Reader, ...]]:
        """Count an answer. Gives the reads that it confirms: none before a quorum has answered."""
        quorums = self.quorums
        if quorums is None or not self.is_open or number != self.last_round:
            return self, ()
        confirmed_by = tuple(sorted({*self.confirmed_by, member}))
        if not quorums.has_phase2(confirmed_by):
            return replace(self, confirmed_by=confirmed_by), ()
        closed = replace(self, is_open=False, quorums=None, asked=(), confirmed_by=())
        return closed, self.asked

    def fail(self) -> tuple[Self, tuple[Reader, ...]]:
        """Give up all reads: this node leads no more. Old rounds stay used."""
        return type(self)(self.last_round), self.asked + self.waiting
