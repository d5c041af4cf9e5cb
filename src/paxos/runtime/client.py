"""What a client asks of a node: decide, status, watch. One connection for each call."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from paxos.errors import FaultError, MisuseError
from paxos.runtime import protocol
from paxos.runtime.cluster_file import Cluster
from paxos.runtime.links import close

CONNECT_PATIENCE = 3.0
"""Seconds for one attempt to connect."""


class UnreachableError(FaultError):
    """No connection to that node: nothing was asked of it."""


class RefusedError(MisuseError):
    """The node refused, and did nothing."""


async def decide(
    cluster: Cluster, node_id: str, value: bytes, *, tls: ssl.SSLContext | None = None
) -> protocol.Outcome:
    """Have a node propose this value; return what is chosen, be it this value or another.

    Waits as long as it takes: bound it by `asyncio.timeout`. Raises `MisuseError` for what this
    cluster does not allow as a value, and `UnreachableError` or `RefusedError` if nothing was
    proposed. Any other error, a timeout and a cancelled wait leave the outcome unknown: the value
    may be chosen, now or later.
    """
    cluster.require_value(value)
    async with _call(cluster, node_id, protocol.Decide(value), tls) as reader:
        reply = await _reply(reader, cluster)
        if isinstance(reply, protocol.Outcome):
            return reply
        raise FaultError(f"{node_id} answers with {type(reply).__name__}")


async def status(
    cluster: Cluster, node_id: str, *, tls: ssl.SSLContext | None = None
) -> protocol.Status:
    """How a node is, by its own word. Raises `UnreachableError` or another `FaultError`."""
    async with _call(cluster, node_id, protocol.AskStatus(), tls) as reader:
        reply = await _reply(reader, cluster)
        if isinstance(reply, protocol.Status):
            return reply
        raise FaultError(f"{node_id} answers with {type(reply).__name__}")


async def watch(
    cluster: Cluster, node_id: str, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[protocol.Status | protocol.Happened]:
    """How a node is, then all that happens to it, until the connection breaks (`FaultError`)."""
    async with _call(cluster, node_id, protocol.Watch(), tls) as reader:
        while True:
            reply = await _reply(reader, cluster)
            if isinstance(reply, protocol.Status | protocol.Happened):
                yield reply


@asynccontextmanager
async def _call(
    cluster: Cluster, node_id: str, call: protocol.Call, tls: ssl.SSLContext | None
) -> AsyncGenerator[asyncio.StreamReader]:
    address = cluster.addresses[cluster.require(node_id)]
    try:
        async with asyncio.timeout(CONNECT_PATIENCE):
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    except (OSError, UnicodeError) as error:  # a timeout is the former, a bad name the latter
        raise UnreachableError(f"cannot reach {node_id} at {address}: {error}") from error
    try:
        greeting = protocol.encode(protocol.ClientGreeting(cluster.name))
        writer.write(greeting + protocol.encode(call))
        yield reader
    finally:
        await close(writer)


async def _reply(reader: asyncio.StreamReader, cluster: Cluster) -> protocol.Reply:
    largest = protocol.largest_frame(cluster.value_bytes)
    reply = protocol.decode_reply(await protocol.read_frame(reader, largest))
    if isinstance(reply, protocol.Refused):
        raise RefusedError(reply.reason)
    return reply
