"""What happens in a run, one thing after the other, as a stage tells it to those who watch.

The printer of transcripts, the judge of the invariants and the diagrams all see these and nothing
else. So whatever can be played can be printed, judged and drawn, whichever world has found it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from paxos.errors import FaultError
from paxos.events import Event
from paxos.messages import Envelope, Message
from paxos.node import DurableState


@dataclass(frozen=True, slots=True)
class Commanded:
    """A command begins. All that follows, up to the next one, comes of it."""

    command: object
    """A primitive of `paxos.scenario.commands`; `str` makes its line."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Virtual time has come to this instant."""

    now: float


@dataclass(frozen=True, slots=True)
class Asked:
    """An application asks a node to propose this value."""

    node_id: str
    value: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """A node is told the time."""

    node_id: str
    now: float
    """On its own clock (seconds)."""


@dataclass(frozen=True, slots=True)
class Left:
    """A message leaves its sender. From now on it can arrive, any number of times, or never."""

    envelope: Envelope[Message[str]]

    disk: DurableState[str] | None = None
    """What was on its sender's stable storage at that instant. None if nobody looked."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message is handled by its recipient."""

    envelope: Envelope[Message[str]]


@dataclass(frozen=True, slots=True)
class Lost:
    """The network drops a message that has left."""

    envelope: Envelope[Message[str]]


@dataclass(frozen=True, slots=True)
class PersistBegan:
    """A node's state is on its way to the disk."""

    node_id: str
    state: DurableState[str]


@dataclass(frozen=True, slots=True)
class PersistEnded:
    """It is on stable storage, and what waited for it leaves."""

    node_id: str
    state: DurableState[str]


@dataclass(frozen=True, slots=True)
class PersistFailed:
    """It is not, and the node stops."""

    node_id: str
    error: FaultError


@dataclass(frozen=True, slots=True)
class Told:
    """A node tells its application something."""

    node_id: str
    event: Event[str]


@dataclass(frozen=True, slots=True)
class Crashed:
    """A node is down, and what had not left or was not on its disk is gone."""

    node_id: str
    how: str
    """As the command has it: "kill", "kill unwritten", "power", "power new", "power torn"; with
    "opening" and a number before it, if its store was being opened."""

    @property
    def was_opening(self) -> bool:
        """Whether its store was being opened."""
        return self.how.startswith("opening ")


@dataclass(frozen=True, slots=True)
class Damaged:
    """Something happened to a node's disk that no crash explains."""

    node_id: str
    how: str
    """As the command has it: "rot" or "wipe"."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """A node is up again, with what its disk held."""

    node_id: str
    state: DurableState[str]


@dataclass(frozen=True, slots=True)
class StayedDown:
    """A node's store is not sound, so it does not start."""

    node_id: str
    error: FaultError


@dataclass(frozen=True, slots=True)
class Broke:
    """What must always hold does not hold any more. Told by the judge, after its cause."""

    invariant: str
    """Its ID."""

    sentence: str
    """What is wrong."""


Happening: TypeAlias = (
    Commanded
    | TimePassed
    | Asked
    | Ticked
    | Left
    | Arrived
    | Lost
    | PersistBegan
    | PersistEnded
    | PersistFailed
    | Told
    | Crashed
    | Damaged
    | Restarted
    | StayedDown
    | Broke
)
