"""What must hold whatever happens: machines under a bad network, slow disks, and crashes.

A `Witness` sees everything that leaves and knows what is on each disk at that instant: it holds
the properties (agreement, validity, one value under one ID, promises kept across crashes, nothing
leaves before it is durable, no ballot of two runs). Here are the histories that it gets to see:
those that Hypothesis makes up, and shrinks when one fails; and a thousand random walks.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.cluster import Cluster, Value
from core.random_walk import QUORUMS, VALUES, WEIGHTS, Walk
from paxos import NOTHING_ACCEPTED, NOTHING_CHOSEN, FaultError, ProposalID, Quorums

pytestmark = pytest.mark.exhaustive

T = TypeVar("T")

WHICH = st.integers(0, 11)
"""Which node, message or persist: taken modulo how many there are."""


class History(RuleBasedStateMachine):
    """One rule for each thing that may happen between any two others."""

    reached: ClassVar[Counter[str]] = Counter()
    """What was reached in any example: each of these must be possible, or the rest is vacuous."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(QUORUMS[0])

    @initialize(quorums=st.sampled_from(QUORUMS), stranger=st.booleans())
    def begin(self, quorums: Quorums, stranger: bool) -> None:
        """All nodes are up and know nothing; there may be a proposer that is no member."""
        self.cluster = Cluster(quorums, others=["X"] if stranger else [])

    # The application.

    @rule(which=WHICH, value=st.sampled_from(VALUES))
    @precondition(lambda self: self.running())
    def propose(self, which: int, value: Value) -> None:
        self.cluster.propose(pick(self.running(), which), value)

    @rule(which=WHICH)
    @precondition(lambda self: self.running())
    def tick(self, which: int) -> None:
        self.cluster.tick(pick(self.running(), which))

    # The network.

    @rule(which=WHICH, repeats=st.booleans())
    @precondition(lambda self: self.cluster.network)
    def deliver(self, which: int, repeats: bool) -> None:
        arriving = pick(self.cluster.network, which)
        if not repeats:
            self.cluster.network.remove(arriving)
        self.cluster.deliver(arriving)

    @rule(which=WHICH)
    @precondition(lambda self: self.cluster.network)
    def lose(self, which: int) -> None:
        self.cluster.network.remove(pick(self.cluster.network, which))

    @rule(which=WHICH)
    @precondition(lambda self: any(self.cluster.to_itself.values()))
    def hear_itself(self, which: int) -> None:
        own = pick([own for own in self.cluster.to_itself.values() if own], which)
        self.cluster.deliver(own.pop(0))

    # The disk.

    @rule(which=WHICH)
    @precondition(lambda self: self.running())
    def perform(self, which: int) -> None:
        self.cluster.perform(pick(self.running(), which))

    @rule(which=WHICH)
    @precondition(lambda self: self.saving())
    def end_persist(self, which: int) -> None:
        self.cluster.end_persist(pick(self.saving(), which))

    @rule(which=WHICH)
    @precondition(lambda self: self.saving())
    def fail(self, which: int) -> None:
        """What waits for this persist never leaves: `under_way` keeps it until the kill."""
        node_id = pick(self.saving(), which)
        self.cluster.machines[node_id].failed(FaultError("the disk is full"))
        ready = self.cluster.perform(node_id)
        assert (ready.persist, ready.send, ready.send_after_persist) == (None, (), ())

    # The process.

    @rule(which=WHICH, ballot=st.booleans(), promised=st.booleans(), accepted=st.booleans())
    @precondition(lambda self: self.cluster.machines)
    def kill(self, which: int, ballot: bool, promised: bool, accepted: bool) -> None:
        """At any moment; of a persist under way, any part may be on disk."""
        node_id = pick(list(self.cluster.machines), which)
        self.reached["killed while saving"] += node_id in self.cluster.under_way
        self.cluster.kill(node_id, ballot=ballot, promised=promised, accepted=accepted)

    @rule(which=WHICH)
    @precondition(lambda self: len(self.cluster.machines) < len(self.cluster.node_ids))
    def start(self, which: int) -> None:
        down = [n for n in self.cluster.node_ids if n not in self.cluster.machines]
        self.cluster.start(pick(down, which))

    # Good times. Without them hardly anything would ever be chosen.

    @rule(which=WHICH)
    @precondition(lambda self: self.running())
    def catch_up(self, which: int) -> None:
        """One node's disk is fast for a while."""
        node_id = pick(self.running(), which)
        if node_id in self.cluster.under_way:
            self.cluster.end_persist(node_id)
        self.cluster.save(node_id)

    @rule(deliveries=st.integers(1, 12))
    def run_well(self, deliveries: int) -> None:
        """The network is fast and orderly for a while, and so are the disks."""
        for _ in range(min(deliveries, len(self.cluster.network))):
            arriving = self.cluster.network.pop(0)
            self.cluster.deliver(arriving)
            if arriving.recipient in self.running():
                if arriving.recipient in self.cluster.under_way:
                    self.cluster.end_persist(arriving.recipient)
                self.cluster.save(arriving.recipient)

    # What is always true.

    @invariant()
    def memory_is_never_behind_the_disk(self) -> None:
        for node_id in self.running():
            held, disk = self.cluster.machines[node_id].node.durable, self.cluster.on_disk[node_id]
            assert held.ballot >= disk.ballot
            assert held.promised >= disk.promised
            if disk.accepted is not NOTHING_ACCEPTED:
                assert held.accepted is not NOTHING_ACCEPTED
                assert held.accepted.id >= disk.accepted.id
                assert held.promised >= held.accepted.id

    @invariant()
    def who_knows_a_choice_knows_the_choice(self) -> None:
        chosen = self.cluster.witness.chosen
        for node_id in self.running():
            known = self.cluster.machines[node_id].node.chosen
            if known is not NOTHING_CHOSEN:
                assert chosen[known.id] == repr(known.value)

    @invariant()
    def nobody_stops_but_for_its_disk(self) -> None:
        """No correct run shows two values where there can be one."""
        for machine in self.cluster.machines.values():
            assert type(machine.stopped) in {type(None), FaultError}

    def teardown(self) -> None:
        self.reached["something chosen"] += bool(self.cluster.witness.chosen)
        self.reached["chosen in two ballots"] += len(self.cluster.witness.chosen) > 1
        self.reached["restarted"] += max(self.cluster.runs.values()) > 1
        assert_healing(self.cluster)

    def running(self) -> list[str]:
        return [n for n, machine in self.cluster.machines.items() if machine.stopped is None]

    def saving(self) -> list[str]:
        return [n for n in self.cluster.under_way if n in self.running()]


