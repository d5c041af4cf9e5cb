"""One run: virtual time passes, and the plan of a seed happens to a log and its clients.

The agenda holds what is to come, and each thing on it is an effect: a message arrives, a timer runs
out, a persist ends, a client asks. Faults strike between any two of them, and in the middle of what
is done to a disk (see `strikes`). All is drawn from the seed, so a run can be had again.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from paxos.histories.history import Event as ClientEvent
from paxos.log.configurations import Configurations
from paxos.log.entries import Configuration, Member
from paxos.log.inputs import Append, Read
from paxos.log.log_node import LogNode
from paxos.machine import Tick
from paxos.messages import Envelope, Identity
from paxos.scenario.breakage import UNBROKEN
from paxos.scenario.happenings import Broke
from paxos.sim.faults import Fault
from paxos.sim.log.claims import TALK_ENDS
from paxos.sim.log.clients import Client
from paxos.sim.log.key_value import Ask, encode_ask
from paxos.sim.log.leaders import Leaders
from paxos.sim.log.ledger import Ledger
from paxos.sim.log.members import Administrator
from paxos.sim.log.mutants import LOG_MUTANTS
from paxos.sim.log.performing import Performing
from paxos.sim.log.plan import LogPlan
from paxos.sim.log.server import LogServer, Process, Wait
from paxos.sim.log.strikes import Striker
from paxos.sim.log.witness import Witness
from paxos.sim.network import Network
from paxos.sim.swarm import CALM, Spell, dice

MOST_EFFECTS = 200_000
"""Of one run."""

CLUSTER_NAME = "simulated"
INCARNATION = "1"

Entry: TypeAlias = tuple[float, int, Callable[[Any], None], Any]
"""On the agenda: when, in which order among equals, what, and about what."""


@dataclass(slots=True)
class Schedule:
    """What is planned for one node's process, and how that process is."""

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


