"""Roles in a state that a test begins from, each reached by messages alone."""

from __future__ import annotations

from core.cluster import MAJORITY_OF_3, Value
from paxos import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Acceptor,
    Learner,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Proposer,
    Quorums,
)


def new_proposer(node_id: str = "A", value: Value = "own") -> Proposer[Value]:
    """One that has a value to propose, and no ballot."""
    proposer: Proposer[Value] = Proposer(node_id, MAJORITY_OF_3)
    return proposer.propose(value)[0]


def promise(id: ProposalID, accepted: Proposal[Value] | None = None) -> Promise[Value]:
    """A promise that reports this proposal, or that nothing was accepted."""
    return Promise(id, NOTHING_ACCEPTED if accepted is None else accepted)


def promised_acceptor(id: ProposalID) -> Acceptor[Value]:
    """One that has promised this ID, and accepted nothing."""
    acceptor: Acceptor[Value] = Acceptor()
    return acceptor.receive_prepare(Prepare(id))[0]


def accepted_acceptor(*proposals: Proposal[Value]) -> Acceptor[Value]:
    """One that has accepted these, one after the other."""
    acceptor: Acceptor[Value] = Acceptor()
    for proposal in proposals:
        acceptor, reply = acceptor.receive_accept(Accept(proposal))
        assert reply == Accepted(proposal)
    return acceptor


def learner_with_votes(
    *votes: tuple[str, Proposal[Value]], quorums: Quorums = MAJORITY_OF_3
) -> Learner[Value]:
    """One that has heard these votes, in this order."""
    learner: Learner[Value] = Learner(quorums)
    for voter, proposal in votes:
        learner, _ = learner.receive_accepted(voter, Accepted(proposal))
    return learner
