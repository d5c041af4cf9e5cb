"""What `paxos sim` does: a campaign, its progress, its summary, and the failures it has found."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from paxos.cli import files
from paxos.cli.answer import FAILED, OK, UNKNOWN, Answer
from paxos.cli.now_and_then import NowAndThen
from paxos.errors import MisuseError
from paxos.histories.history import encode_history
from paxos.scenario.transcript import SUFFIX
from paxos.sim.campaign import (
    AnyWish,
    Failure,
    Summary,
    kind_of,
    known_faults,
    local_workers,
    run_campaign,
    simulated,
    sometimes_of,
    wish_for,
)
from paxos.sim.dask_cluster import dask_workers
from paxos.sim.finding import Finding, find, find_in_log, replay_line
from paxos.sim.log.outcome import LogOutcome
from paxos.sim.log.plan import LogWish
from paxos.sim.outcome import Outcome

MOST_SAVED = 10
"""Failures that are shrunk and saved. More of them would say the same, and take minutes."""

MOST_SHOWN = 20
"""Failures that are printed."""


def run_sim(options: argparse.Namespace, out: Console) -> Answer:
    """Run the seeds that were asked for.

    It claims that none of them breaks an invariant; of nodes that drop a rule, that one does.
    """
    if options.faults == "help":
        return _tell_faults(options.kind, out)
    fewest, most = options.nodes
    wish = wish_for(fewest, most, options.faults, options.kind, options.breaks)
    if options.parts is not None:
        if not isinstance(wish, LogWish) or options.seed is None:
            raise MisuseError("only one seed of a log has parts: add --kind log --seed N")
        wish = replace(wish, parts=options.parts)
    if options.seed is not None:
        return _run_one(options, wish, out)
    return _run_many(options, wish, out)


def _tell_faults(kind: str | None, out: Console) -> Answer:
    faults = known_faults(kind)
    for fault in faults:
        out.print(f"{fault.label:<10} {fault.what}")
    return OK, {"faults": {fault.label: fault.what for fault in faults}}


# One seed.


def _run_one(options: argparse.Namespace, wish: AnyWish, out: Console) -> Answer:
    began = time.perf_counter()
    outcome = simulated(options.seed, wish)
    seconds = time.perf_counter() - began
    faults = [fault.label for fault in outcome.plan.faults]
    nodes, what = _nodes_of(outcome), _size_of(outcome)
    answer: dict[str, Any] = {
        "runs": 1,
        "effects": outcome.effects,
        "seconds": round(seconds, 3),
        "kind": _kind_of(outcome),
        "nodes": list(nodes),
        "faults": faults,
        "happened": {fault.label: outcome.happened[fault] for fault in outcome.happened},
        "reached": sorted(outcome.reached),
        "failures": [],
    }
    out.print(
        f"seed {options.seed}: {_kind_of(outcome)} {' '.join(nodes)}, {what}, "
        f"{outcome.effects:,} effects in {seconds:.2f} s"
    )
    out.print(f"faults: {' '.join(faults) or 'none'}")
    if isinstance(outcome, LogOutcome):
        _save_history(outcome, options.save, out)
        answer["undecided"] = outcome.undecided
    if outcome.broken is None:
        unknown = isinstance(outcome, LogOutcome) and outcome.undecided
        out.print(Text("nothing is broken, as far as is known" if unknown else "nothing is broken",
                       "yellow" if unknown else "green"))  # fmt: skip
        return (OK if wish.breaks is None else FAILED), answer
    finding = _find(options.seed, wish)
    out.print(finding.text)
    path = _save(finding, options.save, out)
    _show_failure(finding.failure, wish, path, out)
    answer["failures"] = [_failure_as_json(finding.failure, wish, finding, path)]
    if wish.breaks is not None:
        return OK, answer
    return FAILED, answer | {"error": f"{outcome.broken.invariant} is broken"}


def _find(seed: int, wish: AnyWish) -> Finding:
    return find_in_log(seed, wish) if isinstance(wish, LogWish) else find(seed, wish)


def _kind_of(outcome: Outcome | LogOutcome) -> str:
    return "log" if isinstance(outcome, LogOutcome) else outcome.plan.cluster.kind.value


def _nodes_of(outcome: Outcome | LogOutcome) -> tuple[str, ...]:
    if isinstance(outcome, LogOutcome):
        return outcome.plan.node_ids
    return outcome.plan.cluster.node_ids


def _size_of(outcome: Outcome | LogOutcome) -> str:
    if isinstance(outcome, LogOutcome):
        answers = sum(event.type == "ok" for event in outcome.events)
        return f"{outcome.slots} slots, {answers} answers"
    return f"{len(outcome.commands)} commands"


def _save_history(outcome: LogOutcome, folder: Path | None, out: Console) -> None:
    """What the clients saw, for `paxos check`."""
    if folder is not None:
        text = b"".join(encode_history(outcome.events)).decode()
        files.write_text(_made(folder) / f"history-{outcome.plan.seed}.jsonl", text, out)


# Many.


def _run_many(options: argparse.Namespace, wish: AnyWish, out: Console) -> Answer:
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
    return {seed: _find(seed, summary.wish) for seed in seeds}


def _save(finding: Finding, folder: Path | None, out: Console) -> Path | None:
    if folder is None:
        return None
    failure = finding.failure
    suffix = ".txt" if "--kind log" in finding.replay else SUFFIX
    path = _made(folder) / f"{failure.invariant}-{failure.seed}{suffix}"
    files.write_text(path, finding.text, out)
    return path


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MisuseError(f"cannot make {folder}: {error.strerror}. Name another") from error
    return folder


def _show_failure(failure: Failure, wish: AnyWish, path: Path | None, out: Console) -> None:
    out.print(Text(f"\nseed {failure.seed}: {failure.invariant} is broken", "bold red"))
    out.print(f"  {failure.sentence}")
    out.print(f"  again: {replay_line(failure.seed, wish)}")
    if path is not None:
        short = f"see {path}" if isinstance(wish, LogWish) else f"paxos replay {path}"
        out.print(f"  short: {short}")


def _show_summary(summary: Summary, seconds: float, parallel: int, out: Console) -> None:
    rate = summary.effects / max(seconds, 0.001)
    out.print(
        f"{summary.runs:,} runs, {summary.effects:,} effects in {seconds:.1f} s: {rate:,.0f} a "
        f"second with {parallel} workers; at most {summary.busiest:,} in one run"
    )
    for name, windows in sorted(summary.slowest.items()):
        out.print(f"the slowest {name} once all was well: {windows:.2f} liveness windows")
    if kind_of(summary.wish) == "log":
        out.print(
            f"histories of which nobody knows whether they are linearizable: {summary.undecided}"
        )
    out.print("\nsometimes (in how many runs)")
    for what, count in _sometimes(summary):
        out.print(Text(f"  {count or 'never':>9}  {what}", "" if count else "bold red"))
    if summary.failures:
        out.print(Text(f"\n{len(summary.failures)} runs broke an invariant", "bold red"))
    else:
        out.print(Text("\nnothing is broken", "green"))


def _sometimes(summary: Summary) -> list[tuple[str, int]]:
    known = sometimes_of(summary.wish)
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
        "undecided": summary.undecided,
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
    failure: Failure, wish: AnyWish, finding: Finding | None, path: Path | None
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
