"""What a seed draws: the nodes, the world around them, and what happens to them.

Each run has habits of its own: which kinds of faults it has at all, how many of each, and how bad
they are. Runs that each leave some faults out find more than runs that all have a little of
everything (Groce, Zhang, Eide, Chen, Regehr, *Swarm Testing*, ISSTA 2012).

Nothing is drawn that the algorithm does not claim to survive. Safety it claims whatever happens,
but for disks that lose what they acknowledged without a trace. Progress it claims once quorums of
both phases are well: so only so many disks rot that these are left, and the `Plan` says who is
healed in the end. A rotten disk is found, and its node stays down. No disk is wiped: the second
disk of a node is refused by those who knew the first, and by nobody else. So safety is not claimed
where a member loses its disk, nor where a proposer does, which may then use a ballot again.
"""

from __future__ import annotations

import enum
import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, TypeAlias

from paxos.errors import MisuseError
from paxos.messages import (
    Accept,
    Accepted,
    Chosen,
    Heartbeat,
    HeartbeatAnswer,
    Nack,
    Prepare,
    Promise,
    Request,
)
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.commands import Ending
from paxos.sim.faults import (
    ALL_FAULTS,
    CRASHES,
    CUTS,
    FAILURES,
    STORM,
    WEATHER,
    Fault,
)
from paxos.timing import Timing

MOST_NODES = 15
"""Larger clusters show nothing new, and take long."""

WORDS: tuple[type[Any], ...] = (
    Prepare, Promise, Accept, Accepted, Nack, Chosen, Request, Heartbeat, HeartbeatAnswer
)  # fmt: skip
"""The kinds of messages, each of which may have its own bad luck."""

OF_THEIR_OWN = (Fault.OPENING,)
"""Kinds that have dice of their own, so that they change nothing else of what a seed draws."""

MOST_WRITES = 3
"""Of an opening, into which a crash may fall. Most have one, and two or three if there is something
to mend; beyond the last, the crash falls at the end of opening."""

VALUES = ("tea", "coffee", "milk", "water")

STRIKING = (*CRASHES, *FAILURES, Fault.PAUSE, Fault.HANG, Fault.JUMP)
"""What comes and goes, at any time."""

Link: TypeAlias = tuple[str, str]
"""From, to."""

Span: TypeAlias = tuple[float, float]
"""Between so many and so many seconds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. Within that, each seed draws."""

    fewest: int = 3
    most: int = 5
    """Members of the cluster."""

    faults: tuple[Fault, ...] = ALL_FAULTS
    kind: Kind | None = None
    """Either, unless given."""

    breaks: str | None = None
    """The rule that all nodes drop."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most <= MOST_NODES:
            raise MisuseError(f"ask for 1 to {MOST_NODES} nodes, fewest first: 3..5 for instance")


@dataclass(frozen=True, slots=True)
class Conditions:
    """How network and disks are from day to day."""

    latency: Span = (0.001, 0.02)
    sync: Span = (0.001, 0.01)
    in_order: bool = True
    """Whether messages on one link stay in order."""

    repeats: float = 0.0
    """The share of messages that arrive twice."""

    loss: Mapping[type[Any], float] = field(default_factory=dict[type[Any], float])
    """The share of each kind of messages that is lost."""

    bad_links: Mapping[Link, float] = field(default_factory=dict[Link, float])
    """The share of messages that is lost on some links, beside that."""

    late: Mapping[type[Any], float] = field(default_factory=dict[type[Any], float])
    """The share of each kind of messages that is held up."""

    held_up: Span = (0.0, 0.0)


CALM = Conditions()
"""Once all is well: a message and a persist together take a tenth of a liveness window at most."""


@dataclass(frozen=True, slots=True)
class Spell:
    """From this instant on, conditions are these."""

    at: float
    conditions: Conditions
    cut: Fault | None
    links: tuple[Link, ...]
    """What is cut, and which kind of fault that is."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that begins at some time or at some effect, and has an end."""

    fault: Fault
    node: str
    """Whom it strikes. One that strikes at an effect strikes the node at which that is."""

    at: float | None
    """When (seconds), or None for one that strikes at an effect."""

    effect: int
    """At which effect of the run, for that one."""

    lasts: float
    """Seconds until it is over. For a crash or a failure, until the node restarts."""

    ending: Ending = Ending.KILL_WRITTEN
    """What a crash leaves of a persist under way, or of what opening writes."""

    write: int = 1
    """Of a crash in an opening: into which of its writes it falls."""

    rate: float = 1.0
    ahead: float = 0.0
    """What it makes of a clock."""


