"""However many processes search, they find what one finds."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from paxos.errors import FaultError
from paxos.verify import Bounds, Plan, explore, parallel
from paxos.verify.packing import packed, unpacked
from paxos.verify.parallel import Order, Owner, Share, Team, can_share, run_shared
from paxos.verify.search import Progress, Search
from verify.searches import (
    ALL,
    BREAKS,
    BROKEN,
    CRASHING,
    DUELLING,
    SEPARATE,
    found_by,
    search_of,
)

pytestmark = pytest.mark.skipif(not can_share(), reason="processes cannot be forked here")


@pytest.fixture(autouse=True)
def small_searches_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORTH_SHARING", 10)


every_cluster = pytest.mark.parametrize("bounds", ALL.values(), ids=ALL)


def shared(
    bounds: Bounds,
    workers: int,
    *,
    symmetry: bool = False,
    watch: Callable[[Progress], str | None] = lambda _: None,
) -> Search:
    search = search_of(bounds, symmetry=symmetry, watch=watch)
    assert run_shared(search, workers) is None
    return search


@every_cluster
@pytest.mark.parametrize("workers", [2, 3])
def test_several_processes_find_what_one_finds(bounds: Bounds, workers: int) -> None:
    alone = search_of(bounds)
    alone.run()
    assert found_by(shared(bounds, workers)) == found_by(alone)


def test_several_processes_find_what_one_finds_also_under_other_names() -> None:
    alone = search_of(SEPARATE, symmetry=True)
    alone.run()
    assert found_by(shared(SEPARATE, 3, symmetry=True)) == found_by(alone)


def test_a_search_too_small_to_be_shared_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    search = search_of(SEPARATE)
    run_shared(search, 2)
    assert search.levels  # workers would have taken them


def test_each_state_has_one_owner_and_nobody_has_much_more_than_a_fair_share() -> None:
    search = search_of(CRASHING)
    search.run(share_at=300)
    level, owner = search.levels[-2], Owner.fair(search, 3)
    shares = owner.shares_of(level)
    assert Counter(map(owner.of, level)) == Counter({i: len(s) for i, s in enumerate(shares)})
    assert max(map(len, shares)) < 1.3 * len(level) / 3


def test_a_worker_keeps_and_expands_its_own_states_only() -> None:
    search = search_of(DUELLING)
    search.run(share_at=50)
    before = search.levels[-2]
    share = Share(search, 0, Owner.fair(search, 2))
    report, (unknown, for_itself, for_other) = share.obey(Order(1, 1_000), b"", b"")
    assert all(share.owner.of(state) == 0 for level in search.levels for state in level)
    assert report.expanded == report.levels[-2] < len(before)
    assert not for_itself
    width = search.table.width
    assert all(share.owner.of(state) == 1 for state in unpacked(for_other, width))
    assert set(unpacked(unknown, width)) <= set(before)


def test_a_worker_takes_nothing_up_but_what_all_learn() -> None:
    search = search_of(DUELLING)
    search.run(share_at=50)
    share = Share(search, 0, Owner.fair(search, 2))
    learned, width = search.table.learned, search.table.width
    report, (unknown, *_) = share.obey(Order(width, 1_000), b"", b"")
    assert unknown
    assert report.learned == learned
    report, _ = share.obey(Order(width, 0), unknown, b"")
    assert report.learned > learned


def test_packed_states_are_unpacked_as_they_were() -> None:
    states = [0, 1, 255, 256, 2**79, 2**80 - 1]
    assert unpacked(packed(states, 10), 10) == states
    assert len(packed(states, 10)) == 60


@pytest.mark.parametrize("workers", [2, 3])
def test_the_way_to_what_is_wrong_is_the_same_however_many_search(workers: int) -> None:
    alone = explore(BROKEN, Plan(only=BREAKS))
    together = explore(BROKEN, Plan(only=BREAKS, workers=workers))
    assert together.counterexample is not None
    assert together.counterexample == alone.counterexample
    assert replace(together.progress, bytes=0) == replace(alone.progress, bytes=0)


def test_what_is_wrong_is_told_even_if_nobody_waits_for_the_way_to_it() -> None:
    begun = Counter[str]()

    def watch(progress: Progress) -> str | None:
        begun["searches"] += progress.states == 1
        return "enough" if begun["searches"] > 1 else None

    result = explore(BROKEN, Plan(only=BREAKS, workers=2, watch=watch))
    assert result.violation is not None
    assert result.counterexample is None
    assert not result.exhausted
    assert [each.id for each in result.always if not each.holds] == [BREAKS]


def test_several_processes_can_be_stopped() -> None:
    search = shared(
        CRASHING, 2, watch=lambda progress: "enough" if progress.states > 1_000 else None
    )
    assert (search.stopped, search.is_exhausted) == ("enough", False)
    assert 1_000 < search.progress.states < 5_000


def test_the_memory_of_all_processes_is_counted() -> None:
    alone = search_of(CRASHING)
    alone.run()
    together = shared(CRASHING, 3)
    assert together.progress.bytes > 1.5 * alone.progress.bytes


def test_no_process_is_left_when_the_search_ends_or_fails() -> None:
    search = search_of(CRASHING)
    search.run(share_at=10)

    def fail(_: Progress) -> None:
        raise RuntimeError("for a test")

    search.watch = fail
    with Team(search, 2) as team:
        workers = [worker.process_id for worker in team.workers]
        with pytest.raises(RuntimeError):
            team.run()
    for process_id in workers:
        with pytest.raises(ChildProcessError):
            os.waitpid(process_id, os.WNOHANG)


def test_a_worker_that_is_killed_is_missed() -> None:
    search = search_of(CRASHING)
    search.run(share_at=10)
    with Team(search, 2) as team:
        os.kill(team.workers[1].process_id, signal.SIGKILL)
        with pytest.raises(FaultError, match="set a bound on memory"):
            team.run()


def test_what_fails_in_a_worker_is_seen_outside() -> None:
    search = search_of(CRASHING)
    search.run(share_at=10)
    with Team(search, 2) as team:
        team.workers[0].pipe.send_bytes(b"no order")
        with pytest.raises(AssertionError, match="DecodeError"):
            team.workers[0].receive(lists=0)


def test_a_worker_ends_when_its_parent_is_gone() -> None:
    search = search_of(CRASHING)
    search.run(share_at=10)
    with Team(search, 2) as team:
        worker = team.workers[0]
        worker.pipe.close()
        assert os.waitpid(worker.process_id, 0) == (worker.process_id, 0)
        team.workers.remove(worker)
