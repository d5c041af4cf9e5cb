"""The stores that these tests begin with, and a plain account of what they should hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from paxos import NO_PROPOSAL, NOTHING_ACCEPTED, Proposal, ProposalID
from paxos.durable import Owner
from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member
from paxos.log.state import ChosenRecord, LogState, PromiseRecord, Record, VoteRecord
from paxos.log_store import LogStore, create_log_store, open_log_store
from paxos.sim.simulated_disk import SimulatedDisk

FOLDER = Path("/log")
OWNER = Owner("shop", "A", "first life")
WINDOW = 4
SEGMENT_BYTES = 16 * 512


def members(*names: str) -> Configuration:
    return Configuration.of(Member(name, f"{name}1") for name in names)


THREE = members("A", "B", "C")
INITIAL = Configurations.fixed(THREE)


def at(number: int, node_id: str = "A") -> ProposalID:
    return ProposalID(number, node_id)


def proposal(number: int, entry: Entry[bytes] = NO_OP) -> Proposal[Entry[bytes]]:
    return Proposal(at(number), entry)


def commands(text: str) -> Commands[bytes]:
    return Commands((text.encode(),))


def state_of(*slots: str, promised: int = 1, first: int = 0, chosen: int = 0) -> LogState[bytes]:
    """A state whose votes are batches of these words, from slot `first` on; "" is no vote."""
    votes = tuple(
        proposal(promised, commands(word)) if word else NOTHING_ACCEPTED for word in slots
    )
    return LogState(promised, at(promised), first, votes, chosen)


@dataclass
class Account:
    """All that was written, as plain as can be: what recovery has to find."""

    records: list[Record[bytes]] = field(default_factory=list[Record[bytes]])
    snapshot: tuple[int, Configurations] | None = None

    def copy(self) -> Account:
        return Account(list(self.records), self.snapshot)

    @property
    def votes(self) -> dict[int, Proposal[Entry[bytes]]]:
        return {r.slot: r.proposal for r in self.records if isinstance(r, VoteRecord)}

    @property
    def chosen_below(self) -> int:
        marks = [record.below for record in self.records if isinstance(record, ChosenRecord)]
        return max([0, *marks, *([self.snapshot[0]] if self.snapshot else [])])

    @property
    def configurations(self) -> Configurations:
        start, configurations = self.snapshot or (0, INITIAL)
        for slot in range(start, self.chosen_below):
            entry = self.votes[slot].value
            if isinstance(entry, Change):
                configurations = configurations.having_chosen(slot, entry, WINDOW)
        return configurations.from_slot(self.chosen_below)

    def state(self) -> LogState[bytes]:
        promises = [record for record in self.records if isinstance(record, PromiseRecord)]
        first, votes = self.chosen_below, self.votes
        later = range(first, max([first, *(slot + 1 for slot in votes)]))
        kept = tuple(votes.get(slot, NOTHING_ACCEPTED) for slot in later)
        ids = [vote.id for vote in kept if vote is not NOTHING_ACCEPTED]
        return LogState(
            max([0, *(record.ballot for record in promises)]),
            max([NO_PROPOSAL, *ids, *(record.promised for record in promises)]),
            first,
            kept,
            first,
            self.configurations,
        )


def made(window: int = WINDOW, segment_bytes: int = SEGMENT_BYTES) -> SimulatedDisk:
    """A disk with a store that was never saved to."""
    disk = SimulatedDisk()
    create_log_store(
        FOLDER,
        OWNER,
        INITIAL,
        window=window,
        segment_bytes=segment_bytes,
        manifest_bytes=4096,
        disk=disk,
    )
    return disk


def opened(disk: SimulatedDisk) -> LogStore:
    return open_log_store(FOLDER, disk=disk)


def disk_with(*states: LogState[bytes]) -> SimulatedDisk:
    """A disk with a store to which these states were saved, and which was closed."""
    disk = made()
    with opened(disk) as store:
        for state in states:
            store.save(state)
    return disk


def filled(count: int, *, size: int = 100, chosen_lag: int = 0) -> SimulatedDisk:
    """A disk with a store in which so many slots are chosen, a save each."""
    disk = made()
    with opened(disk) as store:
        append(store, count, size=size, chosen_lag=chosen_lag)
    return disk


def word(slot: int, size: int = 100) -> Commands[bytes]:
    """What stands in this slot of a filled store."""
    return Commands((b"%06d" % slot + bytes(size),))


def append(store: LogStore, count: int, *, size: int = 100, chosen_lag: int = 0) -> None:
    """Save so many more slots, one after the other, each with the mark of those before."""
    state = replace(store.state, ballot=1, promised=at(1))
    start = state.first + len(state.votes)
    for slot in range(start, start + count):
        votes = (*state.votes, proposal(1, word(slot, size)))
        chosen = max(state.chosen_below, slot + 1 - chosen_lag)
        state = replace(state, votes=votes, chosen_below=chosen)
        store.save(state)
        state = replace(state, first=chosen, votes=state.votes[chosen - state.first :])
