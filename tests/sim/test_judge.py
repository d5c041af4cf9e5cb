"""The judge notices each kind of violation when it happens, and what was put to the test."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import pytest

from paxos.events import BallotLost, ValueChosen
from paxos.machine import Ready
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
from paxos.scenario.breakage import AnyMachine, Breakage, altered
from paxos.scenario.cluster import CLUSTER_NAME, Cluster
from paxos.scenario.commands import parse
from paxos.scenario.happenings import Asked, Broke, Crashed, Happening, Left, Told
from paxos.scenario.invariants import INVARIANTS
from paxos.scenario.mutants_of_nodes import NeverSyncs
from paxos.sim.judge import Judge
from paxos.sim.stage import Stage

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


def test_what_is_said_again_must_still_be_on_the_disk() -> None:
    promise = Promise(B1, NOTHING_ACCEPTED)
    judge = judged(left("C", promise), left("C", promise, DurableState(promised=A1)))
    (broke,) = judge.broken
    assert broke.invariant == "durable-first"
    assert broke.sentence == "C promises 1.B, and its disk holds a promise of 1.A"


def test_what_is_said_too_early_again_is_told_once() -> None:
    early = left("A", Prepare(A1), DurableState())
    assert len(judged(early, early, early).broken) == 1


class Parrot(AnyMachine):
    """Says at once what any of its processes has said before, whatever is on its disk by now."""

    __slots__ = ()
    said: ClassVar[set[object]] = set()

    def ready(self) -> Ready[DurableState[str], str]:
        ready = super().ready()
        again = tuple(each for each in ready.send_after_persist if each in self.said)
        later = tuple(each for each in ready.send_after_persist if each not in self.said)
        self.said.update(ready.send_after_persist)
        at_once: Any = ready.send + again  # which the types forbid
        return altered(ready, send=at_once, send_after_persist=later)


class Parrots(Cluster):
    """A cluster of parrots, on disks that never sync."""

    @cached_property
    def breakage(self) -> Breakage:
        return Breakage((Parrot, NeverSyncs))


def test_a_node_that_repeats_what_its_disk_has_lost_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Parrot, "said", set())
    judge = Judge(QUORUMS)
    stage = Stage(Parrots(tuple("ABC")), judge)
    for line in ("propose A x", "deliver A>C prepare 1.A", "crash C power", "restart C"):
        stage.perform(parse(line))
    assert judge.broken == []
    stage.perform(parse("deliver A>C prepare 1.A"))
    assert [broke.invariant for broke in judge.broken] == ["durable-first"]


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
