"""A witness: it sees every message that leaves, and says at once when a promise is broken.

It knows Paxos from the paper and nothing of how nodes work inside. Values are compared by what
they print as: 0, False and "" are three values.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    DurableState,
    Envelope,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Quorums,
)


class Witness:
    """What has left so far. Raises `AssertionError` for what must not leave."""

    def __init__(self, quorums: Quorums) -> None:
        self._weight_of = dict(quorums.weights)
        self._phase1, self._phase2 = quorums.phase1, quorums.phase2
        self._proposed: set[str] = set()
        self._prepared_by: dict[ProposalID, tuple[str, int]] = {}
        self._promises: dict[ProposalID, dict[str, Proposal[Any] | None]] = {}
        self._highest_promise: dict[str, ProposalID] = {}
        self._value_of: dict[ProposalID, str] = {}
        self._votes: dict[ProposalID, set[str]] = {}
        self._highest_vote: dict[str, ProposalID] = {}
        self.chosen: dict[ProposalID, str] = {}
        """The proposals that a phase-2 quorum has voted for, and how their values print."""

    def proposed(self, value: Any) -> None:
        self._proposed.add(repr(value))

    def trusts(self, proposal: Proposal[Any]) -> None:
        """Somebody who is not watched has issued this proposal."""
        self._value_of[proposal.id] = repr(proposal.value)

    def learned(self, node_id: str, proposal: Proposal[Any]) -> None:
        """A node says that this is chosen (2.1: nobody learns it unless it is so)."""
        assert self.chosen.get(proposal.id) == repr(proposal.value), (
            f"{node_id} learned {proposal}, and chosen are {self.chosen}"
        )

    def leaves(self, envelope: Envelope[Any], disk: DurableState[Any], run: int) -> None:
        """A message leaves its sender, whose disk holds `disk` and whose process is the run-th."""
        sender, message = envelope.sender.node_id, envelope.message
        match message:
            case Prepare():
                self._prepare(sender, message.id, disk, run)
            case Promise():
                self._promise(sender, message, disk)
            case Accept():
                self._accept(sender, message.proposal)
            case Accepted():
                self._accepted(sender, message.proposal, disk)
            case Chosen():
                self.learned(sender, message.proposal)
            case Nack():
                assert message.promised > message.id, "a refusal without a reason"
            case _:
                pass

    def _prepare(self, sender: str, id: ProposalID, disk: DurableState[Any], run: int) -> None:
        assert id.node_id == sender, f"{sender} prepares {id}, which is another node's"
        assert disk.ballot >= id.number, f"Prepare {id} left before its number was on disk"
        first = self._prepared_by.setdefault(id, (sender, run))
        assert first == (sender, run), f"{id} is prepared by {first} and by {(sender, run)}"

    def _promise(self, sender: str, promise: Promise[Any], disk: DurableState[Any]) -> None:
        assert _promised_on(disk) >= promise.id, f"Promise {promise.id} left before it was on disk"
        reported = None if promise.accepted is NOTHING_ACCEPTED else promise.accepted
        reported_id = NO_PROPOSAL if reported is None else reported.id
        assert reported_id < promise.id, f"{promise} reports what is not below it"
        assert promise.id >= self._highest_promise.get(sender, NO_PROPOSAL), (
            f"{sender} promised {self._highest_promise[sender]}, and promises {promise.id}"
        )
        earlier_vote = self._highest_vote.get(sender, NO_PROPOSAL)
        assert reported_id >= earlier_vote, f"{promise} hides the vote of {sender}"
        self._highest_promise[sender] = promise.id
        self._promises.setdefault(promise.id, {})[sender] = reported

    def _accept(self, sender: str, proposal: Proposal[Any]) -> None:
        assert proposal.id.node_id == sender, f"{sender} proposes under {proposal.id}"
        value = repr(proposal.value)
        if proposal.id in self._value_of:
            assert self._value_of[proposal.id] == value, f"a second value under {proposal.id}"
            return
        self._value_of[proposal.id] = value
        assert value in self._proposed, f"nobody proposed {proposal}"
        assert any(self._allows(some, value) for some in self._phase1_quorums(proposal.id)), (
            f"P2c does not allow {proposal} after {self._promises.get(proposal.id)}"
        )

    def _phase1_quorums(self, id: ProposalID) -> list[tuple[Proposal[Any] | None, ...]]:
        """What the promises for this ID report, for every phase-1 quorum among their senders."""
        reports = self._promises.get(id, {})
        members = [sender for sender in reports if sender in self._weight_of]
        return [
            tuple(reports[member] for member in some)
            for size in range(1, len(members) + 1)
            for some in combinations(members, size)
            if self._weight(some) >= self._phase1
        ]

    @staticmethod
    def _allows(reports: tuple[Proposal[Any] | None, ...], value: str) -> bool:
        """P2c: nothing was accepted, or this is the value of the highest that was."""
        accepted = [report for report in reports if report is not None]
        if not accepted:
            return True
        highest = max(report.id for report in accepted)
        return any(repr(r.value) == value for r in accepted if r.id == highest)

    def _accepted(self, sender: str, proposal: Proposal[Any], disk: DurableState[Any]) -> None:
        id, value = proposal.id, repr(proposal.value)
        assert _promised_on(disk) >= id, f"the vote for {id} left before its promise was on disk"
        assert _accepted_on(disk) >= id, f"the vote for {id} left before it was on disk"
        assert self._highest_promise.get(sender, NO_PROPOSAL) <= id, (
            f"{sender} promised {self._highest_promise[sender]}, and votes for {id}"
        )
        assert self._value_of.get(id) == value, f"nobody proposed {proposal} to {sender}"
        assert id >= self._highest_vote.get(sender, NO_PROPOSAL), (
            f"{sender} voted for {self._highest_vote[sender]}, and votes for {id}"
        )
        self._highest_vote[sender] = id
        voters = self._votes.setdefault(id, set())
        voters.add(sender)
        if self._weight(tuple(voters)) >= self._phase2:
            self.chosen[id] = value
            assert set(self.chosen.values()) == {value}, f"two values are chosen: {self.chosen}"

    def _weight(self, nodes: tuple[str, ...]) -> int:
        return sum(self._weight_of.get(node, 0) for node in nodes)


def _accepted_on(disk: DurableState[Any]) -> ProposalID:
    return NO_PROPOSAL if disk.accepted is NOTHING_ACCEPTED else disk.accepted.id


def _promised_on(disk: DurableState[Any]) -> ProposalID:
    """What this disk binds its node to: accepting promises too."""
    return max(disk.promised, _accepted_on(disk))
