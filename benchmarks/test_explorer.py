"""How many states a second one core explores, beside a plain search of the published specification.

The plain search keeps tuples and sets, and knows four actions. The explorer drives the library's
own classes, asks all invariants at each step, and sees each full state: of the specification's
states, each stands for many of those.
"""

from __future__ import annotations

from typing import Any

import pytest

from paxos.scenario.cluster import Cluster
from paxos.verify import Bounds, Plan, Progress, explore, separate_roles
from verify.published import explore as explore_published

STATES = 100_000
"""So many are enough to see the speed, learning the steps included."""

SEPARATE_ROLES = separate_roles(3, 2, 3)
NODES = Bounds(Cluster(("A", "B", "C")), (("A", "x"), ("B", "y")), ballots=2, crashes=1)

pytestmark = pytest.mark.benchmark(group="explored states", min_rounds=3)


def enough(progress: Progress) -> str | None:
    return "enough" if progress.states >= STATES else None


def test_plain_python(benchmark: Any) -> None:
    benchmark.extra_info["is_baseline"] = True
    reached = benchmark(explore_published, acceptors=3, values=2, ballots=2)
    benchmark.extra_info["count"] = len(reached.states)
    assert len(reached.states) == 3_921


def test_separate_roles(benchmark: Any) -> None:
    plan = Plan(symmetry=False, watch=enough)
    states = benchmark(lambda: explore(SEPARATE_ROLES, plan).progress.states)
    benchmark.extra_info.update(count=states, wanted_rate=100_000)


def test_separate_roles_under_any_names(benchmark: Any) -> None:
    """Each state stands for up to twelve: three acceptors and two values can be renamed."""
    states = benchmark(lambda: explore(SEPARATE_ROLES, Plan(watch=enough)).progress.states)
    benchmark.extra_info["count"] = states


def test_nodes(benchmark: Any) -> None:
    """Most of this time the library's steps are taken for the first time."""
    states = benchmark(lambda: explore(NODES, Plan(watch=enough)).progress.states)
    benchmark.extra_info["count"] = states
