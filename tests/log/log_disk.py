"""What a disk holds of a log, and what a node finds there. It takes records one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from paxos import NO_PROPOSAL, NOTHING_ACCEPTED, DurableState, Proposal, ProposalID
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Entry
from paxos.log.state import ChosenRecord, LogState, PromiseRecord, Record, VoteRecord


@dataclass
class LogDisk:
    """The newest record of each slot, and the newest marks."""

    initial: Configurations
    window: int
    ballot: int = 0
    promised: ProposalID = NO_PROPOSAL
    entries: dict[int, Proposal[Entry[str]]] = field(default_factory=dict)
    chosen_below: int = 0
    trimmed_below: int = 0
    """What is below is in a snapshot only. (Here the entries stay, as the snapshot.)"""

    def write(self, records: Iterable[Record[str]]) -> None:
        for record in records:
            match record:
                case PromiseRecord(ballot, promised):
                    self.ballot, self.promised = ballot, promised
                case VoteRecord(slot, proposal) if slot >= self.trimmed_below:
                    self.entries[slot] = proposal
                case VoteRecord(slot, proposal):
                    self.install(slot, proposal)
                case ChosenRecord(below):
                    known = range(self.chosen_below, below)
                    assert all(slot in self.entries for slot in known), "a hole is called chosen"
                    self.chosen_below = max(self.chosen_below, below)

    def install(self, slot: int, proposal: Proposal[Entry[str]]) -> None:
        """Put a slot into the snapshot."""
        known = self.entries.setdefault(slot, proposal)
        self.entries[slot] = max(known, proposal, key=lambda each: each.id)

    def prefix(self) -> list[Entry[str]]:
        """What is known to be chosen."""
        return [self.entries[slot].value for slot in range(self.chosen_below)]

    def configurations(self, below: int) -> Configurations:
        """Who decides from that slot on, by what is chosen before it."""
        configurations = self.initial
        for slot in range(below):
            entry = self.entries[slot].value
            if isinstance(entry, Change):
                configurations = configurations.having_chosen(slot, entry, self.window)
        return configurations.from_slot(below)

    def state(self) -> LogState[str]:
        """What a node finds after a start."""
        end = max(self.entries, default=-1) + 1
        slots = range(self.chosen_below, end)
        return LogState(
            self.ballot,
            self.promised,
            self.chosen_below,
            tuple(self.entries.get(slot, NOTHING_ACCEPTED) for slot in slots),
            self.chosen_below,
            self.configurations(self.chosen_below),
        )

    def in_slot(self, slot: int) -> DurableState[Entry[str]]:
        """What it holds of one decision.

        What a snapshot holds is settled: who restarts from it never promises there again, so a vote
        that was under way when it came needs no record of its own.
        """
        vote = self.entries.get(slot, NOTHING_ACCEPTED)
        if slot < self.trimmed_below and vote is not NOTHING_ACCEPTED:
            vote = Proposal(max(vote.id, self.promised), vote.value)
        return DurableState(self.ballot, self.promised, vote)

    def as_it_is(self) -> LogDisk:
        """A copy that does not change any more."""
        copy = LogDisk(self.initial, self.window, self.ballot, self.promised)
        copy.entries, copy.trimmed_below = dict(self.entries), self.trimmed_below
        return copy
