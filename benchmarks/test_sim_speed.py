"""How many effects a second one core simulates: with the dice, the faults and all invariants.

The figure counts runs; each has so many effects as `effects_a_run` says. Their product is the rate,
and `wanted_effects_a_second` is what it should be.
"""

from __future__ import annotations

from typing import Any

import pytest

from paxos.scenario.cluster import Kind
from paxos.sim.outcome import simulate
from paxos.sim.swarm import Wish

WANTED = 20_000

pytestmark = pytest.mark.benchmark(group="simulated seeds", min_rounds=3)

SEEDS = range(40)


@pytest.mark.parametrize("kind", list(Kind))
def test_seeds(benchmark: Any, kind: Kind) -> None:
    wish = Wish(kind=kind)

    def run() -> int:
        outcomes = [simulate(seed, wish) for seed in SEEDS]
        assert all(outcome.broken is None for outcome in outcomes)
        return sum(outcome.effects for outcome in outcomes)

    effects = benchmark(run)
    benchmark.extra_info["effects_a_run"] = effects
    benchmark.extra_info["wanted_effects_a_second"] = WANTED
