"""Proof of damage: two values where there can be one. Whoever sees it stops.

No correct run shows it. It comes of a lost disk, a rotten one, or a member that runs other code.
"""

from __future__ import annotations

import pytest

from core.cluster import (
    A1,
    A2,
    B1,
    C1,
    C2,
    MAJORITY_OF_3,
    Cluster,
    Value,
    envelope,
    identity,
    new_node,
)
from core.roles import (
    accepted_acceptor,
    learner_with_votes,
)
from paxos import (
    Accept,
    Accepted,
    Chosen,
    ConflictError,
    Envelope,
    Identity,
    Learner,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Proposer,
    Stopped,
)


def test_two_values_under_one_id_stop_an_acceptor() -> None:
    """Accepting the second as if it were a duplicate of the first."""
    acceptor = accepted_acceptor(Proposal(A1, "one"))
    with pytest.raises(ConflictError, match="two values"):
        acceptor.receive_accept(Accept(Proposal(A1, "another")))


@pytest.mark.parametrize("second", ["A", "B"])
def test_two_values_under_one_id_stop_a_learner(second: str) -> None:
    """Counting them for one proposal, since their IDs are equal. Also if one member sends both."""
    learner = learner_with_votes(("A", Proposal(A1, "one")))
    with pytest.raises(ConflictError, match="two values"):
        learner.receive_accepted(second, Accepted(Proposal(A1, "another")))


def test_a_vote_against_what_is_chosen_stops_a_learner() -> None:
    """Ignoring votes once something is chosen: at or above its ID they have to agree (P2a)."""
    chosen: Proposal[Value] = Proposal(B1, "chosen")
    learner = learner_with_votes(("A", chosen), ("B", chosen))
    assert learner.chosen == chosen
    for id in (B1, C1, A2):
        with pytest.raises(ConflictError):
            learner.receive_accepted("C", Accepted(Proposal(id, "other")))
        assert learner.receive_accepted("C", Accepted(Proposal(id, "chosen"))) == (learner, None)
    assert learner.receive_accepted("C", Accepted(Proposal(A1, "other"))) == (learner, None), (
        "below it, another value may well have been accepted"
    )


def test_two_learners_that_contradict_each_other_stop() -> None:
    """Taking the newer word, or the older."""
    learner: Learner[Value] = Learner(MAJORITY_OF_3, chosen=Proposal(B1, "one"))
    assert learner.receive_chosen(Chosen(Proposal(A2, "one"))) == learner
    for id in (A1, B1, A2):
        with pytest.raises(ConflictError):
            learner.receive_chosen(Chosen(Proposal(id, "another")))


def test_a_machine_that_sees_such_a_proof_stops_for_good() -> None:
    """Logging it and going on: what leaves afterwards may be built on damage."""
    cluster = Cluster()
    cluster.forge(envelope("A", "B", Accept(Proposal(A1, "one"))))
    cluster.save("B")
    sent = list(cluster.network)
    cluster.deliver(envelope("A", "B", Accept(Proposal(A1, "another"))))
    cluster.perform("B")
    (_, stopped) = cluster.events[-1]
    assert isinstance(stopped, Stopped)
    assert isinstance(cluster.machines["B"].stopped, ConflictError)
    assert cluster.network == sent
    assert cluster.on_disk["B"].accepted == Proposal(A1, "one")


ONE: Proposal[Value] = Proposal(B1, "one")
ANOTHER: Proposal[Value] = Proposal(B1, "another")


def test_two_values_under_one_id_stop_a_proposer() -> None:
    proposer: Proposer[Value] = Proposer("C", MAJORITY_OF_3, value="own", highest_seen=B1)
    proposer, _ = proposer.prepare()
    proposer, _ = proposer.receive_promise("A", Promise(C2, ONE))
    with pytest.raises(ConflictError):
        proposer.receive_promise("B", Promise(C2, ANOTHER))


@pytest.mark.parametrize("vote", [ANOTHER, Proposal(C2, "another")], ids=["same-ID", "higher-ID"])
def test_a_choice_against_a_vote_that_was_heard_stops_a_learner(vote: Proposal[Value]) -> None:
    learner = learner_with_votes(("A", vote))
    with pytest.raises(ConflictError):
        learner.receive_chosen(Chosen(ONE))


def test_a_choice_below_a_vote_for_another_value_stops_a_learner() -> None:
    """P2a, the other way round: the higher vote came first."""
    learner = learner_with_votes(("A", Proposal(C2, "another")), ("B", ONE))
    with pytest.raises(ConflictError):
        learner.receive_accepted("C", Accepted(ONE))


def test_a_choice_against_what_this_node_accepted_stops_it() -> None:
    node = new_node("A").receive(envelope("B", "A", Accept(ANOTHER))).node
    with pytest.raises(ConflictError):
        node.receive(envelope("B", "A", Chosen(ONE)))


def test_two_values_under_one_id_stop_an_acceptor_that_has_promised_more() -> None:
    acceptor, _ = accepted_acceptor(ONE).receive_prepare(Prepare(C2))
    with pytest.raises(ConflictError):
        acceptor.receive_accept(Accept(ANOTHER))


# Who is listened to. ------------------------------------------------------------------------


def test_an_outsider_that_lost_its_disk_cannot_get_a_second_value_chosen() -> None:
    """A proposer X, no member, is wiped, and uses 1.X anew for another value.

    B and C choose the second value under the ID under which A has accepted the first. A then finds
    both in its promises, takes its own for the highest, and gets it chosen as well.
    """
    x1 = ProposalID(1, "X")
    nodes = {member: new_node(member) for member in "ABC"}
    votes: dict[Proposal[Value], set[str]] = {}

    def tell(member: str, message: Prepare | Accept[Value], sender: Identity) -> None:
        nodes[member], replies, _ = nodes[member].receive(Envelope(sender, member, message))
        for vote in (e.message for e in replies if isinstance(e.message, Accepted)):
            votes.setdefault(vote.proposal, set()).add(member)

    for member in "AB":
        tell(member, Prepare(x1), identity("X", "first"))
    tell("A", Accept(Proposal(x1, "one")), identity("X", "first"))
    for member in "BC":
        tell(member, Prepare(x1), identity("X", "second"))
        tell(member, Accept(Proposal(x1, "another")), identity("X", "second"))
    proposer: Proposer[Value] = Proposer("A", MAJORITY_OF_3, value="own", highest_seen=x1)
    proposer, prepare = proposer.prepare()
    accept: Accept[Value] | None = None
    try:
        for member in "AB":
            tell(member, prepare, identity("A"))
            report = Promise(prepare.id, nodes[member].acceptor.accepted)
            proposer, accept = proposer.receive_promise(member, report)
    except ConflictError:
        return  # the proposer has seen the proof, and stops
    assert accept is not None
    for member in "AB":
        tell(member, accept, identity("A"))
    chosen = [proposal.value for proposal, voters in votes.items() if len(voters) >= 2]
    assert len(set(chosen)) <= 1, chosen


def test_a_stranger_cannot_stop_a_learner_that_knows_the_choice() -> None:
    learner = learner_with_votes(("A", ONE), ("B", ONE))
    assert learner.receive_accepted("X", Accepted(ANOTHER)) == (learner, None)
