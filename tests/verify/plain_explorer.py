"""A small explorer of machines that takes nothing together and leaves nothing out.

It shares no code with `paxos.verify`. Each message leaves alone; a persist begins, is written and
is synced in steps of its own; a kill reads back what was written, a power cut leaves the old or the
new; and each message is delivered by itself. So it sees very many states of very small clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from paxos import DurableState, Envelope, Machine, Propose
from paxos.scenario.cluster import Cluster

Disk: TypeAlias = DurableState[str]


class Process(NamedTuple):
    """A node that runs."""

    snapshot: Any
    outbox: tuple[Any, ...]
    """What may leave, in any order."""

    writing: Disk | None
    is_written: bool
    leaving: tuple[Any, ...]
    """What may leave once the persist is done."""


class Server(NamedTuple):
    process: Process | None
    disk: Disk


class World(NamedTuple):
    servers: tuple[Server, ...]
    sent: frozenset[Any]
    ballots: int
    crashes: int


@dataclass
class PlainExplorer:
    cluster: Cluster
    proposals: tuple[tuple[str, str], ...]
    ballots: int
    crashes: int = 0

    def explore(self) -> set[World]:
        servers = tuple(Server(self._started(n, DurableState()), DurableState()) for n in self.ids)
        start = World(servers, frozenset(), 0, 0)
        seen, todo = {start}, [start]
        while todo:
            for world in self._next(todo.pop()):
                if world not in seen:
                    seen.add(world)
                    todo.append(world)
        return seen

    @property
    def ids(self) -> tuple[str, ...]:
        return self.cluster.node_ids

    def _next(self, world: World) -> Iterator[World]:
        for index, (node_id, server) in enumerate(zip(self.ids, world.servers, strict=True)):
            process, disk = server
            if process is None:
                yield self._with(world, index, Server(self._started(node_id, disk), disk))
                continue
            for envelope in process.outbox:
                rest = tuple(e for e in process.outbox if e is not envelope)
                left = Server(process._replace(outbox=rest), disk)
                yield self._with(world, index, left)._replace(sent=world.sent | {envelope})
            if process.writing is not None:
                yield self._with(world, index, self._further(server))
            if world.crashes < self.crashes:
                for kept in self._after_crash(server):
                    crashed = self._with(world, index, Server(None, kept))
                    yield crashed._replace(crashes=world.crashes + 1)
            for given in self._inputs(world, node_id):
                yield from self._handled(world, index, given)

    def _inputs(self, world: World, node_id: str) -> Iterator[Any]:
        yield from (e for e in world.sent if e.recipient == node_id)
        yield from (Propose(value) for asked, value in self.proposals if asked == node_id)

    def _handled(self, world: World, index: int, given: Any) -> Iterator[World]:
        process, disk = world.servers[index]
        assert process is not None
        if process.snapshot.stopped is not None:
            return
        machine: Any = self._machine.restore(process.snapshot)
        machine.receive(given, 0.0)
        before, after = process.snapshot.node.proposer.ballot, machine.node.proposer.ballot
        ballots = world.ballots + (before != after)
        if ballots <= self.ballots:
            handled = self._with(world, index, Server(self._taken(machine, process), disk))
            yield handled._replace(ballots=ballots)

    @staticmethod
    def _taken(machine: Any, before: Process) -> Process:
        """Take what there is to do; do nothing of it yet."""
        ready = machine.ready()
        outbox = before.outbox + ready.send
        if ready.persist is None:
            outbox += ready.send_after_persist
            return before._replace(snapshot=machine.snapshot(), outbox=_as_set(outbox))
        return Process(
            machine.snapshot(), _as_set(outbox), ready.persist, False, ready.send_after_persist
        )

    def _further(self, server: Server) -> Server:
        """The persist goes one step on: first it is written, then it is synced."""
        process, _ = server
        assert process is not None
        if not process.is_written:
            return server._replace(process=process._replace(is_written=True))
        assert process.writing is not None
        machine: Any = self._machine.restore(process.snapshot)
        machine.persisted()
        outbox = _as_set(process.outbox + process.leaving)
        done = Process(process.snapshot, outbox, None, False, ())
        return Server(self._taken(machine, done), process.writing)

    @staticmethod
    def _after_crash(server: Server) -> set[Disk]:
        """What a kill, or a power cut, may leave."""
        process, disk = server
        assert process is not None
        return {disk} if process.writing is None else {disk, process.writing}

    def _started(self, node_id: str, disk: Disk) -> Process:
        machine: Any = self.cluster.start(self.cluster.identity(node_id), disk)
        self._machine = type(machine)
        return self._taken(machine, Process(machine.snapshot(), (), None, False, ()))

    _machine: Any = Machine

    @staticmethod
    def _with(world: World, index: int, server: Server) -> World:
        servers = (*world.servers[:index], server, *world.servers[index + 1 :])
        return world._replace(servers=servers)


def _as_set(envelopes: tuple[Envelope[Any], ...]) -> tuple[Envelope[Any], ...]:
    return tuple(sorted(set(envelopes), key=repr))
