"""The three roles of Paxos, and Node, which is all three. One decision.

The algorithm is that of Leslie Lamport, *Paxos Made Simple* (2001); sections are cited as PMS.
Roles are values: a message goes in, and the next state and the reply come out. Nothing here
waits, sends, stores or reads a clock.

The whole of it in four rules:

1. An acceptor that promised an ID accepts nothing below it (PMS 2.2, P1a).
2. A proposer proposes only what a phase-1 quorum leaves it free to propose: the value of the
   highest proposal that any of them accepted, or its own if none did (PMS 2.2, P2c).
3. A value is chosen once a phase-2 quorum accepted it under *one* ID (PMS 2.2).
4. An acceptor's promise and vote are on disk before anybody hears of them (PMS 2.5). The shell
   in `machine` sees to that.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Generic, Self

from paxos.errors import ConflictError
from paxos.events import BallotLost, EnvelopeRefused, ValueChosen
from paxos.immutable import replace
from paxos.machine import Input, Propose, Step, Tick
from paxos.messages import (
    FORMAT_VERSION,
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Identity,
    Message,
    Nack,
    NothingAccepted,
    NothingChosen,
    NoValue,
    Prepare,
    Promise,
    Proposal,
    V,
)
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums


@dataclass(frozen=True)
class Acceptor(Generic[V]):
    """The memory of Paxos: what this node promised, and what it accepted.

    Two facts, not one: an acceptor may have promised 7 and still hold what it accepted under 3.
    """

    promised: ProposalID = NO_PROPOSAL
    """Invariant: never falls, and is at least the accepted ID, for accepting promises too."""

    accepted: Proposal[V] | NothingAccepted = NOTHING_ACCEPTED
    """Invariant: its ID never falls."""

    def receive_prepare(self, prepare: Prepare) -> tuple[Self, Promise[V] | Nack | None]:
        """Promise, unless a higher ID was promised (PMS 2.2, phase 1b).

        An equal Prepare is the same request come twice and gets the identical Promise. Once that
        ID was accepted here there is no identical Promise any more: then it gets silence.
        """
        if prepare.id < self.promised:
            return self, Nack(prepare.id, self.promised)
        if self.accepted is not NOTHING_ACCEPTED and self.accepted.id == prepare.id:
            return self, None
        return type(self)(prepare.id, self.accepted), Promise(prepare.id, self.accepted)

    def receive_accept(self, accept: Accept[V]) -> tuple[Self, Accepted[V] | Nack]:
        """Accept, unless a higher ID was promised (PMS 2.2, phase 2b; P1a).

        Accepting raises the promise (CASSANDRA-17162 is what happens if it does not). Raises
        `ConflictError` for a second value under the ID already accepted.
        """
        proposal = accept.proposal
        if self.accepted is not NOTHING_ACCEPTED and self.accepted.id == proposal.id:
            _demand_same_value(self.accepted, proposal)
        if proposal.id < self.promised:
            return self, Nack(proposal.id, self.promised)
        return type(self)(proposal.id, proposal), Accepted(proposal)


class Phase(enum.Enum):
    """How far a proposer's ballot has come."""

    IDLE = "idle"
    """No ballot is under way: none was begun, or the last one was lost."""

    PREPARING = "preparing"
    """Phase 1: waiting for promises."""

    LEADING = "leading"
    """Phase 2: a quorum has promised. Its one proposal goes out as soon as it has a value."""


