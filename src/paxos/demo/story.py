"""What the demo does: two proposers race; meanwhile one node and the leader are killed and return.

Nothing here decides anything: nodes are processes, killed by SIGKILL, with real disks. The seed
draws the proposers, the first victim and all delays; what the operating system makes of that, and
so who leads, differs from run to run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from paxos.demo.processes import NodeProcess, free_addresses
from paxos.demo.timeline import Timeline
from paxos.errors import FaultError, MisuseError
from paxos.messages import NOTHING_ACCEPTED
from paxos.node import DurableState
from paxos.quorum import Quorums
from paxos.runtime import (
    Cluster,
    client,
    create_store,
    inspect_store,
    protocol,
    write_cluster_file,
)
from paxos.runtime.protocol import text

MIN_NODES, MAX_NODES = 3, 9
"""Fewer survive no kill; more are a crowd for one machine."""

PATIENCE = 30.0
"""Seconds after which a story that does not end has failed. It takes a few."""

POLL = 0.05
"""Seconds between two questions to a node."""

LOOK = 0.001
"""Seconds between two looks at what was answered: a leader's reign before a decision is short."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A node's disk between its death and its return, and who came back."""

    node_id: str
    disk: DurableState[bytes]
    incarnation: str


@dataclass
class Story:
    """The cast, and what is found out about it."""

    timeline: Timeline
    folder: Path
    values: Sequence[bytes]
    draw: random.Random
    cluster: Cluster
    nodes: dict[str, NodeProcess] = field(default_factory=dict[str, NodeProcess])
    statuses: dict[str, protocol.Status] = field(default_factory=dict[str, protocol.Status])
    watched: set[str] = field(default_factory=set[str])
    """Nodes whose events reach us."""

    recoveries: list[Recovery] = field(default_factory=list[Recovery])
    exit_codes: dict[str, int] = field(default_factory=dict[str, int])
    leaders: list[str] = field(default_factory=list[str])
    """Nodes that say that they lead; who began last comes last."""

    down: set[str] = field(default_factory=set[str])
    """Nodes that are being killed and brought back."""

    @classmethod
    def prepare(
        cls, timeline: Timeline, folder: Path, count: int, values: Sequence[bytes], seed: int
    ) -> Story:
        """Write cluster.toml and make a store for each node. Raises `MisuseError`."""
        if not MIN_NODES <= count <= MAX_NODES:
            raise MisuseError(f"the demo takes {MIN_NODES} to {MAX_NODES} nodes")
        names = [chr(ord("A") + index) for index in range(count)]
        addresses = dict(zip(names, free_addresses(count), strict=True))
        cluster = Cluster("demo", addresses, Quorums.majority(names))
        cluster_file = folder / "cluster.toml"
        write_cluster_file(cluster_file, cluster)
        story = cls(timeline, folder, values, _draw(seed), cluster)
        for name in names:
            create_store(cluster, name, folder / name)
            story.nodes[name] = NodeProcess(cluster, cluster_file, name, folder / name)
        return story

    @property
    def value(self) -> bytes | None:
        """What the nodes say is chosen, or None."""
        chosen = [status.chosen for status in self.statuses.values() if status.chosen is not None]
        return chosen[0].value if chosen else None

    async def play(self) -> None:
        """All of it, from the first start to the last stop. Raises `FaultError` if it fails."""
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
                looking = [tasks.create_task(self._look())]
                looking += [tasks.create_task(self._watch(node)) for node in self.nodes.values()]
                await self._start_all()
                await self._race()
                await self._until_all_know()
                for task in looking:
                    task.cancel()
            await self._stop_all()
        except TimeoutError:
            raise FaultError(f"no agreement on all nodes within {PATIENCE} seconds") from None
        except ExceptionGroup as group:
            raise first_of(group) from None
        finally:
            for node in self.nodes.values():
                await node.kill()

    async def _start_all(self) -> None:
        self.timeline.add("demo", f"starts {len(self.nodes)} node processes")
        async with asyncio.TaskGroup() as starting:
            for node in self.nodes.values():
                starting.create_task(node.start())
        await self._until(lambda: len(self.watched) == len(self.nodes))
        self.timeline.add("demo", "all nodes answer")

    async def _race(self) -> None:
        """Two clients, two nodes, two values, at once; and in the middle of it two deaths."""
        first, second, victim = self.draw.sample(sorted(self.nodes), 3)
        # All is drawn here: tasks would draw in an order that is the operating system's.
        early, late = self.draw.uniform(0, 0.02), self.draw.uniform(0, 0.004)
        victim_rests, leader_rests = self.draw.uniform(0.2, 0.8), self.draw.uniform(0.2, 0.8)
        minority = asyncio.Semaphore((len(self.nodes) - 1) // 2)
        async with asyncio.TaskGroup() as race:
            race.create_task(self._propose(first, self.values[0]))
            race.create_task(self._propose(second, self.values[1]))
            race.create_task(self._kill_one(victim, early, victim_rests, minority))
            race.create_task(self._kill_leader(late, leader_rests, minority))

    async def _propose(self, node_id: str, value: bytes) -> None:
        """As a client that tries the next node when its own dies: the same value, again."""
        names = sorted(self.nodes)
        while True:
            self.timeline.add("demo", f"asks {node_id} for {text(value)}")
            try:
                outcome = await client.decide(self.cluster, node_id, value)
            except FaultError:
                self.timeline.add("demo", f"gets no answer from {node_id}: outcome unknown")
                node_id = names[(names.index(node_id) + 1) % len(names)]
                await asyncio.sleep(POLL)
            else:
                self.timeline.add("demo", f"hears from {node_id}: {text(outcome.value)} is chosen")
                return

    async def _kill_one(
        self, node_id: str, after: float, rests: float, minority: asyncio.Semaphore
    ) -> None:
        await asyncio.sleep(after)
        await self._kill_and_return(node_id, rests, minority)

    async def _kill_leader(self, after: float, rests: float, minority: asyncio.Semaphore) -> None:
        """Kill whoever leads, a moment after the first leader was heard of.

        If the leader was the victim, and all was decided before another had to lead, there is
        none left to kill.
        """
        await self._until(lambda: bool(self.leaders))
        await asyncio.sleep(after)
        await self._until(lambda: bool(self.leaders) or self.value is not None)
        if self.leaders:
            await self._kill_and_return(self.leaders[-1], rests, minority)

    async def _kill_and_return(
        self, node_id: str, rests: float, minority: asyncio.Semaphore
    ) -> None:
        async with minority:
            if node_id in self.down:
                return  # the leader was the victim: one death at a time
            self.down.add(node_id)
            await self._kill(node_id)
            await asyncio.sleep(rests)
            await self._restart(node_id)
            self.down.discard(node_id)

    async def _kill(self, node_id: str) -> None:
        role = "the leader " if node_id in self.leaders else ""
        await self.nodes[node_id].kill()
        self.statuses.pop(node_id, None)
        self.watched.discard(node_id)
        if node_id in self.leaders:
            self.leaders.remove(node_id)
        self.timeline.add("demo", f"has killed {role}{node_id} (SIGKILL)")

    async def _restart(self, node_id: str) -> None:
        found = inspect_store(self.folder / node_id)
        if found.state is None or found.report.owner is None:
            raise FaultError(f"the disk of {node_id} is not sound: {found.problem}")
        accepted = found.state.accepted
        held = "nothing" if accepted is NOTHING_ACCEPTED else f"{text(accepted.value)}"
        self.timeline.add(
            "demo",
            f"starts {node_id} again; its disk: promised {found.state.promised}, accepted {held}",
        )
        self.recoveries.append(Recovery(node_id, found.state, found.report.owner.incarnation))
        await self.nodes[node_id].start()

    async def _watch(self, node: NodeProcess) -> None:
        """Note what a node says of itself, through all its lives."""
        while True:
            with suppress(FaultError):
                async for report in client.watch(self.cluster, node.node_id):
                    self._note(node.node_id, report)
            await asyncio.sleep(POLL)

    def _note(self, node_id: str, report: protocol.Status | protocol.Happened) -> None:
        if isinstance(report, protocol.Status):
            self.watched.add(node_id)
            return
        self.timeline.add(node_id, report.text)
        if report.event == "LeadershipAcquired":
            self.leaders.append(node_id)
        elif report.event == "LeadershipLost" and node_id in self.leaders:
            self.leaders.remove(node_id)

    async def _look(self) -> None:
        """Ask all nodes how they are, again and again."""
        while True:
            for node_id in sorted(self.nodes):
                if self.nodes[node_id].is_running:
                    with suppress(FaultError):
                        self.statuses[node_id] = await client.status(self.cluster, node_id)
            await asyncio.sleep(POLL)

    async def _until_all_know(self) -> None:
        self.statuses.clear()  # what a node said before it was killed proves nothing of it now
        await self._until(
            lambda: all(
                node_id in self.statuses and self.statuses[node_id].chosen is not None
                for node_id in self.nodes
            )
        )
        self.timeline.add("demo", "all nodes know the decision")

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that other processes bring about. `play` bounds the waiting."""
        while not holds():  # noqa: ASYNC110 - nobody in this process could set an event
            await asyncio.sleep(LOOK)

    async def _stop_all(self) -> None:
        for node_id, node in self.nodes.items():
            self.exit_codes[node_id] = await node.terminate()
        self.timeline.add("demo", "has stopped all nodes (SIGTERM) and reads their disks")


def first_of(group: ExceptionGroup[Exception]) -> Exception:
    """What went wrong first, out of however many task groups it passed."""
    first = group.exceptions[0]
    return first_of(cast("ExceptionGroup[Exception]", first)) if _is_group(first) else first


def _is_group(error: Exception) -> bool:
    return isinstance(error, ExceptionGroup)


def _draw(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
