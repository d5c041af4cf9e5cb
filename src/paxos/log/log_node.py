"""A node of a log that makes progress by itself: `Log` with `Heartbeats`, and reads.

Who leads is found out as in `heartbeat`. What is new here: a leader confirms reads, leadership can
be handed over, and who has no vote never asks to lead but learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, assert_never

from paxos.errors import MisuseError
from paxos.heartbeat import Heartbeats, Reaction, Stance, carry_out, changes, consequence
from paxos.immutable import replace
from paxos.log.entries import C
from paxos.log.events import LogEvent, ReadFailed, ReadReady, Removed
from paxos.log.inputs import Append, ChangeMembers, Installed, LogInput, Read, Transfer
from paxos.log.limits import Limits
from paxos.log.log import Log
from paxos.log.messages import (
    AskToRead,
    Confirm,
    Confirmed,
    Learn,
    LogMessage,
    PrepareFrom,
    ReadFrom,
    TakeOver,
)
from paxos.log.reads import MAX_READS, Reader, Reads
from paxos.log.state import LogState
from paxos.log.step import LogStep, S
from paxos.machine import Machine, PersistBegan, PersistEnded, PersistFailed, Tick
from paxos.messages import Envelope, Heartbeat, HeartbeatAnswer, Identity
from paxos.node import Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums
from paxos.timing import Timing


@dataclass(frozen=True)
class LogNode(Generic[C]):
    """One node of a replicated log: a value with a pure step, as `HeartbeatNode` is."""

    log: Log[C]
    heartbeats: Heartbeats

    reads: Reads = Reads()  # noqa: RUF009 - a constant
    """As leader: the reads to confirm."""

    asking: tuple[int, ...] = ()
    """As follower: its own reads that the leader has been asked about."""

    @classmethod
    def recover(
        cls,
        identity: Identity,
        state: LogState[C],
        *,
        limits: Limits[C],
        timing: Timing,
        now: float,
    ) -> Self:
        """The node as it is after a start at `now` (seconds), from what was persisted last.

        A node that has never run starts from a `LogState` that says who decides.
        """
        log = Log[C].recover(identity, state, limits)
        beats = Heartbeats.begin(identity.node_id, log.unused.quorums, timing, now)
        return cls(log, beats)

    @property
    def node_id(self) -> str:
        """This node's own ID."""
        return self.log.node_id

    @property
    def durable(self) -> LogState[C]:
        """Of heartbeats and reads nothing needs to survive."""
        return self.log.durable

    def is_saved_by(self, saved: LogState[C]) -> bool:
        """See `Log.is_saved_by`."""
        return self.log.is_saved_by(saved)

    @property
    def deadline(self) -> float:
        """When it wants the next tick (seconds)."""
        return self.heartbeats.deadline

    def step(self, input: LogInput[C], now: float) -> LogStep[Self, C]:
        """Handle one input. A tick does what is due."""
        match input:
            case Envelope():
                return self._receive(input, now)
            case Append(commands):
                return self._follow_up(self.log.append(commands), now)
            case Read(number):
                return self._read(number, now)
            case Tick():
                return self._tick(now)
            case PersistBegan() | PersistEnded() | PersistFailed():
                return self._persist(input, now)
            case ChangeMembers(configuration):
                return self._follow_up(self.log.change_members(configuration), now)
            case Transfer(node_id):
                return self._transfer(node_id)
            case Installed(chosen_below, configurations):
                return self._follow_up(self.log.install(chosen_below, configurations), now)
            case _:
                assert_never(input)

    def _persist(
        self, what: PersistBegan | PersistEnded | PersistFailed, now: float
    ) -> LogStep[Self, C]:
        match what:
            case PersistBegan():
                beats = self.heartbeats.persist_began(now)
                return LogStep(replace(self, log=self.log.persist_began(), heartbeats=beats))
            case PersistEnded():
                beats = self.heartbeats.persist_ended()
                return replace(self, heartbeats=beats)._follow_up(self.log.persist_ended(), now)
            case PersistFailed():
                return self._apply(self.heartbeats.end_ballot("its disk failed", now))
            case _:
                assert_never(what)

    def _receive(self, envelope: Envelope[LogMessage[C]], now: float) -> LogStep[Self, C]:
        admitted = self.log.admit(envelope)
        if admitted.events:
            return LogStep(self, (), admitted.events)
        state = replace(self, log=admitted.node)
        sender, message = envelope.sender.node_id, envelope.message
        match message:
            case Heartbeat():
                return state._receive_heartbeat(sender, message, now)
            case HeartbeatAnswer():
                return state._receive_answer(sender, message, now)
            case PrepareFrom() if state._ignores(message, now):
                return LogStep(state)
            case Confirm(id, round):
                answer = Confirmed(id, round)
                agrees = state.log.promised <= id
                return LogStep(state, state.log.to(sender, answer) if agrees else ())
            case Confirmed(id, round):
                return state._confirmed(sender, round) if id == state.log.ballot else LogStep(state)
            case AskToRead(number):
                return state._wait_to_read(Reader(sender, number))
            case ReadFrom(number, slot):
                return state._answered(number, slot)
            case TakeOver(id):
                return state._take_over(id, now)
            case _:
                return state._follow_up(state.log.handle(envelope.sender, message), now)

    # Leadership.

    def _receive_heartbeat(self, sender: str, message: Heartbeat, now: float) -> LogStep[Self, C]:
        """Answer it. With each round, what was asked of the leader and not answered goes again."""
        log = self.log.observe(message.leading)
        reaction = self.heartbeats.receive_heartbeat(message, log.promised, now)
        step = replace(self, log=log)._apply(reaction)
        if reaction.answer is not None:
            step = _and_send(step, log.to(sender, reaction.answer))
        if reaction.heartbeats.heard_round == self.heartbeats.heard_round:
            return step
        state = replace(step.node, log=replace(step.node.log, learning=None))
        again = tuple(e for number in state.asking for e in log.to(sender, AskToRead(number)))
        return _and_send(step._replace(node=state), again)

    def _receive_answer(
        self, sender: str, message: HeartbeatAnswer, now: float
    ) -> LogStep[Self, C]:
        """Count it. An asker that is told of a leader learns from whoever told it.

        Else it would miss what is chosen while it does not hear the leader; and that it was removed
        while it was away, for then no leader speaks to it any more.
        """
        state = replace(self, log=self.log.observe(message.follows))
        step = state._apply(state.heartbeats.receive_answer(sender, message, now))
        told = message.follows != NO_PROPOSAL and step.node.heartbeats.stance is Stance.ASKING
        return _and_send(step, self.log.to(sender, Learn(self.log.chosen_below))) if told else step

    def _ignores(self, prepare: PrepareFrom, now: float) -> bool:
        """A late Prepare, unless the leader that we follow wants it to be heard."""
        wanted = prepare.handed_over_by
        if wanted != NO_PROPOSAL and wanted == self.heartbeats.follows(now):
            return False
        return self.heartbeats.ignores(prepare.id, now)

    def _tick(self, now: float) -> LogStep[Self, C]:
        beats = self.heartbeats
        if self.log.is_member or beats.leads:
            step = self._apply(beats.tick(now))
            return _and_send(step, step.node._round_again())
        if now < beats.deadline:
            return LogStep(self)
        # Who has no vote does not ask to lead: it asks all who have one what they know.
        rested = replace(beats, leader=NO_PROPOSAL).hold_back(now + beats.timing.window)
        step = replace(self, log=replace(self.log, learning=None))._apply(Reaction(rested))
        learning = step.node.log.ask_to_learn(*step.node.log.names)
        return _and_send(
            step._replace(node=replace(step.node, log=learning.node)), learning.messages
        )

    def _transfer(self, node_id: str) -> LogStep[Self, C]:
        if not self.heartbeats.leads or node_id not in self.log.names:
            raise MisuseError(
                f"only a leader can hand over, and only to a member: not to {node_id}"
            )
        if node_id == self.node_id:
            return LogStep(self)
        return LogStep(self, self.log.to(node_id, TakeOver(self.log.ballot)))

    def _take_over(self, leader: ProposalID, now: float) -> LogStep[Self, C]:
        reaction = self.heartbeats.take_over(now)
        follows_it = leader == self.heartbeats.follows(now)
        if not (follows_it and self.log.is_member and reaction.challenge):
            return LogStep(self)
        return replace(self, log=replace(self.log, handed_over_by=leader))._apply(reaction)

    def _follow_up(self, step: LogStep[Log[C], C], now: float) -> LogStep[Self, C]:
        """Take over what the log did, and what it means for leadership."""
        before, after = self.log, step.node
        if after is before:
            return LogStep(self, step.messages, step.events)
        heartbeats = self.heartbeats
        if after.unused.quorums is not heartbeats.quorums:
            heartbeats = _with_quorums(heartbeats, after.unused.quorums, now)
        reaction = consequence(before, after, heartbeats, now)
        events: tuple[LogEvent[C], ...] = ()
        has_changed = after.configurations is not before.configurations
        if has_changed and before.is_member and not after.is_member:
            events = (Removed(),)
            if after.phase is not Phase.IDLE:
                reaction = reaction.heartbeats.end_ballot("it is no member any more", now)
        settled = replace(self, log=after)._apply(reaction)
        reading = settled.node._begin_round()
        return LogStep(
            reading.node,
            step.messages + settled.messages + reading.messages,
            step.events + events + settled.events,
        )

    def _apply(self, reaction: Reaction) -> LogStep[Self, C]:
        """Do what the heartbeats say, and report who leads if that has changed."""
        if reaction.heartbeats is self.heartbeats and reaction == Reaction(self.heartbeats):
            return LogStep(self)
        log, heartbeats, messages = carry_out(reaction, self.log)
        state = replace(self, log=log, heartbeats=heartbeats)
        events: tuple[LogEvent[C], ...] = changes(self.heartbeats, heartbeats, reaction.ended)
        if log.phase is Phase.LEADING or not (log.queue or log.changes or state._has_reads()):
            return state._hear_leader(LogStep(state, messages, events), self.heartbeats)
        dropped = log.drop_queue()
        reads, failed = state.reads.fail()
        state = replace(state, log=dropped.node, reads=reads)
        events += dropped.events + tuple(
            ReadFailed(reader.number, "this node leads no more")
            for reader in failed
            if reader.node_id == state.node_id
        )
        return state._hear_leader(LogStep(state, messages, events), self.heartbeats)

    def _hear_leader(self, step: LogStep[Self, C], before: Heartbeats) -> LogStep[Self, C]:
        """Reads that were asked of one leader mean nothing to another."""
        if not self.asking or self.heartbeats.leader == before.leader:
            return step
        failed = tuple(ReadFailed(number, "the leader has changed") for number in self.asking)
        return LogStep(replace(self, asking=()), step.messages, step.events + failed)

    # Reads.

    def _read(self, number: int, now: float) -> LogStep[Self, C]:
        if self.heartbeats.leads:
            return self._wait_to_read(Reader(self.node_id, number))
        leader = self.heartbeats.follows(now)
        if leader == NO_PROPOSAL or len(self.asking) >= MAX_READS:
            reason = "no leader is heard" if leader == NO_PROPOSAL else "too many reads wait"
            return LogStep(self, (), (ReadFailed(number, reason),))
        state = replace(self, asking=(*self.asking, number))
        return LogStep(state, self.log.to(leader.node_id, AskToRead(number)))

    def _wait_to_read(self, reader: Reader) -> LogStep[Self, C]:
        if not self.heartbeats.leads:
            return LogStep(self)
        if self.reads.is_full:
            own = reader.node_id == self.node_id
            return LogStep(self, (), (ReadFailed(reader.number, "too many reads wait"),) * own)
        return replace(self, reads=self.reads.wait(reader))._begin_round()

    def _begin_round(self) -> LogStep[Self, C]:
        """Ask whether nobody else leads, if reads wait and no round is under way.

        Not before the leader has heard of all that was accepted: until then there may be slots of
        which it knows nothing, and what is in them may have been acknowledged.
        """
        log, reads = self.log, self.reads
        if reads.is_open or not reads.waiting or not log.knows_what_was_accepted:
            return LogStep(self)
        reads = reads.begin(log.unused.quorums, max(log.window.end, log.chosen_below))
        state = replace(self, reads=reads)
        return LogStep(state, state._round_again())

    def _round_again(self) -> tuple[Envelope[LogMessage[C]], ...]:
        if not self.reads.is_open or self.reads.quorums is None:
            return ()
        confirm = Confirm(self.log.ballot, self.reads.last_round)
        return tuple(e for m in self.reads.quorums.members for e in self.log.to(m, confirm))

    def _confirmed(self, sender: str, number: int) -> LogStep[Self, C]:
        reads, confirmed = self.reads.confirm(sender, number)
        state = replace(self, reads=reads)
        events: tuple[LogEvent[C], ...] = ()
        messages: tuple[Envelope[LogMessage[C]], ...] = ()
        for reader in confirmed:
            if reader.node_id == self.node_id:
                events += (ReadReady(reader.number, self.reads.slot),)
            else:
                answer = ReadFrom(reader.number, self.reads.slot)
                messages += self.log.to(reader.node_id, answer)
        step = state._begin_round()
        return LogStep(step.node, messages + step.messages, events + step.events)

    def _answered(self, number: int, slot: int) -> LogStep[Self, C]:
        if number not in self.asking:
            return LogStep(self)
        asking = tuple(each for each in self.asking if each != number)
        return LogStep(replace(self, asking=asking), (), (ReadReady(number, slot),))

    def _has_reads(self) -> bool:
        return self.reads.is_open or bool(self.reads.waiting)


class LogMachine(Machine[Any, LogState[C], Any], Generic[C]):
    """The shell of every node, with the words of a log. It adds nothing but types."""

    if TYPE_CHECKING:

        def receive(self, input: LogInput[C], now: float) -> None:  # type: ignore[override]  # a log's words
            """A log is asked other things than one decision is, at the same place."""


def _with_quorums(heartbeats: Heartbeats, quorums: Quorums, now: float) -> Heartbeats:
    """Others decide now. Each of them gets one window to follow this leader, as in `lead`."""
    answers = dict.fromkeys(quorums.members, now + heartbeats.timing.window)
    answers |= {member: until for member, until in heartbeats.answers if member in answers}
    return replace(
        heartbeats,
        quorums=quorums,
        answers=tuple(sorted(answers.items())) if heartbeats.leads else (),
    )


def _and_send(step: LogStep[S, C], messages: tuple[Envelope[LogMessage[C]], ...]) -> LogStep[S, C]:
    return step._replace(messages=step.messages + messages) if messages else step
