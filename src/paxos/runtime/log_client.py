"""A client of a log: it finds the leader, asks again, and has each command applied exactly once.

    async with LogClient(cluster) as client:
        left = await client.call(Inventory.reserve.call("bolt", 2))
        all_of_it = await client.ask(Inventory.stock.call())

What a command ends with is told apart by type. An answer, or a `CommandError` of the machine: it
was applied. `RefusedError` and `UnreachableError`: it was not, and never will be.
`UnknownOutcomeError`: time ran out while nobody could tell; it may be applied, now or later.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from paxos.codec import MAX_NUMBER, MalformedError
from paxos.errors import FaultError, MisuseError
from paxos.log.entries import Member
from paxos.log_codec import MAX_ENTRY_BYTES
from paxos.runtime import log_protocol as wire
from paxos.runtime import protocol
from paxos.runtime.client import CONNECT_PATIENCE, RefusedError, UnreachableError
from paxos.runtime.cluster_file import Address, Cluster
from paxos.sessions import OpenSession, Outcome, SessionClient, encode_request
from paxos.state_machine import Call

PATIENCE = 10.0
"""Seconds that a call may take unless it says otherwise."""

PAUSE = 0.02
"""Seconds, about, before another node is tried, or a node once more that has too much to do."""

LONGEST_PAUSE = 0.5

R = TypeVar("R")


class UnknownOutcomeError(FaultError):
    """It was sent, and nobody said in time what came of it. It may happen, now or later."""


class OverloadedError(RefusedError):
    """The leader had too much to do all the time: nothing was done."""


@dataclass
class _Request:
    """One call that waits for its answer, however often it is sent."""

    encode: Callable[[int], wire.LogCall]
    answer: asyncio.Future[wire.LogReply]
    changes: bool
    """Whether it may change anything: then its outcome can be unknown."""

    is_out: bool = False
    """It is on its way just now."""

    is_unclear: bool = False
    """It was on its way once, and no answer came."""

    refusal: str = "no node could be reached"
    """What was said last instead of an answer."""


@dataclass
class _Wire(asyncio.Protocol):
    """One connection to a node."""

    heard: Callable[[wire.LogReply], None]
    lost: asyncio.Future[None]
    frames: wire.Frames = field(
        default_factory=lambda: wire.Frames(MAX_ENTRY_BYTES + wire.CALL_OVERHEAD)
    )
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self.frames.cut(data):
                reply = wire.decode_reply(body)
                if isinstance(reply, protocol.Refused):
                    raise MalformedError(reply.reason)
                self.heard(reply)
        except MalformedError as fault:
            with suppress(asyncio.InvalidStateError):
                self.lost.set_exception(fault)
            if self.transport is not None:
                self.transport.abort()


class LogClient:
    """A client with one session. Used in one event loop, by any number of tasks."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        node_id: str | None = None,
        stays: bool = False,
        tls: ssl.SSLContext | None = None,
        draw: random.Random | None = None,
    ) -> None:
        """Talk to this cluster, beginning with that node, if one is named.

        If it `stays`, it talks to that node alone: for stale queries, and for `status`. `draw`
        gives the number of its session, and the length of pauses.
        """
        self._stays = stays
        self._cluster = cluster
        self._tls = tls
        self._draw = random.SystemRandom() if draw is None else draw
        self._addresses = list(cluster.addresses.values())
        first = cluster.addresses[cluster.require(node_id)] if node_id else None
        self._target = first or self._draw.choice(self._addresses)
        self._requests: dict[int, _Request] = {}
        self._numbers = count(1)
        self._wire: _Wire | None = None
        self._session: SessionClient | None = None
        self._opening = asyncio.Lock()
        self._room = asyncio.Condition()
        self._pause = PAUSE
        self._lost: asyncio.Future[None] | None = None
        self._left = False
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def call(self, call: Call[R], *, within: float = PATIENCE) -> R:
        """Have the cluster carry out this command of a typed machine; return its answer."""
        return call.decode(await self.command(call.payload, within=within))

    async def ask(self, call: Call[R], *, stale: bool = False, within: float = PATIENCE) -> R:
        """The answer to this query of a typed machine: see `query`."""
        return call.decode(await self.query(call.payload, stale=stale, within=within))

    async def command(self, command: bytes, *, within: float = PATIENCE) -> bytes:
        """Have the cluster apply this command, once; return the machine's answer.

        `within` is in seconds. Raises what the module says, and `MisuseError` for what this
        cluster does not allow as a command.
        """
        self._cluster.require_value(command)
        async with self._in_time(within) as asked:
            session = await self._own_session(asked)
            async with self._room:
                await self._room.wait_for(lambda: not session.is_full)
            sequence, _ = session.request(command)
            try:
                outcome = await self._outcome(
                    asked, lambda number: wire.Submit(number, session.encoded(sequence))
                )
                session.receive(outcome)
            finally:
                session.give_up(sequence)
                await self._free_room()
        if outcome.session is not None and outcome.verdict.name == "SESSION_EXPIRED":
            self._session = None
        return outcome.value()

    async def query(self, query: bytes, *, stale: bool = False, within: float = PATIENCE) -> bytes:
        """The machine's answer to this query.

        It shows all that was acknowledged to anybody before; a `stale` one shows what the node
        asked has applied so far. Nothing is ever changed, so it is asked again freely.
        """
        self._cluster.require_value(query)
        async with self._in_time(within) as asked:
            outcome = await self._outcome(
                asked, lambda number: wire.Ask(number, query, stale), changes=False
            )
        return outcome.value()

    async def change_members(self, members: Iterable[Member], *, within: float = PATIENCE) -> None:
        """Let these be the members; return when the change is chosen."""
        wanted = tuple((each.node_id, each.incarnation, each.address) for each in members)
        async with self._in_time(within) as asked:
            await self._ask(asked, lambda number: wire.Join(number, wanted), changes=True)

    async def hand_over(self, node_id: str, *, within: float = PATIENCE) -> None:
        """Ask the leader to hand its leadership to this member. It may come otherwise."""
        async with self._in_time(within) as asked:
            await self._ask(asked, lambda number: wire.HandOver(number, node_id), changes=False)

    async def status(self, *, within: float = PATIENCE) -> wire.LogStatus:
        """How the node is that this client is connected to, by its own word."""
        async with self._in_time(within) as asked:
            reply = await self._ask(asked, wire.AskLogStatus, changes=False)
        if isinstance(reply, wire.LogStatus):
            return reply
        raise FaultError(f"a node answers with {type(reply).__name__}")

    # Calls.

    @asynccontextmanager
    async def _in_time(self, seconds: float) -> AsyncGenerator[list[_Request]]:
        """Bound what is done in the block, and say what is known of it when its time is over.

        The block puts what it asks for into the list.
        """
        if self._running is None:
            raise MisuseError("open the client first: async with LogClient(cluster) as client")
        asked: list[_Request] = []
        try:
            async with asyncio.timeout(seconds):
                yield asked
        except TimeoutError:
            if not asked:
                raise OverloadedError("too many requests of this client wait already") from None
            raise _verdict_on(asked[-1]) from None

    async def _own_session(self, asked: list[_Request]) -> SessionClient:
        async with self._opening:
            if self._session is None:
                number = self._draw.randrange(MAX_NUMBER)
                request = encode_request(OpenSession(number))
                outcome = await self._outcome(
                    asked, lambda call: wire.Submit(call, request), changes=False
                )
                if outcome.session is None:
                    raise FaultError(f"no session was opened: {outcome.verdict.name}")
                self._session = SessionClient(outcome.session)
            return self._session

    async def _outcome(
        self,
        asked: list[_Request],
        encode: Callable[[int], wire.LogCall],
        *,
        changes: bool = True,
    ) -> Outcome:
        reply = await self._ask(asked, encode, changes=changes)
        if isinstance(reply, wire.Answered):
            return reply.outcome
        raise FaultError(f"a node answers with {type(reply).__name__}")

    async def _ask(
        self, asked: list[_Request], encode: Callable[[int], wire.LogCall], *, changes: bool
    ) -> wire.LogReply:
        """Send a call, as often as it takes, and wait for its answer."""
        request = _Request(encode, asyncio.get_running_loop().create_future(), changes)
        asked.append(request)
        number = next(self._numbers)
        self._requests[number] = request
        try:
            self._send(number, request)
            return await request.answer
        finally:
            del self._requests[number]

    async def _free_room(self) -> None:
        async with self._room:
            self._room.notify_all()

    # The connection.

    async def _run(self) -> None:
        """Keep a connection to the leader, as far as that is known. Never returns."""
        while True:
            lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            opened = await self._connect(lost)
            if opened is not None:
                self._wire = opened
                try:
                    for number, request in tuple(self._requests.items()):
                        self._send(number, request)
                    await self._until(lost)
                finally:
                    self._wire = None
                    if opened.transport is not None:
                        opened.transport.abort()
                    for request in self._requests.values():
                        request.is_unclear |= request.is_out
                        request.is_out = False
            else:
                self._try_another()
                await self._rest()

    async def _connect(self, lost: asyncio.Future[None]) -> _Wire | None:
        address = self._target
        try:
            async with asyncio.timeout(CONNECT_PATIENCE):
                _, opened = await asyncio.get_running_loop().create_connection(
                    lambda: _Wire(self._heard, lost), address.host, address.port, ssl=self._tls
                )
        except (OSError, UnicodeError):  # a timeout is the former
            return None
        if opened.transport is not None:
            opened.transport.write(wire.encode(wire.LogClientGreeting(self._cluster.name)))
        return opened

    async def _until(self, lost: asyncio.Future[None]) -> None:
        """Wait until the connection is lost or, with `lost` set by `_move`, left."""
        self._lost = lost
        try:
            await lost
        except MalformedError as fault:
            for request in self._requests.values():
                request.refusal = f"{self._target} is no node of this log: {fault}"
            self._try_another()
            await self._rest()
        else:
            if self._left:
                self._left = False
            else:
                self._try_another()
                await self._rest()

    def _move(self, target: Address) -> None:
        """Leave this connection for another one."""
        self._target = target
        if self._lost is not None and not self._lost.done():
            self._left = True
            self._lost.set_result(None)

    def _try_another(self) -> None:
        if self._stays:
            return
        known = self._addresses
        index = known.index(self._target) if self._target in known else -1
        self._target = known[(index + 1) % len(known)]

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause * (0.5 + self._draw.random()))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _send(self, number: int, request: _Request) -> None:
        opened = self._wire
        if opened is None or opened.transport is None or request.answer.done():
            return
        if opened.transport.is_closing():
            return  # it is sent when there is another connection
        request.is_out = True
        opened.transport.write(wire.encode(request.encode(number)))

    def _heard(self, reply: wire.LogReply) -> None:
        request = self._requests.get(reply.number)
        if request is None or request.answer.done():
            return
        request.is_out = False
        match reply:
            case wire.NotLeader(_, node_id, address):
                request.refusal = "no node leads just now"
                self._redirected(node_id, address)
            case wire.Overloaded():
                request.refusal = "too much to do"
                self._later(self._send, reply.number, request)
            case wire.Unclear():
                request.is_unclear = True
                self._later(self._send, reply.number, request)
            case wire.Declined(_, reason):
                request.answer.set_exception(RefusedError(reason))
            case _:
                self._pause = PAUSE
                request.answer.set_result(reply)

    def _redirected(self, node_id: str, address: str) -> None:
        """Ask the leader, if one was named; else another node, after a pause."""
        try:
            target = Address.parse(address) if address else None
        except MisuseError:
            target = None
        if target is not None and target != self._target and not self._stays:
            if target not in self._addresses:
                self._addresses.append(target)
            self._move(target)
        elif self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        pause = self._pause * (0.5 + self._draw.random())
        asyncio.get_running_loop().call_later(pause, call, *arguments)


async def log_status(
    cluster: Cluster,
    node_id: str,
    *,
    tls: ssl.SSLContext | None = None,
    within: float = CONNECT_PATIENCE,
) -> wire.LogStatus:
    """How this node of a log is, by its own word. Raises `UnreachableError` or a `FaultError`."""
    async with LogClient(cluster, node_id=node_id, stays=True, tls=tls) as client:
        return await client.status(within=within)


def _verdict_on(request: _Request) -> FaultError | MisuseError:
    """What is known of a request whose time is over."""
    if request.changes and (request.is_out or request.is_unclear):
        return UnknownOutcomeError("no answer in time: it may happen, now or later")
    if request.refusal == "too much to do":
        return OverloadedError("the leader has too much to do: nothing was done")
    return UnreachableError(f"nothing was done: {request.refusal}")
