"""The table of recovery has one row for each case, and each row is right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, product

import pytest

from durable import histories
from paxos.slots import TABLE, Evidence, Recovery, SlotReading, recover

pytestmark = pytest.mark.exhaustive


def reading(sectors: tuple[int, ...]) -> SlotReading:
    """Return what the code under test makes of these sectors: serials, or BAD."""
    return SlotReading(
        serials=frozenset(sectors) - {histories.BAD},
        bad=tuple(n for n, serial in enumerate(sectors) if serial == histories.BAD),
    )


def all_pairs_of_slots(sectors: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield all that two slots could hold, possible or not, with serials from 1 to 4."""
    slots = list(combinations_with_replacement(range(5), sectors))
    yield from product(slots, slots)


def decide(first: tuple[int, ...], second: tuple[int, ...]) -> Recovery:
    return recover(reading(first), reading(second))


@pytest.mark.parametrize(
    ("sectors", "syncs_may_fail"), [(3, False), (2, True)], ids=["crashes", "failing syncs"]
)
def test_a_slot_is_recovered_if_and_only_if_every_history_allows_it(
    sectors: int,
    syncs_may_fail: bool,
) -> None:
    findings = histories.learn(sectors, syncs_may_fail=syncs_may_fail)
    met: set[histories.Found] = set()
    for first, second in all_pairs_of_slots(sectors):
        seen = histories.by_order(first, second)
        met.add(seen)
        # What no history leaves behind is no reason for trust.
        assert decide(first, second).row.sound == findings.get(seen, False), (first, second)
    assert met >= findings.keys()


def test_the_newest_of_the_whole_slots_is_recovered() -> None:
    assert decide((1, 1, 1), (2, 2, 2)).newest == 1
    assert decide((3, 3, 3), (2, 2, 2)).newest == 0
    assert decide((2, 3, 3), (2, 2, 2)).newest == 1
    assert decide((1, 1, 1), (0, 1, 2)).newest == 0
    assert decide((1, 1, 2), (0, 1, 2)).newest is None


def test_only_a_write_later_than_the_newest_state_was_torn() -> None:
    assert decide((2, 2, 2), (1, 1, 3)).torn
    assert decide((2, 2, 2), (1, 0, 3)).torn
    assert not decide((2, 2, 2), (1, 0, 1)).torn
    assert not decide((2, 2, 2), (1, 1, 1)).torn


def test_exactly_one_row_holds_in_each_case() -> None:
    for same, stale, later, rot in product((False, True), range(4), range(4), (False, True)):
        evidence = Evidence(same, stale, later, rot)
        is_possible = rot or same or stale + later > 0  # a slot has sectors
        is_newest = not (same or rot or stale) and later == 1  # then it is X, and not Y
        if is_possible and not is_newest:
            assert sum(row.when(evidence) for row in TABLE) == 1, evidence


def test_every_row_is_met() -> None:
    rows = {decide(first, second).row for first, second in all_pairs_of_slots(3)}
    assert rows >= set(TABLE)
