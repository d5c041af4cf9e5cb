"""One node's log, spoken to by hand: no clock, no network, no disk but what a test says."""

from __future__ import annotations

from typing import Any

from log.log_world import SMALL, configuration
from paxos import NO_PROPOSAL, Envelope, HeartbeatAnswer, Identity, Proposal, ProposalID, Timing
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Commands, Entry
from paxos.log.limits import Limits
from paxos.log.log import Log
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    LogMessage,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import LogState
from paxos.log.step import LogStep
from paxos.machine import Tick

A1, B1, C1 = (ProposalID(1, node_id) for node_id in "ABC")
A2, B2, C2 = (ProposalID(2, node_id) for node_id in "ABC")
B9 = ProposalID(9, "B")


def identity(node_id: str, incarnation: str = "first") -> Identity:
    return Identity("test", node_id, incarnation)


def fixed(members: str = "ABC") -> Configurations:
    return Configurations.fixed(configuration(*members))


def new_log(
    node_id: str = "A",
    members: str = "ABC",
    *,
    state: LogState[str] | None = None,
    limits: Limits[str] = SMALL,
) -> Log[str]:
    """A log that has never run, or one that finds this state."""
    state = LogState(configurations=fixed(members)) if state is None else state
    return Log[str].recover(identity(node_id), state, limits)


def commands(*each: str) -> Entry[str]:
    return Commands(each)


def change(*members: str) -> Change:
    return Change(configuration(*members))


def hear(log: Log[str], sender: str, message: LogMessage[str]) -> LogStep[Log[str], str]:
    """Let a message arrive."""
    return log.handle(identity(sender), message)


def after(log: Log[str], sender: str, *messages: LogMessage[str]) -> Log[str]:
    """The log once these messages have come."""
    for message in messages:
        log = hear(log, sender, message).node
    return log


def page(
    log: Log[str],
    start: int = 0,
    end: int = EVERY_LATER_SLOT,
    *,
    chosen_below: int = 0,
    accepted: dict[int, Proposal[Entry[str]]] | None = None,
) -> PromiseFrom[str]:
    """A promise for this log's ballot."""
    votes = tuple(sorted((accepted or {}).items()))
    return PromiseFrom(log.ballot, start, end, chosen_below, votes)


def leading(log: Log[str] | None = None, *, promised_by: str = "AB") -> Log[str]:
    """A log whose ballot these members have promised for all slots."""
    log = (new_log() if log is None else log).prepare().node
    for member in promised_by:
        log = after(log, member, page(log, log.chosen_below))
    assert log.leads
    return log


def said(step: LogStep[Any, str], kind: type[Any], to: str | None = None) -> list[Any]:
    """The messages of one kind in a step, to one node or to all."""
    return [
        envelope.message
        for envelope in step.messages
        if isinstance(envelope.message, kind) and to in (None, envelope.recipient)
    ]


def proposed(step: LogStep[Any, str]) -> dict[int, Entry[str]]:
    """What a step proposes, by slot."""
    return {message.slot: message.proposal.value for message in said(step, AcceptIn)}


def vote(log: Log[str], voter: str, *slots: int) -> LogStep[Log[str], str]:
    """Let a member vote for what this log proposed in these slots. Gives the last step."""
    step: LogStep[Log[str], str] = LogStep(log)
    for slot in slots:
        step = hear(step.node, voter, AcceptedIn(slot, log.ballot))
    return step


def chosen(log: Log[str], *slots: int, voters: str = "AB") -> Log[str]:
    """The log once these members have voted in these slots."""
    for voter in voters:
        log = vote(log, voter, *slots).node
    return log


def new_machine(
    node_id: str = "A", members: str = "ABC", *, limits: Limits[str] = SMALL
) -> LogMachine[str]:
    """A machine that has never run, at the instant 0."""
    state = LogState[str](configurations=fixed(members))
    node = LogNode[str].recover(identity(node_id), state, limits=limits, timing=Timing(), now=0.0)
    return LogMachine(node, 0.0)


def envelope(sender: str, recipient: str, message: Any) -> Envelope[Any]:
    return Envelope(identity(sender), recipient, message)


class ByHand:
    """A machine of A whose disk is instant, and whose every word is kept."""

    def __init__(self, machine: LogMachine[str] | None = None) -> None:
        self.machine = new_machine() if machine is None else machine
        self.now = 0.0
        self.sent: list[Any] = []
        self.events: list[Any] = []

    def give(self, input: Any) -> None:
        self.machine.receive(input, self.now)
        while not (ready := self.machine.ready()).is_empty:
            if ready.persist is not None:
                self.machine.persisted()
            self.events += ready.events
            for each in (*ready.send, *ready.send_after_persist):
                if each.recipient == "A":
                    self.machine.receive(each, self.now)
                else:
                    self.sent.append(each)

    def hear(self, sender: str, *messages: Any) -> None:
        for message in messages:
            self.give(envelope(sender, "A", message))

    def tick(self) -> None:
        deadline = self.machine.deadline
        assert deadline is not None
        self.now = deadline
        self.give(Tick())

    def said(self, kind: type[Any]) -> list[Any]:
        return [each.message for each in self.sent if isinstance(each.message, kind)]

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def candidate(self) -> ByHand:
        self.tick()
        self.hear("B", HeartbeatAnswer(NO_PROPOSAL, self.now))
        assert self.said(PrepareFrom)
        return self

    def leader(self) -> ByHand:
        self.candidate().hear("B", PromiseFrom(A1, 0, EVERY_LATER_SLOT, 0))
        assert self.machine.node.log.leads
        return self
