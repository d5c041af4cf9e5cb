"""Progress, with a bound: how many liveness windows of virtual time pass until all is well.

Messages take up to 20 ms and persists up to 10 ms, unless told otherwise; a window is 300 ms. Each
bound is a multiple of half a window, and the slowest of its runs had a tenth of it to spare.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from core.virtual_time import World
from paxos import (
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    LeadershipAcquired,
    LeadershipLost,
    Nack,
    Phase,
    Prepare,
    Promise,
    ProposalID,
    Request,
    Stopped,
)
from paxos.heartbeat import Stance

pytestmark = pytest.mark.exhaustive

NODES = pytest.mark.parametrize("nodes", ["ABC", "ABCDE"])
FEW_SEEDS = range(3)
SEEDS = range(30)
MANY_SEEDS = range(100)


def settled(nodes: str, seed: int) -> tuple[World, str]:
    """A world in which one node has led for a window and all others follow it, and that node."""
    world = World(nodes, seed=seed)
    assert follow_one_leader(world, within=2)
    world.run(1)
    (leader,) = world.leaders
    return world, leader


def follow_one_leader(world: World, *, within: float) -> bool:
    """Whether all that are up follow the same node before so many windows have passed."""

    def follow() -> bool:
        followed = {world.node(node_id).heartbeats.leader for node_id in world.up}
        return len(world.leaders) == 1 and followed == set(world.leaders.values())

    return world.run(within, until=follow)


def all_decide(world: World, nodes: Iterable[str], *, within: float) -> bool:
    """Whether all these nodes know the decision before so many windows have passed."""
    return world.run(within, until=lambda: world.know(nodes))


def without(nodes: str, *some: str) -> str:
    return "".join(node_id for node_id in nodes if node_id not in some)


# A leader, and a decision.


@pytest.mark.parametrize("nodes", ["A", "ABC", "ABCDE"])
def test_nodes_elect_a_leader_within_2_windows(nodes: str) -> None:
    for seed in SEEDS:
        world = World(nodes, seed=seed)
        assert follow_one_leader(world, within=2)


@NODES
def test_an_idle_leader_leads_for_50_windows_and_more(nodes: str) -> None:
    for seed in FEW_SEEDS:
        world, _ = settled(nodes, seed)
        events = list(world.events)
        world.run(50)
        assert world.events == events, world


@NODES
def test_a_lone_proposal_is_decided_within_half_a_window(nodes: str) -> None:
    for seed in SEEDS:
        world = World(nodes, seed=seed)
        world.propose("A")
        assert all_decide(world, nodes, within=0.5)


@NODES
def test_duelling_proposers_end_within_half_a_window(nodes: str) -> None:
    for seed in SEEDS:
        world = World(nodes, seed=seed)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=0.5)


@NODES
@pytest.mark.parametrize("latency", [(0.001, 0.1), (0.1, 0.1)], ids=["any", "equal"])
def test_duels_over_slow_links_end_within_3_windows(
    nodes: str, latency: tuple[float, float]
) -> None:
    """A third of a window in one direction."""
    for seed in SEEDS:
        world = World(nodes, seed=seed, latency=latency)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=3)


@NODES
def test_decided_nodes_fall_silent(nodes: str) -> None:
    for seed in FEW_SEEDS:
        world = World(nodes, seed=seed)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=0.5)
        world.run(0.5)
        left = all_that_leaves(world)
        world.run(50)
        assert left == [], world


def all_that_leaves(world: World) -> list[Envelope[Any]]:
    """A list to which every message to another node will be added."""
    left = list[Envelope[Any]]()

    def loses(envelope: Envelope[Any]) -> bool:
        left.append(envelope)
        return False

    world.loses = loses
    return left


# Leaders that go.


@NODES
def test_when_the_leader_crashes_another_leads_within_2_windows(nodes: str) -> None:
    for seed in SEEDS:
        world, leader = settled(nodes, seed)
        world.crash(leader)
        assert follow_one_leader(world, within=2)


@NODES
def test_wherever_a_proposer_crashes_the_rest_decide_within_2_windows(nodes: str) -> None:
    """After each message that it sends to another node, one after the other."""
    for seed in FEW_SEEDS:
        for position in itertools.count():
            world = World(nodes, seed=seed)
            crash_after(world, "A", position)
            world.propose(*nodes)
            assert all_decide(world, without(nodes, "A"), within=2), f"A crashed after {position}"
            if "A" in world.up:
                break
        assert position > 4


def crash_after(world: World, node_id: str, position: int) -> None:
    """Let this node crash once so many messages have left it for other nodes."""
    count = itertools.count()

    def loses(envelope: Envelope[Any]) -> bool:
        if envelope.sender.node_id == node_id and next(count) == position:
            world.after(0.0, lambda: world.crash(node_id))
        return False

    world.loses = loses


def lose_accepts_of(world: World, node_id: str) -> None:
    """Else a quorum of the others would decide without the disk of this one."""
    world.loses = lambda e: isinstance(e.message, Accept) and e.sender.node_id == node_id


@NODES
def test_when_the_disk_of_the_leader_hangs_the_others_decide_within_3_windows(nodes: str) -> None:
    """The leader is well but for its disk, and could send heartbeats for ever."""
    for seed in SEEDS:
        world, leader = settled(nodes, seed)
        since = world.now
        world.servers[leader].hangs = True
        lose_accepts_of(world, leader)
        world.propose(*nodes)
        assert all_decide(world, without(nodes, leader), within=3)
        loser, event = world.told(LeadershipLost, since)[0]
        assert (loser, event.reason) == (leader, "its disk takes too long"), world


@NODES
def test_a_leader_whose_disk_hangs_stops_leading_after_one_window(nodes: str) -> None:
    for seed in SEEDS:
        world, leader = settled(nodes, seed)
        world.servers[leader].hangs = True
        lose_accepts_of(world, leader)
        world.propose(leader)
        world.run(1.1)
        assert leader not in world.leaders, world


@NODES
def test_when_the_disk_of_the_leader_is_full_the_others_decide_within_2_windows(nodes: str) -> None:
    for seed in SEEDS:
        world, leader = settled(nodes, seed)
        world.servers[leader].full = True
        lose_accepts_of(world, leader)
        world.propose(*nodes)
        assert all_decide(world, without(nodes, leader), within=2)
        assert [node_id for node_id, _ in world.told(Stopped)] == [leader], world


@NODES
def test_hung_disks_of_a_minority_delay_no_decision(nodes: str) -> None:
    for seed in range(10):
        for hung in itertools.combinations(nodes, len(nodes) // 2):
            world = World(nodes, seed=seed)
            for node_id in hung:
                world.servers[node_id].hangs = True
            world.propose(*nodes)
            assert all_decide(world, without(nodes, *hung), within=0.5), f"{hung} hang"


# Nodes that come back.


@NODES
def test_nodes_that_come_back_do_not_unseat_a_working_leader(nodes: str) -> None:
    """For 50 windows each: it was cut off, and it was down."""
    for seed in FEW_SEEDS:
        world, leader = settled(nodes, seed)
        since = world.now
        for returning in without(nodes, leader):
            for other in without(nodes, returning):
                world.cut(returning, other)
            world.run(10)
            world.cut_links.clear()
            world.run(10)
            world.crash(returning)
            world.run(10)
            world.start(returning)
            world.run(20)
        assert world.told(LeadershipLost, since) == [], world
        assert list(world.leaders) == [leader], world


@NODES
def test_a_disk_that_hung_during_a_challenge_unseats_no_leader_once_it_is_free(nodes: str) -> None:
    """The challenge is long over then, and nobody will use the ballot."""
    for seed in FEW_SEEDS:
        world = World(nodes, seed=seed)
        challenger = hang_the_disk_of_the_first_challenger(world)
        world.run(5)
        since = world.now
        world.free_disk(challenger)
        world.run(5)
        assert world.told(LeadershipLost, since) == [], world


def hang_the_disk_of_the_first_challenger(world: World) -> str:
    challengers = list[str]()

    def challenges() -> bool:
        stances = {node_id: world.node(node_id).heartbeats.stance for node_id in world.up}
        challengers[:] = [n for n, stance in stances.items() if stance is Stance.CHALLENGING]
        return bool(challengers)

    assert world.run(2, until=challenges)
    world.servers[challengers[0]].hangs = True
    return challengers[0]


@NODES
def test_a_node_that_restarts_learns_the_decision_within_one_window_and_a_half(nodes: str) -> None:
    """It listens for one window before it asks."""
    for seed in SEEDS:
        world = World(nodes, seed=seed)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=0.5)
        world.crash("B")
        world.start("B")
        assert all_decide(world, nodes, within=1.5)


@NODES
def test_a_node_that_restarts_with_a_proposal_learns_the_decision_at_once(nodes: str) -> None:
    for seed in SEEDS:
        world = World(nodes, seed=seed)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=0.5)
        world.crash("B")
        world.start("B")
        world.propose("B")
        assert all_decide(world, nodes, within=0.5)


@NODES
def test_after_all_have_crashed_at_once_the_decision_is_learned_anew(nodes: str) -> None:
    """Learners forget, acceptors do not; the witness sees that the value is the same."""
    for seed in SEEDS:
        world = World(nodes, seed=seed)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=0.5)
        for node_id in nodes:
            world.crash(node_id)
        for node_id in nodes:
            world.start(node_id)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=1.5)


# Ballots that nobody follows up.


@NODES
@pytest.mark.parametrize("number", [1, 5])
def test_the_last_ballot_of_a_node_that_died_delays_a_decision_by_3_windows_at_most(
    nodes: str, number: int
) -> None:
    """Its Prepare reached some of the others, each set of them in turn, the leader or not."""
    for seed in FEW_SEEDS:
        for dead in nodes:
            rest = without(nodes, dead)
            for reached in subsets(rest):
                world, _ = settled(nodes, seed)
                world.crash(dead)
                for node_id in reached:
                    world.hear(node_id, dead, Prepare(ProposalID(number, dead)))
                world.propose(*rest)
                assert all_decide(world, rest, within=3), (
                    f"{dead} died, {reached} heard of its ballot"
                )


def subsets(members: Iterable[str]) -> list[tuple[str, ...]]:
    listed = tuple(members)
    return [s for size in range(len(listed) + 1) for s in itertools.combinations(listed, size)]


# Losses.

KINDS = {Prepare, Promise, Nack, Accept, Accepted, Chosen, Request, Heartbeat, HeartbeatAnswer}


@NODES
def test_whichever_single_message_is_lost_all_decide_within_2_windows(nodes: str) -> None:
    """One proposes, or all; before there is a leader, or after."""
    lost: set[type] = set()
    for seed, proposers, idle in itertools.product(range(2), ["A", nodes], [0.0, 2.0]):
        for position in itertools.count():
            world = World(nodes, seed=seed)
            world.run(idle)
            dropped = lose_one(world, position)
            world.propose(*proposers)
            assert all_decide(world, nodes, within=2), f"lost {dropped}"
            if not dropped:
                break
            lost |= {type(envelope.message) for envelope in dropped}
    assert lost == KINDS


def lose_one(world: World, position: int) -> list[Envelope[Any]]:
    """Lose the message that leaves after so many others; it is then in this list."""
    count, dropped = itertools.count(), list[Envelope[Any]]()

    def loses(envelope: Envelope[Any]) -> bool:
        if next(count) != position:
            return False
        dropped.append(envelope)
        return True

    world.loses = loses
    return dropped


@NODES
def test_with_a_fifth_of_messages_lost_and_a_fifth_repeated_all_decide_within_4_windows(
    nodes: str,
) -> None:
    for seed in MANY_SEEDS:
        world = World(nodes, seed=seed, loss=0.2, repeats=0.2)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=4)


@NODES
def test_with_such_a_network_all_learn_of_a_lone_proposal_within_4_windows(
    nodes: str,
) -> None:
    for seed in MANY_SEEDS:
        world = World(nodes, seed=seed, loss=0.2, repeats=0.2)
        world.propose("A")
        assert all_decide(world, nodes, within=4)


@NODES
def test_with_half_of_the_messages_lost_all_decide_within_6_windows(nodes: str) -> None:
    for seed in SEEDS:
        world = World(nodes, seed=seed, loss=0.5, repeats=0.2)
        world.propose(*nodes)
        assert all_decide(world, nodes, within=6)


# Slow disks.


@NODES
def test_with_disks_that_take_a_third_of_a_window_all_decide_within_4_windows(nodes: str) -> None:
    for seed in SEEDS:
        world = World(nodes, seed=seed, sync=(0.09, 0.1))
        world.propose(*nodes)
        assert all_decide(world, nodes, within=4)


@NODES
def test_with_disks_that_take_two_thirds_of_a_window_all_decide_in_the_end(nodes: str) -> None:
    """No persist is overdue, so nobody is told of these disks; and no ballot ever succeeds."""
    for seed in FEW_SEEDS:
        world = World(nodes, seed=seed, sync=(0.2, 0.2))
        world.propose(*nodes)
        assert all_decide(world, nodes, within=50)


# Everything at once.


@NODES
def test_after_any_chaos_all_decide_within_2_windows(nodes: str) -> None:
    for seed in MANY_SEEDS:
        world = World(nodes, seed=seed, loss=0.1, repeats=0.1)
        chaos(world, rounds=40)
        calm_down(world)
        assert all_decide(world, nodes, within=2)


def chaos(world: World, rounds: int) -> None:
    """Crashes, restarts, cut links, hung disks, now and then a proposal; each third of a window."""
    draw = world.random
    for _ in range(rounds):
        world.run(draw.uniform(0.0, 0.6))
        one, other = draw.sample(sorted(world.servers), 2)
        match draw.randrange(9):
            case 0 | 1:
                world.crash(one)
            case 2 | 3 | 4:
                if one not in world.up:
                    world.start(one)
            case 5:
                world.cut_links.add((one, other))
            case 6:
                world.cut_links = set(sorted(world.cut_links)[::2])
            case 7:
                world.servers[one].hangs = True
                world.free_disk(other)
            case _:
                world.propose(one)
        assert_stance_and_phase_agree(world)


def assert_stance_and_phase_agree(world: World) -> None:
    """What a node thinks of leadership and what its proposer does are one."""
    phases = {Stance.CHALLENGING: Phase.PREPARING, Stance.LEADING: Phase.LEADING}
    for node_id in world.up:
        node = world.node(node_id)
        if not world.know(node_id):
            assert node.node.proposer.phase is phases.get(node.heartbeats.stance, Phase.IDLE)


def calm_down(world: World) -> None:
    """Everything works again, and everybody has a value to propose."""
    world.loss = 0.0
    world.cut_links.clear()
    for node_id in world.servers:
        world.free_disk(node_id)
        if node_id not in world.up:
            world.start(node_id)
        world.propose(node_id)


def test_the_chaos_is_one() -> None:
    """Beside the "always" above, the "sometimes"."""
    worlds = [World(seed=seed) for seed in range(30)]
    for world in worlds:
        chaos(world, rounds=40)
    assert any(len(world.told(LeadershipAcquired)) > 3 for world in worlds)
    assert any(len(world.told(LeadershipLost)) > 1 for world in worlds)
    assert any(not world.witness.chosen for world in worlds)
    assert any(len(world.witness.chosen) > 1 for world in worlds)  # under one ID after the other


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        world = World("ABCDE", seed=7, loss=0.2, repeats=0.2)
        chaos(world, rounds=40)
        runs.append(world.events)
    assert len(runs[0]) > 10
    assert runs[0] == runs[1]
