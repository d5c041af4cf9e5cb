"""A node as a value: what comes out of it, and what must not. Rules that the paper leaves to us."""

from __future__ import annotations

from typing import Any

import pytest

from core.cluster import (
    A1,
    A2,
    A3,
    B1,
    B2,
    C1,
    C2,
    FALSY_VALUES,
    MAJORITY_OF_3,
    Cluster,
    Value,
    envelope,
    identity,
    new_node,
)
from core.roles import learner_with_votes, new_proposer, promise
from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    BallotLost,
    Chosen,
    Envelope,
    EnvelopeRefused,
    FaultError,
    Learner,
    MisuseError,
    Nack,
    Node,
    Phase,
    Prepare,
    Proposal,
    ProposalID,
    Propose,
    Proposer,
    Quorums,
    Stopped,
    Tick,
    ValueChosen,
)
from paxos.machine import Input, PersistBegan, PersistEnded, PersistFailed

CHOSEN: Proposal[Value] = Proposal(B1, "chosen")


def leading_node() -> Node[Value]:
    """Node A, with a phase-1 quorum behind its ballot and an Accept on its way."""
    node = new_node("A").propose("own").node
    for member in "BC":
        node = node.receive(envelope(member, "A", promise(A1))).node
    assert node.proposer.phase is Phase.LEADING
    return node


def deciding_node() -> Node[Value]:
    """Node A, which has been told of a choice."""
    return new_node("A").receive(envelope("B", "A", Chosen(CHOSEN))).node


# Proposing. ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", FALSY_VALUES, ids=repr)
def test_the_first_value_that_a_proposer_is_given_stays(first: Value) -> None:
    proposer, accept = new_proposer("A", first).propose("second")
    assert accept is None
    assert repr(proposer.value) == repr(first)


def test_a_leader_that_has_adopted_a_value_does_not_propose_its_own_as_well() -> None:
    """Within a ballot the value never changes, also if the leader is given one only now."""
    proposer: Proposer[Value] = Proposer("B", MAJORITY_OF_3, highest_seen=A1)
    proposer, _ = proposer.prepare()
    proposer, _ = proposer.receive_promise("A", promise(B2, Proposal(A1, "adopted")))
    proposer, accept = proposer.receive_promise("B", promise(B2))
    assert accept == Accept(Proposal(B2, "adopted"))
    proposer, second = proposer.propose("own")
    assert second is None
    assert proposer.unanswered == accept


def test_a_leader_without_a_value_proposes_the_first_it_is_given() -> None:
    node = new_node("A").prepare().node
    for member in "BC":
        node, messages, _ = node.receive(envelope(member, "A", promise(A1)))
        assert messages == ()
    step = node.propose("late")
    assert {e.message for e in step.messages} == {Accept(Proposal(A1, "late"))}
    assert [e.recipient for e in step.messages] == ["A", "B", "C"]


def test_proposing_begins_one_ballot_and_not_two() -> None:
    step = new_node("A").propose("value").node.propose("another")
    assert step.messages == ()
    assert step.node.proposer.ballot == A1


def test_who_leads_already_needs_no_other_ballot() -> None:
    step = leading_node().propose("another")
    assert step == (leading_node(), (), ())


def test_once_a_choice_is_known_proposing_does_nothing() -> None:
    """The application has been told, or asks `chosen`."""
    node = deciding_node()
    assert node.propose("late") == (node, (), ())
    assert node.request("late") == (node, (), ())


def test_a_request_sets_a_value_and_begins_no_ballot() -> None:
    step = new_node("A").request("value")
    assert step.messages == ()
    assert step.node.proposer.value == "value"
    assert step.node.proposer.phase is Phase.IDLE


def test_a_new_ballot_begins_above_the_newest_one_even_if_nothing_else_was_seen() -> None:
    assert Proposer("A", MAJORITY_OF_3, ballot=A2).prepare()[1] == Prepare(A3)


def test_a_new_ballot_begins_above_what_this_node_has_promised() -> None:
    node = new_node("A").receive(envelope("C", "A", Prepare(C2))).node
    assert node.prepare().messages[0].message == Prepare(A3)


def test_an_abandoned_ballot_leaves_nothing_behind() -> None:
    idle = new_proposer("A")
    preparing, _ = idle.prepare()
    preparing, _ = preparing.receive_promise("B", promise(A1, Proposal(C1, "reported")))
    refused = preparing.receive_nack("C", Nack(A1, B1))
    leading, _ = refused.receive_promise("A", promise(A1))
    assert leading.phase is Phase.LEADING
    for proposer in (preparing, refused, leading):
        after = proposer.abandon()
        assert after == Proposer(
            "A",
            MAJORITY_OF_3,
            value="own",
            ballot=A1,
            highest_seen=max(A1, proposer.highest_seen),
        )
        assert after.unanswered is None