def pick(options: list[T], which: int) -> T:
    return options[which % len(options)]


def assert_healing(cluster: Cluster) -> None:
    """Once all are up and hear each other, a proposer that is left alone gets a value chosen."""
    for node_id in list(cluster.machines):
        cluster.kill(node_id)
    cluster.network.clear()
    for node_id in cluster.node_ids:
        cluster.start(node_id)
    for _ in range(2):  # its first number may turn out too low
        cluster.propose("A", "healed")
        cluster.settle()
    (value,) = set(cluster.witness.chosen.values())
    for member in cluster.quorums.members:
        known = cluster.machines[member].node.chosen
        assert known is not NOTHING_CHOSEN
        assert repr(known.value) == value


def test_every_history_keeps_the_properties() -> None:
    History.reached.clear()
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=250,
            stateful_step_count=60,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert set(+History.reached) == {
        "killed while saving",
        "something chosen",
        "chosen in two ballots",
        "restarted",
    }


@pytest.mark.parametrize("first_seed", range(0, 1000, 100))
def test_a_hundred_random_walks_keep_the_properties(first_seed: int) -> None:
    happened: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + 100):
        walk = Walk(seed)
        try:
            walk.go(1500)
            happened["chosen"] += bool(walk.cluster.witness.chosen)
            happened["chosen in two ballots"] += len(walk.cluster.witness.chosen) > 1
            assert_healing(walk.cluster)
        except AssertionError as broken:
            broken.add_note(f"again: PYTHONPATH=tests python tests/core/random_walk.py 1500 {seed}")
            raise
        happened += walk.happened
    assert set(WEIGHTS) | {"torn", "chosen", "chosen in two ballots"} == set(+happened)


def test_an_outsider_can_get_a_value_chosen() -> None:
    """A proposer that has no vote: nothing but members makes a quorum, whoever asks them."""
    cluster = Cluster(Quorums.majority("ABC"), others=["X"])
    cluster.propose("X", 0)
    cluster.settle()
    assert cluster.witness.chosen == {ProposalID(1, "X"): "0"}
    assert all(machine.node.chosen is not NOTHING_CHOSEN for machine in cluster.machines.values())
