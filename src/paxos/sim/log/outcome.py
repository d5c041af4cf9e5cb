"""One seed of a log from beginning to end, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from paxos.histories.history import Event, history_of
from paxos.histories.linearizability import check_history
from paxos.histories.sequential import KeyValue
from paxos.scenario.happenings import Broke
from paxos.sim.faults import Fault
from paxos.sim.log.claims import LINEARIZABLE
from paxos.sim.log.healing import Healing
from paxos.sim.log.plan import LogPlan, LogWish, draw_log_plan
from paxos.sim.log.run import LogRun
from paxos.sim.outcome import surprise

MOST_STATES = 20_000
"""Of the search for an order of one key's operations: a second. Beyond it, nobody knows."""


@dataclass(frozen=True)
class LogOutcome:
    """What came of one seed."""

    plan: LogPlan
    effects: int
    broken: Broke | None
    """The first claim that was broken, with a sentence."""

    reached: frozenset[str]
    """The claims that were put to the test, by their IDs."""

    happened: Counter[Fault]
    """How often each kind of fault struck."""

    took: dict[str, float]
    """How many liveness windows it took, once all was well: "write" and "apply"."""

    events: tuple[Event, ...]
    """What the clients saw."""

    slots: int
    """How many were chosen."""

    undecided: bool
    """Nobody knows whether the history is linearizable: the search was too long."""


def simulate_log(seed: int, wish: LogWish) -> LogOutcome:
    """Run one seed: the same outcome each time."""
    return simulate_plan(draw_log_plan(seed, wish))


def simulate_plan(plan: LogPlan) -> LogOutcome:
    """Run one plan."""
    run = LogRun(plan)
    healing = Healing(run)
    undecided = False
    try:
        run.begin()
        run.go_on(plan.lasts)
        if run.broken is None:
            healing.demand()
        if run.broken is None:
            undecided = _check(run)
    except Exception as error:  # noqa: BLE001 - that nothing else is raised is what is tested
        run.find(surprise(error))
    return LogOutcome(
        plan=plan,
        effects=run.effects,
        broken=run.broken,
        reached=frozenset(run.reached),
        happened=run.happened,
        took=healing.took,
        events=tuple(run.events),
        slots=run.witness.chosen_below,
        undecided=undecided,
    )


def _check(run: LogRun) -> bool:
    """Judge what the clients saw; whether nobody knows."""
    history = history_of(run.events)
    if any(event.type == "info" for event in run.events):
        run.reached_here.add(LINEARIZABLE.id)
    found = check_history(history, KeyValue(), MOST_STATES)
    if found.linearizable is False:
        key, conflict = found.failing[0], found.conflict
        operations = () if conflict is None else conflict.operations
        told = "; ".join(
            f"{o.process}: {o.f} {o.input} gives {o.output} ({o.invoked} to {o.returned})"
            for o in operations
        )
        run.find(Broke(LINEARIZABLE.id, f"no order fits what was seen of {key}: {told}"))
    return found.linearizable is None
