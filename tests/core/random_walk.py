"""A seeded walk through what can happen to a cluster: nothing is too unlikely to be tried.

Run as `python tests/core/random_walk.py STEPS SEED ...` (with `tests` on PYTHONPATH) it prints for
each seed a digest of everything that the machines put out, in order.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter

from core.cluster import FALSY_VALUES, Cluster, Value
from paxos import Quorums, Stopped
from paxos.errors import FaultError

QUORUMS = (
    Quorums.majority("ABC"),
    Quorums.majority("ABCD"),
    Quorums.majority("ABCDE"),
    Quorums.flexible("ABCD", phase1=3, phase2=2),
    Quorums.flexible("ABC", phase1=3, phase2=1),
    Quorums.flexible("ABC", phase1=1, phase2=3),
    Quorums.weighted({"A": 3, "B": 2, "C": 2}),
    Quorums.weighted({"A": 2, "B": 1, "C": 1, "D": 1}),
)

VALUES: tuple[Value, ...] = (*FALSY_VALUES, "value", 1, True)

MOST_ON_THE_NETWORK = 40
"""The oldest messages are lost beyond that: else the walk would drown in the past."""

WEIGHTS: dict[str, float] = {
    "deliver": 40,
    "perform": 25,
    "end_persist": 25,
    "hear_itself": 15,
    "deliver_and_keep": 6,
    "propose": 5,
    "tick": 5,
    "start": 5,
    "lose": 3,
    "kill": 2,
    "fail": 1,
}


class Walk:
    """A cluster, and a source of randomness that decides what happens to it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        quorums = self._random.choice(QUORUMS)
        self.cluster = Cluster(quorums, others=["X"] if self._random.random() < 0.2 else [])
        self.happened: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of all that the machines have put out so far."""
        return self._digest.hexdigest()

    def go(self, steps: int) -> None:
        # Each walk has habits of its own: what is rare on one is common on another.
        weights = [weight * self._random.choice((0.2, 1.0, 3.0)) for weight in WEIGHTS.values()]
        for name in self._random.choices(list(WEIGHTS), weights, k=steps):
            if getattr(self, f"_{name}")() is not False:
                self.happened[name] += 1
            del self.cluster.network[:-MOST_ON_THE_NETWORK]

    # What can happen. False says that just now it cannot.

    def _running(self) -> str | None:
        running = [n for n, machine in self.cluster.machines.items() if machine.stopped is None]
        return self._random.choice(running) if running else None

    def _saving(self) -> list[str]:
        return [n for n in self.cluster.under_way if self.cluster.machines[n].stopped is None]

    def _propose(self) -> bool:
        node_id = self._running()
        if node_id is not None:
            self.cluster.propose(node_id, self._random.choice(VALUES))
        return node_id is not None

    def _tick(self) -> bool:
        node_id = self._running()
        if node_id is not None:
            self.cluster.tick(node_id)
        return node_id is not None

    def _perform(self) -> bool:
        node_id = self._running()
        if node_id is not None:
            self._digest.update(repr(self.cluster.perform(node_id)).encode())
        return node_id is not None

    def _end_persist(self) -> bool:
        saving = self._saving()
        if saving:
            self.cluster.end_persist(self._random.choice(saving))
        return bool(saving)

    def _fail(self) -> bool:
        """The disk fails under a persist; the machine stops, and is killed at some time."""
        saving = self._saving()
        if not saving:
            return False
        node_id = self._random.choice(saving)
        self.cluster.machines[node_id].failed(FaultError("the disk is full"))
        ready = self.cluster.perform(node_id)
        assert not ready.send
        assert not ready.send_after_persist
        assert ready.persist is None
        assert isinstance(ready.events[-1], Stopped)
        return True

    def _kill(self) -> bool:
        if not self.cluster.machines:
            return False
        node_id = self._random.choice(list(self.cluster.machines))
        torn = node_id in self.cluster.under_way
        ballot, promised, accepted = (self._random.random() < 0.5 for _ in range(3))
        self.cluster.kill(node_id, ballot=ballot, promised=promised, accepted=accepted)
        self.happened["torn"] += torn and len({ballot, promised, accepted}) == 2
        return True

    def _start(self) -> bool:
        down = [n for n in self.cluster.node_ids if n not in self.cluster.machines]
        if down:
            self.cluster.start(self._random.choice(down))
        return bool(down)

    def _deliver(self) -> bool:
        network = self.cluster.network
        if network:
            self.cluster.deliver(network.pop(self._random.randrange(len(network))))
        return bool(network)

    def _deliver_and_keep(self) -> bool:
        if self.cluster.network:
            self.cluster.deliver(self._random.choice(self.cluster.network))
        return bool(self.cluster.network)

    def _lose(self) -> bool:
        network = self.cluster.network
        if network:
            network.pop(self._random.randrange(len(network)))
        return bool(network)

    def _hear_itself(self) -> bool:
        node_id = self._running()
        if node_id is None or not self.cluster.to_itself[node_id]:
            return False
        own = self.cluster.to_itself[node_id]
        self.cluster.deliver(own.pop(self._random.randrange(len(own))))
        return True


def main(steps: int, *seeds: int) -> None:
    for seed in seeds:
        walk = Walk(seed)
        walk.go(steps)
        sys.stdout.write(f"{seed} {walk.digest} {walk.cluster.chosen()}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
