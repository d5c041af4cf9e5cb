"""What a good exploration comes to: everything that its bounds allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxos.scenario.cluster import Cluster, Kind
from paxos.verify import Bounds, explore, separate_roles
from paxos.verify.model import SOMETIMES, sometimes

AB = Cluster(("A", "B"))
XY = (("A", "x"), ("B", "y"))
DUEL = Bounds(AB, XY, ballots=3)


def reached(bounds: Bounds) -> dict[str, bool]:
    return {each.id: each.reached for each in explore(bounds).sometimes}


@pytest.mark.exhaustive
def test_a_duel_comes_to_all_that_its_bounds_allow() -> None:
    assert reached(DUEL) == dict.fromkeys(reached(DUEL), True)
    assert {"ballot-lost", "adopted"} <= set(reached(DUEL))


def test_with_a_crash_persists_are_lost_and_shared_and_votes_kept() -> None:
    found = reached(Bounds(AB, XY, ballots=2, crashes=1))
    assert all(found[id] for id in ("persist-lost", "group-commit", "vote-kept"))


def test_what_a_proposer_adopts_in_its_last_ballot_is_seen() -> None:
    assert reached(separate_roles(2, 2, 2))["adopted"]


@pytest.mark.parametrize(
    ("bounds", "impossible"),
    [
        (DUEL, {"persist-lost", "group-commit", "vote-kept", "leadership-lost"}),
        (replace(DUEL, crashes=1, restarts=False), {"vote-kept", "leadership-lost"}),
        (replace(DUEL, ballots=1, crashes=1), {"ballot-lost", "adopted", "leadership-lost"}),
        (replace(DUEL, cluster=Cluster(("A", "B"), Kind.HEARTBEAT), crashes=1), set[str]()),
    ],
    ids=["no crash", "no restart", "one ballot", "heartbeats"],
)
def test_what_the_bounds_do_not_allow_is_not_asked_for(
    bounds: Bounds, impossible: set[str]
) -> None:
    assert set(SOMETIMES) - set(sometimes(bounds)) == impossible
