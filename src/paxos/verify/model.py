"""What can happen to one node and its disk, by the library's own machines.

A node is here a value: its machine's snapshot, and what leaves once its persist is done. An action
makes another such value of it, by one call of the real machine, and some messages leave. The rest
of `verify` only counts and combines.

Three steps are taken together, since to take them apart adds nothing but states:

- An input is handled, what may leave at once leaves, and a persist begins. A crash between the
  first two is a run in which the messages leave and nobody ever gets them. A persist that begins
  later covers more, and leaves disk and messages as two persists would.
- A persist is done, and what waited for it leaves: the same.
- A restart reads, writes and syncs (contract 6): nothing leaves before that is done.

A *kill* reads back what was written; a *power cut* keeps what was synced, and any part of the rest,
which a store turns into old or new. So a crash while a persist is under way leaves the old state or
the new one. That it leaves the new one is a run in which the persist is done, its messages leave,
nobody ever gets them, and then comes the crash. So one kind of crash is left to try: a power cut
that takes with it whatever was not synced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from paxos.errors import MisuseError
from paxos.events import BallotLost, Event, LeadershipLost, Stopped, ValueChosen
from paxos.heartbeat import HeartbeatNode
from paxos.machine import Propose as Asked
from paxos.machine import Snapshot, Tick
from paxos.messages import (
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Chosen,
    Envelope,
    Message,
    Nack,
    NothingChosen,
    Proposal,
)
from paxos.node import DurableState, Node
from paxos.scenario import abstract_time
from paxos.scenario.abstract_time import NOW
from paxos.scenario.breakage import AnyMachine, AnyNode
from paxos.scenario.cluster import FIRST_INCARNATION, Cluster, Kind
from paxos.scenario.commands import Crash, Deliver, Ending, Persist, Propose, Restart, Timer
from paxos.scenario.invariants import Fact, Learned, Proposed
from paxos.verify.forgetting import decided
from paxos.verify.verdicts import Judge

AnyEnvelope: TypeAlias = Envelope[Any]

MAX_COUNT = 63
"""How many ballots, crashes or timeouts a table can count: so many as six bits hold."""


@dataclass(frozen=True)
class Bounds:
    """Which cluster, and how much may happen to it. Whatever is not bounded here is not bounded.

    Raises `MisuseError` for a bound that cannot be counted, and for a proposal at a node that is
    not there.
    """

    cluster: Cluster

    proposals: tuple[tuple[str, str], ...]
    """Which node may be asked for which value, each again and again."""

    ballots: int
    """How many may begin, all nodes together."""

    number: int | None = None
    """The highest number that a node may prepare; 1 gives each proposer one ballot."""

    crashes: int = 0
    """How many there may be, of either kind. Restarts need no bound."""

    restarts: bool = True
    """Whether who has crashed comes back. If not, the others have to get on without it."""

    timeouts: int = 0
    """How many timers may fire. A node without heartbeats has none."""

    slow_disks: bool = False
    """Whether a persist may become overdue, which takes a timer: with heartbeats only."""

    hints: bool = True
    """Whether refusals and decisions are ever delivered. A proposer that is refused, or a node that
    is told, only does less from then on, as if it heard nothing more: so what can be seen of the
    others can be seen without hints, and there are far fewer states. But see `left_out`."""

    every_step: bool = False
    """Whether to see also the states between steps that nobody notices. Only the count differs."""

    def __post_init__(self) -> None:
        limits = (self.ballots, self.crashes, self.timeouts, self.number or 0)
        if min(limits) < 0 or max(limits) > MAX_COUNT:
            raise MisuseError(f"a bound is 0 to {MAX_COUNT}: nobody can explore more")
        for node_id, _ in self.proposals:
            if node_id not in self.cluster.node_ids:
                raise MisuseError(f"{node_id} is none of {self.cluster.node_ids}")

    @property
    def left_out(self) -> str | None:
        """What an exploration never sees, though it comes to its end; None if it is nothing.

        Who is refused may begin its next ballot. So without hints all is seen only where there is
        no next one: with `number` 1, or with two ballots in all, for a refusal that ends one of
        them needs the other. Heartbeats react to hints in more ways than that.
        """
        may_begin_again = self.number != 1 and self.ballots > 2
        if not self.hints and (may_begin_again or self.cluster.kind is Kind.HEARTBEAT):
            return "without hints, nobody who is refused begins again"
        return None

    @property
    def node_ids(self) -> tuple[str, ...]:
        """All nodes, in the order in which they are explored."""
        return self.cluster.node_ids


class Running(NamedTuple):
    """A node whose process runs."""

    snapshot: Snapshot[AnyNode, DurableState[str]]
    disk: DurableState[str]
    """What is on stable storage, whatever the machine believes."""

    writing: DurableState[str] | None = None
    """What is on its way there."""

    leaving: tuple[AnyEnvelope, ...] = ()
    """What leaves once it is there."""


class Down(NamedTuple):
    """A node that crashed."""

    durable: DurableState[str]
    """What its next start finds."""


Local: TypeAlias = Running | Down


Action: TypeAlias = Propose | Deliver | Timer | Persist | Crash | Restart
"""The commands of a scenario file that an explorer tries: each way that it finds is a scenario."""


class Sending(NamedTuple):
    """A message that leaves, and what is then on its sender's stable storage."""

    envelope: AnyEnvelope
    disk: DurableState[str]


