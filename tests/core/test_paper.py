"""*Paxos Made Simple* (Leslie Lamport, 2001) as tests, one for each thing that it asks of a role.

Here are 2.1, the problem, and 2.2, choosing a value; `test_paper_continued` has the rest.

Read it from top to bottom, beside the paper or without it. Each docstring gives the section and
says in our words what the paper says there. `A1` is the proposal ID with number 1 of node A: the
paper speaks of the number only, and of numbers that no two proposers share.

There are three acceptors, A, B and C, unless a test says otherwise; two of them are a majority.
"""

from __future__ import annotations

from itertools import combinations

import pytest

from core.cluster import A1, A2, B1, B2, C1, C2, MAJORITY_OF_3, Cluster, Value, envelope, new_node
from core.roles import (
    accepted_acceptor,
    new_proposer,
    promise,
    promised_acceptor,
)
from paxos import (
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Acceptor,
    Learner,
    Nack,
    Phase,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Quorums,
)

# 2.1  The problem. --------------------------------------------------------------------------


def test_only_a_value_that_was_proposed_may_be_chosen() -> None:
    """2.1: nothing is chosen that nobody proposed."""
    cluster = Cluster()
    cluster.settle()
    assert cluster.chosen() == []
    cluster.propose("A", "proposed")
    cluster.settle()
    assert set(cluster.chosen()) == {"proposed"}


def test_only_a_single_value_is_chosen() -> None:
    """2.1: whatever else is proposed, before or after, there is one choice."""
    cluster = Cluster()
    for node_id in "ABC":
        cluster.propose(node_id, f"of {node_id}")
    cluster.settle()
    for node_id in "CBA":
        cluster.propose(node_id, f"later of {node_id}")
    cluster.settle()
    assert len(set(cluster.chosen())) == 1


def test_nobody_learns_of_a_choice_that_was_not_made() -> None:
    """2.1: one acceptor's vote is no choice, and no learner takes it for one."""
    learner: Learner[Value] = Learner(MAJORITY_OF_3)
    learner, tell = learner.receive_accepted("A", Accepted(Proposal(A1, "value")))
    assert tell is None
    assert learner.chosen is NOTHING_CHOSEN


