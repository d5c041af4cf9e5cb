"""A small world with a clock for nodes of a log. It is `core.virtual_time`, with a log on each disk.

A disk takes records one after the other; a crash during a persist leaves any prefix of them. What
the nodes say about a slot is shown to a witness of that slot, which knows Paxos for one decision
and nothing of logs: each slot, projected, is a legal history of single-decree Paxos.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.virtual_time import Server, World
from core.witness import Witness
from paxos import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    DurableState,
    Envelope,
    Identity,
    Prepare,
    Promise,
    Proposal,
    Timing,
)
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Configuration, Entry, Member
from paxos.log.events import EntriesWanted, EntryChosen, ReadReady
from paxos.log.inputs import Append, Read
from paxos.log.limits import Limits
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    Decisions,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import (
    ChosenRecord,
    LogState,
    PromiseRecord,
    Record,
    VoteRecord,
    records_since,
)

SMALL = Limits[str](window=4, batch=3, batch_weight=1 << 20, queue=64, page=3)


@dataclass
class LogDisk:
    """What a node's disk holds: the newest record of each slot, and the newest marks."""

    initial: Configurations
    window: int
    ballot: int = 0
    promised: Any = DurableState().promised
    entries: dict[int, Proposal[Entry[str]]] = field(default_factory=dict)
    chosen_below: int = 0

    def write(self, records: Iterable[Record[str]]) -> None:
        for record in records:
            match record:
                case PromiseRecord(ballot, promised):
                    self.ballot, self.promised = ballot, promised
                case VoteRecord(slot, proposal):
                    self.entries[slot] = proposal
                case ChosenRecord(below):
                    self.chosen_below = below

    def state(self) -> LogState[str]:
        """What a node finds after a start."""
        configurations = self.initial
        for slot in range(self.chosen_below):
            entry = self.entries[slot].value
            if isinstance(entry, Change):
                configurations = configurations.having_chosen(slot, entry, self.window)
        end = max(self.entries, default=-1) + 1
        votes = tuple(
            self.entries.get(slot, NOTHING_ACCEPTED) for slot in range(self.chosen_below, end)
        )
        return LogState(
            self.ballot,
            self.promised,
            self.chosen_below,
            votes,
            self.chosen_below,
            configurations.from_slot(self.chosen_below),
        )

    def in_slot(self, slot: int) -> DurableState[Entry[str]]:
        """What it holds of one decision."""
        vote = self.entries.get(slot, NOTHING_ACCEPTED)
        return DurableState(self.ballot, self.promised, vote)


class Witnesses:
    """One witness for each slot, made when somebody first speaks of that slot."""

    def __init__(self, configurations: Configurations, window: int) -> None:
        self.configurations, self._window = configurations, window
        self.chosen: dict[int, Proposal[Entry[str]]] = {}
        self._of: dict[int, Witness] = {}
        self._for_many: list[tuple[Envelope[Any], LogDisk, int]] = []
        self._accepts: dict[tuple[int, Any], Proposal[Entry[str]]] = {}

    def of(self, slot: int) -> Witness:
        if slot not in self._of:
            witness = self._of[slot] = Witness(self.configurations.at(slot).quorums)
            for envelope, disk, run in self._for_many:
                self._show(witness, slot, envelope, disk, run)
        return self._of[slot]

    def leaves(self, envelope: Envelope[Any], disk: LogDisk, run: int) -> None:
        match envelope.message:
            case AcceptIn(slot, proposal):
                self._accepts[slot, proposal.id] = proposal
                witness = self.of(slot)
                witness.proposed(proposal.value)
                self._tell(witness, envelope, Accept(proposal), disk.in_slot(slot), run)
            case AcceptedIn(slot, id):
                vote = Accepted(self._accepts[slot, id])
                self._tell(self.of(slot), envelope, vote, disk.in_slot(slot), run)
            case PrepareFrom() | PromiseFrom():
                as_it_was = LogDisk(disk.initial, disk.window, disk.ballot, disk.promised)
                as_it_was.entries = dict(disk.entries)
                self._for_many.append((envelope, as_it_was, run))
                for slot, witness in self._of.items():
                    self._show(witness, slot, envelope, as_it_was, run)
            case _:
                pass

    def learned(self, node_id: str, event: EntryChosen[str]) -> None:
        slot, proposal = event.slot, event.proposal
        first = self.chosen.setdefault(slot, proposal)
        assert first.value == proposal.value, f"{node_id}: slot {slot} is {first} and {proposal}"
        self.of(slot).learned(node_id, proposal)
        if isinstance(proposal.value, Change) and first is proposal:
            self.configurations = self.configurations.having_chosen(
                slot, proposal.value, self._window
            )

    def _show(
        self, witness: Witness, slot: int, envelope: Envelope[Any], disk: LogDisk, run: int
    ) -> None:
        """What is said for many slots, as it sounds in this one."""
        match envelope.message:
            case PrepareFrom(id, start) if slot >= start:
                self._tell(witness, envelope, Prepare(id), disk.in_slot(slot), run)
            case PromiseFrom(id, start, end, _, accepted) if start <= slot < end:
                vote = dict(accepted).get(slot, NOTHING_ACCEPTED)
                self._tell(witness, envelope, Promise(id, vote), disk.in_slot(slot), run)
            case _:
                pass

    def _tell(
        self, witness: Witness, envelope: Envelope[Any], message: Any, disk: Any, run: int
    ) -> None:
        witness.leaves(Envelope(envelope.sender, envelope.recipient, message), disk, run)


