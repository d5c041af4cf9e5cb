"""Separate roles reach exactly the states of Lamport's published specification."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxos.scenario.cluster import Cluster
from paxos.verify import Bounds, separate_roles, specification
from paxos.verify.lamport import Projection, SpecState
from paxos.verify.model import Model
from paxos.verify.search import Search
from paxos.verify.table import Table
from verify import published

SIZES = {  # acceptors, values, ballots: distinct states and depth, by TLC and by `published`
    (1, 1, 1): (5, 4),
    (2, 1, 2): (81, 12),
    (2, 2, 2): (145, 12),
    (3, 1, 2): (1_681, 16),
    (3, 2, 2): (3_921, 16),
}
"""TLC counts the states on the longest way, so its depth is one more."""


BIGGER = pytest.param((3, 1, 2), marks=pytest.mark.exhaustive)


def reached(bounds: Bounds) -> tuple[set[SpecState], int]:
    """The states of the specification that our classes come to, and the depth of their graph."""
    search = Search(Table(Model(bounds), only=""), lambda _: None, lambda _: None)
    search.run()
    projection = Projection(search.table)
    for level in search.levels:
        for state in level:
            projection.add(state)
    return set(projection.numbers), projection.depth


def specified(acceptors: int, values: int, ballots: int) -> tuple[set[SpecState], int]:
    found = published.explore(acceptors, values, ballots)
    return {tuple(state) for state in found.states}, found.depth


@pytest.mark.parametrize(("size", "figures"), SIZES.items(), ids=str)
def test_our_classes_reach_the_states_of_the_specification_and_no_others(
    size: tuple[int, int, int], figures: tuple[int, int]
) -> None:
    ours, depth = reached(separate_roles(*size))
    assert (len(ours), depth) == figures
    assert (ours, depth) == specified(*size)


@pytest.mark.exhaustive
@pytest.mark.parametrize("size", [(2, 3, 2), (4, 1, 2), (2, 2, 3), (3, 1, 3)], ids=str)
def test_larger_sizes_reach_them_too(size: tuple[int, int, int]) -> None:
    assert reached(separate_roles(*size)) == specified(*size)


@pytest.mark.parametrize("size", [(2, 1, 2), (2, 2, 2), BIGGER], ids=str)
def test_refusals_and_decisions_change_nothing_that_the_specification_sees(
    size: tuple[int, int, int],
) -> None:
    assert reached(separate_roles(*size, hints=True)) == reached(separate_roles(*size))


@pytest.mark.parametrize("size", [(2, 1, 2), (2, 2, 2), BIGGER], ids=str)
def test_steps_that_nobody_notices_change_nothing_that_the_specification_sees(
    size: tuple[int, int, int],
) -> None:
    every_step = replace(separate_roles(*size), every_step=True)
    assert reached(every_step) == reached(separate_roles(*size))


@pytest.mark.parametrize("size", [(2, 1, 2), (2, 2, 2)], ids=str)
def test_a_crash_changes_nothing_that_the_specification_sees(size: tuple[int, int, int]) -> None:
    ours, _ = reached(separate_roles(*size, crashes=1))
    assert ours == specified(*size)[0]


@pytest.mark.parametrize(
    ("size", "wrong"), [((2, 1, 2), 196), ((2, 2, 2), 385), ((3, 1, 2), 13_689)], ids=str
)
def test_to_answer_an_equal_prepare_from_the_present_reaches_states_that_are_none(
    size: tuple[int, int, int], wrong: int
) -> None:
    """It breaks no invariant: nothing but the exact count shows it."""
    bounds = separate_roles(*size)
    cluster = bounds.cluster
    mutant = Cluster(
        cluster.members, proposers=cluster.proposers, breaks="equal-prepare-equal-answer"
    )
    found = specification(replace(bounds, cluster=mutant))
    assert found.exhausted
    assert found.distinct == wrong


def test_a_search_that_is_stopped_has_not_seen_all() -> None:
    found = specification(separate_roles(2, 1, 2), watch=lambda _: "enough")
    assert not found.exhausted
    assert found.stopped == "enough"
