"""A log on this machine's loopback, with real sockets and real disks, all in one event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from paxos import Quorums, Timing
from paxos.log_store import LogStore
from paxos.runtime import Cluster, LogClient, LogServer, create_store, log_server, serve_log
from paxos.runtime import log_protocol as wire
from paxos.runtime.protocol import FRAME
from paxos.state_machine import CommandError, TypedStateMachine, command, query
from runtime.event_loop import until
from runtime.loopback import free_addresses


class Ledger(TypedStateMachine):
    """Counts how often each name was added."""

    counts: dict[str, int]

    @command
    def add(self, name: str) -> int:
        """Count this name once more; return how often that makes."""
        if not name:
            raise CommandError("a name is needed")
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]

    @query
    def count(self, name: str) -> int:
        """How often this name was added."""
        return self.counts.get(name, 0)


@dataclass(frozen=True)
class LogLoopback:
    """A cluster and a folder for each of its nodes."""

    cluster: Cluster
    root: Path

    def folder(self, node_id: str) -> Path:
        return self.root / node_id

    def create_stores(self, node_ids: str) -> None:
        for node_id in node_ids:
            create_store(self.cluster, node_id, self.folder(node_id), draw=f"of {node_id}".strip)

    def with_cluster(self, **changes: Any) -> LogLoopback:
        """The same folders under another cluster file."""
        return replace(self, cluster=replace(self.cluster, **changes))

    def serve(self, node_id: str) -> Any:
        """Run this node."""
        return serve_log(self.cluster, self.folder(node_id), Ledger, jitter=lambda: 0.5)

    @asynccontextmanager
    async def serving(self, node_ids: str) -> AsyncGenerator[dict[str, LogServer]]:
        """Run these nodes, each in the same loop, once one of them leads."""
        async with AsyncExitStack() as running:
            servers = {
                node_id: await running.enter_async_context(self.serve(node_id))
                for node_id in node_ids
            }
            await until(lambda: leader_of(servers) is not None)
            yield servers

    def client(self, node_id: str | None = None, **options: Any) -> LogClient:
        return LogClient(self.cluster, node_id=node_id, **options)

    @asynccontextmanager
    async def speaking(self, node_id: str, *said: bytes) -> AsyncGenerator[Speaker]:
        """A bare connection that has said this."""
        address = self.cluster.addresses[node_id]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(b"".join(said))
            yield Speaker(reader, writer)
        finally:
            writer.close()


@dataclass
class Speaker:
    """One end of a bare connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self) -> Any:
        """The next reply."""
        length, _ = FRAME.unpack(await self.reader.readexactly(FRAME.size))
        return wire.decode_reply(await self.reader.readexactly(length))

    async def is_hung_up_on(self) -> bool:
        """Whether nothing more comes."""
        return await self.reader.read(1) == b""


def leader_of(servers: dict[str, LogServer]) -> str | None:
    """The one that leads, or None."""
    return next((node_id for node_id, server in servers.items() if server.leads), None)


@contextmanager
def log_loopback(root: Path, node_ids: str, joining: str = "") -> Generator[LogLoopback]:
    """A log whose first members are those that do not join later; all but those have memories."""
    everybody = sorted(node_ids + joining)
    with free_addresses(len(everybody)) as addresses:
        made = LogLoopback(
            Cluster(
                "shop",
                dict(zip(everybody, addresses, strict=True)),
                Quorums.majority(node_ids),
                timing=Timing(interval=0.02, window=0.3, backoff=0.02),
                is_log=True,
                joining=frozenset(joining),
            ),
            root,
        )
        made.create_stores(node_ids)
        yield made


@dataclass
class SlowDisk:
    """What saves of one node do: they wait until they are let go, or fail."""

    hangs: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    saves: int = 0

    def hang(self) -> None:
        """From now on saves wait."""
        self.go_on.clear()
        self.hangs.set()

    def let_go(self) -> None:
        """No more."""
        self.hangs.clear()
        self.go_on.set()

    def save(self, store: LogStore, state: Any) -> None:
        self.saves += 1
        if self.hangs.is_set():
            self.begun.set()
            self.go_on.wait()
        if self.error is not None:
            raise self.error
        store.save(state)


class OnSlowDisk:
    """A real store, on such a disk."""

    def __init__(self, real: LogStore, slow: SlowDisk) -> None:
        self.real, self.slow = real, slow

    def save(self, state: Any) -> None:
        self.slow.save(self.real, state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def put_on_slow_disks(monkeypatch: pytest.MonkeyPatch) -> dict[str, SlowDisk]:
    """From now on, `serve_log` opens its stores on such disks: one for each node."""
    disks: dict[str, SlowDisk] = {}
    open_memory: Callable[..., LogStore] = log_server.open_log_memory

    def open_slowly(*arguments: Any) -> LogStore:
        store = open_memory(*arguments)
        slow = disks.setdefault(store.owner.node_id, SlowDisk())
        return cast("LogStore", OnSlowDisk(store, slow))

    monkeypatch.setattr(log_server, "open_log_memory", open_slowly)
    return disks
