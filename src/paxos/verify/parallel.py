"""One search by several processes, level by level.

Each worker owns a share of the states, by what some of the nodes are: it alone keeps them, and it
alone expands them. What it finds for others goes to them by way of the parent, which sends
everybody on to the next level at once. So all counts come out as with one process.

A worker's table is frozen while it expands, for all must give the same numbers to the same things.
A state that would teach it something is put aside. All the processes, the parent too, then learn
from all such states in one order; there are few of them, for what a table holds is far less than
what a search sees.

Workers are forked, so they begin with all that was found and learned until then. Through the pipes
go JSON and packed states, never an object.
"""

from __future__ import annotations

import gc
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, filterfalse
from multiprocessing import Pipe
from typing import NoReturn, Protocol, Self

import msgspec

from paxos.errors import FaultError
from paxos.verify.memory import peak_bytes, without_collection
from paxos.verify.moves import UnknownMoveError
from paxos.verify.packing import packed, unpacked
from paxos.verify.search import STATES_A_LOOK, Holdings, Progress, Search
from paxos.verify.verdicts import Violation

WORTH_SHARING = STATES_A_LOOK
"""How many states of one level must wait before workers are forked.

A round of messages between processes costs some milliseconds, and a level needs one at least. So
many states take a process a tenth of a second or more.
"""

FAIR = 1.1
"""How much more than its fair share a worker may have of the level at which they are forked."""

MIXER = 1_000_003
"""A prime: by the remainder, states that differ little go to any worker."""


class Channel(Protocol):
    """One end of a pipe."""

    def send_bytes(self, buf: bytes, /) -> None:
        """Send one message."""
        ...

    def recv_bytes(self) -> bytes:
        """Wait for one message."""
        ...

    def close(self) -> None:
        """Let the other end know that nothing comes any more."""
        ...


@dataclass(frozen=True)
class Owner:
    """To whom each state belongs. Replies change no owner, for they change no node."""

    mask: int
    """The part of a state that decides: what some of its nodes are."""

    workers: int

    @classmethod
    def fair(cls, search: Search, workers: int) -> Owner:
        """Look at as few nodes as it takes to share the present level fairly.

        What the others do then stays with one worker. Those that can be in the most states come
        first.
        """
        table, level = search.table, search.levels[-2]
        owner = cls(0, workers)
        for mask in table.local_masks():
            owner = cls(owner.mask | mask, workers)
            if max(map(len, owner.shares_of(level))) <= FAIR * len(level) / workers:
                break
        return owner

    def of(self, state: int) -> int:
        """The index of the worker."""
        return (state & self.mask) % MIXER % self.workers

    def others_than(self, index: int) -> Callable[[int], bool]:
        """Whether a state belongs to another worker than this."""
        mask, workers = self.mask, self.workers
        return lambda state: (state & mask) % MIXER % workers != index

    def shares_of(self, states: Iterable[int]) -> list[list[int]]:
        """The states of each worker."""
        mask, workers = self.mask, self.workers
        lists: list[list[int]] = [[] for _ in range(workers)]
        for state in states:
            lists[(state & mask) % MIXER % workers].append(state)
        return lists


class Order(msgspec.Struct, frozen=True):
    """What a worker has to do next.

    Two packed lists follow: states to learn from, and its own states that others have found.
    """

    width: int
    """Bytes of a state in these lists."""

    expand: int
    """How many states of its share at most."""

    next_level: bool = False
    tell: tuple[int, int, int] | None = None
    """Instead of all that: pack the states of this level, from this one to before that one."""


class Report(msgspec.Struct, frozen=True):
    """How far a worker is.

    Packed lists follow: what it could not expand, then what it has found for each worker.
    """

    learned: int
    """What its table holds must be what all others hold."""

    levels: list[int]
    """How many states of its share there are on each level."""

    expanded: int
    """How many of those on the level before the last are expanded."""

    transitions: int
    quiet: int
    bytes: int
    reached: list[str]
    violation: Violation | None = None
    failure: str | None = None
    """The traceback, if it failed."""

    @property
    def waiting(self) -> int:
        """How many states of this level it has still to expand."""
        return self.levels[-2] - self.expanded


NOTHING_DONE = Report(0, [0, 0], 0, 0, 0, 0, [])


