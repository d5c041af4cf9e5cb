"""A log as a learner: what is chosen, in the order of the slots, and teaching others.

A slot is chosen on the leader's word only where the vote is of the leader's own ballot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from paxos.immutable import replace
from paxos.log.changing import Changing
from paxos.log.entries import C, Change
from paxos.log.events import (
    EntriesWanted,
    EntryChosen,
    LogEvent,
    MembersChanged,
)
from paxos.log.messages import (
    AcceptedIn,
    ChosenBelow,
    Decisions,
    LogMessage,
)
from paxos.log.step import LogStep, then
from paxos.messages import (
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accepted,
    Chosen,
    Envelope,
    Identity,
    Proposal,
)


@dataclass(frozen=True)
class Learning(Changing[C]):
    """What `Log` does with what is chosen."""

    def _receive_accepted(self, sender: str, vote: AcceptedIn) -> LogStep[Self, C]:
        """Count a vote for what this node proposed in that slot under that ID."""
        node = self.window.get(vote.slot)
        proposal = None if node is None else node.proposer.proposal
        if node is None or not isinstance(proposal, Proposal) or proposal.id != vote.id:
            return LogStep(self)
        step = node.handle(sender, Accepted(proposal))
        if step.node.learner is node.learner:
            return LogStep(self)
        log = replace(self, window=self.window.put(vote.slot, step.node, self.unused_at))
        return log._promising(vote.id)._advance() if step.events else LogStep(log)

    def _receive_chosen_below(self, sender: str, message: ChosenBelow) -> LogStep[Self, C]:
        """Take the leader's word for every vote of its own ballot; ask for the other entries."""
        window, log = self.window, self
        for slot, node in window.between(self.chosen_below, message.slot):
            vote = node.acceptor.accepted
            if vote is NOTHING_ACCEPTED or vote.id != message.id:
                continue
            window = window.put(slot, node.handle(sender, Chosen(vote)).node, self.unused_at)
        if window is not self.window:
            log = replace(self, window=window)
        step = log._advance()
        return then(step, step.node._learn_from(sender, message.slot))

    def _receive_learn(self, sender: Identity, slot: int) -> LogStep[Self, C]:
        """Tell what is chosen from this slot on, as much as one message holds."""
        log = self._hearing_of(sender, slot)
        if not 0 <= slot < self.chosen_below:
            return LogStep(log)
        if slot < self.window.first:
            return LogStep(log, (), (EntriesWanted(sender.node_id, slot),))
        proposals = [
            node.learner.chosen
            for _, node in self.window.between(slot, self.chosen_below)
            if node.learner.chosen is not NOTHING_CHOSEN
        ]
        told = self.limits.how_many([proposal.value for proposal in proposals])
        decisions = Decisions(slot, tuple(proposals[:told]), self.chosen_below)
        return LogStep(log, log._to(decisions, sender.node_id))

    def _receive_decisions(self, sender: str, message: Decisions[C]) -> LogStep[Self, C]:
        """Learn what is chosen, as far as there is room to remember it; ask for more."""
        room = self._kept_below + self.limits.reach
        window, log, highest = self.window, self, self.promised
        for slot, proposal in enumerate(message.proposals, message.slot):
            if self.chosen_below <= slot < room:
                node = window.get(slot) or self.unused_at(slot)
                node = node.handle(sender, Chosen(proposal)).node
                window = window.put(slot, node, self.unused_at)
                highest = max(highest, proposal.id)
        if window is not self.window:
            # It goes to the disk like a vote, and promises like one (see `LogState.promised`).
            log = replace(self, window=window)._promising(highest)
        step = log._advance()
        return then(step, step.node._learn_from(sender, message.chosen_below))

    def _advance(self) -> LogStep[Self, C]:
        """Report what is chosen next, in order; as leader, tell the others and go on."""
        end = self.window.chosen_from(self.chosen_below)
        if end == self.chosen_below:
            return LogStep(self)
        log = self
        events: list[LogEvent[C]] = []
        for slot, node in self.window.between(self.chosen_below, end):
            chosen = node.learner.chosen
            assert chosen is not NOTHING_CHOSEN  # noqa: S101 - `chosen_from` says so
            events.append(EntryChosen(slot, chosen))
            if isinstance(chosen.value, Change):
                log, changed = log._having_changed(slot, chosen.value)
                events.append(changed)
            if chosen.id > self.ballot:
                # Another leads: what this ballot proposed here may differ, and voters would
                # take our word that all below is chosen for their votes in it.
                log = log.abandon()
        log = replace(log, chosen_below=end, next_slot=max(log.next_slot, end))
        if len(log.configurations.steps) > 1:
            log = replace(log, configurations=log.configurations.from_slot(end))._knowing_members()
        messages: tuple[Envelope[LogMessage[C]], ...] = ()
        if log.leads:
            messages = log._to_others(log._how_far())
            if len(self.configurations.steps) > 1:
                # Who decides no more hears it a last time: so it learns that it is free.
                messages += log._to(log._how_far(), *(n for n in self.names if n not in log.names))
            if not log.promises.holds_for_all_from(end) or any(
                isinstance(each, MembersChanged) for each in events
            ):
                messages += log._ask_for_promises()
        return then(LogStep(log, messages, tuple(events)), log._lead_or_wait())