@dataclass(frozen=True)
class Proposer(Generic[V]):
    """One ballot after the other, each under an ID of its own."""

    node_id: str
    quorums: Quorums

    value: V | NoValue = NO_VALUE
    """What it proposes where it is free to choose."""

    ballot: ProposalID = NO_PROPOSAL
    """Its newest ballot. Invariant: never falls, also across restarts; each is prepared once."""

    phase: Phase = Phase.IDLE

    promised_by: tuple[str, ...] = ()
    """Members that promised this ballot, each once, sorted. Empty outside phase 1."""

    adopted: Proposal[V] | NothingAccepted = NOTHING_ACCEPTED
    """The highest proposal that those members had accepted. Nothing outside phase 1."""

    proposal: Proposal[V] | NoValue = NO_VALUE
    """What this ballot proposes. Invariant: once set, it stays until the ballot ends."""

    refused_by: tuple[str, ...] = ()
    """Members that refused this ballot, each once, sorted."""

    highest_seen: ProposalID = NO_PROPOSAL
    """The highest ID heard of. A hint that saves a hopeless ballot; it need not survive."""

    def propose(self, value: V) -> tuple[Self, Accept[V] | None]:
        """Set the value, unless there is one. A leader that is free proposes it at once."""
        if self.value is not NO_VALUE:
            return self, None
        if self.phase is Phase.LEADING and self.proposal is NO_VALUE:
            proposal = Proposal(self.ballot, value)
            return replace(self, value=value, proposal=proposal), Accept(proposal)
        return replace(self, value=value), None

    def prepare(self) -> tuple[Self, Prepare]:
        """Begin a new ballot, above everything heard of (PMS 2.2, phase 1a). Ends the last one."""
        ballot = max(self.ballot, self.highest_seen).next_for(self.node_id)
        preparing = type(self)(
            self.node_id,
            self.quorums,
            self.value,
            ballot,
            Phase.PREPARING,
            highest_seen=ballot,
        )
        return preparing, Prepare(ballot)

    def receive_promise(self, sender: str, promise: Promise[V]) -> tuple[Self, Accept[V] | None]:
        """Count a promise; with a quorum of them, propose (PMS 2.2, phase 2a).

        Promises of other ballots, of who is no member and of who has promised already do not
        count. Adoption looks at the ID of what was accepted and never at the value. Raises
        `ConflictError` if two promises report two values under one ID.
        """
        if (
            promise.id != self.ballot
            or self.phase is not Phase.PREPARING
            or not self.quorums.is_member(sender)
        ):
            return self, None
        promised_by = _with_member(self.promised_by, sender)
        adopted = _higher(self.adopted, promise.accepted)
        if not self.quorums.has_phase1(promised_by):
            return replace(self, promised_by=promised_by, adopted=adopted), None
        value = self.value if adopted is NOTHING_ACCEPTED else adopted.value
        leading = replace(self, phase=Phase.LEADING, promised_by=(), adopted=NOTHING_ACCEPTED)
        if value is NO_VALUE:
            return leading, None
        proposal = Proposal(self.ballot, value)
        return replace(leading, proposal=proposal), Accept(proposal)

    def receive_nack(self, sender: str, nack: Nack) -> Self:
        """Count a refusal. The ballot is lost once no quorum is left to it.

        One refusal does not end a ballot: the others may still be a quorum.
        """
        proposer = self.observe(nack.promised)
        if nack.id != self.ballot or self.phase is Phase.IDLE or not self.quorums.is_member(sender):
            return proposer
        refused_by = _with_member(self.refused_by, sender)
        # A promise stands, even if its sender has promised more since and refuses this one twice.
        unpromised = [member for member in refused_by if member not in self.promised_by]
        is_lost = self.quorums.blocks_phase2(refused_by) or (
            self.phase is Phase.PREPARING and self.quorums.blocks_phase1(unpromised)
        )
        return proposer.abandon() if is_lost else replace(proposer, refused_by=refused_by)

    def observe(self, proposal_id: ProposalID) -> Self:
        """Remember that this ID exists, so that the next ballot begins above it."""
        if proposal_id <= self.highest_seen:
            return self
        return replace(self, highest_seen=proposal_id)

    def abandon(self) -> Self:
        """End the ballot. What it proposed may be chosen all the same; its ID is never reused."""
        return replace(
            self,
            phase=Phase.IDLE,
            promised_by=(),
            adopted=NOTHING_ACCEPTED,
            proposal=NO_VALUE,
            refused_by=(),
        )

    @property
    def unanswered(self) -> Prepare | Accept[V] | None:
        """What to send again while the ballot goes on: messages may be lost (PMS 2.1)."""
        if self.phase is Phase.PREPARING:
            return Prepare(self.ballot)
        return None if self.proposal is NO_VALUE else Accept(self.proposal)


