"""The judge notices each kind of violation when it happens, and what was put to the test."""

from __future__ import annotations

import pytest

from paxos.events import BallotLost, ValueChosen
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    Identity,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
)
from paxos.node import DurableState
from paxos.proposal_id import ProposalID
from paxos.quorum import Quorums
from paxos.scenario.cluster import CLUSTER_NAME
from paxos.scenario.happenings import Asked, Broke, Crashed, Happening, Left, Told
from paxos.scenario.invariants import INVARIANTS
from paxos.sim.judge import Judge

QUORUMS = Quorums.majority("ABC")
A1, B1, B2 = ProposalID(1, "A"), ProposalID(1, "B"), ProposalID(2, "B")
X, Y = Proposal(A1, "x"), Proposal(B2, "y")
FAR = DurableState(9, ProposalID(9, "Z"), Proposal(ProposalID(9, "Z"), "z"))


def left(
    sender: str,
    message: Message[str],
    disk: DurableState[str] = FAR,
    incarnation: str = "1",
) -> Left:
    return Left(Envelope(Identity(CLUSTER_NAME, sender, incarnation), "A", message), disk)


ASKED = (Asked("A", "x"), Asked("B", "y"))
X_IS_CHOSEN = (left("A", Accept(X)), left("A", Accepted(X)), left("B", Accepted(X)))

VIOLATIONS: dict[str, tuple[Happening, ...]] = {
    "agreement": (*ASKED, *X_IS_CHOSEN, left("B", Accepted(Y)), left("C", Accepted(Y))),
    "validity": (left("A", Accept(X)),),
    "one-value-an-id": (*ASKED, left("A", Accept(X)), left("A", Accept(Proposal(A1, "y")))),
    "promise-kept": (*ASKED, left("C", Promise(B1, NOTHING_ACCEPTED)), left("C", Accepted(X))),
    "promise-tells-all": (
        *ASKED,
        left("C", Accepted(X)),
        left("C", Promise(B1, NOTHING_ACCEPTED)),
    ),
    "learns-what-is-chosen": (*ASKED, left("A", Accepted(X)), Told("C", ValueChosen(X))),
    "durable-first": (left("A", Prepare(A1), DurableState()),),
}


def judged(*happenings: Happening) -> Judge:
    judge = Judge(QUORUMS)
    for happening in happenings:
        judge(happening)
    return judge


@pytest.mark.parametrize("invariant", VIOLATIONS)
def test_each_violation_is_noticed_by_its_last_step_and_no_other(invariant: str) -> None:
    *before, last = VIOLATIONS[invariant]
    judge = judged(*before)
    assert judge.broken == []
    judge(last)
    assert [broke.invariant for broke in judge.broken] == [invariant]


def test_every_invariant_has_its_violation_here() -> None:
    assert list(VIOLATIONS) == [invariant.id for invariant in INVARIANTS]


def test_whoever_listens_is_told_at_once() -> None:
    heard: list[Broke] = []
    judge = Judge(QUORUMS, heard.append)
    judge(left("A", Accept(X)))
    assert heard == judge.broken
    assert heard[0].sentence == "A sends 'x', which nobody proposed"


def test_what_is_said_again_is_no_new_violation() -> None:
    once = VIOLATIONS["promise-kept"]
    assert len(judged(*once, once[-1], once[-1]).broken) == 1


def test_heartbeats_and_crashes_break_nothing() -> None:
    beat, lost = left("A", Heartbeat(A1, 0.5)), Told("A", BallotLost(A1, B1))
    judge = judged(beat, Crashed("A", "kill"), lost)
    assert judge.broken == []
    assert judge.reached == set()


def test_what_was_put_to_the_test_is_noted() -> None:
    again = Proposal(B1, "x")
    judge = judged(
        *ASKED,
        *X_IS_CHOSEN,
        left("A", Chosen(X)),
        left("B", Promise(B1, X)),
        left("A", Nack(A1, B1)),
        left("B", Accepted(again)),
        left("C", Accepted(again)),
    )
    assert judge.broken == []
    assert judge.reached == {invariant.id for invariant in INVARIANTS}


def test_the_second_disk_of_a_node_is_no_member() -> None:
    """It has made no promise that it could break, and its votes make no quorum."""
    promise = left("C", Promise(B2, NOTHING_ACCEPTED))
    vote = left("C", Accepted(X), incarnation="2")
    judge = judged(*ASKED, promise, left("A", Accepted(X)), vote)
    assert judge.broken == []
    judge(Told("A", ValueChosen(X)))
    assert [broke.invariant for broke in judge.broken] == ["learns-what-is-chosen"]
