"""What `paxos explore --kind log` does: bounds from arguments, a search, and what it has found."""

from __future__ import annotations

import argparse
from string import ascii_uppercase
from typing import Any

from rich.console import Console
from rich.text import Text

from paxos.cli.answer import FAILED, OK, UNKNOWN, Answer, UnknownOutcomeError
from paxos.cli.exploration import cores, limits_from
from paxos.cli.explored import result_as_json, show_result
from paxos.cli.progress import Watcher
from paxos.errors import MisuseError
from paxos.verify import Plan
from paxos.verify.log_bounds import LogBounds
from paxos.verify.log_explore import LogResult, explore_log

OF_A_LOG = ("slots", "window", "page", "asked", "taught", "change", "again")
OF_ONE_DECISION = (
    *("values", "phase1", "phase2", "breaks", "like", "spec", "timeouts", "slow_disks"),
    *("checkpoint", "resume", "save", "svg", "mermaid"),
)

APART = "PQRSTUVWXYZ"
"""The names of proposers that stand apart from the members A, B, C ..."""


def demand_no_log(options: argparse.Namespace) -> None:
    """Raise `MisuseError` if something was given that means nothing to one decision."""
    for name in OF_A_LOG:
        if getattr(options, name):
            raise MisuseError(f"--{name} is for --kind log")


def explore(options: argparse.Namespace, out: Console) -> Answer:
    """Explore the log that is described."""
    bounds = bounds_from(options)
    watcher = Watcher(out, limits_from(options))
    plan = Plan(
        depth_first=options.depth_first,
        symmetry=not options.no_symmetry,
        watch=watcher,
        workers=options.workers or cores(),
    )
    try:
        with watcher.shown():
            result = explore_log(bounds, plan)
    except KeyboardInterrupt:
        raise UnknownOutcomeError("interrupted") from None
    seconds, rate = watcher.seconds, watcher.rate(result.progress.states)
    show_result(result, seconds, rate, out)
    _show_way(result, out)
    wrong = result.counterexample
    answer = result_as_json(result, seconds, rate) | {
        "scenario": None,
        "transcript": None if wrong is None else wrong.text,
    }
    return _verdict(result), answer | _error(result)


def _show_way(result: LogResult, out: Console) -> None:
    wrong = result.counterexample
    if wrong is None:
        return
    out.print()
    for line in wrong.text.splitlines():
        out.print(Text(line, "bold red" if line.startswith("BROKEN") else ""))


def _verdict(result: LogResult) -> int:
    if result.violation is not None:
        return FAILED
    return OK if result.exhausted else UNKNOWN


def _error(result: LogResult) -> dict[str, str]:
    if result.violation is not None:
        return {"error": f"{result.violation.invariant} is broken: {result.violation.sentence}"}
    if not result.exhausted:
        return {"error": f"not exhausted: {result.stopped}. This proves nothing"}
    return {}


def bounds_from(options: argparse.Namespace) -> LogBounds:
    """Who plays, and how much may happen. Raises `MisuseError` for what does not go together."""
    for name in OF_ONE_DECISION:
        if getattr(options, name) not in (None, False):
            raise MisuseError(f"--{name.replace('_', '-')} means nothing to a log: leave it out")
    members, proposers = _who(options)
    ballots = options.ballots or 2
    apart = options.acceptors is not None
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("slots", "window", "page", "crashes")
        if getattr(options, name) is not None
    }
    return LogBounds(
        members,
        proposers,
        ballots=ballots,
        number=1 if apart and len(proposers) >= ballots else None,
        asked=None if options.asked is None else _names(options.asked),
        taught=_taught(options),
        changes=tuple(map(_names, options.change or ())),
        refusals=bool(options.hints),
        again=options.again,
        every_step=options.every_step,
        **given,
    )


def _who(options: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The members, and the proposers, which are among them unless they stand apart."""
    if options.acceptors is not None and options.nodes is not None:
        raise MisuseError("give --nodes, or --acceptors and --proposers that stand apart")
    apart = options.acceptors is not None
    members = options.acceptors or options.nodes or 3
    proposers = options.proposers or (2 if apart else min(2, members))
    most = len(ascii_uppercase) - len(APART)
    if members > most or proposers > (len(APART) if apart else members):
        raise MisuseError(f"at most {most} members, and no more proposers than there are nodes")
    names = tuple(ascii_uppercase[:members])
    return names, tuple(APART[:proposers]) if apart else names[:proposers]


def _taught(options: argparse.Namespace) -> tuple[str, ...] | None:
    if options.taught is not None:
        return () if options.taught == "none" else _names(options.taught)
    return () if options.hints is False else None


def _names(text: str) -> tuple[str, ...]:
    """Node IDs, as they are written: A+B+C."""
    names = tuple(text.split("+"))
    if not all(names):
        raise MisuseError(f"{text!r} names no nodes: write them as A+B+C")
    return names
