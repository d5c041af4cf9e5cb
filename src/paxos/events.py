"""What a machine tells its application: facts, in the order in which they became known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias

from paxos.errors import FaultError
from paxos.messages import Identity, Proposal, V
from paxos.proposal_id import ProposalID


@dataclass(frozen=True)
class ValueChosen(Generic[V]):
    """This node knows that the proposal is chosen. It never changes."""

    proposal: Proposal[V]

    def __str__(self) -> str:
        return f"knows that {self.proposal.value!r} is chosen, under {self.proposal.id}"


@dataclass(frozen=True, slots=True)
class BallotLost:
    """This node's ballot cannot win any more: no quorum is left to it. Wait, then try again."""

    id: ProposalID
    promised: ProposalID
    """The highest ID that acceptors gave as their reason."""

    def __str__(self) -> str:
        return f"has lost its ballot {self.id}: {self.promised} was promised"


@dataclass(frozen=True, slots=True)
class LeadershipAcquired:
    """A phase-1 quorum has promised this node's ballot: it leads until it learns otherwise."""

    id: ProposalID

    def __str__(self) -> str:
        return f"leads with ballot {self.id}"


@dataclass(frozen=True, slots=True)
class LeadershipLost:
    """This node has stopped leading. What it had proposed may still be chosen."""

    id: ProposalID
    reason: str

    def __str__(self) -> str:
        return f"leads no longer with ballot {self.id}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """This node follows another leader now; `NO_PROPOSAL` if it hears none."""

    leader: ProposalID

    def __str__(self) -> str:
        return f"follows ballot {self.leader}" if self.leader.number else "hears no leader"


@dataclass(frozen=True, slots=True)
class EnvelopeRefused:
    """An envelope was dropped unread, for it cannot be meant for this node, or be genuine."""

    sender: Identity
    reason: str

    def __str__(self) -> str:
        return f"has dropped an envelope from {self.sender.node_id}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The machine has stopped for good and will neither handle nor send anything more."""

    error: FaultError

    def __str__(self) -> str:
        return f"has stopped: {self.error}"


Event: TypeAlias = (
    ValueChosen[V]
    | BallotLost
    | LeadershipAcquired
    | LeadershipLost
    | LeaderChanged
    | EnvelopeRefused
    | Stopped
)