@dataclass
class Share:
    """What one worker owns, and does."""

    search: Search
    index: int
    owner: Owner
    _sent: list[int] = field(default_factory=list)
    """What this level has found for others: known until its end, so that it is sent once."""

    _uncompleted: list[int] = field(default_factory=list)
    """What has arrived, and cannot be completed before something is learned."""

    def __post_init__(self) -> None:
        search, is_foreign = self.search, self.owner.others_than(self.index)
        before = search.levels[-2][: search.expanded]
        search.expanded = len(before) - sum(map(is_foreign, before))
        search.levels = [list(filterfalse(is_foreign, level)) for level in search.levels]
        search.seen = {state for level in search.levels for state in level}
        search.progress = Progress()
        search.postponed, search.journal = [], []
        search.is_foreign = is_foreign
        search.table.frozen = True

    def obey(self, order: Order, lessons: bytes, arrived: bytes) -> tuple[Report, list[bytes]]:
        """Do what is ordered, and report."""
        search = self.search
        if order.tell is not None:
            level, begin, end = order.tell
            return self.report(), [packed(search.levels[level][begin:end], search.table.width)]
        if order.next_level:
            self._next_level()
        found = self._learn(unpacked(lessons, order.width)) if lessons else []
        found += self._completed(unpacked(arrived, order.width))
        part = search.levels[-2][search.expanded : search.expanded + order.expand]
        search.expanded += len(part)
        if search.broken is None:
            found += search.expand(part)
        lists = [list(search.lessons.values()), *self._sort(found)]
        return self.report(), [packed(states, search.table.width) for states in lists]

    def report(self) -> Report:
        """How far it is."""
        search, progress = self.search, self.search.progress
        return Report(
            search.table.learned,
            [len(level) for level in search.levels],
            search.expanded,
            progress.transitions,
            progress.quiet,
            search.memory(),
            sorted(search.table.reached),
            None if search.broken is None else search.broken.violation,
        )

    def _next_level(self) -> None:
        self.search.seen.difference_update(self._sent)
        self._sent.clear()
        self.search.levels.append([])
        self.search.expanded = 0

    def _learn(self, lessons: list[int]) -> list[int]:
        """Learn, do what could not be done before, and return what that finds."""
        search = self.search
        search.table.frozen = False
        search.learn(lessons)
        search.table.frozen = True
        search.lessons.clear()
        to_expand, search.postponed = search.postponed, []
        to_complete, self._uncompleted = self._uncompleted, []
        return search.expand(to_expand) + self._completed(to_complete)

    def _completed(self, arrived: list[int]) -> list[int]:
        """What has arrived, as it is kept, as far as it is new."""
        seen, found = self.search.seen, list[int]()
        for state in arrived:
            if state not in seen:
                try:
                    completed = self.search.completed(state)
                except UnknownMoveError as unknown:
                    self._uncompleted.append(state)
                    self.search.lessons.setdefault(unknown.question, state)
                    continue
                if completed not in seen:
                    seen.add(completed)
                    found.append(completed)
        return found

    def _sort(self, found: list[int]) -> list[list[int]]:
        """Keep what is its own, and return the rest for each worker."""
        shares = self.owner.shares_of(found)
        self.search.levels[-1] += shares[self.index]
        shares[self.index] = []
        self._sent.extend(chain(*shares))
        return shares


@dataclass
class Worker:
    """A worker, as its parent sees it."""

    process_id: int
    pipe: Channel
    report: Report = NOTHING_DONE
    arriving: list[bytes] = field(default_factory=list)
    """What others have found for it."""

    def send(self, order: Order, lessons: bytes = b"", arrived: bytes = b"") -> None:
        """Tell it what to do."""
        try:
            self.pipe.send_bytes(msgspec.json.encode(order))
            self.pipe.send_bytes(lessons)
            self.pipe.send_bytes(arrived)
        except OSError as error:
            raise self._lost() from error

    def receive(self, lists: int) -> list[bytes]:
        """Wait for its report, and for so many packed lists."""
        try:
            self.report = msgspec.json.decode(self.pipe.recv_bytes(), type=Report)
            if self.report.failure is not None:
                raise AssertionError(f"a worker of the search failed:\n{self.report.failure}")
            return [self.pipe.recv_bytes() for _ in range(lists)]
        except (EOFError, OSError) as error:
            raise self._lost() from error

    def end(self) -> None:
        """Kill it: it holds nothing that anybody needs."""
        self.pipe.close()
        with suppress(ProcessLookupError):
            os.kill(self.process_id, signal.SIGKILL)
        os.waitpid(self.process_id, 0)

    def _lost(self) -> FaultError:
        return FaultError(
            f"process {self.process_id} of the search has ended before its work was done: if the "
            "system killed it for its memory, set a bound on memory"
        )


