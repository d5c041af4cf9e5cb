"""What a node of a log must find again after a crash, and how it is written down.

The machine says what must survive as one `LogState`. A world that keeps a write-ahead log appends
only what is new in it: `records_since`. Every prefix of those records is a legal state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias

from paxos.log.configurations import NO_CONFIGURATIONS, Configurations
from paxos.log.entries import C, Entry
from paxos.messages import NOTHING_ACCEPTED, NothingAccepted, Proposal
from paxos.proposal_id import NO_PROPOSAL, ProposalID


@dataclass(frozen=True)
class LogState(Generic[C]):
    """What must be on disk before this node's next promise, vote or Prepare leaves.

    Slots below `first` are chosen and were on disk before: the machine has forgotten them, and
    the world's log (or its snapshot) holds them.
    """

    ballot: int = 0
    """The highest number that this node ever prepared: the next is above it (PMS 2.5)."""

    promised: ProposalID = NO_PROPOSAL
    """The promise, one for all slots. Invariant: at least the ID of each vote below, as accepting
    promises too. Else it would fall after a restart, once the slots of those votes are forgotten.
    """

    first: int = 0
    votes: tuple[Proposal[Entry[C]] | NothingAccepted, ...] = ()
    """What this node accepted, or knows to be chosen, in slot `first` and those after it."""

    chosen_below: int = 0
    """All slots below are known to be chosen. It may lag behind: learners may forget."""

    configurations: Configurations = NO_CONFIGURATIONS
    """Who decides in slot `chosen_below` and those after it, as far as is known there."""

    def vote(self, slot: int) -> Proposal[Entry[C]] | NothingAccepted:
        """What was accepted in this slot."""
        index = slot - self.first
        return self.votes[index] if 0 <= index < len(self.votes) else NOTHING_ACCEPTED


@dataclass(frozen=True, slots=True)
class PromiseRecord:
    """The highest number prepared, and the highest ID promised."""

    ballot: int
    promised: ProposalID


@dataclass(frozen=True)
class VoteRecord(Generic[C]):
    """What was accepted in this slot, or is known to be chosen there. The newest one counts."""

    slot: int
    proposal: Proposal[Entry[C]]


@dataclass(frozen=True, slots=True)
class ChosenRecord:
    """The newest record of each slot below is what was chosen there."""

    below: int


Record: TypeAlias = PromiseRecord | VoteRecord[C] | ChosenRecord


def records_since(saved: LogState[C], state: LogState[C]) -> tuple[Record[C], ...]:
    """What must be written so that a disk that holds `saved` holds `state`. In this order.

    Promises come first and the mark of what is chosen last, so that every prefix is legal: a vote
    promises, too, and a mark without its votes would call a hole chosen.
    """
    records: list[Record[C]] = []
    if (state.ballot, state.promised) != (saved.ballot, saved.promised):
        records.append(PromiseRecord(state.ballot, state.promised))
    for slot, vote in enumerate(state.votes, state.first):
        before = saved.vote(slot)
        if vote is not NOTHING_ACCEPTED and vote is not before and vote != before:
            records.append(VoteRecord(slot, vote))
    if records and state.chosen_below > saved.chosen_below:
        records.append(ChosenRecord(state.chosen_below))
    return tuple(records)
