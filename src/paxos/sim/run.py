"""One run: virtual time passes, and the plan of a seed happens to a cluster.

A run does to its stage only what a scenario's primitive commands do, and writes each of them down.
So a run *is* a scenario: whoever plays `Run.commands` on another stage sees the very same things
happen. All instants are multiples of a microsecond, so that their text is short and loses nothing.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from paxos.events import BallotLost, LeaderChanged, ValueChosen
from paxos.messages import NOTHING_CHOSEN, Envelope, Message
from paxos.node import Node, Phase
from paxos.scenario.breakage import AnyNode
from paxos.scenario.cluster import Kind
from paxos.scenario.commands import (
    At,
    Command,
    Crash,
    Deliver,
    Ending,
    Fail,
    Failure,
    Hang,
    Persist,
    Propose,
    Restart,
    Rot,
    SetClock,
    Tick,
)
from paxos.scenario.happenings import (
    Asked,
    Broke,
    Happening,
    Left,
    PersistBegan,
    PersistFailed,
    Restarted,
    StayedDown,
    Told,
)
from paxos.sim.faults import Fault
from paxos.sim.judge import Judge
from paxos.sim.network import Network
from paxos.sim.oversight import TALK_ENDS, WATCHED, Overseer
from paxos.sim.stage import Stage
from paxos.sim.swarm import CALM, Demand, Link, Plan, Spell, Strike, Unwell, between, dice

FAILURE_OF = {Fault.IO: Failure.IO, Fault.FULL: Failure.FULL, Fault.SHORT: Failure.SHORT}

MOST_EFFECTS = 200_000
"""Of one run. Of four thousand seeds, the busiest run had 8,588."""

Entry: TypeAlias = tuple[float, int, Callable[[Any], None], Any]
"""On the agenda: when, in which order among equals, what, and about what."""


@dataclass(slots=True)
class _Schedule:
    """What a run has planned for one node's process, and how that process is."""

    starts: int = 0
    """What was meant for an earlier run of the process is void."""

    tick: int = 0
    """Which of the planned ticks counts: the newest."""

    tick_for: float | None = None
    """The deadline for which that was planned, on the node's own clock."""

    paused_until: float = 0.0
    hangs: bool = False
    is_held: bool = False
    """Its persist would be done, but for the disk that hangs."""

    resends: bool = False