class Team:
    """The parent's side: goes on with a search by several workers, until it is over.

    To be used in a `with` statement, which ends the workers. Afterwards the search has all counts,
    and neither `seen` nor `levels`.
    """

    def __init__(self, search: Search, workers: int) -> None:
        """Fork the workers, each with its share."""
        self._search = search
        self.workers: list[Worker] = []
        self._lessons: list[int] = []
        self._transitions, self._quiet = search.progress.transitions, search.progress.quiet
        owner = Owner.fair(search, workers)
        try:
            for index in range(workers):
                self.workers.append(self._forked(index, owner))
            for worker in self.workers:
                worker.receive(lists=0)
        except BaseException:
            self._end()
            raise
        search.seen, search.levels = set(), []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self) -> Violation | None:
        """Go on until it is over, or something is wrong: how to come to it is not known then."""
        search = self._search
        while not search.is_over:
            waiting = self._waiting()
            next_level = not waiting
            if next_level:
                waiting = sum(worker.report.levels[-1] for worker in self.workers)
                if not waiting:
                    search.progress.frontier = 0
                    search.is_exhausted = True
                    break
                search.progress.depth = len(self.workers[0].report.levels) - 1
            memory = peak_bytes() + sum(worker.report.bytes for worker in self.workers)
            search.look(waiting, memory, self.holdings)
            if search.stopped is None:
                violation = self._round(search.look_after, next_level=next_level)
                if violation is not None:
                    return violation
        return None

    def holdings(self) -> Holdings:
        """All that the workers hold."""
        while self._lessons or any(worker.arriving for worker in self.workers):
            self._round(0)
        reports = [worker.report for worker in self.workers]
        sizes = [sum(level) for level in zip(*(report.levels for report in reports), strict=True)]
        return Holdings(sizes, sum(report.expanded for report in reports), self._told())

    def _told(self) -> Iterator[bytes]:
        """The states of each level; those that were expanded before those that were not."""
        last = len(self.workers[0].report.levels) - 1
        for level in range(last + 1):
            for has_expanded in (True, False) if level == last - 1 else (None,):
                for worker in self.workers:
                    size, expanded = worker.report.levels[level], worker.report.expanded
                    begin = expanded if has_expanded is False else 0
                    end = expanded if has_expanded is True else size
                    for at in range(begin, end, STATES_A_LOOK):
                        part = (level, at, min(at + STATES_A_LOOK, end))
                        worker.send(Order(self._search.table.width, 0, tell=part))
                        yield from worker.receive(lists=1)

    def _waiting(self) -> int:
        """How many states of this level are not expanded, or on their way to whom they belong."""
        on_their_way = sum(map(len, chain(*(worker.arriving for worker in self.workers))))
        waiting = sum(worker.report.waiting for worker in self.workers)
        return waiting + len(self._lessons) + on_their_way // self._search.table.width

    def _round(self, states: int, *, next_level: bool = False) -> Violation | None:
        """Let each worker expand so many states, after it has learned and taken in what is its."""
        search, workers, lessons = self._search, self.workers, sorted(self._lessons)
        width = search.table.width
        for worker in workers:
            arrived = b"".join(worker.arriving)
            worker.send(Order(width, states, next_level), packed(lessons, width), arrived)
            worker.arriving.clear()
        search.learn(lessons)
        self._lessons.clear()
        for worker in workers:
            unknown, *found = worker.receive(lists=1 + len(workers))
            if worker.report.learned != search.table.learned:
                raise AssertionError("two processes of one search have learned different things")
            self._lessons += unpacked(unknown, search.table.width)
            for owner, packed_states in zip(workers, found, strict=True):
                if packed_states:
                    owner.arriving.append(packed_states)
        self._count()
        wrong = (w.report.violation for w in workers if w.report.violation is not None)
        return next(wrong, None)

    def _count(self) -> None:
        reports = [worker.report for worker in self.workers]
        progress = self._search.progress
        progress.states = sum(sum(report.levels) for report in reports)
        progress.transitions = self._transitions + sum(report.transitions for report in reports)
        progress.quiet = self._quiet + sum(report.quiet for report in reports)
        self._search.table.reached.update(*(report.reached for report in reports))

    def _forked(self, index: int, owner: Owner) -> Worker:
        ours, theirs = Pipe()
        # No interrupt may find a worker before it is one.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            with warnings.catch_warnings():
                # Of threads, since Python 3.12. A worker takes no lock that one might hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                process_id = os.fork()
            if not process_id:
                inherited = [ours, *(worker.pipe for worker in self.workers)]
                _work(theirs, inherited, self._search, index, owner)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        return Worker(process_id, ours)

    def _end(self) -> None:
        for worker in self.workers:
            worker.end()


def _work(
    pipe: Channel, inherited: list[Channel], search: Search, index: int, owner: Owner
) -> NoReturn:
    """A worker's life. It ends with its parent, and runs nothing that the parent has left open."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
        gc.disable()  # see `without_collection`
        for other in inherited:
            other.close()  # else nobody sees it when the parent is gone
        share = Share(search, index, owner)
        report, lists = share.report(), list[bytes]()
        while True:
            pipe.send_bytes(msgspec.json.encode(report))
            for packed_states in lists:
                pipe.send_bytes(packed_states)
            order = msgspec.json.decode(pipe.recv_bytes(), type=Order)
            report, lists = share.obey(order, pipe.recv_bytes(), pipe.recv_bytes())
    except (EOFError, OSError):
        pass  # there is no parent any more
    except BaseException:  # noqa: BLE001 - it goes to the parent
        report = msgspec.structs.replace(NOTHING_DONE, failure=traceback.format_exc())
        with suppress(OSError):
            pipe.send_bytes(msgspec.json.encode(report))
    finally:
        os._exit(0)


def can_share() -> bool:
    """Whether processes can be forked here."""
    return hasattr(os, "fork")


def run_shared(search: Search, workers: int) -> Violation | None:
    """Run a search by several processes, once it has become worth it.

    What is wrong is returned; how to come to it is known (`search.broken`) only if that happened
    before. Where processes cannot be forked, one is enough.
    """
    if workers < 2 or not can_share():
        search.run()
    else:
        search.run(share_at=WORTH_SHARING)
        if not search.is_over:
            with without_collection(), Team(search, workers) as team:
                return team.run()
    return None if search.broken is None else search.broken.violation
