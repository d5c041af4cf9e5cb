"""What `paxos demo --log` does: a log under load, while its leader dies and a member is replaced.

Three processes, each with its write-ahead log; a client that writes as fast as it may. The leader
is killed by SIGKILL and brought back; then another node takes the place of a member. At the end
every acknowledged write must be on every node, once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from paxos.demo.key_values import KeyValues
from paxos.demo.processes import NodeProcess, free_addresses
from paxos.demo.story import first_of
from paxos.demo.timeline import Timeline
from paxos.demo.writer import Writer
from paxos.errors import FaultError
from paxos.log.entries import Member
from paxos.quorum import Quorums
from paxos.runtime import (
    Cluster,
    LogClient,
    RefusedError,
    create_store,
    log_protocol,
    log_status,
    write_cluster_file,
)

FOUNDERS = ("A", "B", "C")
NEWCOMER = "D"

PATIENCE = 150.0
"""Seconds after which a story that does not end has failed. It takes some eight."""

POLL = 0.05
"""Seconds between two questions to a node."""

CALM = 1.0
"""Seconds of writing before and after each event: so that there is something to be lost."""

SNAPSHOT_ENTRIES = 400
"""A snapshot after so many entries: low, so that the newcomer has to begin with one."""


@dataclass
class NodeContent:
    """What a node's replica holds at the end, by its own word."""

    keys: set[str]
    writes: int
    digest: bytes
    applied_below: int


