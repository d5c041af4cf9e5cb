"""Every state that can be reached, each once: breadth-first, or depth-first.

Breadth-first finds the shortest way to whatever is wrong. It keeps each level of the search, and no
state's predecessor: to tell the way to a state, it looks for a predecessor in the level before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from paxos.verify.memory import growth_ahead, peak_bytes, without_collection
from paxos.verify.moves import Move, UnknownMoveError
from paxos.verify.packing import packed
from paxos.verify.symmetry import Symmetry
from paxos.verify.table import Table
from paxos.verify.verdicts import Violation

Quiet: TypeAlias = Callable[[int], Violation | None]
"""What is wrong with a state in which nothing changes any more unless somebody wants it to."""

STATES_A_LOOK = 20_000
"""How many states are expanded between two looks at the bounds: a part of a second's work."""

FOUND_A_STATE = 10
"""More new states than that are hardly found from one, on average."""


class Broken(NamedTuple):
    """A state, the move from there at which something went wrong, and what."""

    state: int
    move: Move | None
    violation: Violation


@dataclass
class Progress:
    """How far a search has come."""

    states: int = 1
    transitions: int = 0
    depth: int = 0
    """Steps from the start to the farthest states."""

    frontier: int = 1
    """States found and not yet expanded."""

    quiet: int = 0
    """States in which only choices change anything."""

    bytes: int = 0
    """The most memory that all processes of the search together have taken so far, or are about to
    take until the next look. What they share counts for each."""


Watch: TypeAlias = Callable[[Progress], str | None]
"""Is told how far the search is; says why it should stop, or None."""


class Holdings(NamedTuple):
    """All states that a search has found, to be written down."""

    levels: list[int]
    """How many there are at each distance from the start. The last level is being found."""

    expanded: int
    """How many of the level before that are expanded."""

    states: Iterator[bytes]
    """The states, level by level, packed. Those that are expanded come before those of their level
    that are not."""


Keep: TypeAlias = Callable[["Search", Callable[[], Holdings]], None]
"""Is given the search at each look, and may write down what it holds."""