@dataclass(frozen=True)
class Learner(Generic[V]):
    """Finds out that a value is chosen. It may forget and learn again."""

    quorums: Quorums

    votes: tuple[tuple[str, Proposal[V]], ...] = ()
    """The newest vote of each member, sorted by member. Empty once something is chosen.

    One vote a member bounds it. An older vote may be dropped: if it was part of a choice, all
    newer proposals carry the same value (PMS 2.2, P2b).
    """

    chosen: Proposal[V] | NothingChosen = NOTHING_CHOSEN
    """Invariant: once set, it stays."""

    def receive_accepted(self, sender: str, accepted: Accepted[V]) -> tuple[Self, Chosen[V] | None]:
        """Count a vote; a quorum of votes in one ballot is a choice (PMS 2.2, 2.3).

        Votes of other ballots do not add up, whatever their value. Raises `ConflictError` if two
        votes prove that something is damaged.
        """
        vote = accepted.proposal
        if not self.quorums.is_member(sender):
            return self, None
        if self.chosen is not NOTHING_CHOSEN:
            _demand_no_conflict(self.chosen, vote)
            return self, None
        votes = dict(self.votes)
        for other in votes.values():
            if other.id == vote.id:
                _demand_same_value(other, vote)
        if sender in votes and votes[sender].id >= vote.id:
            return self, None
        votes[sender] = vote
        if self.quorums.has_phase2([voter for voter, cast in votes.items() if cast.id == vote.id]):
            return self._having_chosen(vote), Chosen(vote)
        return type(self)(self.quorums, tuple(sorted(votes.items(), key=_member_of))), None

    def receive_chosen(self, chosen: Chosen[V]) -> Self:
        """Take another learner's word for it. Raises `ConflictError` if it contradicts ours."""
        if self.chosen is not NOTHING_CHOSEN:
            _demand_same_value(self.chosen, chosen.proposal)
            return self
        return self._having_chosen(chosen.proposal)

    def _having_chosen(self, chosen: Proposal[V]) -> Self:
        for _, vote in self.votes:
            _demand_no_conflict(chosen, vote)
        return type(self)(self.quorums, chosen=chosen)


@dataclass(frozen=True)
class DurableState(Generic[V]):
    """What a node must find again after a crash (PMS 2.5).

    A crash during a persist may leave any mixture, field by field, of the state acknowledged last
    and the one under way: all are legal, for nobody has heard of the newer one. A state older
    than the one acknowledged last is not: it breaks promises.
    """

    ballot: int = 0
    """The highest number that this node ever prepared: the next is above it (PMS 2.5)."""

    promised: ProposalID = NO_PROPOSAL
    accepted: Proposal[V] | NothingAccepted = NOTHING_ACCEPTED


