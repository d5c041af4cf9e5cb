"""Mistakes that others made, or nearly everybody makes, each with the test that we do not.

The docstring says what the mistake is and who made it. Most are about one line of code.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import TypeAlias

import pytest

from core.cluster import (
    A1,
    A2,
    B1,
    B2,
    C1,
    C2,
    C3,
    FALSY_VALUES,
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
    new_proposer,
    promise,
)
from paxos import (
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Acceptor,
    DurableState,
    Envelope,
    EnvelopeRefused,
    FaultError,
    Heartbeat,
    Identity,
    Message,
    Nack,
    Node,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Proposer,
    Quorums,
    Request,
    Stopped,
)

Votes: TypeAlias = list[tuple[str, Proposal[Value]]]


# What an acceptor remembers. ----------------------------------------------------------------


def test_promised_id_is_not_reported_as_accepted_id() -> None:
    """Reporting a value with the ID that was promised since, not the one it was accepted under.

    It makes old values win over newer ones. A stock question of distributed-systems courses.
    """
    acceptor = accepted_acceptor(Proposal(A1, "value"))
    acceptor, _ = acceptor.receive_prepare(Prepare(C2))
    _, reply = acceptor.receive_prepare(Prepare(C3))
    assert reply == Promise(C3, Proposal(A1, "value"))


def test_promised_and_accepted_are_two_facts() -> None:
    """One variable for both, as in published EPaxos (Sutra, arXiv 1906.10917)."""
    acceptor = accepted_acceptor(Proposal(A1, "value"))
    acceptor, _ = acceptor.receive_prepare(Prepare(C2))
    assert acceptor.promised == C2
    assert acceptor.accepted == Proposal(A1, "value")
    node = Node[Value].recover(
        identity("A"), MAJORITY_OF_3, DurableState(0, acceptor.promised, acceptor.accepted)
    )
    assert node.acceptor == acceptor


def test_accept_raises_the_promise() -> None:
    """Accepting without promising: then a lower proposal replaces the accepted one.

    Cassandra (CASSANDRA-17162); Brooker, "The Bug in Paxos Made Simple" (2021).
    """
    acceptor = accepted_acceptor(Proposal(B2, "newer"))
    assert acceptor.promised == B2
    assert acceptor.receive_accept(Accept(Proposal(A2, "older"))) == (acceptor, Nack(A2, B2))
    assert acceptor.receive_prepare(Prepare(A2)) == (acceptor, Nack(A2, B2))


def test_what_is_saved_with_a_new_accepted_proposal_is_its_own_promise() -> None:
    """Saving the accepted proposal beside the promise that was saved last.

    After a restart a lower proposal replaces it (cocagne/multi-paxos-example).
    """
    cluster = Cluster()
    cluster.deliver(envelope("A", "B", Prepare(A1)))
    cluster.save("B")
    cluster.deliver(envelope("C", "B", Accept(Proposal(C2, "newer"))))
    ready = cluster.machines["B"].ready()
    assert ready.persist == DurableState(0, C2, Proposal(C2, "newer"))


def test_nothing_promised_can_be_compared_with_everything() -> None:
    """`None` for "no ballot" (composable-paxos): `None < (1, "A")` raises in Python 3."""
    acceptor: Acceptor[Value] = Acceptor()
    assert acceptor.receive_prepare(Prepare(A1))[1] == promise(A1)
    assert acceptor.receive_accept(Accept(Proposal(A1, 0)))[1] == Accepted(Proposal(A1, 0))
    assert Proposer("A", MAJORITY_OF_3).prepare()[1] == Prepare(A1)


# What must be on disk first. ----------------------------------------------------------------


@pytest.mark.parametrize("question", [Prepare(A1), Accept(Proposal(A1, "value"))], ids=repr)
def test_a_duplicate_is_not_answered_before_the_first_is_saved(
    question: Prepare | Accept[Value],
) -> None:
    """Answering a duplicate at once, for it changes nothing, while the first is being saved.

    cocagne/paxos, practical.py, for Prepare and for Accept.
    """
    cluster = Cluster()
    cluster.forge(envelope("A", "B", question))
    cluster.perform("B")
    cluster.forge(envelope("A", "B", question))
    cluster.perform("B")
    assert cluster.network == []
    cluster.end_persist("B")
    cluster.perform("B")
    assert len(cluster.network) == 2, "the answer to each, and both are safe now"


def test_a_crash_before_the_disk_has_it_takes_the_answer_along() -> None:
    """Acknowledging first and writing later (PySyncObj wrote neither term nor vote at all)."""
    cluster = Cluster()
    cluster.deliver(envelope("A", "B", Accept(Proposal(A1, "value"))))
    cluster.perform("B")
    cluster.kill("B")
    cluster.start("B")
    cluster.save("B")
    assert cluster.network == []
    assert cluster.machines["B"].node.acceptor == Acceptor()


def test_after_a_failed_persist_nothing_leaves() -> None:
    """Going on after a failed fsync (PostgreSQL and others, 2018)."""
    cluster = Cluster()
    cluster.deliver(envelope("A", "B", Prepare(A1)))
    cluster.perform("B")
    error = FaultError("the disk is full")
    cluster.machines["B"].failed(error)
    cluster.perform("B")
    cluster.deliver(envelope("A", "B", Prepare(A1)))
    assert cluster.network == []
    assert cluster.events == [("B", Stopped(error))]


def test_ballot_is_not_reused_after_a_restart() -> None:
    """Starting to count again from what the memory holds (phxpaxos 145)."""
    cluster = Cluster()
    for run in range(1, 5):
        cluster.propose("A", f"in run {run}")
        cluster.save("A")
        assert {e.message for e in cluster.network} == {Prepare(ProposalID(run, "A"))}
        cluster.network.clear()
        cluster.kill("A")
        cluster.start("A")


def test_a_wiped_member_with_a_new_incarnation_is_not_listened_to() -> None:
    """Taking a replica that lost its disk for one that restarted: its promises are gone.

    dragonboat 256; Michael et al., *Recovering Shared Objects Without Stable Storage* (2017).
    """
    node = new_node("A").propose("value").node
    node = node.receive(envelope("B", "A", Nack(ProposalID(0, "A"), B1))).node
    wiped = identity("B", "second")
    messages: list[Message[Value]] = [promise(A1), Accepted(Proposal(A1, "value")), Prepare(B2)]
    for message in messages:
        step = node.receive(Envelope(wiped, "A", message))
        assert step.node == node
        assert step.messages == ()
        assert step.events == (
            EnvelopeRefused(
                wiped, "this member lost its disk, and with it its promises: replace it"
            ),
        )


# What a proposer may propose. ---------------------------------------------------------------


@pytest.mark.parametrize("reported", FALSY_VALUES, ids=repr)
def test_adoption_does_not_look_at_the_value(reported: Value) -> None:
    """Adopting a value only if it is truthy (cocagne/paxos, practical.py): 0, "" and None lose."""
    proposer, _ = new_proposer("B", "own").observe(A1).prepare()
    proposer, _ = proposer.receive_promise("A", promise(B2, Proposal(A1, reported)))
    proposer, accept = proposer.receive_promise("C", promise(B2))
    assert accept is not None
    assert repr(accept.proposal.value) == repr(reported)


def test_the_highest_accepted_wins_not_the_first_or_the_most_common() -> None:
    """Adopting any reported value, or what most report."""
    quorums = Quorums.majority("ABCDE")
    common: Proposal[Value] = Proposal(A1, "common")
    highest: Proposal[Value] = Proposal(B1, "highest")
    reports = [common, common, highest]
    for order in permutations(reports):
        proposer: Proposer[Value] = Proposer("C", quorums, value="own", highest_seen=B1)
        proposer, prepare = proposer.prepare()
        accepts = []
        for member, report in zip("ABC", order, strict=True):
            proposer, accept = proposer.receive_promise(member, Promise(prepare.id, report))
            accepts.append(accept)
        assert accepts == [None, None, Accept(Proposal(C2, "highest"))]


def test_a_stale_promise_is_not_counted() -> None:
    """Counting a late answer to an earlier Prepare (MyPaxos 18)."""
    proposer, first = new_proposer("A").prepare()
    proposer, second = proposer.prepare()
    for member, id in [("A", first.id), ("B", second.id), ("C", first.id), ("A", first.id)]:
        proposer, accept = proposer.receive_promise(member, promise(id))
        assert accept is None
    assert proposer.promised_by == ("B",)


def test_a_promise_is_not_counted_twice() -> None:
    """Counting answers and not members: one acceptor and a network that repeats are a quorum."""
    proposer, prepare = new_proposer("A").prepare()
    for _ in range(3):
        proposer, accept = proposer.receive_promise("B", promise(prepare.id))
        assert accept is None


def test_a_refusal_is_not_counted_twice() -> None:
    """Counting refusals and not members: one acceptor alone could end every ballot."""
    proposer, prepare = new_proposer("A").prepare()
    for _ in range(3):
        proposer = proposer.receive_nack("B", Nack(prepare.id, C1))
    assert proposer.unanswered == prepare


def test_there_is_no_leader_without_prepare() -> None:
    """Letting an elected leader propose at once, or under a ballot of an earlier run.

    Whatever a proposer is told, it proposes under an ID that a quorum has promised, and no other.
    """
    told = ("propose", "prepare", "abandon", "restart", "news", *"AB")
    for events in product(told, repeat=5):
        proposer: Proposer[Value] = Proposer("A", MAJORITY_OF_3)
        promised: dict[ProposalID, set[str]] = {}
        for event in events:
            accept: Accept[Value] | None = None
            match event:
                case "propose":
                    proposer, accept = proposer.propose("value")
                case "prepare":
                    proposer, _ = proposer.prepare()
                case "abandon":
                    proposer = proposer.abandon()
                case "restart":
                    proposer = Proposer("A", MAJORITY_OF_3, ballot=proposer.ballot)
                case "news":
                    proposer = proposer.observe(C2)
                case member:
                    promised.setdefault(proposer.ballot, set()).add(member)
                    proposer, accept = proposer.receive_promise(member, promise(proposer.ballot))
            for issued in (accept, proposer.unanswered):
                if isinstance(issued, Accept):
                    assert promised.get(issued.proposal.id) == {"A", "B"}, events


def test_accepts_go_to_all_and_not_only_to_those_that_promised() -> None:
    """Sending the Accept to the promisers alone: one that is down then stops the ballot."""
    cluster = Cluster()
    cluster.propose("A", "value")
    cluster.run_phase1("A", "B")
    assert [e.recipient for e in cluster.sent(Accept)] == ["B", "C"]
    cluster.kill("B")
    cluster.settle()
    assert set(cluster.chosen()) == {"value"}


# What a learner may believe. ----------------------------------------------------------------


def test_a_vote_is_not_counted_twice() -> None:
    """Counting votes and not voters: a member that restarts has two (jgroups-raft 24)."""
    votes: Votes = [("A", Proposal(A1, "value"))] * 5
    learner = learner_with_votes(*votes)
    assert learner.chosen is NOTHING_CHOSEN
    assert learner.votes == (("A", Proposal(A1, "value")),)


def test_who_is_no_member_has_no_vote() -> None:
    """Counting the votes of whoever answers (jgroups-raft 24)."""
    votes: Votes = [(voter, Proposal(A1, "value")) for voter in "AXYZ"]
    assert learner_with_votes(*votes).chosen is NOTHING_CHOSEN
    proposer, prepare = new_proposer("A").prepare()
    for stranger in "XYZ":
        proposer, accept = proposer.receive_promise(stranger, promise(prepare.id))
        assert accept is None
        proposer = proposer.receive_nack(stranger, Nack(prepare.id, C1))
    assert proposer.unanswered == prepare


def test_votes_of_different_ballots_are_not_added_up() -> None:
    """Taking a majority that holds the same value for a choice (PySyncObj 169, of older terms)."""
    votes: Votes = [(id.node_id, Proposal(id, "same")) for id in (A1, B1, C1)]
    for order in permutations(votes):
        assert learner_with_votes(*order).chosen is NOTHING_CHOSEN


def test_a_late_vote_does_not_replace_a_newer_one() -> None:
    """Keeping the vote that came last, not the one cast last."""
    learner = learner_with_votes(("A", Proposal(B2, "new")), ("A", Proposal(A1, "old")))
    assert learner.votes == (("A", Proposal(B2, "new")),)


def test_a_quorum_of_one_phase_is_not_one_of_the_other() -> None:
    """Counting promises or votes against "the majority" where the phases differ."""
    quorums = Quorums.flexible("ABCD", phase1=3, phase2=2)
    votes: Votes = [(voter, Proposal(A1, "value")) for voter in "AB"]
    assert learner_with_votes(*votes, quorums=quorums).chosen == Proposal(A1, "value")
    proposer: Proposer[Value] = Proposer("A", quorums, value="value")
    proposer, _ = proposer.prepare()
    accepts = []
    for member in "ABC":
        proposer, accept = proposer.receive_promise(member, promise(A1))
        accepts.append(accept)
    assert accepts == [None, None, Accept(Proposal(A1, "value"))]


@pytest.mark.parametrize("value", FALSY_VALUES, ids=repr)
def test_falsy_values_are_not_lost(value: Value) -> None:
    """Truthiness for presence, anywhere: proposing, adopting, voting, learning, recovering."""
    cluster = Cluster()
    cluster.propose("A", value)
    cluster.settle()
    assert [repr(chosen) for chosen in cluster.chosen()] == [repr(value)] * 3
    assert all(repr(disk.accepted) == repr(Proposal(A1, value)) for disk in on_disks(cluster))
    cluster.kill("B")
    cluster.start("B")
    cluster.propose("B", "other")
    cluster.settle()
    assert repr(cluster.chosen()[-1]) == repr(value)


def on_disks(cluster: Cluster) -> list[DurableState[Value]]:
    return list(cluster.on_disk.values())


class Opaque:
    """A value that allows nothing but equality and hashing: no order, no truth, no length."""

    def __init__(self, content: int) -> None:
        self._content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other._content == self._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __bool__(self) -> bool:
        raise AssertionError("somebody asked whether a value is true")

    def __lt__(self, other: object) -> bool:
        raise AssertionError(f"somebody asked whether a value is less than {other}")

    __gt__ = __le__ = __ge__ = __lt__

    def __len__(self) -> int:
        raise AssertionError("somebody asked how long a value is")


def test_nothing_looks_inside_a_value() -> None:
    """Comparing pairs of ID and value as a whole: where IDs are equal, values get compared."""
    cluster = Cluster()
    for restarting in "ABC":
        for number, node_id in enumerate("ABC"):
            cluster.propose(node_id, Opaque(number))
            cluster.save(node_id)
        cluster.settle()
        cluster.kill(restarting)
        cluster.start(restarting)
    assert len(set(cluster.chosen())) == 1


# Envelopes that are not for this node. ------------------------------------------------------


@pytest.mark.parametrize(
    ("stray", "reason"),
    [
        (Envelope(identity("A"), "B", Prepare(A1), version=2), "format version 2 instead of 1"),
        (Envelope(identity("A"), "C", Prepare(A1)), "meant for C"),
        (
            Envelope(Identity("other", "A", "first"), "B", Prepare(A1)),
            "of cluster other instead of test",
        ),
        (
            Envelope(Identity("test", "A", "first", epoch=1), "B", Prepare(A1)),
            "of epoch 1 instead of 0",
        ),
        (Envelope(identity("B", "second"), "B", Prepare(B1)), "another node uses this node's ID"),
    ],
    ids=["version", "recipient", "cluster", "epoch", "own-ID"],
)
def test_a_stray_envelope_is_dropped_and_named(stray: Envelope[Prepare], reason: str) -> None:
    """Taking part in another cluster, configuration or format: addresses get reused."""
    node = new_node("B")
    step = node.receive(stray)
    assert step.node == node
    assert step.messages == ()
    assert step.events == (EnvelopeRefused(stray.sender, reason),)


def test_a_stranger_may_ask_and_is_answered_but_is_not_remembered() -> None:
    """A proposer that is no member is legal. Who knows how many there are: nothing grows."""
    node = new_node("B")
    step = node.receive(envelope("X", "B", Prepare(ProposalID(1, "X"))))
    assert [e.message for e in step.messages] == [promise(ProposalID(1, "X"))]
    assert step.node.incarnations == node.incarnations == ()


@pytest.mark.parametrize("word", [Request("value"), Heartbeat(A1, 1.0)], ids=repr)
def test_a_bare_node_drops_the_words_of_heartbeats(word: Message[Value]) -> None:
    """Failing on a message that another kind of node understands: they may share a network."""
    node = new_node("B")
    step = node.receive(envelope("A", "B", word))
    assert (step.messages, step.events) == ((), ())
    assert (step.node.proposer, step.node.durable) == (node.proposer, node.durable)
