"""Explore a cluster within bounds, and say what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from paxos.errors import MisuseError
from paxos.scenario.cluster import Kind
from paxos.verify.checkpoint import Keeper, resume
from paxos.verify.counterexample import Counterexample, counterexample
from paxos.verify.model import Bounds, Model, sometimes
from paxos.verify.parallel import run_shared
from paxos.verify.quiet import ALWAYS, DECIDES, undecided
from paxos.verify.search import Progress, Search, Watch
from paxos.verify.symmetry import NamesMatterError, Symmetry, pays
from paxos.verify.table import Table
from paxos.verify.unread import ReadAfterAllError, demand_unread
from paxos.verify.verdicts import EXPLORED, NO_CONFLICT, Violation


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

    renamings: int
    """For how many states each may stand that was seen: they differ by names alone."""

    always: tuple[Always, ...]
    sometimes: tuple[Sometimes, ...]
    violation: Violation | None
    """What is wrong, or None."""

    counterexample: Counterexample | None
    """The way to it. If there is none, the search for it was stopped."""

    @property
    def exhausted(self) -> bool:
        """Whether every state within the bounds was seen. Nothing less is a proof."""
        return self.stopped is None and self.violation is None


@dataclass(frozen=True)
class Plan:
    """How to search. What is found does not depend on it, but for the order.

    Raises `MisuseError` for less than one worker, and for a checkpoint of a depth-first search.
    """

    only: str | None = None
    """The one invariant to look at. A mutant breaks others on the way to it. With agreement alone
    nobody asks whether what a node learns was chosen: that is an invariant of its own."""

    depth_first: bool = False

    symmetry: bool = True
    """Whether one state may stand for all that differ by names alone, where that pays."""

    forgetting: bool = True
    """Whether nodes with heartbeats forget what can make no difference any more."""

    watch: Watch = field(default=lambda _: None)

    workers: int = 1
    """How many processes may search breadth-first, once the search has become large."""

    checkpoint: Path | None = None
    """Where to write down how far it is: when it stops, when it is interrupted, and whenever the
    states have doubled."""

    resume: Path | None = None
    """A checkpoint to go on from."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise MisuseError("a search takes one worker or more")
        if self.depth_first and (self.checkpoint or self.resume):
            raise MisuseError("a depth-first search keeps no checkpoint: search breadth-first")


def explore(bounds: Bounds, plan: Plan | None = None) -> Result:
    """See every state within the bounds, or the first that is wrong.

    Raises `FaultError` for a checkpoint that cannot be read, used or written, or if a worker is
    killed, and `MisuseError` for a checkpoint of other bounds.
    """
    plan = Plan() if plan is None else plan
    plan = replace(plan, symmetry=plan.symmetry and pays(bounds))
    while True:
        try:
            return _explored(bounds, plan)
        except NamesMatterError:  # a mutant may tell names apart
            plan = replace(plan, symmetry=False, resume=None)
        except ReadAfterAllError:  # and the library may come to read more than it did
            plan = replace(plan, forgetting=False, resume=None)


def _explored(bounds: Bounds, plan: Plan) -> Result:
    search = _search(bounds, plan)
    violation = _run(search, plan)
    if violation is not None and search.broken is None:
        # Several processes have found it, and none knows the way. So that it does not depend on
        # their number, one tells it: a search of its own, which ends on the same level.
        search = _search(bounds, plan)
        search.run()
    if search.symmetry is not None and search.stopped is None:
        search.symmetry.demand_no_flaw()
    if search.table.forgets and search.stopped is None:
        demand_unread(search.table)
    return _result(search, plan.only, violation)


def _search(bounds: Bounds, plan: Plan) -> Search:
    table = Table(Model(bounds, forgets=plan.forgetting), plan.only)
    symmetry = Symmetry(table) if plan.symmetry else None
    return Search(table, _quiet(table, plan.only), plan.watch, symmetry)


def _run(search: Search, plan: Plan) -> Violation | None:
    """Search as planned, and tell what is wrong."""
    of = _named_bounds(search.table.model.bounds, plan)
    if plan.resume is not None:
        resume(plan.resume, of, search)
    if plan.depth_first:
        search.run_depth_first()
        return None if search.broken is None else search.broken.violation
    if plan.checkpoint is None:
        return run_shared(search, plan.workers)
    with Keeper(plan.checkpoint, of) as keeper:
        search.keep = keeper
        return run_shared(search, plan.workers)


def _named_bounds(bounds: Bounds, plan: Plan) -> dict[str, str]:
    """What a checkpoint must agree on."""
    named = {part: repr(getattr(plan, part)) for part in ("only", "symmetry", "forgetting")}
    for part in (bounds, bounds.cluster):
        named |= {each.name: repr(getattr(part, each.name)) for each in fields(part)}
    del named["cluster"]
    return named


def _quiet(table: Table, only: str | None) -> Callable[[int], Violation | None]:
    if only not in (None, DECIDES):
        return lambda _: None
    return lambda state: undecided(table, state)


def _result(search: Search, only: str | None, violation: Violation | None) -> Result:
    """What a search has found that has ended."""
    table, broken = search.table, search.broken
    wrong = None if violation is None else violation.invariant
    always = [(each.id, each.always) for each in EXPLORED]
    always.append((NO_CONFLICT, "No node stops over damage, for there is none."))
    if table.model.bounds.cluster.kind is Kind.NODE:
        always.append((DECIDES, ALWAYS))
    possible = {each.id: each.sometimes for each in EXPLORED} | sometimes(table.model.bounds)
    return Result(
        table.model.bounds,
        search.progress,
        search.stopped or (table.model.bounds.left_out if violation is None else None),
        table.local_states,
        table.messages,
        table.steps,
        1 if search.symmetry is None else search.symmetry.order,
        tuple(Always(id, text, wrong != id) for id, text in always if only in (None, id)),
        tuple(Sometimes(id, text, id in table.reached) for id, text in possible.items()),
        violation,
        None if broken is None else counterexample(search, broken),
    )
