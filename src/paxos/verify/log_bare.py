"""`Log` as the shell drives it: `LogNode` without heartbeats, so without time, and without reads.

What heartbeats decide, a world decides here: who begins a ballot, and when something is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Self, TypeAlias

from paxos.log.entries import C
from paxos.log.events import Removed
from paxos.log.inputs import Append, ChangeMembers
from paxos.log.log import Log
from paxos.log.state import LogState
from paxos.log.step import LogStep
from paxos.machine import Machine, PersistBegan, PersistEnded, PersistFailed, Tick
from paxos.messages import Envelope
from paxos.node import Phase


@dataclass(frozen=True, slots=True)
class BeginBallot:
    """Input: begin a ballot, whoever leads."""


BareInput: TypeAlias = (
    Envelope[Any]
    | Append[C]
    | ChangeMembers
    | BeginBallot
    | Tick
    | PersistBegan
    | PersistEnded
    | PersistFailed
)


@dataclass(frozen=True)
class BareLog(Generic[C]):
    """A node of a log that does nothing by itself."""

    log: Log[C]

    @property
    def node_id(self) -> str:
        """This node's own ID."""
        return self.log.node_id

    @property
    def durable(self) -> LogState[C]:
        """What must survive a crash."""
        return self.log.durable

    @property
    def deadline(self) -> None:
        """None: it has no timers."""
        return None

    def is_saved_by(self, saved: LogState[C]) -> bool:
        """See `Log.is_saved_by`."""
        return self.log.is_saved_by(saved)

    def step(self, input: BareInput[C], now: float) -> LogStep[Self, C]:
        """Handle one input. A tick sends again what is unanswered."""
        del now
        log = self.log
        match input:
            case Envelope():
                return self._receive(input)
            case Append(commands):
                return self._followed(log.append(commands))
            case ChangeMembers(configuration):
                return self._followed(log.change_members(configuration))
            case BeginBallot():
                return self._followed(log.prepare())
            case Tick() if not log.is_member and log.phase is Phase.IDLE:
                # Who has no vote asks all who have one what they know: see `LogNode`.
                return self._followed(log.ask_to_learn(*log.names))
            case Tick():
                return self._followed(log.send_again())
            case PersistBegan():
                return LogStep(type(self)(log.persist_began()))
            case PersistEnded():
                return self._followed(log.persist_ended())
            case _:
                return LogStep(self)

    def _receive(self, envelope: Envelope[Any]) -> LogStep[Self, C]:
        admitted = self.log.admit(envelope)
        if admitted.events:
            return LogStep(self, (), admitted.events)
        step = admitted.node.handle(envelope.sender, envelope.message)
        return self._followed(step)

    def _followed(self, step: LogStep[Log[C], C]) -> LogStep[Self, C]:
        """What `LogNode` does as well once its log has taken a step."""
        log, events = step.node, step.events
        if self.log.is_member and not log.is_member:
            events += (Removed(),)
            log = log.abandon()
        if log.phase is not Phase.LEADING and (log.queue or log.changes):
            dropped = log.drop_queue()
            log, events = dropped.node, events + dropped.events
        return LogStep(type(self)(log), step.messages, events)


class BareMachine(Machine[Any, Any, Any]):
    """The shell of every node, around a bare log."""
