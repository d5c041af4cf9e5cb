"""Who leads a log, how fast, and how leadership is handed over. Bounds are in liveness windows."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from core.virtual_time import WINDOW
from log.by_hand import A1, B1, ByHand, change, commands, envelope, new_machine
from log.clients import append_often, follower_in, longest_gap
from log.log_world import SMALL, LogWorld
from paxos import (
    NO_PROPOSAL,
    Envelope,
    FaultError,
    Heartbeat,
    LeadershipAcquired,
    LeadershipLost,
    MisuseError,
    Proposal,
    ProposalID,
)
from paxos.log.entries import NO_OP
from paxos.log.events import CommandsRefused, Removed
from paxos.log.messages import AcceptIn, Decisions, Learn, PrepareFrom, TakeOver
from paxos.machine import Tick
from paxos.node import Phase

SEEDS = range(3)


def has_leader(world: LogWorld) -> bool:
    return world.leader != ""


def is_led_by(world: LogWorld, node_id: str) -> bool:
    return list(world.leaders) == [node_id]


@pytest.mark.parametrize("nodes", ["A", "AB", "ABC", "ABCDE"])
def test_a_leader_is_found_within_3_windows_and_stays(nodes: str) -> None:
    for seed in SEEDS:
        world = LogWorld(nodes, seed=seed)
        assert world.run(3, until=partial(has_leader, world)), world
        world.run(1)
        since = world.now
        world.run(20)
        assert world.told(LeadershipLost, since) == []


@pytest.mark.parametrize("nodes", ["ABC", "ABCDE"])
def test_when_the_leader_dies_another_one_commits_within_3_windows(nodes: str) -> None:
    for seed in SEEDS:
        world = LogWorld(nodes, seed=seed)
        world.append(world.elect(), "tea")
        world.run(1)
        world.crash(world.leader)
        assert world.run(3, until=partial(has_leader, world)), world
        append_often(world, 2)
        assert longest_gap(world, world.now - 2 * WINDOW) < 2, world
        assert world.has_applied("tea", world.up)


def test_a_returning_node_does_not_unseat_the_leader() -> None:
    for seed in SEEDS:
        world = LogWorld("ABC", seed=seed)
        leader = world.elect()
        away = next(node_id for node_id in "ABC" if node_id != leader)
        world.crash(away)
        append_often(world, 4)
        world.start(away)
        since = world.now
        append_often(world, 10, "d")
        assert world.told(LeadershipLost, since) == [], world
        assert longest_gap(world, since) < 0.5
        world.run(1)
        assert world.commands(away) == world.commands(leader)


def test_a_node_that_was_cut_off_does_not_unseat_the_leader() -> None:
    for seed in SEEDS:
        world = LogWorld("ABCDE", seed=seed)
        leader = world.elect()
        away = next(node_id for node_id in "ABCDE" if node_id != leader)
        for other in "ABCDE":
            world.cut(away, other)
        append_often(world, 5)
        world.cut_links.clear()
        since = world.now
        append_often(world, 5, "d")
        assert world.told(LeadershipLost, since) == [], world
        assert len(world.commands(away)) > 80


# Handing over.


@pytest.mark.parametrize("nodes", ["ABC", "ABCDE"])
def test_a_transfer_takes_less_than_a_window_and_so_does_the_gap_between_commits(
    nodes: str,
) -> None:
    for seed in SEEDS:
        world = LogWorld(nodes, seed=seed)
        leader = world.elect()
        append_often(world, 1, "before")
        heir = next(node_id for node_id in nodes if node_id != leader)
        since = world.now
        world.transfer(leader, heir)
        append_often(world, 2, "after")
        acquired = [at for at, n, e in world.events if isinstance(e, LeadershipAcquired)]
        assert world.leader == heir, world
        assert acquired[-1] - since < WINDOW, world
        assert longest_gap(world, since) < 1, world


def test_an_idle_leader_hands_over_as_well() -> None:
    for seed in SEEDS:
        world = LogWorld("ABC", seed=seed)
        leader = world.elect()
        heir = next(node_id for node_id in "ABC" if node_id != leader)
        world.transfer(leader, heir)
        assert world.run(1, until=partial(is_led_by, world, heir)), world


def test_leadership_is_handed_over_by_leaders_to_members_only() -> None:
    world = LogWorld("ABC", newcomers="D")
    leader = world.elect()
    follower = next(node_id for node_id in "ABC" if node_id != leader)
    with pytest.raises(MisuseError, match="only a leader"):
        world.transfer(follower, leader)
    with pytest.raises(MisuseError, match="only to a member"):
        world.transfer(leader, "D")
    world.transfer(leader, leader)
    world.run(2)
    assert world.leader == leader


def test_nobody_takes_over_from_a_leader_that_it_does_not_follow() -> None:
    machine = new_machine("A")
    machine.receive(envelope("B", "A", Heartbeat(B1, 1.0)), 0.01)
    machine.ready()
    machine.receive(envelope("C", "A", TakeOver(ProposalID(1, "C"))), 0.02)
    assert machine.ready().is_empty
    machine.receive(envelope("B", "A", TakeOver(B1)), 0.03)
    assert machine.node.log.ballot == ProposalID(2, "A")


def test_followers_defend_a_settled_leader_unless_it_has_asked_for_another_one() -> None:
    machine = new_machine("A")
    for n in range(1, 9):
        machine.receive(envelope("B", "A", Heartbeat(B1, n * 0.1)), n * 0.1)
    machine.ready()
    challenge = PrepareFrom(ProposalID(2, "C"), 0)
    machine.receive(envelope("C", "A", challenge), 0.8)
    assert machine.ready().is_empty
    machine.receive(envelope("C", "A", PrepareFrom(challenge.id, 0, B1)), 0.8)
    assert machine.node.log.promised == challenge.id


def test_a_node_that_was_asked_to_take_over_and_could_not_does_not_say_later_that_it_was() -> None:
    machine = new_machine("A")
    machine.receive(envelope("B", "A", Heartbeat(B1, 1.0)), 0.01)
    machine.receive(envelope("B", "A", PrepareFrom(B1, 0)), 0.02)
    assert machine.ready().persist is not None  # and it takes longer than a window
    machine.receive(envelope("B", "A", Heartbeat(B1, 2.0)), 0.30)
    machine.receive(envelope("B", "A", TakeOver(B1)), 0.35)
    assert machine.node.log.handed_over_by == NO_PROPOSAL


# The disk.


def test_a_leader_whose_disk_hangs_gives_way_within_2_windows() -> None:
    for seed in SEEDS:
        world = LogWorld("ABC", seed=seed)
        leader = world.elect()
        world.servers[leader].hangs = True
        world.append(leader, "tea")
        world.run(2)
        assert leader not in world.leaders, world
        assert world.run(3, until=partial(has_leader, world)), world


def test_a_leader_whose_disk_fails_refuses_what_waited() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    for n in range(40):
        world.append(leader, f"c{n}")
    world.servers[leader].full = True
    machine = world.servers[leader].machine
    assert machine is not None
    machine.failed(FaultError("no space left"))
    events = machine.ready().events
    assert [type(event).__name__ for event in events[-1:]] == ["Stopped"]
    assert any(isinstance(event, CommandsRefused) for event in events)


# Losing messages.

KINDS = [
    "AcceptIn", "AcceptedIn", "AskToRead", "ChosenBelow", "Confirm", "Confirmed", "Decisions",
    "Heartbeat", "HeartbeatAnswer", "Learn", "Nack", "PrepareFrom", "PromiseFrom", "ReadFrom",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_message_matters_so_much_that_it_must_not_be_lost_once(kind: str) -> None:
    """Of that kind, the first one from each node to each other is lost; then all goes on."""
    for seed in range(3):
        world = LogWorld("ABC", seed=seed)
        lost: set[tuple[str, str]] = set()

        def loses(envelope: Envelope[Any], lost: set[tuple[str, str]] = lost) -> bool:
            link = (envelope.sender.node_id, envelope.recipient)
            if type(envelope.message).__name__ != kind or link in lost:
                return False
            lost.add(link)
            return True

        world.loses = loses
        leader = world.elect(6)
        for node_id in "ABC":
            world.read(node_id)
        append_often(world, 1)
        world.crash(follower_in(world))
        world.run(2)
        world.start(next(node_id for node_id in "ABC" if node_id not in world.up))
        append_often(world, 2, "d")
        world.append(world.elect(), "last")
        assert world.run(3, until=partial(world.has_applied, "last", "ABC")), (world, leader)


def test_every_second_message_lost_means_slow_and_not_stuck() -> None:
    for seed in SEEDS:
        world = LogWorld("ABC", seed=seed, loss=0.5)
        append_often(world, 30)
        assert len(world.slot_of) > 10, world


# Who has no vote.


def test_who_has_no_vote_never_asks_to_lead() -> None:
    world = LogWorld("ABC", newcomers="D")
    world.cut_links = {(node_id, "D") for node_id in "ABC"}
    world.run(20)
    assert world.node("D").durable.ballot == 0
    assert world.leader != "D"


def test_who_has_no_vote_asks_all_who_have_one_in_each_window() -> None:
    machine = new_machine("D")
    deadline = machine.deadline
    assert deadline is not None
    machine.receive(Tick(), deadline - 0.01)
    assert machine.ready().is_empty
    machine.receive(Tick(), deadline)
    sent = machine.ready().send
    assert [(e.recipient, e.message) for e in sent] == [(n, Learn(0)) for n in "ABC"]
    assert machine.deadline == deadline + WINDOW


def test_an_accept_of_a_leader_that_is_not_followed_yet_is_voted_for() -> None:
    machine = new_machine("A")
    machine.receive(envelope("B", "A", AcceptIn(0, Proposal(B1, commands("tea")))), 0.0)
    assert machine.ready().persist is not None
    assert machine.node.log.promised == B1 > A1


def test_a_candidate_that_learns_that_it_was_removed_ends_its_ballot() -> None:
    node = ByHand().candidate()
    below = ProposalID(0, "C")
    removal = (Proposal(below, change(*"BC")), *[Proposal(below, NO_OP)] * (SMALL.window - 1))
    node.hear("B", Decisions(0, removal, len(removal)))
    assert node.told(Removed) == [Removed()]
    assert node.machine.node.log.phase is Phase.IDLE
    node.tick()
    assert node.said(PrepareFrom)[-1].id == A1
