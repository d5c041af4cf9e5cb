"""Both worlds drive the same machines, so one command does the same in each: any walk shows it."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from paxos.heartbeat import HeartbeatNode
from paxos.node import Node
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.commands import Command, Deliver, Hang
from paxos.scenario.happenings import Happening, Left
from paxos.sim.stage import Stage
from paxos.verify.model import Bounds, Down, Local, Model

STEPS = 150


def without_incarnations(node: Any) -> Any:
    """The explorer knows them all from the start, for no disk is ever lost there."""
    if isinstance(node, HeartbeatNode):
        inner: Node[str] = replace(node.node, incarnations=())
        return replace(node, node=inner)
    return replace(node, incarnations=())


class Walk:
    """A stage and a model side by side."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self.random = Random(seed)
        cluster = Cluster(("A", "B", "C"), kind)
        bounds = Bounds(
            cluster, (("A", "x"), ("B", "y")), 9, crashes=9, timeouts=9, slow_disks=True
        )
        self.model = Model(bounds)
        self.locals: dict[str, Local] = {n: self.model.start(n) for n in cluster.node_ids}
        self.seen: list[Happening] = []
        self.stage = Stage(cluster, self.seen.append, abstract_time=kind is Kind.HEARTBEAT)
        for node_id in cluster.node_ids:
            self.stage.perform(Hang(node_id))

    def possible(self) -> list[Command]:
        up = [node_id for node_id, local in self.locals.items() if not isinstance(local, Down)]
        messages = [Deliver(e) for e in self.stage.sent if e.recipient in up]
        others: list[Command] = []
        for node_id, local in self.locals.items():
            others += self.model.choices(node_id, local) + self.model.duties(node_id, local)
            if self.random.random() < 0.1:
                others += self.model.crashes(node_id, local)
        return sorted(messages, key=str) + sorted(others, key=str)

    def step(self) -> None:
        command: Any = self.random.choice(self.possible())
        node_id = self.model.node_of(command)
        first = len(self.seen)
        self.stage.perform(command)
        effect = self.model.effect(self.locals[node_id], command, at_once=False)
        assert effect is not None
        self.locals[node_id] = effect.local
        left = [(h.envelope, h.disk) for h in self.seen[first:] if isinstance(h, Left)]
        assert sorted(left, key=str) == sorted(effect.sent, key=str), command
        self.compare(node_id, command)

    def compare(self, node_id: str, command: Command) -> None:
        local, machine = self.locals[node_id], self.stage.servers[node_id].machine
        if isinstance(local, Down):
            assert machine is None, command
            assert self.stage.servers[node_id].acknowledged == local.durable
        else:
            assert machine is not None, command
            assert without_incarnations(machine.node) == without_incarnations(
                local.snapshot.node
            ), command


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_one_command_does_the_same_on_the_stage_and_in_the_explorer(kind: Kind, seed: int) -> None:
    walk = Walk(kind, seed)
    for _ in range(STEPS):
        walk.step()