class Run:
    """One seed's run. It ends at once when an invariant is broken."""

    def __init__(self, plan: Plan, listen: Callable[[Happening], object] | None = None) -> None:
        """Start the plan's nodes. `listen` is told of all that happens."""
        self.plan = plan
        self.now = 0.0
        self.commands: list[Command] = []
        """All that was done, in order."""

        self.broken: Broke | None = None
        self.happened: Counter[Fault] = Counter()
        """How often each kind of fault struck."""

        self.news = 0
        """Grows when a node learns the decision, or follows another leader."""

        self.messages = 0
        """Grows when a message leaves."""

        self.rotten: set[str] = set()
        self.rng = dice(plan.seed, "network")
        self.network = Network(CALM, self.rng, self.happened)
        self.judge = Judge(plan.cluster.real_quorums, self.find)
        self.overseer = Overseer(plan.cluster, self.find)
        self._agenda: list[Entry] = []
        self._serial = 0
        self._schedules = {node_id: _Schedule() for node_id in plan.cluster.node_ids}
        self._at_effects: list[Strike] = []
        self._watchers = self._draw_up_watchers(listen)
        self._others = () if listen is None else (listen,)
        self.stage = Stage(plan.cluster, self._watch)
        self.overseer.servers = self.stage.servers

    def find(self, broke: Broke) -> None:
        """An invariant is broken. The first one counts."""
        if self.broken is None:
            self.broken = broke

    def begin(self) -> None:
        """Put on the agenda what the plan has for the first phase."""
        plan = self.plan
        for node_id in plan.cluster.node_ids:
            self._do(node_id, Hang(node_id))  # each persist ends when the dice say so
        for spell in plan.spells:
            self._put(spell.at, self._begin_spell, spell)
        for demand in plan.demands:
            self._put(demand.at, self._demand, demand)
        for strike in plan.strikes:
            if strike.at is not None:
                self._put(strike.at, self._strike_in_time, strike)
        at_effects = [strike for strike in plan.strikes if strike.at is None]
        self._at_effects = sorted(at_effects, key=lambda strike: -strike.effect)
        for node_id in plan.cluster.node_ids:
            self._wake(node_id)

    def go_on(self, until: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass up to this instant, or until something is done: whether it is.

        `done` is asked when there is news.
        """
        agenda, news = self._agenda, -1
        while self.broken is None:
            if news != self.news:
                news = self.news
                if done():
                    return True
            if not agenda or agenda[0][0] > until:
                break
            self.now, _, what, about = heapq.heappop(agenda)
            what(about)
            if self.stage.effects > MOST_EFFECTS:
                self.find(Broke(TALK_ENDS.id, f"{MOST_EFFECTS} effects, and no end"))
        self.now = max(self.now, until) if self.broken is None else self.now
        return False

    def heal(self) -> None:
        """End all faults, but for what is wrong for good; then ask for values, if the plan does."""
        self._at_effects.clear()
        self.network.turn(CALM)
        self.network.forget_order()
        self._calm_agenda()
        for node_id, schedule in self._schedules.items():
            schedule.paused_until = 0.0
            self._free(node_id)
            if self.stage.servers[node_id].clock.rate != 1.0:
                self._set_clock(node_id, round(self.rng.uniform(0.9, 1.1), 3))
        unwell = dict(self.plan.unwell)
        for node_id in self._schedules:
            disk = self.stage.servers[node_id].disk
            if disk.fault is not None or disk.taken_by_a_write is not None:
                self._crash(node_id, None, Ending.KILL_WRITTEN)
            if unwell.get(node_id) is not Unwell.DOWN:
                self._restart(node_id)
        for node_id, what in unwell.items():
            self._leave_unwell(node_id, what)
        for number, node_id in enumerate(self.plan.afterwards):
            self.propose(node_id, f"late{number}")

    def propose(self, node_id: str, value: str) -> None:
        """Let an application ask a node for a value."""
        if self.node(node_id) is not None:
            self._do(node_id, Propose(node_id, value))

    def tick(self, node_id: str) -> None:
        """Call a node although nothing has come for it."""
        if self.node(node_id) is not None:
            self._do(node_id, Tick(node_id))

    def start_anew(self, node_id: str) -> None:
        """End a node's process, and start it again: that ends its ballot."""
        self._crash(node_id, None, Ending.KILL_WRITTEN)
        self._restart(node_id)

    def node(self, node_id: str) -> AnyNode | None:
        """The state of a node, or None if it is down."""
        machine = self.stage.servers[node_id].machine
        node: AnyNode | None = None if machine is None else machine.node
        return node

    def knows(self, node_id: str) -> bool:
        """Whether this node is up and knows the decision."""
        node = self.node(node_id)
        return node is not None and node.chosen is not NOTHING_CHOSEN

    @property
    def is_quiet(self) -> bool:
        """Whether no node waits for anything."""
        machines = [server.machine for server in self.stage.servers.values()]
        return all(machine is None or machine.deadline is None for machine in machines)

    @property
    def reached(self) -> set[str]:
        """The invariants that were put to the test, by their IDs."""
        reached = self.judge.reached | self.overseer.reached
        return reached | {TALK_ENDS.id} if self.stage.effects > 1000 else reached

    # What happens.

    def _draw_up_watchers(
        self, listen: Callable[[Happening], object] | None
    ) -> dict[type[Any], tuple[Callable[[Any], object], ...]]:
        """Who is told of what: asking everybody about everything would take half of the time."""
        watchers: dict[type[Any], list[Callable[[Any], object]]] = {
            Left: [self.judge, self._left],
            Told: [self.judge, self._told],
            Asked: [self.judge],
            PersistBegan: [self._persist_began],
            PersistFailed: [],
            Restarted: [self._restarted],
            StayedDown: [self._stayed_down],
        }
        for kind in WATCHED:
            watchers.setdefault(kind, []).append(self.overseer)
        if listen is not None:
            for told in watchers.values():
                told.append(listen)
        return {kind: tuple(told) for kind, told in watchers.items()}

    def _watch(self, happening: Happening) -> None:
        for watcher in self._watchers.get(type(happening), self._others):
            watcher(happening)

    def _left(self, left: Left) -> None:
        envelope = left.envelope
        sender, recipient = envelope.sender.node_id, envelope.recipient
        self.messages += 1
        if sender == recipient:
            self._put(self.now, self._arrive_at_home, (envelope, self._schedules[sender].starts))
            return
        for at in self.network.arrivals(envelope, self.now):
            self._put(at, self._arrive, envelope)

    def _told(self, told: Told) -> None:
        if isinstance(told.event, ValueChosen | LeaderChanged | BallotLost):
            self.news += 1
        if isinstance(told.event, BallotLost):
            self._lost_ballot(told.node_id)

    def _persist_began(self, began: PersistBegan) -> None:
        schedule = self._schedules[began.node_id]
        low, high = self.network.conditions.sync
        at = round(self.now + self.rng.uniform(low, high), 6)
        if low > CALM.sync[1]:
            self.happened[Fault.SLOW] += 1
        self._put(at, self._persist, (began.node_id, schedule.starts))

    def _restarted(self, restarted: Restarted) -> None:
        schedule = self._schedules[restarted.node_id]
        schedule.starts += 1
        schedule.is_held = schedule.resends = False

    def _stayed_down(self, stayed: StayedDown) -> None:
        if stayed.node_id in self.rotten:
            self.happened[Fault.ROT] += 1

    # What is on the agenda.

    def _put(self, at: float, what: Callable[[Any], None], about: Any) -> None:
        self._serial += 1
        heapq.heappush(self._agenda, (at, self._serial, what, about))

    def _waits(self, node_id: str, what: Callable[[Any], None], about: Any) -> bool:
        """Whether this node stands still: then it will see to this later."""
        paused_until = self._schedules[node_id].paused_until
        if self.now >= paused_until:
            return False
        self.happened[Fault.PAUSE] += 1
        self._put(paused_until, what, about)
        return True

    def _arrive(self, envelope: Envelope[Message[str]]) -> None:
        recipient = envelope.recipient
        if not self._waits(recipient, self._arrive, envelope) and self.network.lets_through(
            (envelope.sender.node_id, recipient)
        ):
            self._deliver(envelope)

    def _arrive_at_home(self, about: tuple[Envelope[Message[str]], int]) -> None:
        """What a node says to itself is lost only with its process."""
        envelope, starts = about
        node_id = envelope.recipient
        if starts == self._schedules[node_id].starts and not self._waits(
            node_id, self._arrive_at_home, about
        ):
            self._deliver(envelope)

    def _deliver(self, envelope: Envelope[Message[str]]) -> None:
        if self.stage.servers[envelope.recipient].machine is not None:
            self._do(envelope.recipient, Deliver(envelope))

    def _tick_in_time(self, about: tuple[str, int]) -> None:
        node_id, tick = about
        schedule = self._schedules[node_id]
        if tick == schedule.tick and not self._waits(node_id, self._tick_in_time, about):
            schedule.tick_for = None
            self.tick(node_id)

    def _persist(self, about: tuple[str, int]) -> None:
        node_id, starts = about
        schedule = self._schedules[node_id]
        if starts != schedule.starts or not self.stage.servers[node_id].is_saving:
            return
        if schedule.hangs:
            schedule.is_held = True
            if Fault.HANG in self.plan.faults:  # else it is unwell for good
                self.happened[Fault.HANG] += 1
        elif not self._waits(node_id, self._persist, about):
            self._do(node_id, Persist(node_id))

    def _demand(self, demand: Demand) -> None:
        node_id = demand.node
        if self._waits(node_id, self._demand, demand):
            return
        schedule, node = self._schedules[node_id], self.node(node_id)
        if self.plan.impatient and isinstance(node, Node) and node.proposer.phase is not Phase.IDLE:
            self._crash(node_id, Fault.KILL, Ending.KILL_WRITTEN)
            self._restart(node_id)
        self.propose(node_id, demand.value)
        if self.plan.cluster.kind is Kind.NODE and not schedule.resends:
            schedule.resends = True
            self._put(round(self.now + self.plan.patience, 6), self._resend, node_id)

    def _lost_ballot(self, node_id: str) -> None:
        """So come duels, without heartbeats."""
        retry = self.plan.retry
        if retry and self.plan.cluster.kind is Kind.NODE and self.now < self.plan.lasts:
            demand = Demand(round(self.now + self.rng.uniform(0.0, retry), 6), node_id, "again")
            self._put(demand.at, self._demand, demand)

    def _resend(self, node_id: str) -> None:
        """Without heartbeats, it is the application that has patience."""
        schedule, node = self._schedules[node_id], self.node(node_id)
        schedule.resends = isinstance(node, Node) and node.proposer.unanswered is not None
        if schedule.resends and not self._waits(node_id, self._resend, node_id):
            self.tick(node_id)
            self._put(round(self.now + self.plan.patience, 6), self._resend, node_id)

    # Faults.

    def _begin_spell(self, spell: Spell) -> None:
        self.network.turn(spell.conditions)
        self.network.cut(spell.links, spell.cut)

    def _strike_in_time(self, strike: Strike) -> None:
        self._strike(strike, strike.node)

    def _strike_at_effect(self, node_id: str) -> None:
        """Strike the node at which something has just happened, if one is due that can."""
        effects, waiting = self.stage.effects, self._at_effects
        for place in range(len(waiting) - 1, -1, -1):
            if waiting[place].effect > effects:
                return
            if self._can_strike(waiting[place].fault, node_id):
                self._strike(waiting.pop(place), node_id)
                return

    def _can_strike(self, fault: Fault, node_id: str) -> bool:
        """A write that is to fail must be under way, and one that is to be torn be unsynced."""
        server = self.stage.servers[node_id]
        if fault is Fault.TEAR:
            return server.can_be_torn
        if fault in FAILURE_OF:
            return server.is_saving
        return server.is_up

    def _strike(self, strike: Strike, node_id: str) -> None:
        fault, over_at = strike.fault, round(self.now + strike.lasts, 6)
        schedule = self._schedules[node_id]
        if fault is Fault.PAUSE:
            schedule.paused_until = max(schedule.paused_until, over_at)
        elif fault is Fault.HANG:
            schedule.hangs = True
            self._put(over_at, self._free, node_id)
        elif fault in FAILURE_OF:
            self._fail(node_id, fault)
            self._put(over_at, self._restart, node_id)
        elif fault is Fault.ROT:
            self._let_rot(node_id)
        elif fault is Fault.DRIFT:
            self._set_clock(node_id, strike.rate)
            self.happened[fault] += 1
        elif fault is Fault.JUMP:
            self._jump(node_id, strike.ahead)
        elif fault is Fault.OPENING:
            self._crash_while_opening(node_id, strike)
            self._put(over_at, self._restart, node_id)
        else:
            self._crash(node_id, fault, strike.ending)
            self._put(over_at, self._restart, node_id)

    def _free(self, node_id: str) -> None:
        schedule = self._schedules[node_id]
        schedule.hangs = False
        if schedule.is_held:
            schedule.is_held = False
            self._put(self.now, self._persist, (node_id, schedule.starts))

    def _fail(self, node_id: str, fault: Fault) -> None:
        if self.stage.servers[node_id].is_saving:
            self.happened[fault] += 1
        self._do(node_id, Fail(node_id, FAILURE_OF[fault]))

    def _let_rot(self, node_id: str) -> None:
        """While it is down: what a process saves after its disk decayed would heal it."""
        if self.stage.servers[node_id].disk.newest is None:
            return  # a mutant has never synced what would have to rot
        self._crash(node_id, None, Ending.KILL_UNWRITTEN)
        self.rotten.add(node_id)
        self._do(node_id, Rot(node_id))
        self._put(self.now, self._restart, node_id)

    def _set_clock(self, node_id: str, rate: float) -> None:
        self._schedules[node_id].tick_for = None
        self._do(node_id, SetClock(node_id, rate))

    def _jump(self, node_id: str, ahead: float) -> None:
        clock = self.stage.servers[node_id].clock
        by = clock.reading(self.now) - self.now + ahead
        self._schedules[node_id].tick_for = None
        self._do(node_id, SetClock(node_id, clock.rate, round(by, 6)))
        self.happened[Fault.JUMP] += 1

    def _crash(self, node_id: str, fault: Fault | None, ending: Ending) -> None:
        server = self.stage.servers[node_id]
        if ending is Ending.POWER_TORN and not server.can_be_torn:
            fault, ending = Fault.POWER, Ending.POWER_OLD
        if server.is_up or ending.is_power_cut:
            self._do(node_id, Crash(node_id, ending))
            if fault is not None:
                self.happened[fault] += 1

    def _crash_while_opening(self, node_id: str, strike: Strike) -> None:
        """End it, if it is up, and end its next process before that has begun."""
        self._crash(node_id, None, Ending.KILL_WRITTEN)
        if node_id not in self.rotten:  # else opening finds the rot, and writes nothing
            self._do(node_id, Crash(node_id, strike.ending, strike.write))
            self.happened[Fault.OPENING] += 1

    def _restart(self, node_id: str) -> None:
        if not self.stage.servers[node_id].is_up and not self._waits(
            node_id, self._restart, node_id
        ):
            self._do(node_id, Restart(node_id))
            if not self.stage.servers[node_id].is_up and node_id not in self.rotten:
                self._do(node_id, Restart(node_id))  # the disk failed, once

    # The end of all faults.

    def _calm_agenda(self) -> None:
        """What is on its way arrives now or never; and nothing more is planned against anybody."""
        old, self._agenda[:] = sorted(self._agenda, key=_order), []
        draw = self.rng.uniform
        for at, _, what, about in old:
            if what == self._arrive:
                if self.rng.random() < 0.5:
                    self._put(round(self.now + draw(*CALM.latency), 6), what, about)
            elif what == self._persist:
                self._put(min(at, round(self.now + draw(*CALM.sync), 6)), what, about)
            elif what in (self._tick_in_time, self._arrive_at_home):
                self._put(at, what, about)

    def _leave_unwell(self, node_id: str, what: Unwell) -> None:
        """Let this be wrong with a node for good."""
        if what is Unwell.DOWN:
            self._crash(node_id, None, Ending.KILL_WRITTEN)
        elif what is Unwell.HUNG:
            self._schedules[node_id].hangs = True
        else:
            others = [other for other in self._schedules if other != node_id]
            links: tuple[Link, ...] = between([node_id], others)
            if what is Unwell.MUTE:
                links = tuple(link for link in links if link[0] == node_id)
            elif what is Unwell.DEAF:
                links = tuple(link for link in links if link[1] == node_id)
            self.network.cut(links, None)

    # What a run does to its stage.

    def _do(self, node_id: str, command: Command) -> None:
        """Perform a command that is about this node, now."""
        stage = self.stage
        if self.now > stage.now:
            at = At(self.now)
            self.commands.append(at)
            stage.perform(at)
        self.commands.append(command)
        stage.perform(command)
        self.overseer.judge_time(node_id)
        self._wake(node_id)
        if self._at_effects and self._at_effects[-1].effect <= stage.effects:
            self._strike_at_effect(node_id)

    def _wake(self, node_id: str) -> None:
        """Plan the tick that this node wants next."""
        server, schedule = self.stage.servers[node_id], self._schedules[node_id]
        deadline = None if server.machine is None else server.machine.deadline
        if deadline == schedule.tick_for:
            return
        schedule.tick_for = deadline
        schedule.tick += 1
        if deadline is not None and deadline < math.inf:
            at = _on_the_grid(server.clock.instant_of(deadline, self.now))
            while server.clock.reading(at) < deadline:
                at = _on_the_grid(at + 1e-6)
            self._put(at, self._tick_in_time, (node_id, schedule.tick))


def _on_the_grid(instant: float) -> float:
    return round(instant, 6)


def _order(entry: Entry) -> tuple[float, int]:
    return entry[0], entry[1]