def test_a_new_ballot_begins_with_nothing_of_the_last_one() -> None:
    fresh, _ = Proposer("A", MAJORITY_OF_3, value="own", ballot=A1, highest_seen=A1).prepare()
    proposer, _ = new_proposer("A").prepare()
    proposer, _ = proposer.receive_promise("B", promise(A1, Proposal(NO_PROPOSAL, "reported")))
    proposer = proposer.receive_nack("C", Nack(A1, B1))
    assert proposer.prepare() == (fresh, Prepare(A2))
    proposer, _ = proposer.receive_promise("A", promise(A1))
    assert proposer.phase is Phase.LEADING
    assert proposer.prepare() == (fresh, Prepare(A2))


def test_a_leader_keeps_nothing_of_phase_1_but_its_proposal() -> None:
    proposer: Proposer[Value] = leading_node().proposer
    assert (proposer.promised_by, proposer.adopted) == ((), NOTHING_ACCEPTED)
    assert proposer.proposal == Proposal(A1, "own")
    proposer, _ = Proposer[Value]("B", MAJORITY_OF_3, highest_seen=A1).prepare()
    for member in "AC":
        proposer, _ = proposer.receive_promise(member, promise(B2, Proposal(A1, "adopted")))
    assert (proposer.promised_by, proposer.adopted) == ((), NOTHING_ACCEPTED)
    assert proposer.proposal == Proposal(B2, "adopted")


def test_a_refusal_of_a_ballot_that_has_ended_is_news_and_no_more() -> None:
    proposer, _ = new_proposer("A").prepare()
    ended = proposer.abandon()
    assert ended.receive_nack("B", Nack(A1, C2)) == ended.observe(C2)


def test_a_refusal_of_an_older_ballot_is_news_and_no_more() -> None:
    proposer, _ = new_proposer("A").prepare()
    proposer, _ = proposer.prepare()
    for member in "BC":
        proposer = proposer.receive_nack(member, Nack(A1, C1))
    assert proposer.phase is Phase.PREPARING
    assert proposer.refused_by == ()


@pytest.mark.parametrize(("phase1", "phase2", "lost_after"), [(3, 1, 1), (2, 2, 2)])
def test_a_prepare_is_lost_when_no_phase_1_quorum_is_left(
    phase1: int, phase2: int, lost_after: int
) -> None:
    quorums = Quorums.flexible("ABC", phase1=phase1, phase2=phase2)
    proposer: Proposer[Value] = Proposer("A", quorums)
    proposer, _ = proposer.prepare()
    phases = []
    for member in "ABC":
        proposer = proposer.receive_nack(member, Nack(A1, B1))
        phases.append(proposer.phase)
    assert phases.index(Phase.IDLE) + 1 == lost_after


@pytest.mark.parametrize(("phase1", "phase2", "lost_after"), [(3, 1, 3), (1, 3, 1), (2, 2, 2)])
def test_an_accept_is_lost_when_no_phase_2_quorum_is_left(
    phase1: int, phase2: int, lost_after: int
) -> None:
    quorums = Quorums.flexible("ABC", phase1=phase1, phase2=phase2)
    proposer: Proposer[Value] = Proposer("A", quorums, value="own")
    proposer, _ = proposer.prepare()
    for member in "ABC":
        proposer, _ = proposer.receive_promise(member, promise(A1))
    phases = []
    for member in "ABC":
        proposer = proposer.receive_nack(member, Nack(A1, B1))
        phases.append(proposer.phase)
    assert phases.index(Phase.IDLE) + 1 == lost_after


def test_a_promise_stands_even_if_its_sender_refuses_the_same_prepare_later() -> None:
    """All must promise, one vote chooses. B promises, then promises more, then is asked again."""
    proposer: Proposer[Value] = Proposer("A", Quorums.flexible("ABC", phase1=3, phase2=1))
    proposer, _ = proposer.propose("own")[0].prepare()
    proposer, _ = proposer.receive_promise("B", promise(A1))
    proposer = proposer.receive_nack("B", Nack(A1, B2))
    assert proposer.phase is Phase.PREPARING
    proposer, _ = proposer.receive_promise("A", promise(A1))
    proposer, accept = proposer.receive_promise("C", promise(A1))
    assert accept == Accept(Proposal(A1, "own"))


