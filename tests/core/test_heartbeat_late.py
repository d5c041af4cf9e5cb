"""What comes too late, and what is said to those who ask: unit facts about `Heartbeats`."""

from __future__ import annotations

from typing import Any

import pytest

from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    DurableState,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    HeartbeatNode,
    Heartbeats,
    Identity,
    Machine,
    MisuseError,
    Node,
    Prepare,
    Promise,
    ProposalID,
    Propose,
    Quorums,
    Request,
    Tick,
    Timing,
)
from paxos.heartbeat import MAX_PATIENCE, Stance

QUORUMS = Quorums.majority("ABC")
TIMING = Timing(interval=1.0, window=6.0, backoff=1.0)
WINDOW = TIMING.window
NOW = 100.0
A1, A2, B1, C2 = ProposalID(1, "A"), ProposalID(2, "A"), ProposalID(1, "B"), ProposalID(2, "C")


def following(now: float = NOW) -> Heartbeats:
    state = Heartbeats.begin("A", QUORUMS, TIMING, now)
    return state.receive_heartbeat(Heartbeat(B1, 1.0), NO_PROPOSAL, now).heartbeats


def challenging() -> Heartbeats:
    state = Heartbeats.begin("A", QUORUMS, TIMING, NOW).ask(NOW).heartbeats
    for member in "BC":
        state = state.receive_answer(member, HeartbeatAnswer(NO_PROPOSAL, NOW), NOW).heartbeats
    return state.challenge_with(A1)


def test_its_own_ballot_is_not_too_late_while_it_lasts() -> None:
    assert not challenging().ignores(A1, NOW)


def test_a_prepare_of_a_ballot_that_it_has_ended_is_too_late() -> None:
    assert challenging().ignores(ProposalID(0, "A"), NOW)
    assert challenging().end_ballot("lost", NOW).heartbeats.ignores(A1, NOW)


def test_while_a_leader_is_new_a_higher_ballot_belongs_to_a_duel() -> None:
    assert not following().ignores(C2, NOW + WINDOW - 0.1)


def test_once_a_leader_is_settled_another_ballot_is_too_late() -> None:
    state = following().receive_heartbeat(Heartbeat(B1, 2.0), NO_PROPOSAL, NOW + 3).heartbeats
    assert state.ignores(C2, NOW + WINDOW)


def test_a_settled_leaders_own_prepare_is_not_too_late() -> None:
    state = following().receive_heartbeat(Heartbeat(B1, 2.0), NO_PROPOSAL, NOW + 3).heartbeats
    assert not state.ignores(B1, NOW + WINDOW)


def test_without_a_leader_no_foreign_ballot_is_too_late() -> None:
    assert not following().ignores(C2, NOW + WINDOW)  # nothing heard for a window
    assert not Heartbeats.begin("A", QUORUMS, TIMING, NOW).ignores(C2, NOW)


def test_another_leader_is_new_again() -> None:
    state = following().receive_heartbeat(Heartbeat(C2, 9.0), NO_PROPOSAL, NOW + 5).heartbeats
    assert not state.ignores(ProposalID(3, "B"), NOW + WINDOW)
    assert state.ignores(ProposalID(3, "B"), NOW + 5 + WINDOW) is False  # silent since


def test_a_leader_is_settled_a_window_after_it_began() -> None:
    state = challenging().lead(NOW).heartbeats
    assert not state.ignores(C2, NOW + WINDOW - 0.1)
    assert state.ignores(C2, NOW + WINDOW)


def test_a_leaders_older_round_prolongs_nothing() -> None:
    state = following().receive_heartbeat(Heartbeat(B1, 5.0), NO_PROPOSAL, NOW + 1).heartbeats
    assert state.leader_until == NOW + 1 + WINDOW
    assert state.receive_heartbeat(Heartbeat(B1, 4.0), NO_PROPOSAL, NOW + 5).heartbeats == state


def test_a_round_of_a_leader_that_was_given_up_does_not_bring_it_back() -> None:
    """A network may hold back, or repeat, the heartbeats of a node that died long ago."""
    given_up = following().tick(NOW + WINDOW).heartbeats
    assert given_up.leader == NO_PROPOSAL
    late = given_up.receive_heartbeat(Heartbeat(B1, 1.0), NO_PROPOSAL, NOW + WINDOW).heartbeats
    assert late == given_up


def test_a_new_round_of_a_leader_that_was_given_up_brings_it_back() -> None:
    given_up = following().tick(NOW + WINDOW).heartbeats
    back = given_up.receive_heartbeat(Heartbeat(B1, 2.0), NO_PROPOSAL, NOW + WINDOW).heartbeats
    assert back.follows(NOW + WINDOW) == B1


@pytest.mark.parametrize("attempt", [0, 1, 3, MAX_PATIENCE, MAX_PATIENCE + 5])
def test_each_challenge_is_given_a_window_more_than_the_last(attempt: int) -> None:
    state = Heartbeats.begin("A", QUORUMS, TIMING, NOW)
    for _ in range(attempt):
        state = state.end_ballot("lost", NOW).heartbeats
    state = state.ask(NOW).heartbeats
    for member in "BC":
        state = state.receive_answer(member, HeartbeatAnswer(NO_PROPOSAL, NOW), NOW).heartbeats
    assert state.stance is Stance.CHALLENGING
    assert state.challenge_at == NOW + WINDOW * min(1 + attempt, MAX_PATIENCE)
    assert state.round_at == NOW + TIMING.interval


