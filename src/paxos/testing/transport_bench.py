"""The bench for a transport: nodes on this machine that send, and note what they hear.

Nothing here sleeps, and no result depends on how fast something is: a test says a thing again and
again until it is heard. Only what is never heard takes `patience`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, ClassVar, Protocol

from paxos.errors import MisuseError
from paxos.messages import Envelope, Identity, Message, Request
from paxos.runtime import Address
from paxos.testing.contract import ContractError, demand
from paxos.testing.event_loop import turns

AnyEnvelope = Envelope[Message[bytes]]
Hear = Callable[[Envelope[Any]], object]

TURNS = 50
"""How often the event loop turns before something is said again."""

TALKS = 30
"""How often others talk while something must not be heard: by then it would have been."""


class Endpoint(Protocol):
    """One node's end of a transport, as long as it is up."""

    def send(self, envelope: Envelope[Any], /) -> None:
        """Send it to `envelope.recipient`, or drop it. Return at once, whatever the peer does."""
        ...


@dataclass
class Node:
    """A node on the bench."""

    identity: Identity
    endpoint: Endpoint
    heard: list[AnyEnvelope]
    """In the order in which they came."""

    judged: int = 0
    """How many of them were found to be in order."""

    @property
    def node_id(self) -> str:
        """Its own ID."""
        return self.identity.node_id


