"""A small transport of its own make: TCP, a line of JSON to greet, then envelopes with lengths.

It is right; the classes that derive from it in `broken_transports` are not.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from paxos import Envelope, Identity
from paxos.codec import MalformedError, decode_envelope, encode_envelope
from paxos.runtime import Address
from paxos.testing.transport import Hear

RETRY = 0.005
"""Seconds between attempts to connect."""

MOST_WAITING = 1000
LARGEST = 10_000
"""Bytes of an envelope."""


class PlainTransport:
    """One task sends to each peer, and one hears each connection."""

    def __init__(self, identity: Identity, addresses: Mapping[str, Address], hear: Hear) -> None:
        self.identity = identity
        self.addresses = addresses
        self.hear = hear
        self.waiting: dict[str, deque[bytes]] = {peer: self.queue() for peer in addresses}
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def start(
        cls, identity: Identity, addresses: Mapping[str, Address], hear: Hear
    ) -> AsyncGenerator[PlainTransport]:
        transport = cls(identity, addresses, hear)
        server = await transport.listen()
        try:
            await server.start_serving()
            transport.connect()
            yield transport
        finally:
            await transport.end(server)

    def send(self, envelope: Envelope[Any], /) -> None:
        data = encode_envelope(envelope)
        if envelope.recipient in self.waiting and len(data) <= LARGEST:
            self.waiting[envelope.recipient].append(data)

    # The steps. A broken transport breaks one of them.

    def queue(self) -> deque[bytes]:
        return deque(maxlen=MOST_WAITING)

    async def listen(self) -> asyncio.Server:
        own = self.addresses[self.identity.node_id]
        return await asyncio.start_server(self.accept, own.host, own.port, start_serving=False)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        self.run(self.attend(reader, writer))

    def connect(self) -> None:
        for peer in self.addresses:
            if peer != self.identity.node_id:
                self.run(self.reach(peer))

    def run(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def reach(self, peer: str) -> None:
        while True:
            with suppress(OSError):
                await self.use(peer)
            await asyncio.sleep(RETRY)

    async def use(self, peer: str) -> None:
        address = self.addresses[peer]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        gone = asyncio.get_running_loop().create_task(reader.read(1))
        try:
            writer.write(json.dumps([*self.greeting()]).encode() + b"\n")
            while not gone.done():
                await self.say_all(writer, peer)
                await asyncio.wait((gone,), timeout=RETRY)
        finally:
            gone.cancel()
            writer.transport.abort()

    async def say_all(self, writer: asyncio.StreamWriter, peer: str) -> None:
        while self.waiting[peer]:
            data = self.waiting[peer].popleft()
            writer.write(len(data).to_bytes(4, "big") + data)
            await writer.drain()

    def greeting(self) -> tuple[str, str, str]:
        return (self.identity.cluster, self.identity.node_id, self.identity.incarnation)

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.hear_all(reader)
        except (OSError, EOFError, ValueError, MalformedError):
            pass  # it broke, or talks nonsense: hang up
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def hear_all(self, reader: asyncio.StreamReader) -> None:
        cluster, node_id, incarnation = json.loads(await reader.readline())
        if not self.knows(cluster, node_id):
            return
        while True:
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > LARGEST:
                return
            envelope = decode_envelope(await reader.readexactly(size))
            if not self.believes(envelope.sender, (cluster, node_id, incarnation)):
                return
            self.heard(envelope)

    def knows(self, cluster: object, node_id: object) -> bool:
        return cluster == self.identity.cluster and node_id in self.addresses

    def believes(self, sender: Identity, greeting: tuple[str, str, str]) -> bool:
        return (sender.cluster, sender.node_id, sender.incarnation) == greeting

    def heard(self, envelope: Envelope[Any]) -> None:
        self.hear(envelope)

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()
        if self.tasks:
            await asyncio.wait(self.tasks)
        await asyncio.sleep(0)  # the transports that were aborted close their sockets
