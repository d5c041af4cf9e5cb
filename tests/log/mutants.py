"""The rules that a log adds to one decision, each broken: the log as it is without that rule.

Each mutant is a class of its own that differs in one place. `test_mutants` puts every one of them
into worlds, where the witnesses or the calm after a storm must catch it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from paxos import NOTHING_ACCEPTED, NOTHING_CHOSEN, Accepted, Chosen
from paxos.log.entries import Change, Configuration, Entry
from paxos.log.events import MembersChanged
from paxos.log.log import Log
from paxos.log.log_node import LogNode
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    ChosenBelow,
    Decisions,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.reads import Reader, Reads
from paxos.log.step import LogStep, then
from paxos.messages import Proposal
from paxos.node import Phase
from paxos.quorum import Quorums

NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class TakesAPageForTheWholePromise(Log[str]):
    """A first page counts for every later slot, too."""

    def _receive_promise(self, sender: str, page: PromiseFrom[str]) -> LogStep[Self, str]:
        return super()._receive_promise(sender, replace(page, end=EVERY_LATER_SLOT))


@dataclass(frozen=True)
class IgnoresTrims(Log[str]):
    """Who has trimmed slots is taken to have promised for them, with nothing accepted there."""

    def _receive_promise(self, sender: str, page: PromiseFrom[str]) -> LogStep[Self, str]:
        whole = replace(page, slot=min(page.slot, self.chosen_below), chosen_below=0)
        return super()._receive_promise(sender, whole)


@dataclass(frozen=True)
class HidesVotes(Log[str]):
    """A promise for all slots that reports the first one only: one Prepare, one answer."""

    def _receive_prepare(self, sender: str, prepare: PrepareFrom) -> LogStep[Self, str]:
        step = super()._receive_prepare(sender, prepare)
        messages = tuple(
            replace(each, message=replace(each.message, accepted=each.message.accepted[:1]))
            if isinstance(each.message, PromiseFrom)
            else each
            for each in step.messages
        )
        return step._replace(messages=messages)


@dataclass(frozen=True)
class TrustsTheIndexAlone(Log[str]):
    """A follower takes the leader's word for whatever it has voted for (misconception M12)."""

    def _receive_chosen_below(self, sender: str, message: ChosenBelow) -> LogStep[Self, str]:
        window = self.window
        for slot, node in window.between(self.chosen_below, message.slot):
            vote = node.acceptor.accepted
            if vote is NOTHING_ACCEPTED:
                break
            window = window.put(slot, node.handle(sender, Chosen(vote)).node, self.unused_at)
        step = replace(self, window=window)._advance()
        return then(step, step.node._learn_from(sender, message.slot))


@dataclass(frozen=True)
class ClaimsThoughDeposed(Log[str]):
    """A leader that learns what another one got chosen goes on to speak under its own ballot."""

    def abandon(self) -> Self:
        return self


@dataclass(frozen=True)
class ChangesAtOnce(Log[str]):
    """A change governs from the slot after its own on."""

    def _having_changed(self, slot: int, change: Change) -> tuple[Self, MembersChanged]:
        configurations = self.configurations.having_chosen(slot, change, 1)
        log = replace(self, configurations=configurations)._decided_anew(slot + 1)
        return log, MembersChanged(change.configuration, slot + 1)


@dataclass(frozen=True)
class ProposesPastTheWindow(Log[str]):
    """A leader goes on where it cannot know yet who decides."""

    @property
    def _kept_below(self) -> int:
        return self.chosen_below + self.limits.window


@dataclass(frozen=True)
class UsesNewMembersUnasked(Log[str]):
    """A leader takes the promises of the old members for those of the new ones."""

    def _proposer_at(self, slot: int, quorums: Quorums) -> Any:
        proposer = super()._proposer_at(slot, quorums)
        if self.leads and proposer.phase is Phase.PREPARING:
            return replace(proposer, phase=Phase.LEADING, promised_by=())
        return proposer


@dataclass(frozen=True)
class BeginsAfterItsNewestVote(Log[str]):
    """A new leader goes on behind the last slot that it voted in (scenario S19)."""

    def _lead_or_wait(self) -> LogStep[Self, str]:
        step = super()._lead_or_wait()
        if self.leads or not step.node.leads:
            return step
        log = replace(self, leads=True, next_slot=max(self.window.end, self.chosen_below))
        return log.propose()


@dataclass(frozen=True)
class LeavesHoles(Log[str]):
    """A new leader proposes nothing in slots of which nobody has told it (scenario S18)."""

    def _next_entry(self, slot: int) -> tuple[Entry[str] | None, Self]:
        return (None, self) if slot < self.window.end else super()._next_entry(slot)


@dataclass(frozen=True)
class PutsCommandsIntoHoles(Log[str]):
    """A new leader fills a hole by what a client wants, and forgets what it was told of it."""

    def _counting(self, sender: str, page: PromiseFrom[str], end: int) -> Self:
        return super()._counting(sender, replace(page, accepted=()), end)


