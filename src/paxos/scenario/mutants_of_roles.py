# ruff: noqa: D102 - what a method of a mutant does wrong, its class says
"""Acceptors, proposers and learners that each drop one rule, and quorums that are none.

Each class is put into nodes that are otherwise real. `paxos.scenario.rules` says which rule it
drops, and what comes of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from paxos.errors import ConflictError
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Nack,
    Prepare,
    Promise,
    Proposal,
)
from paxos.node import Acceptor, Learner, Phase, Proposer
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums
from paxos.scenario.breakage import altered

# Acceptors.


class AcceptsBelowItsPromise(Acceptor[str]):
    """Votes for whatever it is asked to vote for."""

    def receive_accept(self, accept: Accept[str]) -> tuple[Self, Accepted[str] | Nack]:
        unbound = altered(self, promised=NO_PROPOSAL)
        acceptor, reply = super(AcceptsBelowItsPromise, unbound).receive_accept(accept)
        return altered(acceptor, promised=max(self.promised, acceptor.promised)), reply


class PromisesWhateverIsAsked(Acceptor[str]):
    """Promises a lower ID after a higher one, and is bound by the lower."""

    def receive_prepare(self, prepare: Prepare) -> tuple[Self, Promise[str] | Nack | None]:
        unbound = altered(self, promised=NO_PROPOSAL)
        return super(PromisesWhateverIsAsked, unbound).receive_prepare(prepare)


class AcceptsWithoutPromising(Acceptor[str]):
    """Votes, and stays bound by nothing but what it promised before."""

    def receive_accept(self, accept: Accept[str]) -> tuple[Self, Accepted[str] | Nack]:
        acceptor, reply = super().receive_accept(accept)
        return altered(acceptor, promised=self.promised), reply


class KeepsItsFirstVote(Acceptor[str]):
    """Never votes for anything else than it voted for first."""

    def receive_accept(self, accept: Accept[str]) -> tuple[Self, Accepted[str] | Nack]:
        if self.accepted in (NOTHING_ACCEPTED, accept.proposal):
            return super().receive_accept(accept)
        return self, Nack(accept.proposal.id, self.promised)


class PromisesWithoutTelling(Acceptor[str]):
    """Promises, and keeps its vote to itself."""

    def receive_prepare(self, prepare: Prepare) -> tuple[Self, Promise[str] | Nack | None]:
        acceptor, reply = super().receive_prepare(prepare)
        if isinstance(reply, Promise):
            reply = Promise[str](reply.id, NOTHING_ACCEPTED)
        return acceptor, reply


class ReportsThePromisedID(Acceptor[str]):
    """Tells of its vote under the ID that it promised last, not under the one it voted in."""

    def receive_prepare(self, prepare: Prepare) -> tuple[Self, Promise[str] | Nack | None]:
        acceptor, reply = super().receive_prepare(prepare)
        if isinstance(reply, Promise) and self.accepted is not NOTHING_ACCEPTED:
            reply = Promise(reply.id, Proposal(self.promised, self.accepted.value))
        return acceptor, reply


class AnswersFromThePresent(Acceptor[str]):
    """Answers a repeated Prepare anew, by what it has become since."""

    def receive_prepare(self, prepare: Prepare) -> tuple[Self, Promise[str] | Nack | None]:
        if prepare.id == self.promised:
            return self, Promise(prepare.id, self.accepted)
        return super().receive_prepare(prepare)


# Proposers.


class AdoptsNothing(Proposer[str]):
    """Proposes its own value, whatever the promises tell of."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        return super().receive_promise(sender, Promise(promise.id, NOTHING_ACCEPTED))


class AdoptsTheLowest(Proposer[str]):
    """Of two votes that it is told of, it adopts the one with the lower ID."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        held, told = self.adopted, promise.accepted
        if promise.id != self.ballot or held is NOTHING_ACCEPTED or told is NOTHING_ACCEPTED:
            return super().receive_promise(sender, promise)
        lower = min(held, told, key=lambda vote: vote.id)
        holding = altered(self, adopted=lower)
        return super(AdoptsTheLowest, holding).receive_promise(sender, Promise(promise.id, lower))


class AdoptsTheGreatestValue(Proposer[str]):
    """Of two votes that it is told of, it adopts the one whose value comes last in the alphabet."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        held, told = self.adopted, promise.accepted
        if promise.id != self.ballot or held is NOTHING_ACCEPTED or told is NOTHING_ACCEPTED:
            return super().receive_promise(sender, promise)
        last = max(held, told, key=lambda vote: str(vote.value))
        holding = altered(self, adopted=last)
        return super(AdoptsTheGreatestValue, holding).receive_promise(
            sender, Promise(promise.id, last)
        )


class CountsStalePromises(Proposer[str]):
    """Takes the answer to an earlier Prepare for one to its newest."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        return super().receive_promise(sender, Promise(self.ballot, promise.accepted))


class CountsPromisesNotPromisers(Proposer[str]):
    """Takes the second promise of one member for that of another."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        if promise.id == self.ballot and sender in self.promised_by:
            sender = next(m for m in self.quorums.members if m not in self.promised_by)
        return super().receive_promise(sender, promise)


