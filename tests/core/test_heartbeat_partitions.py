"""Progress while some links are cut, in one direction or both, with a bound in liveness windows.

What can be demanded? A node decides only by messages to a quorum and back. So a *hub*, a node with
links both ways to quorums of both phases (itself counted), must come to know a decision, however
the other links are. Where there is no hub, none can be chosen: nodes do not pass on the messages of
others. Who has links both ways to a hub learns the decision from it, for it asks until it knows.
Whoever has not, may miss it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import TypeAlias

import pytest

from core.virtual_time import World
from paxos import (
    NOTHING_ACCEPTED,
    Accepted,
    LeadershipLost,
    Prepare,
    ProposalID,
    Quorums,
)
from paxos.heartbeat import Stance

pytestmark = pytest.mark.exhaustive

Links: TypeAlias = frozenset[tuple[str, str]]
"""Directed links that work: (from, to)."""

SEEDS = range(3)
MORE_SEEDS = range(30)
NODES = pytest.mark.parametrize("nodes", ["ABC", "ABCDE"])
WHEN = pytest.mark.parametrize("led_before", [False, True], ids=["from-the-start", "while-led"])

ALL_LINKS = tuple(itertools.permutations("ABC", 2))
ALL_LINK_SETS = [
    frozenset(links)
    for size in range(len(ALL_LINKS) + 1)
    for links in itertools.combinations(ALL_LINKS, size)
]


def both_ways(links: Iterable[tuple[str, str]], one: str, other: str) -> bool:
    links = set(links)
    return (one, other) in links and (other, one) in links


def hubs(world: World) -> list[str]:
    """The nodes with links both ways to quorums of both phases."""
    links = set(itertools.permutations(world.servers, 2)) - world.cut_links
    found = []
    for node_id in world.servers:
        reached = [n for n in world.servers if n == node_id or both_ways(links, n, node_id)]
        if world.quorums.has_phase1(reached) and world.quorums.has_phase2(reached):
            found.append(node_id)
    return found


def neighbours(world: World, hubs: Iterable[str]) -> list[str]:
    """The hubs, and whoever has links both ways to one of them."""
    links = set(itertools.permutations(world.servers, 2)) - world.cut_links
    return [n for n in world.servers if any(n == hub or both_ways(links, n, hub) for hub in hubs)]


def partitioned(seed: int, links: Links, *, led_before: bool) -> World:
    """A world of three with just these links; perhaps one of them led before the others broke."""
    world = World("ABC", seed=seed)
    if led_before:
        world.run(2)
        assert len(world.leaders) == 1, world
    world.cut_links = set(ALL_LINKS) - links
    return world


def all_decide(world: World, nodes: Iterable[str], *, within: float) -> bool:
    """Whether all these nodes know the decision before so many windows have passed."""
    return world.run(within, until=lambda: world.know(nodes))


class StillUndecidedError(AssertionError):
    """Long after any reasonable bound, some node that should know the decision does not."""


def agree_once_healed(world: World) -> bool:
    """Whether all come to know the one decision when every link works again."""
    world.cut_links.clear()
    return all_decide(world, world.servers, within=3)


# All partial partitions of three nodes.


@WHEN
def test_with_any_links_among_three_the_hubs_decide_within_3_windows(*, led_before: bool) -> None:
    for seed, links in itertools.product(SEEDS, ALL_LINK_SETS):
        world = partitioned(seed, links, led_before=led_before)
        world.propose(*"ABC")
        assert all_decide(world, neighbours(world, hubs(world)), within=3), (world, sorted(links))
        assert agree_once_healed(world), (world, sorted(links))


@WHEN
def test_with_no_links_both_ways_nobody_decides_and_all_do_once_healed(*, led_before: bool) -> None:
    """27 link sets: a question gets nowhere, or its answer does not."""
    hubless = 0
    for links in ALL_LINK_SETS:
        world = partitioned(0, links, led_before=led_before)
        if hubs(world):
            continue
        hubless += 1
        world.propose(*"ABC")
        world.run(10)
        assert not any(world.know(node_id) for node_id in "ABC"), (world, sorted(links))
        assert agree_once_healed(world), (world, sorted(links))
    assert hubless == 27


@WHEN
def test_with_any_links_among_three_there_is_one_leader_in_the_end_and_no_churn(
    *, led_before: bool
) -> None:
    for links in ALL_LINK_SETS:
        world = partitioned(0, links, led_before=led_before)
        world.run(4)
        since, leaders = world.now, world.leaders
        assert len(leaders) == bool(hubs(world)), (world, sorted(links))
        world.run(10)
        assert world.told(LeadershipLost, since) == [], (world, sorted(links))
        assert world.leaders == leaders, (world, sorted(links))


def test_with_any_links_among_three_a_lone_proposal_of_a_hub_is_decided_within_3_windows() -> None:
    """From the start: whoever has the value is also the first to ask."""
    assert_lone_proposals_are_decided(led_before=False)


def test_so_it_is_if_another_leads_that_has_nothing_to_propose() -> None:
    assert_lone_proposals_are_decided(led_before=True)


def assert_lone_proposals_are_decided(*, led_before: bool) -> None:
    for seed, links in itertools.product(SEEDS, ALL_LINK_SETS):
        for proposer in hubs(partitioned(seed, links, led_before=False)):
            world = partitioned(seed, links, led_before=led_before)
            world.propose(proposer)
            assert all_decide(world, hubs(world), within=3), (world, proposer, sorted(links))


# Values that do not reach the leader: the shortest runs.


def led() -> tuple[World, str, str, str]:
    """A world of three that one of them leads, that one, and the two others."""
    world = World("ABC")
    world.run(3)
    (leader,) = world.leaders
    one, other = sorted({"A", "B", "C"} - {leader})
    return world, leader, one, other


def test_a_value_at_the_far_end_of_a_chain_is_decided() -> None:
    """Leader - bridge - end."""
    world, leader, bridge, end = led()
    world.cut(leader, end)
    world.propose(end)
    demand_decision(world, leader, bridge, end)


def test_a_value_is_decided_though_its_node_is_not_heard_by_the_leader_that_it_hears() -> None:
    """All links work but one, from that node to the leader."""
    world, leader, one, other = led()
    world.cut_links = {(other, leader)}
    world.propose(other)
    demand_decision(world, leader, one, other)


def test_a_value_is_decided_though_its_node_promised_more_than_the_working_leader_has() -> None:
    """All links work, and did always: that node has heard a ballot that nobody else heard of."""
    world, leader, one, other = led()
    world.hear(other, one, Prepare(ProposalID(9, one)))
    world.run(5)
    assert list(world.leaders) == [leader]
    world.propose(other)
    demand_decision(world, leader, one, other)


def demand_decision(world: World, *nodes: str) -> None:
    if not all_decide(world, nodes, within=50):
        raise StillUndecidedError(world)


# One node cut off.


@WHEN
@NODES
def test_whichever_node_is_cut_off_the_others_decide_within_2_windows(
    nodes: str, *, led_before: bool
) -> None:
    for seed, isolated in itertools.product(range(6), nodes):
        world = World(nodes, seed=seed)
        world.run(2 if led_before else 0)
        for other in nodes:
            world.cut(isolated, other)
        world.propose(*nodes)
        rest = set(nodes) - {isolated}
        assert all_decide(world, rest, within=2), (world, isolated)
        world.run(2)
        assert not world.know(isolated), (world, isolated)
        world.cut_links.clear()
        assert all_decide(world, nodes, within=0.5), (world, isolated)


# One-way links.


@NODES
def test_no_single_one_way_link_unseats_a_leader(nodes: str) -> None:
    """Each link in turn is cut in one direction, for 10 windows."""
    for seed in range(2):
        world = World(nodes, seed=seed)
        world.run(3)
        since = world.now
        for link in itertools.permutations(nodes, 2):
            world.cut_links = {link}
            world.run(10)
        assert world.told(LeadershipLost, since) == [], world


@WHEN
@NODES
def test_with_any_single_one_way_link_all_decide_within_2_windows(
    nodes: str, *, led_before: bool
) -> None:
    for seed, link in itertools.product(SEEDS, itertools.permutations(nodes, 2)):
        world = World(nodes, seed=seed)
        world.run(2 if led_before else 0)
        world.cut_links = {link}
        world.propose(*nodes)
        assert all_decide(world, nodes, within=2), (world, link)


def test_a_node_that_hears_nobody_does_not_disturb_the_leader() -> None:
    """It asks for ever, and nobody's answer reaches it: no number of its own goes up either."""
    world = World("ABC")
    world.cut_links = {("A", "C"), ("B", "C")}
    world.run(2)
    since = world.now
    world.run(50)
    assert world.told(LeadershipLost, since) == []
    assert world.node("C").heartbeats.stance is Stance.ASKING
    assert world.node("C").durable.ballot == 0