@dataclass(frozen=True)
class Node(Generic[V]):
    """Proposer, acceptor and learner in one, with one identity and one durable state.

    A node that is no member of `quorums` has no vote: it is a proposer and learner only. A node
    that is never asked to propose is an acceptor and learner only.

    Votes go to the proposer of their ballot, which tells everybody what was chosen: the
    distinguished learner of PMS 2.3.
    """

    identity: Identity
    quorums: Quorums
    proposer: Proposer[V]
    acceptor: Acceptor[V]
    learner: Learner[V]

    incarnations: tuple[tuple[str, str], ...] = ()
    """The incarnation by which each member was first heard, sorted. A member that comes back
    with another one lost its disk, and with it its promises: it is not listened to."""

    @classmethod
    def recover(
        cls,
        identity: Identity,
        quorums: Quorums,
        durable: DurableState[V] | None = None,
    ) -> Self:
        """The node as it is after a start: everything durable is back, every ballot has ended.

        Without a durable state, a node that has never run. One that has run must get the state
        that it last persisted, or it breaks its promises.
        """
        durable = DurableState() if durable is None else durable
        promised, accepted = durable.promised, durable.accepted
        if accepted is not NOTHING_ACCEPTED:
            # Of a persist that is a mixture, any part is legal: accepting promises too.
            promised = max(promised, accepted.id)
        ballot = ProposalID(durable.ballot, identity.node_id) if durable.ballot else NO_PROPOSAL
        return cls(
            identity,
            quorums,
            Proposer(
                identity.node_id,
                quorums,
                ballot=ballot,
                highest_seen=max(ballot, promised),
            ),
            Acceptor(promised, accepted),
            Learner(quorums),
        )

    @property
    def node_id(self) -> str:
        """This node's own ID."""
        return self.identity.node_id

    @property
    def chosen(self) -> Proposal[V] | NothingChosen:
        """What this node knows to be chosen."""
        return self.learner.chosen

    @property
    def promised(self) -> ProposalID:
        """The highest ID that it promised."""
        return self.acceptor.promised

    @property
    def ballot(self) -> ProposalID:
        """Its newest ballot."""
        return self.proposer.ballot

    @property
    def phase(self) -> Phase:
        """How far that ballot has come."""
        return self.proposer.phase

    @property
    def needs_a_leader(self) -> bool:
        """Until it knows the decision."""
        return self.learner.chosen is NOTHING_CHOSEN

    @property
    def durable(self) -> DurableState[V]:
        """What must be on disk before this node's next promise, vote or Prepare leaves."""
        return DurableState(
            self.proposer.ballot.number, self.acceptor.promised, self.acceptor.accepted
        )

    def is_saved_by(self, saved: DurableState[V]) -> bool:
        """Whether a disk that holds this state holds all that must survive."""
        return self.durable == saved

    @property
    def deadline(self) -> None:
        """None: a bare node has no timers. See `heartbeat` for progress."""
        return None

    def step(self, input: Input[V], now: float) -> Step[Self, V]:
        """Handle one input. A proposal also begins a ballot; a tick sends again what is open."""
        match input:
            case Envelope():
                return self.receive(input)
            case Propose(value):
                return self.propose(value)
            case Tick():
                return self.send_again()
            case _:
                return Step(self)

    def propose(self, value: V) -> Step[Self, V]:
        """Ask for this value, and begin a ballot unless one is under way or all is decided.

        Asked again, it begins the next one also if somebody has refused this one: with another
        member down, that ballot may wait for ever.
        """
        proposed = self.request(value)
        node, proposer = proposed.node, proposed.node.proposer
        is_under_way = proposer.phase is not Phase.IDLE and not proposer.refused_by
        if node.chosen is not NOTHING_CHOSEN or is_under_way:
            return proposed
        return node.prepare()

    def request(self, value: V) -> Step[Self, V]:
        """Set the value to propose, and propose it if this node leads and is free to."""
        if self.chosen is not NOTHING_CHOSEN:
            return Step(self)
        proposer, accept = self.proposer.propose(value)
        node = replace(self, proposer=proposer)
        return Step(node, () if accept is None else node.to_members(accept))

    def prepare(self) -> Step[Self, V]:
        """Begin a ballot."""
        proposer, prepare = self.proposer.observe(self.acceptor.promised).prepare()
        node = replace(self, proposer=proposer)
        return Step(node, node.to_members(prepare))

    def abandon(self) -> Self:
        """End this node's ballot, if there is one."""
        return replace(self, proposer=self.proposer.abandon())

    def send_again(self) -> Step[Self, V]:
        """Repeat to all members what this node's ballot still wants an answer to."""
        unanswered = self.proposer.unanswered
        return Step(self, () if unanswered is None else self.to_members(unanswered))

    def receive(self, envelope: Envelope[Message[V]]) -> Step[Self, V]:
        """Handle a message from another node or from this one."""
        admitted = self.admit(envelope)
        if admitted.events:
            return admitted
        return admitted.node.handle(envelope.sender.node_id, envelope.message)

    def handle(self, sender: str, message: Message[V]) -> Step[Self, V]:
        """Handle a message whose envelope was admitted. What is not Paxos changes nothing."""
        match message:
            case Prepare() | Accept():
                return self._asked(sender, message)
            case Promise():
                proposer, accept = self.proposer.receive_promise(sender, message)
                node = replace(self, proposer=proposer)
                return Step(node, () if accept is None else node.to_members(accept))
            case Nack():
                return self._nacked(sender, message)
            case Accepted():
                learner, chosen = self.learner.receive_accepted(sender, message)
                return self._learned(learner, chosen)
            case Chosen():
                return self._learned(self.learner.receive_chosen(message), None)
            case _:
                return Step(self)

    def admit(self, envelope: Envelope[Any]) -> Step[Self, V]:
        """Refuse what cannot be meant for this node or be genuine; remember who sent the rest."""
        reason = self._reason_to_refuse(envelope)
        if reason is not None:
            return Step(self, (), (EnvelopeRefused(envelope.sender, reason),))
        return Step(self._remember(envelope.sender))

    def observe(self, proposal_id: ProposalID) -> Self:
        """Remember that this ID exists, so that the next ballot begins above it."""
        proposer = self.proposer.observe(proposal_id)
        return self if proposer is self.proposer else replace(self, proposer=proposer)

    def _reason_to_refuse(self, envelope: Envelope[Any]) -> str | None:
        sender, own = envelope.sender, self.identity
        if sender == own and envelope.recipient == own.node_id:
            return None
        if envelope.version != FORMAT_VERSION:
            return f"format version {envelope.version} instead of {FORMAT_VERSION}"
        if envelope.recipient != own.node_id:
            return f"meant for {envelope.recipient}"
        if sender.cluster != own.cluster:
            return f"of cluster {sender.cluster} instead of {own.cluster}"
        if sender.epoch != own.epoch:
            return f"of epoch {sender.epoch} instead of {own.epoch}"
        if sender.node_id == own.node_id:
            return "another node uses this node's ID"
        for node_id, incarnation in self.incarnations:
            if node_id == sender.node_id and incarnation != sender.incarnation:
                return "this member lost its disk, and with it its promises: replace it"
        return None

    def to_members(self, message: Message[V]) -> tuple[Envelope[Message[V]], ...]:
        """The message to every member, this node among them: it talks to itself as to others."""
        return tuple(Envelope(self.identity, m, message) for m in self.quorums.members)

    def to(self, recipient: str, message: Message[V]) -> tuple[Envelope[Message[V]], ...]:
        """The message to one node."""
        return (Envelope(self.identity, recipient, message),)

    def tell(self, late_comer: str) -> Step[Self, V]:
        """Tell another node of the decision, if this one knows it."""
        if self.chosen is NOTHING_CHOSEN or late_comer == self.node_id:
            return Step(self)
        return Step(self, self.to(late_comer, Chosen(self.chosen)))

    def _remember(self, sender: Identity) -> Self:
        known = (sender.node_id, sender.incarnation)
        if known in self.incarnations or not self.quorums.is_member(sender.node_id):
            return self
        return replace(self, incarnations=tuple(sorted((*self.incarnations, known))))

    def _asked(self, sender: str, message: Prepare | Accept[V]) -> Step[Self, V]:
        """As an acceptor. Who asks after the decision is a late-comer, and is told of it."""
        if self.chosen is not NOTHING_CHOSEN:
            return self.tell(sender)
        reply: Message[V] | None
        if isinstance(message, Prepare):
            acceptor, reply = self.acceptor.receive_prepare(message)
        else:
            acceptor, reply = self.acceptor.receive_accept(message)
        node = replace(self, acceptor=acceptor)
        return Step(node, () if reply is None else node.to(sender, reply))

    def _nacked(self, sender: str, nack: Nack) -> Step[Self, V]:
        proposer = self.proposer.receive_nack(sender, nack)
        node = replace(self, proposer=proposer)
        lost = self.proposer.phase is not Phase.IDLE and proposer.phase is Phase.IDLE
        return Step(node, (), (BallotLost(nack.id, proposer.highest_seen),) if lost else ())

    def _learned(self, learner: Learner[V], tell: Chosen[V] | None) -> Step[Self, V]:
        """Whoever counts the quorum tells all the others; its own ballots end there."""
        newly = self.chosen is NOTHING_CHOSEN and learner.chosen is not NOTHING_CHOSEN
        node = replace(self, learner=learner)
        if not newly or learner.chosen is NOTHING_CHOSEN:
            return Step(node)
        if self.acceptor.accepted is not NOTHING_ACCEPTED:
            _demand_no_conflict(learner.chosen, self.acceptor.accepted)
        node = node.abandon()
        others = (m for m in self.quorums.members if m != self.node_id)
        messages = () if tell is None else tuple(Envelope(self.identity, m, tell) for m in others)
        return Step(node, messages, (ValueChosen(learner.chosen),))


