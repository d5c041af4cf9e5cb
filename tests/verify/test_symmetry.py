"""One state stands for all that differ by names alone: for none too many, and none too few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.transcript import write
from paxos.sim.player import play
from paxos.verify import Bounds, Plan, explore, separate_roles
from paxos.verify.model import Model
from paxos.verify.renaming import interchangeable_nodes, interchangeable_values
from paxos.verify.search import Search
from paxos.verify.symmetry import NamesMatterError, Symmetry, pays
from paxos.verify.table import Table

AB = (("A", "x"), ("B", "y"))


def searched(bounds: Bounds, *, by_symmetry: bool) -> tuple[Search, Symmetry]:
    """Both searches intern the same things in their tables, under all names."""
    table = Table(Model(bounds), only="")
    symmetry = Symmetry(table)
    search = Search(table, lambda _: None, lambda _: None, symmetry if by_symmetry else None)
    search.run()
    return search, symmetry


def test_members_that_never_propose_are_interchangeable_and_proposers_are_not() -> None:
    bounds = Bounds(Cluster(("A", "B", "C", "D")), AB, ballots=2)
    assert interchangeable_nodes(bounds) == ("C", "D")


def test_with_heartbeats_no_nodes_are_interchangeable_for_any_may_begin_a_ballot() -> None:
    cluster = Cluster(("A", "B", "C", "D"), kind=Kind.HEARTBEAT)
    assert interchangeable_nodes(Bounds(cluster, AB, ballots=2)) == ()


def test_values_are_interchangeable_if_the_same_nodes_may_want_them() -> None:
    wanted = (("A", "x"), ("A", "y"), ("B", "y"), ("B", "x"), ("B", "z"))
    bounds = Bounds(Cluster(("A", "B", "C")), wanted, ballots=2)
    assert interchangeable_values(bounds) == (("x", "y"),)


@pytest.mark.parametrize("value", ["A", "C", "1", "round", "answer-of-A"])
def test_a_value_that_is_also_the_name_of_something_else_is_left_alone(value: str) -> None:
    bounds = Bounds(Cluster(("A", "B", "C")), (("A", value), ("A", "y")), ballots=2)
    assert interchangeable_values(bounds) == ()


def test_symmetry_pays_if_there_are_more_than_two_renamings() -> None:
    assert pays(separate_roles(3, 2, 2))
    assert not pays(Bounds(Cluster(("A", "B", "C")), AB, ballots=2))
    assert not pays(Bounds(Cluster(("A", "B", "C", "D")), AB, ballots=2))


SMALL = {
    "two acceptors": separate_roles(2, 1, 2),
    "three acceptors, two values": separate_roles(3, 2, 2),
    "three values": separate_roles(2, 3, 2),
    "with refusals": separate_roles(2, 2, 2, hints=True),
    "with a crash": separate_roles(2, 2, 2, crashes=1),
    "values alone": Bounds(Cluster(("A", "B")), (("A", "x"), ("A", "y")), ballots=2, crashes=1),
    "nodes with all roles": Bounds(Cluster(("A", "B", "C")), AB[:1], ballots=1, crashes=1),
    "values with heartbeats": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("A", "y")), ballots=1, timeouts=1
    ),
}


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL.keys())
def test_a_search_by_symmetry_sees_one_of_all_that_differ_by_names_alone(bounds: Bounds) -> None:
    full, symmetry = searched(bounds, by_symmetry=False)
    reduced, _ = searched(bounds, by_symmetry=True)
    assert len({symmetry.canonical(state) for state in full.seen}) == len(reduced.seen)
    assert len(reduced.seen) < len(full.seen) <= len(reduced.seen) * symmetry.order
    assert reduced.progress.depth == full.progress.depth


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL.keys())
def test_the_state_that_stands_for_others_stands_for_itself(bounds: Bounds) -> None:
    full, symmetry = searched(bounds, by_symmetry=False)
    for state in full.seen:
        assert symmetry.canonical(symmetry.canonical(state)) == symmetry.canonical(state)


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL.keys())
def test_the_classes_of_the_library_do_not_tell_names_apart(bounds: Bounds) -> None:
    _, symmetry = searched(bounds, by_symmetry=True)
    symmetry.demand_no_flaw()


def broken(bounds: Bounds, rule: str) -> Bounds:
    cluster = bounds.cluster
    return replace(
        bounds, cluster=Cluster(cluster.members, proposers=cluster.proposers, breaks=rule)
    )


def test_a_mutant_that_tells_names_apart_is_noticed() -> None:
    _, symmetry = searched(broken(separate_roles(4, 1, 1), "each-promiser-once"), by_symmetry=True)
    with pytest.raises(NamesMatterError, match="does something else under other names"):
        symmetry.demand_no_flaw()


def test_a_mutant_whose_messages_name_others_than_they_should_is_noticed_at_once() -> None:
    with pytest.raises(NamesMatterError):
        searched(broken(separate_roles(3, 1, 2), "ids-name-their-node"), by_symmetry=True)


def test_what_tells_names_apart_is_explored_without_symmetry() -> None:
    result = explore(broken(separate_roles(3, 2, 2), "ids-name-their-node"))
    assert result.violation is not None
    assert result.renamings == 1


@pytest.mark.parametrize("rule", ["quorum-of-promises", "adopts-a-vote", "quorum-of-votes"])
def test_a_counterexample_found_by_symmetry_is_a_run_of_real_nodes(rule: str) -> None:
    bounds = broken(separate_roles(3, 2, 2), rule)
    plan = Plan(only="agreement")
    result = explore(bounds, plan)
    plain = explore(bounds, replace(plan, symmetry=False))
    assert result.renamings == 12
    assert result.counterexample is not None
    assert plain.counterexample is not None
    assert result.counterexample.steps == plain.counterexample.steps
    assert result.progress.states < plain.progress.states
    played = play(write(result.counterexample.opening, result.counterexample.commands))
    violation = result.counterexample.violation
    assert (violation.invariant, violation.sentence) in {
        (broke.invariant, broke.sentence) for broke in played.broken
    }


def test_a_search_by_symmetry_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    bounds, file = separate_roles(3, 2, 2), tmp_path / "checkpoint"
    stop = Plan(checkpoint=file, watch=lambda p: "enough" if p.states > 300 else None)
    assert explore(bounds, stop).stopped == "enough"
    resumed = explore(bounds, Plan(resume=file))
    assert resumed.exhausted
    assert resumed.progress.states == explore(bounds).progress.states


def test_a_checkpoint_of_a_search_by_symmetry_is_none_for_a_search_without(tmp_path: Path) -> None:
    bounds, file = separate_roles(3, 2, 2), tmp_path / "checkpoint"
    explore(bounds, Plan(checkpoint=file))
    with pytest.raises(MisuseError, match="symmetry is True there and False here"):
        explore(bounds, Plan(resume=file, symmetry=False))