@dataclass
class LogStory:
    """The cast, and what is found out about it."""

    timeline: Timeline
    folder: Path
    draw: random.Random
    cluster: Cluster
    nodes: dict[str, NodeProcess] = field(default_factory=dict[str, NodeProcess])
    statuses: dict[str, log_protocol.LogStatus] = field(
        default_factory=dict[str, log_protocol.LogStatus]
    )
    writer: Writer = field(init=False)
    killed: str = ""
    replaced: str = ""
    contents: dict[str, NodeContent] = field(default_factory=dict[str, NodeContent])
    exit_codes: dict[str, int] = field(default_factory=dict[str, int])
    syncs: dict[str, int] = field(default_factory=dict[str, int])
    """Of each node's last life."""

    @classmethod
    def prepare(cls, timeline: Timeline, folder: Path, seed: int) -> LogStory:
        """Write cluster.toml and make the memory of three nodes."""
        names: list[str] = [*FOUNDERS, NEWCOMER]
        addresses = dict(zip(names, free_addresses(4), strict=True))
        cluster = Cluster(
            "demo",
            addresses,
            Quorums.majority(FOUNDERS),
            is_log=True,
            joining=frozenset({NEWCOMER}),
            snapshot_entries=SNAPSHOT_ENTRIES,
        )
        write_cluster_file(folder / "cluster.toml", cluster)
        draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        story = cls(timeline, folder, draw, cluster)
        for name in (*FOUNDERS, NEWCOMER):
            story.nodes[name] = NodeProcess(cluster, folder / "cluster.toml", name, folder / name)
        for name in FOUNDERS:
            create_store(cluster, name, folder / name)
        return story

    @property
    def members(self) -> tuple[str, ...]:
        """Who has a vote at the end."""
        return tuple(sorted({*FOUNDERS, NEWCOMER} - {self.replaced}))

    @property
    def leader(self) -> str | None:
        """Who leads, by its own newest word, or None."""
        leading = [node_id for node_id, status in self.statuses.items() if status.leads]
        return leading[-1] if leading else None

    async def play(self) -> None:
        """All of it, from the first start to the last stop. Raises `FaultError` if it fails."""
        loop = asyncio.get_running_loop()
        self.writer = Writer(self.cluster, loop.time)
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
                looking = tasks.create_task(self._look())
                await self._start(FOUNDERS)
                leader = await self._until_somebody_leads()
                self.timeline.add("demo", f"{leader} leads; a client begins to write")
                writing = tasks.create_task(self.writer.run())
                await self._rest()
                await self._kill_leader()
                await self._rest()
                await self._replace_member()
                await self._rest()
                self.writer.stop()
                await writing
                await self._until_all_have_applied()
                looking.cancel()
                await self._read_all()
            await self._stop_all()
        except TimeoutError:
            raise FaultError(f"the demo did not come to its end in {PATIENCE} seconds") from None
        except ExceptionGroup as group:
            raise first_of(group) from None
        finally:
            for node in self.nodes.values():
                await node.kill()

    async def _start(self, names: tuple[str, ...]) -> None:
        self.timeline.add("demo", f"starts {', '.join(names)}, each a process with its own log")
        async with asyncio.TaskGroup() as starting:
            for name in names:
                starting.create_task(self.nodes[name].start())

    async def _kill_leader(self) -> None:
        """SIGKILL in the midst of writing; a second later it comes back from its disk."""
        leader = await self._until_somebody_leads()
        before = len(self.writer.acknowledged)
        await self.nodes[leader].kill()
        killed_at = self.timeline.seconds
        self.statuses.pop(leader, None)
        self.killed = leader
        self.timeline.add(
            "demo", f"has killed the leader {leader} (SIGKILL); {before} writes are acknowledged"
        )
        await self._until(lambda: len(self.writer.acknowledged) > before + 200)
        successor = await self._until_somebody_leads()
        took = self.timeline.seconds - killed_at
        self.timeline.add("demo", f"{successor} leads, and writes go on ({took:.2f} s)")
        await asyncio.sleep(self.draw.uniform(0.3, 0.8))
        self.timeline.add("demo", f"starts {leader} again, from its disk")
        await self.nodes[leader].start()
        await self._until(lambda: self._lags(leader) < self.cluster.log_limits.window)
        self.timeline.add(
            "demo", f"{leader} has caught up: {self.statuses[leader].applied_below} entries applied"
        )

    async def _replace_member(self) -> None:
        """Another node, with a name of its own, takes the place of a follower."""
        leader = await self._until_somebody_leads()
        old = self.draw.choice([name for name in FOUNDERS if name != leader])
        owner = create_store(self.cluster, NEWCOMER, self.folder / NEWCOMER)
        self.timeline.add("demo", f"{NEWCOMER} shall replace {old}: it starts with an empty disk")
        await self.nodes[NEWCOMER].start()
        address = str(self.cluster.addresses[NEWCOMER])
        present = self.cluster.founding.members
        wanted = [m for m in present if m.node_id != old]
        wanted.append(Member(NEWCOMER, owner.incarnation, address))
        async with LogClient(self.cluster) as client:
            await self._insist(lambda: client.change_members(wanted))
        self.replaced = old
        snapshot = self.statuses[NEWCOMER].snapshot_below if NEWCOMER in self.statuses else 0
        began = f"it began with a snapshot of {snapshot} entries" if snapshot else "by its log"
        self.timeline.add("demo", f"{', '.join(self.members)} decide from now on; {began}")
        await self._until(lambda: self._lags(NEWCOMER) < self.cluster.log_limits.window)
        code = await self.nodes[old].terminate()
        self.exit_codes[old] = code
        self.statuses.pop(old, None)
        self.timeline.add("demo", f"has stopped {old} (SIGTERM) for good")

    async def _insist(self, change: Callable[[], Awaitable[None]]) -> None:
        """A newcomer is refused until it has caught up."""
        while True:
            try:
                await change()
            except RefusedError:
                await asyncio.sleep(POLL)
            else:
                return

    async def _read_all(self) -> None:
        """Ask each node itself what its replica holds: stale queries, so no other node helps."""
        for name in self.members:
            async with LogClient(self.cluster, node_id=name, stays=True) as client:
                count, writes = await client.ask(KeyValues.count.call(), stale=True)
                keys: set[str] = set()
                for start in range(0, count, 1000):
                    page = await client.ask(KeyValues.keys.call(start), stale=True)
                    keys.update(page)
                status = await client.status()
            self.contents[name] = NodeContent(keys, writes, status.digest, status.applied_below)
            self.syncs[name] = status.syncs

    async def _stop_all(self) -> None:
        for name in self.members:
            self.exit_codes[name] = await self.nodes[name].terminate()
        self.timeline.add("demo", "has stopped all nodes (SIGTERM)")

    async def _look(self) -> None:
        """Ask all nodes how they are, again and again."""
        while True:
            for name in sorted(self.nodes):
                if self.nodes[name].is_running and name != self.replaced:
                    with suppress(FaultError, RefusedError):
                        status = await log_status(self.cluster, name, within=0.5)
                        self._note(name, status)
            await asyncio.sleep(POLL)

    def _note(self, name: str, status: log_protocol.LogStatus) -> None:
        before = self.statuses.pop(name, None)
        self.statuses[name] = status
        if status.leads and (before is None or not before.leads):
            self.timeline.add(name, f"leads, having promised {status.promised}")
        if before is not None and status.snapshot_below > before.snapshot_below:
            self.timeline.add(name, f"has a snapshot of all slots below {status.snapshot_below}")

    def _lags(self, name: str) -> float:
        """How many slots this node is behind the one that knows most."""
        if name not in self.statuses:
            return float("inf")
        most = max(status.chosen_below for status in self.statuses.values())
        return most - self.statuses[name].applied_below

    async def _rest(self) -> None:
        await asyncio.sleep(CALM * self.draw.uniform(0.7, 1.3))

    async def _until_somebody_leads(self) -> str:
        await self._until(lambda: self.leader is not None)
        return self.leader or ""

    async def _until_all_have_applied(self) -> None:
        """The same slots on all nodes: nothing is written any more."""
        self.statuses.clear()
        await self._until(
            lambda: (
                set(self.members) <= self.statuses.keys()
                and len({self.statuses[name].applied_below for name in self.members}) == 1
                and len({self.statuses[name].chosen_below for name in self.members}) == 1
            )
        )
        self.timeline.add("demo", "all nodes have applied the same slots")

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that other processes bring about. `play` bounds the waiting."""
        while not holds():  # noqa: ASYNC110 - nobody in this process could set an event
            await asyncio.sleep(POLL / 5)
