"""Explore a cluster within bounds, and say what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from paxos.scenario.cluster import Kind
from paxos.scenario.invariants import INVARIANTS
from paxos.verify.counterexample import Counterexample, counterexample
from paxos.verify.model import SOMETIMES, Bounds, Model
from paxos.verify.quiet import ALWAYS, DECIDES, undecided
from paxos.verify.search import Progress, Search, Watch
from paxos.verify.table import Table
from paxos.verify.verdicts import NO_CONFLICT, Violation


@dataclass(frozen=True)
class Always:
    """Something that has to hold in every state, and whether it did in all that were seen."""

    id: str
    sentence: str
    holds: bool


@dataclass(frozen=True)
class Sometimes:
    """Something that a good exploration comes to, and whether this one did."""

    id: str
    sentence: str
    reached: bool


@dataclass(frozen=True)
class Result:
    """What an exploration has found."""

    bounds: Bounds
    progress: Progress
    stopped: str | None
    """Why not all was seen, or None if the exploration is exhausted, or something is wrong."""

    local_states: int
    messages: int
    """Different messages and facts."""

    steps: int
    """How often the library's own code was run."""

    always: tuple[Always, ...]
    sometimes: tuple[Sometimes, ...]
    counterexample: Counterexample | None

    @property
    def exhausted(self) -> bool:
        """Whether every state within the bounds was seen. Nothing less is a proof."""
        return self.stopped is None and self.counterexample is None


@dataclass(frozen=True)
class Plan:
    """How to search. What is found does not depend on it, but for the order."""

    only: str | None = None
    """The one invariant to look at. A mutant breaks others on the way to it."""

    depth_first: bool = False
    watch: Watch = field(default=lambda _: None)


def explore(bounds: Bounds, plan: Plan | None = None) -> Result:
    """See every state within the bounds, or the first that is wrong."""
    plan = Plan() if plan is None else plan
    table = Table(Model(bounds), plan.only)
    search = Search(table, _quiet(table, plan.only), plan.watch)
    if plan.depth_first:
        search.run_depth_first()
    else:
        search.run()
    return result_of(search, plan.only)


def _quiet(table: Table, only: str | None) -> Callable[[int], Violation | None]:
    if only not in (None, DECIDES):
        return lambda _: None
    return lambda state: undecided(table, state)


def result_of(search: Search, only: str | None) -> Result:
    """What a search has found that has ended."""
    table, broken = search.table, search.broken
    wrong = None if broken is None else broken.violation.invariant
    always = [(each.id, each.always) for each in INVARIANTS]
    always.append((NO_CONFLICT, "No node stops over damage, for there is none."))
    if table.model.bounds.cluster.kind is Kind.NODE:
        always.append((DECIDES, ALWAYS))
    sometimes = {each.id: each.sometimes for each in INVARIANTS} | SOMETIMES
    return Result(
        table.model.bounds,
        search.progress,
        search.stopped,
        table.local_states,
        table.messages,
        table.steps,
        tuple(Always(id, text, wrong != id) for id, text in always if only in (None, id)),
        tuple(Sometimes(id, text, id in table.reached) for id, text in sometimes.items()),
        None if broken is None else counterexample(search, broken),
    )