# Pictures from the literature and from trackers. The last three are those of *Omni-Paxos* (Ng,
# Haridi, Carbone, EuroSys 2023), section 2.


def test_a_bridge_node_causes_no_churn_for_50_windows() -> None:
    """A - B - C, whoever leads: openraft issue 2080."""
    for seed in range(4):
        world = World("ABC", seed=seed)
        world.run(2)
        for bridge in "ABC":
            since, leaders = world.now, world.leaders
            one, other = sorted({"A", "B", "C"} - {bridge})
            world.connect_only(one + bridge, bridge + other)
            world.run(50)
            assert world.told(LeadershipLost, since) == [], (world, bridge)
            assert world.leaders == leaders, (world, bridge)
            world.cut_links.clear()
            world.run(2)


def assert_hubs_decide(world: World, within: float) -> None:
    world.propose(*world.servers)
    assert all_decide(world, neighbours(world, hubs(world)), within=within), world


@WHEN
def test_the_five_servers_of_howard_and_abraham_decide_within_2_windows(
    *, led_before: bool
) -> None:
    """1, 2 and 3 are fully meshed, 4 is linked to 2 only, 5 to 3 only: 2020."""
    for seed in MORE_SEEDS:
        world = World("12345", seed=seed)
        world.run(2 if led_before else 0)
        world.connect_only("12", "13", "23", "42", "53")
        assert hubs(world) == ["1", "2", "3"]
        assert_hubs_decide(world, within=2)