class ChangesItsProposal(Proposer[str]):
    """Adopts a vote that it hears of after it has proposed, in the same ballot."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        told = promise.accepted
        if self.phase is Phase.PREPARING or promise.id != self.ballot or told is NOTHING_ACCEPTED:
            return super().receive_promise(sender, promise)
        second = Proposal(self.ballot, told.value)
        return altered(self, proposal=second), Accept(second)


class ReusesItsID(Proposer[str]):
    """Begins each ballot under the ID of its last one."""

    def prepare(self) -> tuple[Self, Prepare]:
        following, prepare = super().prepare()
        if self.ballot == NO_PROPOSAL:
            return following, prepare
        return altered(following, ballot=self.ballot), Prepare(self.ballot)


class SharesItsIDs(Proposer[str]):
    """Numbers its ballots without its name: as if there were no other proposer."""

    def prepare(self) -> tuple[Self, Prepare]:
        following, prepare = super().prepare()
        shared = ProposalID(prepare.id.number, self.quorums.members[0])
        return altered(following, ballot=shared, highest_seen=shared), Prepare(shared)


class BelievesOldNacks(Proposer[str]):
    """Takes the refusal of an earlier ballot for one of its newest."""

    def receive_nack(self, sender: str, nack: Nack) -> Self:
        return super().receive_nack(sender, Nack(self.ballot, nack.promised))


class GivesUpAtOneNack(Proposer[str]):
    """Ends its ballot as soon as one member refuses it."""

    def receive_nack(self, sender: str, nack: Nack) -> Self:
        proposer = super().receive_nack(sender, nack)
        return proposer.abandon() if nack.id == self.ballot else proposer


class SaysItOnce(Proposer[str]):
    """Sends nothing again, as if no message were ever lost."""

    @property
    def unanswered(self) -> Prepare | Accept[str] | None:
        return None


class StopsAtNoConflict(Proposer[str]):
    """Is told of two values under one ID, keeps the first, and goes on."""

    def receive_promise(
        self, sender: str, promise: Promise[str]
    ) -> tuple[Self, Accept[str] | None]:
        try:
            return super().receive_promise(sender, promise)
        except ConflictError:
            return super().receive_promise(sender, Promise(promise.id, self.adopted))


# Learners.


class AddsUpBallots(Learner[str]):
    """Counts votes for one value, in whatever ballots they were cast."""

    def receive_accepted(
        self, sender: str, accepted: Accepted[str]
    ) -> tuple[Self, Chosen[str] | None]:
        learner, chosen = super().receive_accepted(sender, accepted)
        value = accepted.proposal.value
        voters = [voter for voter, vote in learner.votes if vote.value == value]
        if not learner.quorums.has_phase2(voters):
            return learner, chosen
        return learner.receive_chosen(Chosen(accepted.proposal)), Chosen(accepted.proposal)


class CountsVotesNotVoters(Learner[str]):
    """Takes the second vote of one member for that of another."""

    def receive_accepted(
        self, sender: str, accepted: Accepted[str]
    ) -> tuple[Self, Chosen[str] | None]:
        if (sender, accepted.proposal) in self.votes:
            voters = [voter for voter, _ in self.votes]
            sender = next(m for m in self.quorums.members if m not in voters)
        return super().receive_accepted(sender, accepted)


class LooksAtIDsAlone(Learner[str]):
    """Counts two values under one ID for one proposal."""

    def receive_accepted(
        self, sender: str, accepted: Accepted[str]
    ) -> tuple[Self, Chosen[str] | None]:
        alike = [vote for _, vote in self.votes if vote.id == accepted.proposal.id]
        return super().receive_accepted(sender, Accepted(alike[0]) if alike else accepted)


# Quorums.


class OnePromiseIsEnough(Quorums):
    """Takes any promise for a quorum of them."""

    def has_phase1(self, promisers: Collection[str]) -> bool:
        return len(promisers) > 0


class OneVoteIsEnough(Quorums):
    """Takes any vote for a quorum of them: accepted for chosen."""

    def has_phase2(self, voters: Collection[str]) -> bool:
        return len(voters) > 0


class HalfIsEnough(Quorums):
    """Takes half of the members for a quorum. The other half is another one."""

    def has_phase1(self, promisers: Collection[str]) -> bool:
        return 2 * self.weight(promisers) >= self.weight(self.members)

    def has_phase2(self, voters: Collection[str]) -> bool:
        return 2 * self.weight(voters) >= self.weight(self.members)


class WaitsForAll(Quorums):
    """Takes nothing less than all members for a quorum."""

    def has_phase1(self, promisers: Collection[str]) -> bool:
        return self.weight(promisers) == self.weight(self.members)

    def has_phase2(self, voters: Collection[str]) -> bool:
        return self.weight(voters) == self.weight(self.members)


class EverybodyVotes(Quorums):
    """Counts whoever answers, member or not."""

    def is_member(self, node_id: str) -> bool:
        return True

    def weight(self, nodes: Collection[str]) -> int:
        return len(set(nodes))
