"""What can happen to one node of a log and its disk, by the library's own log and machine.

It is `model` with another disk: one that takes records, so a crash leaves any prefix of them. What
a step is, and what is taken together, is said there.

A persist that is done whole before a crash is a run in which its messages leave and nobody ever
gets them. So crashes are left that keep some records and lose the last one at least.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from paxos.errors import MisuseError
from paxos.events import EnvelopeRefused, Stopped
from paxos.log.entries import NO_OP, Entry
from paxos.log.events import EntriesWanted, EntryChosen, MembersChanged
from paxos.log.inputs import Append, ChangeMembers
from paxos.log.log import Log
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    ChosenBelow,
    Decisions,
    Learn,
    PromiseFrom,
)
from paxos.log.promises import Promises
from paxos.machine import Machine, Tick
from paxos.messages import NOTHING_ACCEPTED, NOTHING_CHOSEN, Envelope, Nack, Proposal
from paxos.node import Phase
from paxos.scenario.abstract_time import NOW
from paxos.scenario.commands import Deliver, Persist, Restart
from paxos.verify.log_bare import BareLog, BareMachine, BeginBallot
from paxos.verify.log_bounds import LogBounds, configuration, identity_of
from paxos.verify.log_disk import LogDisk
from paxos.verify.log_invariants import BELIEVED, IN_ORDER, LearnedIn, Wrong
from paxos.verify.log_judge import LogJudge
from paxos.verify.model import Down, Effect, Running, Sending, in_order


@dataclass(frozen=True, slots=True)
class Ask:
    """The world asks something of a node."""

    node_id: str
    input: Append[str] | ChangeMembers | BeginBallot | Tick


@dataclass(frozen=True, slots=True)
class Lose:
    """A node crashes; of what was on its way to its disk, so many records are kept."""

    node_id: str
    records: int


Local: TypeAlias = Running | Down
AnyMachine: TypeAlias = Machine[Any, Any, Any]
LogAction: TypeAlias = Ask | Deliver | Persist | Lose | Restart

SOMETIMES = {
    "hole": "A new leader fills a hole with a no-op.",
    "two-in-flight": "A leader proposes in a slot while the one before it is open.",
    "page-split": "A promise takes more than one page.",
    "taught": "A node learns from another one's log what is chosen.",
    "from-disk": "A node is told of slots that its teacher has on its disk alone.",
    "persist-lost": "A crash loses what was on its way to the disk.",
    "persist-torn": "A crash keeps a part of what was on its way to the disk.",
    "group-commit": "An input is handled while a persist is under way.",
    "vote-kept": "A node starts again with a vote on its disk.",
    "changed": "A change of the members is chosen.",
    "newcomer": "A node that was no member at first votes.",
}
"""Beside those of the invariants."""


def sometimes(bounds: LogBounds) -> dict[str, str]:
    """Those that can come true within these bounds: one that does not was not tested."""
    impossible = {
        "hole": bounds.ballots < 2 or min(bounds.slots, bounds.window) < 2,
        "two-in-flight": min(bounds.slots, bounds.window) < 2,
        "page-split": bounds.page >= bounds.slots or bounds.ballots < 2,
        "taught": not bounds.who_is_taught,
        "from-disk": not bounds.who_is_taught,
        "persist-lost": not bounds.crashes,
        "persist-torn": not bounds.crashes,
        "group-commit": not bounds.crashes,
        "vote-kept": not (bounds.crashes and bounds.restarts),
        "changed": not bounds.changes,
        "newcomer": all(set(members) <= set(bounds.members) for members in bounds.changes),
    }
    return {id: sentence for id, sentence in SOMETIMES.items() if not impossible[id]}


class LogModel:
    """The nodes of one exploration, and what each action does to one of them. Pure."""

    forgets = False

    def __init__(self, bounds: LogBounds) -> None:
        self.bounds = bounds
        self._is_last_number_known = bounds.number == 1 or bounds.ballots <= 2

    @property
    def may_reply(self) -> bool:
        """Whether a node may say something that changes nothing in itself."""
        return True

    def judge(self, only: str | None) -> LogJudge:
        """Who looks at each step."""
        return LogJudge(only, self.bounds)

    def start(self, node_id: str) -> Local:
        """The node before anything has happened."""
        return self._started(node_id, LogDisk()).local

    def choices(self, node_id: str, local: Local) -> list[LogAction]:
        """What a world may let happen to the node, besides messages and crashes."""
        bounds = self.bounds
        if isinstance(local, Down):
            return []
        log = log_of(local)
        is_outside = node_id in bounds.newcomers and not log.is_member
        under_way = bounds.again and log.phase is not Phase.IDLE
        actions: list[LogAction] = [Ask(node_id, Tick())] if is_outside or under_way else []
        if node_id in bounds.proposers:
            actions.append(Ask(node_id, BeginBallot()))
        if not log.leads:
            return actions
        next_free = max(log.next_slot, log.window.end) + len(log.queue) + len(log.changes)
        commands = bounds.commands(node_id)
        if next_free < bounds.slots and commands:
            actions.append(Ask(node_id, Append((commands[next_free],))))
        if next_free + bounds.window <= bounds.slots:
            present = log.configurations.newest
            wanted = [configuration(members) for members in bounds.changes]
            new = [each for each in wanted if each != present and each not in log.changes]
            actions += [Ask(node_id, ChangeMembers(each)) for each in new]
        return actions

    def duties(self, node_id: str, local: Local) -> list[LogAction]:
        """What a world owes the node: a process starts again.

        And a persist gets done, but that may be taken as done when it begins: what leaves then may
        arrive as late as one likes, and with batches of one command a log does not ask how far its
        disk is. So a persist that is not done at once is one that a crash ends.
        """
        if isinstance(local, Down):
            return [Restart(node_id)] if self.bounds.restarts else []
        is_done = local.writing is not None and self.bounds.every_step
        return [Persist(node_id)] if is_done else []

    def crashes(self, node_id: str, local: Local) -> list[LogAction]:
        """How the node can crash: with any part of its records, but not with all, see above."""
        if isinstance(local, Down) or node_id not in self.bounds.who_may_crash:
            return []
        records: Any = local.writing or (None,)
        return [Lose(node_id, kept) for kept in range(len(records))]

    @staticmethod
    def is_crash(action: LogAction) -> bool:
        """Whether the action counts as a crash."""
        return isinstance(action, Lose)

    @staticmethod
    def is_choice(action: LogAction) -> bool:
        """Whether a fair world need not do it."""
        return isinstance(action, Ask | Lose)

    @staticmethod
    def node_of(action: LogAction) -> str:
        """To whom the action happens."""
        return action.envelope.recipient if isinstance(action, Deliver) else action.node_id

    def effect(self, local: Local, action: LogAction, *, at_once: bool) -> Effect | None:
        """What the action does to the node, or None if a bound forbids it. See `Model.effect`."""
        match local, action:
            case Down(durable), Restart(node_id):
                return self._restarted(node_id, durable)
            case Down(), _:
                return Effect(local)
            case Running(snapshot), _ if snapshot.stopped is not None:
                return Effect(local)  # for good: not even a restart would make it sound
            case Running(_, disk, writing), Lose(_, kept):
                return _lost(disk, writing, kept)
            case _:
                effect = self._run(local, action, at_once=at_once)
        bounds = self.bounds
        if any(isinstance(each.envelope.message, Nack) for each in effect.sent):
            effect = effect._replace(reached=(*effect.reached, "promise-kept"))
        sent = tuple(each for each in effect.sent if self._is_delivered(each.envelope))
        if sent != effect.sent:
            effect = effect._replace(sent=sent)
        if effect.local is local:
            return effect
        before, after = log_of(local).ballot, log_of(effect.local).ballot
        if bounds.number is not None and after.number > bounds.number:
            return None
        return effect if after == before else effect._replace(ballots=1)

    def _is_delivered(self, envelope: Envelope[Any]) -> bool:
        """Whether a message is ever delivered. Of a newcomer it must be known how far it is."""
        bounds, sender = self.bounds, envelope.sender.node_id
        match envelope.message:
            case Nack():
                return bounds.refusals
            case Learn():
                return sender in bounds.who_is_taught or sender in bounds.newcomers
            case ChosenBelow() | Decisions():
                return envelope.recipient in bounds.who_is_taught
            case _:
                return True

    def _run(self, local: Any, action: LogAction, *, at_once: bool) -> Effect:
        machine: Any = BareMachine.restore(local.snapshot)
        match action:
            case Persist():
                machine.persisted()
                done = _saved(local)
                sent = [Sending(envelope, done.disk) for envelope in local.leaving]
                return self._settled(machine, local, done, sent, at_once=at_once)
            case Deliver(envelope):
                if self._is_promised_enough(log_of(local), envelope.message):
                    return Effect(local)
                machine.receive(envelope, NOW)
            case Ask(_, input):
                machine.receive(input, NOW)
            case _:
                raise AssertionError(f"{action} is no input")
        effect = self._settled(machine, local, local, [], at_once=at_once)
        if local.writing is not None:
            effect = effect._replace(reached=(*effect.reached, "group-commit"))
        return effect

    def _is_promised_enough(self, log: Log[str], message: Any) -> bool:
        """Whether one promise more tells a leader nothing: it only asks its sender no more.

        Not so if its sender knows more decisions than the leader, which then asks for them.
        """
        bounds = self.bounds
        return (
            isinstance(message, PromiseFrom)
            and not (bounds.every_step or bounds.changes)
            and message.chosen_below <= log.chosen_below
            and log.leads
            and log.unused.phase is Phase.LEADING
            and log.promises.holds_for_all_from(log.chosen_below)
        )

    def _restarted(self, node_id: str, disk: Any) -> Effect:
        """What it finds on its disk it believes, and may tell."""
        facts: list[Any] = []
        for slot, held in enumerate(disk.chosen):
            if held is NOTHING_ACCEPTED:
                sentence = f"{node_id} starts, and its disk calls slot {slot} chosen: it is empty"
                facts.append(Wrong(IN_ORDER, sentence))
            else:
                facts.append(LearnedIn(node_id, slot, held))
        if any(isinstance(fact, Wrong) for fact in facts):
            return Effect(Down(disk), facts=tuple(facts))
        started = self._started(node_id, disk)
        reached = ("vote-kept",) if disk.entries else ()
        return started._replace(reached=reached, facts=(*facts, *started.facts))

    def _started(self, node_id: str, disk: LogDisk) -> Effect:
        bounds = self.bounds
        identity = identity_of(node_id)
        state = disk.state(bounds.initial, bounds.window)
        log = bounds.rules.log.recover(identity, state, bounds.limits)
        machine: Any = BareMachine(BareLog(log), NOW)
        snapshot: Any = machine.snapshot()
        before: Any = Running(self._normalised(snapshot), disk)  # type: ignore[arg-type] # another disk
        return self._settled(machine, before, before, [], at_once=False)

    def _settled(
        self, machine: AnyMachine, was: Any, before: Any, sent: list[Any], *, at_once: bool
    ) -> Effect:
        """Perform what the machine got ready. `was` is the node before this step."""
        local, events, saved = before, list[Any](), before.snapshot.saved
        if was is not before:
            saved = was.snapshot.saving
        while True:
            ready: Any = machine.ready()
            events += ready.events
            sent += [Sending(envelope, local.disk) for envelope in ready.send]
            if ready.persist is None:
                sent += [Sending(envelope, local.disk) for envelope in ready.send_after_persist]
                break
            records = self.bounds.rules.records(saved, ready.persist)
            local = local._replace(writing=records, leaving=ready.send_after_persist)
            if not at_once:
                break
            machine.persisted()
            saved = ready.persist
            leaving, local = local.leaving, _saved(local)
            sent += [Sending(envelope, local.disk) for envelope in leaving]
        snapshot: Any = machine.snapshot()
        taught = [self._taught(each, snapshot, local.disk) for each in events]
        sent += [each for each in taught if each is not None]
        if local is not before or snapshot != before.snapshot:
            local = local._replace(
                snapshot=self._normalised(snapshot), leaving=in_order(local.leaving)
            )
        facts, reached, alarm = self._told(was, local, events, sent)
        return Effect(local, tuple(sent), tuple(facts), reached=tuple(reached), alarm=alarm)

    def _taught(self, event: Any, snapshot: Any, disk: LogDisk) -> Any:
        """What the world answers from the disk, where the machine has forgotten."""
        if not isinstance(event, EntriesWanted):
            return None
        decisions = disk.decisions(event.slot, self.bounds.page)
        if decisions is None:
            return None
        identity = snapshot.node.log.unused.identity
        return Sending(Envelope(identity, event.recipient, decisions), disk)  # type: ignore[arg-type] # another disk

    def _normalised(self, snapshot: Any) -> Any:
        """The same state, without what makes no difference here.

        What was sent once may arrive any number of times, and a heartbeat lets a node ask again at
        any time: so that it remembers to have asked makes no difference. Nor do the IDs that it
        has heard of, where its next ballot is above them anyhow, or there is none.
        """
        log: Any = snapshot.node.log
        changed: dict[str, Any] = {}
        if log.learning is not None or log.resent_below:
            changed = {"learning": None, "resent_below": 0}
        seen = max(log.ballot, log.promised)
        if self._is_last_number_known and log.unused.proposer.highest_seen != seen:
            changed["unused"] = _having_seen(log.unused, seen)
        if self._is_last_number_known:
            nodes = tuple(_having_seen(node, seen) for node in log.window.nodes)
            if nodes != log.window.nodes:
                changed["window"] = replace(log.window, nodes=nodes)
        node = BareLog(replace(log, **changed)) if changed else snapshot.node
        return snapshot._replace(node=node, waiting=in_order(snapshot.waiting))

    def _told(
        self, was: Any, local: Any, events: Iterable[Any], sent: Iterable[Any]
    ) -> tuple[list[Any], list[str], str | None]:
        """What the node believes from now on, what that shows, and whether it has stopped."""
        before, log = log_of(was), log_of(local)
        new = {slot: p for slot, p in _known(log).items() if _known(before).get(slot) != p}
        chosen: list[Any] = [each for each in events if isinstance(each, EntryChosen)]
        new |= {each.slot: each.proposal for each in chosen}
        facts: list[Any] = [LearnedIn(log.node_id, slot, new[slot]) for slot in sorted(new)]
        reached: list[str] = []
        if any(fact.proposal.id.node_id != log.node_id for fact in facts):
            reached.append("taught")
        alarm, told = None, before.chosen_below
        for event in events:
            match event:
                case EntryChosen():
                    facts += _out_of_order(log, told, event)
                    told = event.slot + 1
                case MembersChanged():
                    reached.append("changed")
                case EntriesWanted():
                    reached.append("from-disk")
                case Stopped(error):
                    alarm = f"{log.node_id} has stopped: {error}"
                case EnvelopeRefused(sender, reason):
                    raise MisuseError(f"{log.node_id} refuses {sender}: {reason}")
                case _:
                    pass
        if told < log.chosen_below and alarm is None:
            sentence = f"{log.node_id} goes on to slot {log.chosen_below}, and told of {told}"
            facts.append(Wrong(IN_ORDER, sentence))
        for envelope, disk in sent:
            facts += _unbelieved(log, disk, envelope)
            reached += self._shown_by(log, envelope.message)
        return facts, reached, alarm

    def _shown_by(self, log: Log[str], message: Any) -> list[str]:
        match message:
            case AcceptIn(slot, proposal):
                shown = ["hole"] if proposal.value == NO_OP else []
                return shown + (["two-in-flight"] if slot > log.chosen_below else [])
            case PromiseFrom() if message.end < EVERY_LATER_SLOT:
                return ["page-split"]
            case AcceptedIn() if log.node_id in self.bounds.newcomers:
                return ["newcomer"]
            case _:
                return []


def log_of(local: Any) -> Log[str]:
    """The log of a node that runs."""
    log: Log[str] = local.snapshot.node.log
    return log


def _known(log: Log[str]) -> dict[int, Proposal[Entry[str]]]:
    """What it knows to be chosen, in the slots that it remembers."""
    window = log.window
    known: dict[int, Proposal[Entry[str]]] = {}
    for slot, node in enumerate(window.nodes, window.first):
        chosen = node.learner.chosen
        if chosen is not NOTHING_CHOSEN:
            known[slot] = chosen
    return known


def _out_of_order(log: Log[str], next_slot: int, event: Any) -> list[Wrong]:
    slot, proposal = event.slot, event.proposal
    if slot != next_slot:
        sentence = f"{log.node_id} tells of slot {slot}, and next is slot {next_slot}"
        return [Wrong(IN_ORDER, sentence)]
    if _known(log).get(slot, proposal) != proposal:
        return [Wrong(BELIEVED, f"{log.node_id} tells its application another entry of {slot}")]
    return []


def _unbelieved(log: Log[str], disk: LogDisk, envelope: Envelope[Any]) -> list[Wrong]:
    """Claims that the node itself does not hold to be true."""
    message: Any = envelope.message
    match message:
        case ChosenBelow(_, slot) if slot > log.chosen_below:
            return [Wrong(BELIEVED, f"{log.node_id} says that all below {slot} is chosen")]
        case Decisions(slot, proposals):
            known = dict(enumerate(disk.chosen)) | _known(log)
            if any(known.get(each) != proposal for each, proposal in enumerate(proposals, slot)):
                return [Wrong(BELIEVED, f"{log.node_id} tells what it does not know: {message}")]
        case _:
            pass
    return []


def _lost(disk: Any, writing: Any, kept: int) -> Effect:
    if writing is None:
        return Effect(Down(disk))
    reached = "persist-torn" if kept else "persist-lost"
    return Effect(Down(disk.with_records(writing[:kept])), reached=(reached,))


def _saved(local: Any) -> Any:
    disk = local.disk if local.writing is None else local.disk.with_records(local.writing)
    return local._replace(disk=disk, writing=None, leaving=())


def _having_seen(node: Any, seen: Any) -> Any:
    if node.proposer.highest_seen == seen:
        return node
    return replace(node, proposer=replace(node.proposer, highest_seen=seen))


def without_parts(local: Any) -> Any:
    """The node without the votes and promises that have not led to anything yet.

    They may arrive once more, for what was sent stays: whatever it does with them, it does without
    them after these have come again. And it is a state of its own right: that in which they have
    not come yet.
    """
    if isinstance(local, Down):
        return local
    log: Any = log_of(local)
    nodes = [_without_votes(node) for node in log.window.nodes]
    changed: dict[str, Any] = {}
    if log.unused.phase is Phase.PREPARING and not log.leads:
        fresh = replace(log.unused.proposer, promised_by=(), adopted=NOTHING_ACCEPTED)
        nodes = [_prepared_anew(node, fresh) for node in nodes]
        while nodes and nodes[-1].learner.chosen is NOTHING_CHOSEN and _has_no_vote(nodes[-1]):
            nodes.pop()
        changed = {"unused": replace(log.unused, proposer=fresh), "promises": Promises()}
    if tuple(nodes) != log.window.nodes:
        changed["window"] = replace(log.window, nodes=tuple(nodes))
    if not changed:
        return local
    snapshot = local.snapshot._replace(node=BareLog(replace(log, **changed)))
    return local._replace(snapshot=snapshot)


def _has_no_vote(node: Any) -> bool:
    return node.acceptor.accepted is NOTHING_ACCEPTED


def _without_votes(node: Any) -> Any:
    return replace(node, learner=replace(node.learner, votes=())) if node.learner.votes else node


def _prepared_anew(node: Any, fresh: Any) -> Any:
    if node.learner.chosen is not NOTHING_CHOSEN:
        return node
    return replace(node, proposer=replace(fresh, quorums=node.quorums))
