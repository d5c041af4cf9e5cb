"""The state of a log: each slot's node, and what holds for all slots together.

A slot is a `Node`: its acceptor, proposer and learner are those of one decision, and every message
about a slot goes through them. One promise and one ballot hold for all slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Self

from paxos.immutable import replace
from paxos.log.configurations import Configurations
from paxos.log.entries import C, Configuration, Entry, Member
from paxos.log.limits import Limits
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    ChosenBelow,
    Learn,
    LogMessage,
)
from paxos.log.promises import Promises
from paxos.log.state import LogState
from paxos.log.step import LogStep
from paxos.log.window import Window
from paxos.messages import (
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Envelope,
    Identity,
    NothingAccepted,
    Promise,
    Proposal,
)
from paxos.node import Node, Phase, Proposer
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums


@dataclass(frozen=True)
class Slots(Generic[C]):
    """What a node knows of every slot. `Log` says what it does about it."""

    limits: Limits[C]

    unused: Node[Entry[C]]
    """A slot that nobody has spoken of. Its acceptor's promise and its proposer's ballot are those
    of all slots."""

    configurations: Configurations
    """Who decides in slot `chosen_below` and those after it."""

    window: Window[C]
    """The slots that this node remembers. Those before are chosen, and on its disk."""

    chosen_below: int
    """All slots below are known to be chosen. Invariant: never falls."""

    promises: Promises = Promises()  # noqa: RUF009 - a constant
    """Who has promised this node's ballot, for which slots. Empty while it has none."""

    leads: bool = False
    """Whether its ballot is prepared in the slot at which the log stands."""

    next_slot: int = 0
    """As leader: it has proposed in every slot below that it does not know to be chosen."""

    queue: tuple[C, ...] = ()
    """As leader: commands that wait for a slot."""

    queue_weight: int = 0

    changes: tuple[Configuration, ...] = ()
    """As leader: members that wait for a slot."""

    saving_below: int | None = None
    """While a persist is under way: what was known to be chosen when it began."""

    learning: int | None = None
    """The slot from which on it has asked to learn, if the answer is still to come."""

    resent_below: int = 0
    """As leader: slots below were proposed before the last round, and may be sent again."""

    handed_over_by: ProposalID = NO_PROPOSAL
    """The leader's ballot that wants this node to lead, if one does."""

    learners: tuple[tuple[Identity, int], ...] = ()
    """How far those who are no members have come, by their own word: the newest few."""

    @property
    def node_id(self) -> str:
        """This node's own ID."""
        return self.unused.node_id

    @property
    def promised(self) -> ProposalID:
        """The highest ID promised, for all slots."""
        return self.unused.acceptor.promised

    @property
    def ballot(self) -> ProposalID:
        """This node's newest ballot."""
        return self.unused.proposer.ballot

    @property
    def names(self) -> tuple[str, ...]:
        """The node IDs of all who decide in this slot or one to come, sorted."""
        if len(self.configurations.steps) == 1:
            return self.unused.quorums.members
        return tuple(sorted({member.node_id for member in self._deciders()}))

    @property
    def _kept_below(self) -> int:
        """Up to here there is room for slots known to be chosen, however long the disk takes."""
        if self.saving_below is None:
            return self.chosen_below
        return min(self.chosen_below, self.window.first + self.limits.reach)

    @property
    def durable(self) -> LogState[C]:
        """What must be on disk before this node's next promise, vote or Prepare leaves."""
        return LogState(
            self.ballot.number,
            self.promised,
            self.window.first,
            tuple([vote_of(node) for node in self.window.nodes]),
            self.chosen_below,
            self.configurations,
        )

    def is_saved_by(self, saved: LogState[C]) -> bool:
        """Whether a disk that holds `saved` holds all that must survive.

        That more is known to be chosen needs no write of its own: learners may learn again.
        """
        if (self.ballot.number, self.promised) != (saved.ballot, saved.promised):
            return False
        for slot, node in enumerate(self.window.nodes, self.window.first):
            vote, before = vote_of(node), saved.vote(slot)
            if vote is not before and vote != before:
                return False
        return True

    def node_at(self, slot: int) -> Node[Entry[C]]:
        """The node of this slot, whether or not anybody has spoken of it."""
        return self.window.get(slot) or self.unused_at(slot)

    def unused_at(self, slot: int) -> Node[Entry[C]]:
        """The node of a slot that nobody has spoken of: who decides there may differ."""
        quorums = self.configurations.at(slot).quorums
        unused = self.unused
        if quorums == unused.quorums and (
            unused.proposer.phase is Phase.IDLE or self.promises.holds_for_all_from(slot)
        ):
            return unused
        return replace(
            unused,
            quorums=quorums,
            proposer=self._proposer_at(slot, quorums),
            learner=replace(unused.learner, quorums=quorums),
        )

    def _decided_anew(self, from_slot: int) -> Self:
        """Others decide from this slot on than was known: also in the slots remembered there.

        Whatever was promised for them was promised when they were beyond the window, so nothing
        was reported there (see `_receive_promise`): the promises say all that is to be counted.
        """

        def refreshed(slot: int, node: Node[Entry[C]]) -> Node[Entry[C]]:
            quorums = self.configurations.at(slot).quorums
            if slot < from_slot or node.quorums == quorums:
                return node
            learner = replace(node.learner, quorums=quorums)
            proposer = self._proposer_at(slot, quorums)
            return replace(node, quorums=quorums, learner=learner, proposer=proposer)

        return replace(self, window=self.window.each(refreshed))

    def ask_to_learn(self, *teachers: str) -> LogStep[Self, C]:
        """Ask these nodes what they know beyond this one; not again until an answer came."""
        if self.learning == self.chosen_below:
            return LogStep(self)
        log = replace(self, learning=self.chosen_below)
        return LogStep(log, log._to(Learn(self.chosen_below), *teachers))

    def _learn_from(self, teacher: str, chosen_below: int) -> LogStep[Self, C]:
        """Ask a node that knows more than this one."""
        if chosen_below <= self.chosen_below or teacher == self.node_id:
            return LogStep(self)
        return self.ask_to_learn(teacher)

    def _promising(self, promised: ProposalID) -> Self:
        """Raise the promise in every slot."""
        if promised <= self.promised:
            return self

        def raised(node: Node[Entry[C]]) -> Node[Entry[C]]:
            return replace(node, acceptor=replace(node.acceptor, promised=promised))

        window = self.window.each(lambda _, node: raised(node))
        return replace(self, unused=raised(self.unused), window=window)

    def _without_ballot(self) -> Self:
        return replace(
            self,
            window=self.window.each(lambda _, node: node.abandon()),
            promises=Promises(),
            leads=False,
            handed_over_by=NO_PROPOSAL,
        )

    def _proposer_at(self, slot: int, quorums: Quorums) -> Proposer[Entry[C]]:
        """The ballot in a slot that nobody has spoken of: who promised for it, has said so."""
        shared = self.unused.proposer
        if shared.phase is Phase.IDLE:
            return replace(shared, quorums=quorums)
        proposer = replace(shared, quorums=quorums, phase=Phase.PREPARING, promised_by=())
        for member in self.promises.for_slot(slot):
            promise = Promise[Entry[C]](shared.ballot, NOTHING_ACCEPTED)
            proposer, _ = proposer.receive_promise(member, promise)
        return proposer

    def _knowing_members(self) -> Self:
        """With the members of the slot at which the log stands, and the incarnations of all."""
        quorums = self.configurations.at(self.chosen_below).quorums
        known = {m.node_id: m.incarnation for m in self._deciders() if m.incarnation}
        heard = {
            node_id: each for node_id, each in self.unused.incarnations if node_id not in known
        }
        names = tuple(sorted({member.node_id for member in self._deciders()}))
        kept = {node_id: each for node_id, each in heard.items() if node_id in names}
        unused = replace(
            self.unused,
            quorums=quorums,
            learner=replace(self.unused.learner, quorums=quorums),
            incarnations=tuple(sorted({**kept, **known}.items())),
        )
        # Who left and comes back may come with another disk: its old promise is not worth a thing.
        log = replace(self, unused=unused, promises=self.promises.of_members(names))
        proposer = log._proposer_at(EVERY_LATER_SLOT - 1, quorums)
        return replace(log, unused=replace(unused, proposer=proposer))

    @property
    def knows_what_was_accepted(self) -> bool:
        """As leader: whether it has heard of all that was ever accepted below its own ballot.

        So it is when quorums of all who decide in some slot, from the present one on, have told
        it of every such slot. Who has trimmed slots that are still unknown here, has not.
        """
        told = self.promises.for_all_from(self.chosen_below)
        return self.leads and all(
            each.quorums.has_phase1(told) for _, each in self.configurations.steps
        )

    def _deciders(self) -> tuple[Member, ...]:
        return self.configurations.between(self.chosen_below, EVERY_LATER_SLOT)

    def _deciders_at(self, slot: int) -> tuple[str, ...]:
        return self.configurations.at(slot).quorums.members

    def to_members(self, message: LogMessage[C]) -> tuple[Envelope[LogMessage[C]], ...]:
        """The message to everybody who decides in this slot or one to come."""
        return self._to(message, *self.names)

    def to(self, recipient: str, message: LogMessage[C]) -> tuple[Envelope[LogMessage[C]], ...]:
        """The message to one node."""
        return self._to(message, recipient)

    def _to(self, message: LogMessage[C], *recipients: str) -> tuple[Envelope[LogMessage[C]], ...]:
        identity = self.unused.identity
        return tuple([Envelope(identity, each, message) for each in recipients])

    def _to_others(self, message: LogMessage[C]) -> tuple[Envelope[LogMessage[C]], ...]:
        return self._to(message, *(name for name in self.names if name != self.node_id))

    def _how_far(self) -> ChosenBelow:
        """What it knows to be chosen; under its own ballot only as its leader."""
        return ChosenBelow(self.ballot if self.leads else NO_PROPOSAL, self.chosen_below)


def vote_of(node: Node[Entry[C]]) -> Proposal[Entry[C]] | NothingAccepted:
    """What a slot's node reports to who prepares, and keeps on disk.

    A node that knows the decision reports it as if it had voted for it: every higher proposal
    has the same value (PMS 2.2, P2b), so the highest one reported has it, too. A later vote of
    its own stays: what is reported never falls.
    """
    accepted, chosen = node.acceptor.accepted, node.learner.chosen
    if chosen is NOTHING_CHOSEN:
        return accepted
    return chosen if accepted is NOTHING_ACCEPTED or accepted.id < chosen.id else accepted
