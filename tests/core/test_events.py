"""Events read as sentences, with the node as their subject."""

from __future__ import annotations

from typing import Any

import pytest

from paxos import (
    NO_PROPOSAL,
    BallotLost,
    ConflictError,
    EnvelopeRefused,
    FaultError,
    Identity,
    LeaderChanged,
    LeadershipAcquired,
    LeadershipLost,
    Proposal,
    ProposalID,
    Stopped,
    ValueChosen,
)

A1, B2 = ProposalID(1, "A"), ProposalID(2, "B")


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (ValueChosen(Proposal(A1, "tea")), "knows that 'tea' is chosen, under 1.A"),
        (BallotLost(A1, B2), "has lost its ballot 1.A: 2.B was promised"),
        (LeadershipAcquired(A1), "leads with ballot 1.A"),
        (LeadershipLost(A1, "its disk failed"), "leads no longer with ballot 1.A: its disk failed"),
        (LeaderChanged(B2), "follows ballot 2.B"),
        (LeaderChanged(NO_PROPOSAL), "hears no leader"),
        (
            EnvelopeRefused(Identity("c", "B", "first"), "of epoch 1 instead of 0"),
            "has dropped an envelope from B: of epoch 1 instead of 0",
        ),
        (Stopped(FaultError("the disk is full")), "has stopped: the disk is full"),
    ],
)
def test_an_event_says_what_happened(event: Any, sentence: str) -> None:
    assert str(event) == sentence


def test_stops_for_the_same_reason_are_equal() -> None:
    assert Stopped(FaultError("full")) == Stopped(FaultError("full"))
    assert hash(Stopped(FaultError("full"))) == hash(Stopped(FaultError("full")))


def test_stops_for_other_reasons_differ() -> None:
    assert Stopped(FaultError("full")) != Stopped(FaultError("empty"))
    assert Stopped(FaultError("full")) != Stopped(ConflictError("full"))
