"""How those who missed something come to know it, and on whose word."""

from __future__ import annotations

import pytest

from log.by_hand import (
    A1,
    B1,
    B2,
    C1,
    after,
    chosen,
    commands,
    hear,
    leading,
    new_log,
    said,
    vote,
)
from log.log_world import SMALL, LogWorld
from paxos import ConflictError, Proposal
from paxos.log.entries import NO_OP
from paxos.log.events import EntriesWanted, EntryChosen
from paxos.log.limits import Limits
from paxos.log.log import Log
from paxos.log.messages import AcceptIn, ChosenBelow, Decisions, Learn

TEA, MILK = Proposal(B1, commands("tea")), Proposal(C1, commands("milk"))


def knowing(count: int) -> Log[str]:
    """A leader that knows so many slots, and remembers them."""
    log = leading()
    for slot in range(count):
        log = chosen(log.append((f"c{slot}",)).node, slot)
    return log


# On the leader's word.


def test_who_voted_under_the_leaders_ballot_takes_its_word() -> None:
    step = hear(after(new_log(), "B", AcceptIn(0, TEA)), "B", ChosenBelow(B1, 1))
    assert step.events == (EntryChosen(0, TEA),)
    assert step.messages == ()


def test_who_voted_under_another_ballot_asks_for_the_entry_itself() -> None:
    step = hear(after(new_log(), "B", AcceptIn(0, TEA)), "C", ChosenBelow(C1, 1))
    assert step.events == ()
    assert said(step, Learn, to="C") == [Learn(0)]


def test_the_leaders_word_reaches_to_the_first_vote_that_is_missing() -> None:
    log = after(new_log(), "B", AcceptIn(0, TEA), AcceptIn(2, TEA))
    step = hear(log, "B", ChosenBelow(B1, 3))
    assert step.events == (EntryChosen(0, TEA),)
    assert said(step, Learn, to="B") == [Learn(1)]
    assert len(hear(step.node, "B", Decisions(1, (TEA,), 3)).events) == 2


def test_a_leader_tells_the_others_at_once_what_is_chosen() -> None:
    log = vote(leading().append(("tea",)).node, "A", 0).node
    step = vote(log, "B", 0)
    assert said(step, ChosenBelow, to="B") == said(step, ChosenBelow, to="C")
    assert said(step, ChosenBelow, to="C") == [ChosenBelow(A1, 1)]
    assert said(step, ChosenBelow, to="A") == []


def test_a_leader_says_so_again_with_each_round() -> None:
    assert said(knowing(2).send_again(), ChosenBelow, to="C") == [ChosenBelow(A1, 2)]


def test_a_leader_that_learns_from_a_higher_ballot_says_nothing_under_its_own() -> None:
    log = leading().append(("own",)).node
    step = hear(log, "B", Decisions(0, (Proposal(B2, commands("tea")),), 1))
    assert not step.node.leads
    assert said(step, ChosenBelow) == []


def test_a_leader_that_learns_from_a_lower_ballot_goes_on() -> None:
    """What was chosen there is what it proposes itself (P2b)."""
    log = leading().append(("own",)).node
    lower = Proposal(A1._replace(number=0), commands("own"))
    step = hear(log, "B", Decisions(0, (lower,), 1))
    assert step.node.leads
    assert said(step, ChosenBelow, to="C") == [ChosenBelow(A1, 1)]


# By asking.


def test_decisions_are_taken_whoever_tells_them() -> None:
    step = hear(new_log(), "C", Decisions(0, (TEA, MILK), 2))
    assert [event for event in step.events if isinstance(event, EntryChosen)] == [
        EntryChosen(0, TEA),
        EntryChosen(1, MILK),
    ]
    assert step.messages == ()


def test_who_was_told_a_part_asks_for_the_rest() -> None:
    assert said(hear(new_log(), "C", Decisions(0, (TEA,), 9)), Learn, to="C") == [Learn(1)]


def test_decisions_known_already_change_nothing() -> None:
    log = after(new_log(), "C", Decisions(0, (TEA, MILK), 2))
    assert hear(log, "B", Decisions(0, (TEA, MILK), 2)).events == ()


def test_two_decisions_in_one_slot_are_damage() -> None:
    log = after(new_log(), "C", Decisions(1, (TEA,), 0))
    with pytest.raises(ConflictError):
        hear(log, "C", Decisions(1, (MILK,), 0))


def test_a_vote_at_or_above_a_decision_with_another_value_is_damage() -> None:
    log = after(new_log(), "C", AcceptIn(0, MILK))
    with pytest.raises(ConflictError):
        hear(log, "B", Decisions(0, (TEA,), 1))


def test_one_question_is_under_way_until_an_answer_came() -> None:
    log = new_log()
    first = hear(log, "B", ChosenBelow(B1, 3))
    assert len(said(first, Learn)) == 1
    second = hear(first.node, "C", ChosenBelow(B1, 4))
    assert said(second, Learn) == []
    third = hear(second.node, "B", Decisions(0, (TEA,), 3))
    assert len(said(third, Learn)) == 1


def test_who_is_told_of_nothing_new_does_not_ask() -> None:
    assert hear(new_log(), "B", ChosenBelow(B1, 0)).messages == ()


def test_who_asks_is_told_as_much_as_one_message_holds() -> None:
    step = hear(knowing(5), "C", Learn(1))
    (decisions,) = said(step, Decisions, to="C")
    assert (decisions.slot, decisions.chosen_below) == (1, 5)
    assert len(decisions.proposals) == SMALL.page


def test_who_asks_for_what_is_forgotten_is_answered_from_the_disk() -> None:
    log = knowing(5).persist_began().persist_ended().node
    assert hear(log, "C", Learn(1)).events == (EntriesWanted("C", 1),)


@pytest.mark.parametrize("slot", [5, 9, -1])
def test_who_asks_for_what_nobody_knows_gets_no_answer(slot: int) -> None:
    step = hear(knowing(5), "C", Learn(slot))
    assert (step.messages, step.events) == ((), ())


def test_only_so_much_is_learned_at_once_as_is_remembered() -> None:
    many = tuple(TEA for _ in range(100))
    step = hear(new_log(), "C", Decisions(0, many, 100))
    assert step.node.chosen_below == SMALL.reach
    assert said(step, Learn, to="C") == [Learn(SMALL.reach)]


# In a world.


def test_a_node_that_is_hundreds_of_slots_behind_catches_up_within_4_windows() -> None:
    world = LogWorld("ABC", limits=Limits[str]())
    leader = world.elect()
    away = next(node_id for node_id in "ABC" if node_id != leader)
    world.crash(away)
    for n in range(400):
        world.append(leader, f"c{n}")
        world.run(0.06)
    world.run(1)
    assert len(world.applied[leader]) > 300
    world.start(away)
    world.run(1)
    assert world.run(4, until=lambda: world.commands(away) == world.commands(leader))


def test_lost_answers_are_asked_for_again() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    away = next(node_id for node_id in "ABC" if node_id != leader)
    world.crash(away)
    for n in range(50):
        world.append(leader, f"c{n}")
        world.run(0.1)
    world.loss = 0.5
    world.start(away)
    assert world.run(60, until=lambda: world.commands(away) == world.commands(leader))


def test_a_decision_in_a_hole_is_told_by_whoever_was_asked_to_vote() -> None:
    log = after(new_log(), "B", Decisions(1, (TEA,), 0))
    step = hear(log, "C", AcceptIn(1, Proposal(C1, NO_OP)))
    assert said(step, Decisions, to="C") == [Decisions(1, (TEA,), 0)]
