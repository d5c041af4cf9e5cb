"""How long things take: back-off is a pure function, and bad timings are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

from paxos import MisuseError, Timing
from paxos.timing import MAX_DOUBLINGS

TIMING = Timing(backoff=1.0)
ATTEMPTS = range(12)
SEEDS = range(200)


def test_a_delay_is_a_pure_function_of_seed_node_and_attempt() -> None:
    other = Timing(interval=0.01, window=9.0, backoff=1.0)
    assert [TIMING.delay("A", n) for n in ATTEMPTS] == [other.delay("A", n) for n in ATTEMPTS]


def test_a_delay_is_the_same_under_any_hash_seed() -> None:
    program = "from paxos import Timing; print(Timing(backoff=1.0).delay('A', 3))"
    for hash_seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert float(printed) == TIMING.delay("A", 3)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_delay_lies_around_the_backoff_doubled_with_each_attempt(attempt: int) -> None:
    doubled = 2.0 ** min(attempt, MAX_DOUBLINGS)
    for seed in SEEDS:
        delay = Timing(backoff=1.0, seed=seed).delay("A", attempt)
        assert 0.5 * doubled <= delay < 1.5 * doubled, f"seed {seed}"


def test_delays_double_in_the_middle_until_they_are_long_enough() -> None:
    middle = [sum(Timing(seed=s).delay("A", n) for s in SEEDS) / len(SEEDS) for n in ATTEMPTS]
    grown = [later / earlier for earlier, later in pairwise(middle)]
    assert grown[:MAX_DOUBLINGS] == pytest.approx([2.0] * MAX_DOUBLINGS, rel=0.2)
    assert grown[MAX_DOUBLINGS:] == pytest.approx([1.0] * (len(grown) - MAX_DOUBLINGS), rel=0.2)


def test_delays_scale_with_the_backoff() -> None:
    assert Timing(backoff=0.25).delay("A", 2) == TIMING.delay("A", 2) / 4


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_delays_differ_between_nodes(attempt: int) -> None:
    nodes = [f"node-{number}" for number in range(50)]
    assert len({TIMING.delay(node, attempt) for node in nodes}) == len(nodes)


def test_delays_differ_between_attempts_of_one_node_beyond_their_growth() -> None:
    fractions = {TIMING.delay("A", n) / 2.0 ** min(n, MAX_DOUBLINGS) for n in ATTEMPTS}
    assert len(fractions) == len(ATTEMPTS)


def test_delays_differ_between_seeds() -> None:
    assert len({Timing(seed=seed).delay("A", 1) for seed in SEEDS}) == len(SEEDS)


def test_delays_are_spread_evenly() -> None:
    """Else two nodes would meet again and again."""
    fractions = sorted(Timing(backoff=1.0, seed=seed).delay("A", 0) - 0.5 for seed in range(1000))
    assert all(abs(fraction - rank / 1000) < 0.06 for rank, fraction in enumerate(fractions))


@pytest.mark.parametrize("attempt", [0, MAX_DOUBLINGS, 10**9])
def test_no_attempt_overflows(attempt: int) -> None:
    assert TIMING.delay("A", attempt) < 1.5 * 2**MAX_DOUBLINGS


INFINITY, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    "bad",
    [
        {"interval": 0.0},
        {"interval": -0.05},
        {"interval": NAN},
        {"interval": 0.3, "window": 0.3},
        {"interval": 0.4, "window": 0.3},
        {"interval": INFINITY},
        {"window": INFINITY},
        {"window": NAN},
        {"backoff": 0.0},
        {"backoff": -1.0},
        {"backoff": INFINITY},
        {"backoff": NAN},
    ],
    ids=str,
)
def test_a_bad_timing_is_refused_and_told_what_is_good(bad: dict[str, Any]) -> None:
    with pytest.raises(MisuseError, match="0 < interval < window and 0 < backoff"):
        Timing(**bad)


def test_by_default_a_window_outlasts_a_few_lost_rounds() -> None:
    timing = Timing()
    assert timing.window >= 5 * timing.interval
