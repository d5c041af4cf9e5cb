"""The transport of `paxos.runtime`, without a node: what it hears is only noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from paxos import Envelope, HeartbeatNode, Identity, Quorums, Timing
from paxos.machine import Machine
from paxos.node import DurableState
from paxos.runtime import TLS, Address, Cluster, NodeServer
from paxos.runtime.disk_thread import DiskThread
from paxos.runtime.driver import Driver


class Ear:
    """Stands where a node's driver stands, and passes on what comes."""

    def __init__(self, hear: Callable[[Envelope[Any]], object]) -> None:
        self.feed = hear
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        pass

    def close(self) -> None:
        self.feed = lambda envelope: None
        self.failure.cancel()


class Transport(NodeServer):
    """A server with an ear for a driver."""

    def __init__(
        self,
        identity: Identity,
        cluster: Cluster,
        hear: Callable[[Envelope[Any]], object],
        tasks: asyncio.TaskGroup,
    ) -> None:
        now = asyncio.get_running_loop().time()
        node = HeartbeatNode[bytes].recover(
            identity, cluster.quorums, DurableState(), timing=Timing(), now=now
        )
        super().__init__(cluster, Machine(node, now), cast(DiskThread, None), tasks)
        self._driver = cast(Driver, Ear(hear))

    def send(self, envelope: Envelope[Any], /) -> None:
        self._send(envelope)


@asynccontextmanager
async def runtime_transport(
    identity: Identity,
    addresses: Mapping[str, Address],
    hear: Callable[[Envelope[Any]], object],
    tls: TLS | None = None,
) -> AsyncGenerator[Transport]:
    """Run it as `serve` runs a node."""
    members = dict(sorted(addresses.items()))
    cluster = Cluster(identity.cluster, members, Quorums.majority(members))
    async with asyncio.TaskGroup() as tasks:
        transport = Transport(identity, cluster, hear, tasks)
        try:
            await transport.start(tls, lambda: 0.5)
            yield transport
        finally:
            try:
                await transport.stop_listening()
            finally:
                transport.stop()
