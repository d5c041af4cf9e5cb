"""A small world with a clock: nodes with heartbeats, links, disks, crashes; all from one seed.

Time is virtual: nothing waits, and a minute takes a blink. Every node has a clock of its own, far
from everybody else's. A `Witness` sees all that leaves, so each run also checks safety.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar

from core.witness import Witness
from paxos import (
    NOTHING_CHOSEN,
    DurableState,
    Envelope,
    Event,
    FaultError,
    HeartbeatNode,
    Identity,
    Machine,
    ProposalID,
    Propose,
    Quorums,
    Tick,
    Timing,
    ValueChosen,
)

WINDOW = Timing().window
AnyEnvelope: TypeAlias = Envelope[Any]
Persist: TypeAlias = tuple[DurableState[str], tuple[AnyEnvelope, ...]]
E = TypeVar("E")


@dataclass
class Server:
    """One node: its process, if it is up, its clock and its disk."""

    ahead: float
    """How far its clock is ahead of the world's (seconds)."""

    disk: DurableState[str] = field(default_factory=DurableState)
    machine: Machine[HeartbeatNode[str], DurableState[str], str] | None = None
    run: int = 0  # what was meant for an earlier run of the process is void
    persist: Persist | None = None
    """What is on its way to the disk, and what leaves once it is there."""

    tick_at: float | None = None
    hangs: bool = False
    full: bool = False