def test_messages_may_be_repeated() -> None:
    """2.1: the network may deliver a message twice; that changes nothing."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.save("A")
    while cluster.network:
        arriving = cluster.network.pop(0)
        for _ in range(2):
            cluster.deliver(arriving)
            cluster.save(arriving.recipient)
    assert set(cluster.chosen()) == {"value"}


def test_messages_may_be_lost() -> None:
    """2.1: what is lost can be sent again; with nothing sent again, nothing bad happens."""
    cluster = Cluster()
    cluster.propose("A", "value")
    for phase in range(2):
        cluster.save("A")
        cluster.network.clear()
        cluster.tick("A")
        cluster.save("A")
        assert cluster.network, f"phase {phase + 1} is repeated"
        cluster.pass_on(Accept if phase else Prepare, to="B")
        cluster.save("B")
        cluster.pass_on(Accepted if phase else Promise, to="A")
    cluster.settle()
    assert set(cluster.chosen()) == {"value"}


# 2.2  Choosing a value. ---------------------------------------------------------------------


def test_a_single_acceptor_is_enough_while_it_lives() -> None:
    """2.2: the simplest way to choose is one acceptor; if it fails, there is no progress."""
    alone = Cluster(Quorums.majority(["A"]))
    alone.propose("A", "value")
    alone.settle()
    assert alone.chosen() == ["value"]


def test_a_value_is_chosen_when_a_majority_has_accepted_it() -> None:
    """2.2: a large enough set of acceptors chooses; any majority is large enough."""
    for one, other in combinations("ABC", 2):
        learner: Learner[Value] = Learner(MAJORITY_OF_3)
        learner, _ = learner.receive_accepted(one, Accepted(Proposal(A1, "value")))
        learner, _ = learner.receive_accepted(other, Accepted(Proposal(A1, "value")))
        assert learner.chosen == Proposal(A1, "value")


def test_any_two_majorities_share_an_acceptor() -> None:
    """2.2: so no two values can be chosen, if each acceptor accepts at most one."""
    majorities = [set(some) for some in combinations("ABC", 2)]
    assert all(MAJORITY_OF_3.has_phase2(some) for some in majorities)
    assert all(one & other for one, other in combinations(majorities, 2))


@pytest.mark.parametrize("id", [A1, C2])
def test_an_acceptor_must_accept_the_first_proposal_that_it_receives(id: ProposalID) -> None:
    """2.2, P1: there may be no other proposal, and then it has to be chosen."""
    acceptor: Acceptor[Value] = Acceptor()
    acceptor, reply = acceptor.receive_accept(Accept(Proposal(id, "first")))
    assert reply == Accepted(Proposal(id, "first"))
    assert acceptor.accepted == Proposal(id, "first")


def test_an_acceptor_may_accept_more_than_one_proposal() -> None:
    """2.2: else three values with one vote each would end all progress."""
    acceptor = accepted_acceptor(Proposal(A1, "one"), Proposal(B1, "another"))
    assert acceptor.accepted == Proposal(B1, "another")


def test_proposals_are_told_apart_by_their_numbers() -> None:
    """2.2: a proposal is a number and a value, and different proposals have different numbers."""
    ids = {new_proposer(node_id).prepare()[1].id for node_id in "ABC"}
    assert ids == {A1, B1, C1}


def test_a_value_is_chosen_by_one_proposal_and_not_by_several_together() -> None:
    """2.2: a majority must accept a *single* proposal; equal values under two do not add up."""
    learner: Learner[Value] = Learner(MAJORITY_OF_3)
    learner, _ = learner.receive_accepted("A", Accepted(Proposal(A1, "same")))
    learner, _ = learner.receive_accepted("B", Accepted(Proposal(B1, "same")))
    assert learner.chosen is NOTHING_CHOSEN


def test_once_a_value_is_chosen_every_higher_proposal_that_is_chosen_has_it() -> None:
    """2.2, P2: several proposals may be chosen, all of one value."""
    cluster = Cluster()
    cluster.propose("A", "first")
    cluster.settle()
    for node_id in "ABC":  # so that nobody remembers
        cluster.kill(node_id)
        cluster.start(node_id)
    cluster.propose("B", "second")
    cluster.settle()
    assert sorted(cluster.witness.chosen) == [A1, B2]
    assert set(cluster.chosen()) == {"first"}


def test_once_a_value_is_chosen_every_higher_proposal_that_is_accepted_has_it() -> None:
    """2.2, P2a: also by an acceptor that has never heard of the choice."""
    cluster = Cluster()
    cluster.propose("A", "first")
    cluster.run_phase1("A", "B")
    cluster.run_phase2("B")  # A and B have accepted: chosen, and C knows nothing
    cluster.network.clear()
    cluster.propose("C", "second")
    cluster.settle()
    assert cluster.on_disk["C"].accepted == Proposal(C1, "first")


def test_once_a_value_is_chosen_every_higher_proposal_that_is_issued_has_it() -> None:
    """2.2, P2b: it is the proposers that must see to P2a, since acceptors must accept."""
    chosen: Proposal[Value] = Proposal(A1, "chosen")
    acceptors = {"A": accepted_acceptor(chosen), "B": accepted_acceptor(chosen), "C": Acceptor()}
    for majority in combinations("ABC", 2):
        proposer = new_proposer("C", "other").observe(A1)
        proposer, prepare = proposer.prepare()
        accept: Accept[Value] | None = None
        for member in majority:
            _, reply = acceptors[member].receive_prepare(prepare)
            assert isinstance(reply, Promise)
            proposer, accept = proposer.receive_promise(member, reply)
        assert accept == Accept(Proposal(C2, "chosen"))


def test_where_no_acceptor_of_a_majority_has_accepted_the_value_is_free() -> None:
    """2.2, P2c (a): then no lower proposal has been chosen, nor will be."""
    proposer, prepare = new_proposer(value="own").prepare()
    proposer, _ = proposer.receive_promise("A", promise(prepare.id))
    proposer, accept = proposer.receive_promise("B", promise(prepare.id))
    assert accept == Accept(Proposal(A1, "own"))


def test_where_acceptors_of_a_majority_have_accepted_the_highest_gives_the_value() -> None:
    """2.2, P2c (b): the highest number decides, neither the order nor the count of answers."""
    low: Proposal[Value] = Proposal(A1, "low")
    high: Proposal[Value] = Proposal(B1, "high")
    for first, second in [(low, high), (high, low)]:
        proposer, prepare = new_proposer("C").observe(B1).prepare()
        proposer, _ = proposer.receive_promise("A", promise(prepare.id, first))
        proposer, accept = proposer.receive_promise("B", promise(prepare.id, second))
        assert accept == Accept(Proposal(C2, "high"))


# 2.2, phase 1 (a): the proposer prepares.


def test_a_proposer_asks_for_promises_before_it_proposes() -> None:
    """2.2: it does not predict what will be accepted, it has it promised; the value comes later."""
    proposer, prepare = new_proposer().prepare()
    assert prepare == Prepare(A1)
    assert proposer.phase is Phase.PREPARING
    assert proposer.unanswered == prepare


def test_a_proposer_chooses_a_new_number_for_each_ballot() -> None:
    """2.2: a prepare request bears a new proposal number."""
    proposer, first = new_proposer().prepare()
    proposer, second = proposer.prepare()
    assert first.id < second.id


def test_a_prepare_request_goes_to_a_majority_at_least() -> None:
    """2.2, phase 1 (a): we send it to every acceptor, this node's own among them."""
    step = new_node("A").propose("value")
    assert [e.recipient for e in step.messages] == ["A", "B", "C"]
    assert {e.message for e in step.messages} == {Prepare(A1)}


