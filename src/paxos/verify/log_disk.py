"""What a disk holds of a log in an exploration: a value that takes one record after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self, TypeAlias

from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Entry
from paxos.log.messages import Decisions
from paxos.log.state import ChosenRecord, LogState, PromiseRecord, Record, VoteRecord
from paxos.messages import NOTHING_ACCEPTED, NothingAccepted, Proposal
from paxos.proposal_id import NO_PROPOSAL, ProposalID

Held: TypeAlias = Proposal[Entry[str]] | NothingAccepted


class LogDisk(NamedTuple):
    """The newest record of each slot, and the newest marks. Nothing is ever trimmed."""

    ballot: int = 0
    promised: ProposalID = NO_PROPOSAL
    entries: tuple[Held, ...] = ()
    chosen_below: int = 0

    def with_records(self, records: Iterable[Record[str]]) -> Self:
        """The disk once these are on it."""
        disk = self
        for record in records:
            match record:
                case PromiseRecord(ballot, promised):
                    disk = disk._replace(ballot=ballot, promised=promised)
                case VoteRecord(slot, proposal):
                    disk = disk._with_entry(slot, proposal)
                case ChosenRecord(below):
                    disk = disk._replace(chosen_below=max(disk.chosen_below, below))
        return disk

    def _with_entry(self, slot: int, proposal: Proposal[Entry[str]]) -> Self:
        entries: list[Held] = list(self.entries)
        while len(entries) <= slot:
            entries.append(NOTHING_ACCEPTED)
        entries[slot] = proposal
        return self._replace(entries=tuple(entries))

    def entry(self, slot: int) -> Held:
        """What it holds of this slot."""
        return self.entries[slot] if 0 <= slot < len(self.entries) else NOTHING_ACCEPTED

    @property
    def chosen(self) -> tuple[Held, ...]:
        """What it holds to be chosen, slot by slot."""
        return tuple(self.entry(slot) for slot in range(self.chosen_below))

    def state(self, initial: Configurations, window: int) -> LogState[str]:
        """What a node finds after a start, where these members decided at first."""
        configurations = initial
        for slot, held in enumerate(self.chosen):
            if held is not NOTHING_ACCEPTED and isinstance(held.value, Change):
                configurations = configurations.having_chosen(slot, held.value, window)
        return LogState(
            self.ballot,
            self.promised,
            self.chosen_below,
            self.entries[self.chosen_below :],
            self.chosen_below,
            configurations.from_slot(self.chosen_below),
        )

    def decisions(self, slot: int, page: int) -> Decisions[str] | None:
        """What a world tells who asks for what is chosen from this slot on, if it can."""
        end = min(self.chosen_below, slot + page)
        told: list[Held] = [self.entry(each) for each in range(slot, end)]
        proposals: list[Proposal[Entry[str]]] = []
        for held in told:
            if not isinstance(held, Proposal):
                return None
            proposals.append(held)
        return Decisions[str](slot, tuple(proposals), self.chosen_below) if told else None

    def __str__(self) -> str:
        return f"promised {self.promised}, {len(self.entries)} slots, chosen {self.chosen_below}"
