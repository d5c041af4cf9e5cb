"""Progress: who leads, and when to stop waiting for it.

Paxos is safe however many proposers there are; to get anywhere it needs one that is left alone
(*Paxos Made Simple*, 2.4: "a distinguished proposer must be selected", by timing out). Our answer
is heartbeats in rounds with answers:

- A leader asks everybody, again and again, "do you follow me?". One that no phase-2 quorum has
  followed within the liveness window could not get anything chosen, and stops leading.
- A node that has heard no leader for longer than the window, or has a value and hears none, first
  asks everybody "may I lead?". It begins a ballot only when quorums of both phases hear no leader
  either; with fewer it could not get anything chosen. So a leader that a quorum hears is not
  challenged: not by a node that merely lost its link to it, nor by one that comes back.
- A node that cannot persist answers nobody: a heartbeat means "I can get things chosen", not "I
  am alive".

`Heartbeats` knows ballots and time, and nothing of what is being decided. `HeartbeatNode` is
`Node` with `Heartbeats`. All times are seconds on the local monotonic clock, handed in.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar, assert_never

from paxos.events import LeaderChanged, LeadershipAcquired, LeadershipLost
from paxos.immutable import replace
from paxos.machine import (
    Input,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Propose,
    S,
    Step,
    Tick,
)
from paxos.messages import (
    NO_VALUE,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    NothingChosen,
    Prepare,
    Proposal,
    Request,
    V,
)
from paxos.node import DurableState, Node, Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums
from paxos.timing import NEVER, Timing

MAX_PATIENCE = 7
"""Windows that a challenge lasts at most. It gains one with each failure, since two syncs of a
slow disk, neither of them overdue, may take longer than one window."""


class Stance(enum.Enum):
    """What a node thinks of leadership just now."""

    FOLLOWING = "following"
    """It follows a leader, or gives others the time to become one."""

    ASKING = "asking"
    """It hears no leader, and asks whether others do."""

    CHALLENGING = "challenging"
    """Quorums of both phases hear no leader: its ballot is in phase 1."""

    LEADING = "leading"


class Reaction(NamedTuple):
    """What one input does to `Heartbeats`: the next state, what to say, and what to do."""

    heartbeats: Heartbeats
    to_members: Heartbeat | None = None
    answer: HeartbeatAnswer | None = None

    challenge: bool = False
    """Begin a ballot now."""

    send_again: bool = False
    """Repeat what the ballot still wants an answer to."""

    ended: str | None = None
    """Why the ballot that this node led or challenged with must end now."""


@dataclass(frozen=True)
class Heartbeats:
    """Who leads, as far as this node can tell. A value; each method gives the next one."""

    node_id: str
    quorums: Quorums
    timing: Timing

    challenge_at: float
    """When it may ask to lead, unless it hears a leader; when its challenge has failed."""

    stance: Stance = Stance.FOLLOWING

    ballot: ProposalID = NO_PROPOSAL
    """The ballot that it challenges or leads with."""

    leader: ProposalID = NO_PROPOSAL
    """The ballot of the leader that it follows, perhaps its own."""

    leader_until: float = -NEVER
    """When it stops counting on that leader."""

    round_at: float = NEVER
    """When the next round begins."""

    answers: tuple[tuple[str, float], ...] = ()
    """Who said yes (sorted), and until when that counts: one window from the *beginning* of the
    round, so that an answer come late, or twice, proves no more than it should."""

    leader_since: float = NEVER
    """When it began to follow that leader."""

    heard: ProposalID = NO_PROPOSAL
    """The leader that was followed last: kept when it is given up, for its rounds may come late."""

    heard_round: float = -NEVER
    """The newest of its rounds, on its clock. Older ones, come late or twice, prove nothing."""

    attempt: int = 0
    """Ballots that failed since this node last followed a leader."""

    persist_due: float = NEVER
    """When the persist under way is overdue."""

    @classmethod
    def begin(cls, node_id: str, quorums: Quorums, timing: Timing, now: float) -> Self:
        """A node that has just started: it gives a leader one window to be heard."""
        return cls(node_id, quorums, timing, now + timing.window + timing.delay(node_id, 0))

    @property
    def deadline(self) -> float:
        """When to call `tick` next."""
        if self.stance is Stance.LEADING:
            return min(self.round_at, self.persist_due, self._followed_until())
        if self.leader != NO_PROPOSAL:
            return self.leader_until
        return min(self.round_at, self.challenge_at)

    @property
    def leads(self) -> bool:
        """Whether this node leads, as far as it knows."""
        return self.stance is Stance.LEADING

    def follows(self, now: float) -> ProposalID:
        """The ballot of the leader that this node hears, or `NO_PROPOSAL`."""
        return self.leader if now < self.leader_until else NO_PROPOSAL

    def tick(self, now: float) -> Reaction:
        """Time has passed: give up what is hopeless, begin what is due."""
        if self.stance is Stance.LEADING:
            if now >= self.persist_due:
                return self.end_ballot("its disk takes too long", now)
            if now >= self._followed_until():
                return self.end_ballot("no quorum follows it", now)
        elif self.leader != NO_PROPOSAL:
            if now < self.leader_until:
                return Reaction(self)
            return replace(self, leader=NO_PROPOSAL).tick(now)
        elif now >= self.challenge_at:
            if self.stance is Stance.CHALLENGING:
                return self.end_ballot("no quorum promises", now)
            return self.ask(now)
        return self._round(now) if now >= self.round_at else Reaction(self)

    def ask(self, now: float) -> Reaction:
        """Ask everybody "may I lead?", unless there is a leader. Not while the disk hangs."""
        if self.stance is not Stance.FOLLOWING or self.follows(now) != NO_PROPOSAL:
            return Reaction(self)
        if now >= self.persist_due:
            return Reaction(self.hold_back(now + self.timing.window))
        asking = replace(self, stance=Stance.ASKING, leader=NO_PROPOSAL, challenge_at=NEVER)
        return asking._round(now)

    def take_over(self, now: float) -> Reaction:
        """Begin a ballot without asking, for the leader itself wants it."""
        if self.stance is not Stance.FOLLOWING or now >= self.persist_due:
            return Reaction(self)
        return Reaction(replace(self, leader=NO_PROPOSAL)._challenge(now), challenge=True)

    def receive_heartbeat(self, heartbeat: Heartbeat, promised: ProposalID, now: float) -> Reaction:
        """Answer a round. `promised` is what this node's acceptor has promised.

        It follows a leader only if it would also accept what that leader proposes. Whoever asks
        to lead is told of the leader heard here. A node whose disk hangs answers nobody.
        """
        if now >= self.persist_due:
            return Reaction(self)
        hears = self.follows(now)
        if heartbeat.leading == NO_PROPOSAL:
            return Reaction(self, answer=HeartbeatAnswer(hears, heartbeat.round))
        ended_here = heartbeat.leading.node_id == self.node_id and heartbeat.leading != self.ballot
        if ended_here or heartbeat.leading < max(promised, hears, self.ballot):
            other = hears if hears > heartbeat.leading else NO_PROPOSAL
            return Reaction(self, answer=HeartbeatAnswer(other, heartbeat.round))
        return self._follow(heartbeat, now)._replace(
            answer=HeartbeatAnswer(heartbeat.leading, heartbeat.round)
        )

    def receive_answer(self, sender: str, answer: HeartbeatAnswer, now: float) -> Reaction:
        """Count who follows this leader, or who hears no leader that this asker would disturb."""
        until = answer.round + self.timing.window
        asked = self.stance in (Stance.ASKING, Stance.LEADING)
        if not asked or not answer.round <= now < until or not self.quorums.is_member(sender):
            return Reaction(self)
        answers = dict(self.answers)
        if answer.follows == self.ballot:  # which is `NO_PROPOSAL` while it asks
            answers[sender] = max(until, answers.get(sender, until))
        elif self.stance is Stance.ASKING:
            answers.pop(sender, None)
        state = replace(self, answers=tuple(sorted(answers.items())))
        willing = [member for member, until in state.answers if now < until]
        enough = state.quorums.has_phase1(willing) and state.quorums.has_phase2(willing)
        # A disk may begin to hang while it asks: its Prepare would leave when nobody wants it.
        if state.stance is Stance.ASKING and enough and now < state.persist_due:
            return Reaction(state._challenge(now), challenge=True)
        return Reaction(state)

    def receive_prepare(self, prepare: ProposalID, now: float) -> Self:
        """Another node has begun a higher ballot: hold back until it has had its chance."""
        if prepare.node_id == self.node_id or self.stance in (Stance.CHALLENGING, Stance.LEADING):
            return self
        hold = now + self.timing.window + self.timing.delay(self.node_id, self.attempt)
        return self.hold_back(max(hold, self.challenge_at) if self.challenge_at < NEVER else hold)

    def ignores(self, prepare: ProposalID, now: float) -> bool:
        """Whether this ballot comes too late: it is our own and has ended, or a leader is settled.

        A Prepare may be held up by a network, or by a disk that hung, until nobody wants it any
        more. Where a leader is new, the ballot belongs to a duel, and the higher one shall win.
        """
        if prepare.node_id == self.node_id:
            return prepare != self.ballot
        settled = now >= self.leader_since + self.timing.window
        return settled and self.follows(now) not in (NO_PROPOSAL, prepare)

    def challenge_with(self, ballot: ProposalID) -> Self:
        """The ballot that was begun when a `Reaction` said `challenge`."""
        return replace(self, ballot=ballot)

    def lead(self, now: float) -> Reaction:
        """Phase 1 is done: this node leads, and says so at once.

        Every member gets one window to follow it before their silence counts.
        """
        until = now + self.timing.window
        leading = replace(
            self,
            stance=Stance.LEADING,
            leader=self.ballot,
            leader_until=NEVER,
            leader_since=now,
            answers=tuple((member, until) for member in self.quorums.members),
            challenge_at=NEVER,
            attempt=0,
        )
        return leading._round(now)._replace(send_again=False)

    def end_ballot(self, reason: str, now: float) -> Reaction:
        """Stop leading or challenging, and hold back longer than the last time."""
        attempt = self.attempt + 1
        rested = replace(self, ballot=NO_PROPOSAL, leader=NO_PROPOSAL, attempt=attempt)
        return Reaction(
            rested.hold_back(now + self.timing.delay(self.node_id, attempt)), ended=reason
        )

    def persist_began(self, now: float) -> Self:
        """A persist is under way. Overdue, it ends leadership."""
        return replace(self, persist_due=now + self.timing.window)

    def persist_ended(self) -> Self:
        """It is done."""
        return replace(self, persist_due=NEVER)

    def _follow(self, heartbeat: Heartbeat, now: float) -> Reaction:
        is_stale = heartbeat.leading == self.heard and heartbeat.round <= self.heard_round
        if heartbeat.leading == self.ballot or is_stale:
            return Reaction(self)
        until = now + self.timing.window
        follower = replace(
            self.hold_back(until + self.timing.delay(self.node_id, 0)),
            ballot=NO_PROPOSAL,
            leader=heartbeat.leading,
            leader_until=until,
            leader_since=self.leader_since if heartbeat.leading == self.leader else now,
            heard=heartbeat.leading,
            heard_round=heartbeat.round,
            attempt=0,
        )
        return Reaction(
            follower,
            ended=None if self.ballot == NO_PROPOSAL else "another node leads under a higher ID",
        )

    def _round(self, now: float) -> Reaction:
        """Ask everybody again: as a leader for their loyalty, else for leave to challenge."""
        state = replace(self, round_at=now + self.timing.interval)
        asks = self.stance is not Stance.CHALLENGING
        return Reaction(
            state,
            to_members=Heartbeat(self.ballot, now) if asks else None,
            send_again=self.stance is not Stance.ASKING,
        )

    def _challenge(self, now: float) -> Self:
        return replace(
            self,
            stance=Stance.CHALLENGING,
            answers=(),
            round_at=now + self.timing.interval,
            challenge_at=now + self.timing.window * min(1 + self.attempt, MAX_PATIENCE),
        )

    def hold_back(self, until: float) -> Self:
        """Follow, or wait for somebody to follow, until then."""
        return replace(
            self,
            stance=Stance.FOLLOWING,
            round_at=NEVER,
            answers=(),
            challenge_at=until,
        )

    def _followed_until(self) -> float:
        """The instant at which the answers that still count stop being a phase-2 quorum."""
        latest = sorted(self.answers, key=lambda answer: -answer[1])
        members = [member for member, _ in latest]
        enough = next(n for n in range(len(members) + 1) if self.quorums.has_phase2(members[:n]))
        return latest[enough - 1][1]


class Contender(Protocol):
    """Who begins ballots and ends them, as `Heartbeats` say: `Node` is one, and so is a log."""

    @property
    def promised(self) -> ProposalID:
        """The highest ID that it promised."""
        ...

    @property
    def ballot(self) -> ProposalID:
        """Its newest ballot."""
        ...

    @property
    def phase(self) -> Phase:
        """How far that ballot has come."""
        ...

    @property
    def needs_a_leader(self) -> bool:
        """Whether anything is left to decide."""
        ...

    def prepare(self) -> Any:
        """Begin a ballot. Gives a step."""
        ...

    def abandon(self) -> Self:
        """End it."""
        ...

    def send_again(self) -> Any:
        """Repeat what it still wants an answer to. Gives a step."""
        ...

    def to_members(self, message: Any, /) -> tuple[Envelope[Any], ...]:
        """The message to everybody who decides."""
        ...


Contending = TypeVar("Contending", bound=Contender)


def carry_out(
    reaction: Reaction, contender: Contending
) -> tuple[Contending, Heartbeats, tuple[Envelope[Any], ...]]:
    """Let a contender do what a reaction says. Gives both as they are then, and what to send."""
    heartbeats = reaction.heartbeats
    messages: tuple[Envelope[Any], ...] = ()
    if reaction.to_members is not None:
        messages += contender.to_members(reaction.to_members)
    if reaction.ended is not None:
        contender = contender.abandon()
    if reaction.send_again:
        contender, again, _ = contender.send_again()
        messages += again
    if reaction.challenge:
        contender, prepares, _ = contender.prepare()
        messages += prepares
        heartbeats = heartbeats.challenge_with(contender.ballot)
    return contender, heartbeats, messages


def consequence(
    before: Contender, after: Contender, heartbeats: Heartbeats, now: float
) -> Reaction:
    """What a contender's step means for leadership."""
    if after.promised > before.promised:
        heartbeats = heartbeats.receive_prepare(after.promised, now)
    if before.phase is not after.phase:
        if after.phase is Phase.LEADING:
            return heartbeats.lead(now)
        if after.phase is Phase.IDLE and after.needs_a_leader:
            return heartbeats.end_ballot("a quorum refuses it", now)
    return Reaction(heartbeats)


