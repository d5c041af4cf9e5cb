"""What a node of a log tells its application, beside the events of `paxos.events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias

from paxos.events import (
    BallotLost,
    EnvelopeRefused,
    LeaderChanged,
    LeadershipAcquired,
    LeadershipLost,
    Stopped,
)
from paxos.log.entries import C, Configuration, Entry
from paxos.messages import Proposal


@dataclass(frozen=True)
class EntryChosen(Generic[C]):
    """The entry of this slot, and of every slot before it, is chosen: apply it.

    Slots come in order, each once in a run of the process, beginning where the disk's log ended.
    """

    slot: int
    proposal: Proposal[Entry[C]]

    def __str__(self) -> str:
        return f"knows slot {self.slot}: {self.proposal.value}, under {self.proposal.id}"


@dataclass(frozen=True)
class CommandsRefused(Generic[C]):
    """These commands were not proposed and never will be: the caller may ask elsewhere."""

    commands: tuple[C, ...]
    reason: str

    def __str__(self) -> str:
        return f"refuses {len(self.commands)} commands: {self.reason}"


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """This change was not proposed and never will be."""

    configuration: Configuration
    reason: str

    def __str__(self) -> str:
        return f"refuses to change the members: {self.reason}"


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """A change is chosen: these members decide from this slot on."""

    configuration: Configuration
    slot: int

    def __str__(self) -> str:
        names = ", ".join(member.node_id for member in self.configuration.members)
        return f"knows that {names} decide from slot {self.slot} on"


@dataclass(frozen=True, slots=True)
class Removed:
    """Here is no vote any more for this node: all slots in which it had one are chosen."""

    def __str__(self) -> str:
        return "is no member any more"


@dataclass(frozen=True, slots=True)
class ReadReady:
    """Apply all slots below this one; then the state answers the read of this number."""

    number: int
    slot: int

    def __str__(self) -> str:
        return f"may answer read {self.number} once all below slot {self.slot} is applied"


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """Nobody could say what is newest. The caller may ask again, here or elsewhere."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"cannot answer read {self.number}: {self.reason}"


@dataclass(frozen=True, slots=True)
class EntriesWanted:
    """Another node asks for what is chosen from this slot on, and only the disk knows it."""

    recipient: str
    slot: int

    def __str__(self) -> str:
        return f"is asked by {self.recipient} for what is chosen from slot {self.slot} on"


LogEvent: TypeAlias = (
    EntryChosen[C]
    | CommandsRefused[C]
    | ChangeRefused
    | MembersChanged
    | Removed
    | ReadReady
    | ReadFailed
    | EntriesWanted
    | BallotLost
    | LeadershipAcquired
    | LeadershipLost
    | LeaderChanged
    | EnvelopeRefused
    | Stopped
)