@dataclass(frozen=True, slots=True)
class Demand:
    """An application asks a node for a value."""

    at: float
    node: str
    value: str


class Unwell(enum.Enum):
    """What may be wrong for good with a node that the others do not need."""

    DOWN = "it is down"
    HUNG = "its disk hangs"
    CUT_OFF = "nobody hears it, and it hears nobody"
    MUTE = "nobody hears it"
    DEAF = "it hears nobody"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it is run. What is left to chance is the fate of each message and persist."""

    seed: int
    cluster: Cluster
    faults: tuple[Fault, ...]
    """The kinds that this run has."""

    spells: tuple[Spell, ...]
    """The first begins at 0."""

    strikes: tuple[Strike, ...]
    demands: tuple[Demand, ...]
    patience: float
    """Seconds after which an application tells a node without timers to send again."""

    retry: float
    """Seconds, at most, until it proposes again after it has lost a ballot; 0 for never."""

    impatient: bool
    """Whether an application that asks again restarts a node without timers first, and so ends the
    ballot that is under way."""

    lasts: float
    """Seconds after which the faults end."""

    healed: tuple[str, ...]
    """Who is well then: quorums of both phases."""

    unwell: tuple[tuple[str, Unwell], ...]
    """The rest, and what is wrong with each for good."""

    afterwards: tuple[str, ...]
    """Who of the healed is asked for a value at once."""


def draw_plan(seed: int, wish: Wish) -> Plan:
    """The run of this seed: the same for the same wish, under any hash seed."""
    cluster = _draw_cluster(dice(seed, "cluster"), seed, wish)
    rng = dice(seed, "faults")
    is_storm = cluster.kind is Kind.NODE and rng.random() < 0.5
    faults = _draw_kinds(rng, wish.faults, is_storm=is_storm)
    lasts = instant(cluster.timing.window * rng.choice((2, 4, 8)) * rng.uniform(0.5, 1.5))
    spells = (
        _draw_storm(rng, faults) if is_storm else draw_spells(rng, cluster.node_ids, faults, lasts)
    )
    strikes = _draw_strikes(rng, cluster, faults, lasts)
    rotten = [strike.node for strike in strikes if strike.fault is Fault.ROT]
    healed = _draw_healed(rng, cluster, faults, rotten)
    if Fault.OPENING in wish.faults and not is_storm:
        crashes = _draw_crashes_in_openings(dice(seed, "openings"), cluster, lasts)
        faults, strikes = faults + (Fault.OPENING,) * bool(crashes), strikes + crashes
    rng = dice(seed, "values")
    demands = _draw_demands(rng, cluster, lasts, is_storm=is_storm)
    return Plan(
        seed=seed,
        cluster=cluster,
        faults=faults,
        spells=spells,
        strikes=strikes,
        demands=demands,
        patience=instant(cluster.timing.window * rng.uniform(0.1, 1.0)),
        retry=rng.choice((0.0, 0.05, 0.1)),
        impatient=Fault.KILL in faults and not is_storm,
        lasts=lasts,
        healed=healed,
        unwell=_draw_unwell(rng, cluster, healed, rotten),
        afterwards=rng.choice(((), (rng.choice(healed),), healed)),
    )


def dice(seed: int, purpose: str) -> random.Random:
    """The source of luck of this seed for one purpose: to draw more for one changes no other.

    Seeded by a text, which does not depend on how Python hashes.
    """
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 - to be repeated is what it is for


def _draw_cluster(rng: random.Random, seed: int, wish: Wish) -> Cluster:
    total = rng.randint(wish.fewest, wish.most)
    kind = rng.choice(tuple(Kind)) if wish.kind is None else wish.kind
    phase1 = phase2 = None
    if rng.random() < 0.4:
        phase1 = rng.randint(1, total)
        phase2 = rng.randint(total + 1 - phase1, total)
    names = string.ascii_uppercase[: total + 1]
    return Cluster(
        members=tuple(names[:total]),
        kind=kind,
        proposers=tuple(names[total:]) if rng.random() < 0.15 else (),
        phase1=phase1,
        phase2=phase2,
        breaks=wish.breaks,
        timing=Timing(seed=seed),
    )


def _draw_kinds(
    rng: random.Random, faults: Sequence[Fault], *, is_storm: bool
) -> tuple[Fault, ...]:
    """Each in or out by itself, but for those in `OF_THEIR_OWN`; runs differ in how many are in.

    In a storm all machines are well, but for a few kills, and the network is at its worst. The
    deepest mistakes need many ballots at once, and for these machines must be up.
    """
    if is_storm:
        share = {Fault.LOSS: 1.0, Fault.REORDER: 1.0, **dict.fromkeys(STORM, 0.25)}
    else:
        share = dict.fromkeys(Fault, rng.choice((0.05, 0.2, 0.4, 0.6)))
    drawn = (fault for fault in faults if fault not in OF_THEIR_OWN)
    return tuple(fault for fault in drawn if rng.random() < share.get(fault, 0.0))


def _draw_storm(rng: random.Random, faults: Sequence[Fault]) -> tuple[Spell, ...]:
    """Few accept, and those who hear that all did are fewer still."""
    some = {Accept: rng.choice((0.4, 0.7)), Chosen: 0.9}
    loss = rng.choice((some, dict.fromkeys(WORDS, rng.choice((0.3, 0.5)))))
    window = Timing().window
    conditions = Conditions(
        latency=(0.001, window if Fault.REORDER in faults else 0.05),
        in_order=Fault.REORDER not in faults,
        repeats=0.1 if Fault.REPEAT in faults else 0.0,
        loss=loss if Fault.LOSS in faults else {},
        late=dict.fromkeys(WORDS, 0.1) if Fault.LATE in faults else {},
        held_up=(window, 4.0 * window),
    )
    return (Spell(0.0, conditions, None, ()),)


def draw_spells(
    rng: random.Random,
    nodes: Sequence[str],
    faults: Sequence[Fault],
    lasts: float,
    words: Sequence[type[Any]] = WORDS,
) -> tuple[Spell, ...]:
    """Bad luck comes in spells: if it were always bad, nothing would ever come about."""
    spells: list[Spell] = []
    cuts = [fault for fault in faults if fault in CUTS]
    badness, span = rng.choice((0.4, 0.7, 1.0)), rng.choice((0.5, 1.0, 2.0))
    at = 0.0
    while at < lasts:
        luckless = [fault for fault in faults if fault not in WEATHER or rng.random() < badness]
        conditions = _draw_conditions(rng, luckless, nodes, words)
        cut = rng.choice(cuts) if cuts and rng.random() < 0.6 else None
        links = () if cut is None else _draw_links(rng, cut, nodes)
        spells.append(Spell(at, conditions, cut, links))
        at = instant(at + Timing().window * span * rng.uniform(0.5, 1.5))
    return tuple(spells)


def _draw_conditions(
    rng: random.Random,
    faults: Sequence[Fault],
    nodes: Sequence[str],
    words: Sequence[type[Any]],
) -> Conditions:
    slowest = rng.choice((0.005, 0.02, 0.1))
    if Fault.REORDER in faults:
        slowest = rng.choice((0.03, 0.1, 0.3))
    sync = (0.1, 0.25) if Fault.SLOW in faults else (0.001, rng.choice((0.002, 0.01, 0.03)))
    window = Timing().window
    return Conditions(
        latency=(0.001, slowest),
        sync=sync,
        in_order=Fault.REORDER not in faults,
        repeats=rng.choice((0.05, 0.2, 0.5)) if Fault.REPEAT in faults else 0.0,
        loss=_draw_shares(rng, words) if Fault.LOSS in faults else {},
        bad_links=_draw_bad_links(rng, nodes) if Fault.LOSS in faults else {},
        late=_draw_shares(rng, words) if Fault.LATE in faults else {},
        held_up=(0.5 * window, window * rng.choice((1, 4, 10))),
    )


def _draw_shares(rng: random.Random, words: Sequence[type[Any]]) -> dict[type[Any], float]:
    """A share of all messages, or a large one of some kinds alone."""
    if rng.random() < 0.4:
        return dict.fromkeys(words, rng.choice((0.05, 0.3, 0.5)))
    return dict.fromkeys(rng.sample(words, rng.randint(1, 5)), rng.choice((0.5, 0.8, 0.95)))


def _draw_bad_links(rng: random.Random, nodes: Sequence[str]) -> dict[Link, float]:
    share = rng.choice((0.0, 0.2, 0.4))
    return {
        link: rng.choice((0.3, 0.7, 1.0)) for link in permutations(nodes, 2) if rng.random() < share
    }


def _draw_strikes(
    rng: random.Random, cluster: Cluster, faults: Sequence[Fault], lasts: float
) -> tuple[Strike, ...]:
    """In the order of their kinds."""
    strikes: list[Strike] = []
    if Fault.DRIFT in faults:
        strikes += [_draw_drift(rng, node) for node in cluster.node_ids]
    if Fault.ROT in faults:
        strikes += _draw_rot(rng, cluster, lasts)
    striking = [fault for fault in faults if fault in STRIKING]
    if striking:
        total = 1 + int(lasts / cluster.timing.window * rng.choice((0.3, 1.0, 3.0)))
        strikes += [_draw_strike(rng, cluster, rng.choice(striking), lasts) for _ in range(total)]
    return tuple(strikes)


def _draw_strike(rng: random.Random, cluster: Cluster, fault: Fault, lasts: float) -> Strike:
    node = rng.choice(cluster.node_ids)
    window = cluster.timing.window
    at_effect = fault is Fault.TEAR or rng.random() < 0.6
    return Strike(
        fault=fault,
        node=node,
        at=None if at_effect else instant(rng.uniform(0.0, lasts)),
        effect=int(10.0 ** rng.uniform(0.5, 2.7)) if at_effect else 0,
        lasts=instant(window * rng.choice((0.0, 0.2, 1.0, 4.0)) * rng.uniform(0.5, 1.5)),
        ending=_draw_ending(rng, fault),
        ahead=instant(window * rng.uniform(0.5, 5.0)) if fault is Fault.JUMP else 0.0,
    )


def _draw_crashes_in_openings(
    rng: random.Random, cluster: Cluster, lasts: float
) -> tuple[Strike, ...]:
    """In some runs, a few."""
    total = rng.randint(1, 6) if rng.random() < 0.3 else 0
    return tuple(
        Strike(
            fault=Fault.OPENING,
            node=rng.choice(cluster.node_ids),
            at=instant(rng.uniform(0.0, lasts)),
            effect=0,
            lasts=instant(cluster.timing.window * rng.choice((0.0, 0.2, 1.0))),
            ending=rng.choice(tuple(Ending)),
            write=rng.randint(1, MOST_WRITES),
        )
        for _ in range(total)
    )


def _draw_ending(rng: random.Random, fault: Fault) -> Ending:
    match fault:
        case Fault.POWER:
            return rng.choice((Ending.POWER_OLD, Ending.POWER_NEW))
        case Fault.TEAR:
            return Ending.POWER_TORN
        case _:
            return rng.choice((Ending.KILL_WRITTEN, Ending.KILL_UNWRITTEN))


def _draw_drift(rng: random.Random, node: str) -> Strike:
    rate = round(2.0 ** rng.uniform(-1.0, 1.0), 2)
    return Strike(Fault.DRIFT, node, 0.0, 0, 0.0, rate=rate)


def _draw_rot(rng: random.Random, cluster: Cluster, lasts: float) -> list[Strike]:
    """Of so many members that quorums of both phases are left."""
    spare = len(cluster.members) - _needed(cluster)
    victims = rng.sample(cluster.members, rng.randint(0, spare))
    return [Strike(Fault.ROT, v, instant(rng.uniform(0.0, lasts)), 0, 0.0) for v in victims]


def _needed(cluster: Cluster) -> int:
    """How many members make quorums of both phases."""
    return max(cluster.real_quorums.phase1, cluster.real_quorums.phase2)


def _draw_links(rng: random.Random, fault: Fault, nodes: Sequence[str]) -> tuple[Link, ...]:
    """The links that this fault cuts."""
    if len(nodes) < 2:
        return ()
    shuffled = rng.sample(nodes, len(nodes))
    half = rng.randint(1, len(nodes) - 1)
    match fault:
        case Fault.ONE_WAY:
            return ((shuffled[0], shuffled[1]),)
        case Fault.LINK:
            return between(shuffled[:1], shuffled[1:2])
        case Fault.PARTITION:
            return between(shuffled[:half], shuffled[half:])
        case Fault.BRIDGE:
            return between(shuffled[1:half], shuffled[half:])
        case _:
            share = rng.choice((0.2, 0.5, 0.8))
            return tuple(link for link in permutations(nodes, 2) if rng.random() < share)


def between(some: Sequence[str], others: Sequence[str]) -> tuple[Link, ...]:
    """All links between two groups, both ways."""
    return tuple(link for one in some for other in others for link in ((one, other), (other, one)))


def _draw_healed(
    rng: random.Random, cluster: Cluster, faults: Sequence[Fault], rotten: Sequence[str]
) -> tuple[str, ...]:
    """All that are not rotten, or fewer, but as many as quorums need."""
    sound = [node for node in cluster.members if node not in rotten]
    if faults and rng.random() < 0.4:
        sound = sorted(rng.sample(sound, rng.randint(_needed(cluster), len(sound))))
    return (*sound, *cluster.proposers)


def _draw_unwell(
    rng: random.Random, cluster: Cluster, healed: Sequence[str], rotten: Sequence[str]
) -> tuple[tuple[str, Unwell], ...]:
    rest = [node for node in cluster.node_ids if node not in healed]
    return tuple(
        (node, Unwell.DOWN if node in rotten else rng.choice(tuple(Unwell))) for node in rest
    )


def _draw_demands(
    rng: random.Random, cluster: Cluster, lasts: float, *, is_storm: bool
) -> tuple[Demand, ...]:
    """Who is asked for what, and when. Without heartbeats it takes asking again and again."""
    nodes, until = cluster.node_ids, lasts
    if not is_storm:
        nodes = tuple(rng.sample(nodes, rng.randint(1, len(nodes))))
    if cluster.kind is Kind.NODE:
        total = 1 + int(lasts / (0.05 if is_storm else rng.choice((0.05, 0.1, 0.3))))
    else:
        total, until = rng.randint(1, 2 * len(nodes)), lasts * rng.choice((0.1, 0.5, 1.0))
    values = VALUES[: rng.randint(1, len(VALUES))]
    wanted = {node: VALUES[place % len(VALUES)] for place, node in enumerate(nodes)}
    demands: list[Demand] = []
    for _ in range(total):
        node = rng.choice(nodes)
        value = wanted[node] if is_storm else rng.choice(values)
        demands.append(Demand(instant(rng.uniform(0.0, until)), node, value))
    return tuple(demands)


def instant(seconds: float) -> float:
    """On the grid of all instants, microseconds: so that its text is short and exact."""
    return round(seconds, 6)
