"""Recovery as a table: whatever may be on disk after a crash, and what becomes of it.

On disk are three fields: the highest number ever prepared, the promise, and what was accepted. A
crash in the middle of a persist leaves any mixture of the older and the newer state, field by
field; every one of them must be a legal state to begin from.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple, TypeAlias

import pytest

from core.cluster import (
    A1,
    A2,
    A3,
    B1,
    B2,
    B3,
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
from paxos import (
    NO_PROPOSAL,
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Acceptor,
    Chosen,
    DurableState,
    Machine,
    Nack,
    Node,
    Phase,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Proposer,
)
from paxos.messages import NothingAccepted

Accepting: TypeAlias = Proposal[Value] | NothingAccepted
NOTHING: Accepting = NOTHING_ACCEPTED


def recover(durable: DurableState[Value]) -> Node[Value]:
    return Node[Value].recover(identity("B"), MAJORITY_OF_3, durable)


# The table: what is on the disk of node B, and what it knows afterwards. ---------------------


class Case(NamedTuple):
    """What was on disk; what counts as promised; and the ID of the next ballot."""

    ballot: int
    promised: ProposalID
    accepted: ProposalID
    then_promised: ProposalID
    next_ballot: ProposalID


NONE = NO_PROPOSAL
TABLE = [
    #    ballot  promised  accepted    then promised  next ballot
    Case(0,      NONE,     NONE,       NONE,          B1),  # a node that never ran
    Case(0,      NONE,     C2,         C2,            B3),  # accepting promises, too
    Case(0,      A1,       NONE,       A1,            B2),
    Case(0,      A1,       A1,         A1,            B2),
    Case(0,      A1,       C2,         C2,            B3),  # the promise was not written yet
    Case(0,      C2,       A1,         C2,            B3),  # two facts: a promise above a vote
    Case(0,      C2,       C2,         C2,            B3),
    Case(1,      NONE,     NONE,       NONE,          B2),  # prepared, and died before its promise
    Case(1,      NONE,     A1,         A1,            B2),
    Case(1,      NONE,     C2,         C2,            B3),
    Case(1,      A1,       NONE,       A1,            B2),
    Case(1,      A1,       A1,         A1,            B2),
    Case(1,      B1,       NONE,       B1,            B2),
    Case(1,      B1,       B1,         B1,            B2),
    Case(1,      B1,       C2,         C2,            B3),
    Case(1,      C2,       B1,         C2,            B3),
    Case(2,      NONE,     NONE,       NONE,          B3),
    Case(2,      A1,       A1,         A1,            B3),  # its own ballot is the highest
    Case(2,      B2,       A1,         B2,            B3),
    Case(2,      B2,       B2,         B2,            B3),
    Case(2,      A1,       B2,         B2,            B3),
    Case(2,      C2,       NONE,       C2,            B3),  # equal numbers, and C is above B
    Case(2,      A2,       NONE,       A2,            B3),  # equal numbers, and A is below B
]  # fmt: skip


@pytest.mark.parametrize("value", FALSY_VALUES, ids=repr)
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_what_a_node_knows_after_a_restart(case: Case, value: Value) -> None:
    accepted: Accepting = NOTHING
    if case.accepted != NONE:
        accepted = Proposal(case.accepted, value)
    node = recover(DurableState(case.ballot, case.promised, accepted))
    assert node.acceptor == Acceptor(case.then_promised, accepted)
    assert node.proposer.prepare()[1] == Prepare(case.next_ballot)
    assert node.chosen is NOTHING_CHOSEN, "a learner may forget, and learn again"
    assert node.learner.votes == ()
    assert_at_rest(node)


def assert_at_rest(node: Node[Value]) -> None:
    """No ballot is under way, and nothing goes out by itself."""
    assert node.proposer.phase is Phase.IDLE
    assert node.proposer.value is NO_VALUE
    assert node.proposer.unanswered is None
    assert node.proposer.promised_by == node.proposer.refused_by == ()
    assert node.send_again().messages == ()
    assert node.deadline is None
    machine: Machine[Node[Value], DurableState[Value], Value] = Machine(node)
    assert machine.ready().is_empty


def all_states(values: tuple[Value, ...] = ("v",)) -> list[DurableState[Value]]:
    """Every combination of fields, also those that only a torn persist can leave."""
    ids = (NONE, A1, B1, A2, B2, C2)
    accepted: list[Accepting] = [NOTHING]
    accepted += [Proposal(id, value) for id in ids[1:] for value in values]
    return [DurableState(*fields) for fields in product((0, 1, 2), ids, accepted)]


def test_every_combination_recovers_into_a_state_that_recovers_into_itself() -> None:
    for durable in all_states(FALSY_VALUES):
        node = recover(durable)
        assert node.acceptor.promised == max(durable.promised, id_of(durable.accepted))
        assert same(node.acceptor.accepted, durable.accepted)
        assert recover(node.durable) == node
        assert_at_rest(node)


def test_without_a_durable_state_a_node_has_never_run() -> None:
    assert new_node("B") == recover(DurableState())
    assert new_node("B").durable == DurableState(0, NO_PROPOSAL, NOTHING)


def id_of(accepted: Accepting) -> ProposalID:
    return accepted.id if isinstance(accepted, Proposal) else NO_PROPOSAL


def same(one: object, other: object) -> bool:
    """Equal, and not merely as 0 and False are."""
    return repr(one) == repr(other)


# Mixtures of two states. --------------------------------------------------------------------


def sound_states() -> list[DurableState[Value]]:
    """What a node can hold in memory: its promise is never below what it accepted."""
    return [state for state in all_states() if state.promised >= id_of(state.accepted)]


def later_states(older: DurableState[Value]) -> Iterator[DurableState[Value]]:
    """Nothing durable ever falls, and under one ID there is one value."""
    for newer in sound_states():
        if (
            newer.ballot >= older.ballot
            and newer.promised >= older.promised
            and id_of(newer.accepted) >= id_of(older.accepted)
        ):
            yield newer


def mixtures(
    older: DurableState[Value], newer: DurableState[Value]
) -> Iterator[DurableState[Value]]:
    for ballot, promised, accepted in product((older, newer), repeat=3):
        yield DurableState(ballot.ballot, promised.promised, accepted.accepted)


def all_mixtures() -> Iterator[tuple[DurableState[Value], Node[Value]]]:
    """Each older state, with the node that recovers from each mixture with each newer one."""
    recovered = {state: recover(state) for state in all_states()}
    for older in sound_states():
        seen = {mixture for newer in later_states(older) for mixture in mixtures(older, newer)}
        for mixture in seen:
            yield older, recovered[mixture]


def test_every_mixture_keeps_what_the_older_state_promised() -> None:
    """What left before the crash was covered by the older state, and must still be true."""
    pairs = 0
    for older, node in all_mixtures():
        pairs += 1
        assert node.acceptor.promised >= older.promised
        assert id_of(node.acceptor.accepted) >= id_of(older.accepted)
        assert node.acceptor.promised >= id_of(node.acceptor.accepted), "accepting promises, too"
        assert node.proposer.prepare()[1].id.number > older.ballot
    assert pairs == 1_386


def test_after_every_mixture_what_was_refused_is_refused_again() -> None:
    ids = (A1, B1, A2, B2, C2)
    for older, node in all_mixtures():
        before = Acceptor(older.promised, older.accepted)
        for id in ids:
            if isinstance(before.receive_prepare(Prepare(id))[1], Nack):
                assert isinstance(node.acceptor.receive_prepare(Prepare(id))[1], Nack)
            if isinstance(before.receive_accept(Accept(Proposal(id, "v")))[1], Nack):
                assert isinstance(node.acceptor.receive_accept(Accept(Proposal(id, "v")))[1], Nack)


def test_after_every_mixture_a_vote_is_still_reported() -> None:
    for older, node in all_mixtures():
        _, promise = node.acceptor.receive_prepare(Prepare(A3))
        assert isinstance(promise, Promise)
        assert id_of(promise.accepted) >= id_of(older.accepted)


@pytest.mark.parametrize("kept", list(product((False, True), repeat=3)), ids=str)
def test_a_crash_in_the_middle_of_a_persist_does_no_harm(kept: tuple[bool, bool, bool]) -> None:
    """B is killed while it saves its vote for A's proposal, and the number of its own ballot.

    A has voted too, and then is down: whether its value was chosen hangs on what B wrote.
    """
    ballot, promised, accepted = kept
    cluster = Cluster()
    cluster.propose("A", "a")
    cluster.save("A")
    cluster.pass_on(Prepare, to="B")
    cluster.save("B")
    cluster.pass_on(Promise, to="A")
    cluster.save("A")
    cluster.pass_on(Accept, to="B")
    cluster.propose("B", "b")
    cluster.perform("B")
    cluster.kill("A")
    cluster.kill("B", ballot=ballot, promised=promised, accepted=accepted)
    cluster.network.clear()
    cluster.start("B")
    cluster.propose("B", "b")
    cluster.settle()
    assert set(cluster.chosen()) == {"a" if accepted else "b"}
    cluster.start("A")
    cluster.propose("A", "a")
    cluster.settle()
    assert len(set(cluster.chosen())) == 1


# A restart ends every ballot. ---------------------------------------------------------------


def nodes_in_every_phase() -> list[Node[Value]]:
    idle = new_node("B")
    preparing = idle.propose("b").node
    leading = idle.prepare().node
    proposing = preparing
    for member in "AC":
        promise = envelope(member, "B", Promise(B1, NOTHING))
        leading, proposing = leading.receive(promise).node, proposing.receive(promise).node
    lost = preparing
    for member in "AC":
        lost = lost.receive(envelope(member, "B", Nack(B1, C3))).node
    decided = proposing.receive(envelope("A", "B", Chosen(Proposal(B1, "b")))).node
    return [idle, preparing, leading, proposing, lost, decided]


def test_the_phases_above_are_all_there_are() -> None:
    assert {node.proposer.phase for node in nodes_in_every_phase()} == set(Phase)


@pytest.mark.parametrize("node", nodes_in_every_phase(), ids=range(6))
def test_a_restart_ends_every_ballot(node: Node[Value]) -> None:
    after = recover(node.durable)
    assert_at_rest(after)
    assert after.proposer.prepare()[1].id > node.proposer.ballot


@pytest.mark.parametrize("node", nodes_in_every_phase(), ids=range(6))
@pytest.mark.parametrize("reported", [NOTHING, Proposal(A1, 0)], ids=repr)
def test_promises_for_a_ballot_of_an_earlier_run_count_for_nothing(
    node: Node[Value], reported: Accepting
) -> None:
    after = recover(node.durable)
    for member in MAJORITY_OF_3.members:
        step = after.receive(envelope(member, "B", Promise(node.proposer.ballot, reported)))
        assert step.messages == ()
        after = step.node
    assert_at_rest(after)
    assert after.propose("other").messages[0].message == Prepare(
        ProposalID(max(node.proposer.ballot.number, 0) + 1, "B")
    )


def test_no_ballot_id_is_ever_used_twice() -> None:
    """Every mixture of ballots, restarts and news of other ballots, six in a row."""
    for events in product(("prepare", "restart", "news", "nack"), repeat=6):
        proposer: Proposer[Value] = Proposer("B", MAJORITY_OF_3)
        used: list[ProposalID] = []
        for event in events:
            if event == "prepare":
                proposer, prepare = proposer.prepare()
                used.append(prepare.id)
            elif event == "restart":
                proposer = recover(DurableState(proposer.ballot.number)).proposer
            elif event == "news":
                proposer = proposer.observe(C2)
            else:
                proposer = proposer.receive_nack("A", Nack(proposer.ballot, C3))
        assert all(earlier < later for earlier, later in pairwise(used)), events


def test_a_ballot_that_nobody_heard_of_may_be_forgotten_and_only_that() -> None:
    """Killed before its number was on disk, the Prepare cannot have left."""
    cluster = Cluster()
    cluster.propose("B", "b")
    cluster.perform("B")
    assert cluster.network == []
    cluster.kill("B")
    cluster.start("B")
    cluster.propose("B", "b")
    cluster.save("B")
    assert [e.message for e in cluster.sent(Prepare)] == [Prepare(B1), Prepare(B1)]


@pytest.mark.parametrize("value", FALSY_VALUES, ids=repr)
def test_a_choice_survives_a_restart_of_the_whole_cluster(value: Value) -> None:
    """After the restart no learner remembers it; the votes on disk do."""
    cluster = Cluster()
    cluster.propose("A", value)
    cluster.settle()
    for node_id in "ABC":
        cluster.kill(node_id)
    for node_id in "ABC":
        cluster.start(node_id)
        assert cluster.machines[node_id].node.chosen is NOTHING_CHOSEN
    cluster.propose("C", "another")
    cluster.settle()
    assert [repr(chosen) for chosen in cluster.chosen()] == [repr(value)] * 6