class Effect(NamedTuple):
    """What one action does."""

    local: Local
    sent: tuple[Sending, ...] = ()
    facts: tuple[Fact, ...] = ()
    """What the application was told."""

    ballots: int = 0
    reached: tuple[str, ...] = ()
    """What a good exploration has seen at least once."""

    alarm: str | None = None
    """Why the node has stopped, if it has."""

    false_claim: str | None = None
    """What it says to be chosen, and does not believe itself; if it does so."""


SOMETIMES = {
    "ballot-lost": "A quorum refuses a ballot.",
    "persist-lost": "A crash loses what was on its way to the disk.",
    "group-commit": "An input is handled while a persist is under way.",
    "adopted": "A proposer proposes another value than its own.",
    "leadership-lost": "A leader stops leading.",
    "vote-kept": "A node starts again with a vote on its disk.",
}
"""Beside those of the invariants."""


def sometimes(bounds: Bounds) -> dict[str, str]:
    """Those that can come true within these bounds: one that does not was not tested."""
    impossible = {
        "ballot-lost": not bounds.hints or bounds.ballots < 2,
        "persist-lost": not bounds.crashes,
        "group-commit": not (bounds.crashes or bounds.slow_disks),
        "adopted": bounds.ballots < 2,
        "leadership-lost": bounds.cluster.kind is not Kind.HEARTBEAT,
        "vote-kept": not (bounds.crashes and bounds.restarts),
    }
    return {id: sentence for id, sentence in SOMETIMES.items() if not impossible[id]}