@dataclass
class Search:
    """One search. `run` once; afterwards its fields tell what was found."""

    table: Table
    quiet: Quiet
    watch: Watch
    symmetry: Symmetry | None = None
    """Gives one state for all that differ by names alone."""

    progress: Progress = field(default_factory=Progress)
    broken: Broken | None = None
    stopped: str | None = None
    """Why the search ended before all was seen, or None."""

    seen: set[int] = field(default_factory=set)
    levels: list[list[int]] = field(default_factory=list)
    """All that was found, by its distance from the start. The last level is being found."""

    expanded: int = 0
    """How many states of the level before that have been expanded."""

    journal: list[int] = field(default_factory=list)
    """The states whose expansion taught the table something. Whoever expands these alone, in this
    order, has the same table with the same numbers in it."""

    postponed: list[int] = field(default_factory=list)
    """The states for whose expansion a frozen table knows too little."""

    lessons: dict[tuple[int, ...], int] = field(default_factory=dict)
    """For each question that a frozen table had no answer to, a state that asks it."""

    is_foreign: Callable[[int], bool] | None = None
    """Which states belong to another process: those are found here, and completed there."""

    is_exhausted: bool = False
    keep: Keep | None = None
    look_after: int = STATES_A_LOOK
    """How many states are expanded between two looks."""

    @property
    def is_over(self) -> bool:
        """Whether all was seen, something is wrong, or `watch` wanted an end."""
        return self.is_exhausted or self.broken is not None or self.stopped is not None

    def begin(self) -> None:
        """See the start, and no more."""
        start = self.completed(self.table.start())
        self.seen, self.levels = {start}, [[start], []]

    def run(self, share_at: int = sys.maxsize) -> None:
        """Search breadth-first until it is over.

        Or until at least `share_at` states of a level wait to be expanded: then it can go on, here
        or elsewhere.
        """
        if not self.levels:
            self.begin()
        with without_collection():
            self._run(share_at)

    def _run(self, share_at: int) -> None:
        while not self.is_over:
            waiting = len(self.levels[-2]) - self.expanded
            if not waiting:
                self._next_level()
                continue
            if waiting >= share_at:
                return
            self.look(waiting + len(self.levels[-1]), self.memory())
            if self.stopped is None:
                part = self.levels[-2][self.expanded : self.expanded + self.look_after]
                self.levels[-1] += self.expand(part)
                self.expanded += len(part)

    def _next_level(self) -> None:
        if self.levels[-1]:
            self.progress.depth = len(self.levels) - 1
            self.levels.append([])
            self.expanded = 0
        else:
            self.levels.pop()
            self.progress.frontier = 0
            self.is_exhausted = True

    def look(
        self, frontier: int, memory: int, holdings: Callable[[], Holdings] | None = None
    ) -> None:
        """Let others look how far the search is. They may end it, and write down what it holds."""
        self.progress.frontier = frontier
        self.progress.bytes = max(self.progress.bytes, memory)
        self.stopped = self.watch(self.progress)
        if self.keep is not None:
            self.keep(self, self.holdings if holdings is None else holdings)

    def memory(self) -> int:
        """The memory (bytes) that it takes, or is about to take until the next look."""
        return peak_bytes() + growth_ahead(self.seen, FOUND_A_STATE * self.look_after)

    def holdings(self) -> Holdings:
        """All states that it has found."""
        width = self.table.width
        parts = (
            level[at : at + STATES_A_LOOK]
            for level in self.levels
            for at in range(0, len(level), STATES_A_LOOK)
        )
        sizes = [len(level) for level in self.levels]
        return Holdings(sizes, self.expanded, (packed(part, width) for part in parts))

    def learn(self, states: Iterable[int]) -> None:
        """Let the table learn all that the expansion of these states takes; count nothing."""
        pupil = Search(self.table, self.quiet, self.watch, self.symmetry)
        for state in states:
            learned = self.table.learned
            pupil.expand([pupil.completed(state)])
            if self.table.learned != learned:
                self.journal.append(state)

    def run_depth_first(self) -> None:
        """Search depth-first: the frontier stays small, and no way is the shortest.

        A level holds one state here: those between the start and where the search just is.
        """
        with without_collection():
            self._run_depth_first()

    def _run_depth_first(self) -> None:
        start = self.completed(self.table.start())
        self.seen, self.levels = {start}, [[start]]
        todo, next_look = [iter(self.expand([start]))], self.look_after
        while todo and self.broken is None and self.stopped is None:
            state = next(todo[-1], None)
            if state is None:
                todo.pop()
                self.levels.pop()
                continue
            self.levels.append([state])
            self.progress.depth = max(self.progress.depth, len(self.levels) - 1)
            if len(self.seen) >= next_look:
                next_look += self.look_after
                self.look(len(todo), self.memory())
            todo.append(iter(self.expand([state])))
        self.is_exhausted = self.broken is None and self.stopped is None

    def path(self, state: int) -> list[int]:
        """The states on a shortest way from the start to a state that was seen."""
        level = next(i for i, states in enumerate(self.levels) if state in states)
        path = [state]
        for states in reversed(self.levels[:level]):
            path.append(next(s for s in states if path[-1] in self._successors(s)))
        return path[::-1]

    def expand(self, states: list[int]) -> list[int]:  # noqa: C901, PLR0912 - calls would cost more than they hide
        """See all successors of these states; return those that are new. The hot loop."""
        table, seen = self.table, self.seen
        canonical = None if self.symmetry is None else self.symmetry.canonical
        moves_of, keymasks = list(enumerate(table.moves)), table.keymasks
        with_replies, is_foreign = table.with_replies, self.is_foreign
        found: list[int] = []
        transitions = 0
        for state in states:
            is_quiet, counted, learned = True, transitions, table.learned
            try:
                for node, known in moves_of:
                    key = state & keymasks[node]
                    moves = known.get(key)
                    if moves is None:
                        moves = table.build(node, key)
                    for move in moves:
                        delta, sent, judgement, is_duty, _, _ = move
                        new = state + delta | sent
                        if new == state and (judgement is None or judgement.wrong is None):
                            continue
                        transitions += 1
                        if is_duty:
                            is_quiet = False
                        if (
                            judgement is not None
                            and state & judgement.concern not in judgement.sound
                        ):
                            violation = judgement.violation(state)
                            if violation is not None:
                                self.broken = Broken(state, move, violation)
                                return found
                        if new in seen:
                            continue
                        if is_foreign is None or not is_foreign(new):
                            new = with_replies(new)
                            if canonical is not None:
                                new = canonical(new)
                                if new not in seen:
                                    with_replies(new)  # see `completed`
                        if new not in seen:
                            seen.add(new)
                            found.append(new)
                if is_quiet:
                    violation = self.quiet(state)
                    if violation is not None:
                        self.broken = Broken(state, None, violation)
                        return found
                    self.progress.quiet += 1
            except UnknownMoveError as unknown:
                transitions = counted
                self.postponed.append(state)
                self.lessons.setdefault(unknown.question, state)
            if table.learned != learned:
                self.journal.append(state)
        self.progress.transitions += transitions
        self.progress.states = len(seen)
        return found

    def _successors(self, state: int) -> set[int]:
        return {self.named(new) for new, _ in self.table.successors(state)}

    def completed(self, state: int) -> int:
        """The state as a search keeps it: with all replies, and by the names that stand for it.

        Under these names, too, the table learns its replies at once, and not when it happens to be
        asked: so what it learns depends on the states expanded alone.
        """
        named = self.named(self.table.with_replies(state))
        return named if self.symmetry is None else self.table.with_replies(named)

    def named(self, state: int) -> int:
        """The state that stands for this one and all that differ only by names."""
        return state if self.symmetry is None else self.symmetry.canonical(state)
