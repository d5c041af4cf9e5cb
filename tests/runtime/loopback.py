"""A cluster on this machine's loopback, with real sockets and real stores."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paxos import Quorums, Timing
from paxos.runtime import Address, Cluster, NodeServer, create_store, serve

HOST = "127.0.0.1"


@contextmanager
def free_addresses(count: int) -> Generator[list[Address]]:
    """Addresses that nobody else takes while the block lasts."""
    with ExitStack() as held, ExitStack() as free:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((HOST, 0))
        addresses = [Address(HOST, each.getsockname()[1]) for each in sockets]
        if sys.platform == "linux":
            # Here one may listen where another is only bound, and nobody else gets that port.
            free.push(held.pop_all())
        held.close()
        yield addresses


@dataclass(frozen=True)
class Loopback:
    """A cluster and a folder for each of its nodes."""

    cluster: Cluster
    root: Path

    def folder(self, node_id: str) -> Path:
        return self.root / node_id

    def address(self, node_id: str) -> Address:
        return self.cluster.addresses[node_id]

    def where(self, node_id: str) -> tuple[str, int]:
        """Host and port of a node, for a bare socket."""
        address = self.address(node_id)
        return address.host, address.port

    def create_stores(self, node_ids: str) -> None:
        """Make the memory of each of these nodes."""
        for node_id in node_ids:
            create_store(self.cluster, node_id, self.folder(node_id), draw=lambda: "first")

    @asynccontextmanager
    async def serve(self, node_ids: str, **options: Any) -> AsyncGenerator[list[NodeServer]]:
        """Run these nodes, each in the same loop."""
        options = {"jitter": lambda: 0.5, **options}
        async with AsyncExitStack() as running:
            yield [
                await running.enter_async_context(
                    serve(self.cluster, self.folder(node_id), **options)
                )
                for node_id in node_ids
            ]

    def with_cluster(self, **changes: Any) -> Loopback:
        """The same folders under another cluster file."""
        return replace(self, cluster=replace(self.cluster, **changes))


@contextmanager
def loopback(root: Path, node_ids: str) -> Generator[Loopback]:
    """A cluster of these nodes, whose stores have been made."""
    with free_addresses(len(node_ids)) as addresses:
        made = Loopback(
            Cluster(
                "shop",
                dict(zip(node_ids, addresses, strict=True)),
                Quorums.majority(node_ids),
                timing=Timing(interval=0.02, window=0.3, backoff=0.02),
            ),
            root,
        )
        made.create_stores(node_ids)
        yield made