# 2.2, phase 1 (b): the acceptor promises.


def test_an_acceptor_promises_and_names_the_highest_proposal_that_it_accepted() -> None:
    """2.2, phase 1 (b): if the number is above every prepare request that it has answered."""
    acceptor = accepted_acceptor(Proposal(A1, "low"), Proposal(B1, "high"))
    acceptor, reply = acceptor.receive_prepare(Prepare(C2))
    assert reply == Promise(C2, Proposal(B1, "high"))
    assert acceptor.promised == C2


def test_an_acceptor_that_accepted_nothing_says_so() -> None:
    """2.2, phase 1 (b): the highest proposal that it accepted, *if any*."""
    acceptor: Acceptor[Value] = Acceptor()
    assert acceptor.receive_prepare(Prepare(A1))[1] == Promise(A1, NOTHING_ACCEPTED)


def test_a_promise_changes_nothing_of_what_was_accepted() -> None:
    """2.2: two things are remembered, a promise and a proposal; a prepare request sets one."""
    acceptor, _ = accepted_acceptor(Proposal(A1, "kept")).receive_prepare(Prepare(C2))
    assert acceptor == Acceptor(promised=C2, accepted=Proposal(A1, "kept"))


def test_after_a_promise_nothing_lower_is_accepted() -> None:
    """2.2: the promise is never again to accept a proposal numbered less."""
    acceptor = promised_acceptor(B2)
    after, reply = acceptor.receive_accept(Accept(Proposal(A2, "late")))
    assert after == acceptor
    assert reply == Nack(A2, promised=B2)


# 2.2, phase 2 (a): the proposer proposes.


def test_a_proposer_proposes_once_a_majority_has_promised() -> None:
    """2.2, phase 2 (a): with the number that was promised; one answer is not enough."""
    proposer, prepare = new_proposer().prepare()
    proposer, too_early = proposer.receive_promise("B", promise(prepare.id))
    assert too_early is None
    proposer, accept = proposer.receive_promise("C", promise(prepare.id))
    assert accept == Accept(Proposal(prepare.id, "own"))


def test_a_proposer_proposes_one_value_in_one_ballot() -> None:
    """2.2: a number stands for one proposal; a promise that comes late changes nothing."""
    proposer, prepare = new_proposer("B").prepare()
    proposer, _ = proposer.receive_promise("A", promise(prepare.id))
    proposer, _ = proposer.receive_promise("B", promise(prepare.id))
    after, accept = proposer.receive_promise("C", promise(prepare.id, Proposal(A1, "late")))
    assert accept is None
    assert after == proposer


def test_an_accept_request_goes_to_acceptors_that_promised_or_not() -> None:
    """2.2: they need not be those that answered the prepare request; we ask all."""
    node = new_node("A").propose("value").node
    node = node.receive(envelope("B", "A", promise(A1))).node
    accepts = node.receive(envelope("C", "A", promise(A1))).messages
    assert [e.recipient for e in accepts] == ["A", "B", "C"]
    assert {e.message for e in accepts} == {Accept(Proposal(A1, "value"))}


# 2.2, phase 2 (b): the acceptor accepts.


def test_an_acceptor_accepts_what_it_has_not_promised_to_refuse() -> None:
    """2.2, P1a and phase 2 (b): unless it answered a prepare request of a *greater* number."""
    for id, accepts in [(A1, False), (B1, False), (A2, False), (B2, True), (C2, True)]:
        acceptor, reply = promised_acceptor(B2).receive_accept(Accept(Proposal(id, "value")))
        assert (reply == Accepted(Proposal(id, "value"))) is accepts
        assert (acceptor.accepted == Proposal(id, "value")) is accepts


def test_an_acceptor_needs_no_promise_to_accept() -> None:
    """2.2: P1a subsumes P1; one whose prepare request was lost can still vote."""
    acceptor, reply = promised_acceptor(A1).receive_accept(Accept(Proposal(B2, "value")))
    assert reply == Accepted(Proposal(B2, "value"))
    assert acceptor.promised == B2, "and it binds as a promise does"


# 2.2, what may be ignored, forgotten and given up.


def test_an_acceptor_may_ignore_any_request() -> None:
    """2.2: safety does not need an answer. Here C is deaf, and the others choose without it."""
    cluster = Cluster()
    cluster.kill("C")
    cluster.propose("A", "value")
    cluster.settle()
    assert set(cluster.chosen()) == {"value"}
    assert cluster.on_disk["C"].accepted is NOTHING_ACCEPTED


