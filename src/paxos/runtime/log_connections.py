"""Connections that others open to a node of a log: a greeting, then what a peer or a client says.

They are protocols, not streams: a frame is handled where it arrives, in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

from paxos.codec import MalformedError
from paxos.errors import FaultError, MisuseError
from paxos.log.messages import LogMessage
from paxos.log_codec import decode_envelope
from paxos.messages import Envelope
from paxos.runtime import log_protocol as wire
from paxos.runtime import protocol

GREETING_PATIENCE = 5.0
"""Seconds in which a new connection must say who it is."""

MAX_PIPELINED = 1024
"""Calls of one client that wait for an answer. With more, nothing more is read from it."""

log = logging.getLogger("paxos.runtime")


class Host(Protocol):
    """What a connection asks of its server."""

    def opened(self, connection: Connection) -> bool:
        """A connection was opened. Say whether it may stay."""
        ...

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        ...

    def greeted(self, connection: Connection, greeting: wire.LogGreeting) -> int:
        """It has said who it is: how many bytes its frames may have. Raises `MalformedError`."""
        ...

    def has_replies(self, connection: Connection) -> None:
        """It has something to be flushed."""
        ...

    def heard(self, connection: Connection, envelopes: list[Envelope[LogMessage[bytes]]]) -> None:
        """A peer has sent these."""
        ...

    def heard_part(self, connection: Connection, part: wire.Part) -> None:
        """A peer has sent something about a snapshot."""
        ...

    def called(self, connection: Connection, call: wire.LogCall) -> None:
        """A client asks for something."""
        ...


class Connection(asyncio.Protocol):
    """One connection, from its first byte to its last."""

    def __init__(self, host: Host, name: str) -> None:
        """`name` is this node's, for the log."""
        self._host = host
        self._name = name
        self._frames = wire.Frames(wire.GREETING_BYTES)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._replies: list[bytes] = []
        self._waiting = 0
        self._is_slow = False
        self._paused = False
        self.peer: wire.LogPeerGreeting | None = None
        """Who it is, if it is a node."""

        self._hear: Callable[[bytes], None] = self._greet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it if the server does, and wait for the greeting."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._host.opened(self):
            self._transport.abort()
            return
        self._patience = self._loop.call_later(GREETING_PATIENCE, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._patience is not None:
            self._patience.cancel()
        self._transport = None
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        """Handle what has come. Faults of the other side end the connection, and nothing else."""
        try:
            if self.peer is not None:
                self._hear_peer(data)
                return
            only = self._frames.only(data)
            if only is not None:
                self._hear(only)
                return
            for body in self._frames.cut(data):
                self._hear(body)
        except (MalformedError, MisuseError) as fault:
            self.refuse(str(fault))
        except FaultError as fault:
            log.debug("%s: %s", self._name, fault)
            self.abort()

    def pause_writing(self) -> None:
        """The other side does not read: let it wait, too."""
        self._is_slow = True
        self._balance()

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_slow = False
        self._balance()

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said here."""
        return self._transport is not None and not self._transport.is_closing()

    def reply(self, reply: wire.LogReply) -> None:
        """Answer a call. The answers of one turn go together, when the server says `flush`."""
        self._waiting -= 1
        if not self._replies:
            self._host.has_replies(self)
        self._replies.append(wire.encode(reply))

    def refuse(self, reason: str) -> None:
        """Say why, and hang up."""
        log.warning("%s hangs up: %s", self._name, reason)
        if self._transport is not None:
            self._transport.write(protocol.encode(protocol.Refused(reason[:1000])))
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """End it when what was answered has left."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Send what was answered."""
        replies = self._replies
        if self._transport is not None and replies:
            self._transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
        replies.clear()
        if self._paused:
            self._balance()

    def _greet(self, body: bytes) -> None:
        greeting = wire.decode_greeting(body)
        self._frames.max_bytes = self._host.greeted(self, greeting)
        if self._patience is not None:
            self._patience.cancel()
        if isinstance(greeting, wire.LogPeerGreeting):
            self.peer = greeting
            self._hear = self._hear_early
        else:
            self._hear = self._hear_call

    def _hear_early(self, body: bytes) -> None:
        """A peer's first frames may come with its greeting."""
        self._heard([body])

    def _hear_peer(self, data: bytes) -> None:
        self._heard(self._frames.cut(data))

    def _heard(self, bodies: wire.Bodies) -> None:
        """Envelopes that come together are handled together."""
        envelopes: list[Envelope[LogMessage[bytes]]] = []
        for body in bodies:
            if body[:1] == wire.ENVELOPE:
                envelope = decode_envelope(body[1:])
                self._require_own(envelope)
                envelopes.append(envelope)
            elif body[:1] == wire.PIECE:
                self._host.heard_part(self, wire.decode_part(body[1:]))
            else:
                raise MalformedError("a frame that is neither an envelope nor part of a snapshot")
        if envelopes:
            self._host.heard(self, envelopes)

    def _require_own(self, envelope: Envelope[LogMessage[bytes]]) -> None:
        sender, peer = envelope.sender, self.peer
        assert peer is not None  # noqa: S101 - it has greeted
        if (sender.node_id, sender.incarnation) != (peer.node_id, peer.incarnation) or (
            sender.cluster != peer.cluster
        ):
            raise MalformedError(f"{peer.node_id} speaks for {sender.node_id} of {sender.cluster}")

    def _hear_call(self, body: bytes) -> None:
        self._waiting += 1
        self._host.called(self, wire.decode_call(body))
        if self._waiting >= MAX_PIPELINED and not self._paused:
            self._balance()

    def _balance(self) -> None:
        """Read from a client only while it reads its answers, and does not wait for too many."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        too_much = self._is_slow or self._waiting >= MAX_PIPELINED
        if too_much and not self._paused:
            transport.pause_reading()
        elif self._paused and not too_much:
            transport.resume_reading()
        self._paused = too_much
