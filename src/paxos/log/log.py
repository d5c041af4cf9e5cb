"""The three roles over numbered slots: Multi-Paxos (*Paxos Made Simple*, section 3). No time here.

What a log adds to `Node` is what is said for many slots at once; `slots` holds it, and the modules
named after what a node is doing (`accepting`, `proposing`, `learning`, `changing`) have the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from paxos.errors import MisuseError
from paxos.events import EnvelopeRefused
from paxos.immutable import replace
from paxos.log.configurations import Configurations
from paxos.log.entries import C, Entry
from paxos.log.learning import Learning
from paxos.log.limits import Limits
from paxos.log.messages import (
    AcceptedIn,
    AcceptIn,
    ChosenBelow,
    Decisions,
    Learn,
    LogMessage,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import LogState
from paxos.log.step import LogStep, then
from paxos.log.window import Window
from paxos.messages import (
    NOTHING_ACCEPTED,
    Envelope,
    Identity,
    Nack,
)
from paxos.node import DurableState, Node, Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID


@dataclass(frozen=True)
class Log(Learning[C]):
    """A proposer, an acceptor and a learner for every slot of one log."""

    @classmethod
    def recover(cls, identity: Identity, state: LogState[C], limits: Limits[C]) -> Self:
        """The log as it is after a start: every ballot has ended (see `Node.recover`)."""
        if not state.configurations.steps:
            raise MisuseError("this log state does not say who decides: give a new log its members")
        chosen_below = state.chosen_below
        votes = state.votes[max(chosen_below - state.first, 0) :]
        highest = max((v.id for v in votes if v is not NOTHING_ACCEPTED), default=NO_PROPOSAL)
        durable = DurableState[Entry[C]](state.ballot, max(state.promised, highest))
        configuration = state.configurations.at(chosen_below)
        unused = Node[Entry[C]].recover(identity, configuration.quorums, durable)
        log = cls(limits, unused, state.configurations, Window(chosen_below), chosen_below)
        log = log._knowing_members()
        nodes = tuple(
            replace(log.unused_at(slot), acceptor=replace(unused.acceptor, accepted=vote))
            for slot, vote in enumerate(votes, chosen_below)
        )
        return replace(log, window=Window(chosen_below, nodes))

    @property
    def phase(self) -> Phase:
        """How far that ballot has come, in the slot at which the log stands."""
        if self.unused.proposer.phase is Phase.IDLE:
            return Phase.IDLE
        return Phase.LEADING if self.leads else Phase.PREPARING

    @property
    def needs_a_leader(self) -> bool:
        """Always."""
        return True

    @property
    def is_member(self) -> bool:
        """Whether this node has a vote, in the present slot or in one to come."""
        return self.node_id in self.names

    def send_again(self) -> LogStep[Self, C]:
        """Repeat what is unanswered, and say how far the log has come: messages may be lost."""
        log = replace(self, learning=None)
        if self.phase is Phase.IDLE:
            return LogStep(log)
        # Who has trimmed what is unknown here has not promised for it: it is to be learned.
        ahead = (m for m, start, _ in self.promises.of if start > self.chosen_below)
        messages = log._ask_for_promises() + log._to(Learn(self.chosen_below), *ahead)
        if self.leads:
            messages += log._proposals_again() + log._to_others(log._how_far())
            log = replace(log, resent_below=self.next_slot)
        return LogStep(log, messages)

    def install(self, chosen_below: int, configurations: Configurations) -> LogStep[Self, C]:
        """Go on after a snapshot of the world that holds all slots below `chosen_below`."""
        if chosen_below <= self.chosen_below:
            return LogStep(self)
        # A snapshot does not say under which ballot its slots were chosen. If it was a higher one,
        # this one has ended, and voters must not take our word for their votes in it.
        log = self.abandon() if self.leads else self
        known_below = self.chosen_below + self.limits.window
        log = replace(
            log,
            window=log.window.without(chosen_below),
            chosen_below=chosen_below,
            next_slot=max(log.next_slot, chosen_below),
            configurations=configurations,
        )
        step = log._knowing_members()._decided_anew(known_below)._advance()
        return then(step, step.node._lead_or_wait())

    def persist_began(self) -> Self:
        """What is known now is on its way to the disk."""
        return replace(self, saving_below=self.chosen_below)

    def persist_ended(self) -> LogStep[Self, C]:
        """It is there: chosen slots can be forgotten, and a batch is cut of what was gathered."""
        below = self.saving_below or 0
        log = replace(self, saving_below=None, window=self.window.without(below))
        return log.propose() if log.leads else LogStep(log)

    def admit(self, envelope: Envelope[Any]) -> LogStep[Self, C]:
        """Refuse what cannot be meant for this node or be genuine (see `Node.admit`)."""
        admitted = self.unused.admit(envelope)
        refused = tuple(each for each in admitted.events if isinstance(each, EnvelopeRefused))
        if refused or admitted.node is self.unused:
            return LogStep(self, (), refused)
        return LogStep(replace(self, unused=admitted.node))

    def observe(self, proposal_id: ProposalID) -> Self:
        """Remember that this ID exists, so that the next ballot begins above it."""
        unused = self.unused.observe(proposal_id)
        return self if unused is self.unused else replace(self, unused=unused)

    def handle(self, sender: Identity, message: LogMessage[C]) -> LogStep[Self, C]:
        """Handle a message whose envelope was admitted. What is not Paxos changes nothing."""
        match message:
            case AcceptIn():
                return self._receive_accept(sender.node_id, message)
            case AcceptedIn():
                return self._receive_accepted(sender.node_id, message)
            case ChosenBelow():
                return self._receive_chosen_below(sender.node_id, message)
            case PrepareFrom():
                return self._receive_prepare(sender.node_id, message)
            case PromiseFrom():
                return self._receive_promise(sender.node_id, message)
            case Nack():
                return self._receive_nack(sender.node_id, message)
            case Learn(slot):
                return self._receive_learn(sender, slot)
            case Decisions():
                return self._receive_decisions(sender.node_id, message)
            case _:
                return LogStep(self)
