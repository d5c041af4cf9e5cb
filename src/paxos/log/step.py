"""What one input does to a log."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from paxos.log.entries import C
from paxos.log.events import (
    LogEvent,
)
from paxos.log.messages import (
    LogMessage,
)
from paxos.messages import (
    Envelope,
)

S = TypeVar("S")


class LogStep(NamedTuple, Generic[S, C]):
    """The next state, and what comes out of it. It is `machine.Step` with the words of a log."""

    node: S
    messages: tuple[Envelope[LogMessage[C]], ...] = ()
    events: tuple[LogEvent[C], ...] = ()


def then(first: LogStep[S, C], second: LogStep[S, C]) -> LogStep[S, C]:
    """Two steps as one: the second began where the first one ended."""
    return LogStep(second.node, first.messages + second.messages, first.events + second.events)