class LogRun:
    """One seed's run. It ends at once when a claim is broken."""

    def __init__(self, plan: LogPlan) -> None:
        """Make the plan's nodes. None is started yet."""
        self.plan = plan
        self.now = 0.0
        self.effects = 0
        self.broken: Broke | None = None
        self.happened: Counter[Fault] = Counter()
        self.reached_here: set[str] = set()
        self.news = 0
        """Grows when a node applies something, or leadership changes."""

        self.events: list[ClientEvent] = []
        """What the clients saw."""

        self.last_leader = plan.members[0]
        self.breakage = UNBROKEN if plan.breaks is None else LOG_MUTANTS[plan.breaks]
        self.rng = dice(plan.seed, "network")
        self.network = Network(CALM, self.rng, self.happened)
        members = tuple(Member(each, INCARNATION) for each in plan.members)
        self.initial = Configurations.fixed(Configuration(members, plan.phase1, plan.phase2))
        self.witness = Witness(self.initial, plan.limits.window, self.find)
        self.ledger = Ledger(self.find)
        self.leaders = Leaders(plan.timing.window, self.find)
        self.servers: dict[str, LogServer] = {}
        self.schedules: dict[str, Schedule] = {}
        self.performing = Performing(self)
        self.striker = Striker(self)
        self.administrator = Administrator(self)
        self._agenda: list[Entry] = []
        self._serial = 0
        self._reads = 0
        for node_id in plan.node_ids:
            self.add_server(node_id)
        luck = dice(plan.seed, "clients")
        self.clients = [
            Client(number, plan.habits, plan.sessions.window, luck, self)
            for number in range(plan.habits.clients)
        ]

    def find(self, broke: Broke) -> None:
        """A claim is broken. The first one counts."""
        if self.broken is None:
            self.broken = broke

    @property
    def reached(self) -> set[str]:
        """The claims that were put to the test, by their IDs."""
        reached = self.reached_here | self.witness.reached | self.ledger.reached
        reached |= self.leaders.reached
        return reached | {TALK_ENDS.id} if self.effects > 1000 else reached

    def begin(self) -> None:
        """Start all nodes, and put on the agenda what the plan has for the first phase."""
        for spell in self.plan.spells:
            self.put(spell.at, self._begin_spell, spell)
        for turn in self.plan.turns:
            self.put(turn.at, self.administrator.act, turn.what)
        self.striker.begin()
        for node_id in self.plan.node_ids:
            self.start(node_id)
        for client in self.clients:
            client.act()

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
            if self.effects > MOST_EFFECTS:
                self.find(Broke(TALK_ENDS.id, f"{MOST_EFFECTS} effects, and no end"))
        self.now = max(self.now, until) if self.broken is None else self.now
        return False

    def put(self, at: float, what: Callable[[Any], None], about: Any) -> None:
        """Put this on the agenda."""
        self._serial += 1
        heapq.heappush(self._agenda, (at, self._serial, what, about))

    # Nodes.

    def add_server(self, node_id: str) -> LogServer:
        """A node that has never run, and is told who decides at first."""
        identity = Identity(CLUSTER_NAME, node_id, INCARNATION)
        server = LogServer(identity, self.initial, self.plan, self.breakage)
        self.servers[node_id], self.schedules[node_id] = server, Schedule()
        return server

    def start(self, node_id: str) -> None:
        """Start a node, unless it is up, or lost."""
        server = self.servers[node_id]
        if server.process is None and not self.waits(node_id, self.start, node_id):
            self.performing.start(server)

    def process(self, node_id: str) -> Process | None:
        """The process of this node, or None if it is down."""
        return self.servers[node_id].process

    def node(self, node_id: str) -> LogNode[bytes] | None:
        """The state of a node, or None if it is down."""
        process = self.servers[node_id].process
        return None if process is None else process.machine.node

    @property
    def leading(self) -> str | None:
        """Who leads under the highest ballot, if somebody does."""
        leaders = [
            (node.log.ballot, node_id)
            for node_id in self.servers
            if (node := self.node(node_id)) is not None and node.heartbeats.leads
        ]
        return max(leaders)[1] if leaders else None

    def waits(self, node_id: str, what: Callable[[Any], None], about: Any) -> bool:
        """Whether this node stands still: then it will see to this later."""
        paused_until = self.schedules[node_id].paused_until
        if self.now >= paused_until:
            return False
        self.happened[Fault.PAUSE] += 1
        self.put(paused_until, what, about)
        return True

    def wake(self, server: LogServer) -> float | None:
        """Plan the tick that this node wants next, and say for which deadline."""
        schedule, process = self.schedules[server.node_id], server.process
        deadline = None if process is None else process.machine.deadline
        if deadline == schedule.tick_for:
            return deadline
        schedule.tick_for = deadline
        schedule.tick += 1
        if deadline is not None and deadline < math.inf:
            at = round(server.clock.instant_of(deadline, self.now), 6)
            while server.clock.reading(at) < deadline:
                at = round(at + 1e-6, 6)
            self.put(at, self._tick, (server.node_id, schedule.tick))
        return deadline

    # What is on the agenda.

    def leave(self, server: LogServer, envelope: Envelope[Any]) -> None:
        """A message leaves its sender."""
        self.effects += 1
        self.witness.leaves(envelope, server.acknowledged)
        if envelope.recipient == server.node_id:
            starts = self.schedules[server.node_id].starts
            self.put(self.now, self.arrive_at_home, (envelope, starts))
        elif envelope.recipient in self.servers:
            for at in self.network.arrivals(envelope, self.now):
                self.put(at, self.arrive, envelope)

    def arrive(self, envelope: Envelope[Any]) -> None:
        """A message comes to its recipient."""
        recipient = envelope.recipient
        if not self.waits(recipient, self.arrive, envelope) and self.network.lets_through(
            (envelope.sender.node_id, recipient)
        ):
            self._deliver(envelope)

    def arrive_at_home(self, about: tuple[Envelope[Any], int]) -> None:
        """What a node says to itself is lost only with its process."""
        envelope, starts = about
        node_id = envelope.recipient
        if starts == self.schedules[node_id].starts and not self.waits(
            node_id, self.arrive_at_home, about
        ):
            self._deliver(envelope)

    def _deliver(self, envelope: Envelope[Any]) -> None:
        server = self.servers[envelope.recipient]
        if server.process is not None:
            self.leaders.arrived(envelope, server.clock.reading(self.now))
            self.performing.deliver(server, server.process, envelope)

    def _tick(self, about: tuple[str, int]) -> None:
        node_id, tick = about
        schedule, server = self.schedules[node_id], self.servers[node_id]
        if tick == schedule.tick and not self.waits(node_id, self._tick, about):
            schedule.tick_for = None
            if server.process is not None:
                self.performing.input(server, server.process, Tick())

    def persist_began(self, server: LogServer) -> None:
        """Plan when it ends."""
        self.effects += 1
        self.leaders.persist_began(server.node_id, server.clock.reading(self.now))
        low, high = self.network.conditions.sync
        if low > CALM.sync[1]:
            self.happened[Fault.SLOW] += 1
        at = round(self.now + self.rng.uniform(low, high), 6)
        self.put(at, self.persist, (server.node_id, self.schedules[server.node_id].starts))

    def persist(self, about: tuple[str, int]) -> None:
        """A persist would be done now."""
        node_id, starts = about
        schedule, server = self.schedules[node_id], self.servers[node_id]
        process = server.process
        if starts != schedule.starts or process is None or process.under_way is None:
            return
        if schedule.hangs:
            schedule.is_held = True
            self.happened[Fault.HANG] += 1
        elif not self.waits(node_id, self.persist, about):
            self.performing.complete(server, process)

    def free(self, node_id: str) -> None:
        """Its disk hangs no more."""
        schedule = self.schedules[node_id]
        schedule.hangs = False
        if schedule.is_held:
            schedule.is_held = False
            self.put(self.now, self.persist, (node_id, schedule.starts))

    def calm_agenda(self) -> None:
        """What is on its way arrives now or never; and nothing more is planned against anybody."""
        old, self._agenda[:] = sorted(self._agenda, key=lambda entry: entry[:2]), []
        draw = self.rng.uniform
        hostile = (self._begin_spell, self.administrator.act, *self.striker.hostile)
        for at, _, what, about in old:
            if what == self.arrive:
                if self.rng.random() < 0.5:
                    self.put(round(self.now + draw(*CALM.latency), 6), what, about)
            elif what == self.persist:
                self.put(min(at, round(self.now + draw(*CALM.sync), 6)), what, about)
            elif what not in hostile:
                self.put(at, what, about)

    def _begin_spell(self, spell: Spell) -> None:
        self.network.turn(spell.conditions)
        self.network.cut(spell.links, spell.cut)

    # What clients ask.

    def some_node(self, rng: random.Random) -> str:
        """Whoever led last, or anybody."""
        if rng.random() < 0.5:
            return self.last_leader
        return rng.choice(tuple(self.servers))

    def ask(
        self, node_id: str, key: tuple[Any, int], data: bytes, tell: Callable[[Any], None]
    ) -> None:
        """A client's request reaches a node."""
        self._ask((node_id, key, data, tell))

    def _ask(self, about: tuple[str, tuple[Any, int], bytes, Callable[[Any], None]]) -> None:
        node_id, key, data, tell = about
        server = self.servers[node_id]
        process = server.process
        if process is not None and not self.waits(node_id, self._ask, about):
            process.requests[key] = tell
            self.ledger.asked(data)
            self.performing.input(server, process, Append((data,)))

    def read(self, node_id: str, query: bytes, tell: Callable[[Any], None]) -> None:
        """A client's query reaches a node."""
        self._read((node_id, query, tell))

    def probe(self, node_id: str) -> None:
        """Ask a leader to read that has just begun, or does not know yet that it is deposed.

        If it stands still, then this is the first that it sees to when it goes on.
        """
        at = max(self.now, self.schedules[node_id].paused_until)
        about = (node_id, encode_ask(Ask("get", "k0")), _nobody_waits)
        self._serial += 1
        heapq.heappush(self._agenda, (at, -self._serial, self._read, about))

    def _read(self, about: tuple[str, bytes, Callable[[Any], None]]) -> None:
        node_id, query, tell = about
        server = self.servers[node_id]
        process = server.process
        if process is not None and not self.waits(node_id, self._read, about):
            self._reads += 1
            process.reads[self._reads] = Wait(self._reads, None, tell, query)
            self.ledger.read_asked(self._reads)
            self.performing.input(server, process, Read(self._reads))


def _nobody_waits(_: object) -> None:
    """Takes an answer that only the ledger looks at."""
