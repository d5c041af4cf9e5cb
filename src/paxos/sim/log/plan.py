"""What a seed draws for a log: the nodes, their limits, clients, changes, and what goes wrong.

As in `paxos.sim.swarm`, each run has habits of its own. Nothing is drawn that a log does not claim
to survive. Members that lose their disks, by rot or wiped, are only so many that quorums are left
of every configuration that may still decide: the run sees to that when the time has come, since
only then it is known who decides.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, replace
from typing import Any

from paxos.errors import MisuseError
from paxos.log.limits import Limits
from paxos.log.messages import (
    AcceptedIn,
    AcceptIn,
    AskToRead,
    ChosenBelow,
    Confirm,
    Confirmed,
    Decisions,
    Learn,
    PrepareFrom,
    PromiseFrom,
    ReadFrom,
    TakeOver,
)
from paxos.messages import Heartbeat, HeartbeatAnswer, Nack
from paxos.scenario.commands import Ending
from paxos.sessions import SessionLimits
from paxos.sim.faults import CRASHES, LOG_FAULTS, Fault
from paxos.sim.log.mutants import LOG_MUTANTS
from paxos.sim.log.transfer import Chunk, ChunkWanted
from paxos.sim.swarm import STRIKING, Spell, Strike, dice, draw_spells, instant
from paxos.timing import Timing

MOST_NODES = 9
"""Larger clusters show nothing new, and take long."""

WORDS: tuple[type[Any], ...] = (
    PrepareFrom, PromiseFrom, AcceptIn, AcceptedIn, ChosenBelow, Learn, Decisions, Confirm,
    Confirmed, AskToRead, ReadFrom, TakeOver, Nack, Heartbeat, HeartbeatAnswer, Chunk, ChunkWanted,
)  # fmt: skip
"""The kinds of messages, each of which may have its own bad luck."""

CHANGES = ("add", "remove", "replace", "shuffle", "several", "transfer")

SPARES = "XYZ"
"""The nodes that are no members at first."""


@dataclass(frozen=True, slots=True)
class LogWish:
    """What is asked for. Within that, each seed draws."""

    fewest: int = 3
    most: int = 5
    """Members at first."""

    faults: tuple[Fault, ...] = LOG_FAULTS
    breaks: str | None = None
    """The rule that all nodes drop."""

    parts: tuple[int, ...] | None = None
    """Of what goes wrong only these parts, by number; None for all (see `shrink`)."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most <= MOST_NODES:
            raise MisuseError(f"ask for 1 to {MOST_NODES} nodes, fewest first: 3..5 for instance")
        if self.breaks is not None and self.breaks not in LOG_MUTANTS:
            raise MisuseError(
                f"a log has no rule {self.breaks!r}: it has {', '.join(sorted(LOG_MUTANTS))}"
            )


@dataclass(frozen=True, slots=True)
class Turn:
    """An administrator wants something, at some time."""

    at: float
    what: str
    """One of `CHANGES`."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How clients behave."""

    clients: int
    pipeline: int
    """Requests that a client has under way at most."""

    keys: int
    pace: float
    """Seconds between two requests of a client, on average."""

    patience: float
    """Seconds until it asks again."""

    attempts: int
    """After so many it gives up."""

    reads: float
    """The share of gets that are asked without an entry in the log."""

    to_leader: float
    """The share of requests that go to whoever answered last."""

    loss: float
    """The share of requests, and of replies, that are lost."""


@dataclass(frozen=True, slots=True)
class LogPlan:
    """A run before it is run. What is left to chance is the fate of each message and persist."""

    seed: int
    breaks: str | None
    members: tuple[str, ...]
    spares: tuple[str, ...]
    phase1: int
    phase2: int
    """How many make a quorum at first; 0 stands for a majority."""

    limits: Limits[bytes]
    sessions: SessionLimits
    timing: Timing
    snapshot_every: int
    """Applied slots between two snapshots."""

    keep: int
    """Slots below a snapshot that stay in the log."""

    chunk: int
    """Bytes of a snapshot in one message."""

    segment_bytes: int
    faults: tuple[Fault, ...]
    spells: tuple[Spell, ...]
    strikes: tuple[Strike, ...]
    turns: tuple[Turn, ...]
    habits: Habits
    lasts: float
    """Seconds after which the faults end."""

    @property
    def node_ids(self) -> tuple[str, ...]:
        """All nodes at first."""
        return self.members + self.spares


def draw_log_plan(seed: int, wish: LogWish) -> LogPlan:
    """The run of this seed: the same for the same wish, under any hash seed."""
    plan = _draw_all(seed, wish)
    if wish.parts is None:
        return plan
    places = iter(range(len(plan.spells) + len(plan.strikes) + len(plan.turns)))
    next(places)  # there is always weather
    kept = set(wish.parts)
    return replace(
        plan,
        spells=(plan.spells[0], *(each for each in plan.spells[1:] if next(places) in kept)),
        strikes=tuple(each for each in plan.strikes if next(places) in kept),
        turns=tuple(each for each in plan.turns if next(places) in kept),
    )


def parts_of(seed: int, wish: LogWish) -> tuple[int, ...]:
    """The numbers of all parts of what goes wrong in this run."""
    plan = _draw_all(seed, wish)
    total = len(plan.spells) + len(plan.strikes) + len(plan.turns)
    return tuple(range(1, total)) if wish.parts is None else wish.parts


