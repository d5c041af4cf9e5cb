"""What only time and disks can show: invariants beside those of `paxos.scenario.invariants`.

They are judged by what a stage tells, not by how a simulator came to it. So they hold, or are
broken, in the same way when a run is played again with some of its commands left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paxos.durable import CorruptError
from paxos.errors import ConflictError
from paxos.events import LeadershipAcquired, LeadershipLost, Stopped, ValueChosen
from paxos.messages import Accepted, HeartbeatAnswer, Proposal
from paxos.node import DurableState
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.scenario.cluster import Cluster
from paxos.scenario.happenings import (
    Arrived,
    Broke,
    Crashed,
    Damaged,
    Happening,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Restarted,
    StayedDown,
    Ticked,
    TimePassed,
    Told,
)
from paxos.scenario.words import text_of_durable
from paxos.sim.server import Server


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that always holds, and one that shows that it was put to the test."""

    id: str
    always: str
    source: str
    sometimes: str


LEADER_CAN_COMMIT = Claim(
    "leader-can-commit",
    "Whoever leads could get a value chosen: at each of its ticks, its persist under way is younger"
    " than one liveness window, and a phase-2 quorum has answered within one.",
    "paxos.heartbeat: a heartbeat means that its sender can get things chosen",
    "A leader stops leading by itself.",
)
TICK_MOVES_ON = Claim(
    "tick-moves-on",
    "A tick does what is due: afterwards, what the node waits for lies ahead.",
    "paxos.machine: `deadline` is when it wants the next tick",
    "A tick was due.",
)
NOTHING_LOST = Claim(
    "nothing-lost",
    "A disk gives back what was acknowledged last, or what was on its way.",
    "PMS 2.5; paxos.durable: the same bytes come out after a crash",
    "A node restarts after a persist was cut off.",
)
DECAY_IS_FOUND = Claim(
    "decay-is-found",
    "A store is called damaged if and only if it decayed.",
    "paxos.durable: fresh, sound, corrupt, lost and foreign are told apart",
    "A node stays down, for its store decayed.",
)
NO_CONFLICT = Claim(
    "no-conflict",
    "Nobody ever meets two values where there can be one.",
    "PMS 2.2, P2a: every higher-numbered proposal accepted has the chosen value",
    "Somebody hears of votes for one value under two IDs.",
)
PROGRESS = Claim(
    "progress",
    "Once quorums of both phases are well, whoever is well learns a decision, within a bound.",
    "PMS 2.4: progress is guaranteed once a distinguished proposer can talk to a majority",
    "A decision is learned only after the cluster was healed.",
)
LEADER_EXISTS = Claim(
    "leader-exists",
    "Once quorums of both phases are well, and nothing is decided, a node leads, and a phase-2"
    " quorum of those who are well follows it, within a bound.",
    "PMS 2.4: a distinguished proposer must be selected",
    "Nobody asks for a value, and a leader is there all the same.",
)
SILENCE = Claim(
    "silence",
    "Once everybody knows the decision, nobody says anything more, and no timer is set.",
    "paxos.heartbeat: once it knows the decision it has no timers left",
    "All is quiet.",
)
TALK_ENDS = Claim(
    "talk-ends",
    "However many messages are lost, repeated and late, talk does not breed talk without end: a run"
    " has a bounded number of effects.",
    "paxos.machine: an answer that already waits need not wait twice",
    "A run has more than a thousand effects.",
)
NO_SURPRISE = Claim(
    "no-surprise",
    "Nothing raises an error that is not one of ours.",
    "paxos.errors: no input from network or disk raises anything outside the two families",
    "An error of ours stops a node.",
)

CLAIMS = (
    LEADER_CAN_COMMIT,
    TICK_MOVES_ON,
    NOTHING_LOST,
    DECAY_IS_FOUND,
    NO_CONFLICT,
    PROGRESS,
    LEADER_EXISTS,
    SILENCE,
    TALK_ENDS,
    NO_SURPRISE,
)


