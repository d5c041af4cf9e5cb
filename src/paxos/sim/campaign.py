"""Seeds by the thousand, over any `concurrent.futures.Executor`; and what came of them.

Workers get a JSON string and give one back: nothing of ours is pickled but the name of a function.
Results are merged as they come, and the same seeds give the same summary, whoever ran them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

import msgspec

from paxos.errors import FaultError, MisuseError
from paxos.scenario.cluster import Kind
from paxos.scenario.invariants import INVARIANTS
from paxos.sim.faults import ALL_FAULTS, LOG_FAULTS, Fault, format_faults, parse_faults
from paxos.sim.log.claims import CLAIMS as CLAIMS_OF_A_LOG
from paxos.sim.log.outcome import LogOutcome, simulate_log
from paxos.sim.log.plan import LogWish
from paxos.sim.outcome import Outcome, simulate
from paxos.sim.oversight import CLAIMS
from paxos.sim.swarm import Wish

VERSION = 2
"""Of the questions and answers below."""

CHUNK = 25
"""Seeds that a worker gets at once: half a second of work, so that progress is seen."""

MOST_FAILURES = 1000
"""That are kept. With more, something is so wrong that nobody reads on."""

LONGEST_SENTENCE = 500
"""Characters."""

LOG = "log"
"""The kind of nodes that decide a whole log."""

AnyWish: TypeAlias = Wish | LogWish


def sometimes_of(wish: AnyWish) -> tuple[tuple[str, str], ...]:
    """What shall be reached now and then: the ID of each invariant, and the sentence."""
    if isinstance(wish, LogWish):
        return tuple((claim.id, claim.sometimes) for claim in CLAIMS_OF_A_LOG)
    invariants = [(each.id, each.sometimes) for each in INVARIANTS]
    return (*invariants, *((claim.id, claim.sometimes) for claim in CLAIMS))


def known_faults(kind: str | None) -> tuple[Fault, ...]:
    """What can go wrong with nodes of this kind."""
    return LOG_FAULTS if kind == LOG else ALL_FAULTS


def wish_for(fewest: int, most: int, faults: str, kind: str | None, breaks: str | None) -> AnyWish:
    """What is asked for in these words. Raises `MisuseError` for what there is not."""
    wanted = parse_faults(faults, known_faults(kind))
    if kind == LOG:
        return LogWish(fewest, most, wanted, breaks)
    return Wish(fewest, most, wanted, None if kind is None else Kind(kind), breaks)


def kind_of(wish: AnyWish) -> str | None:
    """The word for the kind of nodes that is wished for."""
    if isinstance(wish, LogWish):
        return LOG
    return None if wish.kind is None else wish.kind.value


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker is asked."""

    version: int
    first: int
    count: int
    fewest: int
    most: int
    faults: str
    kind: str | None
    breaks: str | None


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A seed whose run broke an invariant."""

    seed: int
    invariant: str
    sentence: str
    effects: int


class Tally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker has counted over its seeds."""

    version: int
    runs: int
    effects: int
    busiest: int
    """The effects of the longest run."""

    slowest: dict[str, float]
    """The most liveness windows that it took to settle, and to decide."""

    failures: list[Failure]
    reached: dict[str, int]
    """In how many runs each invariant was put to the test."""

    happened: dict[str, int]
    """In how many runs each kind of fault struck."""

    undecided: int = 0
    """In how many runs nobody knows whether what clients saw is linearizable."""


@dataclass
class Summary:
    """What is known so far of a campaign."""

    wish: AnyWish
    runs: int = 0
    effects: int = 0
    busiest: int = 0
    slowest: dict[str, float] = field(default_factory=dict[str, float])
    failures: list[Failure] = field(default_factory=list[Failure])
    """Sorted by seed."""

    reached: Counter[str] = field(default_factory=Counter[str])
    happened: Counter[str] = field(default_factory=Counter[str])
    undecided: int = 0
    """Runs of which nobody knows whether what clients saw is linearizable."""

    interrupted: bool = False

    @property
    def never_reached(self) -> list[str]:
        """The invariants that no run has put to the test."""
        return [each for each, _ in sometimes_of(self.wish) if not self.reached[each]]

    @property
    def never_happened(self) -> list[str]:
        """The kinds of faults that were asked for, and struck in no run."""
        return [fault.label for fault in self.wish.faults if not self.happened[fault.label]]

    def add(self, answer: Tally) -> None:
        """Take in what a worker says."""
        self.runs += answer.runs
        self.effects += answer.effects
        self.busiest = max(self.busiest, answer.busiest)
        for name, windows in answer.slowest.items():
            self.slowest[name] = max(windows, self.slowest.get(name, 0.0))
        self.failures = sorted([*self.failures, *answer.failures], key=_seed_of)[:MOST_FAILURES]
        self.reached.update(answer.reached)
        self.happened.update(answer.happened)
        self.undecided += answer.undecided