class Model:
    """The nodes of one exploration, and what each action does to one of them. Pure."""

    def __init__(self, bounds: Bounds, *, forgets: bool = True) -> None:
        """`forgets`: whether a node with heartbeats may forget what makes no difference."""
        self.bounds = bounds
        self._cluster = bounds.cluster
        self.forgets = forgets and self._cluster.breaks is None
        known = sorted((member, FIRST_INCARNATION) for member in self._cluster.members)
        self._incarnations = tuple(known)
        machine = self._cluster.start(self._cluster.identity(bounds.node_ids[0]))
        self._machine = type(machine)

    def start(self, node_id: str) -> Local:
        """The node before anything has happened."""
        return self._started(node_id, None).local

    def choices(self, node_id: str, local: Local) -> list[Action]:
        """What a world may let happen to the node, besides messages and crashes."""
        if isinstance(local, Down):
            return []
        actions: list[Action] = [
            Propose(node_id, value) for asked, value in self.bounds.proposals if asked == node_id
        ]
        node = local.snapshot.node
        if isinstance(node, HeartbeatNode) and self.bounds.timeouts:
            names = abstract_time.timers(node)
            actions += [
                Timer(node_id, name)
                for name in names
                if self.bounds.slow_disks or name != abstract_time.PERSIST
            ]
        return actions

    def duties(self, node_id: str, local: Local) -> list[Action]:
        """What a world owes the node: a persist gets done, a process starts again."""
        if isinstance(local, Down):
            return [Restart(node_id)] if self.bounds.restarts else []
        return [] if local.writing is None else [Persist(node_id)]

    def crashes(self, node_id: str, local: Local) -> list[Action]:
        """How the node can crash: there is one way, see above."""
        if isinstance(local, Down):
            return []
        if local.writing is None:
            return [Crash(node_id)]
        return [Crash(node_id, Ending.POWER_OLD)]

    @staticmethod
    def is_crash(action: Action) -> bool:
        """Whether the action counts as a crash."""
        return isinstance(action, Crash)

    @staticmethod
    def is_choice(action: Action) -> bool:
        """Whether a fair world need not do it: messages, persists and restarts it owes."""
        return isinstance(action, Propose | Timer | Crash)

    @property
    def may_reply(self) -> bool:
        """Whether a node may say something that changes nothing in itself.

        Without hints, a node without heartbeats does not.
        """
        return self.bounds.hints or self._cluster.kind is Kind.HEARTBEAT

    def judge(self, only: str | None) -> Judge:
        """Who looks at each step; perhaps at one invariant (by its ID) alone."""
        # The applications may as well have asked before anything else happened.
        given = [Proposed(*proposal) for proposal in self.bounds.proposals]
        return Judge(only, self._cluster.real_quorums, given)

    @staticmethod
    def node_of(action: Action) -> str:
        """To whom the action happens."""
        return action.envelope.recipient if isinstance(action, Deliver) else action.node_id

    def effect(self, local: Local, action: Action, *, at_once: bool) -> Effect | None:
        """What the action does to the node, or None if a bound forbids it.

        `at_once`: a persist is done as soon as it begins. Where nothing can crash any more, that
        reaches all that a later end would, for the node does not ask how far its disk is.
        """
        match local, action:
            case Down(durable), Restart(node_id):
                kept = durable.accepted is not NOTHING_ACCEPTED
                started = self._started(node_id, durable)
                started = started._replace(reached=("vote-kept",) if kept else ())
                return _with_claims(local, action, started)
            case Down(), _:
                return Effect(local)
            case Running(snapshot), _ if snapshot.stopped is not None:
                return Effect(local)  # for good: not even a restart would make it sound
            case Running(_, disk, writing), Crash():
                return Effect(Down(disk), reached=() if writing is None else ("persist-lost",))
            case _:
                effect = self._run(local, action, at_once=at_once)
        effect = _with_claims(local, action, effect)
        if effect.sent and not self.bounds.hints:
            sent = tuple(each for each in effect.sent if not _is_hint(each.envelope.message))
            effect = effect._replace(sent=sent)
        number = self.bounds.number
        if number is not None and _ballot(effect.local).number > number:
            return None
        begun = effect.local is not local and _ballot(effect.local) != _ballot(local)
        return effect._replace(ballots=1) if begun else effect

    def _run(self, local: Running, action: Action, *, at_once: bool) -> Effect:
        machine: AnyMachine = self._machine.restore(local.snapshot)
        match action:
            case Persist():
                machine.persisted()
                done = _saved(local)
                sent = [Sending(envelope, done.disk) for envelope in local.leaving]
                return self._settled(machine, done, sent, at_once=at_once)
            case Deliver(envelope):
                machine.receive(envelope, NOW)
            case Propose(_, value):
                machine.receive(Asked(value), NOW)
            case Timer(_, timer):
                machine = self._due(local.snapshot, timer)
                machine.receive(Tick(), NOW)
            case _:
                raise AssertionError(f"{action} is no input")
        effect = self._settled(machine, local, [], at_once=at_once)
        if local.writing is not None:
            effect = effect._replace(reached=(*effect.reached, "group-commit"))
        return effect

    def _due(self, snapshot: Snapshot[AnyNode, DurableState[str]], timer: str) -> AnyMachine:
        node = snapshot.node
        if isinstance(node, HeartbeatNode):
            snapshot = snapshot._replace(node=abstract_time.fired(node, timer))
        return self._machine.restore(snapshot)

    def _started(self, node_id: str, durable: DurableState[str] | None) -> Effect:
        machine = self._cluster.start(self._cluster.identity(node_id), durable, NOW)
        snapshot = machine.snapshot()
        before = Running(self._normalised(snapshot), snapshot.saved)
        return self._settled(machine, before, [], at_once=False)

    def _settled(
        self, machine: AnyMachine, before: Running, sent: list[Sending], *, at_once: bool
    ) -> Effect:
        """Perform what the machine got ready."""
        local, events = before, list[Event[str]]()
        while True:
            ready = machine.ready()
            events += ready.events
            sent += [Sending(envelope, local.disk) for envelope in ready.send]
            if ready.persist is None:
                sent += [Sending(envelope, local.disk) for envelope in ready.send_after_persist]
                break
            local = local._replace(writing=ready.persist, leaving=ready.send_after_persist)
            if not at_once:
                break
            machine.persisted()
            leaving, local = local.leaving, _saved(local)
            sent += [Sending(envelope, local.disk) for envelope in leaving]
        snapshot = machine.snapshot()
        facts, reached, alarm = _told(snapshot.node, events, sent)
        if local is not before or snapshot != before.snapshot:
            local = local._replace(
                snapshot=self._normalised(snapshot), leaving=in_order(local.leaving)
            )
        return Effect(local, tuple(sent), facts, reached=reached, alarm=alarm)

    def _normalised(
        self, snapshot: Snapshot[AnyNode, DurableState[str]]
    ) -> Snapshot[AnyNode, DurableState[str]]:
        """The same state, without what makes no difference here.

        Everybody has heard everybody: no disk is lost, so incarnations never change. Messages that
        wait for one persist leave together, so their order is nothing.
        """
        node = snapshot.node
        if isinstance(node, HeartbeatNode):
            # What it wanted does matter after its last ballot: it may hand it on.
            inner = self._acquainted(node.node)
            node = abstract_time.normalised(replace(node, node=inner))
            if self.forgets and node.chosen is not NOTHING_CHOSEN:
                node = decided(node)
        else:
            node = self._ended(self._acquainted(node))
        return snapshot._replace(node=node, now=NOW, waiting=in_order(snapshot.waiting))

    def _acquainted(self, node: Node[str]) -> Node[str]:
        if node.incarnations == self._incarnations:
            return node
        return replace(node, incarnations=self._incarnations)

    def _ended(self, node: Node[str]) -> Node[str]:
        """After a node's last ballot has proposed, what it wanted and heard of is nothing."""
        proposer = node.proposer
        if proposer.ballot.number != self.bounds.number or proposer.proposal is NO_VALUE:
            return node
        value, seen = proposer.proposal.value, proposer.ballot
        return replace(node, proposer=replace(proposer, value=value, highest_seen=seen))


