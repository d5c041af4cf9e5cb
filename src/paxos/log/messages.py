"""What the nodes of a log say to each other. The words of `paxos.messages`, with slots.

What one Prepare asks and one Promise answers is said for many slots at once; everything else is a
message of `paxos.messages` about one slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeAlias

from paxos.log.entries import C, Entry
from paxos.messages import Binding, Heartbeat, HeartbeatAnswer, Nack, Proposal
from paxos.proposal_id import NO_PROPOSAL, ProposalID

EVERY_LATER_SLOT: Final = 1 << 62
"""The end of a promise that holds for all slots from its first one on. No log gets that far."""


@dataclass(frozen=True, slots=True)
class PrepareFrom(Binding):
    """Phase 1a for every slot from `slot` on (PMS 3: one message for infinitely many instances)."""

    id: ProposalID
    slot: int
    handed_over_by: ProposalID = NO_PROPOSAL
    """The leader's ballot that asked for this one: its followers need not defend it."""


@dataclass(frozen=True)
class PromiseFrom(Binding, Generic[C]):
    """Phase 1b for the slots from `slot` up to, but not including, `end`.

    It is one Promise for each of those slots, and for no other: a page. The next page is another
    PrepareFrom. All that its sender has accepted in those slots is in it.
    """

    id: ProposalID
    slot: int
    end: int
    chosen_below: int
    """Below it all is chosen, and its sender no longer tells votes: for those slots this is no
    promise. Who prepares learns them before it proposes there."""

    accepted: tuple[tuple[int, Proposal[Entry[C]]], ...] = ()
    """By slot, rising."""


@dataclass(frozen=True)
class AcceptIn(Generic[C]):
    """Phase 2a in one slot."""

    slot: int
    proposal: Proposal[Entry[C]]


@dataclass(frozen=True, slots=True)
class AcceptedIn(Binding):
    """Phase 2b in one slot, to the leader, who knows what it proposed under this ID."""

    slot: int
    id: ProposalID


@dataclass(frozen=True, slots=True)
class ChosenBelow:
    """The leader of this ballot knows all slots below `slot` to be chosen.

    Who voted under this very ballot has the same value. Any other vote proves nothing (Ongaro and
    Ousterhout's quiz, question 4): then the entry itself is asked for.
    """

    id: ProposalID
    slot: int


@dataclass(frozen=True, slots=True)
class Learn:
    """Tell me what is chosen from this slot on. Also says how far its sender has come."""

    slot: int


@dataclass(frozen=True)
class Decisions(Generic[C]):
    """What is chosen in the slots from `slot` on, one after the other."""

    slot: int
    proposals: tuple[Proposal[Entry[C]], ...]
    chosen_below: int
    """How far the sender knows; there may be more to ask for."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Is this ballot still the highest that you promised? One round for all waiting reads."""

    id: ProposalID
    round: int
    """Never used before in this ballot by this run of the process."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """It is."""

    id: ProposalID
    round: int


@dataclass(frozen=True, slots=True)
class AskToRead:
    """A follower's read: which slot must I have applied? The number is the follower's own."""

    number: int


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """The read of this number sees everything once all slots below `slot` are applied."""

    number: int
    slot: int


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The leader of this ballot hands its leadership to the recipient."""

    id: ProposalID


LogWaiting: TypeAlias = PrepareFrom | PromiseFrom[C] | AcceptedIn

LogFree: TypeAlias = (
    AcceptIn[C]
    | Nack
    | ChosenBelow
    | Learn
    | Decisions[C]
    | Confirm
    | Confirmed
    | AskToRead
    | ReadFrom
    | TakeOver
    | Heartbeat
    | HeartbeatAnswer
)
"""Confirmed is here although it speaks of a promise: what is in memory is at least what is on
disk, so who confirms has promised nothing higher, saved or not."""

LogMessage: TypeAlias = LogWaiting[C] | LogFree[C]