@dataclass(frozen=True)
class HeartbeatNode(Generic[V]):
    """A node that makes progress by itself: `Node` with `Heartbeats`.

    Once it knows the decision it has no timers left: whoever asks is told, and all is quiet.
    """

    node: Node[V]
    heartbeats: Heartbeats

    @classmethod
    def recover(
        cls,
        identity: Identity,
        quorums: Quorums,
        durable: DurableState[V] | None = None,
        *,
        timing: Timing,
        now: float,
    ) -> Self:
        """The node as it is after a start at `now`. See `Node.recover` for the durable state."""
        return cls(
            Node[V].recover(identity, quorums, durable),
            Heartbeats.begin(identity.node_id, quorums, timing, now),
        )

    @property
    def node_id(self) -> str:
        """This node's own ID."""
        return self.node.node_id

    @property
    def chosen(self) -> Proposal[V] | NothingChosen:
        """What this node knows to be chosen."""
        return self.node.chosen

    @property
    def durable(self) -> DurableState[V]:
        """Of the heartbeats nothing needs to survive."""
        return self.node.durable

    def is_saved_by(self, saved: DurableState[V]) -> bool:
        """See `Node.is_saved_by`."""
        return self.node.is_saved_by(saved)

    @property
    def deadline(self) -> float | None:
        """When it wants the next tick, or None once it knows the decision."""
        return self.heartbeats.deadline if self.node.needs_a_leader else None

    def step(self, input: Input[V], now: float) -> Step[Self, V]:
        """Handle one input. A tick does what is due."""
        match input:
            case Envelope():
                return self._receive(input, now)
            case Propose(value):
                return self._propose(value, now)
            case Tick():
                reaction = (
                    self.heartbeats.tick(now)
                    if self.node.needs_a_leader
                    else Reaction(self.heartbeats)
                )
                return self._apply(reaction)
            case PersistBegan():
                return Step(replace(self, heartbeats=self.heartbeats.persist_began(now)))
            case PersistEnded():
                return Step(replace(self, heartbeats=self.heartbeats.persist_ended()))
            case PersistFailed():
                return self._apply(self.heartbeats.end_ballot("its disk failed", now))
            case _:
                assert_never(input)

    def _propose(self, value: V, now: float) -> Step[Self, V]:
        """Propose it as leader, hand it on, or ask at once to become the leader."""
        step = self._with(self.node.request(value))
        if step.node.node.needs_a_leader:
            step = _join(step, step.node._hand_to_all(now))
            step = _join(step, step.node._apply(step.node.heartbeats.ask(now)))
        return step

    def _receive(self, envelope: Envelope[Message[V]], now: float) -> Step[Self, V]:
        admitted = self.node.admit(envelope)
        state = replace(self, node=admitted.node)
        if admitted.events:
            return Step(state, (), admitted.events)
        sender, message = envelope.sender.node_id, envelope.message
        if not state.node.needs_a_leader:
            return state._receive_late(sender, message)
        match message:
            case Heartbeat():
                return state._receive_heartbeat(sender, message, now)
            case HeartbeatAnswer():
                return state._receive_answer(sender, message, now)
            case Request(value):
                return state._with(state.node.request(value))
            case Prepare(id) if state.heartbeats.ignores(id, now):
                return Step(state)
            case _:
                return state._apply_node(state.node.handle(sender, message), now)

    def _receive_late(self, sender: str, message: Message[V]) -> Step[Self, V]:
        """After the decision: whoever still asks for progress is told of it."""
        if isinstance(message, Heartbeat | Request):
            return self._with(self.node.tell(sender))
        return self._with(self.node.handle(sender, message))

    def _receive_heartbeat(self, sender: str, message: Heartbeat, now: float) -> Step[Self, V]:
        state = replace(self, node=self.node.observe(message.leading))
        reaction = state.heartbeats.receive_heartbeat(message, state.node.acceptor.promised, now)
        step = state._apply(reaction)
        if reaction.answer is not None:
            step = step._replace(messages=step.messages + self.node.to(sender, reaction.answer))
        before, after = self.heartbeats, reaction.heartbeats
        if (after.heard, after.heard_round) == (before.heard, before.heard_round):
            return step
        return _join(step, step.node._hand_to_all(now))

    def _receive_answer(self, sender: str, message: HeartbeatAnswer, now: float) -> Step[Self, V]:
        """Count it; an asker that is told of a leader hands its value to whoever told it."""
        state = replace(self, node=self.node.observe(message.follows))
        step = state._apply(state.heartbeats.receive_answer(sender, message, now))
        told = message.follows != NO_PROPOSAL and step.node.heartbeats.stance is Stance.ASKING
        return _join(step, step.node._hand_on(sender)) if told else step

    def _hand_to_all(self, now: float) -> Step[Self, V]:
        """Give this node's value to all while it follows a leader: again with each of its rounds.

        Not to the leader alone, which may be heard and not hear; who has no value takes this one.
        Nor to the members alone, for the leader may be none.
        """
        leader = self.heartbeats.follows(now)
        if leader in (NO_PROPOSAL, self.heartbeats.ballot):
            return Step(self)
        return self._hand_on(*sorted({leader.node_id, *self.node.quorums.members}))

    def _hand_on(self, *recipients: str) -> Step[Self, V]:
        value = self.node.proposer.value
        if value is NO_VALUE:
            return Step(self)
        others = (r for r in recipients if r != self.node_id)
        return Step(self, tuple(e for r in others for e in self.node.to(r, Request(value))))

    def _with(self, step: Step[Node[V], V]) -> Step[Self, V]:
        """Take over what the node did where it means nothing for leadership."""
        return Step(replace(self, node=step.node), step.messages, step.events)

    def _apply_node(self, step: Step[Node[V], V], now: float) -> Step[Self, V]:
        """Take over what the node did, and what it means for leadership."""
        reaction = consequence(self.node, step.node, self.heartbeats, now)
        settled = replace(self, node=step.node)._apply(reaction)
        return Step(settled.node, step.messages + settled.messages, step.events + settled.events)

    def _apply(self, reaction: Reaction) -> Step[Self, V]:
        """Do what the heartbeats say, and report who leads if that has changed."""
        node, heartbeats, messages = carry_out(reaction, self.node)
        state = replace(self, node=node, heartbeats=heartbeats)
        return Step(state, messages, changes(self.heartbeats, heartbeats, reaction.ended))


def changes(
    before: Heartbeats, after: Heartbeats, ended: str | None
) -> tuple[LeadershipLost | LeadershipAcquired | LeaderChanged, ...]:
    """The events between two states: leadership lost, acquired, changed; in this order."""
    events: list[LeadershipLost | LeadershipAcquired | LeaderChanged] = []
    if before.stance is Stance.LEADING and after.stance is not Stance.LEADING:
        events.append(LeadershipLost(before.ballot, ended or ""))
    if after.stance is Stance.LEADING and before.stance is not Stance.LEADING:
        events.append(LeadershipAcquired(after.ballot))
    if after.leader != before.leader:
        events.append(LeaderChanged(after.leader))
    return tuple(events)


def _join(first: Step[S, V], second: Step[S, V]) -> Step[S, V]:
    return Step(second.node, first.messages + second.messages, first.events + second.events)