def test_a_lost_ballot_is_reported_once_and_not_begun_again() -> None:
    """Whoever retries at once duels: when to try again is for others to say."""
    node = new_node("A").propose("value").node
    events: list[Any] = []
    for member in "BCB":
        node, messages, news = node.receive(envelope(member, "A", Nack(A1, C2)))
        assert messages == ()
        events += news
    assert events == [BallotLost(A1, C2)]
    assert node.send_again().messages == ()
    assert node.propose("again").messages[0].message == Prepare(A3)


def test_a_tick_sends_again_what_has_no_answer() -> None:
    preparing, leading = new_node("A").propose("own").node, leading_node()
    for node, message in [(preparing, Prepare(A1)), (leading, Accept(Proposal(A1, "own")))]:
        again = node.step(Tick(), 0.0)
        assert [(e.recipient, e.message) for e in again.messages] == [
            (member, message) for member in "ABC"
        ]
        assert again.node == node
    assert new_node("A").step(Tick(), 0.0).messages == ()


@pytest.mark.parametrize("value", [["a list"], {"a": "dictionary"}, {"a set"}], ids=repr)
def test_a_value_that_is_not_hashable_is_refused_when_it_is_proposed(value: Any) -> None:
    """Not at every acceptor that is to vote for it."""
    cluster = Cluster()
    with pytest.raises(MisuseError, match="cannot be a value"):
        cluster.propose("A", value)
    assert cluster.machines["A"].node == new_node("A")


def test_a_value_that_does_not_equal_itself_is_refused_when_it_is_proposed() -> None:
    """Each vote for it would look like another value."""
    with pytest.raises(MisuseError, match="cannot be a value"):
        Cluster().propose("A", float("nan"))


def test_asked_again_a_node_goes_on_with_its_ballot_unless_somebody_has_refused_it() -> None:
    going_on = new_node("A").propose("own").node
    assert going_on.propose("own").messages == ()
    refused = going_on.receive(envelope("C", "A", Nack(A1, C2))).node
    prepares = [e.message for e in refused.propose("own").messages]
    assert prepares == [Prepare(A3)] * 3


# Learning. ----------------------------------------------------------------------------------


def test_who_counts_the_quorum_tells_all_others_once() -> None:
    node = leading_node()
    node, early, _ = node.receive(envelope("A", "A", Accepted(Proposal(A1, "own"))))
    assert early == ()
    node, told, events = node.receive(envelope("B", "A", Accepted(Proposal(A1, "own"))))
    assert [(e.recipient, e.message) for e in told] == [
        (member, Chosen(Proposal(A1, "own"))) for member in "BC"
    ]
    assert events == (ValueChosen(Proposal(A1, "own")),)
    late = node.receive(envelope("C", "A", Accepted(Proposal(A1, "own"))))
    assert (late.messages, late.events) == ((), ())


def test_who_is_told_does_not_tell_others() -> None:
    step = new_node("A").receive(envelope("B", "A", Chosen(CHOSEN)))
    assert step.messages == ()
    assert step.events == (ValueChosen(CHOSEN),)
    assert step.node.receive(envelope("C", "A", Chosen(CHOSEN))).events == ()


def test_a_choice_ends_this_nodes_ballot() -> None:
    for node in (new_node("A").propose("own").node, leading_node()):
        after = node.receive(envelope("B", "A", Chosen(Proposal(B1, "own")))).node
        assert after.proposer.phase is Phase.IDLE
        assert after.send_again().messages == ()


@pytest.mark.parametrize("question", [Prepare(C2), Accept(Proposal(C2, "chosen"))], ids=repr)
def test_after_a_choice_who_asks_is_told_of_it(question: Any) -> None:
    node = deciding_node()
    step = node.receive(envelope("C", "A", question))
    assert [(e.recipient, e.message) for e in step.messages] == [("C", Chosen(CHOSEN))]
    assert step.node.durable == node.durable


@pytest.mark.parametrize("question", [Prepare(A2), Accept(Proposal(A2, "chosen"))], ids=repr)
def test_a_node_does_not_tell_itself_of_a_choice(question: Any) -> None:
    assert deciding_node().receive(envelope("A", "A", question)).messages == ()


def test_votes_are_forgotten_once_something_is_chosen() -> None:
    learner = learner_with_votes(("A", Proposal(A1, "own")))
    assert learner.receive_chosen(Chosen(CHOSEN)) == Learner(MAJORITY_OF_3, chosen=CHOSEN)
    assert learner_with_votes(("A", CHOSEN), ("B", CHOSEN)).votes == ()


def test_votes_of_strangers_are_not_kept() -> None:
    """What is kept has a bound: one vote of each member."""
    votes: list[tuple[str, Proposal[Value]]] = [
        (f"stranger {n}", Proposal(A1, "own")) for n in range(9)
    ]
    assert learner_with_votes(*votes) == Learner(MAJORITY_OF_3)


