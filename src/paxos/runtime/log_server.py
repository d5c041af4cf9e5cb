"""A node of a log, served over TCP by asyncio, with the application's state machine on top.

    async with serve_log(cluster, folder, Inventory) as server:
        await server.stopped()

Leaving the block hands over the leadership, stops everything, and returns when all has stopped.
What ends the node early (a failing disk, a mistake in the machine, a bug) is raised in the block.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from paxos.codec import MalformedError
from paxos.errors import FaultError, MisuseError
from paxos.events import LeaderChanged, LeadershipLost
from paxos.log.entries import Configuration, Member
from paxos.log.events import (
    ChangeRefused,
    CommandsRefused,
    EntriesWanted,
    EntryChosen,
    LogEvent,
    MembersChanged,
    ReadFailed,
    ReadReady,
    Removed,
)
from paxos.log.inputs import Append, ChangeMembers, Read, Transfer
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.messages import ChosenBelow, Decisions, LogMessage
from paxos.log.state import LogState
from paxos.log_codec import Encoder
from paxos.log_store import LogStore, SnapshotRefusedError
from paxos.messages import Envelope, Identity
from paxos.replica import Make, Replica
from paxos.runtime import log_protocol as wire
from paxos.runtime.applying import (
    MAX_WAITING,
    Applying,
    Called,
    Query,
    read_numbers,
    reason_to_decline,
)
from paxos.runtime.cluster_file import Address, Cluster
from paxos.runtime.disk_thread import DiskThread, off_the_loop
from paxos.runtime.driver import Done, Driver, led_astray
from paxos.runtime.links import Link
from paxos.runtime.log_connections import Connection
from paxos.runtime.peers import Peers
from paxos.runtime.server import DISK_PATIENCE, MAX_CONNECTIONS, TLS, one_error
from paxos.runtime.server import listen as listen_at
from paxos.runtime.snapshotting import Snapshotting, Ways, restore
from paxos.runtime.store import open_log_memory
from paxos.sessions import DEFAULT_LIMITS, REQUEST_OVERHEAD, SessionLimits
from paxos.state_machine import StateMachine
from paxos.storage_errors import FullError

GATHER = 0.001
"""Seconds that commands wait for others at most, so that they share an entry."""

REPLAY_BYTES = 4 << 20
"""Of entries that are read at once at the start."""

log = logging.getLogger("paxos.runtime")


@dataclass(frozen=True, slots=True)
class Recovered:
    """A node's memory, opened, and its replica, brought to where the log stands."""

    store: LogStore
    replica: Replica[StateMachine]
    encoder: Encoder


@asynccontextmanager
async def serve_log(
    cluster: Cluster,
    folder: Path,
    make: Make[StateMachine],
    *,
    sessions: SessionLimits = DEFAULT_LIMITS,
    tls: TLS | None = None,
    jitter: Callable[[], float] = random.random,
) -> AsyncGenerator[LogServer]:
    """Run the node whose memory is in `folder`, as long as the block lasts.

    `make` makes the state machine in its first state: a class will do. Raises, before the block,
    what `open_log_store` raises; `MisuseError` if the memory is of another cluster;
    `AddressTakenError` if its port is taken; a `FaultError` if the machine cannot take on what the
    disk holds. In the block, or when it is left, whatever ended the node; `SyncHungError` if its
    disk still hangs.
    """
    found = await off_the_loop(
        lambda: recover(folder, cluster, make, sessions), lambda late: late.store.close()
    )
    disk = DiskThread[LogState[bytes]](found.store, folder)
    server: LogServer | None = None
    try:
        with one_error():
            async with asyncio.TaskGroup() as tasks:
                server = LogServer(cluster, found, disk, tasks)
                try:
                    await server.start(tls, jitter)
                    yield server
                    await server.hand_over()
                finally:
                    try:
                        await server.stop_listening()
                    finally:  # a cancellation may fall into that wait
                        server.stop()
    finally:
        await disk.close(DISK_PATIENCE)
        if server is not None and server.late_failure is not None:
            raise server.late_failure


