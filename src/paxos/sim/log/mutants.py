# ruff: noqa: D102 - what a method of a mutant does wrong, its class says
"""One mutant for each rule that a log adds to one decision: real classes, but for a few lines.

They stand in place of the real ones in every server of a run: `paxos sim --kind log --break RULE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from paxos.heartbeat import Heartbeats
from paxos.log.entries import Change, Entry
from paxos.log.events import EntryChosen, MembersChanged, ReadReady
from paxos.log.log import Log
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.messages import EVERY_LATER_SLOT, AcceptedIn, ChosenBelow, PrepareFrom, PromiseFrom
from paxos.log.reads import Reads
from paxos.log.step import LogStep, then
from paxos.messages import NOTHING_ACCEPTED, NOTHING_CHOSEN, Chosen, Envelope, Proposal
from paxos.node import Phase
from paxos.quorum import Quorums
from paxos.replica import Replica
from paxos.scenario.breakage import Breakage
from paxos.sessions import ClientRequest, Outcome, SessionID, Verdict, decode_request
from paxos.sim.log.key_value import KeyValueMachine

AnyLog = Log[Any]
Step = LogStep[Any, Any]


# Promises.


@dataclass(frozen=True)
class TakesAPageForThePromise(AnyLog):
    """A first page counts for every later slot, too."""

    def _receive_promise(self, sender: str, page: PromiseFrom[Any]) -> Step:
        return super()._receive_promise(sender, replace(page, end=EVERY_LATER_SLOT))


@dataclass(frozen=True)
class IgnoresTrims(AnyLog):
    """Who has trimmed slots is taken to have promised for them, with nothing accepted there."""

    def _receive_promise(self, sender: str, page: PromiseFrom[Any]) -> Step:
        whole = replace(page, slot=min(page.slot, self.chosen_below), chosen_below=0)
        return super()._receive_promise(sender, whole)


@dataclass(frozen=True)
class TellsOfOneVote(AnyLog):
    """Its promise for all slots tells of the first vote only."""

    def _receive_prepare(self, sender: str, prepare: PrepareFrom) -> Step:
        step: Step = super()._receive_prepare(sender, prepare)
        return step._replace(messages=tuple(map(_of_one_vote, step.messages)))


def _of_one_vote(envelope: Envelope[Any]) -> Envelope[Any]:
    page: Any = envelope.message
    if page.__class__ is not PromiseFrom:
        return envelope
    return replace(envelope, message=replace(page, accepted=page.accepted[:1]))


# What a leader proposes, and where.


@dataclass(frozen=True)
class BeginsBehindItsNewestVote(AnyLog):
    """A new leader takes all that it has voted for to be chosen (Ongaro's quiz, question 4)."""

    def _lead_or_wait(self) -> Step:
        step: Step = super()._lead_or_wait()
        if self.leads or not step.node.leads:
            return step
        log = replace(self, leads=True, next_slot=max(self.window.end, self.chosen_below))
        return log.propose()


@dataclass(frozen=True)
class LeavesHoles(AnyLog):
    """A new leader proposes nothing in slots of which nobody has told it."""

    def _next_entry(self, slot: int) -> tuple[Entry[Any] | None, Self]:
        return (None, self) if slot < self.window.end else super()._next_entry(slot)


@dataclass(frozen=True)
class ForgetsWhatItWasTold(AnyLog):
    """A new leader proposes what it likes where others have voted."""

    def _counting(self, sender: str, page: PromiseFrom[Any], end: int) -> Self:
        return super()._counting(sender, replace(page, accepted=()), end)


@dataclass(frozen=True)
class ProposesBeyondTheWindow(AnyLog):
    """A leader goes on where it cannot know yet who decides."""

    def propose(self) -> Step:
        wider = replace(self, limits=replace(self.limits, window=self.limits.window + 3))
        step: Step = super(ProposesBeyondTheWindow, wider).propose()
        return step._replace(node=replace(step.node, limits=self.limits))


@dataclass(frozen=True)
class ProposesAgainElsewhere(AnyLog):
    """A leader that lost its ballot puts what it had proposed into its queue again."""

    def abandon(self) -> Self:
        again: tuple[Any, ...] = ()
        for _, node in self.window.between(self.chosen_below, self.next_slot):
            proposal = node.proposer.proposal
            if isinstance(proposal, Proposal):
                again += getattr(proposal.value, "commands", ())
        log = super().abandon()
        return replace(log, queue=again[: self.limits.queue] + log.queue) if again else log


@dataclass(frozen=True)
class RefusesWhatItProposed(AnyLog):
    """A leader that is deposed says that what it had proposed was not."""

    def drop_queue(self) -> Step:
        proposed: tuple[Any, ...] = ()
        for node in self.window.nodes:
            vote = node.acceptor.accepted
            if vote is not NOTHING_ACCEPTED and vote.id == self.ballot:
                proposed += getattr(vote.value, "commands", ())
        log = replace(self, queue=self.queue + proposed)
        return super(RefusesWhatItProposed, log).drop_queue()


# What is chosen.


@dataclass(frozen=True)
class TrustsTheIndexAlone(AnyLog):
    """A follower takes the leader's word for whatever it has voted for itself."""

    def _receive_chosen_below(self, sender: str, message: ChosenBelow) -> Step:
        window = self.window
        for slot, node in window.between(self.chosen_below, message.slot):
            vote = node.acceptor.accepted
            if vote is NOTHING_ACCEPTED:
                break
            window = window.put(slot, node.handle(sender, Chosen(vote)).node, self.unused_at)
        step: Step = replace(self, window=window)._advance()
        return then(step, step.node._learn_from(sender, message.slot))


@dataclass(frozen=True)
class ClaimsThoughDeposed(AnyLog):
    """A leader that learns what another one got chosen goes on to speak under its own ballot."""

    def abandon(self) -> Self:
        return self


@dataclass(frozen=True)
class ReportsOutOfOrder(AnyLog):
    """It reports what is chosen behind a hole, and does not wait for the hole to be filled."""

    def _advance(self) -> Step:
        step: Step = super()._advance()
        log = step.node
        for slot, node in log.window.between(log.chosen_below + 1, log.window.end):
            chosen: Any = node.learner.chosen
            if chosen is not NOTHING_CHOSEN:
                return step._replace(events=(*step.events, EntryChosen(slot, chosen)))
        return step


# Members.


@dataclass(frozen=True)
class ChangesAtOnce(AnyLog):
    """A change governs from the next slot on."""

    def _having_changed(self, slot: int, change: Change) -> tuple[Self, MembersChanged]:
        configurations = self.configurations.having_chosen(slot, change, 1)
        log = replace(self, configurations=configurations)._decided_anew(slot + 1)
        return log, MembersChanged(change.configuration, slot + 1)


@dataclass(frozen=True)
class UsesNewMembersUnasked(AnyLog):
    """A leader takes the promises of the old members for those of the new ones."""

    def _proposer_at(self, slot: int, quorums: Quorums) -> Any:
        proposer = super()._proposer_at(slot, quorums)
        if self.leads and proposer.phase is Phase.PREPARING:
            return replace(proposer, phase=Phase.LEADING, promised_by=())
        return proposer


@dataclass(frozen=True)
class LeavesEarly(AnyLog):
    """Who is to go says nothing more, though slots are left that it must decide."""

    def handle(self, sender: Any, message: Any) -> Step:
        names = [member.node_id for member in self.configurations.newest.members]
        if self.is_member and self.node_id not in names:
            return LogStep(self)
        return super().handle(sender, message)


# Reads.


@dataclass(frozen=True)
class ReadsWithoutAsking(LogNode[Any]):
    """Who leads, as far as it knows, reads at once."""

    def _read(self, number: int, now: float) -> Step:
        if self.heartbeats.leads:
            slot = max(self.log.window.end, self.log.chosen_below)
            return LogStep(self, (), (ReadReady(number, slot),))
        return super()._read(number, now)


@dataclass(frozen=True)
class ReadsWhatIsKnownToBeChosen(Reads):
    """The read's slot misses what is proposed, or was found in promises."""

    def begin(self, quorums: Quorums, slot: int) -> Self:
        return super().begin(quorums, max(slot - 1, 0))


@dataclass(frozen=True)
class ReadsBeforeItHasHeardOfAll(AnyLog):
    """A leader reads as soon as it leads in one slot."""

    @property
    def knows_what_was_accepted(self) -> bool:
        return self.leads


# The machine's shell, and the disk.


class SendsVotesAtOnce(LogMachine[Any]):
    """Lets a vote go before it is on the disk."""

    __slots__ = ()

    def _route(self, envelopes: Iterable[Any]) -> None:
        for envelope in envelopes:
            if isinstance(envelope.message, AcceptedIn):
                self._send += (envelope,)
            else:
                super()._route([envelope])


class SendsPromisesAtOnce(LogMachine[Any]):
    """Lets a promise go before it is on the disk."""

    __slots__ = ()

    def _route(self, envelopes: Iterable[Any]) -> None:
        for envelope in envelopes:
            if isinstance(envelope.message, PromiseFrom):
                self._send += (envelope,)
            else:
                super()._route([envelope])


class MindsNoHangingDisk(Heartbeats):
    """Leads on, and says so, however long its disk takes."""

    def persist_began(self, now: float) -> Self:
        return self


# What is replicated.


class AppliesRetries(Replica[KeyValueMachine]):
    """Applies a request each time that it is chosen."""

    def _apply_command(self, here: SessionID, command: bytes) -> Outcome:
        request = decode_request(command)
        if not isinstance(request, ClientRequest):
            return super()._apply_command(here, command)
        answer = self.machine.apply(request.command)
        return Outcome(request.session, request.sequence, Verdict.ANSWERED, answer)


class DiffersByItsPast(KeyValueMachine):
    """Counts what it has done since it was made, which no snapshot holds, and lets that show."""

    def __init__(self) -> None:
        super().__init__()
        self.applied = 0

    def apply(self, command: bytes) -> bytes:
        answer = super().apply(command)
        self.applied += 1
        if self.applied % 5 == 0:
            self.values["five"] = f"{self.applied}"
        return answer


LOG_MUTANTS: dict[str, Breakage] = {
    "page-promises-its-slots-alone": Breakage((TakesAPageForThePromise,)),
    "trimmed-is-not-promised": Breakage((IgnoresTrims,)),
    "promise-tells-of-every-slot": Breakage((TellsOfOneVote,)),
    "leader-begins-at-the-first-unchosen": Breakage((BeginsBehindItsNewestVote,)),
    "holes-are-filled": Breakage((LeavesHoles,)),
    "leader-adopts-in-every-slot": Breakage((ForgetsWhatItWasTold,)),
    "leader-stays-in-its-window": Breakage((ProposesBeyondTheWindow,)),
    "one-slot-for-a-command": Breakage((ProposesAgainElsewhere,)),
    "refused-was-never-proposed": Breakage((RefusesWhatItProposed,)),
    "chosen-by-the-ballot": Breakage((TrustsTheIndexAlone,)),
    "deposed-leader-is-silent": Breakage((ClaimsThoughDeposed,)),
    "slots-come-in-order": Breakage((ReportsOutOfOrder,)),
    "change-waits-for-the-window": Breakage((ChangesAtOnce,)),
    "new-members-promise-first": Breakage((UsesNewMembersUnasked,)),
    "old-members-stay": Breakage((LeavesEarly,)),
    "read-asks-a-quorum": Breakage((ReadsWithoutAsking,)),
    "read-waits-for-what-is-proposed": Breakage((ReadsWhatIsKnownToBeChosen,)),
    "read-waits-for-all-promises": Breakage((ReadsBeforeItHasHeardOfAll,)),
    "vote-on-disk-first": Breakage((SendsVotesAtOnce,)),
    "promise-on-disk-first": Breakage((SendsPromisesAtOnce,)),
    "hanging-disk-ends-leadership": Breakage((MindsNoHangingDisk,)),
    "retry-is-answered": Breakage((AppliesRetries,)),
    "machine-is-deterministic": Breakage((DiffersByItsPast,)),
}
"""By the rule that each drops."""
