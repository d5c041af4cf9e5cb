"""Memory stays flat whatever hangs, is lost, or is gone."""

from __future__ import annotations

import pytest

from log.by_hand import after, chosen, commands, fixed, identity, leading, new_log
from log.clients import append_often
from log.log_world import SMALL, LogWorld
from paxos import Proposal, ProposalID
from paxos.log.entries import NO_OP
from paxos.log.events import CommandsRefused
from paxos.log.inputs import Append
from paxos.log.messages import AcceptIn, ChosenBelow, Decisions, Learn
from paxos.log.state import LogState
from paxos.machine import MAX_QUEUED

B1 = ProposalID(1, "B")


def test_a_follower_whose_disk_hangs_remembers_no_more_slots() -> None:
    """Its leader goes on without it. What does not fit is learned when the disk is back."""
    log = new_log().persist_began()
    for slot in range(100):
        log = after(log, "B", AcceptIn(slot, Proposal(B1, NO_OP)), ChosenBelow(B1, slot + 1))
    assert log.window.first == 0
    assert log.window.end <= 2 * SMALL.reach
    log = log.persist_ended().node.persist_began().persist_ended().node
    assert log.window.first == log.chosen_below > 0


def test_a_learner_whose_disk_hangs_remembers_no_more_slots() -> None:
    log = new_log().persist_began()
    for slot in range(100):
        log = after(log, "B", Decisions(slot, (Proposal(B1, NO_OP),), 100))
    assert log.window.end <= 2 * SMALL.reach


def test_a_leader_whose_disk_hangs_remembers_no_more_slots() -> None:
    """The others are a quorum without it, until its disk is overdue."""
    log = leading().persist_began()
    for n in range(100):
        log = log.append(tuple(f"{n}.{each}" for each in range(SMALL.batch))).node
        log = chosen(log, *range(log.chosen_below, log.next_slot), voters="BC")
    assert log.window.end <= SMALL.reach + SMALL.window
    assert len(log.queue) <= SMALL.queue
    assert log.persist_ended().node.persist_began().persist_ended().node.next_slot > log.next_slot


def test_a_node_that_recovered_more_than_it_may_remember_goes_on() -> None:
    """A crash may leave its votes, and lose the mark of what was chosen.

    All of it is saved, so no persist will end that could let it forget.
    """
    votes = tuple(Proposal(B1, NO_OP) for _ in range(2 * SMALL.reach))
    state = LogState[str](promised=B1, votes=votes, configurations=fixed())
    log = after(new_log(state=state), "B", ChosenBelow(B1, len(votes)))
    assert log.is_saved_by(state)
    log = after(log, "B", AcceptIn(len(votes), Proposal(B1, commands("tea"))))
    assert not log.is_saved_by(state)
    assert log.persist_began().persist_ended().node.window.first == len(votes)


def test_a_node_goes_on_after_its_disk_hung() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    hung = next(node_id for node_id in "ABC" if node_id != leader)
    world.servers[hung].hangs = True
    append_often(world, 12)
    assert len(world.applied[leader]) > 4 * SMALL.reach
    world.free_disk(hung)
    world.run(3)
    assert world.commands(hung) == world.commands(leader)


def test_a_leader_without_a_quorum_queues_so_much_and_refuses_the_rest() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    for node_id in sorted(set("ABC") - {leader}):
        world.crash(node_id)
    for n in range(300):
        world.append(leader, f"c{n}")
    log = world.log(leader)
    assert len(log.queue) <= SMALL.queue
    assert len(log.window.nodes) <= SMALL.window
    refused = sum(len(event.commands) for _, event in world.told(CommandsRefused))
    assert refused >= 300 - SMALL.queue - SMALL.window * SMALL.batch


def test_without_a_quorum_nothing_grows_in_a_thousand_windows() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    for node_id in sorted(set("ABC") - {leader}):
        world.crash(node_id)
    for _ in range(100):
        world.append(leader, "c")
        world.run(10)
        machine = world.servers[leader].machine
        assert machine is not None
        snapshot = machine.snapshot()
        assert len(snapshot.waiting) < MAX_QUEUED / 100
        assert len(world.log(leader).window.nodes) <= SMALL.window


def test_a_log_of_a_thousand_slots_keeps_a_few_in_memory() -> None:
    world = LogWorld("A")
    world.elect()
    for n in range(1000):
        world.ask("A", Append((f"c{n}",)))
        world.run(0.05)
    assert world.log("A").chosen_below >= 900
    assert len(world.log("A").window.nodes) <= SMALL.window


def test_so_many_learners_are_remembered_as_a_window_has_slots() -> None:
    log = leading()
    for n in range(50):
        log = log.handle(identity(f"learner {n}"), Learn(n)).node
    assert len(log.learners) == SMALL.window
    assert log.learners[-1] == (identity("learner 49"), 49)


def test_the_newest_word_of_a_learner_counts() -> None:
    log = after(leading(), "D", Learn(1), Learn(2))
    assert log.learners == ((identity("D"), 2),)


def test_members_are_not_remembered_as_learners() -> None:
    assert after(leading(), "B", Learn(0)).learners == ()


@pytest.mark.parametrize("slot", [SMALL.reach, 1 << 40, 1 << 70])
def test_no_vote_is_given_far_ahead(slot: int) -> None:
    log = after(new_log(), "B", AcceptIn(slot, Proposal(B1, commands("tea"))))
    assert log.window.nodes == ()
