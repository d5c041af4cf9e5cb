"""A node of a cluster, served over TCP by asyncio.

    async with serve(cluster, folder) as server:
        proposal = await server.decide(b"a value")

Leaving the block stops everything that it started, and returns when all has stopped. What ends
the node early (a failing disk, a proof of damage, a bug) is raised in the block.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paxos import durable
from paxos.codec import (
    ENVELOPE_OVERHEAD,
    MalformedError,
    decode_envelope,
    decode_state,
    encode_envelope,
    encode_state,
)
from paxos.errors import FaultError, MisuseError
from paxos.events import Event, ValueChosen
from paxos.heartbeat import HeartbeatNode
from paxos.machine import Machine, Propose
from paxos.messages import NOTHING_ACCEPTED, NOTHING_CHOSEN, Envelope, Identity, Proposal
from paxos.node import DurableState
from paxos.runtime import protocol
from paxos.runtime.cluster_file import Cluster
from paxos.runtime.disk_thread import DiskThread, off_the_loop
from paxos.runtime.driver import Done, Driver, NodeMachine
from paxos.runtime.links import Link, close
from paxos.runtime.store import open_store

MAX_CONNECTIONS = 512
"""Open to this node at once, peers and clients together; each costs memory."""

MAX_UNSEEN_EVENTS = 1024
"""For one watcher: the events of hours. One that reads none for so long misses the oldest."""

GREETING_PATIENCE = 5.0
"""Seconds in which a new connection must say who it is and what it wants."""

DISK_PATIENCE = 1.0
"""Seconds that stopping waits for a save under way."""

log = logging.getLogger("paxos.runtime")


class AddressTakenError(MisuseError):
    """Something else listens where this node should."""


class StoppedError(FaultError):
    """The node stopped before it knew: the outcome is unknown."""


async def listen(
    cluster: Cluster,
    node_id: str,
    connected: Callable[[], asyncio.BaseProtocol],
    tls: TLS | None = None,
) -> asyncio.Server:
    """Listen where this node does. Raises `AddressTakenError`, or `MisuseError` for a bad bind."""
    bind = cluster.bind(node_id)
    ssl_options: dict[str, Any] = {}
    if tls is not None:
        ssl_options = {"ssl": tls.listening, "ssl_handshake_timeout": GREETING_PATIENCE}
    try:
        listener = await asyncio.get_running_loop().create_server(
            connected, bind.host, bind.port, start_serving=False, **ssl_options
        )
        try:
            await listener.start_serving()
        except BaseException:  # a cancellation, too: nobody else knows of it yet
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        if isinstance(error, UnicodeError):
            raise MisuseError(f"cannot listen at {bind}: {error}") from error
        if error.errno == errno.EADDRINUSE:
            raise AddressTakenError(
                f"{bind} is taken: stop what listens there, or give {node_id} another address"
            ) from error
        raise MisuseError(f"cannot listen at {bind}: {error.strerror or error}") from error
    return listener


def warn_if_open(cluster: Cluster, node_id: str) -> None:
    """Say so if others than this machine can speak for any node."""
    bind = cluster.bind(node_id)
    if not bind.is_loopback:
        log.warning("%s listens at %s, and its links are unauthenticated: whoever reaches this "
                    "port can speak for any node", node_id, bind)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TLS:
    """What both ends of a link use instead of plain TCP. Both must check certificates."""

    listening: ssl.SSLContext
    connecting: ssl.SSLContext


@asynccontextmanager
async def serve(
    cluster: Cluster,
    folder: Path,
    *,
    tls: TLS | None = None,
    jitter: Callable[[], float] = random.random,
) -> AsyncGenerator[NodeServer]:
    """Run the node whose store is in `folder`, as long as the block lasts.

    Raises, before the block, what `durable.open` raises; `MisuseError` if the store belongs to
    no node of this cluster or has no room for its values; `MalformedError` if it holds no state
    of a node; `AddressTakenError` if its port is taken. In the block, or when it is left,
    whatever ended the node, as an `ExceptionGroup` if there is more than one reason;
    `SyncHungError` if its disk still hangs.
    """
    store = await off_the_loop(lambda: open_store(folder, cluster), durable.Store.close)
    disk = DiskThread(store, folder)
    server: NodeServer | None = None
    try:
        try:
            machine = _recover(store, cluster)
        except FaultError as fault:
            raise MalformedError(f"{folder}: {fault}") from fault
        with one_error():
            async with asyncio.TaskGroup() as tasks:
                server = NodeServer(cluster, machine, disk, tasks)
                try:
                    await server.start(tls, jitter)
                    yield server
                finally:
                    try:
                        await server.stop_listening()
                    finally:  # a cancellation may fall into that wait
                        server.stop()
    finally:
        await disk.close(DISK_PATIENCE)
        if server is not None and server.late_failure is not None:
            raise server.late_failure


class NodeServer:
    """A running node. `serve` makes it."""

    def __init__(
        self,
        cluster: Cluster,
        machine: NodeMachine,
        disk: DiskThread[bytes],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Put the parts together; `start` sets them going."""
        self.cluster = cluster
        self.identity: Identity = machine.node.node.identity
        self._disk = disk
        self._driver: Driver[HeartbeatNode[bytes], DurableState[bytes]] = Driver(
            machine, self._save, self._send_all, self._publish_all
        )
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._links: dict[str, Link] = {}
        self._listener: asyncio.Server | None = None
        self._stopping = False
        self._attending: set[asyncio.Task[None]] = set()
        self._peers: dict[str, asyncio.Task[None]] = {}
        self._clients = 0
        self._tls: TLS | None = None
        self._watchers: set[asyncio.Queue[Event[bytes]]] = set()
        self._chosen: asyncio.Future[Proposal[bytes]] = asyncio.get_running_loop().create_future()

    @property
    def node(self) -> HeartbeatNode[bytes]:
        """The state of the node, as it is now: immutable, to look at."""
        return self._driver.node

    async def decide(self, value: bytes) -> Proposal[bytes]:
        """Propose a value, and return what is chosen: this value or another.

        Raises `MisuseError` for what this cluster does not allow as a value; nothing was done
        then. Cancelling the wait does not cancel the proposal: its outcome is unknown.
        """
        self.cluster.require_value(value)
        self._driver.feed(Propose(value))
        return await self.chosen()

    async def chosen(self) -> Proposal[bytes]:
        """Wait until this node knows what is chosen. Raises `StoppedError` if it stops before."""
        return await asyncio.shield(self._chosen)

    @contextmanager
    def watch(self) -> Generator[asyncio.Queue[Event[bytes]]]:
        """A queue of what happens from now on. Who reads too slowly misses the oldest."""
        queue: asyncio.Queue[Event[bytes]] = asyncio.Queue(MAX_UNSEEN_EVENTS)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)

    def status(self) -> protocol.Status:
        """How this node is, by its own word."""
        node, durable_state = self.node, self.node.durable
        follows = node.heartbeats.follows(asyncio.get_running_loop().time())
        accepted, chosen = durable_state.accepted, node.chosen
        return protocol.Status(
            self.identity.node_id,
            self.identity.incarnation,
            str(follows),
            node.heartbeats.leads and node.chosen is NOTHING_CHOSEN,
            str(durable_state.promised),
            "none" if accepted is NOTHING_ACCEPTED else str(accepted.id),
            None if chosen is NOTHING_CHOSEN else _outcome(chosen),
        )

    async def start(self, tls: TLS | None, jitter: Callable[[], float]) -> None:
        """Listen, connect to the others, and begin."""
        self._tls = tls
        own = self.identity.node_id

        def connected() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._connected)

        self._listener = await listen(self.cluster, own, connected)
        if tls is None:
            warn_if_open(self.cluster, own)
        greeting = protocol.encode(
            protocol.PeerGreeting(self.cluster.name, own, self.identity.incarnation)
        )
        for peer, address in self.cluster.addresses.items():
            if peer != own:
                link = Link(peer, address, greeting, jitter, tls.connecting if tls else None)
                self._links[peer] = link
                self._run(link.run())
        self._tasks.create_task(self._raise_failure())  # it ends with the driver
        self._driver.start()

    @property
    def late_failure(self) -> BaseException | None:
        """What became of a save that was still under way when the node stopped, if it failed."""
        return self._driver.late_failure

    async def stop_listening(self) -> None:
        """Take no more connections.

        A listener that is closed between a connection's arrival and its attachment leaks it, so
        its sockets are no longer read, and closed a turn of the loop later.
        """
        self._stopping = True
        if self._listener is not None:
            loop = asyncio.get_running_loop()
            for sock in self._listener.sockets:
                loop.remove_reader(sock.fileno())
            try:
                await asyncio.sleep(0)  # what was accepted just now gets its transport
            finally:
                self._listener.close()

    def stop(self) -> None:
        """Begin to stop: no more inputs or outputs. The task group does the rest."""
        self._driver.close()
        if not self._chosen.done():
            self._chosen.set_exception(StoppedError("the node stopped before it knew the decision"))
            self._chosen.exception()  # so that it counts as seen if nobody waits
        for task in self._running:
            task.cancel()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _raise_failure(self) -> None:
        await self._driver.failure

    def _save(self, state: DurableState[bytes], done: Done) -> None:
        self._disk.save(encode_state(state), done)

    def _send_all(self, envelopes: Sequence[Envelope[Any]]) -> None:
        for envelope in envelopes:
            self._send(envelope)

    def _send(self, envelope: Envelope[Any]) -> None:
        link = self._links.get(envelope.recipient)
        if link is not None:  # else a stranger, to whom there is no way back
            link.send(protocol.frame(encode_envelope(envelope)))

    def _publish_all(self, events: Sequence[Event[bytes]]) -> None:
        for event in events:
            self._publish(event)

    def _publish(self, event: Event[bytes]) -> None:
        log.info("%s: %s", self.identity.node_id, event)
        if isinstance(event, ValueChosen) and not self._chosen.done():
            self._chosen.set_result(event.proposal)
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping or self._driver.failure.done() or len(self._attending) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = self._run(self._attend(reader, writer))
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)
        # A task that is cancelled before its first step never gets to its `finally`.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection. Its faults end it, and nothing else."""
        try:
            async with asyncio.timeout(GREETING_PATIENCE):
                if self._tls is not None:  # here, so that a silent handshake has a limit, too
                    await writer.start_tls(self._tls.listening)
                greeting = protocol.decode_greeting(
                    await protocol.read_frame(reader, ENVELOPE_OVERHEAD)
                )
            if greeting.cluster != self.cluster.name:
                raise MalformedError(f"this is cluster {self.cluster.name}, not {greeting.cluster}")
            if isinstance(greeting, protocol.PeerGreeting):
                await self._hear_peer(greeting, reader)
            else:
                await self._answer_client(reader, writer)
        except (MalformedError, MisuseError) as fault:
            log.warning("%s hangs up: %s", self.identity.node_id, fault)
            writer.write(protocol.encode(protocol.Refused(str(fault)[:1000])))
        except (FaultError, OSError) as fault:
            log.debug("%s: %s", self.identity.node_id, fault)
        finally:
            await close(writer)

    async def _hear_peer(
        self, greeting: protocol.PeerGreeting, reader: asyncio.StreamReader
    ) -> None:
        """Feed the machine with what a peer sends, as long as it speaks for itself alone."""
        if greeting.node_id not in self._links:
            raise MalformedError(f"{greeting.node_id} is no other node of this cluster")
        self._links[greeting.node_id].wake()
        self._replace_older(greeting.node_id)
        largest = protocol.largest_frame(self.cluster.value_bytes)
        while True:
            body = await protocol.read_frame(reader, largest)
            envelope = decode_envelope(body, value_bytes=self.cluster.value_bytes)
            sender = envelope.sender
            speaks_for = (sender.cluster, sender.node_id, sender.incarnation)
            if speaks_for != (self.cluster.name, greeting.node_id, greeting.incarnation):
                raise MalformedError(
                    f"{greeting.node_id} speaks for {sender.node_id} of {sender.cluster}"
                )
            self._driver.feed(envelope)

    def _replace_older(self, peer: str) -> None:
        """A peer has one connection to us: a new one means that the old one is dead."""
        older, task = self._peers.get(peer), asyncio.current_task()
        if older is not None:
            older.cancel()
        if task is not None:
            self._peers[peer] = task

    async def _answer_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with asyncio.timeout(GREETING_PATIENCE):
            call = protocol.decode_call(
                await protocol.read_frame(reader, protocol.largest_frame(self.cluster.value_bytes))
            )
        if self._clients >= MAX_CONNECTIONS - 2 * len(self._links):
            raise MisuseError("too many clients just now: ask another node, or later")
        self._clients += 1
        try:
            await _while_connected(reader, self._answer(call, writer))
        finally:
            self._clients -= 1

    async def _answer(self, call: protocol.Call, writer: asyncio.StreamWriter) -> None:
        match call:
            case protocol.Decide(value):
                await _reply(writer, _outcome(await self.decide(value)))
            case protocol.AskStatus():
                await _reply(writer, self.status())
            case protocol.Watch():
                await self._answer_watch(writer)

    async def _answer_watch(self, writer: asyncio.StreamWriter) -> None:
        with self.watch() as events:
            await _reply(writer, self.status())
            while True:
                event = await events.get()
                await _reply(writer, protocol.Happened(type(event).__name__, str(event)[:1000]))


