"""What a world asks of a node of a log, beside handing it envelopes and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias

from paxos.log.configurations import Configurations
from paxos.log.entries import C, Configuration
from paxos.log.messages import LogMessage
from paxos.machine import PersistBegan, PersistEnded, PersistFailed, Tick
from paxos.messages import Envelope


@dataclass(frozen=True)
class Append(Generic[C]):
    """Put these commands into the log, in this order. Only a leader takes them."""

    commands: tuple[C, ...]


@dataclass(frozen=True, slots=True)
class ChangeMembers:
    """Let these be the members, from `window` slots after the change on. Only a leader can."""

    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Read:
    """Say from which slot on it is safe to read.

    Once a `ReadReady` has named it, and all below it is applied, the state shows everything that
    was acknowledged before this input.
    """

    number: int
    """The world's own name for this read. Never used twice by one node, in whatever run of its
    process: an answer to an earlier run may still be under way. Let a random number begin them."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand the leadership over to this member."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The world has a snapshot on its disk that holds all slots below `chosen_below`."""

    chosen_below: int
    configurations: Configurations
    """Who decides in slot `chosen_below` and those after it."""


LogInput: TypeAlias = (
    Envelope[LogMessage[C]]
    | Append[C]
    | ChangeMembers
    | Read
    | Transfer
    | Installed
    | Tick
    | PersistBegan
    | PersistEnded
    | PersistFailed
)
