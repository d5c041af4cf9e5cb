"""A tiny world in memory: machines, a network that is a list, and disks that are dictionaries.

Nothing happens by itself. A test says which message arrives, which persist completes and who is
killed; a `Witness` looks at everything that leaves. `settle` is for tests that do not care.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from core.witness import Witness
from paxos import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    DurableState,
    Envelope,
    Event,
    Identity,
    Machine,
    Message,
    Node,
    Prepare,
    Promise,
    ProposalID,
    Propose,
    Quorums,
    Ready,
    Tick,
    ValueChosen,
)

Value: TypeAlias = Hashable
AnyEnvelope: TypeAlias = Envelope[Message[Value]]
AnyMachine: TypeAlias = Machine[Node[Value], DurableState[Value], Value]

# `B2` is the proposal ID with number 2 of node B.
A1, B1, C1 = (ProposalID(1, node_id) for node_id in "ABC")
A2, B2, C2 = (ProposalID(2, node_id) for node_id in "ABC")
A3, B3, C3 = (ProposalID(3, node_id) for node_id in "ABC")

MAJORITY_OF_3 = Quorums.majority(["A", "B", "C"])

FALSY_VALUES: tuple[Value, ...] = (0, "", b"", None, False, ())
"""Values that a careless `if value:` would take for no value at all."""


def identity(node_id: str, incarnation: str = "first") -> Identity:
    return Identity("test", node_id, incarnation)


def new_node(node_id: str, quorums: Quorums = MAJORITY_OF_3) -> Node[Value]:
    return Node[Value].recover(identity(node_id), quorums)


def envelope(sender: str, recipient: str, message: Message[Value]) -> AnyEnvelope:
    return Envelope(identity(sender), recipient, message)


@dataclass(frozen=True)
class Persist:
    """One persist under way, and what may leave once it is done."""

    state: DurableState[Value]
    then_send: tuple[AnyEnvelope, ...]


class Cluster:
    """All nodes, the messages between them, and what is on each disk."""

    def __init__(self, quorums: Quorums = MAJORITY_OF_3, others: Iterable[str] = ()) -> None:
        """Start every member, and the `others`, which have no vote."""
        self.quorums = quorums
        self.node_ids = (*quorums.members, *others)
        self.witness = Witness(quorums)
        self.network: list[AnyEnvelope] = []
        self.to_itself: dict[str, list[AnyEnvelope]] = {n: [] for n in self.node_ids}
        self.on_disk: dict[str, DurableState[Value]] = {n: DurableState() for n in self.node_ids}
        self.under_way: dict[str, Persist] = {}
        self.machines: dict[str, AnyMachine] = {}
        self.runs: dict[str, int] = dict.fromkeys(self.node_ids, 0)
        self.events: list[tuple[str, Event[Value]]] = []
        for node_id in self.node_ids:
            self.start(node_id)

    # What happens to a node.

    def start(self, node_id: str) -> None:
        """Start, or start again, from what is on disk. Opening ends with a write."""
        node = Node[Value].recover(identity(node_id), self.quorums, self.on_disk[node_id])
        acceptor = node.acceptor
        assert acceptor.accepted is NOTHING_ACCEPTED or acceptor.promised >= acceptor.accepted.id
        self.on_disk[node_id] = node.durable
        self.runs[node_id] += 1
        self.machines[node_id] = Machine(node)

    def kill(
        self, node_id: str, *, ballot: bool = False, promised: bool = False, accepted: bool = False
    ) -> None:
        """End the process. Each flag says whether that field of a persist under way was written."""
        del self.machines[node_id]
        self.to_itself[node_id].clear()
        persist = self.under_way.pop(node_id, None)
        if persist is not None:
            old, new = self.on_disk[node_id], persist.state
            self.on_disk[node_id] = DurableState(
                (new if ballot else old).ballot,
                (new if promised else old).promised,
                (new if accepted else old).accepted,
            )

    def propose(self, node_id: str, value: Value) -> None:
        self.witness.proposed(value)
        self.machines[node_id].receive(Propose(value), 0.0)

    def tick(self, node_id: str) -> None:
        self.machines[node_id].receive(Tick(), 0.0)

    def deliver(self, envelope: AnyEnvelope) -> None:
        """Let a message arrive. Who is down, or unknown, hears nothing."""
        machine = self.machines.get(envelope.recipient)
        if machine is not None and machine.stopped is None:
            machine.receive(envelope, 0.0)

    def forge(self, envelope: AnyEnvelope) -> None:
        """Deliver what nobody here sent. The witness takes a proposal in it for a real one."""
        if isinstance(envelope.message, Accept):
            self.witness.trusts(envelope.message.proposal)
        self.deliver(envelope)

    # What a world does for a node.

    def perform(self, node_id: str) -> Ready[DurableState[Value], Value]:
        """Do what the machine asks for now; a persist only begins."""
        ready = self.machines[node_id].ready()
        assert not any(isinstance(e.message, Prepare | Promise | Accepted) for e in ready.send)
        self._leave(ready.send)
        if ready.persist is None:
            self._leave(ready.send_after_persist)
        else:
            assert node_id not in self.under_way, "a second persist is under way"
            self.under_way[node_id] = Persist(ready.persist, ready.send_after_persist)
        for event in ready.events:
            self.events.append((node_id, event))
            if isinstance(event, ValueChosen):
                self.witness.learned(node_id, event.proposal)
        return ready

    def end_persist(self, node_id: str) -> None:
        """The persist under way is on disk: what waited for it leaves."""
        persist = self.under_way.pop(node_id)
        self.on_disk[node_id] = persist.state
        self.machines[node_id].persisted()
        self._leave(persist.then_send)

    def _leave(self, envelopes: Iterable[AnyEnvelope]) -> None:
        for leaving in envelopes:
            sender = leaving.sender.node_id
            self.witness.leaves(leaving, self.on_disk[sender], self.runs[sender])
            own = leaving.recipient == sender
            (self.to_itself[sender] if own else self.network).append(leaving)

    # For tests that do not care about the order.

    def save(self, node_id: str) -> None:
        """Perform and persist until this node has nothing left to do, hearing itself at once."""
        while True:
            ready = self.perform(node_id)
            if ready.persist is not None:
                self.end_persist(node_id)
            own = self.to_itself[node_id]
            if own:
                self.deliver(own.pop(0))
            elif ready.is_empty:
                return

    def settle(self) -> None:
        """Deliver everything, oldest first, with disks that never fail, until nothing is left."""
        for node_id in self.machines:
            self.save(node_id)
        while self.network:
            arriving = self.network.pop(0)
            self.deliver(arriving)
            if arriving.recipient in self.machines:
                self.save(arriving.recipient)

    def pass_on(self, kind: type, to: str) -> None:
        """Deliver the oldest message of this kind to this node."""
        arriving = next(e for e in self.sent(kind) if e.recipient == to)
        self.network.remove(arriving)
        self.deliver(arriving)

    def run_phase1(self, proposer: str, *members: str) -> None:
        """Bring the promises of these members, and no more, to the proposer."""
        self.save(proposer)
        for member in members:
            self.pass_on(Prepare, to=member)
            self.save(member)
            self.pass_on(Promise, to=proposer)
        self.save(proposer)

    def run_phase2(self, *members: str) -> None:
        """Let these members, and no more, vote. Their votes stay on the network."""
        for member in members:
            self.pass_on(Accept, to=member)
            self.save(member)

    def sent(self, kind: type) -> list[AnyEnvelope]:
        """What is on the network and of this kind."""
        return [travelling for travelling in self.network if isinstance(travelling.message, kind)]

    def chosen(self) -> list[Any]:
        """The values that nodes have reported as chosen, in that order."""
        return [e.proposal.value for _, e in self.events if isinstance(e, ValueChosen)]
