"""A node's own clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paxos.sim.clock import Clock

instants = st.floats(0.0, 1e6)


def test_a_new_clock_shows_the_time_of_the_world() -> None:
    assert Clock().reading(5.0) == 5.0


def test_a_change_of_speed_keeps_what_it_shows() -> None:
    clock = Clock()
    clock.set(10.0, rate=2.0)
    assert clock.reading(10.0) == 10.0
    assert clock.reading(11.0) == 12.0


def test_a_jump_keeps_the_speed() -> None:
    clock = Clock()
    clock.set(0.0, rate=0.5)
    clock.set(10.0, reading=100.0)
    assert clock.reading(12.0) == 101.0


@given(st.floats(0.01, 100.0), instants, instants, instants)
def test_the_instant_of_a_reading_is_never_too_early(
    rate: float, since: float, reading: float, wanted: float
) -> None:
    clock = Clock()
    clock.set(since, rate=rate, reading=reading)
    instant = clock.instant_of(wanted, since)
    assert instant >= since
    assert clock.reading(instant) >= wanted
