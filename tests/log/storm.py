"""Random worlds: what may happen to a log does happen, and then it is calm.

During a storm only safety is asked for, by the world itself. In the calm after it, progress is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from log.log_world import LogWorld


@dataclass
class Storm:
    """One storm over one world: so many turns, all drawn from the world's seed."""

    world: LogWorld
    strangers: str = ""
    """Nodes that are no members at first."""
    commands: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    def rage(self, turns: int) -> None:
        draw = self.world.random
        rare: list[tuple[float, Callable[[], None]]] = [
            (0.20, self.crash),
            (0.12, self.cut),
            (0.12, self.heal),
            (0.08, self.transfer),
            (0.10, self.trim),
            (0.06, self.hang),
            (0.15 if self.strangers else 0.0, self.change),
        ]
        for _ in range(turns):
            for node_id in self.world.up:
                if draw.random() < 0.5:
                    self.append(node_id)
                if draw.random() < 0.3:
                    self.happened["reads"] += 1
                    self.world.read(node_id)
            for chance, happens in rare:
                if draw.random() < chance:
                    happens()
            self.world.run(draw.choice([0.05, 0.2, 0.5, 1.5]))

    def calm(self, *, within: float) -> None:
        """Everything works again: all members come to know what is appended last."""
        world = self.world
        world.cut_links.clear()
        world.loss = 0.0
        for node_id, server in world.servers.items():
            if server.machine is None:
                world.start(node_id)
            world.free_disk(node_id)
        assert world.run(within, until=self._is_settled), self.picture()

    def _is_settled(self) -> bool:
        world = self.world
        if f"c{self.commands}" in world.slot_of and world.has_applied(
            f"c{self.commands}", world.members
        ):
            return True
        leader = world.leader
        if leader and not world.log(leader).queue and world.random.random() < 0.01:
            self.append(leader)
        return False

    def append(self, node_id: str) -> None:
        count = self.world.random.randint(1, 4)
        first, self.commands = self.commands + 1, self.commands + count
        self.world.append(node_id, *(f"c{n}" for n in range(first, first + count)))

    def crash(self) -> None:
        world = self.world
        if world.up:
            node_id = world.random.choice(world.up)
            world.crash(node_id)
            self.happened["crashes"] += 1
            world.after(world.random.uniform(0.0, 1.5), lambda: self._start(node_id))

    def _start(self, node_id: str) -> None:
        if self.world.servers[node_id].machine is None:
            self.world.start(node_id)

    def cut(self) -> None:
        one, other = self.world.random.sample(sorted(self.world.servers), 2)
        if self.world.random.random() < 0.5:
            self.world.cut(one, other)
        else:
            self.world.cut_links.add((one, other))

    def heal(self) -> None:
        self.world.cut_links.clear()

    def hang(self) -> None:
        node_id = self.world.random.choice(sorted(self.world.servers))
        self.world.servers[node_id].hangs = True
        self.world.after(self.world.random.uniform(0.1, 0.8), lambda: self._free(node_id))

    def _free(self, node_id: str) -> None:
        if self.world.servers[node_id].machine is not None:
            self.world.free_disk(node_id)
        self.world.servers[node_id].hangs = False

    def trim(self) -> None:
        self.world.trim(self.world.random.choice(sorted(self.world.servers)))

    def transfer(self) -> None:
        leader = self.world.leader
        if leader:
            others = [n for n in self.world.log(leader).names if n != leader]
            if others:
                self.happened["transfers"] += 1
                self.world.transfer(leader, self.world.random.choice(others))

    def change(self) -> None:
        leader = self.world.leader
        if leader:
            count = self.world.random.randint(1, len(self.world.servers))
            chosen = self.world.random.sample(sorted(self.world.servers), count)
            self.world.change(leader, *chosen)

    def picture(self) -> dict[str, Any]:
        """Who stands where, for whoever has to find out why nothing happens."""
        logs = {n: self.world.log(n) for n in self.world.up}
        return {
            n: (
                log.chosen_below,
                log.window.first,
                log.window.end,
                log.phase,
                str(log.ballot),
                log.names,
                log.promises.of,
            )
            for n, log in logs.items()
        }


def weather(nodes: str, newcomers: str, seed: int, *, turns: int = 40, **more: Any) -> Storm:
    world = LogWorld(nodes, newcomers=newcomers, seed=seed, loss=0.05, repeats=0.05, **more)
    storm = Storm(world, newcomers)
    storm.rage(turns)
    storm.calm(within=40)
    return storm