def recover(
    folder: Path, cluster: Cluster, make: Make[StateMachine], sessions: SessionLimits
) -> Recovered:
    """Open a node's memory and apply what it holds. Blocks."""
    encoder = Encoder()
    store = open_log_memory(folder, cluster, encoder)
    try:
        replica: Replica[StateMachine] = Replica(
            make,
            limits=sessions,
            configurations=store.state.configurations,
            window=store.window,
        )
        restore(replica, store)
        while replica.applied_below < store.chosen_below:
            for proposal in store.entries(replica.applied_below, REPLAY_BYTES):
                replica.apply(replica.applied_below, proposal.value)
        replica.configurations = store.state.configurations
    except BaseException:
        store.close()
        raise
    return Recovered(store, replica, encoder)


class LogServer:
    """A running node of a log. `serve_log` makes it."""

    def __init__(
        self,
        cluster: Cluster,
        found: Recovered,
        disk: DiskThread[LogState[bytes]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Put the parts together; `start` sets them going."""
        self._loop = asyncio.get_running_loop()
        self.cluster = cluster
        owner = found.store.owner
        self.identity = Identity(owner.cluster, owner.node_id, owner.incarnation)
        self._store = found.store
        self._disk = disk
        self._tasks = tasks
        now = self._loop.time()
        node = LogNode[bytes].recover(
            self.identity,
            found.store.state,
            limits=cluster.log_limits,
            timing=cluster.timing,
            now=now,
        )
        self._peers = Peers(self.identity, found.encoder, cluster.addresses, self._connect)
        self._driver: Driver[LogNode[bytes], LogState[bytes]] = Driver(
            LogMachine[bytes](node, now), self._save, self._peers.send, self._publish_all
        )
        self._applying = Applying(found.replica, self._applied)
        ways = Ways(
            self._peers.tell,
            self._peers.tell_much,
            self._frame_of,
            self._driver.feed,
            lambda: self.node.log.chosen_below,
        )
        self._snapshotting = Snapshotting(
            found.store, disk, self._applying, ways, cluster.snapshot_entries
        )
        self._unflushed: list[Connection] = []
        self._gathered: list[bytes] = []
        self._will_gather = False
        self._expected = 1
        """How many connections were answered together last."""

        self._gathering: asyncio.TimerHandle | None = None
        self._to_read: list[Query] = []
        self._reads: dict[int, list[Query]] = {}
        self._read_numbers = read_numbers(0.0)
        self._changing: list[tuple[Configuration, Called]] = []
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._watchers: set[Callable[[LogEvent[bytes]], object]] = set()
        self._leads_no_more = asyncio.Event()
        self._removed = asyncio.Event()
        self._batch = cluster.log_limits.batch
        self._largest_request = cluster.value_bytes + REQUEST_OVERHEAD
        self._stopping = False
        self._tls: TLS | None = None
        self._jitter: Callable[[], float] = random.random

    # What the program around it asks.

    @property
    def node(self) -> LogNode[bytes]:
        """The state of the node, as it is now: immutable, to look at."""
        return self._driver.node

    @property
    def replica(self) -> Replica[StateMachine]:
        """The application's state on this node. Look at it, in the event loop, and do no more."""
        return self._applying.replica

    @property
    def leads(self) -> bool:
        """Whether this node leads, as far as it knows."""
        return self.node.log.leads and self.node.heartbeats.leads

    @property
    def late_failure(self) -> BaseException | None:
        """What became of a save that was still under way when the node stopped, if it failed."""
        return self._driver.late_failure

    async def removed(self) -> None:
        """Wait until this node is no member any more, and is not needed."""
        await self._removed.wait()

    def watch(self, told: Callable[[LogEvent[bytes]], object]) -> Callable[[], None]:
        """Call `told` with each event from now on; call what is returned to end that."""
        self._watchers.add(told)
        return lambda: self._watchers.discard(told)

    def status(self, number: int = 0) -> wire.LogStatus:
        """How this node is, by its own word."""
        node, snapshot = self.node, self._store.snapshot
        return wire.LogStatus(
            number,
            self.identity.node_id,
            self.identity.incarnation,
            self.leads,
            self._leader(),
            str(node.log.promised),
            node.log.chosen_below,
            self.replica.applied_below,
            0 if snapshot is None else snapshot.chosen_below,
            self._store.first_kept,
            tuple(
                (member.node_id, member.incarnation, member.address)
                for member in node.log.configurations.newest.members
            ),
            self.replica.digest,
            self._store.sync_count,
        )

    async def hand_over(self) -> None:
        """Before it stops: let another member lead at once, if this node leads and one is there."""
        self._stopping = True
        while self.leads:
            heirs = [name for name in self.node.log.names if self._peers.is_connected(name)]
            if not heirs:
                return
            self._leads_no_more.clear()
            self._driver.feed(Transfer(heirs[0]))
            try:
                async with asyncio.timeout(self.cluster.timing.window):
                    await self._leads_no_more.wait()
            except TimeoutError:
                return

    async def start(self, tls: TLS | None, jitter: Callable[[], float]) -> None:
        """Listen, connect to the others, and begin."""
        self._tls, self._jitter = tls, jitter
        self._read_numbers = read_numbers(jitter())
        self._listener = await listen_at(
            self.cluster,
            self.identity.node_id,
            lambda: Connection(self, self.identity.node_id),
            tls,
        )
        self._link_members()
        self._tasks.create_task(self._raise_failure())  # it ends with the driver
        self._driver.start()

    async def stop_listening(self) -> None:
        """Take no more connections: see `NodeServer.stop_listening`."""
        self._stopping = True
        if self._listener is not None:
            for sock in self._listener.sockets:
                self._loop.remove_reader(sock.fileno())
            try:
                await asyncio.sleep(0)
            finally:
                self._listener.close()

    def stop(self) -> None:
        """Begin to stop: no more inputs or outputs. The task group does the rest.

        What is known to be chosen goes to the disk at last, so that the next start knows it, too.
        """
        if not self._driver.is_closed:
            self._disk.closing = partial(self._store.close, self.node.durable)
        self._driver.close()
        self._applying.give_up_all(wire.Unclear)
        for connection in tuple(self._connections):
            connection.finish()
        for task in self._running:
            task.cancel()

    # What connections ask: see `log_connections.Host`.

    def opened(self, connection: Connection) -> bool:
        """Take it, unless there are too many."""
        if self._stopping or self._driver.is_closed or len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self._connections.discard(connection)

    def greeted(self, connection: Connection, greeting: wire.LogGreeting) -> int:
        """Say how large its frames may be."""
        if greeting.cluster != self.cluster.name:
            raise MalformedError(f"this is cluster {self.cluster.name}, not {greeting.cluster}")
        if isinstance(greeting, wire.LogClientGreeting):
            return self._largest_request + wire.CALL_OVERHEAD
        if greeting.node_id == self.identity.node_id:
            raise MalformedError(f"{greeting.node_id} is this node's own name")
        for older in tuple(self._connections):
            if older.peer is not None and older.peer.node_id == greeting.node_id:
                older.abort()  # a new one means that the old one is dead
        self._peers.meet(greeting)
        return wire.LARGEST_PEER_FRAME

    def has_replies(self, connection: Connection) -> None:
        """Flush all connections together, at the end of this turn at the latest."""
        if not self._unflushed:
            self._loop.call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for connection in unflushed:
            connection.flush()

    def heard(self, connection: Connection, envelopes: list[Envelope[LogMessage[bytes]]]) -> None:
        """Hand envelopes to the machine: what asks for a vote first, for others wait for that.

        Word of what is chosen comes with it as a rule, and can be heard while the disk works.
        """
        words = [each for each in envelopes if type(each.message) is ChosenBelow]
        if words and len(words) < len(envelopes):
            self._driver.feed(
                *[each for each in envelopes if type(each.message) is not ChosenBelow]
            )
            envelopes = words
        self._driver.feed(*envelopes)

    def heard_part(self, connection: Connection, part: wire.Part) -> None:
        """See to a snapshot."""
        if connection.peer is not None:
            self._run(self._snapshotting.hear(connection.peer.node_id, part))

    def called(self, connection: Connection, call: wire.LogCall) -> None:
        """Do what a client asks for."""
        match call:
            case wire.Submit():
                self._submit(connection, call.number, call.request)
            case wire.Ask():
                self._ask(connection, call)
            case wire.AskLogStatus(number):
                connection.reply(self.status(number))
            case wire.Join():
                self._join(connection, call)
            case wire.HandOver():
                self._hand_over_for(connection, call)

    def _submit(self, connection: Connection, number: int, request: bytes) -> None:
        """Gather what comes in this turn of the loop: it goes into the log together."""
        if self._stopping:
            connection.reply(self._not_leader(number))
        elif len(request) > self._largest_request:
            reason = f"a command of more than {self.cluster.value_bytes} bytes"
            connection.reply(wire.Declined(number, reason))
        elif (why_not := reason_to_decline(request)) is not None:
            connection.reply(wire.Declined(number, why_not))
        elif self._applying.waiting >= MAX_WAITING:
            connection.reply(wire.Overloaded(number))
        elif self._applying.wait_for(request, Called(connection, number)):
            self._gathered.append(request)
            if not self._will_gather:
                self._will_gather = True
                self._loop.call_soon(self._gather)

    def _gather(self) -> None:
        """Append what has come, or wait a little for more.

        An entry costs all nodes much the same whether it holds one command or a hundred. So while
        one is under way, others wait; and as many as were answered together last are likely to ask
        together again.
        """
        self._will_gather = False
        count = len(self._gathered)
        if count >= self._batch or (count >= self._expected and not self._is_under_way()):
            self._append()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER, self._append)

    def _append(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._gathered:
            commands, self._gathered = tuple(self._gathered), []
            self._driver.feed(Append(commands))

    def _is_under_way(self) -> bool:
        log = self.node.log
        return log.leads and log.next_slot > log.chosen_below

    def _ask(self, connection: Connection, call: wire.Ask) -> None:
        query = Query(connection, call.number, call.query)
        if call.stale:
            try:
                self._applying.answer(query)
            except FaultError as error:  # of the machine, and not of who asks
                self._driver.fail(error)
        elif self._applying.waiting >= MAX_WAITING:
            connection.reply(wire.Overloaded(call.number))
        else:
            if not self._to_read:
                self._loop.call_soon(self._read)
            self._to_read.append(query)

    def _read(self) -> None:
        """One read point for all queries of this turn."""
        number = next(self._read_numbers)
        self._reads[number], self._to_read = self._to_read, []
        self._driver.feed(Read(number))

    def _join(self, connection: Connection, call: wire.Join) -> None:
        if not self.leads:
            connection.reply(self._not_leader(call.number))
            return
        try:
            for _, _, address in call.members:
                Address.parse(address)
            configuration = Configuration.of([Member(*member) for member in call.members])
        except MisuseError as error:
            connection.reply(wire.Declined(call.number, str(error)[:1000]))
            return
        self._changing.append((configuration, Called(connection, call.number)))
        self._driver.feed(ChangeMembers(configuration))

    def _hand_over_for(self, connection: Connection, call: wire.HandOver) -> None:
        if not self.leads:
            connection.reply(self._not_leader(call.number))
        elif call.node_id not in self.node.log.names:
            connection.reply(wire.Declined(call.number, f"{call.node_id} is no member"))
        else:
            self._driver.feed(Transfer(call.node_id))
            connection.reply(wire.Done(call.number))

    # What the machine says.

    def _save(self, state: LogState[bytes], done: Done) -> None:
        """The state is encoded on the disk's thread, and may turn out there to be none."""

        def saved(error: BaseException | None) -> None:
            done(led_astray(error) if isinstance(error, MisuseError) else error)

        self._disk.save(state, saved)

    def _publish_all(self, events: Sequence[LogEvent[bytes]]) -> None:
        for event in events:
            self._publish(event)
        if self._unflushed:
            self._expected = len(self._unflushed)
            self._flush()
        if self._gathering is not None and not self._is_under_way():
            self._gather()

    def _publish(self, event: LogEvent[bytes]) -> None:
        match event:
            case EntryChosen(slot, proposal):
                self._applying.chosen(slot, proposal.value)
            case ReadReady(number, slot):
                for query in self._reads.pop(number, ()):
                    self._applying.answer_at(slot, query)
            case ReadFailed(number, _):
                for query in self._reads.pop(number, ()):
                    query.caller.reply(self._not_leader(query.number))
            case CommandsRefused(commands, _):
                answer = wire.Overloaded if self.leads else self._not_leader
                self._applying.give_up(commands, answer)
            case EntriesWanted(recipient, slot):
                self._run(self._snapshotting.teach(recipient, slot))
            case _:
                self._publish_rare(event)
        for told in tuple(self._watchers):
            told(event)

    def _publish_rare(self, event: LogEvent[bytes]) -> None:
        log.info("%s: %s", self.identity.node_id, event)
        match event:
            case LeadershipLost():
                self._leads_no_more.set()
                # Those that were never proposed are refused in this same turn, and may be asked
                # for elsewhere. Of the rest nobody here can tell.
                self._loop.call_soon(self._applying.give_up_all, wire.Unclear)
            case MembersChanged(configuration):
                self._answer_change(configuration, wire.Done)
                self._link_members()
            case ChangeRefused(configuration, reason):
                self._answer_change(
                    configuration, lambda number: wire.Declined(number, reason[:1000])
                )
            case LeaderChanged():
                self._link_members()
            case Removed():
                self._removed.set()
            case _:
                pass

    def _answer_change(
        self, configuration: Configuration, answer: Callable[[int], wire.LogReply]
    ) -> None:
        for waiting in tuple(self._changing):
            if waiting[0] == configuration:
                self._changing.remove(waiting)
                waiting[1].caller.reply(answer(waiting[1].number))

    def _applied(self, below: int) -> None:
        if not self._stopping and self._snapshotting.begins_to_take(below):
            self._run(self._snapshotting.take())

    def _not_leader(self, number: int) -> wire.LogReply:
        leader = self._leader()
        return wire.NotLeader(number, leader, self._peers.address_of(leader))

    def _leader(self) -> str:
        return self.node.heartbeats.follows(self._loop.time()).node_id

    def _frame_of(self, recipient: str, message: Decisions[bytes]) -> bytes:
        return self._peers.frame(Envelope(self.identity, recipient, message))

    def _link_members(self) -> None:
        """Have a link to all who decide in this slot or one to come."""
        steps = self.node.log.configurations.steps
        self._peers.keep_to(
            {member.node_id: member.address for _, each in steps for member in each.members}
        )

    def _connect(
        self, node_id: str, address: Address, greeting: bytes
    ) -> tuple[Link, Callable[[], object]]:
        tls = self._tls.connecting if self._tls else None
        link = Link(node_id, address, greeting, self._jitter, tls)
        return link, self._run(link.run()).cancel

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(self._watched(coroutine))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _watched(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """What a peer sent wrongly, or has no room, is given up; all else ends the node."""
        try:
            await coroutine
        except (MalformedError, SnapshotRefusedError, FullError) as fault:
            log.warning("%s gives up: %s", self.identity.node_id, fault)
        except Exception as error:  # noqa: BLE001 - raised where the server waits for `failure`
            self._driver.fail(error)

    async def _raise_failure(self) -> None:
        await self._driver.failure
