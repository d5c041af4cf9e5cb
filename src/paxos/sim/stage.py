"""The stage: a whole cluster in memory, on which nothing happens unless a command says so.

The machines are those that users run, and so is the memory of each (see `server`). The network is
the set of all messages that ever left: each may be delivered any number of times, or never. Time
stands still until a command moves it. Who plays the commands, a person's file or a simulator's
dice, is not known here; whoever wants to know what happens watches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeGuard

from paxos import machine
from paxos.codec import MalformedError
from paxos.durable import StorageError, Store
from paxos.errors import MisuseError
from paxos.heartbeat import HeartbeatNode
from paxos.messages import Envelope, Message
from paxos.scenario import commands
from paxos.scenario.abstract_time import fired, normalised, timers
from paxos.scenario.breakage import AnyNode
from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import Command, Ending
from paxos.scenario.happenings import (
    Arrived,
    Asked,
    Commanded,
    Crashed,
    Damaged,
    Happening,
    Left,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Restarted,
    StayedDown,
    Ticked,
    TimePassed,
    Told,
)
from paxos.scenario.words import text_of_envelope
from paxos.sim.server import Process, Server, UnderWay

AnyEnvelope: TypeAlias = Envelope[Message[str]]
Input: TypeAlias = AnyEnvelope | machine.Propose[str] | machine.Tick


class Stage:
    """A cluster whose nodes have all just started, at the instant 0."""

    def __init__(
        self,
        cluster: Cluster,
        watch: Callable[[Happening], object],
        *,
        abstract_time: bool = False,
    ) -> None:
        """Start every node. `watch` is told of all that happens from then on.

        Where time is abstract (see `paxos.scenario.abstract_time`), it never passes, and timers run
        out by `commands.Timer`.
        """
        self.cluster = cluster
        self.abstract_time = abstract_time
        self.now = 0.0
        """The world's time (seconds)."""

        self.effects = 0
        """How many inputs were handled, messages left, persists began and ended, crashes and
        restarts came: the measure of a simulator's speed."""

        self.sent: set[AnyEnvelope] = set()
        """All messages that ever left: they can arrive."""

        self._watch = watch
        self._handlers: dict[type, Callable[[Any], None]] = {
            commands.Propose: self._propose,
            commands.Deliver: self._deliver,
            commands.Tick: self._tick,
            commands.Timeout: self._timeout,
            commands.Timer: self._timer,
            commands.At: self._at,
            commands.SetClock: self._set_clock,
            commands.Persist: self._persist,
            commands.Hang: self._hang,
            commands.Free: self._free,
            commands.Fail: self._fail,
            commands.Crash: self._crash,
            commands.Rot: self._rot,
            commands.Wipe: self._wipe,
            commands.Restart: self._restart,
        }
        self.servers = {
            node_id: Server(cluster.identity(node_id), cluster.breakage)
            for node_id in cluster.node_ids
        }
        for server in self.servers.values():
            self._start(server, server.open())

    def perform(self, command: Command) -> None:
        """Let this happen. Raises `MisuseError` if it cannot, just now; then nothing has."""
        self._handlers[type(command)](command)

    # What comes to a node.

    def _propose(self, command: commands.Propose) -> None:
        server, process = self._up(command.node_id)
        self._watch(Commanded(command))
        self._watch(Asked(command.node_id, command.value))
        self._input(server, process, machine.Propose(command.value))

    def _deliver(self, command: commands.Deliver) -> None:
        envelope = command.envelope
        if envelope not in self.sent:
            raise MisuseError(f"{text_of_envelope(envelope)!r} was never sent")
        server, process = self._up(envelope.recipient)
        self._watch(Commanded(command))
        self._watch(Arrived(envelope))
        self._input(server, process, envelope)

    def _tick(self, command: commands.Tick) -> None:
        server, process = self._up(command.node_id)
        self._watch(Commanded(command))
        self._input(server, process, machine.Tick())

    def _timeout(self, command: commands.Timeout) -> None:
        self._demand_instants("write timer NODE NAME")
        server, process = self._up(command.node_id)
        deadline = process.machine.deadline
        if deadline is None or deadline == math.inf:
            raise MisuseError(f"{command.node_id} waits for no instant: tick it, or deliver to it")
        self._watch(Commanded(command))
        server.clock.set(self.now, reading=max(deadline, server.clock.reading(self.now)))
        self._input(server, process, machine.Tick())

    def _timer(self, command: commands.Timer) -> None:
        if not self.abstract_time:
            raise MisuseError("here time passes: write timeout NODE, or at SECONDS and tick NODE")
        server, process = self._up(command.node_id)
        node: object = process.machine.node
        armed = timers(node) if _keeps_time(node) else ()
        if not _keeps_time(node) or command.name not in armed:
            raise MisuseError(f"{command.node_id} has no timer {command.name!r}: it has {armed}")
        self._watch(Commanded(command))
        self._replace_node(process, fired(node, command.name))
        self._input(server, process, machine.Tick())

    def _input(self, server: Server, process: Process, input: Input) -> None:
        reading = server.clock.reading(self.now)
        self.effects += 1
        if isinstance(input, machine.Tick):
            self._watch(Ticked(server.node_id, reading))
        process.machine.receive(input, reading)
        self._serve(server, process)

    # Time.

    def _at(self, command: commands.At) -> None:
        self._demand_instants("leave out at")
        if command.seconds < self.now:
            raise MisuseError(f"it is {self.now} already: time never goes back")
        self._watch(Commanded(command))
        self.now = command.seconds
        self._watch(TimePassed(self.now))

    def _set_clock(self, command: commands.SetClock) -> None:
        self._demand_instants("leave out clock")
        server = self._known(command.node_id)
        reading = None if command.ahead is None else self.now + command.ahead
        if server.is_up and reading is not None and reading < server.clock.reading(self.now):
            raise MisuseError(
                f"the clock of {command.node_id} shows {server.clock.reading(self.now)}, and a"
                " monotonic clock never goes back: crash the node first, or set it further ahead"
            )
        self._watch(Commanded(command))
        server.clock.set(self.now, rate=command.rate, reading=reading)

    def _demand_instants(self, instead: str) -> None:
        if self.abstract_time:
            raise MisuseError(f"here time is abstract, and no instant has a number: {instead}")

    # The disk.

    def _persist(self, command: commands.Persist) -> None:
        server, process = self._up(command.node_id)
        if process.under_way is None:
            raise MisuseError(
                f"nothing is on its way to the disk of {command.node_id}: hang it first, or else"
                " its persists are done at once"
            )
        self._watch(Commanded(command))
        self._complete(server, process, process.under_way)
        self._serve(server, process)

    def _hang(self, command: commands.Hang) -> None:
        server = self._known(command.node_id)
        self._watch(Commanded(command))
        server.hangs = True

    def _free(self, command: commands.Free) -> None:
        server = self._known(command.node_id)
        self._watch(Commanded(command))
        server.hangs = False
        self._complete_what_hung(server)

    def _fail(self, command: commands.Fail) -> None:
        server = self._known(command.node_id)
        self._watch(Commanded(command))
        server.break_disk(command.failure)
        self._complete_what_hung(server)

    def _complete_what_hung(self, server: Server) -> None:
        process = server.process
        if process is not None and process.under_way is not None:
            self._complete(server, process, process.under_way)
            self._serve(server, process)

    def _rot(self, command: commands.Rot) -> None:
        server = self._known(command.node_id)
        server.disk.rot()
        self._watch(Commanded(command))
        self._watch(Damaged(command.node_id, "rot"))

    # The process.

    def _crash(self, command: commands.Crash) -> None:
        server, ending = self._known(command.node_id), command.ending
        if command.opening is not None:
            self._crash_while_opening(server, command, command.opening)
            return
        if not ending.is_power_cut and not server.is_up:
            raise MisuseError(
                f"{command.node_id} is down already ({server.why_down}): restart it first"
            )
        if ending is Ending.POWER_TORN and not server.can_be_torn:
            raise MisuseError(
                f"nothing on the disk of {command.node_id} is unsynced, so nothing can be torn:"
                " hang it, and let it save first"
            )
        self._watch(Commanded(command))
        server.end(ending, str(command))
        self.effects += 1
        self._watch(Crashed(command.node_id, command.how))

    def _crash_while_opening(self, server: Server, command: commands.Crash, write: int) -> None:
        if server.is_up:
            raise MisuseError(
                f"{server.node_id} is up, so it is not opening its store: crash it first"
            )
        self._watch(Commanded(command))
        self.effects += 1
        try:
            server.crash_while_opening(command.ending, write, str(command))
        except (StorageError, MalformedError) as error:
            self._watch(StayedDown(server.node_id, error))
            return
        self._watch(Crashed(server.node_id, command.how))

    def _wipe(self, command: commands.Wipe) -> None:
        server = self._known(command.node_id)
        self._watch(Commanded(command))
        if server.is_up:
            server.end(Ending.KILL_UNWRITTEN, "")
            self.effects += 1
            self._watch(Crashed(command.node_id, Ending.KILL_UNWRITTEN.value))
        server.why_down = str(command)
        incarnation = int(server.identity.incarnation) + 1
        server.replace_disk(self.cluster.identity(command.node_id, str(incarnation)))
        self._watch(Damaged(command.node_id, "wipe"))

    def _restart(self, command: commands.Restart) -> None:
        server = self._known(command.node_id)
        if server.is_up:
            raise MisuseError(f"{command.node_id} is up: crash it first")
        self._watch(Commanded(command))
        self.effects += 1
        try:
            store = server.open()
        except (StorageError, MalformedError) as error:
            self._watch(StayedDown(command.node_id, error))
            return
        self._watch(Restarted(command.node_id, server.acknowledged))
        self._start(server, store)

    def _start(self, server: Server, store: Store) -> None:
        reading = server.clock.reading(self.now)
        started = self.cluster.start(server.identity, server.acknowledged, reading)
        server.process = Process(started, store)
        self._serve(server, server.process)

    # What a world does for a machine.

    def _serve(self, server: Server, process: Process) -> None:
        """Do what the machine wants, until it wants nothing, or waits for its disk."""
        while True:
            ready = process.machine.ready()
            self._leave(server, ready.send)
            for event in ready.events:
                self._watch(Told(server.node_id, event))
            if ready.persist is None:
                self._leave(server, ready.send_after_persist)
                break
            self.effects += 1
            process.under_way = UnderWay(ready.persist, ready.send_after_persist)
            self._watch(PersistBegan(server.node_id, ready.persist))
            if server.hangs:
                break
            self._complete(server, process, process.under_way)
        if process.machine.stopped is not None:
            server.end(Ending.KILL_WRITTEN, f"it has stopped: {process.machine.stopped}")
        elif self.abstract_time and _keeps_time(process.machine.node):
            self._replace_node(process, normalised(process.machine.node))

    def _complete(self, server: Server, process: Process, under_way: UnderWay) -> None:
        """End the persist under way, one way or the other."""
        self.effects += 1
        try:
            server.save(process, under_way)
        except StorageError as error:
            self._watch(PersistFailed(server.node_id, error))
            process.machine.failed(error)
            return
        self._watch(PersistEnded(server.node_id, under_way.state))
        process.machine.persisted()
        self._leave(server, under_way.then_send)

    def _leave(self, server: Server, envelopes: Iterable[AnyEnvelope]) -> None:
        for envelope in envelopes:
            self.effects += 1
            self.sent.add(envelope)
            self._watch(Left(envelope, server.acknowledged))

    @staticmethod
    def _replace_node(process: Process, node: AnyNode) -> None:
        """Let the machine hold another state of the node, and all else as it is."""
        replaced = process.machine.snapshot()._replace(node=node)
        process.machine = type(process.machine).restore(replaced)

    def _known(self, node_id: str) -> Server:
        if node_id not in self.servers:
            raise MisuseError(f"there is no node {node_id}: there are {', '.join(self.servers)}")
        return self.servers[node_id]

    def _up(self, node_id: str) -> tuple[Server, Process]:
        server = self._known(node_id)
        if server.process is None:
            raise MisuseError(f"{node_id} is down ({server.why_down}): restart it first")
        return server, server.process


def _keeps_time(node: object) -> TypeGuard[HeartbeatNode[str]]:
    return isinstance(node, HeartbeatNode)
