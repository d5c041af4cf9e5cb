"""The way to what is wrong is a shortest one, and real nodes can go it."""

from __future__ import annotations

import pytest

from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import Command, Crash, Deliver, Hang, Persist
from paxos.scenario.transcript import write
from paxos.sim.player import play
from paxos.verify import Bounds, Counterexample, Plan, explore

ONE = ("A",)
ABC = ("A", "B", "C")
XY = (("A", "x"), ("B", "y"))

FOUND = {  # rule: where, what breaks, and in how many steps
    "number-survives": (ABC, (("A", "x"), ("A", "y")), 1, "one-value-an-id", 12),
    "vote-survives": (ONE, (("A", "x"), ("A", "y")), 1, "agreement", 14),
    "ids-name-their-node": (ABC, XY, 0, "one-value-an-id", 10),
}


def found(rule: str) -> Counterexample:
    members, proposals, crashes, invariant, _ = FOUND[rule]
    bounds = Bounds(Cluster(members, breaks=rule), proposals, ballots=2, crashes=crashes)
    counterexample = explore(bounds, Plan(only=invariant)).counterexample
    assert counterexample is not None
    return counterexample


@pytest.mark.parametrize("rule", FOUND)
def test_it_is_played_by_real_machines_and_breaks_the_same_invariant(rule: str) -> None:
    counterexample = found(rule)
    played = play(write(counterexample.opening, counterexample.commands))
    assert counterexample.violation.sentence in {broke.sentence for broke in played.broken}


@pytest.mark.parametrize("rule", FOUND)
def test_its_length_is_known(rule: str) -> None:
    assert found(rule).steps == FOUND[rule][-1]


def test_disks_that_are_told_to_wait_are_no_steps() -> None:
    counterexample = found("vote-survives")
    waits = [c for c in counterexample.commands if isinstance(c, Hang)]
    assert len(counterexample.commands) == counterexample.steps + len(waits)


def test_where_nothing_crashes_persists_need_no_command() -> None:
    commands: tuple[Command, ...] = found("ids-name-their-node").commands
    assert not any(isinstance(command, Hang | Persist | Crash) for command in commands)


def test_each_message_of_it_was_sent_before() -> None:
    """A stage refuses what was never sent, so to play it is to check that."""
    counterexample = found("ids-name-their-node")
    assert any(isinstance(command, Deliver) for command in counterexample.commands)
    assert play(write(counterexample.opening, counterexample.commands)).commands
