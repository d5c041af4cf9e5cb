"""Links to peers: one connection to each, opened by the sender, opened again when it breaks."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from paxos.codec import ENVELOPE_OVERHEAD
from paxos.errors import FaultError
from paxos.runtime import protocol
from paxos.runtime.cluster_file import Address

MAX_QUEUED_FRAMES = 1024
"""To one peer. A minute of heartbeats and far more ballots than are ever open at once."""

MAX_QUEUED_BYTES = 8 << 20
"""To one peer. What a peer has missed for longer is cheaper to say anew than to store."""

MAX_BULK_FRAMES = 2
"""Large frames that wait for their turn. Whoever wants more asks again."""

FIRST_RETRY = 0.02
LAST_RETRY = 1.0
"""Seconds between attempts to connect: doubling from the first to the last."""

CONNECT_PATIENCE = 3.0
"""Seconds for one attempt to connect: a packet that is dropped must not hold up a link for ever."""

CLOSE_PATIENCE = 0.5
"""Seconds for what is still on its way out, and for the end of TLS."""

log = logging.getLogger("paxos.runtime")


class Outbox:
    """Frames that wait for a link. Past its bounds the oldest go: any message may be lost."""

    def __init__(
        self, max_frames: int = MAX_QUEUED_FRAMES, max_bytes: int = MAX_QUEUED_BYTES
    ) -> None:
        """Start empty, with bounds on the frames and on their bytes together."""
        self._frames: deque[bytes] = deque()
        self._bulk: deque[bytes] = deque()
        self._bytes = 0
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._filled = asyncio.Event()
        self.dropped = 0
        """How many frames were dropped because too much waited."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._frames and not self._bulk

    def put_bulk(self, frame: bytes) -> bool:
        """Add a large frame that goes when nothing else wants to; say whether there was room."""
        if len(self._bulk) >= MAX_BULK_FRAMES:
            return False
        self._bulk.append(frame)
        self._filled.set()
        return True

    def put(self, frame: bytes) -> None:
        """Add a frame."""
        self._frames.append(frame)
        self._bytes += len(frame)
        while len(self._frames) > self._max_frames or self._bytes > self._max_bytes:
            self._bytes -= len(self._frames.popleft())
            self.dropped += 1
        self._filled.set()

    async def take(self) -> bytes:
        """All that waits, in order, once there is something; only then one large frame."""
        while self.is_empty:
            self._filled.clear()
            await self._filled.wait()
        if not self._frames:
            return self._bulk.popleft()
        taken = b"".join(self._frames)
        self._frames.clear()
        self._bytes = 0
        return taken


class Link:
    """The way to one peer."""

    def __init__(
        self,
        peer: str,
        address: Address,
        greeting: bytes,
        jitter: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`run` connects. `jitter` draws from 0 to 1, so that peers do not retry in step."""
        self._outbox: Outbox | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._awake = asyncio.Event()
        self._peer = peer
        self._address = address
        self._greeting = greeting
        self._jitter = jitter
        self._tls = tls

    def send(self, frame: bytes) -> None:
        """Send a frame, if there is a connection.

        Nothing is kept for a peer that cannot be reached: it would be stale news by the time that
        it arrived, and whatever still matters is said again.
        """
        outbox, transport = self._outbox, self._transport
        if outbox is None or transport is None:
            return
        if outbox.is_empty and not transport.get_write_buffer_size():
            transport.write(frame)  # nothing is ahead of it
        else:
            outbox.put(frame)

    def send_bulk(self, frame: bytes) -> bool:
        """Send a large frame when nothing else wants to go. Say whether there was room for it."""
        return self._outbox is not None and self._outbox.put_bulk(frame)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection just now."""
        return self._outbox is not None

    def wake(self) -> None:
        """Connect without further delay: the peer was just heard of."""
        self._awake.set()

    async def run(self) -> None:
        """Connect, send, and connect again when the connection breaks. Never returns."""
        retry = FIRST_RETRY
        while True:
            try:
                async with asyncio.timeout(CONNECT_PATIENCE):
                    reader, writer = await asyncio.open_connection(
                        self._address.host, self._address.port, ssl=self._tls
                    )
            except (OSError, UnicodeError) as error:  # a timeout, or a name that is none
                log.debug("cannot reach %s at %s: %s", self._peer, self._address, error)
            else:
                began = asyncio.get_running_loop().time()
                await self._use(reader, writer)
                if asyncio.get_running_loop().time() - began > LAST_RETRY:
                    retry = FIRST_RETRY  # a peer that only hangs up is not tried ever faster
            await self._rest(retry * (0.5 + self._jitter() / 2))
            retry = min(2 * retry, LAST_RETRY)

    async def _rest(self, seconds: float) -> None:
        self._awake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send until the connection breaks. The peer says nothing here but why it hangs up."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # TCP doubles its pauses for minutes. A network that is whole again must not wait so.
            writer.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(CONNECT_PATIENCE * 1000)
            )
        writer.write(self._greeting)
        # What waits shall wait here, where it has an order, and not in the transport.
        writer.transport.set_write_buffer_limits(high=0)
        self._outbox, self._transport = Outbox(), writer.transport
        listening = asyncio.create_task(self._listen(reader, self._outbox))
        try:
            while not listening.done():
                writer.write(await self._outbox.take())
                await writer.drain()
        except OSError as error:
            log.debug("the link to %s broke: %s", self._peer, error)
        finally:
            self._outbox = self._transport = None
            listening.cancel()
            await close(writer)

    async def _listen(self, reader: asyncio.StreamReader, outbox: Outbox) -> None:
        """Return when the connection has ended."""
        try:
            body = await protocol.read_frame(reader, ENVELOPE_OVERHEAD)
            match protocol.decode_reply(body):
                case protocol.Refused(reason):
                    log.warning("%s at %s refuses us: %s", self._peer, self._address, reason)
                case _:
                    log.warning("%s at %s talks out of turn", self._peer, self._address)
        except FaultError as fault:
            log.debug("the link to %s ended: %s", self._peer, fault)
        asyncio.get_running_loop().call_soon(outbox.put, b"")  # lets `_use` see it


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever state it is in."""
    writer.close()
    try:
        with suppress(OSError):
            async with asyncio.timeout(CLOSE_PATIENCE):
                await writer.wait_closed()
    finally:
        writer.transport.abort()
