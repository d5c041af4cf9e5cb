"""What `paxos explore` does: bounds from arguments, a search, and what it has found."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any

from rich.console import Console

from paxos.cli import files
from paxos.cli.answer import FAILED, OK, UNKNOWN, Answer, UnknownOutcomeError
from paxos.cli.explored import Found, as_json, show, show_specification, specification_as_json
from paxos.cli.progress import GIB, Limits, Watcher, memory_there
from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.invariants import INVARIANTS
from paxos.scenario.rule import FoundBy, Rule
from paxos.scenario.rules import rule_of
from paxos.verify import (
    Bounds,
    Plan,
    Result,
    bounds_of,
    separate_roles,
    specification,
)
from paxos.verify import explore as search
from paxos.verify.quiet import DECIDES

CLUSTER_OPTIONS = ("kind", "nodes", "acceptors", "proposers", "values")


def explore(options: argparse.Namespace, out: Console) -> Answer:
    """Explore what was asked for."""
    rule = None if options.breaks is None else rule_of(options.breaks)
    if rule is not None and (options.spec or rule.found_by is FoundBy.EXACT_COUNT):
        return _compare_counts(options, out, rule)
    if options.spec is not None:
        return _count(options, out)
    bounds = bounds_from(options, rule)
    watcher = Watcher(out, limits_from(options))
    plan = Plan(
        only=_only(rule),
        depth_first=options.depth_first,
        symmetry=not options.no_symmetry,
        watch=watcher,
        workers=options.workers or cores(),
        checkpoint=options.checkpoint,
        resume=options.resume,
    )
    try:
        with watcher.shown():
            result = search(bounds, plan)
    except KeyboardInterrupt:
        on = "" if plan.checkpoint is None else f": go on with --resume {plan.checkpoint}"
        raise UnknownOutcomeError(f"interrupted{on}") from None
    found = Found(result, watcher.seconds, watcher.rate(result.progress.states), rule)
    show(found, out)
    if found.played is not None and found.title is not None:
        if options.save is not None:
            files.write_text(options.save, found.played.text, out)
        files.draw(options, out, bounds.cluster, found.happenings, found.title)
    return _verdict(result, rule), as_json(found) | _error(result, rule)


def limits_from(options: argparse.Namespace) -> Limits:
    """At what to end."""
    memory = memory_there() if options.memory is None else int(options.memory * GIB)
    return Limits(options.seconds, options.max_states, memory)


def cores() -> int:
    """How many processes can run at once here."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def bounds_from(options: argparse.Namespace, rule: Rule | None) -> Bounds:
    """Who plays, and how much may happen. Raises `MisuseError` for what does not go together."""
    bounds = _named_bounds(options, rule)
    cluster = replace(bounds.cluster, **_given(options, "phase1", "phase2"))
    given = _given(options, "ballots", "crashes", "timeouts", "hints")
    if cluster.kind is not Kind.HEARTBEAT and (options.timeouts or options.slow_disks):
        raise MisuseError("only heartbeats have timers: give --kind heartbeat, or none of them")
    slow_disks, every_step = options.slow_disks, options.every_step
    return replace(bounds, cluster=cluster, slow_disks=slow_disks, every_step=every_step, **given)


def _named_bounds(options: argparse.Namespace, rule: Rule | None) -> Bounds:
    """The bounds of a rule, or those of the cluster that is described."""
    named = rule if options.like is None else rule_of(options.like)
    if named is not None and not _given(options, *CLUSTER_OPTIONS):
        return bounds_of(named, broken=rule is not None)
    bounds = _bounds_of_cluster(options)
    if rule is None:
        return bounds
    return replace(bounds, cluster=replace(bounds.cluster, breaks=rule.id))


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _bounds_of_cluster(options: argparse.Namespace) -> Bounds:
    apart = options.kind == "roles" or (options.kind is None and options.acceptors is not None)
    if apart:
        return _bounds_of_roles(options)
    if options.acceptors is not None:
        raise MisuseError("acceptors stand apart only with --kind roles: give --nodes")
    kind = Kind.HEARTBEAT if options.kind == "heartbeat" else Kind.NODE
    nodes = options.nodes or 3
    proposers = options.proposers or min(2, nodes)
    if nodes > len(ascii_uppercase) or proposers > nodes:
        raise MisuseError(
            f"{proposers} proposers of {nodes} nodes: give no more proposers than nodes, "
            f"and at most {len(ascii_uppercase)} nodes"
        )
    members = tuple(ascii_uppercase[:nodes])
    proposals = _shared_out(members[:proposers], options.values or proposers)
    timeouts = 2 if kind is Kind.HEARTBEAT else 0
    return Bounds(Cluster(members, kind), proposals, options.ballots or 2, timeouts=timeouts)


