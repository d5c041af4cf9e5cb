"""One seed from beginning to end, and what came of it."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from paxos.scenario.commands import Command
from paxos.scenario.happenings import Broke, Happening
from paxos.sim.faults import Fault
from paxos.sim.healing import Healing
from paxos.sim.oversight import NO_SURPRISE
from paxos.sim.run import Run
from paxos.sim.swarm import Plan, Wish, draw_plan


@dataclass(frozen=True)
class Outcome:
    """What came of one seed."""

    plan: Plan
    commands: tuple[Command, ...]
    """All that was done, in order: played again, they give the same run."""

    healed_at: int | None
    """How many of those were done before the cluster was healed, if it ever was."""

    effects: int
    broken: Broke | None
    """The first invariant that was broken, with a sentence."""

    reached: frozenset[str]
    """The invariants that were put to the test, by their IDs."""

    happened: Counter[Fault]
    """How often each kind of fault struck."""

    took: dict[str, float]
    """How many liveness windows it took, once all was well: "leader", "decision" or "answer"."""


def simulate(seed: int, wish: Wish, listen: Callable[[Happening], object] | None = None) -> Outcome:
    """Run one seed: the same outcome each time. `listen` is told of all that happens."""
    plan = draw_plan(seed, wish)
    run = Run(plan, listen)
    healing = Healing(run)
    healed_at: int | None = None
    try:
        run.begin()
        run.go_on(plan.lasts)
        if run.broken is None:
            healed_at = len(run.commands)
            healing.demand()
    except Exception as error:  # noqa: BLE001 - that nothing else is raised is what is tested
        run.find(surprise(error))
    return Outcome(
        plan=plan,
        commands=tuple(run.commands),
        healed_at=healed_at,
        effects=run.stage.effects,
        broken=run.broken,
        reached=frozenset(run.reached),
        happened=run.happened,
        took=healing.took,
    )


def surprise(error: Exception) -> Broke:
    """What it means that this was raised where nothing should be."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{PurePath(frame.filename).name}:{frame.lineno}"
    return Broke(NO_SURPRISE.id, f"{type(error).__name__} at {where}: {error}")