def run_campaign(
    wish: AnyWish,
    seeds: range,
    executor: Executor,
    *,
    parallel: int,
    until_failure: bool = False,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Run these seeds, or those up to the first failure, and say what came of them.

    `parallel` is how many workers the executor has; `progress` is called with what is known so far.
    An interruption (KeyboardInterrupt) ends the campaign early, and what is known is returned.
    Raises `FaultError` if a worker dies.
    """
    summary = Summary(wish)
    questions = _questions(wish, seeds)
    pending: set[Future[str]] = set()
    try:
        while True:
            for question in islice(questions, 2 * parallel - len(pending)):
                pending.add(executor.submit(answer, question))
            if not pending:
                break
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                summary.add(_read(future.result()))
            progress(summary)
            if until_failure and summary.failures:
                # Those that are under way were asked for before, so their seeds may be lower.
                questions = iter(())
    except KeyboardInterrupt:
        summary.interrupted = True
        for future in pending:
            future.cancel()
    except BrokenProcessPool as error:
        raise FaultError(f"a worker has died: {error}. Is there enough memory?") from error
    if until_failure:
        del summary.failures[1:]
    return summary


@contextmanager
def local_workers(count: int | None = None) -> Generator[tuple[Executor, int]]:
    """So many processes on this machine, one a core unless told: an executor, and how many."""
    workers = count or os.cpu_count() or 1
    # A fresh interpreter each: to fork a process that has threads is asking for trouble.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_ignore_interrupts)
    try:
        yield executor, workers
    finally:
        executor.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal; the first of them ends the campaign."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def answer(question: str) -> str:
    """Run the seeds of one question. This is what workers do."""
    asked = msgspec.json.decode(question, type=Question)
    if asked.version != VERSION:
        raise MisuseError(
            f"this worker knows version {VERSION} of campaigns, and was asked in version "
            f"{asked.version}: let all machines have the same version of plain-paxos"
        )
    wish = wish_for(asked.fewest, asked.most, asked.faults, asked.kind, asked.breaks)
    return msgspec.json.encode(_run(range(asked.first, asked.first + asked.count), wish)).decode()


def simulated(seed: int, wish: AnyWish) -> Outcome | LogOutcome:
    """Run one seed of what is wished for."""
    return simulate_log(seed, wish) if isinstance(wish, LogWish) else simulate(seed, wish)


def _run(seeds: range, wish: AnyWish) -> Tally:
    effects: list[int] = []
    slowest: dict[str, float] = {}
    failures: list[Failure] = []
    reached: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    undecided = 0
    for seed in seeds:
        outcome = simulated(seed, wish)
        undecided += isinstance(outcome, LogOutcome) and outcome.undecided
        effects.append(outcome.effects)
        for name, windows in outcome.took.items():
            slowest[name] = max(windows, slowest.get(name, 0.0))
        if outcome.broken is not None:
            sentence = outcome.broken.sentence[:LONGEST_SENTENCE]
            failures.append(Failure(seed, outcome.broken.invariant, sentence, outcome.effects))
        reached.update(sorted(outcome.reached))
        happened.update(fault.label for fault in Fault if outcome.happened[fault])
    return Tally(
        version=VERSION,
        runs=len(effects),
        effects=sum(effects),
        busiest=max(effects, default=0),
        slowest=slowest,
        failures=failures,
        reached=dict(reached),
        happened=dict(happened),
        undecided=undecided,
    )


def _questions(wish: AnyWish, seeds: range) -> Iterator[str]:
    for first in seeds[::CHUNK]:
        count = min(CHUNK, seeds.stop - first)
        question = Question(
            version=VERSION,
            first=first,
            count=count,
            fewest=wish.fewest,
            most=wish.most,
            faults=format_faults(wish.faults, known_faults(kind_of(wish))),
            kind=kind_of(wish),
            breaks=wish.breaks,
        )
        yield msgspec.json.encode(question).decode()


def _read(text: str) -> Tally:
    try:
        return msgspec.json.decode(text, type=Tally)
    except msgspec.DecodeError as error:
        raise FaultError(f"a worker's answer makes no sense: {error}") from error


def _seed_of(failure: Failure) -> int:
    return failure.seed
