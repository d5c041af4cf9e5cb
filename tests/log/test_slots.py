"""One decision in each slot: votes, choices, and what is forgotten."""

from __future__ import annotations

import pytest

from log.by_hand import A1, A2, B1, B2, after, chosen, commands, hear, leading, new_log, said, vote
from log.log_world import SMALL
from paxos import NO_PROPOSAL, NOTHING_ACCEPTED, ConflictError, Nack, Proposal
from paxos.log.entries import NO_OP
from paxos.log.events import EntryChosen
from paxos.log.messages import AcceptedIn, AcceptIn, ChosenBelow, Decisions, Learn
from paxos.log.slots import vote_of
from paxos.log.window import Window

TEA = Proposal(B1, commands("tea"))


def test_an_acceptor_votes_in_the_slot_that_it_was_asked_about() -> None:
    step = hear(new_log(), "B", AcceptIn(2, TEA))
    assert said(step, AcceptedIn, to="B") == [AcceptedIn(2, B1)]
    assert step.node.durable.vote(2) == TEA
    assert step.node.durable.vote(1) is NOTHING_ACCEPTED


def test_accepting_in_one_slot_promises_in_all() -> None:
    log = after(new_log(), "B", AcceptIn(2, Proposal(B2, NO_OP)))
    assert said(hear(log, "A", AcceptIn(0, Proposal(A1, NO_OP))), Nack) == [Nack(A1, B2)]
    assert said(hear(log, "A", AcceptIn(3, Proposal(A1, NO_OP))), Nack) == [Nack(A1, B2)]


def test_a_second_value_under_one_id_in_one_slot_is_damage() -> None:
    with pytest.raises(ConflictError):
        hear(after(new_log(), "B", AcceptIn(0, TEA)), "B", AcceptIn(0, Proposal(B1, NO_OP)))


def test_one_id_has_another_value_in_another_slot() -> None:
    log = after(new_log(), "B", AcceptIn(0, TEA), AcceptIn(1, Proposal(B1, NO_OP)))
    assert log.durable.votes == (TEA, Proposal(B1, NO_OP))


def test_a_slot_is_chosen_once_a_quorum_has_voted_in_it() -> None:
    log = vote(leading().append(("tea",)).node, "A", 0).node
    step = vote(log, "C", 0)
    assert step.events == (EntryChosen(0, Proposal(A1, commands("tea"))),)
    assert step.node.chosen_below == 1


def test_votes_in_two_slots_do_not_add_up() -> None:
    log = leading().append(("tea",)).node.append(("milk",)).node
    log = vote(log, "A", 0).node
    assert vote(log, "B", 1).node.chosen_below == 0


def test_what_is_chosen_behind_a_hole_waits_for_the_hole() -> None:
    log = leading().append(("tea",)).node.append(("milk",)).node
    log = chosen(log, 1)
    assert log.chosen_below == 0
    events = vote(vote(log, "A", 0).node, "B", 0).events
    assert [event.slot for event in events if isinstance(event, EntryChosen)] == [0, 1]


def test_a_vote_come_twice_counts_once() -> None:
    log = leading().append(("tea",)).node
    assert vote(log, "B", 0, 0, 0).node.chosen_below == 0


@pytest.mark.parametrize("wrong", [AcceptedIn(7, A1), AcceptedIn(-1, A1), AcceptedIn(0, B1)])
def test_a_vote_for_what_was_not_proposed_here_changes_nothing(wrong: AcceptedIn) -> None:
    log = leading().append(("tea",)).node
    assert hear(log, "B", wrong).node is log


def test_a_vote_of_a_stranger_does_not_count() -> None:
    log = leading().append(("tea",)).node
    assert vote(log, "X", 0).node is log
    assert vote(vote(log, "A", 0).node, "X", 0).node.chosen_below == 0


def test_who_proposes_what_is_chosen_is_told_the_decision() -> None:
    log = chosen(leading().append(("tea",)).node, 0)
    step = hear(log, "C", AcceptIn(0, Proposal(B1, NO_OP)))
    assert said(step, Decisions, to="C") == [Decisions(0, (Proposal(A1, commands("tea")),), 1)]
    assert said(step, AcceptedIn) == []


def test_who_proposes_what_is_forgotten_is_told_how_far_the_log_has_come() -> None:
    log = chosen(leading().append(("tea",)).node, 0).persist_began().persist_ended().node
    assert log.window.first == 1
    step = hear(log, "C", AcceptIn(0, Proposal(B2, NO_OP)))
    assert said(step, ChosenBelow, to="C") == [ChosenBelow(A1, 1)]
    assert said(hear(log.abandon(), "C", AcceptIn(0, Proposal(B2, NO_OP))), ChosenBelow) == [
        ChosenBelow(NO_PROPOSAL, 1)
    ]


def test_who_proposes_too_far_ahead_is_asked_for_what_is_missing() -> None:
    step = hear(new_log(), "B", AcceptIn(SMALL.reach, TEA))
    assert said(step, Learn, to="B") == [Learn(0)]
    assert step.node.window == Window()


def test_chosen_slots_are_forgotten_only_when_a_persist_that_began_later_has_ended() -> None:
    log = leading().append(("tea",)).node.persist_began()
    log = chosen(log, 0).persist_ended().node
    assert log.window.first == 0
    assert log.persist_began().persist_ended().node.window.first == 1


def test_what_is_reported_of_a_slot_never_falls() -> None:
    """A vote of its own under a later ID stays, though the decision is known under a lower one."""
    voted = after(new_log(), "A", AcceptIn(0, Proposal(A2, commands("tea"))))
    log = after(voted, "C", Decisions(0, (TEA,), 1))
    assert log.chosen_below == 1
    assert vote_of(log.node_at(0)) == Proposal(A2, commands("tea"))


def test_a_decision_is_reported_in_place_of_an_older_vote() -> None:
    log = after(new_log(), "A", AcceptIn(0, Proposal(A1, NO_OP)))
    log = after(log, "C", Decisions(0, (Proposal(B2, commands("tea")),), 1))
    assert vote_of(log.node_at(0)) == Proposal(B2, commands("tea"))


def test_a_window_gives_the_slots_between_two() -> None:
    window = Window[str]().put(2, new_log().unused, new_log().unused_at)
    assert (window.first, window.end) == (0, 3)
    assert [slot for slot, _ in window.between(1, 9)] == [1, 2]
    assert [slot for slot, _ in window.between(-5, -1)] == []
    assert window.get(3) is None
    assert window.without(0) is window
    assert window.without(2).first == 2
    assert window.without(9) == Window(9)
