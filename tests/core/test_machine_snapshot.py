"""A machine is what its snapshot says, and nothing besides: worlds go back in time by it."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import pytest

from core.cluster import A1, A2, B1, B2, C2, MAJORITY_OF_3, envelope, identity
from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    ConflictError,
    DurableState,
    Envelope,
    FaultError,
    Heartbeat,
    HeartbeatAnswer,
    HeartbeatNode,
    Machine,
    MisuseError,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Ready,
    Request,
    Snapshot,
    Tick,
    Timing,
)
from paxos.heartbeat import Stance

AnyMachine: TypeAlias = Machine[HeartbeatNode[Any], DurableState[Any], Any]
AnySnapshot: TypeAlias = Snapshot[HeartbeatNode[Any], DurableState[Any]]

STRAY: list[Any] = [
    Prepare(B1),
    Prepare(C2),
    Promise(A2, Proposal(B1, "of B")),
    Accept(Proposal(B1, "of B")),
    Accept(Proposal(B2, "of B")),
    Accepted(Proposal(A1, "another")),
    Nack(A1, B2),
    Chosen(Proposal(B1, "of B")),
    Request("of C"),
    Heartbeat(NO_PROPOSAL, 0.0),
    Heartbeat(B2, 0.0),
]
"""What may come from B or C however little it fits; some of it proves damage."""


def new_machine() -> AnyMachine:
    node = HeartbeatNode[Any].recover(identity("A"), MAJORITY_OF_3, timing=Timing(), now=0.0)
    return Machine(node, 0.0)


class Walk:
    """What may happen to a machine, drawn from a seed: answers, most often, but also nonsense."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.answers: list[Envelope[Any]] = [envelope("B", "A", Request("of B"))]
        """What the machine has said to itself, and what peers would answer it; newest last."""

    def next(self) -> tuple[str, Any]:
        """What to call, and with what."""
        self.now += self.random.choice([0.0, 0.0, 0.01, 0.05])
        call = self.random.choices(
            ["receive", "ready", "persisted", "failed"], weights=[12, 8, 4, 0.05]
        )[0]
        if call == "failed":
            return call, FaultError("no space left")
        if call != "receive":
            return call, None
        stray = envelope(self.random.choice("BC"), "A", self.random.choice(STRAY))
        answers = [self.random.choice(self.answers[-8:]) for _ in range(12)]
        return call, self.random.choice([Propose("of A"), Tick(), Tick(), stray, *answers])

    def perform(self, machine: AnyMachine, call: str, what: Any) -> Ready[Any, Any] | str | None:
        """Call it, and return what it gives or how it complains."""
        try:
            match call:
                case "receive":
                    machine.receive(what, self.now)
                case "ready":
                    return machine.ready()
                case "persisted":
                    machine.persisted()
                case _:
                    machine.failed(what)
        except MisuseError as misuse:
            return str(misuse)
        return None

    def answer(self, ready: object) -> None:
        """Think up answers to what leaves."""
        for leaving in (*ready.send, *ready.send_after_persist) if isinstance(ready, Ready) else ():
            if leaving.recipient == "A":
                self.answers.append(leaving)
                continue
            match leaving.message:
                case Prepare(id):
                    answer: Any = Promise(id, NOTHING_ACCEPTED)
                case Accept(proposal):
                    answer = Accepted(proposal)
                case Heartbeat(leading, began):
                    answer = HeartbeatAnswer(leading, began)
                case _:
                    continue
            self.answers.append(envelope(leaving.recipient, "A", answer))


@pytest.mark.parametrize("seed", range(40))
def test_a_restored_machine_goes_on_as_the_one_that_it_was_taken_of(seed: int) -> None:
    walk, machine = Walk(seed), new_machine()
    for _ in range(150):
        restored: AnyMachine = Machine.restore(machine.snapshot())
        call, what = walk.next()
        outcome = walk.perform(machine, call, what)
        assert walk.perform(restored, call, what) == outcome
        assert snapshot_text(restored) == snapshot_text(machine)
        assert restored.deadline == machine.deadline
        walk.answer(outcome)
        machine = restored


def snapshot_text(machine: AnyMachine) -> str:
    """A snapshot, but for which object a fault is: each machine finds its own proof of damage."""
    return repr(machine.snapshot())


def walked(seed: int) -> list[AnySnapshot]:
    walk, machine = Walk(seed), new_machine()
    snapshots: list[AnySnapshot] = []
    while machine.stopped is None and len(snapshots) < 150:
        walk.answer(walk.perform(machine, *walk.next()))
        snapshots.append(machine.snapshot())
    return snapshots


def test_the_walk_gets_somewhere() -> None:
    """Beside the "always" above, the "sometimes": leading, saving, waiting, chosen, stopped."""
    nodes = [snapshot for seed in range(40) for snapshot in walked(seed)]
    assert {s.node.heartbeats.stance for s in nodes} == set(Stance)
    assert any(s.saving is not None and s.waiting and s.send for s in nodes)
    assert {type(s.stopped) for s in nodes} == {type(None), FaultError, ConflictError}
    assert len({s.node.chosen for s in nodes}) > 2  # nothing, of A, of B


@pytest.mark.parametrize("seed", range(10))
def test_equal_histories_give_equal_snapshots_with_equal_hashes(seed: int) -> None:
    one, other = walked(seed)[:-1], walked(seed)[:-1]
    assert one == other
    assert [hash(snapshot) for snapshot in one] == [hash(snapshot) for snapshot in other]


def test_snapshots_of_different_machines_differ() -> None:
    one, other = new_machine(), new_machine()
    other.receive(Propose("of A"), 0.0)
    assert one.snapshot() != other.snapshot()


def test_a_snapshot_stays_as_it_was() -> None:
    machine = new_machine()
    before = machine.snapshot()
    machine.receive(Propose("of A"), 1.0)
    assert before == new_machine().snapshot()


def test_a_restored_machine_is_free_of_the_one_that_it_was_taken_of() -> None:
    machine = new_machine()
    restored: AnyMachine = Machine.restore(machine.snapshot())
    machine.receive(envelope("B", "A", Prepare(B1)), 0.0)
    assert restored.snapshot() == new_machine().snapshot()


def test_machines_that_found_the_same_damage_have_equal_snapshots() -> None:
    """Else an explorer takes one state for as many as it has ways to get there."""
    snapshots: list[AnySnapshot] = []
    for machine in (new_machine(), new_machine()):
        machine.receive(envelope("B", "A", Accept(Proposal(B1, "one"))), 0.0)
        machine.receive(envelope("B", "A", Accept(Proposal(B1, "two"))), 0.0)
        snapshots.append(machine.snapshot())
    assert snapshots[0] == snapshots[1]
