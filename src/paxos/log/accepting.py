"""A log as an acceptor: it promises for all slots at once, and votes in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, cast

from paxos.immutable import replace
from paxos.log.entries import C, Entry
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    Decisions,
    LogMessage,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.slots import Slots, vote_of
from paxos.log.step import LogStep
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Nack,
    Prepare,
    Promise,
    Proposal,
)


@dataclass(frozen=True)
class Accepting(Slots[C]):
    """What `Log` does when it is asked."""

    def _receive_prepare(self, sender: str, prepare: PrepareFrom) -> LogStep[Self, C]:
        """Promise for all slots, and tell of the first page of them (PMS 3).

        Each remembered slot is asked by itself. If one of them was accepted under this very ID,
        the same request was answered before: silence, as in one decision.
        """
        unused, reply = self.unused.acceptor.receive_prepare(Prepare(prepare.id))
        if reply is None or isinstance(reply, Nack):
            return LogStep(self, () if reply is None else self._to(reply, sender))
        log = self._promising(unused.promised)
        start = max(prepare.slot, self.chosen_below)
        accepted: list[tuple[int, Proposal[Entry[C]]]] = []
        for slot, node in self.window.between(start, self.window.end):
            _, promise = node.acceptor.receive_prepare(Prepare(prepare.id))
            if not isinstance(promise, Promise):
                return LogStep(log)
            vote = vote_of(node)
            if vote is not NOTHING_ACCEPTED:
                accepted.append((slot, vote))
        told = self.limits.how_many([vote.value for _, vote in accepted])
        end = accepted[told][0] if told < len(accepted) else EVERY_LATER_SLOT
        page = PromiseFrom(prepare.id, start, end, self.chosen_below, tuple(accepted[:told]))
        return LogStep(log, log._to(page, sender))

    def _receive_accept(self, sender: str, accept: AcceptIn[C]) -> LogStep[Self, C]:
        """As an acceptor. Who proposes what is chosen already, or too far ahead, is told so."""
        slot = accept.slot
        if slot < self.window.first:
            return LogStep(self, self._to(self._how_far(), sender))
        if slot >= self._kept_below + self.limits.reach:
            return self.ask_to_learn(sender)
        step = self.node_at(slot).handle(sender, Accept(accept.proposal))
        log = self._promising(step.node.acceptor.promised)
        log = replace(log, window=log.window.put(slot, step.node, log.unused_at))
        messages: tuple[Envelope[LogMessage[C]], ...] = ()
        for envelope in step.messages:
            match envelope.message:
                case Accepted(proposal):
                    messages += log._to(AcceptedIn(slot, proposal.id), sender)
                case Chosen(proposal):
                    messages += log._to(Decisions(slot, (proposal,), log.chosen_below), sender)
                case refusal:  # an acceptor says nothing else
                    messages += log._to(cast("Nack", refusal), sender)
        return LogStep(log, messages)