def _shared_out(proposers: Sequence[str], values: int) -> tuple[tuple[str, str], ...]:
    """To each its value, and round again while there are more of either."""
    wanted = [name.lower() for name in ascii_uppercase[:values]]
    if len(wanted) < values:
        raise MisuseError(f"at most {len(ascii_uppercase)} values are possible")
    return tuple(
        (proposers[index % len(proposers)], wanted[index % values])
        for index in range(max(len(proposers), values))
    )


def _bounds_of_roles(options: argparse.Namespace) -> Bounds:
    """Any proposer may be asked for any value."""
    if options.nodes is not None:
        raise MisuseError("where roles stand apart, give --acceptors and --proposers, not --nodes")
    ballots = options.ballots or 2
    bounds = separate_roles(
        options.acceptors or 3, options.values or 2, options.proposers or ballots, hints=True
    )
    number = bounds.number if (options.proposers or ballots) >= ballots else None
    return replace(bounds, ballots=ballots, number=number)


def _only(rule: Rule | None) -> str | None:
    """What a rule's mutant breaks. On the way there it may break others."""
    if rule is None:
        return None
    if rule.breaks == "progress":
        return DECIDES
    return rule.breaks if rule.breaks in {each.id for each in INVARIANTS} else None


def _verdict(result: Result, rule: Rule | None) -> int:
    """A search claims that nothing breaks; without a rule, that something does."""
    if result.violation is not None:
        return FAILED if rule is None else OK
    if not result.exhausted:
        return UNKNOWN
    return OK if rule is None else FAILED


def _error(result: Result, rule: Rule | None) -> dict[str, str]:
    """Why the claim does not hold, or nobody knows."""
    if result.violation is not None:
        if rule is not None:
            return {}
        return {"error": f"{result.violation.invariant} is broken: {result.violation.sentence}"}
    if not result.exhausted:
        return {"error": f"not exhausted: {result.stopped}. This proves nothing"}
    if rule is not None:
        return {"error": f"without {rule.id} nothing goes wrong within these bounds"}
    return {}


# Counting the states of the specification.


def _count(options: argparse.Namespace, out: Console) -> Answer:
    bounds = _spec_bounds(options)
    watcher = Watcher(out, limits_from(options))
    with watcher.shown():
        counted = specification(bounds, watcher)
    show_specification(counted, watcher.seconds, out)
    answer = specification_as_json(counted, watcher.seconds)
    if counted.exhausted:
        return OK, answer
    return UNKNOWN, answer | {"error": f"not exhausted: {counted.stopped}. This count is no count"}


def _spec_bounds(options: argparse.Namespace) -> Bounds:
    if options.kind not in (None, "roles") or options.nodes is not None:
        raise MisuseError("in the specification roles stand apart: give --acceptors, not --nodes")
    if options.timeouts is not None or options.proposers is not None or options.like is not None:
        raise MisuseError("in the specification each ballot has one proposer, and no timers")
    if options.checkpoint is not None or options.resume is not None or options.depth_first:
        raise MisuseError("a count is made breadth-first, and at one go")
    if options.save or options.svg or options.mermaid:
        raise MisuseError("a count has no run to show: leave out --save, --svg and --mermaid")
    bounds = separate_roles(
        options.acceptors or 3,
        options.values or 2,
        options.ballots or 2,
        hints=bool(options.hints),
        crashes=options.crashes or 0,
    )
    cluster = replace(bounds.cluster, **_given(options, "phase1", "phase2"))
    return replace(bounds, cluster=cluster, every_step=options.every_step)


def _compare_counts(options: argparse.Namespace, out: Console, rule: Rule) -> Answer:
    """Where no invariant shows a mutant, another number of states may."""
    bounds = _spec_bounds(options)
    watcher = Watcher(out, limits_from(options))
    with watcher.shown():
        right = specification(bounds, watcher)
        broken = replace(bounds, cluster=replace(bounds.cluster, breaks=rule.id))
        wrong = specification(broken, watcher)
    answer = {
        "violated": None,
        "steps": None,
        "scenario": None,
        "distinct": wrong.distinct,
        "specification": right.distinct,
        "exhausted": right.exhausted and wrong.exhausted,
    }
    if not (right.exhausted and wrong.exhausted):
        return UNKNOWN, answer | {"error": f"not exhausted: {wrong.stopped or right.stopped}"}
    sentence = f"{wrong.distinct:,} states, and Lamport's specification has {right.distinct:,}"
    if (wrong.distinct, wrong.depth) == (right.distinct, right.depth):
        same = f"without {rule.id} there are as many states as in Lamport's specification"
        why = "which knows no learners, no heartbeats, and within these bounds no crash"
        return FAILED, answer | {"error": f"{same}, {why}: {right.distinct:,}"}
    out.print(f"without {rule.id}: {sentence}")
    return OK, answer | {"violated": "exact-count", "sentence": sentence}
