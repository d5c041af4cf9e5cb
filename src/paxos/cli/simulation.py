"""What `paxos sim` does: a campaign, its progress, its summary, and the failures it has found."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from paxos.cli import files
from paxos.cli.answer import FAILED, OK, UNKNOWN, Answer
from paxos.cli.now_and_then import NowAndThen
from paxos.errors import MisuseError
from paxos.scenario.cluster import Kind
from paxos.scenario.invariants import INVARIANTS
from paxos.scenario.transcript import SUFFIX
from paxos.sim.campaign import Failure, Summary, local_workers, run_campaign
from paxos.sim.dask_cluster import dask_workers
from paxos.sim.faults import Fault, parse_faults
from paxos.sim.finding import Finding, find, replay_line
from paxos.sim.outcome import simulate
from paxos.sim.oversight import CLAIMS
from paxos.sim.swarm import Wish

MOST_SAVED = 10
"""Failures that are shrunk and saved. More of them would say the same, and take minutes."""

MOST_SHOWN = 20
"""Failures that are printed."""


def run_sim(options: argparse.Namespace, out: Console) -> Answer:
    """Run the seeds that were asked for.

    It claims that none of them breaks an invariant; of nodes that drop a rule, that one does.
    """
    if options.faults == "help":
        return _tell_faults(out)
    fewest, most = options.nodes
    wish = Wish(
        fewest=fewest,
        most=most,
        faults=parse_faults(options.faults),
        kind=None if options.kind is None else Kind(options.kind),
        breaks=options.breaks,
    )
    if options.seed is not None:
        return _run_one(options, wish, out)
    return _run_many(options, wish, out)


def _tell_faults(out: Console) -> Answer:
    for fault in Fault:
        out.print(f"{fault.label:<10} {fault.what}")
    return OK, {"faults": {fault.label: fault.what for fault in Fault}}


# One seed.


def _run_one(options: argparse.Namespace, wish: Wish, out: Console) -> Answer:
    began = time.perf_counter()
    outcome = simulate(options.seed, wish)
    seconds = time.perf_counter() - began
    plan = outcome.plan
    answer: dict[str, Any] = {
        "runs": 1,
        "effects": outcome.effects,
        "seconds": round(seconds, 3),
        "kind": plan.cluster.kind.value,
        "nodes": list(plan.cluster.node_ids),
        "faults": [fault.label for fault in plan.faults],
        "happened": {fault.label: outcome.happened[fault] for fault in outcome.happened},
        "reached": sorted(outcome.reached),
        "failures": [],
    }
    out.print(
        f"seed {options.seed}: {plan.cluster.kind.value} {' '.join(plan.cluster.node_ids)}, "
        f"{len(outcome.commands)} commands, {outcome.effects:,} effects in {seconds:.2f} s"
    )
    out.print(f"faults: {' '.join(fault.label for fault in plan.faults) or 'none'}")
    if outcome.broken is None:
        out.print(Text("nothing is broken", "green"))
        return (OK if wish.breaks is None else FAILED), answer
    finding = find(options.seed, wish)
    out.print(finding.text)
    path = _save(finding, options.save, out)
    _show_failure(finding.failure, wish, path, out)
    answer["failures"] = [_failure_as_json(finding.failure, wish, finding, path)]
    if wish.breaks is not None:
        return OK, answer
    return FAILED, answer | {"error": f"{outcome.broken.invariant} is broken"}


# Many.


def _run_many(options: argparse.Namespace, wish: Wish, out: Console) -> Answer:
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.dask is not None and options.workers is not None:
        raise MisuseError("the workers of a Dask cluster are its own: leave out --workers")
    workers: AbstractContextManager[tuple[Executor, int]] = (
        local_workers(options.workers) if options.dask is None else dask_workers(options.dask)
    )
    began = time.perf_counter()
    with workers as (executor, parallel), _shown(len(seeds), began, out) as show:
        summary = run_campaign(
            wish,
            seeds,
            executor,
            parallel=parallel,
            until_failure=options.until_failure,
            progress=show,
        )
    seconds = time.perf_counter() - began
    _show_summary(summary, seconds, parallel, out)
    findings = _shrink_some(summary, options)
    paths = {seed: _save(each, options.save, out) for seed, each in findings.items()}
    for failure in summary.failures[:MOST_SHOWN]:
        _show_failure(failure, wish, paths.get(failure.seed), out)
    return _answer(summary, seconds, parallel, findings, paths)


@contextmanager
def _shown(total: int, began: float, out: Console) -> Generator[Callable[[Summary], None]]:
    """Show how far it is: a bar on a terminal, else a line now and then."""

    def rate(summary: Summary) -> str:
        return f"{summary.effects / (time.perf_counter() - began):,.0f} effects a second"

    def failures(summary: Summary) -> str:
        return f"{len(summary.failures)} failures"

    if not out.is_terminal or out.quiet:
        lines = NowAndThen(out)
        yield lambda summary: lines.tell(
            lambda: f"{summary.runs:,} of {total:,} runs  {rate(summary)}  {failures(summary)}"
        )
        return
    with _bar(out) as bar:
        task = bar.add_task("", total=total, rate="", failures="")
        yield lambda summary: bar.update(
            task, completed=summary.runs, rate=rate(summary), failures=failures(summary)
        )


def _bar(out: Console) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[failures]}"),
        TimeRemainingColumn(),
        console=out,
        transient=True,
    )


def _shrink_some(summary: Summary, options: argparse.Namespace) -> dict[int, Finding]:
    """Shrink one failure of each invariant, then others, up to a bound; by their seeds."""
    most = 1 if options.until_failure or options.breaks is not None else 0
    if options.save is not None:
        most = MOST_SAVED
    first_of_each = {failure.invariant: failure for failure in reversed(summary.failures)}
    chosen = [*first_of_each.values(), *summary.failures]
    seeds = list(dict.fromkeys(failure.seed for failure in chosen))[:most]
    return {seed: find(seed, summary.wish) for seed in seeds}


def _save(finding: Finding, folder: Path | None, out: Console) -> Path | None:
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MisuseError(f"cannot make {folder}: {error.strerror}. Name another") from error
    failure = finding.failure
    path = folder / f"{failure.invariant}-{failure.seed}{SUFFIX}"
    files.write_text(path, finding.text, out)
    return path


def _show_failure(failure: Failure, wish: Wish, path: Path | None, out: Console) -> None:
    out.print(Text(f"\nseed {failure.seed}: {failure.invariant} is broken", "bold red"))
    out.print(f"  {failure.sentence}")
    out.print(f"  again: {replay_line(failure.seed, wish)}")
    if path is not None:
        out.print(f"  short: paxos replay {path}")


def _show_summary(summary: Summary, seconds: float, parallel: int, out: Console) -> None:
    rate = summary.effects / max(seconds, 0.001)
    out.print(
        f"{summary.runs:,} runs, {summary.effects:,} effects in {seconds:.1f} s: {rate:,.0f} a "
        f"second with {parallel} workers; at most {summary.busiest:,} in one run"
    )
    for name, windows in sorted(summary.slowest.items()):
        out.print(f"the slowest {name} once all was well: {windows:.2f} liveness windows")
    out.print("\nsometimes (in how many runs)")
    for what, count in _sometimes(summary):
        out.print(Text(f"  {count or 'never':>9}  {what}", "" if count else "bold red"))
    if summary.failures:
        out.print(Text(f"\n{len(summary.failures)} runs broke an invariant", "bold red"))
    else:
        out.print(Text("\nnothing is broken", "green"))


def _sometimes(summary: Summary) -> list[tuple[str, int]]:
    known = [(each.id, each.sometimes) for each in INVARIANTS]
    known += [(claim.id, claim.sometimes) for claim in CLAIMS]
    reached = [(f"{id}: {sometimes}", summary.reached[id]) for id, sometimes in known]
    return reached + [
        (f"{fault.label}: {fault.what}", summary.happened[fault.label])
        for fault in summary.wish.faults
    ]


def _answer(
    summary: Summary,
    seconds: float,
    parallel: int,
    findings: Mapping[int, Finding],
    paths: Mapping[int, Path | None],
) -> Answer:
    wish = summary.wish
    answer: dict[str, Any] = {
        "runs": summary.runs,
        "effects": summary.effects,
        "seconds": round(seconds, 3),
        "rate": round(summary.effects / max(seconds, 0.001)),
        "workers": parallel,
        "busiest": summary.busiest,
        "windows": {name: round(most, 3) for name, most in sorted(summary.slowest.items())},
        "reached": {each: summary.reached[each] for each in sorted(summary.reached)},
        "never_reached": summary.never_reached,
        "happened": {fault.label: summary.happened[fault.label] for fault in wish.faults},
        "never_happened": summary.never_happened,
        "interrupted": summary.interrupted,
        "failures": [
            _failure_as_json(failure, wish, findings.get(failure.seed), paths.get(failure.seed))
            for failure in summary.failures
        ],
    }
    if summary.failures and wish.breaks is None:
        return FAILED, answer | {"error": f"{len(summary.failures)} runs broke an invariant"}
    if wish.breaks is not None and not summary.failures and not summary.interrupted:
        return FAILED, answer | {"error": f"no run shows that {wish.breaks} is broken"}
    if summary.interrupted:
        return UNKNOWN, answer | {"error": f"interrupted after {summary.runs} runs"}
    return OK, answer


def _failure_as_json(
    failure: Failure, wish: Wish, finding: Finding | None, path: Path | None
) -> dict[str, Any]:
    return {
        "seed": failure.seed,
        "invariant": failure.invariant,
        "sentence": failure.sentence,
        "effects": failure.effects,
        "replay": replay_line(failure.seed, wish),
        "steps": None if finding is None else finding.steps,
        "scenario": None if finding is None else finding.text,
        "path": None if path is None else str(path),
    }