def test_a_leader_has_no_challenge_under_way() -> None:
    assert challenging().lead(NOW).heartbeats.challenge_at == float("inf")


def test_a_ballot_that_has_ended_is_forgotten() -> None:
    assert challenging().end_ballot("lost", NOW).heartbeats.ballot == NO_PROPOSAL


def test_a_leader_below_the_one_that_is_heard_is_not_followed() -> None:
    state = following().receive_heartbeat(Heartbeat(C2, 2.0), NO_PROPOSAL, NOW).heartbeats
    beat = state.receive_heartbeat(Heartbeat(B1, 3.0), NO_PROPOSAL, NOW + 1)
    assert (beat.heartbeats, beat.answer) == (state, HeartbeatAnswer(C2, 3.0))


def test_an_asker_whose_disk_hangs_does_not_challenge() -> None:
    state = Heartbeats.begin("A", QUORUMS, TIMING, NOW).ask(NOW).heartbeats
    state = state.persist_began(NOW - WINDOW)
    for member in "BC":
        beat = state.receive_answer(member, HeartbeatAnswer(NO_PROPOSAL, NOW), NOW)
        state = beat.heartbeats
        assert not beat.challenge
    assert state.stance is Stance.ASKING


# The node: who asks to lead and is told of a leader hands on its value.


def hear(node: HeartbeatNode[Any], sender: str, message: Any) -> Any:
    return node.step(Envelope(Identity("c", sender, "first"), "A", message), NOW)


def requests(step: Any) -> list[str]:
    return [each.recipient for each in step.messages if isinstance(each.message, Request)]


@pytest.fixture
def asking() -> HeartbeatNode[Any]:
    own = Identity("c", "A", "first")
    node = HeartbeatNode[Any].recover(own, QUORUMS, timing=TIMING, now=NOW)
    return node.step(Propose("value"), NOW).node


def test_who_is_told_of_a_leader_hands_its_value_to_who_told_it(asking: HeartbeatNode[Any]) -> None:
    assert requests(hear(asking, "C", HeartbeatAnswer(B1, NOW))) == ["C"]


def test_who_is_told_of_none_keeps_its_value(asking: HeartbeatNode[Any]) -> None:
    assert requests(hear(asking, "C", HeartbeatAnswer(NO_PROPOSAL, NOW))) == []


def test_who_does_not_ask_any_more_hands_nothing_on(asking: HeartbeatNode[Any]) -> None:
    for member in "BC":
        asking = hear(asking, member, HeartbeatAnswer(NO_PROPOSAL, NOW)).node
    assert requests(hear(asking, "B", HeartbeatAnswer(B1, NOW))) == []


def test_a_value_is_handed_on_with_each_new_round_and_not_with_a_repeated_one(
    asking: HeartbeatNode[Any],
) -> None:
    """A value may be large, and a network may repeat a heartbeat."""
    first = hear(asking, "B", Heartbeat(B1, 1.0))
    again = hear(first.node, "B", Heartbeat(B1, 1.0))
    newer = hear(again.node, "B", Heartbeat(B1, 2.0))
    assert [requests(step) for step in (first, again, newer)] == [["B", "C"], [], ["B", "C"]]


def test_a_value_is_not_handed_on_for_a_heartbeat_that_is_not_followed(
    asking: HeartbeatNode[Any],
) -> None:
    following_c = hear(asking, "C", Heartbeat(C2, 1.0)).node
    assert requests(hear(following_c, "B", Heartbeat(B1, 5.0))) == []


def test_a_late_prepare_is_not_promised_where_a_leader_is_settled(
    asking: HeartbeatNode[Any],
) -> None:
    followed = hear(asking, "B", Heartbeat(B1, 1.0)).node
    late = Envelope(Identity("c", "C", "first"), "A", Prepare(C2))
    round2 = Envelope(Identity("c", "B", "first"), "A", Heartbeat(B1, 2.0))
    settled = followed.step(round2, NOW + WINDOW - 1).node
    assert settled.step(late, NOW + WINDOW).messages == ()
    assert followed.step(late, NOW + 1).node.durable.promised == C2


# And a few facts about nodes and machines.


def test_a_node_that_never_ran_has_no_ballot() -> None:
    node: Node[str] = Node.recover(Identity("c", "A", "first"), QUORUMS, DurableState())
    assert node.proposer.ballot == NO_PROPOSAL


def test_a_promise_that_comes_twice_is_kept_once() -> None:
    node: Node[str] = Node.recover(Identity("c", "A", "first"), QUORUMS).propose("value").node
    promise: Envelope[Any] = Envelope(
        Identity("c", "B", "first"), "A", Promise(A1, NOTHING_ACCEPTED)
    )
    assert node.receive(promise).node.receive(promise).node.proposer.promised_by == ("B",)


def test_no_instant_lies_in_infinity() -> None:
    machine: Machine[Node[str], Any, str] = Machine(Node.recover(Identity("c", "A", "1"), QUORUMS))
    with pytest.raises(MisuseError, match="monotonic"):
        machine.receive(Tick(), float("inf"))


def test_a_prepare_that_was_accepted_here_gets_silence() -> None:
    from paxos import Accept, Proposal

    node: Node[str] = Node.recover(Identity("c", "A", "first"), QUORUMS)
    sender = Identity("c", "B", "first")
    node = node.receive(Envelope(sender, "A", Accept(Proposal(B1, "value")))).node
    assert node.receive(Envelope(sender, "A", Prepare(B1))).messages == ()