WATCHED = (
    Arrived, Crashed, Damaged, PersistBegan, PersistEnded, PersistFailed, Restarted, StayedDown,
    Ticked, TimePassed, Told,
)  # fmt: skip
"""What an overseer wants to be told of; it takes no notice of the rest."""


@dataclass(slots=True)
class _Watched:
    """What is known of one node from outside. All instants are on its own clock (seconds)."""

    acknowledged: DurableState[str] = field(default_factory=DurableState[str])
    under_way: DurableState[str] | None = None
    """Also after a crash, until the next start: it may be on the disk, or not."""

    persist_began: float | None = None
    rotten: bool | None = False
    """None if a newer state, which is whole, may have taken the place of what decayed."""

    ballot: ProposalID = NO_PROPOSAL
    """The one it leads with."""

    led_since: float = 0.0
    answered: dict[str, float] = field(default_factory=dict[str, float])
    """Who followed that ballot, and when its newest answer came."""


class Overseer:
    """Judges these invariants in one run, of which it is told everything."""

    def __init__(self, cluster: Cluster, tell: Callable[[Broke], object]) -> None:
        """`tell` hears of each invariant that is broken."""
        self.servers: Mapping[str, Server] = {}
        """The servers of the stage; to be set when there is one."""

        self.now = 0.0
        self.reached: set[str] = set()
        """The IDs of the invariants that were put to the test."""

        self._window = cluster.timing.window
        self._quorums = cluster.real_quorums
        self._tell = tell
        self._nodes = {node_id: _Watched() for node_id in cluster.node_ids}
        self._ticked: tuple[str, float] | None = None
        self._votes: dict[str, Proposal[str]] = {}
        """The first vote that each node has heard of."""

        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            TimePassed: self._time_passed,
            Ticked: self._tick,
            Arrived: self._arrived,
            PersistBegan: self._persist_began,
            PersistEnded: self._persist_ended,
            PersistFailed: self._persist_failed,
            Told: self._told,
            Crashed: self._crashed,
            Damaged: self._damaged,
            Restarted: self._restarted,
            StayedDown: self._stayed_down,
        }

    def __call__(self, happening: Happening) -> None:
        """Take notice of what has happened."""
        handler = self._handlers.get(type(happening))
        if handler is not None:
            handler(happening)

    def judge_time(self, node_id: str) -> None:
        """Judge a node once a command for it has been performed."""
        ticked, self._ticked = self._ticked, None
        machine = self.servers[node_id].machine
        if machine is None:
            return
        if self._nodes[node_id].ballot != NO_PROPOSAL:
            self._judge_leader(node_id, machine.deadline, was_ticked=ticked is not None)
        if ticked is not None:
            deadline, (_, reading) = machine.deadline, ticked
            if deadline is not None and deadline <= reading:
                self._report(
                    TICK_MOVES_ON.id,
                    f"at {reading} {node_id} is ticked, and still waits for {deadline}",
                )

    def _judge_leader(self, node_id: str, deadline: float | None, *, was_ticked: bool) -> None:
        """A leader that should have stopped by now, and was ticked or does not ask to be."""
        watched, reading = self._nodes[node_id], self._reading(node_id)
        if not was_ticked and deadline is not None and deadline <= reading:
            return  # it will stop as soon as somebody ticks it
        began, limit = watched.persist_began, reading - self._window
        if began is not None and began + self._window <= reading:
            self._report(
                LEADER_CAN_COMMIT.id,
                f"{node_id} leads with {watched.ballot}, and its persist began "
                f"{reading - began:.3f} s ago",
            )
        if watched.led_since > limit:
            return
        followers = [m for m, at in watched.answered.items() if at + self._window > reading]
        if not self._quorums.has_phase2(followers):
            self._report(
                LEADER_CAN_COMMIT.id,
                f"{node_id} leads with {watched.ballot}, and within {self._window} s "
                f"only {', '.join(followers) or 'nobody'} answered that it follows",
            )

    def _report(self, invariant: str, sentence: str) -> None:
        self._tell(Broke(invariant, sentence))

    def _reading(self, node_id: str) -> float:
        return self.servers[node_id].clock.reading(self.now)

    def _time_passed(self, happening: TimePassed) -> None:
        self.now = happening.now

    def _tick(self, happening: Ticked) -> None:
        self._ticked = (happening.node_id, happening.now)
        machine = self.servers[happening.node_id].machine
        if machine and machine.deadline is not None and machine.deadline <= happening.now:
            self.reached.add(TICK_MOVES_ON.id)

    def _arrived(self, happening: Arrived) -> None:
        envelope = happening.envelope
        message = envelope.message
        if isinstance(message, HeartbeatAnswer):
            watched = self._nodes[envelope.recipient]
            if watched.ballot == message.follows != NO_PROPOSAL:
                watched.answered[envelope.sender.node_id] = self._reading(envelope.recipient)
        elif isinstance(message, Accepted):
            voted = self._votes.setdefault(envelope.recipient, message.proposal)
            if voted.id != message.proposal.id and voted.value == message.proposal.value:
                self.reached.add(NO_CONFLICT.id)

    def _told(self, happening: Told) -> None:
        watched, event = self._nodes[happening.node_id], happening.event
        match event:
            case LeadershipAcquired(ballot):
                watched.ballot, watched.led_since = ballot, self._reading(happening.node_id)
                watched.answered.clear()
            case LeadershipLost():
                watched.ballot = NO_PROPOSAL
                self.reached.add(LEADER_CAN_COMMIT.id)
            case ValueChosen():
                # Leadership ends with the decision, and of that there is no event.
                watched.ballot = NO_PROPOSAL
            case Stopped(error) if isinstance(error, ConflictError):
                self._report(NO_CONFLICT.id, f"{happening.node_id} stops: {error}")
            case _:
                pass

    def _persist_began(self, happening: PersistBegan) -> None:
        watched = self._nodes[happening.node_id]
        watched.under_way = happening.state
        watched.rotten = None if watched.rotten else watched.rotten
        watched.persist_began = self._reading(happening.node_id)

    def _persist_ended(self, happening: PersistEnded) -> None:
        watched = self._nodes[happening.node_id]
        watched.acknowledged, watched.under_way = happening.state, None
        watched.persist_began = None

    def _persist_failed(self, happening: PersistFailed) -> None:
        self._nodes[happening.node_id].persist_began = None
        self.reached.add(NO_SURPRISE.id)

    def _crashed(self, happening: Crashed) -> None:
        watched = self._nodes[happening.node_id]
        watched.ballot, watched.persist_began = NO_PROPOSAL, None
        if happening.was_opening and watched.under_way is None:
            watched.under_way = watched.acknowledged  # opening writes what it has read

    def _damaged(self, happening: Damaged) -> None:
        watched = self._nodes[happening.node_id]
        if happening.how == "rot":
            watched.rotten = True if watched.under_way is None else None
        else:
            watched.acknowledged, watched.under_way, watched.rotten = DurableState(), None, False

    def _restarted(self, happening: Restarted) -> None:
        node_id, found = happening.node_id, happening.state
        watched = self._nodes[node_id]
        if watched.rotten:
            self._report(DECAY_IS_FOUND.id, f"{node_id} starts from a disk that decayed")
        if watched.under_way is not None:
            self.reached.add(NOTHING_LOST.id)
        if found not in (watched.acknowledged, watched.under_way):
            self._report(
                NOTHING_LOST.id,
                f"{node_id} acknowledged {text_of_durable(watched.acknowledged)}, "
                f"and its disk gives back {text_of_durable(found)}",
            )
        watched.acknowledged, watched.under_way = found, None

    def _stayed_down(self, happening: StayedDown) -> None:
        node_id, error = happening.node_id, happening.error
        is_damage = isinstance(error, CorruptError)
        if is_damage and self._nodes[node_id].rotten is False:
            self._report(DECAY_IS_FOUND.id, f"the disk of {node_id} did not decay: {error}")
        self.reached.add(DECAY_IS_FOUND.id if is_damage else NO_SURPRISE.id)
