"""Explore a log within bounds, and say what was found. See `explore`: the search is the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from paxos.errors import MisuseError
from paxos.messages import NOTHING_CHOSEN
from paxos.node import Phase
from paxos.proposal_id import NO_PROPOSAL
from paxos.verify.counterexample import actions_to
from paxos.verify.explore import Always, Plan, Sometimes
from paxos.verify.log_bounds import LogBounds
from paxos.verify.log_invariants import BY_THEMSELVES, invariants_of
from paxos.verify.log_model import LogAction, log_of, sometimes
from paxos.verify.log_table import LogSymmetry, LogTable, interchangeable
from paxos.verify.log_words import text_of_action
from paxos.verify.model import Down
from paxos.verify.parallel import run_shared
from paxos.verify.quiet import DECIDES
from paxos.verify.search import Progress, Search
from paxos.verify.symmetry import NamesMatterError
from paxos.verify.verdicts import NO_CONFLICT, Violation

ALWAYS_WHEN_QUIET = (
    "When nothing happens any more by itself, who began the highest ballot leads, and all that it "
    "has proposed is chosen, unless a node is down or it crashed."
)


@dataclass(frozen=True)
class LogCounterexample:
    """A shortest way to what is wrong."""

    actions: tuple[LogAction, ...]
    violation: Violation

    @property
    def steps(self) -> int:
        """How many things happen."""
        return len(self.actions)

    @property
    def text(self) -> str:
        """One step a line, numbered; and what is wrong after the last."""
        lines = [f"{at:3}  {text_of_action(each)}" for at, each in enumerate(self.actions, 1)]
        return "\n".join([*lines, f"BROKEN {self.violation.invariant}: {self.violation.sentence}"])


@dataclass(frozen=True)
class LogResult:
    """What an exploration of a log has found. See `Result`."""

    bounds: LogBounds
    progress: Progress
    stopped: str | None
    local_states: int
    messages: int
    steps: int
    renamings: int
    always: tuple[Always, ...]
    sometimes: tuple[Sometimes, ...]
    violation: Violation | None
    counterexample: LogCounterexample | None

    @property
    def exhausted(self) -> bool:
        """Whether every state within the bounds was seen. Nothing less is a proof."""
        return self.stopped is None and self.violation is None


def explore_log(bounds: LogBounds, plan: Plan | None = None) -> LogResult:
    """See every state within the bounds, or the first that is wrong.

    With one crash, one search after the other: in each of them another node may crash. Raises
    `MisuseError` for a checkpoint, for there is none of a log, and `FaultError` if a worker is
    killed.
    """
    plan = Plan() if plan is None else plan
    if plan.checkpoint is not None or plan.resume is not None:
        raise MisuseError("a log is explored at one go: leave out the checkpoint")
    if bounds.crashes != 1 or bounds.crashing is not None or bounds.every_step:
        return _of_names(bounds, plan)
    results = [_of_names(each, plan) for each in _one_by_one(bounds)]
    return _together(bounds, results)


def _one_by_one(bounds: LogBounds) -> list[LogBounds]:
    """The same bounds, in each of which one node may crash. Of nodes that are alike, one does."""
    alike = interchangeable(bounds)[1:]
    nodes = [node_id for node_id in bounds.node_ids if node_id not in alike]
    return [replace(bounds, crashing=(node_id,)) for node_id in nodes]


def _of_names(bounds: LogBounds, plan: Plan) -> LogResult:
    if plan.symmetry and interchangeable(bounds):
        try:
            return _explored(bounds, plan)
        except NamesMatterError:  # a mutant may tell names apart
            pass
    return _explored(bounds, replace(plan, symmetry=False))


def _explored(bounds: LogBounds, plan: Plan) -> LogResult:
    search = _search(bounds, plan)
    if plan.depth_first:
        search.run_depth_first()
        violation = None if search.broken is None else search.broken.violation
    else:
        violation = run_shared(search, plan.workers)
    if violation is not None and search.broken is None:
        search = _search(bounds, plan)  # see `explore`: one process tells the way
        search.run()
    if search.symmetry is not None and search.stopped is None:
        search.symmetry.demand_no_flaw()
    return _result(search, bounds, plan.only, violation)


def _search(bounds: LogBounds, plan: Plan) -> Search:
    table = LogTable(bounds, plan.only)
    is_symmetric = plan.symmetry and bool(interchangeable(bounds))

    def quiet(state: int) -> Violation | None:
        return undecided(table, state) if plan.only in (None, DECIDES) else None

    return Search(table, quiet, plan.watch, LogSymmetry(table) if is_symmetric else None)


def undecided(table: LogTable, state: int) -> Violation | None:
    """What is wrong with a quiet state of a log: something should have been decided.

    Whose ballot was under way when the members changed asks the new ones when it sends again: so
    where members change this is asked of logs only that send again.
    """
    bounds = table.log_bounds
    if bounds.changes and not bounds.again:
        return None
    locals_: list[Any] = table.settled(state)
    if any(map(_is_held_up, locals_)):
        return None
    logs = [log_of(each) for each in locals_]
    owner = max(logs, key=lambda log: log.ballot)
    if owner.ballot == NO_PROPOSAL or owner.phase is Phase.IDLE:
        return None
    why = f"nothing happens any more, nobody outbids {owner.ballot}, and "
    if not owner.leads:
        return Violation(DECIDES, f"{why}{owner.node_id} does not lead")
    for slot in range(owner.chosen_below, owner.next_slot):
        if owner.node_at(slot).learner.chosen is NOTHING_CHOSEN:
            return Violation(DECIDES, f"{why}{owner.node_id} knows no decision in slot {slot}")
    return None


def _is_held_up(local: Any) -> bool:
    """Whether a node is down, or its disk does not come to an end."""
    if isinstance(local, Down) or local.writing is not None:
        return True
    return local.snapshot.stopped is not None


def _result(
    search: Search, bounds: LogBounds, only: str | None, violation: Violation | None
) -> LogResult:
    table, broken = search.table, search.broken
    invariants = invariants_of(bounds)
    always = [(each.id, each.always) for each in invariants]
    always += [*BY_THEMSELVES, (NO_CONFLICT, "No node stops over damage, for there is none.")]
    if not bounds.changes or bounds.again:
        always.append((DECIDES, ALWAYS_WHEN_QUIET))
    possible = {each.id: each.sometimes for each in invariants if _is_possible(each.id, bounds)}
    possible |= sometimes(bounds)
    wrong = None if violation is None else violation.invariant
    return LogResult(
        bounds,
        search.progress,
        search.stopped or (bounds.left_out if violation is None else None),
        table.local_states,
        table.messages,
        table.steps,
        1 if search.symmetry is None else search.symmetry.order,
        tuple(Always(id, text, wrong != id) for id, text in always if only in (None, id)),
        tuple(Sometimes(id, text, id in table.reached) for id, text in possible.items()),
        violation,
        None if broken is None else _counterexample(search),
    )


def _counterexample(search: Search) -> LogCounterexample | None:
    if search.broken is None:
        return None
    actions, violation = actions_to(search, search.broken)
    return LogCounterexample(tuple(cast("Iterable[Any]", actions)), violation)


def _is_possible(invariant: str, bounds: LogBounds) -> bool:
    """Whether its "sometimes" can come true within these bounds."""
    match invariant:
        case "within-the-window":
            return bounds.slots > bounds.window
        case "chosen-below-is-chosen":
            return bool(bounds.who_is_taught)
        case "agreement" | "promise-kept" | "promise-tells-all":
            return bounds.ballots > 1
        case "promises-allow-it" | "validity":
            return bounds.ballots > 1 and min(bounds.slots, bounds.window) > 1
        case _:
            return True


def _together(bounds: LogBounds, results: list[LogResult]) -> LogResult:
    """Several searches as one: each saw another node crash."""
    progress, of = Progress(0), [each.progress for each in results]
    for name in ("states", "transitions", "frontier", "quiet"):
        setattr(progress, name, sum(getattr(each, name) for each in of))
    progress.depth, progress.bytes = max(p.depth for p in of), max(p.bytes for p in of)
    broken = [each for each in results if each.violation is not None]
    first = min(broken, key=_length, default=results[0])
    stopped = next((each.stopped for each in results if each.stopped is not None), None)
    reached = {some.id for each in results for some in each.sometimes if some.reached}
    return replace(
        first,
        bounds=bounds,
        progress=progress,
        stopped=stopped,
        local_states=sum(each.local_states for each in results),
        messages=max(each.messages for each in results),
        steps=sum(each.steps for each in results),
        renamings=max(each.renamings for each in results),
        sometimes=tuple(replace(each, reached=each.id in reached) for each in first.sometimes),
    )


def _length(result: LogResult) -> int:
    found = result.counterexample
    return 1 << 30 if found is None else found.steps
