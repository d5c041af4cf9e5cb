"""*Paxos Made Simple* as tests, continued: 2.3 learning, 2.4 progress, 2.5 the implementation.

Begin with `test_paper`, which has 2.1 and 2.2. Here most tests show whole nodes: `run_phase1` and
`run_phase2` let one of them come as far as a test wants it.
"""

from __future__ import annotations

from itertools import product

from core.cluster import A1, A2, B1, B2, C2, MAJORITY_OF_3, Cluster, Value, new_node
from core.roles import (
    accepted_acceptor,
    new_proposer,
    promise,
)
from paxos import (
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Acceptor,
    BallotLost,
    Chosen,
    Learner,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    ValueChosen,
)
from paxos.machine import waits_for_persist

# 2.3  Learning a chosen value. --------------------------------------------------------------


def test_a_learner_must_find_that_a_majority_accepted_one_proposal() -> None:
    """2.3: it counts acceptors, each of them once."""
    learner: Learner[Value] = Learner(MAJORITY_OF_3)
    vote: Accepted[Value] = Accepted(Proposal(A1, "value"))
    for _ in range(3):
        learner, _ = learner.receive_accepted("A", vote)
    assert learner.chosen is NOTHING_CHOSEN
    learner, tell = learner.receive_accepted("C", vote)
    assert learner.chosen == Proposal(A1, "value")
    assert tell == Chosen(Proposal(A1, "value"))


def test_an_acceptor_answers_with_its_vote_whenever_it_accepts() -> None:
    """2.3: also when it accepts the same proposal again: the first answer may be lost."""
    acceptor = accepted_acceptor(Proposal(A1, "value"))
    assert acceptor.receive_accept(Accept(Proposal(A1, "value")))[1] == Accepted(
        Proposal(A1, "value")
    )


def test_a_learner_may_learn_from_another_learner() -> None:
    """2.3: nobody lies, so its word is enough."""
    learner: Learner[Value] = Learner(MAJORITY_OF_3)
    assert learner.receive_chosen(Chosen(Proposal(A1, 0))).chosen == Proposal(A1, 0)


def test_votes_go_to_the_distinguished_learner_which_tells_the_others() -> None:
    """2.3: as many messages as there are acceptors and learners together, not their product."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.run_phase1("A", "B")
    cluster.run_phase2("B")
    assert [e.recipient for e in cluster.sent(Accepted)] == ["A"], "the proposer of the ballot"
    cluster.pass_on(Accepted, to="A")
    cluster.save("A")
    assert [e.recipient for e in cluster.sent(Chosen)] == ["B", "C"]


def test_a_value_may_be_chosen_without_any_learner_knowing() -> None:
    """2.3: since messages get lost. The choice stands all the same."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.run_phase1("A", "B")
    cluster.run_phase2("B")
    cluster.network.clear()  # B's vote is lost
    assert cluster.witness.chosen == {A1: "'value'"}
    assert cluster.chosen() == []


def test_who_needs_to_know_has_a_proposal_issued() -> None:
    """2.3: a new ballot, by the algorithm, finds out whether and what was chosen."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.settle()
    for node_id in "ABC":
        cluster.kill(node_id)  # and all that was learned is forgotten
    cluster.start("B")
    cluster.start("C")
    cluster.propose("C", "a question rather than a wish")
    cluster.settle()
    assert set(cluster.chosen()) == {"value"}


def test_who_asks_after_the_choice_is_told_of_it() -> None:
    """2.3: a learner that missed it can ask those that know."""
    cluster = Cluster()
    cluster.kill("C")
    cluster.propose("A", "value")
    cluster.settle()
    cluster.start("C")
    cluster.propose("C", "late")
    cluster.settle()
    assert cluster.machines["C"].node.chosen == Proposal(A1, "value")
    assert cluster.on_disk["C"].accepted is NOTHING_ACCEPTED, "without another ballot"


# 2.4  Progress. -----------------------------------------------------------------------------


def test_two_proposers_can_keep_each_other_from_succeeding() -> None:
    """2.4: each prepares a higher number before the other's proposal is accepted."""
    proposers = {"A": new_proposer("A", "a"), "B": new_proposer("B", "b")}
    acceptors: dict[str, Acceptor[Value]] = {member: Acceptor() for member in "ABC"}
    proposals: list[Accept[Value]] = []
    for node_id in "ABABABAB":
        proposers[node_id], prepare = proposers[node_id].prepare()
        for member in "ABC":
            acceptors[member], reply = acceptors[member].receive_prepare(prepare)
            assert isinstance(reply, Promise)
            proposers[node_id], accept = proposers[node_id].receive_promise(member, reply)
            proposals += [] if accept is None else [accept]
        for late, member in product(proposals[:-1], "ABC"):
            acceptors[member], refusal = acceptors[member].receive_accept(late)
            assert isinstance(refusal, Nack)
            proposers[late.proposal.id.node_id] = proposers[late.proposal.id.node_id].receive_nack(
                member, refusal
            )
    assert len(proposals) == 8
    assert all(acceptor.accepted is NOTHING_ACCEPTED for acceptor in acceptors.values())


