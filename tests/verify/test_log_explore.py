"""Logs explored to the end within bounds: exact counts, and what was put to the test on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paxos.errors import MisuseError
from paxos.verify.explore import Plan
from paxos.verify.log_bounds import LogBounds
from paxos.verify.log_explore import LogResult, explore_log
from paxos.verify.log_model import LogModel, log_of
from paxos.verify.log_table import LogTable
from paxos.verify.model import Down
from paxos.verify.search import Search

pytestmark = pytest.mark.long


ALONE = LogBounds(("A",), ("P", "Q"), number=1, taught=())
"""One member, so each vote is a choice; two proposers that have no vote."""

APART = replace(ALONE, members=("A", "B", "C"))

PINNED = {
    "leader change": (ALONE, 342),
    "leader change, one crash": (replace(ALONE, crashes=1), 5_424),
    "leader change, one entry a message": (replace(ALONE, page=1), 558),
    "leader change, everybody is told": (replace(ALONE, taught=None), 7_064),
    "three members, one slot": (replace(APART, slots=1), 1_769),
    "a member joins": (
        LogBounds(("A", "B"), ("A",), window=1, ballots=1, changes=(("A", "B", "C"),), taught=()),
        687,
    ),
}


@pytest.mark.parametrize(("bounds", "states"), PINNED.values(), ids=PINNED.keys())
def test_every_state_within_these_bounds_is_seen_and_right(bounds: LogBounds, states: int) -> None:
    result = explore_log(bounds)
    assert result.violation is None
    assert result.exhausted
    assert result.progress.states == states


LARGER = {
    "three members, two slots": (APART, 452_853),
    "one joins, the other leads then": (
        LogBounds(("A",), ("A", "B"), window=1, changes=(("A", "B"),), asked=("A",), taught=("B",)),
        18_516,
    ),
    "one of three is replaced": (
        LogBounds(
            ("A", "B", "C"), ("A",), window=1, ballots=1, changes=(("A", "B", "D"),), taught=()
        ),
        65_705,
    ),
}


@pytest.mark.parametrize(("bounds", "states"), LARGER.values(), ids=LARGER.keys())
def test_every_state_within_larger_bounds_is_seen_and_right(bounds: LogBounds, states: int) -> None:
    result = explore_log(bounds)
    assert result.exhausted
    assert result.progress.states == states


def reached(result: LogResult) -> set[str]:
    return {each.id for each in result.sometimes if each.reached}


def test_holes_later_votes_torn_persists_and_pages_are_put_to_the_test() -> None:
    seen = reached(explore_log(replace(ALONE, crashes=1, page=1)))
    assert {"hole", "two-in-flight", "promises-allow-it", "page-split"} <= seen
    assert {"persist-torn", "persist-lost", "group-commit", "vote-kept"} <= seen


def test_nodes_learn_from_each_other_also_what_is_on_a_disk_alone() -> None:
    assert {"taught", "from-disk"} <= reached(explore_log(replace(ALONE, taught=None)))


def test_a_newcomer_votes_in_the_slots_that_the_change_gives_it() -> None:
    bounds, _ = PINNED["a member joins"]
    assert {"changed", "newcomer", "within-the-window"} <= reached(explore_log(bounds))


def test_a_search_that_was_stopped_proves_nothing() -> None:
    result = explore_log(ALONE, Plan(watch=lambda _: "enough"))
    assert not result.exhausted
    assert result.stopped == "enough"


def test_with_a_third_ballot_refusals_are_needed_to_see_all() -> None:
    assert replace(ALONE, number=None, ballots=3).left_out is not None
    assert replace(ALONE, number=None, ballots=3, refusals=True).left_out is None


@pytest.mark.parametrize(
    "wrong",
    [{"ballots": 64}, {"slots": 0}, {"proposers": ()}, {"asked": ("A",)}],
    ids=["ballots", "slots", "proposers", "asked"],
)
def test_bounds_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MisuseError):
        replace(ALONE, **wrong)


# What is taken together hides nothing. ---------------------------------------------------------


def seen_by(bounds: LogBounds) -> set[tuple[Any, ...]]:
    """What is on each disk, and what was sent. Of what is on its way to a disk, nothing."""
    table = LogTable(bounds)
    search = Search(table, lambda _: None, lambda _: None)
    search.run()
    assert search.is_exhausted
    nodes = range(len(bounds.node_ids))
    return {
        (tuple(_disk(table.local(s, node)) for node in nodes), _sent(table, s)) for s in search.seen
    }


def _disk(local: Any) -> Any:
    return local.durable if isinstance(local, Down) else local.disk


def _sent(table: LogTable, state: int) -> frozenset[Any]:
    actions: list[Any] = list(table.deliverable(state))
    return frozenset(action.envelope for action in actions)


def is_covered(seen: set[tuple[Any, ...]], by: set[tuple[Any, ...]]) -> bool:
    """Whether each has a counterpart with the same disks, and all its messages or more."""
    sent_with: dict[Any, list[frozenset[Any]]] = {}
    for disks, sent in by:
        sent_with.setdefault(disks, []).append(sent)
    return all(any(sent <= more for more in sent_with.get(disks, ())) for disks, sent in seen)


TINY = {
    "leader change": ALONE,
    "leader change, everybody is told": replace(ALONE, slots=1, taught=None),
    "one crash": replace(ALONE, proposers=("P",), ballots=1, crashes=1),
    "all roles in one, one crash": LogBounds(("A",), ("A",), slots=1, crashes=1),
}


@pytest.mark.parametrize("bounds", TINY.values(), ids=TINY.keys())
def test_every_step_taken_apart_shows_no_other_disk_and_no_other_message(
    bounds: LogBounds,
) -> None:
    every_step, put_off = seen_by(replace(bounds, every_step=True)), seen_by(bounds)
    assert is_covered(every_step, by=put_off)
    assert is_covered(put_off, by=every_step)


def test_to_let_one_node_crash_after_the_other_shows_all_that_one_crash_can_do() -> None:
    bounds = replace(ALONE, crashes=1)
    one_by_one = set[tuple[Any, ...]]()
    for node_id in bounds.node_ids:
        one_by_one |= seen_by(replace(bounds, crashing=(node_id,)))
    assert is_covered(seen_by(bounds), by=one_by_one)


def test_names_that_make_no_difference_are_seen_once() -> None:
    bounds = replace(APART, slots=1)
    with_names = explore_log(bounds, Plan(symmetry=False))
    assert with_names.exhausted
    assert with_names.progress.states > 5 * explore_log(bounds).progress.states


def test_a_node_of_an_exploration_is_the_log_that_users_run() -> None:
    local = LogModel(ALONE).start("A")
    assert type(log_of(local)).__module__ == "paxos.log.log"
