"""Linearizable reads: after a quorum confirms the ballot, and from a slot that misses nothing.

Every `LogWorld` checks every read: its slot is not below what anybody knew when it was asked.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from log.by_hand import A1, B1, C1, ByHand, commands, envelope
from log.clients import append_often, grown
from log.log_world import SMALL, LogWorld, configuration
from paxos import Heartbeat, Proposal, ProposalID
from paxos.log.events import ReadFailed, ReadReady
from paxos.log.inputs import Append, ChangeMembers, Read
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    AskToRead,
    Confirm,
    Confirmed,
    Learn,
    PrepareFrom,
    PromiseFrom,
    ReadFrom,
)
from paxos.log.reads import MAX_READS, Reader, Reads

W = SMALL.window


def test_a_read_is_ready_once_a_quorum_has_confirmed_the_ballot() -> None:
    node = ByHand().leader()
    node.give(Read(7))
    assert node.told(ReadReady) == []
    node.hear("B", Confirmed(A1, 1))
    assert node.told(ReadReady) == [ReadReady(7, 0)]


def test_a_read_sees_all_that_was_proposed_before_it_though_it_is_not_known_to_be_chosen() -> None:
    node = ByHand().leader()
    node.give(Append(("tea",)))
    node.give(Read(7))
    node.hear("B", Confirmed(A1, 1))
    assert node.told(ReadReady) == [ReadReady(7, 1)]


def test_a_read_sees_all_that_was_found_in_promises() -> None:
    node = ByHand().candidate()
    tea = Proposal(ProposalID(0, "C"), commands("tea"))
    node.hear("B", PromiseFrom(A1, 0, EVERY_LATER_SLOT, 0, ((2, tea),)))
    node.give(Read(7))
    node.hear("B", Confirmed(A1, 1))
    assert node.told(ReadReady) == [ReadReady(7, 3)]


def test_reads_that_wait_together_are_confirmed_by_one_round() -> None:
    node = ByHand().leader()
    node.give(Read(1))
    node.give(Read(2))
    node.give(Read(3))
    node.hear("B", Confirmed(A1, 1))
    assert node.told(ReadReady) == [ReadReady(1, 0)]
    node.hear("C", Confirmed(A1, 2))
    assert node.told(ReadReady)[1:] == [ReadReady(2, 0), ReadReady(3, 0)]


@pytest.mark.parametrize(
    "answer", [Confirmed(A1, 0), Confirmed(A1, 2), Confirmed(A1, -1), Confirmed(B1, 1)]
)
def test_an_answer_to_another_round_or_ballot_confirms_nothing(answer: Confirmed) -> None:
    node = ByHand().leader()
    node.give(Read(7))
    node.hear("B", answer)
    assert node.told(ReadReady) == []


def test_who_has_no_vote_confirms_nothing() -> None:
    node = ByHand().leader()
    node.give(Read(7))
    node.hear("X", Confirmed(A1, 1))
    assert node.told(ReadReady) == []


def test_a_round_number_is_not_used_again_after_leadership_was_lost() -> None:
    reads = Reads().wait(Reader("A", 1)).begin(configuration(*"ABC").quorums, 0)
    failed, readers = reads.wait(Reader("A", 2)).fail()
    assert readers == (Reader("A", 1), Reader("A", 2))
    again = failed.wait(Reader("A", 3)).begin(configuration(*"ABC").quorums, 0)
    assert again.last_round == 2


def test_who_has_promised_higher_does_not_confirm() -> None:
    node = ByHand()
    node.hear("C", PrepareFrom(C1, 0), Confirm(B1, 1))
    assert node.said(Confirmed) == []
    node.hear("C", Confirm(C1, 1))
    assert node.said(Confirmed) == [Confirmed(C1, 1)]


def test_a_question_that_was_lost_is_asked_again_with_the_next_round() -> None:
    node = ByHand().leader()
    node.give(Read(7))
    node.sent.clear()
    node.tick()
    assert node.said(Confirm) == [Confirm(A1, 1)] * 2


def test_a_read_waits_until_the_leader_has_heard_of_all_that_was_accepted() -> None:
    """B tells its first page, and later the rest; the read begins without another input."""
    node = ByHand().candidate()
    tea = Proposal(ProposalID(0, "C"), commands("tea"))
    node.hear("B", PromiseFrom(A1, 0, 2, 0, ((0, tea),)))
    assert node.machine.node.log.leads
    node.give(Read(7))
    assert node.said(Confirm) == []
    node.hear("B", PromiseFrom(A1, 2, EVERY_LATER_SLOT, 0, ((2, tea),)))
    assert node.said(Confirm) != []
    node.hear("B", Confirmed(A1, 1))
    assert node.told(ReadReady) == [ReadReady(7, 3)]


def test_a_read_waits_for_what_a_member_has_trimmed_and_the_leader_does_not_know() -> None:
    """B knows 9 slots to be chosen. C tells the first page of them, and the leader leads."""
    node = ByHand().candidate()
    tea = Proposal(ProposalID(0, "C"), commands("tea"))
    node.hear("B", PromiseFrom(A1, 9, EVERY_LATER_SLOT, 9))
    node.hear("C", PromiseFrom(A1, 0, 3, 0, ((0, tea), (1, tea), (2, tea))))
    assert node.machine.node.log.leads
    node.give(Read(7))
    node.hear("B", Confirmed(A1, 1))
    assert node.told(ReadReady) == []
    assert not node.machine.node.log.knows_what_was_accepted


def test_a_read_waits_for_the_new_members_too() -> None:
    node = ByHand().leader()
    node.hear("D", Learn(0))
    node.hear("E", Learn(0))
    node.give(ChangeMembers(configuration(*"ADE")))
    node.hear("B", AcceptedIn(0, A1))
    node.give(Read(7))
    assert node.said(Confirm) == []
    node.hear("D", PromiseFrom(A1, 1, EVERY_LATER_SLOT, 0))
    assert node.said(Confirm) != []


def test_a_read_fails_when_leadership_ends() -> None:
    node = ByHand().leader()
    node.give(Read(7))
    node.hear("B", Heartbeat(B1, 1.0))
    assert node.told(ReadFailed) == [ReadFailed(7, "this node leads no more")]
    node.hear("C", Confirmed(A1, 1))
    assert node.told(ReadReady) == []


def test_more_reads_than_may_wait_fail() -> None:
    node = ByHand().leader()
    full = Reads(waiting=tuple(Reader("A", n) for n in range(MAX_READS)))
    machine_node = replace(node.machine.node, reads=full)
    step = machine_node.step(Read(MAX_READS), node.now)
    assert step.events == (ReadFailed(MAX_READS, "too many reads wait"),)
    step = machine_node.step(envelope("B", "A", AskToRead(5)), node.now)
    assert (step.events, step.messages) == ((), ())


# Followers.


def follower() -> ByHand:
    node = ByHand()
    node.hear("B", Heartbeat(B1, 1.0))
    return node


def test_a_follower_asks_the_leader() -> None:
    node = follower()
    node.give(Read(7))
    assert node.said(AskToRead) == [AskToRead(7)]
    node.hear("B", ReadFrom(7, 3))
    assert node.told(ReadReady) == [ReadReady(7, 3)]


def test_an_answer_that_comes_twice_counts_once() -> None:
    node = follower()
    node.give(Read(7))
    node.hear("B", ReadFrom(7, 3), ReadFrom(7, 3), ReadFrom(8, 1))
    assert node.told(ReadReady) == [ReadReady(7, 3)]


def test_a_follower_asks_again_with_each_round_of_its_leader() -> None:
    node = follower()
    node.give(Read(7))
    node.hear("B", Heartbeat(B1, 2.0))
    assert node.said(AskToRead) == [AskToRead(7)] * 2


def test_a_leader_answers_a_follower_by_message() -> None:
    node = ByHand().leader()
    node.hear("C", AskToRead(7), AskToRead(7), Confirmed(A1, 1))
    assert node.said(ReadFrom) == [ReadFrom(7, 0)]


def test_who_does_not_lead_answers_no_follower() -> None:
    node = ByHand()
    node.hear("C", AskToRead(7))
    assert node.sent == []


def test_without_a_leader_a_read_fails_at_once() -> None:
    node = ByHand()
    node.give(Read(7))
    assert node.told(ReadFailed) == [ReadFailed(7, "no leader is heard")]


def test_a_follower_has_so_many_reads_under_way_at_most() -> None:
    node = follower()
    full = replace(node.machine.node, asking=tuple(range(MAX_READS)))
    assert full.step(Read(MAX_READS), node.now).events == (
        ReadFailed(MAX_READS, "too many reads wait"),
    )


def test_reads_that_one_leader_was_asked_for_fail_when_another_one_leads() -> None:
    node = follower()
    node.give(Read(7))
    node.hear("C", Heartbeat(C1, 1.0))
    assert node.told(ReadFailed) == [ReadFailed(7, "the leader has changed")]
    node.hear("B", ReadFrom(7, 3))
    assert node.told(ReadReady) == []


# In a world.


def test_every_node_of_a_calm_cluster_reads_what_was_acknowledged() -> None:
    world = LogWorld("ABC")
    world.elect()
    for n in range(10):
        append_often(world, 0.5, f"{n} ")
        numbers = [world.read(node_id) for node_id in "ABC"]
        assert world.run(1, until=lambda numbers=numbers: set(numbers) <= set(world.reads_done))  # type: ignore[misc] # bound at once


def test_a_deposed_leader_that_does_not_know_it_answers_no_read() -> None:
    world = LogWorld("ABCDE")
    old = world.elect()
    others = [node_id for node_id in "ABCDE" if node_id != old]
    for node_id in others:
        world.cut(old, node_id)
    number = world.read(old)
    world.run(10)
    assert number not in world.reads_done
    assert (old, ReadFailed(number, "this node leads no more")) in world.told(ReadFailed)


def test_reads_go_on_while_members_change() -> None:
    world = LogWorld("ABC", newcomers="DE")
    world.elect()
    for members in ("ABCDE", "CDE", "ABC"):
        grown(world, *members)
        number = world.read(world.elect())
        assert world.run(2, until=lambda number=number: number in world.reads_done), members  # type: ignore[misc] # bound at once


def test_an_accept_from_the_leader_is_voted_for_by_a_reader() -> None:
    node = follower()
    node.give(Read(7))
    node.hear("B", AcceptIn(0, Proposal(B1, commands("tea"))))
    assert node.said(AcceptedIn) == [AcceptedIn(0, B1)]
