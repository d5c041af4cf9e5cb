"""A log as a proposer: one ballot for all slots, and a window of slots that are open.

A leader proposes in at most `window` slots beyond those it knows to be chosen. So it knows who
decides in each of them (see `configurations`), and whoever follows has little to remember. Where
it finds a hole below what others have accepted, it proposes nothing: a no-op.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from paxos.immutable import replace
from paxos.log.accepting import Accepting
from paxos.log.entries import NO_OP, C, Change, Commands, Entry
from paxos.log.events import (
    ChangeRefused,
    CommandsRefused,
    LogEvent,
)
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptIn,
    LogMessage,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.promises import Promises
from paxos.log.step import LogStep, then
from paxos.messages import (
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Envelope,
    Nack,
    Promise,
    Proposal,
)
from paxos.node import Node, Phase


@dataclass(frozen=True)
class Proposing(Accepting[C]):
    """What `Log` does to get something chosen."""

    def append(self, commands: tuple[C, ...]) -> LogStep[Self, C]:
        """Queue commands, and propose as many as there is room for. Only a leader takes them."""
        limits = self.limits
        weight = self.queue_weight + sum(map(limits.weigh, commands))
        if not self.leads:
            return LogStep(self, (), (CommandsRefused(commands, "this node does not lead"),))
        if any(limits.weigh(command) > limits.batch_weight for command in commands):
            return LogStep(self, (), (CommandsRefused(commands, "a command is too large"),))
        if len(self.queue) + len(commands) > limits.queue or weight > limits.queue_weight:
            return LogStep(self, (), (CommandsRefused(commands, "overloaded: try again later"),))
        return replace(self, queue=self.queue + commands, queue_weight=weight).propose()

    def prepare(self) -> LogStep[Self, C]:
        """Begin a ballot in every slot from the first one not known to be chosen."""
        proposer, _ = self.unused.proposer.observe(self.promised).prepare()
        log = replace(
            self,
            unused=replace(self.unused, proposer=proposer),
            promises=Promises(),
            leads=False,
            next_slot=self.chosen_below,
        )
        log = replace(log, window=log.window.each(log._with_ballot))
        return LogStep(log, log._ask_for_promises())

    def abandon(self) -> Self:
        """End this node's ballot, if there is one. What is queued stays until `drop_queue`."""
        if self.unused.proposer.phase is Phase.IDLE:
            return self
        return replace(self, unused=self.unused.abandon())._without_ballot()

    def drop_queue(self) -> LogStep[Self, C]:
        """Refuse what waits for a slot: it was never proposed."""
        events: tuple[LogEvent[C], ...] = ()
        if self.queue:
            events = (CommandsRefused(self.queue, "this node leads no more"),)
        events += tuple(ChangeRefused(each, "this node leads no more") for each in self.changes)
        return LogStep(replace(self, queue=(), queue_weight=0, changes=()), (), events)

    def _receive_promise(self, sender: str, page: PromiseFrom[C]) -> LogStep[Self, C]:
        """Count a page as a promise for each of its slots; lead once the log can go on.

        A page that goes beyond the window is cut there: who decides behind it is not known yet.
        """
        is_asked = page.id == self.ballot and self.unused.proposer.phase is not Phase.IDLE
        if not is_asked or sender not in self.names:
            return LogStep(self)
        limit = self.chosen_below + self.limits.window
        beyond = min((slot for slot, _ in page.accepted if slot >= limit), default=page.end)
        end = min(page.end, beyond)
        if page.slot >= end:
            return self._learn_from(sender, page.chosen_below)
        log = self._counting(sender, page, end)
        log = replace(log, promises=log.promises.with_page(sender, page.slot, end))
        if end == EVERY_LATER_SLOT:
            promise = Promise[Entry[C]](page.id, NOTHING_ACCEPTED)
            proposer, _ = log.unused.proposer.receive_promise(sender, promise)
            log = replace(log, unused=replace(log.unused, proposer=proposer))
        step = log._lead_or_wait()
        step = then(step, step.node._learn_from(sender, page.chosen_below))
        if end < min(limit, EVERY_LATER_SLOT):
            step = step._replace(messages=step.messages + step.node._ask(sender))
        return step

    def _receive_nack(self, sender: str, nack: Nack) -> LogStep[Self, C]:
        """Count a refusal of the ballot: it holds for every slot."""
        proposer = self.unused.proposer.receive_nack(sender, nack)
        lost = self.unused.proposer.phase is not Phase.IDLE and proposer.phase is Phase.IDLE
        log = replace(self, unused=replace(self.unused, proposer=proposer))
        if not lost:
            return LogStep(log)
        return LogStep(log._without_ballot())

    def propose(self) -> LogStep[Self, C]:
        """Propose in every slot that is free, prepared and within the window."""
        log: Self = self
        messages: tuple[Envelope[LogMessage[C]], ...] = ()
        while log.leads and log.next_slot < log._kept_below + log.limits.window:
            slot, node = log.next_slot, log.node_at(log.next_slot)
            if node.learner.chosen is NOTHING_CHOSEN:
                if node.proposer.phase is not Phase.LEADING:
                    break
                if node.proposer.proposal is NO_VALUE:
                    entry, log = log._next_entry(slot)
                    if entry is None:
                        break
                    proposer, _ = node.proposer.propose(entry)
                    node = replace(node, proposer=proposer)
                    log = replace(log, window=log.window.put(slot, node, log.unused_at))
                messages += log._accept_in(slot, node, log._deciders_at(slot))
            log = replace(log, next_slot=slot + 1)
        return LogStep(log, messages)

    def _next_entry(self, slot: int) -> tuple[Entry[C] | None, Self]:
        """What to propose in a slot that is free: fill a hole, change members, or take a batch.

        While a persist is under way, less than a full batch waits for it to end: the votes would
        wait for it, too. While a change waits to take effect, nothing is proposed, but at once.
        """
        if slot < self.window.end:
            return NO_OP, self
        if self.changes:
            return Change(self.changes[0]), replace(self, changes=self.changes[1:])
        if self.queue and (self.saving_below is None or len(self.queue) >= self.limits.batch):
            return self._cut_batch()
        is_changing = self.configurations.steps[-1][0] > slot
        return (NO_OP if is_changing and not self.queue else None), self

    def _cut_batch(self) -> tuple[Entry[C], Self]:
        limits, weight, count = self.limits, 0, 0
        for command in self.queue[: limits.batch]:
            heavier = weight + limits.weigh(command)
            if heavier > limits.batch_weight:
                break
            weight, count = heavier, count + 1
        batch, rest = self.queue[:count], self.queue[count:]
        left = replace(self, queue=rest, queue_weight=self.queue_weight - weight)
        return Commands(batch), left

    def _lead_or_wait(self) -> LogStep[Self, C]:
        """Lead as soon as the slot at which the log stands is prepared."""
        if not self.leads:
            ready = self.node_at(self.chosen_below).proposer.phase is Phase.LEADING
            if not ready:
                return LogStep(self)
            return replace(self, leads=True, next_slot=self.chosen_below).propose()
        return self.propose()

    def _counting(self, sender: str, page: PromiseFrom[C], end: int) -> Self:
        """Give each slot of a page its promise. Slots that become known by it are remembered."""
        window = self.window
        reported: dict[int, Proposal[Entry[C]]] = dict(page.accepted)
        for slot in sorted(reported):
            if window.end <= slot < end:
                node = self.unused_at(slot)
                if node.proposer.phase is Phase.PREPARING:
                    window = window.put(slot, node, self.unused_at)
        for slot, node in window.between(max(page.slot, self.chosen_below), end):
            if node.learner.chosen is not NOTHING_CHOSEN:
                continue
            vote = reported.get(slot)
            promise = Promise(page.id, NOTHING_ACCEPTED if vote is None else vote)
            proposer, _ = node.proposer.receive_promise(sender, promise)
            if proposer is not node.proposer:
                window = window.put(slot, replace(node, proposer=proposer), self.unused_at)
        return replace(self, window=window)

    def _with_ballot(self, slot: int, node: Node[Entry[C]]) -> Node[Entry[C]]:
        """A remembered slot, in which this node's new ballot begins."""
        if node.learner.chosen is not NOTHING_CHOSEN:
            return node
        return replace(node, proposer=replace(self.unused.proposer, quorums=node.quorums))

    def _ask_for_promises(self) -> tuple[Envelope[LogMessage[C]], ...]:
        """Ask everybody who decides in a slot to come, and has not promised for all of them.

        As leader, only for slots in which nothing was proposed yet: for those before, a quorum
        has promised, and who has voted there stays silent.
        """
        limit = self.chosen_below + self.limits.window
        messages: tuple[Envelope[LogMessage[C]], ...] = ()
        for member in self.names:
            if self.promises.end_of(member, 0) < limit:
                messages += self._ask(member)
        return messages

    def _ask(self, member: str) -> tuple[Envelope[LogMessage[C]], ...]:
        start = self.next_slot if self.leads else self.chosen_below
        slot = max(self.promises.end_of(member, 0), start)
        return self._to(PrepareFrom(self.ballot, slot, self.handed_over_by), member)

    def _proposals_again(self) -> tuple[Envelope[LogMessage[C]], ...]:
        """What was proposed before the last round, to each member that has not voted for it."""
        messages: tuple[Envelope[LogMessage[C]], ...] = ()
        end = min(self.resent_below, self.next_slot, self.chosen_below + self.limits.page)
        for slot, node in self.window.between(self.chosen_below, end):
            voters = [voter for voter, vote in node.learner.votes if vote.id == self.ballot]
            silent = tuple(m for m in self._deciders_at(slot) if m not in voters)
            if node.learner.chosen is NOTHING_CHOSEN:
                messages += self._accept_in(slot, node, silent)
        return messages

    def _accept_in(
        self, slot: int, node: Node[Entry[C]], members: tuple[str, ...]
    ) -> tuple[Envelope[LogMessage[C]], ...]:
        accept = node.proposer.unanswered
        if not isinstance(accept, Accept):
            return ()
        return self._to(AcceptIn(slot, accept.proposal), *members)
