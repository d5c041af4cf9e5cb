"""A search knows how much memory it takes before it is gone."""

from __future__ import annotations

import gc
import sys

import pytest

from paxos.verify.memory import growth_ahead, peak_bytes, without_collection


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_the_peak_rises_with_what_is_taken_and_does_not_sink() -> None:
    before = peak_bytes()
    taken = bytearray(before + 50_000_000)  # more than was ever free
    risen = peak_bytes()
    del taken
    assert before + 40_000_000 < risen <= peak_bytes()


def test_each_growth_of_a_set_is_seen_coming() -> None:
    states: set[int] = set()
    for state in range(400_000):
        before, expected = sys.getsizeof(states), growth_ahead(states, 1)
        states.add(state)
        growth = sys.getsizeof(states) - before
        if growth and state > 50_000:  # smaller sets grow faster, and are small
            assert expected >= growth + before // 2


def test_no_growth_is_expected_of_a_set_with_room() -> None:
    states = set(range(100_000))
    assert growth_ahead(states, 10) == 0
    assert growth_ahead(states, 1_000_000) > 0


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_is_collected_afterwards_as_it_was_before(*, was_enabled: bool) -> None:
    (gc.enable if was_enabled else gc.disable)()
    try:
        with without_collection():
            assert not gc.isenabled()
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