class TransportBench:
    """What a tester gives, and what the parts of the suite share."""

    misuse: ClassVar[tuple[type[Exception], ...]] = (MisuseError,)
    """What `send` may raise for an envelope that its caller should not have sent."""

    value_bytes: ClassVar[int] = 3000
    """How large the values are that it must carry."""

    most_bytes_waiting: ClassVar[int] = 16 << 20
    """More memory than that may not be taken by what waits for two peers."""

    patience: ClassVar[float] = 30.0
    """Seconds until a test gives up. Only on a broken transport does it matter."""

    def start(
        self, identity: Identity, addresses: Mapping[str, Address], hear: Hear
    ) -> AbstractAsyncContextManager[Endpoint]:
        """Run one node's end until the block ends.

        `addresses` are those of all members of its cluster, its own among them. Each envelope that
        arrives is given to `hear`, in the event loop.
        """
        raise NotImplementedError("a TransportSuite needs a method start(...)")

    @contextmanager
    def addresses(self, node_ids: Sequence[str]) -> Generator[Mapping[str, Address]]:
        """Give each node an address: here a free TCP port on loopback."""
        with ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in node_ids]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            found = {
                node_id: Address("127.0.0.1", each.getsockname()[1])
                for node_id, each in zip(node_ids, sockets, strict=True)
            }
        yield found

    @contextmanager
    def deaf(self, address: Address) -> Generator[None]:
        """Put a peer at this address that takes connections, and never reads a byte."""
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listening.bind((address.host, address.port))
            listening.listen()
            yield

    async def say(self, address: Address, noise: bytes) -> None:
        """Say this to whoever is at the address, and hang up."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection(address.host, address.port)
            try:
                writer.write(noise)
                await writer.drain()
                writer.write_eof()
                await turns(TURNS)
            finally:
                writer.transport.abort()

    async def overhear(self, address: Address, meanwhile: Callable[[], None]) -> bytes:
        """Listen at the address of a node that is down; return the first that is said to it."""
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            said = await reader.read(1 << 16)
            writer.transport.abort()
            if not heard.done():
                heard.set_result(said)

        server = await asyncio.start_server(listen, address.host, address.port, start_serving=False)
        try:
            await server.start_serving()
            while not heard.done():
                meanwhile()
                await turns(TURNS)
        finally:
            server.close()
        await turns(TURNS)
        return heard.result()

    def network(self, node_ids: str) -> AbstractContextManager[Network]:
        """Give these nodes addresses; when the block ends, judge all that they have heard."""
        return _network(self, node_ids)


@dataclass
class Network:
    """What was sent in one test, and what was heard."""

    bench: TransportBench
    addresses: Mapping[str, Address]
    nodes: list[Node] = field(default_factory=list[Node])
    """All that were ever up."""

    sent: set[AnyEnvelope] = field(default_factory=set[AnyEnvelope])
    """All that may be heard."""

    numbers: count[int] = field(default_factory=count)

    @asynccontextmanager
    async def node(
        self,
        node_id: str,
        *,
        cluster: str = "shop",
        incarnation: str = "first",
        members: str | None = None,
    ) -> AsyncGenerator[Node]:
        """Run one node, which knows these members; all, unless it is said."""
        identity = Identity(cluster, node_id, incarnation)
        known = {each: self.addresses[each] for each in members or self.addresses}
        heard: list[AnyEnvelope] = []
        async with self.bench.start(identity, known, heard.append) as endpoint:
            node = Node(identity, endpoint, heard)
            self.nodes.append(node)
            yield node

    def news(self, sender: Node, recipient: str) -> AnyEnvelope:
        """Return an envelope that was never sent before."""
        value = b"%d" % next(self.numbers)
        return Envelope(sender.identity, recipient, Request(value))

    def send(self, sender: Node, envelope: AnyEnvelope) -> None:
        """Send what may be heard. It may be refused only as misuse."""
        self.sent.add(envelope)
        self.forge(sender, envelope)

    def forge(self, sender: Node, envelope: AnyEnvelope) -> None:
        """Send what nobody may hear."""
        try:
            sender.endpoint.send(envelope)
        except self.bench.misuse:
            pass
        except Exception as error:
            names = " or ".join(each.__name__ for each in self.bench.misuse)
            raise ContractError(f"send raised {error!r}, which is no {names}") from error

    async def arrives(
        self, sender: Node, recipient: Node, envelope: AnyEnvelope | None = None
    ) -> None:
        """Say it again and again until it is heard."""
        said = envelope or self.news(sender, recipient.node_id)
        times = 0
        try:
            async with asyncio.timeout(self.bench.patience):
                while said not in recipient.heard:
                    times += 1
                    self.send(sender, said)
                    await self._turn_until_more_is_heard(recipient)
                    self.judge()
        except TimeoutError as error:
            who = f"{sender.node_id} said it {times} times, and {recipient.node_id}"
            raise ContractError(f"{who} never heard it: {said}") from error

    async def _turn_until_more_is_heard(self, recipient: Node) -> None:
        before = len(recipient.heard)
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if len(recipient.heard) > before:
                break

    async def talk(self, one: Node, other: Node, times: int = 1) -> None:
        """Let two nodes hear news of each other, so often."""
        for _ in range(times):
            await self.arrives(one, other)
            await self.arrives(other, one)

    def judge(self) -> None:
        """Demand that nobody heard what nobody sent, or what was not for it."""
        for node in self.nodes:
            for envelope in node.heard[node.judged :]:
                to, by = envelope.recipient, envelope.sender
                demand(to == node.node_id, f"{node.node_id} heard what was for {to}: {envelope}")
                if envelope not in self.sent:
                    raise ContractError(f"{node.node_id} heard what {by} never sent: {envelope}")
                node.judged += 1


@contextmanager
def _network(bench: TransportBench, node_ids: str) -> Generator[Network]:
    with bench.addresses(node_ids) as addresses:
        network = Network(bench, addresses)
        yield network
        network.judge()


def noises(said: bytes, seed: int) -> Generator[bytes]:
    """Yield what strangers may say: all kinds of things, and what was overheard, garbled."""
    random = Random(seed)  # noqa: S311 - to be repeated is what it is for
    yield from (b"", b"\0" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
    yield from (random.randbytes(size) for size in (1, 4, 5, 64, 5000))
    for _ in range(20):
        garbled = bytearray(said)
        for _ in range(random.randint(1, 3)):
            garbled[random.randrange(len(garbled))] = random.randrange(256)
        yield bytes(garbled[: random.randint(1, len(garbled))])