def test_a_majority_that_ignores_everything_only_delays() -> None:
    """2.2: with too few answers nothing is chosen, and nothing goes wrong."""
    cluster = Cluster()
    cluster.kill("B")
    cluster.kill("C")
    cluster.propose("A", "value")
    cluster.settle()
    assert cluster.chosen() == []
    cluster.start("B")
    cluster.tick("A")
    cluster.settle()
    assert set(cluster.chosen()) == {"value"}


def test_a_prepare_request_below_the_promise_is_not_worth_a_promise() -> None:
    """2.2: the acceptor would not accept that proposal anyway."""
    acceptor = promised_acceptor(B2)
    after, reply = acceptor.receive_prepare(Prepare(A2))
    assert after == acceptor
    assert not isinstance(reply, Promise)


def test_a_prepare_request_for_what_was_already_accepted_is_ignored() -> None:
    """2.2: its proposer has its majority of promises already."""
    acceptor = accepted_acceptor(Proposal(B2, "value"))
    assert acceptor.receive_prepare(Prepare(B2)) == (acceptor, None)


def test_an_acceptor_remembers_two_things_and_no_more() -> None:
    """2.2: the highest proposal that it accepted and the highest number that it promised."""
    long = accepted_acceptor(Proposal(A1, "x"), Proposal(B1, "y"), Proposal(A2, "z"))
    long, _ = long.receive_prepare(Prepare(C2))
    assert long == Acceptor(promised=C2, accepted=Proposal(A2, "z"))


def test_an_acceptor_remembers_them_when_it_has_failed_and_restarts() -> None:
    """2.2: P2c must hold whatever fails."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.settle()
    cluster.kill("C")
    cluster.start("C")
    assert cluster.machines["C"].node.acceptor == Acceptor(A1, Proposal(A1, "value"))


def test_a_proposer_may_abandon_a_proposal_at_any_time_and_forget_it() -> None:
    """2.2: as long as it never issues another one with that number."""
    proposer, first = new_proposer().prepare()
    proposer = proposer.abandon()
    assert proposer.phase is Phase.IDLE
    assert proposer.unanswered is None
    assert proposer.prepare()[1].id > first.id


def test_answers_to_an_abandoned_proposal_may_come_at_any_time() -> None:
    """2.2: requests and answers may arrive long after it was abandoned."""
    proposer, first = new_proposer().prepare()
    proposer, second = proposer.abandon().prepare()
    for member in "ABC":
        proposer, accept = proposer.receive_promise(member, promise(first.id))
        assert accept is None
    proposer, _ = proposer.receive_promise("A", promise(second.id))
    _, accept = proposer.receive_promise("B", promise(second.id))
    assert accept == Accept(Proposal(second.id, "own"))


def test_an_abandoned_proposal_may_be_chosen_all_the_same() -> None:
    """2.2: abandoning recalls nothing; the next ballot finds what it left."""
    proposer, prepare = new_proposer("B", "other").observe(A1).prepare()
    _, reply = accepted_acceptor(Proposal(A1, "abandoned")).receive_prepare(prepare)
    assert isinstance(reply, Promise)
    proposer, _ = proposer.receive_promise("A", reply)
    proposer, accept = proposer.receive_promise("B", promise(prepare.id))
    assert accept == Accept(Proposal(B2, "abandoned"))


def test_an_acceptor_that_refuses_tells_the_proposer_why() -> None:
    """2.2: an acceptor that ignores a request, having promised more, should probably say so."""
    acceptor = promised_acceptor(C2)
    assert acceptor.receive_prepare(Prepare(A1))[1] == Nack(A1, promised=C2)
    assert acceptor.receive_accept(Accept(Proposal(B1, "x")))[1] == Nack(B1, promised=C2)


def test_a_proposer_that_is_told_abandons_its_proposal() -> None:
    """2.2: once a majority cannot be had any more. One refusal is not yet a reason."""
    proposer, prepare = new_proposer().prepare()
    proposer = proposer.receive_nack("B", Nack(prepare.id, promised=C2))
    assert proposer.phase is Phase.PREPARING
    proposer = proposer.receive_nack("C", Nack(prepare.id, promised=C2))
    assert proposer.phase is Phase.IDLE


def test_being_told_is_for_speed_only() -> None:
    """2.2: correctness does not need it. Here every refusal is lost."""
    cluster = Cluster()
    cluster.propose("C", "of C")
    cluster.settle()
    cluster.propose("A", "of A")
    cluster.save("A")
    cluster.network = [e for e in cluster.network if not isinstance(e.message, Nack)]
    cluster.settle()
    assert set(cluster.chosen()) == {"of C"}