class World:
    """Nodes that start together, and what can happen to them. Ranges are in seconds."""

    def __init__(
        self,
        nodes: Iterable[str] | Quorums = "ABC",
        *,
        seed: int = 0,
        latency: tuple[float, float] = (0.001, 0.02),
        sync: tuple[float, float] = (0.001, 0.01),
        loss: float = 0.0,
        repeats: float = 0.0,
    ) -> None:
        self.quorums = nodes if isinstance(nodes, Quorums) else Quorums.majority(nodes)
        self.seed, self.timing, self.random = seed, Timing(seed=seed), random.Random(seed)
        self.latency, self.sync, self.loss, self.repeats = latency, sync, loss, repeats
        self.witness = Witness(self.quorums)
        self.now = 0.0
        self.cut_links: set[tuple[str, str]] = set()
        """Links as (from, to): what arrives over one of them is lost."""
        self.loses: Callable[[AnyEnvelope], bool] = lambda _: False
        """Asked once about each message that leaves for another node."""
        self.events: list[tuple[float, str, Event[str]]] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self.servers = {n: Server(self.random.uniform(-1e4, 1e4)) for n in self.quorums.members}
        for node_id in self.servers:
            self.start(node_id)

    def __repr__(self) -> str:
        return f"<World of {', '.join(self.servers)}, seed {self.seed}, at {self.now:.3f} s>"

    # What a test may do.

    def start(self, node_id: str) -> None:
        """Start a node, or start it again from its disk."""
        server = self.servers[node_id]
        server.run, server.persist, server.tick_at = server.run + 1, None, None
        clock, identity = self.now + server.ahead, Identity("test", node_id, "first")
        node = HeartbeatNode[str].recover(
            identity, self.quorums, server.disk, timing=self.timing, now=clock
        )
        server.disk, server.machine = node.durable, Machine(node, clock)
        self._perform(node_id)

    def crash(self, node_id: str) -> None:
        """End its process. What was on its way to the disk may be there, or not."""
        server = self.servers[node_id]
        if server.persist is not None and self.random.random() < 0.5:
            server.disk = server.persist[0]
        server.machine, server.persist, server.run = None, None, server.run + 1

    def propose(self, *node_ids: str) -> None:
        """Let each of these nodes propose a value of its own."""
        for node_id in node_ids:
            self.witness.proposed(f"of {node_id}")
            self._input(node_id, Propose(f"of {node_id}"))

    def hear(self, node_id: str, sender: str, message: Any) -> None:
        """Let a message arrive of which nothing else is known."""
        self._input(node_id, Envelope(Identity("test", sender, "first"), node_id, message))

    def cut(self, one: str, other: str) -> None:
        """Cut both links between these two."""
        self.cut_links |= {(one, other), (other, one)}

    def connect_only(self, *pairs: str) -> None:
        """Cut all links but those, both ways, between pairs such as "AB"."""
        self.cut_links = set(itertools.permutations(self.servers, 2))
        self.cut_links -= {(pair[i], pair[1 - i]) for pair in pairs for i in (0, 1)}

    def free_disk(self, node_id: str) -> None:
        """The disk of this node, which hung, hangs no more."""
        server = self.servers[node_id]
        server.hangs = False
        self._persisted(server, server.persist)

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Let this happen, a delay from now."""
        heapq.heappush(self._agenda, (self.now + delay, next(self._serial), action))

    def run(self, windows: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let so many liveness windows pass, or fewer: whether `until` came true."""
        end = self.now + windows * WINDOW
        while not until():
            if not self._agenda or self._agenda[0][0] > end:
                self.now = end
                return False
            self.now, _, action = heapq.heappop(self._agenda)
            action()
        return True

    # What a test may ask.

    def node(self, node_id: str) -> HeartbeatNode[str]:
        machine = self.servers[node_id].machine
        assert machine is not None, f"{node_id} is down"
        return machine.node

    @property
    def up(self) -> tuple[str, ...]:
        """The nodes whose process runs and has not stopped."""
        return tuple(n for n, s in self.servers.items() if s.machine and not s.machine.stopped)

    @property
    def leaders(self) -> dict[str, ProposalID]:
        """The nodes that believe that they lead, and under which ID."""
        beats = {node_id: self.node(node_id).heartbeats for node_id in self.up}
        return {node_id: beat.ballot for node_id, beat in beats.items() if beat.leads}

    def know(self, node_ids: Iterable[str]) -> bool:
        """Whether all these nodes know what is chosen."""
        return all(self.node(n).chosen is not NOTHING_CHOSEN for n in node_ids)

    def told(self, kind: type[E], since: float = 0.0) -> list[tuple[str, E]]:
        """The events of one kind since that instant, each with the node that told of it."""
        return [(n, e) for at, n, e in self.events if at >= since and isinstance(e, kind)]

    # What a world does for its nodes.

    def _input(self, node_id: str, input: AnyEnvelope | Propose[str] | Tick) -> None:
        server = self.servers[node_id]
        if server.machine is not None and server.machine.stopped is None:
            server.machine.receive(input, self.now + server.ahead)
            self._perform(node_id)

    def _perform(self, node_id: str) -> None:
        """Do what the machine wants, and wake it when it wants to be woken."""
        server = self.servers[node_id]
        assert server.machine is not None
        ready, deadline = server.machine.ready(), server.machine.deadline
        self._leave(ready.send)
        if ready.persist is None:
            self._leave(ready.send_after_persist)
        else:
            persist = server.persist = (ready.persist, ready.send_after_persist)
            self.after(self.random.uniform(*self.sync), lambda: self._persisted(server, persist))
        for event in ready.events:
            self.events.append((self.now, node_id, event))
            if isinstance(event, ValueChosen):
                self.witness.learned(node_id, event.proposal)
        if deadline is not None and deadline != server.tick_at:
            server.tick_at = deadline
            wait = max(deadline - self.now - server.ahead, 0.0) + 1e-9  # floats: never too early
            self.after(wait, lambda: self._tick(node_id, deadline))

    def _tick(self, node_id: str, deadline: float) -> None:
        server = self.servers[node_id]
        if server.tick_at == deadline:  # else it wants another one by now
            server.tick_at = None
            self._input(node_id, Tick())

    def _persisted(self, server: Server, persist: Persist | None) -> None:
        """Unless the disk hangs, or the process that wanted this has ended."""
        if persist is None or server.persist is not persist or not server.machine or server.hangs:
            return
        server.persist = None
        if server.full:
            server.machine.failed(FaultError("no space left"))
        else:
            server.disk = persist[0]
            server.machine.persisted()
            self._leave(persist[1])
        self._perform(server.machine.node.node_id)

    def _leave(self, envelopes: Iterable[AnyEnvelope]) -> None:
        for envelope in envelopes:
            node_id, recipient = envelope.sender.node_id, envelope.recipient
            server = self.servers[node_id]
            self.witness.leaves(envelope, server.disk, server.run)
            if recipient == node_id:
                self.after(0.0, partial(self._arrive, envelope, server.run))
            elif not self.loses(envelope):
                for _ in range(1 + (self.random.random() < self.repeats)):
                    delay, lost = self.random.uniform(*self.latency), self.random.random()
                    if lost >= self.loss:
                        self.after(delay, partial(self._arrive, envelope))

    def _arrive(self, envelope: AnyEnvelope, run: int | None = None) -> None:
        """Over the network; or, if it is to itself, within that run of the process only."""
        link = (envelope.sender.node_id, envelope.recipient)
        if link not in self.cut_links and run in (None, self.servers[envelope.recipient].run):
            self._input(envelope.recipient, envelope)
