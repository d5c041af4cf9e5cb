"""A client and a node that misbehaves: a clear error, and no connection left behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

import pytest

from paxos import FaultError, MisuseError, PaxosError, Quorums
from paxos.codec import MalformedError
from paxos.runtime import Address, Cluster, RefusedError, UnreachableError, client, protocol
from paxos.runtime.cluster_file import LARGEST_VALUE_BYTES
from paxos.runtime.protocol import ConnectionClosedError, Happened, Outcome, Refused, Status
from runtime.event_loop import in_event_loop
from runtime.loopback import HOST

TOO_LONG = 5.0
"""Seconds. Whatever is measured by it takes milliseconds, or for ever."""

FRESH = Status("A", "first", "none", False, "none", "none", None)


def cluster_at(port: int) -> Cluster:
    return Cluster("shop", {"A": Address(HOST, port)}, Quorums.majority("A"))


@asynccontextmanager
async def answering(said: bytes) -> AsyncGenerator[Cluster]:
    """A node that answers every call with these bytes, and hangs up."""
    connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(FaultError):
            await protocol.read_frame(reader, 5000)
            await protocol.read_frame(reader, 5000)
        writer.write(said)
        writer.write_eof()
        await reader.read()
        writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(answer(reader, writer)))

    listener = await asyncio.start_server(connected, HOST, 0)
    try:
        yield cluster_at(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        if connections:
            await asyncio.wait(connections)


MISBEHAVIOUR: dict[str, tuple[bytes, type[PaxosError]]] = {
    "nothing": (b"", ConnectionClosedError),
    "half a frame": (protocol.encode(FRESH)[:7], ConnectionClosedError),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", MalformedError),
    "no MessagePack": (protocol.frame(b"\xc1"), MalformedError),
    "no Unicode": (protocol.frame(b"\x92\xa7refused\xa1\xff"), MalformedError),
    "a frame without end": (b"\xff\xff\xff\xff\x01", MalformedError),
    "a call": (protocol.encode(protocol.AskStatus()), MalformedError),
    "an event": (protocol.encode(Happened("LeaderChanged", "changed")), FaultError),
    "a refusal": (protocol.encode(Refused("no")), RefusedError),
}


@pytest.mark.parametrize("what", MISBEHAVIOUR)
@in_event_loop
async def test_a_node_that_misbehaves_gets_its_client_a_clear_error(what: str) -> None:
    said, error = MISBEHAVIOUR[what]
    async with answering(said) as cluster:
        with pytest.raises(error, match=r".+"):
            await client.status(cluster, "A")
        with pytest.raises(error, match=r".+"):
            await client.decide(cluster, "A", b"a value")


@in_event_loop
async def test_an_answer_to_another_question_is_none() -> None:
    async with answering(protocol.encode(Outcome(1, "A", b"")) * 2) as cluster:
        with pytest.raises(FaultError, match="A answers with Outcome"):
            await client.status(cluster, "A")
    async with answering(protocol.encode(FRESH)) as cluster:
        with pytest.raises(FaultError, match="A answers with Status"):
            await client.decide(cluster, "A", b"a value")


@in_event_loop
async def test_watching_ends_with_the_connection() -> None:
    said = protocol.encode(FRESH) + protocol.encode(Happened("LeaderChanged", "changed"))
    async with answering(said) as cluster:
        watching = client.watch(cluster, "A")
        assert await anext(watching) == FRESH
        assert await anext(watching) == Happened("LeaderChanged", "changed")
        with pytest.raises(ConnectionClosedError):
            await anext(watching)


@in_event_loop
async def test_who_watches_may_stop_watching() -> None:
    async with (
        answering(protocol.encode(FRESH)) as cluster,
        aclosing(client.watch(cluster, "A")) as watching,
    ):
        assert await anext(watching) == FRESH


@in_event_loop
async def test_a_value_larger_than_the_cluster_allows_is_not_even_sent() -> None:
    # Nobody listens at this address: the error must come from the client itself.
    cluster = replace(cluster_at(1), value_bytes=10)
    with pytest.raises(MisuseError, match="11 bytes"):
        await client.decide(cluster, "A", bytes(11))


@in_event_loop
async def test_a_client_of_a_host_that_cannot_be_named_is_told_so() -> None:
    cluster = replace(cluster_at(1), addresses={"A": Address("no..where", 7000)})
    with pytest.raises(UnreachableError, match="cannot reach A"):
        await client.status(cluster, "A")


@in_event_loop
async def test_a_time_limit_holds_with_a_node_that_does_not_read() -> None:
    # Such as one whose process is stopped, or whose machine is cut off.
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind((HOST, 0))
        deaf.listen()
        cluster = replace(cluster_at(deaf.getsockname()[1]), value_bytes=LARGEST_VALUE_BYTES)
        deciding = asyncio.create_task(decide_within(0.1, cluster, bytes(LARGEST_VALUE_BYTES)))
        done, _ = await asyncio.wait([deciding], timeout=TOO_LONG)
        deciding.cancel()
        with suppress(asyncio.CancelledError, TimeoutError):
            await deciding
        assert done


async def decide_within(seconds: float, cluster: Cluster, value: bytes) -> None:
    async with asyncio.timeout(seconds):
        await client.decide(cluster, "A", value)