def test_a_proposer_that_is_left_alone_succeeds() -> None:
    """2.4: if it can speak with a majority, and takes a number higher than those in use."""
    cluster = Cluster()
    cluster.propose("C", "of C")
    cluster.save("C")
    for member in "AB":
        cluster.pass_on(Prepare, to=member)
        cluster.save(member)
    cluster.kill("C")
    cluster.network.clear()
    cluster.propose("A", "of A")
    cluster.settle()
    assert set(cluster.chosen()) == {"of A"}


def test_a_proposer_whose_number_is_too_low_tries_a_higher_one() -> None:
    """2.4: it learns of the higher number, and at last picks one that is high enough."""
    cluster = Cluster()
    cluster.propose("A", "of A")
    cluster.save("A")
    cluster.network.clear()
    for _ in range(2):  # C's numbers run ahead
        cluster.kill("C")
        cluster.start("C")
        cluster.propose("C", "of C")
        cluster.save("C")
    cluster.pass_on(Prepare, to="B")
    cluster.pass_on(Prepare, to="B")
    cluster.save("B")
    cluster.network.clear()
    cluster.tick("A")
    cluster.settle()
    lost = [event for _, event in cluster.events if isinstance(event, BallotLost)]
    assert [(event.id, event.promised) for event in lost] == [(A1, C2)]
    cluster.propose("A", "of A")
    cluster.settle()
    assert sorted(cluster.witness.chosen) == [ProposalID(3, "A")]


def test_whoever_hears_of_a_higher_number_begins_above_it() -> None:
    """2.4: then the first try may succeed. What is heard is a hint, and old news is no news."""
    node = new_node("A").observe(C2)
    assert node.prepare().messages[0].message == Prepare(ProposalID(3, "A"))
    assert node.observe(B2) is node


def test_safety_does_not_need_a_leader() -> None:
    """2.4: electing one helps progress; with three at once there is still one value."""
    cluster = Cluster()
    for _ in range(3):
        for node_id in "ABC":
            cluster.propose(node_id, f"of {node_id}")
            cluster.save(node_id)
    cluster.settle()
    assert len(set(cluster.chosen())) <= 1


# 2.5  The implementation. -------------------------------------------------------------------


def test_each_process_plays_all_three_roles() -> None:
    """2.5: proposer, acceptor and learner in one; it speaks with itself as with others."""
    node = new_node("A")
    assert (node.proposer.node_id, node.acceptor, node.learner.votes) == ("A", Acceptor(), ())
    assert "A" in [e.recipient for e in node.propose("value").messages]


def test_a_response_is_recorded_before_it_is_sent() -> None:
    """2.5: an acceptor records its intended answer in stable storage, and only then sends it."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.save("A")
    cluster.pass_on(Prepare, to="B")
    cluster.perform("B")
    assert cluster.sent(Promise) == [], "it is being recorded"
    cluster.end_persist("B")
    assert [e.message for e in cluster.sent(Promise)] == [promise(A1)]
    assert cluster.on_disk["B"].promised == A1


def test_a_vote_is_recorded_before_it_is_sent() -> None:
    """2.5: the same for phase 2; a vote is an answer like any other."""
    cluster = Cluster()
    cluster.deliver(new_node("A").to("B", Accept(Proposal(A1, "value")))[0])
    cluster.perform("B")
    assert cluster.under_way["B"].state.accepted == Proposal(A1, "value")
    assert [e.message for e in cluster.under_way["B"].then_send] == [
        Accepted(Proposal(A1, "value"))
    ]


def test_only_answers_and_prepare_requests_wait_for_stable_storage() -> None:
    """2.5: promises and votes bind the acceptor, and a Prepare uses up its number."""
    proposal: Proposal[Value] = Proposal(A1, "value")
    waiting: list[Message[Value]] = [Prepare(A1), promise(A1), Accepted(proposal)]
    free: list[Message[Value]] = [Accept(proposal), Nack(A1, B1), Chosen(proposal)]
    assert all(waits_for_persist(message) for message in waiting)
    assert not any(waits_for_persist(message) for message in free)


def test_no_two_proposals_have_the_same_number() -> None:
    """2.5: different proposers take their numbers from disjoint sets."""
    used = {
        ProposalID(number, below).next_for(node_id)
        for number in range(5)
        for below in "ABC"
        for node_id in "ABC"
    }
    assert len(used) == 5 * 3, "number 1 to 5 of each node: whom it was derived from is no matter"


def test_a_proposer_remembers_the_highest_number_that_it_tried() -> None:
    """2.5: in stable storage, before the request is sent; and begins above it ever after."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.perform("A")
    assert cluster.network == []
    assert cluster.under_way["A"].state.ballot == 1
    cluster.end_persist("A")
    assert [e.message for e in cluster.network] == [Prepare(A1), Prepare(A1)]
    cluster.kill("A")
    cluster.start("A")
    cluster.propose("A", "value")
    cluster.save("A")
    assert cluster.sent(Prepare)[-1].message == Prepare(A2)


def test_everybody_is_told_once_of_the_choice() -> None:
    """The end of it all: every node reports the one value, once."""
    cluster = Cluster()
    cluster.propose("B", "value")
    cluster.settle()
    assert sorted(cluster.events, key=lambda event: event[0]) == [
        (node_id, ValueChosen(Proposal(B1, "value"))) for node_id in "ABC"
    ]