class LogWorld(World):
    """Nodes of one log that start together, clients, and what can happen to them."""

    def __init__(
        self,
        nodes: Iterable[str] = "ABC",
        *,
        limits: Limits[str] = SMALL,
        newcomers: str = "",
        **kwargs: Any,
    ) -> None:
        self.limits = limits
        members = Configuration.of(Member(node_id, "first") for node_id in nodes)
        self.initial = Configurations.fixed(members)
        self.applied: dict[str, list[Entry[str]]] = {n: [] for n in (*nodes, *newcomers)}
        super().__init__(tuple((*nodes, *newcomers)), **kwargs)

    def start(self, node_id: str) -> None:
        server: Any = self.servers[node_id]
        if isinstance(server.disk, DurableState):
            server.disk = LogDisk(self.initial, self.limits.window)
            if not isinstance(self.witness, Witnesses):
                self.witness: Any = Witnesses(self.initial, self.limits.window)
        server.run, server.persist, server.tick_at = server.run + 1, None, None
        clock, identity = self.now + server.ahead, Identity("test", node_id, "first")
        node = LogNode[str].recover(
            identity, server.disk.state(), limits=self.limits, timing=self.timing, now=clock
        )
        below = server.disk.chosen_below
        self.applied[node_id] = [server.disk.entries[slot].value for slot in range(below)]
        server.machine = LogMachine(node, clock)
        self._perform(node_id)

    def crash(self, node_id: str) -> None:
        server: Any = self.servers[node_id]
        if server.persist is not None:
            records, _ = server.persist
            server.disk.write(records[: self.random.randint(0, len(records))])
        server.machine, server.persist, server.run = None, None, server.run + 1

    def append(self, node_id: str, *commands: str) -> None:
        self._input(node_id, Append(commands))  # type: ignore[arg-type] # a log's input

    def read(self, node_id: str, number: int) -> None:
        self._input(node_id, Read(number))  # type: ignore[arg-type] # a log's input

    def ask(self, node_id: str, input: Any) -> None:
        self._input(node_id, input)

    def log(self, node_id: str) -> Any:
        node: Any = self.node(node_id)
        return node.log

    @property
    def leader(self) -> str | None:
        """The node that leads under the highest ballot."""
        leaders = self.leaders
        return max(leaders, key=lambda node_id: leaders[node_id]) if leaders else None

    def _perform(self, node_id: str) -> None:
        server: Any = self.servers[node_id]
        machine = server.machine
        ready, deadline = machine.ready(), machine.deadline
        self._leave(ready.send)
        if ready.persist is None:
            self._leave(ready.send_after_persist)
        else:
            saved = server.disk.state()
            records = records_since(_as_machine_has_it(saved, ready.persist), ready.persist)
            persist = server.persist = (records, ready.send_after_persist)
            self.after(self.random.uniform(*self.sync), lambda: self._persisted(server, persist))
        for event in ready.events:
            self.events.append((self.now, node_id, event))
            self._told(node_id, event)
        if deadline is not None and deadline != server.tick_at:
            server.tick_at = deadline
            wait = max(deadline - self.now - server.ahead, 0.0) + 1e-9
            self.after(wait, lambda: self._tick(node_id, deadline))

    def _told(self, node_id: str, event: Any) -> None:
        server: Any = self.servers[node_id]
        match event:
            case EntryChosen(slot, proposal):
                assert slot == len(self.applied[node_id]), f"{node_id} skips to slot {slot}"
                self.applied[node_id].append(proposal.value)
                self.witness.learned(node_id, event)
            case EntriesWanted(recipient, slot):
                disk = server.disk
                end = min(disk.chosen_below, slot + self.limits.page)
                if slot < end:
                    proposals = tuple(disk.entries[each] for each in range(slot, end))
                    answer = Decisions(slot, proposals, disk.chosen_below)
                    self._leave([Envelope(Identity("test", node_id, "first"), recipient, answer)])
            case _:
                pass

    def _persisted(self, server: Any, persist: Any) -> None:
        if persist is None or server.persist is not persist or not server.machine or server.hangs:
            return
        server.persist = None
        server.disk.write(persist[0])
        server.machine.persisted()
        self._leave(persist[1])
        self._perform(server.machine.node.node_id)


def _as_machine_has_it(saved: LogState[str], state: LogState[str]) -> LogState[str]:
    return saved


def read_slots(world: LogWorld) -> dict[int, int]:
    """From which slot on each read that was answered may be served."""
    return {e.number: e.slot for _, e in world.told(ReadReady)}


__all__ = ["EVERY_LATER_SLOT", "SMALL", "LogDisk", "LogWorld", "Server", "read_slots"]