def _demand_same_value(one: Proposal[Any], other: Proposal[Any]) -> None:
    if one.value != other.value:
        raise ConflictError(f"two values where there can be one: {one} and {other}")


def _demand_no_conflict(chosen: Proposal[Any], accepted: Proposal[Any]) -> None:
    """P2a: everything accepted at or above a chosen ID has its value."""
    if accepted.id >= chosen.id:
        _demand_same_value(chosen, accepted)


def _higher(
    one: Proposal[V] | NothingAccepted, other: Proposal[V] | NothingAccepted
) -> Proposal[V] | NothingAccepted:
    """The one of the higher ID. Of the value nothing is asked but that one ID has one value."""
    if one is NOTHING_ACCEPTED or other is NOTHING_ACCEPTED:
        return other if one is NOTHING_ACCEPTED else one
    if one.id == other.id:
        _demand_same_value(one, other)
    return max(one, other, key=_id_of)


def _with_member(members: tuple[str, ...], member: str) -> tuple[str, ...]:
    """A set of members as a sorted tuple: the same under any hash seed."""
    return members if member in members else tuple(sorted((*members, member)))


def _member_of(vote: tuple[str, Proposal[Any]]) -> str:
    return vote[0]


def _id_of(proposal: Proposal[Any]) -> ProposalID:
    return proposal.id