def test_the_five_servers_of_howard_and_abraham_have_a_stable_leader_within_3_windows() -> None:
    for seed in range(5):
        world = World("12345", seed=seed)
        world.run(2)
        world.connect_only("12", "13", "23", "42", "53")
        world.run(3)
        since, leaders = world.now, world.leaders
        world.run(50)
        assert world.leaders == leaders, world
        assert world.told(LeadershipLost, since) == [], world


@WHEN
def test_quorum_loss(*, led_before: bool) -> None:
    """All are linked to one hub only, and the leader is not the hub: it must go."""
    for seed in MORE_SEEDS:
        world = World("ABCDE", seed=seed)
        world.run(2 if led_before else 0)
        hub = follower_in(world)
        world.connect_only(*star(hub, "ABCDE"))
        assert hubs(world) == [hub]
        assert_hubs_decide(world, within=3)


def test_constrained_election() -> None:
    """All but the leader are linked to one hub only, and the hub has missed what they accepted."""
    for seed in MORE_SEEDS:
        world = World("ABCDE", seed=seed)
        world.run(2)
        (leader,) = world.leaders
        hub = follower_in(world)
        world.loses = lambda envelope: isinstance(envelope.message, Accepted)
        world.cut(leader, hub)
        world.propose(leader)
        world.run(0.3)
        world.loses = lambda _: False
        world.connect_only(*star(hub, set("ABCDE") - {leader}))
        world.propose(hub)
        assert world.node(hub).durable.accepted is NOTHING_ACCEPTED
        assert all_decide(world, set("ABCDE") - {leader}, within=3), world
        assert set(world.witness.chosen.values()) == {repr(f"of {leader}")}, world


def test_chained() -> None:
    """A - B - C, where A led and C loses it: C must not unseat A, and A not C, and so on."""
    for seed, end in itertools.product(MORE_SEEDS, [0, 1]):
        world = World("ABC", seed=seed)
        world.run(2)
        (leader,) = world.leaders
        cut_off = [node_id for node_id in "ABC" if node_id != leader][end]
        world.cut(leader, cut_off)
        since = world.now
        world.run(50 if seed < 5 else 3)
        assert world.told(LeadershipLost, since) == [], world
        assert list(world.leaders) == [leader], world
        world.propose(leader)
        assert all_decide(world, "ABC", within=0.5), world


def follower_in(world: World) -> str:
    return next(node_id for node_id in world.servers if node_id not in world.leaders)


def star(hub: str, nodes: Iterable[str]) -> list[str]:
    return [hub + node_id for node_id in sorted(nodes) if node_id != hub]


# Any links among five.


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("directed", [False, True], ids=["both-ways", "one-way"])
@WHEN
def test_with_random_links_among_five_the_hubs_decide_within_4_windows(
    share: float, *, directed: bool, led_before: bool
) -> None:
    for seed in MORE_SEEDS:
        world = World("ABCDE", seed=seed)
        world.run(2 if led_before else 0)
        cut_at_random(world, share, directed=directed)
        assert_hubs_decide(world, within=4)


def cut_at_random(world: World, share: float, *, directed: bool) -> None:
    draw = random.Random(world.seed)
    for one, other in itertools.combinations(world.servers, 2):
        if directed:
            world.cut_links |= {
                link for link in ((one, other), (other, one)) if draw.random() < share
            }
        elif draw.random() < share:
            world.cut(one, other)


# Quorums of different sizes.

FEW_TO_ACCEPT = [
    pytest.param(Quorums.flexible("ABCDE", phase1=4, phase2=2), id="4-promise-2-accept"),
    pytest.param(Quorums.flexible("ABCDE", phase1=5, phase2=1), id="5-promise-1-accepts"),
    pytest.param(Quorums.weighted({"A": 3, "B": 1, "C": 1, "D": 1, "E": 1}), id="A-weighs-3"),
]
MANY_TO_ACCEPT = [
    pytest.param(Quorums.flexible("ABCDE", phase1=2, phase2=4), id="2-promise-4-accept"),
    pytest.param(Quorums.flexible("ABCDE", phase1=1, phase2=5), id="1-promises-5-accept"),
]


@pytest.mark.parametrize("quorums", FEW_TO_ACCEPT)
def test_flexible_quorums_decide_within_3_windows(quorums: Quorums) -> None:
    assert_flexible_quorums_decide(quorums)


@pytest.mark.parametrize("quorums", MANY_TO_ACCEPT)
def test_flexible_quorums_that_ask_more_of_phase_2_decide_within_3_windows(
    quorums: Quorums,
) -> None:
    """Else a node that can win an election, but no vote, unseats the others again and again."""
    assert_flexible_quorums_decide(quorums)


def assert_flexible_quorums_decide(quorums: Quorums) -> None:
    for seed in MORE_SEEDS:
        world = World(quorums, seed=seed)
        cut_at_random(world, 0.15, directed=True)
        assert_hubs_decide(world, within=3)
