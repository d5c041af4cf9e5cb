"""A node with heartbeats, one fact at a time: what it says, to whom, and what it reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from core.cluster import A1, A2, B1, B2, C1, MAJORITY_OF_3, envelope, identity
from paxos import (
    NO_PROPOSAL,
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    BallotLost,
    Chosen,
    DurableState,
    Envelope,
    EnvelopeRefused,
    Event,
    FaultError,
    Heartbeat,
    HeartbeatAnswer,
    HeartbeatNode,
    Identity,
    LeaderChanged,
    LeadershipAcquired,
    LeadershipLost,
    Machine,
    Nack,
    Phase,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Propose,
    Quorums,
    Request,
    Step,
    Stopped,
    Tick,
    Timing,
    ValueChosen,
)
from paxos.heartbeat import Stance
from paxos.machine import PersistBegan, PersistEnded, PersistFailed

AnyNode: TypeAlias = HeartbeatNode[Any]
AnyStep: TypeAlias = Step[AnyNode, Any]
AnyMachine: TypeAlias = Machine[AnyNode, DurableState[Any], Any]

TIMING = Timing(interval=1.0, window=6.0, backoff=0.5)
WINDOW = TIMING.window
NOW = 100.0


def new_node(durable: DurableState[Any] | None = None) -> AnyNode:
    """A, just started."""
    return HeartbeatNode[Any].recover(identity("A"), MAJORITY_OF_3, durable, timing=TIMING, now=NOW)


def hear(node: AnyNode, sender: str, message: Any, now: float = NOW) -> AnyStep:
    return node.step(envelope(sender, "A", message), now)


def asking(node: AnyNode) -> AnyNode:
    return replace(node, heartbeats=node.heartbeats.ask(NOW).heartbeats)


def challenging(durable: DurableState[Any] | None = None) -> AnyNode:
    """A, which has just begun a ballot, 1.A unless its disk knows a higher one."""
    node = asking(new_node(durable))
    node = hear(node, "B", HeartbeatAnswer(NO_PROPOSAL, NOW)).node
    return hear(node, "C", HeartbeatAnswer(NO_PROPOSAL, NOW)).node


def leading() -> AnyNode:
    """A, which B and C have just promised 1.A."""
    node = hear(challenging(), "B", Promise(A1, NOTHING_ACCEPTED)).node
    return hear(node, "C", Promise(A1, NOTHING_ACCEPTED)).node


def following(leader: ProposalID = B1) -> AnyNode:
    return hear(new_node(), leader.node_id, Heartbeat(leader, 7.0)).node


def decided() -> AnyNode:
    return hear(new_node(), "B", Chosen(Proposal(B1, "value"))).node


def said(step: AnyStep, kind: type) -> list[tuple[str, Any]]:
    """What of this kind is said, and to whom."""
    return [(e.recipient, e.message) for e in step.messages if isinstance(e.message, kind)]


def kinds(messages: Iterable[Envelope[Any]]) -> set[type]:
    return {type(envelope.message) for envelope in messages}


def to_all(message: Any) -> list[tuple[str, Any]]:
    return [(member, message) for member in "ABC"]


# Becoming the leader.


def test_a_node_asks_everybody_itself_among_them() -> None:
    node = new_node()
    assert node.deadline is not None
    step = node.step(Tick(), node.deadline)
    assert said(step, Heartbeat) == to_all(Heartbeat(NO_PROPOSAL, node.deadline))


def test_with_leave_of_a_quorum_it_begins_a_ballot() -> None:
    node = hear(asking(new_node()), "B", HeartbeatAnswer(NO_PROPOSAL, NOW)).node
    step = hear(node, "C", HeartbeatAnswer(NO_PROPOSAL, NOW))
    assert said(step, Prepare) == to_all(Prepare(A1))
    assert step.node.node.proposer.phase is Phase.PREPARING


def test_a_proposal_makes_it_ask_at_once() -> None:
    step = new_node().step(Propose("value"), NOW)
    assert said(step, Heartbeat) == to_all(Heartbeat(NO_PROPOSAL, NOW))


def test_a_ballot_begins_above_the_leader_that_an_answer_named() -> None:
    node = hear(asking(new_node()), "B", HeartbeatAnswer(ProposalID(7, "C"), NOW)).node
    node = hear(node, "B", HeartbeatAnswer(NO_PROPOSAL, NOW)).node
    step = hear(node, "C", HeartbeatAnswer(NO_PROPOSAL, NOW))
    assert said(step, Prepare) == to_all(Prepare(ProposalID(8, "A")))


def test_a_ballot_begins_above_a_leader_that_was_heard() -> None:
    late = NOW + 9 * WINDOW
    node = following(ProposalID(7, "C")).step(Tick(), late).node
    node = hear(node, "B", HeartbeatAnswer(NO_PROPOSAL, late), late).node
    step = hear(node, "A", HeartbeatAnswer(NO_PROPOSAL, late), late)
    assert said(step, Prepare) == to_all(Prepare(ProposalID(8, "A")))


def test_it_repeats_its_prepare_while_it_challenges() -> None:
    step = challenging().step(Tick(), NOW + TIMING.interval)
    assert [(e.recipient, e.message) for e in step.messages] == to_all(Prepare(A1))


def test_with_a_quorum_of_promises_it_leads_and_says_so() -> None:
    node = hear(challenging(), "B", Promise(A1, NOTHING_ACCEPTED)).node
    step = hear(node, "C", Promise(A1, NOTHING_ACCEPTED))
    assert said(step, Heartbeat) == to_all(Heartbeat(A1, NOW))
    assert step.events == (LeadershipAcquired(A1), LeaderChanged(A1))


def test_it_proposes_its_value_once_as_it_comes_to_lead() -> None:
    node = challenging().step(Propose("value"), NOW).node
    node = hear(node, "B", Promise(A1, NOTHING_ACCEPTED)).node
    step = hear(node, "C", Promise(A1, NOTHING_ACCEPTED))
    assert said(step, Accept) == to_all(Accept(Proposal(A1, "value")))


def test_a_third_promise_makes_it_lead_no_second_time() -> None:
    step = hear(leading(), "A", Promise(A1, NOTHING_ACCEPTED))
    assert (step.messages, step.events) == ((), ())


def test_a_leader_repeats_its_accept_in_each_round() -> None:
    node = leading().step(Propose("value"), NOW).node
    step = node.step(Tick(), NOW + TIMING.interval)
    assert said(step, Accept) == to_all(Accept(Proposal(A1, "value")))


# Losing it, each way with its event.


def lost(step: AnyStep) -> tuple[Event[Any], ...]:
    assert step.node.heartbeats.stance is Stance.FOLLOWING
    assert step.node.node.proposer.phase is Phase.IDLE
    return step.events


def test_a_leader_that_hears_a_higher_one_reports_lost_then_changed() -> None:
    step = hear(leading(), "B", Heartbeat(B1, 7.0))
    assert lost(step) == (
        LeadershipLost(A1, "another node leads under a higher ID"),
        LeaderChanged(B1),
    )


def test_a_leader_that_a_quorum_refuses_reports_its_ballot_then_leadership_lost() -> None:
    node = hear(leading(), "B", Nack(A1, C1)).node
    assert node.heartbeats.stance is Stance.LEADING
    assert lost(hear(node, "C", Nack(A1, C1))) == (
        BallotLost(A1, C1),
        LeadershipLost(A1, "a quorum refuses it"),
        LeaderChanged(NO_PROPOSAL),
    )


def test_a_leader_with_a_persist_overdue_reports_lost() -> None:
    node = leading().step(PersistBegan(), NOW).node
    assert lost(node.step(Tick(), NOW + WINDOW)) == (
        LeadershipLost(A1, "its disk takes too long"),
        LeaderChanged(NO_PROPOSAL),
    )


def test_a_leader_whose_persist_failed_reports_lost() -> None:
    assert lost(leading().step(PersistFailed(), NOW)) == (
        LeadershipLost(A1, "its disk failed"),
        LeaderChanged(NO_PROPOSAL),
    )


def test_a_leader_that_no_quorum_follows_reports_lost() -> None:
    assert lost(leading().step(Tick(), NOW + WINDOW)) == (
        LeadershipLost(A1, "no quorum follows it"),
        LeaderChanged(NO_PROPOSAL),
    )


def test_a_machine_whose_disk_fails_reports_lost_before_it_stops() -> None:
    machine: AnyMachine = Machine(leading(), NOW)
    machine.failed(FaultError("no space left"))
    told = [type(event) for event in machine.ready().events]
    assert told == [LeadershipLost, LeaderChanged, Stopped]


def test_leadership_is_lost_once() -> None:
    step = leading().step(Tick(), NOW + WINDOW)
    assert hear(step.node, "B", Nack(A1, C1), NOW + WINDOW).events == ()
    assert step.node.step(Tick(), NOW + WINDOW).events == ()


def test_a_challenger_that_a_quorum_refuses_reports_its_ballot_lost_and_no_leadership() -> None:
    node = hear(challenging(), "B", Nack(A1, C1)).node
    assert lost(hear(node, "C", Nack(A1, C1))) == (BallotLost(A1, C1),)


def test_a_challenger_that_nobody_answers_ends_its_ballot() -> None:
    assert lost(challenging().step(Tick(), NOW + WINDOW)) == ()


def test_promises_that_come_after_a_challenge_ended_do_not_make_a_leader() -> None:
    node = challenging().step(Tick(), NOW + WINDOW).node
    for sender in "ABC":
        node = hear(node, sender, Promise(A1, NOTHING_ACCEPTED), NOW + WINDOW).node
    assert node.heartbeats.stance is Stance.FOLLOWING


# Following.


def test_a_follower_reports_its_leader_once() -> None:
    step = hear(new_node(), "B", Heartbeat(B1, 7.0))
    assert step.events == (LeaderChanged(B1),)
    assert hear(step.node, "B", Heartbeat(B1, 8.0)).events == ()


def test_a_follower_reports_that_it_hears_its_leader_no_more() -> None:
    step = following().step(Tick(), NOW + WINDOW)
    assert step.events == (LeaderChanged(NO_PROPOSAL),)


def test_a_follower_with_a_proposal_that_hears_its_leader_no_more_reports_it_as_it_asks() -> None:
    step = following().step(Propose("value"), NOW + WINDOW)
    assert step.events == (LeaderChanged(NO_PROPOSAL),)
    assert kinds(step.messages) == {Heartbeat}


def test_a_follower_answers_its_leader_only() -> None:
    step = hear(new_node(), "B", Heartbeat(B1, 7.0))
    assert [(e.recipient, e.message) for e in step.messages] == [("B", HeartbeatAnswer(B1, 7.0))]


def test_a_node_holds_back_when_its_acceptor_promises_another_ballot() -> None:
    node = new_node()
    late = NOW + WINDOW
    assert hear(node, "B", Prepare(B1), late).node.deadline == late + WINDOW + TIMING.delay("A", 0)


def test_a_node_does_not_hold_back_for_a_ballot_that_it_refuses() -> None:
    node = new_node(DurableState(promised=B2))
    assert hear(node, "B", Prepare(B1), NOW + WINDOW).node.deadline == node.deadline


def test_a_node_whose_persist_is_overdue_answers_no_heartbeat_until_it_ends() -> None:
    hung = new_node().step(PersistBegan(), NOW).node
    late = NOW + WINDOW
    assert hear(hung, "B", Heartbeat(B1, 7.0), late).messages == ()
    caught_up = hung.step(PersistEnded(), late).node
    assert said(hear(caught_up, "B", Heartbeat(B1, 7.0), late), HeartbeatAnswer)


# Values for the leader.


def test_a_follower_hands_its_value_to_the_leader_at_once() -> None:
    step = following().step(Propose("value"), NOW)
    assert ("B", Request("value")) in said(step, Request)


def test_a_follower_hands_its_value_over_again_in_each_round() -> None:
    node = following().step(Propose("value"), NOW).node
    for began in (8.0, 9.0):
        assert ("B", Request("value")) in said(hear(node, "B", Heartbeat(B1, began)), Request)


def test_a_follower_hands_its_value_to_the_next_leader_too() -> None:
    node = following().step(Propose("value"), NOW).node
    assert ("C", Request("value")) in said(hear(node, "C", Heartbeat(C1, 8.0)), Request)


def test_a_follower_hands_its_value_to_a_leader_that_is_no_member() -> None:
    step = following(ProposalID(1, "outside")).step(Propose("value"), NOW)
    assert ("outside", Request("value")) in said(step, Request)


def test_a_follower_without_a_value_hands_nothing_over() -> None:
    assert said(hear(following(), "B", Heartbeat(B1, 8.0)), Request) == []


def test_a_leader_with_no_value_proposes_one_handed_to_it() -> None:
    step = hear(leading(), "B", Request("of B"))
    assert said(step, Accept) == to_all(Accept(Proposal(A1, "of B")))


def test_a_leader_with_a_value_of_its_own_keeps_it() -> None:
    node = leading().step(Propose("of A"), NOW).node
    step = hear(node, "B", Request("of B"))
    assert step.messages == ()
    assert step.node.node.proposer.value == "of A"


def test_a_leader_hands_its_value_to_nobody_not_even_to_itself() -> None:
    step = leading().step(Propose("of A"), NOW)
    assert said(step, Request) == []
    assert said(hear(step.node, "A", Heartbeat(A1, NOW)), Request) == []


@pytest.mark.parametrize("value", [0, "", b"", None, False, ()], ids=repr)
def test_a_value_that_looks_like_nothing_is_handed_over_like_any_other(value: Any) -> None:
    assert ("B", Request(value)) in said(following().step(Propose(value), NOW), Request)


# Once it is decided.


def test_a_decided_node_has_no_deadline() -> None:
    assert new_node().deadline is not None
    assert decided().deadline is None


def test_a_decided_node_does_nothing_at_a_tick() -> None:
    assert decided().step(Tick(), NOW + 99) == Step(decided())


@pytest.mark.parametrize(
    "message",
    [
        Heartbeat(NO_PROPOSAL, 7.0),
        Heartbeat(B2, 7.0),
        Request("late"),
        Prepare(B2),
        Accept(Proposal(B2, "value")),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_decided_node_tells_whoever_asks(message: Any) -> None:
    step = hear(decided(), "C", message)
    told = [(e.recipient, e.message) for e in step.messages]
    assert told == [("C", Chosen(Proposal(B1, "value")))]


@pytest.mark.parametrize(
    "message",
    [
        HeartbeatAnswer(NO_PROPOSAL, NOW),
        Promise(A1, NOTHING_ACCEPTED),
        Accepted(Proposal(B1, "value")),
        Nack(A1, B1),
        Chosen(Proposal(B1, "value")),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_decided_node_is_silent_to_answers(message: Any) -> None:
    step = hear(decided(), "C", message)
    assert (step.messages, step.events) == ((), ())


def test_a_decided_node_is_silent_to_itself() -> None:
    assert hear(decided(), "A", Heartbeat(NO_PROPOSAL, 7.0)).messages == ()


def test_a_decided_node_proposes_nothing() -> None:
    assert decided().step(Propose("late"), NOW) == Step(decided())


def test_a_decided_node_whose_disk_hangs_tells_all_the_same() -> None:
    hung = decided().step(PersistBegan(), NOW).node
    assert kinds(hear(hung, "C", Heartbeat(NO_PROPOSAL, 7.0), NOW + 99).messages) == {Chosen}


def test_a_leader_that_counts_a_quorum_of_votes_reports_the_choice_and_no_loss() -> None:
    node = leading().step(Propose("value"), NOW).node
    node = hear(node, "B", Accepted(Proposal(A1, "value"))).node
    step = hear(node, "C", Accepted(Proposal(A1, "value")))
    assert step.events == (ValueChosen(Proposal(A1, "value")),)
    assert step.node.deadline is None


# Restarts.


def test_a_restarted_node_follows_nobody_and_leads_nothing() -> None:
    node = new_node(leading().durable)
    assert node.heartbeats.stance is Stance.FOLLOWING
    assert node.node.proposer.phase is Phase.IDLE


def test_a_restarted_node_never_resumes_an_old_ballot() -> None:
    node = new_node(challenging().durable)
    for sender in "BC":
        step = hear(node, sender, Promise(A1, NOTHING_ACCEPTED))
        assert (step.messages, step.events) == ((), ())
        node = step.node


def test_a_restarted_node_takes_no_answer_to_an_earlier_run_for_leave() -> None:
    node = new_node()
    for sender in "ABC":
        node = hear(node, sender, HeartbeatAnswer(NO_PROPOSAL, NOW)).node
    assert node.heartbeats.stance is Stance.FOLLOWING


def test_a_restarted_node_begins_above_its_old_ballots() -> None:
    assert challenging(challenging().durable).node.proposer.ballot == A2


def test_of_the_heartbeats_nothing_is_durable() -> None:
    assert leading().durable == DurableState(ballot=1)


def test_a_restarted_node_has_forgotten_the_decision_and_its_value() -> None:
    node = new_node(decided().durable)
    assert (node.chosen, node.node.proposer.value) == (NOTHING_CHOSEN, NO_VALUE)


# What is not meant for it.


@pytest.mark.parametrize(
    "message",
    [Heartbeat(B1, 7.0), HeartbeatAnswer(NO_PROPOSAL, NOW), Request("of B")],
    ids=lambda message: type(message).__name__,
)
@pytest.mark.parametrize("node", [new_node(), leading(), decided()], ids=["new", "leads", "done"])
def test_an_envelope_of_another_cluster_is_refused_unread(node: AnyNode, message: Any) -> None:
    stranger = Identity("another", "B", "first")
    step = node.step(Envelope(stranger, "A", message), NOW)
    (event,) = step.events
    assert isinstance(event, EnvelopeRefused)
    assert (step.node, step.messages) == (node, ())


def test_a_member_that_lost_its_disk_is_not_followed() -> None:
    anew = Identity("test", "B", "second")
    step = following().step(Envelope(anew, "A", Heartbeat(B2, 8.0)), NOW)
    assert step.node.heartbeats.follows(NOW) == B1


def test_a_request_to_a_node_that_does_not_lead_is_not_proposed() -> None:
    assert hear(challenging(), "B", Request("of B")).messages == ()


def test_a_node_knows_its_id() -> None:
    assert new_node().node_id == "A"


def test_a_member_alone_elects_itself() -> None:
    alone = Quorums.majority(["A"])
    node = HeartbeatNode[Any].recover(identity("A"), alone, timing=TIMING, now=NOW)
    step = node.step(Propose("value"), NOW)
    step = hear(step.node, "A", HeartbeatAnswer(NO_PROPOSAL, NOW))
    assert said(step, Prepare) == [("A", Prepare(A1))]


# A persist older than the liveness window ends leadership; one that is younger does not.


def test_a_persist_younger_than_a_window_is_not_overdue() -> None:
    machine: AnyMachine = Machine(new_node(), NOW)
    machine.receive(envelope("B", "A", Prepare(B1)), NOW)
    assert machine.ready().persist is not None  # from NOW on
    machine.receive(envelope("B", "A", Prepare(B2)), NOW + 1)
    machine.persisted()  # at NOW + 5, which a tick tells the machine
    machine.receive(Tick(), NOW + 5)
    assert machine.ready().persist is not None  # from NOW + 5 on
    machine.receive(envelope("C", "A", Heartbeat(NO_PROPOSAL, 7.0)), NOW + 8)
    assert kinds(machine.ready().send) == {HeartbeatAnswer}


def test_a_leader_that_knows_the_decision_tells_it_to_who_prepares() -> None:
    node = leading().step(Propose("value"), NOW).node
    node = hear(node, "B", Accepted(Proposal(A1, "value"))).node
    node = hear(node, "C", Accepted(Proposal(A1, "value"))).node
    late = NOW + 5 * WINDOW
    step = node.step(envelope("B", "A", Prepare(B2)), late)
    assert said(step, Chosen) == [("B", Chosen(Proposal(A1, "value")))]
