"""Each rule of a log is needed: without it, the simulator finds a run that goes wrong."""

from __future__ import annotations

import pytest

from paxos.sim.log.mutants import LOG_MUTANTS
from paxos.sim.log.outcome import simulate_log
from paxos.sim.log.plan import LogWish

pytestmark = pytest.mark.long


SEEDS = 60
"""In so many, from the first one on, each of these is found; most within ten."""

FIRST: dict[str, int] = {
    "change-waits-for-the-window": 10,
    "deposed-leader-is-silent": 160,
    "hanging-disk-ends-leadership": 35,
    "old-members-stay": 10,
    "chosen-by-the-ballot": 40,
    "read-asks-a-quorum": 120,
    "read-waits-for-all-promises": 90,
}
"""Where to begin, for those that show in one run of a hundred."""


@pytest.mark.parametrize("rule", sorted(LOG_MUTANTS))
def test_a_log_without_this_rule_is_found(rule: str) -> None:
    first = FIRST.get(rule, 0)
    wish = LogWish(breaks=rule)
    assert any(simulate_log(seed, wish).broken for seed in range(first, first + SEEDS)), (
        f"seeds {first} to {first + SEEDS - 1} show nothing"
    )
