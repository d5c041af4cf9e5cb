"""What a leader proposes, where, and when: batches, holes, and never beyond the window."""

from __future__ import annotations

import pytest

from log.by_hand import (
    B1,
    after,
    chosen,
    commands,
    leading,
    new_log,
    page,
    proposed,
    said,
    vote,
)
from log.log_world import SMALL
from paxos import MisuseError, Proposal
from paxos.log.entries import NO_OP, Commands
from paxos.log.events import CommandsRefused
from paxos.log.limits import ENTRY_WEIGHT, Limits, weigh_bytes
from paxos.log.messages import AcceptIn


def full(count: int = SMALL.window) -> list[str]:
    return [f"c{n}" for n in range(count)]


def test_commands_that_come_together_share_a_slot() -> None:
    assert proposed(leading().append(("tea", "milk"))) == {0: commands("tea", "milk")}


def test_a_batch_has_so_many_commands_at_most() -> None:
    step = leading().append(tuple("abcd"))
    assert proposed(step) == {0: commands("a", "b", "c"), 1: commands("d")}


def test_a_batch_weighs_so_much_at_most() -> None:
    limits = Limits[bytes](batch_weight=4, queue_weight=100)
    log: object = leading(new_log(limits=limits))  # type: ignore[arg-type] # bytes here
    step = log.append((b"ab", b"cd", b"e"))  # type: ignore[attr-defined] # as above
    assert proposed(step) == {0: Commands((b"ab", b"cd")), 1: Commands((b"e",))}


def test_nothing_is_proposed_beyond_the_window() -> None:
    log = leading()
    for command in full(SMALL.window + 3):
        log = log.append((command,)).node
    assert log.next_slot == SMALL.window
    assert log.queue == ("c4", "c5", "c6")


def test_what_waited_for_the_window_shares_slots_once_there_is_room() -> None:
    log = leading()
    for command in full(SMALL.window + 3):
        log = log.append((command,)).node
    log = chosen(log, 0, voters="A")
    step = vote(log, "B", 0)
    assert proposed(step) == {SMALL.window: commands("c4", "c5", "c6")}
    assert step.node.queue == ()


def test_holes_below_what_others_accepted_are_filled_with_nothing() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log, accepted={2: Proposal(B1, commands("tea"))}))
    log = after(log, "B", page(log))
    assert [node.proposer.proposal for node in log.window.nodes] == [
        Proposal(log.ballot, NO_OP),
        Proposal(log.ballot, NO_OP),
        Proposal(log.ballot, commands("tea")),
    ]


def test_an_idle_leader_proposes_nothing() -> None:
    log = leading()
    assert log.window.nodes == ()
    assert said(log.send_again(), AcceptIn) == []


def test_while_a_persist_is_under_way_less_than_a_batch_waits_for_it() -> None:
    log = leading().persist_began()
    step = log.append(("a",))
    assert proposed(step) == {}
    step = step.node.append(("b",))
    assert proposed(step.node.persist_ended()) == {0: commands("a", "b")}


def test_while_a_persist_is_under_way_a_full_batch_is_proposed() -> None:
    assert proposed(leading().persist_began().append(tuple("abc"))) == {0: commands("a", "b", "c")}


def test_what_was_proposed_is_sent_again_to_who_has_not_voted_after_one_more_round() -> None:
    log = leading().append(("tea",)).node
    first = log.send_again()
    assert said(first, AcceptIn) == []
    log = chosen(first.node, 0, voters="B")
    again = log.send_again()
    assert said(again, AcceptIn, to="B") == []
    assert len(said(again, AcceptIn, to="C")) == 1


def test_who_does_not_lead_refuses_commands() -> None:
    (refused,) = new_log().append(("tea",)).events
    assert refused == CommandsRefused(("tea",), "this node does not lead")


def test_more_commands_than_the_queue_holds_are_refused() -> None:
    step = leading().append(tuple(map(str, range(SMALL.queue + 1))))
    (refused,) = step.events
    assert isinstance(refused, CommandsRefused)
    assert len(refused.commands) == SMALL.queue + 1
    assert step.node.queue == ()


def test_a_command_that_no_batch_could_hold_is_refused() -> None:
    limits = Limits[str](batch_weight=1, queue_weight=9, weigh=len)
    (refused,) = leading(new_log(limits=limits)).append(("tea",)).events
    assert refused == CommandsRefused(("tea",), "a command is too large")


def test_what_waits_is_refused_when_leadership_ends_and_what_was_proposed_is_not() -> None:
    log = leading().persist_began().append(tuple("abcd")).node.abandon()
    step = log.drop_queue()
    assert step.events == (CommandsRefused(("d",), "this node leads no more"),)


@pytest.mark.parametrize(
    "limits", [{"window": 0}, {"batch": 0}, {"page": 0}, {"queue": 0}, {"queue_weight": 1}]
)
def test_a_limit_that_leaves_no_room_is_misuse(limits: dict[str, int]) -> None:
    with pytest.raises(MisuseError):
        Limits[str](**limits)


def test_commands_of_bytes_weigh_their_length_and_others_one() -> None:
    assert weigh_bytes(b"abc") == 3
    assert weigh_bytes("abc") == 1
    assert Limits[bytes]().weight(Commands((b"abc", b"d"))) == ENTRY_WEIGHT + 4
    assert Limits[bytes]().weight(NO_OP) == ENTRY_WEIGHT