@dataclass(frozen=True)
class CountsItsVoteBeforeItIsOnDisk(Log[str]):
    """A leader counts itself in as soon as it proposes, and says at once what is chosen."""

    def propose(self) -> LogStep[Self, str]:
        step = super().propose()
        log = step.node
        for slot, node in log.window.between(log.chosen_below, log.next_slot):
            proposal = node.proposer.proposal
            if isinstance(proposal, Proposal) and node.learner.chosen is NOTHING_CHOSEN:
                counted = node.handle(log.node_id, Accepted(proposal)).node
                log = replace(log, window=log.window.put(slot, counted, log.unused_at))
        return step._replace(node=log)


@dataclass(frozen=True)
class AnswersBeforeItsVoteIsOnDisk(Log[str]):
    """A follower says at once that what it voted for is chosen."""

    def _receive_accept(self, sender: str, accept: Any) -> LogStep[Self, str]:
        step = super()._receive_accept(sender, accept)
        voted = any(isinstance(each.message, AcceptedIn) for each in step.messages)
        if not voted:
            return step
        told = Decisions(accept.slot, (accept.proposal,), accept.slot + 1)
        return step._replace(messages=step.messages + step.node.to(sender, told))


@dataclass(frozen=True)
class ForgetsBeforeItIsOnDisk(Log[str]):
    """Chosen slots leave memory when the persist ends that was under way when they were chosen."""

    def persist_ended(self) -> LogStep[Self, str]:
        log = replace(self, saving_below=self.chosen_below)
        return super(ForgetsBeforeItIsOnDisk, log).persist_ended()


@dataclass(frozen=True)
class CountsStrangers(Log[str]):
    """Who has asked to learn is a member at once, without a change in the log."""

    def change_members(self, configuration: Configuration) -> LogStep[Self, str]:
        if not self.leads:
            return super().change_members(configuration)
        _, changed = self._having_changed(self.chosen_below, Change(configuration))
        configurations = type(self.configurations)(((0, configuration),))
        log = replace(self, configurations=configurations)._knowing_members()
        return LogStep(log, (), (changed,))


@dataclass(frozen=True)
class ProposesItsQueueAgain(Log[str]):
    """A leader that lost a ballot puts what it had proposed into its next one, at another place."""

    def abandon(self) -> Self:
        lost = [
            node.proposer.proposal
            for _, node in self.window.between(self.chosen_below, self.next_slot)
        ]
        again: tuple[str, ...] = ()
        for proposal in lost:
            again += getattr(getattr(proposal, "value", None), "commands", ())
        log = super().abandon()
        return replace(log, queue=again[: self.limits.queue] + log.queue) if again else log


@dataclass(frozen=True)
class RefusesWhatItProposed(Log[str]):
    """A leader that is deposed says that what it had proposed was not."""

    def drop_queue(self) -> LogStep[Self, str]:
        proposed: tuple[str, ...] = ()
        for node in self.window.nodes:
            vote = node.acceptor.accepted
            if vote is not NOTHING_ACCEPTED and vote.id == self.ballot:
                proposed += getattr(vote.value, "commands", ())
        log = replace(self, queue=self.queue + proposed)
        return super(RefusesWhatItProposed, log).drop_queue()


@dataclass(frozen=True)
class ReportsOnlyItsPromise(Log[str]):
    """A page is sent by who has voted under that very ballot already: an unequal second Promise."""

    def _receive_prepare(self, sender: str, prepare: PrepareFrom) -> LogStep[Self, str]:
        step = super()._receive_prepare(sender, prepare)
        if step.messages or prepare.id != self.promised:
            return step
        page = PromiseFrom(prepare.id, prepare.slot, EVERY_LATER_SLOT, 0)
        return step._replace(messages=step.node.to(sender, page))


@dataclass(frozen=True)
class UsesABallotTwice(Log[str]):
    """The number of the last ballot is taken again after a restart."""

    @property
    def durable(self) -> Any:
        return replace(super().durable, ballot=0)


# Mutants of reads.


@dataclass(frozen=True)
class ReadsOnlyWhatIsKnownToBeChosen(Reads):
    """The read's slot misses what is proposed or found in promises, and not known to be chosen."""

    def begin(self, quorums: Quorums, slot: int) -> Self:
        return super().begin(quorums, max(slot - 1, 0))


@dataclass(frozen=True)
class ReadsWithoutAsking(Reads):
    """Who leads, as far as it knows, reads at once: what a lease without clocks would be."""

    def begin(self, quorums: Quorums, slot: int) -> Self:
        anybody = Quorums.flexible(quorums.members, phase1=len(quorums.members), phase2=1)
        return super().begin(anybody, slot)


@dataclass(frozen=True)
class UsesARoundTwice(Reads):
    """Every round has the number 1: old answers count."""

    def begin(self, quorums: Quorums, slot: int) -> Self:
        return replace(super().begin(quorums, slot), last_round=1)


@dataclass(frozen=True)
class ReadsForLateComers(Reads):
    """A read that comes while a round is under way is served by that round."""

    def wait(self, reader: Reader) -> Self:
        if self.is_open:
            return replace(self, asked=(*self.asked, reader))
        return super().wait(reader)


@dataclass(frozen=True)
class ReadsBeforeItHasHeardOfAll(Log[str]):
    """A leader reads as soon as it leads in one slot."""

    @property
    def knows_what_was_accepted(self) -> bool:
        return self.leads


def with_reads(reads: Reads) -> Any:
    def made(node: LogNode[str]) -> LogNode[str]:
        return replace(node, reads=reads)

    return made
