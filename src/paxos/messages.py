"""The words that nodes say to each other, and what may leave before it is on disk.

Every message is a frozen dataclass, generic in the type of the value. Values are immutable and
hashable, and nothing here looks inside them: 0, "", b"" and None are values like any other. All
that is asked of two values is whether they are equal.

Generic classes have no `slots`: before Python 3.13 a class that is frozen, slotted and generic
cannot be called as `Proposal[str](...)` (CPython issue 116669).

The phases are those of *Paxos Made Simple*, 2.2: Prepare and Promise are phase 1, Accept and
Accepted are phase 2.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from paxos.proposal_id import ProposalID

V = TypeVar("V", bound=Hashable)

FORMAT_VERSION = 1
"""The version of everything that nodes send. A node drops envelopes of any other."""


class Absent(enum.Enum):
    """What stands where a value or a proposal could be, and is not. Never None, never falsy."""

    NO_VALUE = "no value"
    NOTHING_ACCEPTED = "nothing accepted"
    NOTHING_CHOSEN = "nothing chosen"

    def __repr__(self) -> str:
        return self.name


NO_VALUE: Final = Absent.NO_VALUE
NOTHING_ACCEPTED: Final = Absent.NOTHING_ACCEPTED
NOTHING_CHOSEN: Final = Absent.NOTHING_CHOSEN

NoValue: TypeAlias = Literal[Absent.NO_VALUE]
NothingAccepted: TypeAlias = Literal[Absent.NOTHING_ACCEPTED]
NothingChosen: TypeAlias = Literal[Absent.NOTHING_CHOSEN]


class Binding:
    """Base of what may leave only when the state behind it is on stable storage.

    A Prepare, for its number must never be used again after a crash; a Promise and a vote, for they
    bind the acceptor (*Paxos Made Simple*, 2.5: stable storage "before actually sending").
    """

    __slots__ = ()


@dataclass(frozen=True)
class Proposal(Generic[V]):
    """An ID and a value. Neither is ever stored or sent without the other."""

    id: ProposalID
    value: V


@dataclass(frozen=True, slots=True)
class Prepare(Binding):
    """Phase 1a: "promise me to accept nothing below this ID, and tell me what you accepted"."""

    id: ProposalID


@dataclass(frozen=True)
class Promise(Binding, Generic[V]):
    """Phase 1b: the promise, with the proposal of the highest ID that its sender has accepted."""

    id: ProposalID
    accepted: Proposal[V] | NothingAccepted


@dataclass(frozen=True)
class Accept(Generic[V]):
    """Phase 2a: "accept this proposal". Goes to every acceptor, whoever promised."""

    proposal: Proposal[V]


@dataclass(frozen=True)
class Accepted(Binding, Generic[V]):
    """Phase 2b: a vote. One vote decides nothing: a quorum in one ballot does."""

    proposal: Proposal[V]


@dataclass(frozen=True, slots=True)
class Nack:
    """A refusal: "I have promised a higher ID." Only a hint; dropping it costs nothing but time.

    *Paxos Made Simple*, 2.2: an acceptor that ignores a request should probably tell its proposer.
    """

    id: ProposalID
    promised: ProposalID


@dataclass(frozen=True)
class Chosen(Generic[V]):
    """A fact, for those who missed it (*Paxos Made Simple*, 2.3: a distinguished learner)."""

    proposal: Proposal[V]


@dataclass(frozen=True)
class Request(Generic[V]):
    """A value for the leader to propose. Whoever has none of its own takes it, to hand it on."""

    value: V


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One round of asking everybody: "do you follow me?", or, under no ID, "may I lead?"."""

    leading: ProposalID
    """The ballot that the sender leads; `NO_PROPOSAL` if it only would like to lead."""

    round: float
    """When this round began, on its sender's clock (seconds). Nobody else looks at it."""


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """Whom the sender follows just now; `NO_PROPOSAL` if it hears no leader."""

    follows: ProposalID
    round: float
    """The round that this answers, given back as it came."""


Waiting: TypeAlias = Prepare | Promise[V] | Accepted[V]
"""What is `Binding`."""

Free: TypeAlias = Accept[V] | Nack | Chosen[V] | Request[V] | Heartbeat | HeartbeatAnswer
"""What stays true if its sender restarted from its disk at this very instant.

An Accept is here because its ballot was prepared, and a Prepare leaves only when it is durable;
the rest are facts or hints.
"""

Message: TypeAlias = Waiting[V] | Free[V]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a node is. The incarnation is drawn at random when its store is created."""

    cluster: str
    node_id: str
    incarnation: str
    epoch: int = 0
    """Which configuration of the cluster it speaks for. A fixed roster has only epoch 0."""


M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True)
class Envelope(Generic[M_co]):
    """A message on its way from one node to another, or to itself."""

    sender: Identity
    recipient: str
    message: M_co
    version: int = FORMAT_VERSION