def plain_node(node: AnyNode) -> Node[str]:
    """The node without its heartbeats."""
    return node.node if isinstance(node, HeartbeatNode) else node


def _is_hint(message: Message[str]) -> bool:
    return isinstance(message, Nack | Chosen)


def _with_claims(before: Local, action: Action, effect: Effect) -> Effect:
    """The effect, with what the node believes and says of decisions: that is what is judged.

    Invariants look at each new belief, whether or not the node tells of it, but for the one that
    it was just told. So nobody may say, to a node or an application, what it does not believe:
    then whatever is told was judged when its sender came to believe it, and stays true, for votes
    only become more. This takes no look at votes, so a `Chosen` is judged also if it leaves as a
    mere reply, or is never delivered.
    """
    node_id, believed = Model.node_of(action), _believed(effect.local)
    facts = effect.facts
    if believed is not NOTHING_CHOSEN and believed != _believed(before):
        facts = tuple(dict.fromkeys((*facts, Learned(node_id, believed))))
    if isinstance(action, Deliver) and isinstance(action.envelope.message, Chosen):
        told = Learned(node_id, action.envelope.message.proposal)
        facts = tuple(fact for fact in facts if fact != told)
    said = [fact.proposal for fact in effect.facts if isinstance(fact, Learned)]
    messages: list[Message[str]] = [sending.envelope.message for sending in effect.sent]
    said += [message.proposal for message in messages if isinstance(message, Chosen)]
    false = next((proposal for proposal in said if proposal != believed), None)
    if false is not None:
        claim = f"{node_id} says that {false.value!r} is chosen under {false.id}"
        effect = effect._replace(false_claim=f"{claim}, and has not learned that itself")
    return effect._replace(facts=facts)


def _believed(local: Local) -> Proposal[str] | NothingChosen:
    return NOTHING_CHOSEN if isinstance(local, Down) else plain_node(local.snapshot.node).chosen


def _ballot(local: Local) -> Any:
    if isinstance(local, Down):
        return None
    return plain_node(local.snapshot.node).proposer.ballot


def _saved(local: Running) -> Running:
    """The node once what was on its way to the disk is there."""
    disk = local.disk if local.writing is None else local.writing
    return local._replace(disk=disk, writing=None, leaving=())


def in_order(envelopes: tuple[AnyEnvelope, ...]) -> tuple[AnyEnvelope, ...]:
    """Messages that leave together, in the order in which a local state holds them."""
    return envelopes if len(envelopes) < 2 else tuple(sorted(envelopes, key=_kind_first))


def _kind_first(envelope: AnyEnvelope) -> str:
    # Votes come before promises, as in every run where both leave together.
    return repr((envelope.message, envelope.recipient))


def _told(
    node: AnyNode, events: list[Event[str]], sent: list[Sending]
) -> tuple[tuple[Fact, ...], tuple[str, ...], str | None]:
    """What the application learns from events, what they show, and whether the node stopped."""
    facts: list[Fact] = []
    reached: list[str] = []
    alarm: str | None = None
    proposer = plain_node(node).proposer
    for event in events:
        match event:
            case ValueChosen(proposal):
                facts.append(Learned(node.node_id, proposal))
            case BallotLost():
                reached.append("ballot-lost")
            case LeadershipLost():
                reached.append("leadership-lost")
            case Stopped(error):
                alarm = f"{node.node_id} has stopped: {error}"
            case _:
                pass
    for envelope, _ in sent:
        message: Message[str] = envelope.message
        if isinstance(message, Accept) and message.proposal.value != proposer.value:
            reached.append("adopted")
    return tuple(facts), tuple(reached), alarm
