"""A log while some links are cut, with bounds in liveness windows.

The pictures are from the literature and from trackers: see `core.test_heartbeat_partitions`, where
one decision is made in them. Here a leader has to stay, and go on committing.
"""

from __future__ import annotations

import itertools

import pytest

from log.clients import append_often, assert_stable_and_committing, follower_in, longest_gap
from log.log_world import LogWorld
from paxos import Heartbeat, LeadershipLost

SEEDS = range(2)


@pytest.mark.parametrize("nodes", ["ABC", "ABCDE"])
def test_with_any_one_way_link_cut_the_leader_stays_and_commits(nodes: str) -> None:
    world = LogWorld(nodes)
    world.elect()
    since = world.now
    for link in itertools.permutations(nodes, 2):
        world.cut_links = {link}
        append_often(world, 3, f"{link} ")
    assert world.told(LeadershipLost, since) == []
    assert longest_gap(world, since) < 0.5


def test_a_node_that_does_not_hear_the_leader_learns_from_the_others() -> None:
    for seed in SEEDS:
        world = LogWorld("ABC", seed=seed)
        leader = world.elect()
        deaf = follower_in(world)
        world.cut_links = {(leader, deaf)}
        append_often(world, 5)
        world.run(3)
        assert world.commands(deaf) == world.commands(leader), world


def test_a_bridge_node_causes_no_churn() -> None:
    for seed, bridge in itertools.product(SEEDS, "ABC"):
        world = LogWorld("ABC", seed=seed)
        world.elect()
        one, other = sorted({"A", "B", "C"} - {bridge})
        world.connect_only(one + bridge, bridge + other)
        assert_stable_and_committing(world, within=3, count=6)


def test_the_five_servers_of_howard_and_abraham_are_stable_within_3_windows() -> None:
    for seed in SEEDS:
        world = LogWorld("12345", seed=seed)
        world.elect()
        world.connect_only("12", "13", "23", "42", "53")
        assert_stable_and_committing(world, within=3)


def test_quorum_loss_is_mended_by_the_hub_within_4_windows() -> None:
    for seed in SEEDS:
        world = LogWorld("ABCDE", seed=seed)
        world.elect()
        hub = follower_in(world)
        world.connect_only(*(hub + other for other in "ABCDE" if other != hub))
        assert_stable_and_committing(world, within=4)
        assert list(world.leaders) == [hub]


def test_constrained_election_is_won_by_the_hub_though_its_log_is_short_within_5_windows() -> None:
    for seed in SEEDS:
        world = LogWorld("ABCDE", seed=seed)
        leader = world.elect()
        hub = follower_in(world)
        world.cut(leader, hub)
        world.loses = lambda envelope, hub=hub: (  # type: ignore[misc] # bound at once
            envelope.recipient == hub and not isinstance(envelope.message, Heartbeat)
        )
        append_often(world, 1, "missed")
        world.loses = lambda _: False
        rest = sorted(set("ABCDE") - {leader})
        world.connect_only(*(hub + other for other in rest if other != hub))
        assert_stable_and_committing(world, within=5)
        assert list(world.leaders) == [hub]
        assert "missed3" in world.commands(hub)


def test_in_a_chain_the_leader_stays() -> None:
    for seed, end in itertools.product(SEEDS, [0, 1]):
        world = LogWorld("ABC", seed=seed)
        leader = world.elect()
        cut_off = [node_id for node_id in "ABC" if node_id != leader][end]
        world.cut(leader, cut_off)
        assert_stable_and_committing(world, within=0, count=6)
        assert list(world.leaders) == [leader]