def _draw_all(seed: int, wish: LogWish) -> LogPlan:
    rng = dice(seed, "log")
    total = rng.randint(wish.fewest, wish.most)
    members = tuple(string.ascii_uppercase[:total])
    spares = tuple(SPARES[: rng.choice((0, 1, 2, 3))])
    phase1, phase2 = _draw_quorums(rng, total)
    faults = _draw_kinds(rng, wish.faults)
    timing = Timing(seed=seed)
    lasts = instant(timing.window * rng.choice((4, 8, 12)) * rng.uniform(0.5, 1.5))
    habits = _draw_habits(rng)
    return LogPlan(
        seed=seed,
        breaks=wish.breaks,
        members=members,
        spares=spares,
        phase1=phase1,
        phase2=phase2,
        limits=_draw_limits(rng),
        sessions=_draw_sessions(rng, habits.clients),
        timing=timing,
        snapshot_every=rng.choice((2, 4, 8, 20, 1000)),
        keep=rng.choice((0, 0, 4, 20)),
        chunk=rng.choice((64, 256, 4096)),
        segment_bytes=rng.choice((4096, 8192)),
        faults=faults,
        spells=draw_spells(rng, members + spares, faults, lasts, WORDS),
        strikes=_draw_strikes(rng, members + spares, faults, lasts),
        turns=_draw_turns(rng, lasts, timing.window),
        habits=habits,
        lasts=lasts,
    )


def _draw_sessions(rng: random.Random, clients: int) -> SessionLimits:
    """Sometimes so few that sessions end."""
    sessions = rng.choice((clients, clients + 1, 100))
    return SessionLimits(sessions=sessions, window=8, answer_bytes=1024, kept_bytes=1 << 20)


def _draw_quorums(rng: random.Random, total: int) -> tuple[int, int]:
    if rng.random() < 0.7:
        return 0, 0
    phase1 = rng.randint(1, total)
    return phase1, rng.randint(total + 1 - phase1, total)


def _draw_kinds(rng: random.Random, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    share = rng.choice((0.05, 0.2, 0.4, 0.6))
    return tuple(fault for fault in faults if rng.random() < share)


def _draw_limits(rng: random.Random) -> Limits[bytes]:
    return Limits(
        window=rng.choice((1, 2, 3, 4, 8)),
        batch=rng.choice((1, 2, 4)),
        batch_weight=1 << 12,
        queue=rng.choice((4, 32)),
        queue_weight=1 << 16,
        page=rng.choice((1, 2, 3, 8)),
        page_weight=rng.choice((300, 1 << 16)),
    )


def _draw_habits(rng: random.Random) -> Habits:
    return Habits(
        clients=rng.randint(2, 4),
        pipeline=rng.choice((1, 2, 3)),
        keys=rng.randint(1, 3),
        pace=rng.choice((0.01, 0.03, 0.1)),
        patience=rng.choice((0.1, 0.3, 0.6)),
        attempts=rng.randint(2, 8),
        reads=rng.choice((0.3, 0.7)),
        to_leader=rng.choice((0.3, 0.8, 0.95)),
        loss=rng.choice((0.0, 0.05, 0.2)),
    )


def _draw_strikes(
    rng: random.Random, nodes: tuple[str, ...], faults: tuple[Fault, ...], lasts: float
) -> tuple[Strike, ...]:
    strikes: list[Strike] = []
    window = Timing().window
    if Fault.DRIFT in faults:
        rates = [round(2.0 ** rng.uniform(-1.0, 1.0), 2) for _ in nodes]
        drifts = zip(nodes, rates, strict=True)
        strikes += [Strike(Fault.DRIFT, node, 0.0, 0, 0.0, rate=rate) for node, rate in drifts]
    for fault in (Fault.ROT, Fault.WIPE):
        if fault in faults:
            for _ in range(rng.randint(1, 2)):
                at = instant(rng.uniform(0.0, lasts))
                strikes.append(Strike(fault, rng.choice(nodes), at, 0, 0.0))
    striking = [fault for fault in faults if fault in (*STRIKING, Fault.OPENING)]
    if striking:
        for _ in range(1 + int(lasts / window * rng.choice((0.3, 1.0, 2.0)))):
            strikes.append(_draw_strike(rng, nodes, rng.choice(striking), lasts))
    return tuple(strikes)


def _draw_strike(rng: random.Random, nodes: tuple[str, ...], fault: Fault, lasts: float) -> Strike:
    window = Timing().window
    at_effect = fault is Fault.TEAR or rng.random() < 0.6
    return Strike(
        fault=fault,
        node=rng.choice(nodes),
        at=None if at_effect else instant(rng.uniform(0.0, lasts)),
        effect=int(10.0 ** rng.uniform(1.0, 3.5)) if at_effect else 0,
        lasts=instant(window * rng.choice((0.0, 0.2, 1.0, 4.0)) * rng.uniform(0.5, 1.5)),
        ending=rng.choice((Ending.POWER_OLD, Ending.POWER_NEW)),
        write=0 if fault in CRASHES and at_effect and rng.random() < 0.3 else 1,
        ahead=instant(window * rng.uniform(0.5, 5.0)) if fault is Fault.JUMP else 0.0,
    )


def _draw_turns(rng: random.Random, lasts: float, window: float) -> tuple[Turn, ...]:
    total = int(lasts / window * rng.choice((0.0, 0.5, 1.0, 3.0)))
    wanted = rng.sample(CHANGES, rng.randint(1, len(CHANGES)))
    wanted += ["transfer"] * rng.choice((0, 1, 3))
    return tuple(Turn(instant(rng.uniform(0.0, lasts)), rng.choice(wanted)) for _ in range(total))
