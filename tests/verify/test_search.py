"""A search sees each state once, and the way that it tells to one can be gone."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from paxos.errors import MisuseError
from paxos.verify import Bounds, Plan, explore
from paxos.verify.search import Progress
from verify.searches import ALL, BREAKS, BROKEN, CRASHING, DUELLING, SEPARATE, found_by, search_of

every_cluster = pytest.mark.parametrize("bounds", ALL.values(), ids=ALL)


@every_cluster
def test_no_state_is_seen_twice(bounds: Bounds) -> None:
    search = search_of(bounds)
    search.run()
    states = [state for level in search.levels for state in level]
    assert len(states) == len(set(states)) == len(search.seen) == search.progress.states


@every_cluster
def test_every_successor_of_a_state_that_was_seen_was_seen(bounds: Bounds) -> None:
    search = search_of(bounds)
    search.run()
    for state in search.seen:
        assert {successor for successor, _ in search.table.successors(state)} <= search.seen


@every_cluster
def test_each_level_is_one_step_from_the_one_before_and_not_less(bounds: Bounds) -> None:
    search = search_of(bounds)
    search.run()
    nearer: set[int] = set()
    for level, following in pairwise(search.levels):
        nearer |= set(level)
        steps = {new for state in level for new, _ in search.table.successors(state)}
        assert set(following) == steps - nearer


@every_cluster
def test_depth_first_sees_what_breadth_first_sees(bounds: Bounds) -> None:
    breadth, depth = search_of(bounds), search_of(bounds)
    breadth.run()
    depth.run_depth_first()
    assert depth.progress.depth >= breadth.progress.depth
    depth.progress.depth = breadth.progress.depth
    assert found_by(depth) == found_by(breadth)


def test_a_path_leads_step_by_step_from_the_start() -> None:
    search = search_of(CRASHING)
    search.run()
    path = search.path(search.levels[-1][0])
    assert path[0] == search.table.start()
    assert len(path) == len(search.levels)
    for here, there in pairwise(path):
        assert there in {successor for successor, _ in search.table.successors(here)}


def test_depth_first_tells_a_way_to_what_is_wrong_that_is_no_shorter() -> None:
    shortest = explore(BROKEN, Plan(only=BREAKS)).counterexample
    some = explore(BROKEN, Plan(only=BREAKS, depth_first=True)).counterexample
    assert shortest is not None
    assert some is not None
    assert some.violation.invariant == shortest.violation.invariant == BREAKS
    assert some.steps >= shortest.steps


def test_a_search_that_is_stopped_is_not_exhausted() -> None:
    result = explore(SEPARATE, Plan(watch=lambda _: "enough"))
    assert result.stopped == "enough"
    assert not result.exhausted


def test_a_depth_first_search_can_be_stopped_too() -> None:
    search = search_of(DUELLING, watch=lambda progress: "enough" if progress.states > 100 else None)
    search.run_depth_first()
    assert (search.stopped, search.is_exhausted) == ("enough", False)
    assert 100 < search.progress.states < 1_000


def test_a_watch_is_told_of_more_and_more() -> None:
    told: list[tuple[int, int, int]] = []

    def watch(progress: Progress) -> None:
        told.append((progress.states, progress.transitions, progress.bytes))

    search_of(DUELLING, watch=watch).run()
    assert len(told) > 10
    assert told == sorted(told)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_a_watch_is_told_how_much_memory_is_taken() -> None:
    search = search_of(DUELLING)
    search.run()
    assert search.progress.bytes > 10_000_000  # what an interpreter alone takes


def test_a_search_can_go_on_where_it_ended() -> None:
    whole, parts = search_of(DUELLING), search_of(DUELLING)
    whole.run()
    for size in (5, 50, 500):
        parts.run(share_at=size)
    parts.run()
    assert found_by(parts) == found_by(whole)


def test_what_is_found_depends_on_no_hash_seed() -> None:
    program = (
        "from verify.searches import *\n"
        "for bounds in ALL.values():\n"
        "    search = search_of(bounds); search.run()\n"
        "    print(found_by(search), search.table.digest(), search.levels[-1], search.journal)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("workers", [0, -1])
def test_a_search_takes_a_worker_at_least(workers: int) -> None:
    with pytest.raises(MisuseError, match="one worker or more"):
        Plan(workers=workers)