def test_what_is_kept_has_a_bound() -> None:
    node = new_node("A")
    for number in range(1, 30):
        for member in "BC":
            id = ProposalID(number, member)
            node = node.receive(envelope(member, "A", Accepted(Proposal(id, "same")))).node
            node = node.receive(envelope(member, "A", Nack(id, C2))).node
    assert node.learner.votes == (
        ("B", Proposal(ProposalID(29, "B"), "same")),
        ("C", Proposal(ProposalID(29, "C"), "same")),
    )
    assert node.incarnations == (("B", "first"), ("C", "first"))
    assert node.proposer.refused_by == ()


# Being one of many. -------------------------------------------------------------------------


def test_who_is_no_member_proposes_and_learns_and_has_no_vote() -> None:
    cluster = Cluster(others=["X"])
    cluster.propose("X", "value")
    cluster.settle()
    assert cluster.witness.chosen == {ProposalID(1, "X"): "'value'"}
    assert cluster.machines["X"].node.chosen == Proposal(ProposalID(1, "X"), "value")
    assert cluster.on_disk["X"].accepted == cluster.machines["X"].node.acceptor.accepted
    assert "X" not in [e.recipient for e in new_node("X").propose("value").messages]


def test_a_cluster_of_one_chooses_once_its_own_vote_is_on_disk() -> None:
    """It talks to itself as to others, and hears itself only when it is safe."""
    cluster = Cluster(Quorums.majority("A"))
    cluster.propose("A", "value")
    for persists in range(3):
        assert cluster.machines["A"].node.chosen is NOTHING_CHOSEN
        cluster.perform("A")
        if "A" in cluster.under_way:
            assert persists < 3
            cluster.end_persist("A")
        for own in cluster.to_itself["A"]:
            cluster.deliver(own)
        cluster.to_itself["A"].clear()
    cluster.settle()
    assert cluster.chosen() == ["value"]
    assert cluster.on_disk["A"].accepted == Proposal(A1, "value")


def test_an_envelope_of_this_node_that_is_meant_for_another_is_refused() -> None:
    stray = Envelope(identity("A"), "C", Prepare(A1))
    assert new_node("A").receive(stray).events == (EnvelopeRefused(identity("A"), "meant for C"),)


def test_the_first_incarnation_of_a_member_is_the_one_that_counts() -> None:
    node = new_node("A").receive(envelope("B", "A", Nack(A1, C1))).node
    assert node.incarnations == (("B", "first"),)
    assert node.receive(envelope("B", "A", Nack(A1, C1))).events == ()
    assert node.receive(Envelope(identity("B", "second"), "A", Nack(A1, C1))).events
    assert node.receive(Envelope(identity("C", "second"), "A", Nack(A1, C1))).events == ()


def test_a_step_is_pure() -> None:
    """The same input gives the same output, and leaves the old state as it was."""
    before = new_node("A")
    inputs: list[Input[Value]] = [
        Propose("value"),
        Tick(),
        PersistBegan(),
        PersistEnded(),
        PersistFailed(),
        envelope("B", "A", Prepare(B1)),
    ]
    for input in inputs:
        assert before.step(input, 0.0) == before.step(input, 5.0)
    assert before == new_node("A")


def test_after_a_failure_not_even_hints_leave() -> None:
    cluster = Cluster()
    cluster.deliver(envelope("C", "B", Prepare(C2)))
    cluster.perform("B")
    cluster.deliver(envelope("A", "B", Prepare(A1)))  # a refusal is ready to go
    cluster.machines["B"].failed(FaultError("the disk is full"))
    ready = cluster.machines["B"].ready()
    assert (ready.send, ready.send_after_persist) == ((), ())
    assert [type(event) for event in ready.events] == [Stopped]


@pytest.mark.parametrize(
    ("quorums", "promised", "refused"),
    [
        (Quorums.majority("ABC"), "B", "BC"),
        (Quorums.flexible("ABC", phase1=1, phase2=3), "", "B"),
    ],
    ids=["majority", "all-must-vote"],
)
def test_a_ballot_that_cannot_win_any_more_is_given_up(
    quorums: Quorums, promised: str, refused: str
) -> None:
    """Who has refused this ballot will refuse its Accept: then phase 1 is not worth finishing."""
    proposer: Proposer[Value] = Proposer("A", quorums, value="own")
    proposer, _ = proposer.prepare()
    for member in promised:
        proposer, _ = proposer.receive_promise(member, promise(A1))
    for member in refused:
        proposer = proposer.receive_nack(member, Nack(A1, promised=B2))
    assert proposer.phase is Phase.IDLE