def _recover(store: durable.Store, cluster: Cluster) -> NodeMachine:
    """The machine of the node whose store this is, as it was when it stopped or was killed."""
    owner, state = store.owner, decode_state(store.state)
    identity = Identity(owner.cluster, owner.node_id, owner.incarnation)
    now = asyncio.get_running_loop().time()
    node = HeartbeatNode[bytes].recover(
        identity, cluster.quorums, state, timing=cluster.timing, now=now
    )
    return Machine(node, now)


def _outcome(proposal: Proposal[bytes]) -> protocol.Outcome:
    return protocol.Outcome(proposal.id.number, proposal.id.node_id, proposal.value)


async def _reply(writer: asyncio.StreamWriter, reply: protocol.Reply) -> None:
    writer.write(protocol.encode(reply))
    await writer.drain()


async def _while_connected(
    reader: asyncio.StreamReader, answering: Coroutine[Any, Any, None]
) -> None:
    """Finish the answer, unless the client hangs up before."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        answer.cancel()
        gone.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


@contextmanager
def one_error() -> Generator[None]:
    """Raise an error as itself, and not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = list(group.exceptions)
        if len(errors) > 1:
            raise
        error = errors[0]
        reasons = error.__cause__, error.__context__, error.__suppress_context__
        try:
            raise error
        finally:  # to raise it here has made the group its context
            error.__cause__, error.__context__, error.__suppress_context__ = reasons
