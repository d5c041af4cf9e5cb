"""When nothing happens any more by itself, what should be decided is decided, and known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxos.scenario.cluster import Cluster
from paxos.scenario.transcript import write
from paxos.sim.player import play
from paxos.verify import Bounds, Plan, explore, separate_roles
from paxos.verify.quiet import DECIDES

ABC = ("A", "B", "C")
PQ = (("P", "x"), ("Q", "y"))

SEPARATE = Bounds(Cluster(ABC, proposers=("P", "Q")), PQ, ballots=2, number=1)
WITHOUT_ONE = Bounds(Cluster(ABC), (("A", "x"),), ballots=1, crashes=1, restarts=False)
DUEL_WITHOUT_ONE = replace(SEPARATE, crashes=1, restarts=False, hints=False)
DUEL_OF_TWO = Bounds(Cluster(("A", "B")), (("A", "x"), ("B", "y")), ballots=3)

FOUND = {  # rule: where its mutant is found, and in how many steps
    "late-comers-are-told": (SEPARATE, 18),
    "a-quorum-is-enough": (WITHOUT_ONE, 10),
    "accepts-go-to-all": (WITHOUT_ONE, 14),
    "vote-may-change": (DUEL_WITHOUT_ONE, 23),
    "old-nacks-mean-nothing": (DUEL_OF_TWO, 11),
}


def without(rule: str, bounds: Bounds) -> Bounds:
    cluster = bounds.cluster
    return replace(
        bounds, cluster=Cluster(cluster.members, proposers=cluster.proposers, breaks=rule)
    )


@pytest.mark.parametrize("rule", FOUND)
def test_a_mutant_that_keeps_the_others_from_deciding_is_found(rule: str) -> None:
    bounds, steps = FOUND[rule]
    result = explore(without(rule, bounds), Plan(only=DECIDES))
    assert result.violation is not None
    assert result.violation.invariant == DECIDES
    assert result.counterexample is not None
    assert result.counterexample.steps == steps
    play(write(result.counterexample.opening, result.counterexample.commands))  # it can happen


@pytest.mark.parametrize("bounds", [SEPARATE, WITHOUT_ONE, DUEL_OF_TWO], ids=["1", "2", "3"])
def test_the_library_decides_within_the_same_bounds(bounds: Bounds) -> None:
    result = explore(bounds, Plan(only=DECIDES))
    assert result.exhausted
    assert result.progress.quiet > 0


def test_without_hints_who_knows_a_decision_owes_nobody_a_word() -> None:
    assert explore(replace(DUEL_OF_TWO, ballots=2, hints=False)).exhausted


def test_it_decides_in_a_duel_with_one_acceptor_down_for_good() -> None:
    assert explore(DUEL_WITHOUT_ONE, Plan(only=DECIDES)).exhausted


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(Cluster(ABC), (("A", "x"),), ballots=1, crashes=1),
        separate_roles(2, 1, 2, hints=True, crashes=1),
        separate_roles(3, 1, 2),
    ],
    ids=["a proposer that crashes", "crash and refusals", "no hints"],
)
def test_a_ballot_that_ended_with_a_crash_may_stay_undecided(bounds: Bounds) -> None:
    assert explore(bounds, Plan(only=DECIDES)).exhausted


def test_an_acceptor_may_be_down_for_good_but_no_quorum() -> None:
    """With two of three down, nothing is decided, and nothing is wrong."""
    assert explore(replace(WITHOUT_ONE, crashes=2), Plan(only=DECIDES)).exhausted
