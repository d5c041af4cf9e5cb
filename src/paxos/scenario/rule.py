"""What a rule of the algorithm is, as an entry of the table in `rules`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, TypeAlias

from paxos.scenario.mutants import MUTANTS


class FoundBy(enum.Enum):
    """What finds the mutant without being told where to look."""

    EXPLORER = "explorer"
    """It tries everything within the bounds that the rule states."""

    EXACT_COUNT = "exact count"
    """The explorer, too, but no invariant: the number of states is not that of the paper."""

    SIMULATOR = "simulator"
    """It draws what happens from a seed."""

    STORE_KIT = "store kit"
    """The tests that any store has to pass."""

    TEST = "test"
    """Nothing but the test that was written for it. The rule's note says why."""


Outcome: TypeAlias = Literal[
    "agreement",
    "one-value-an-id",
    "learns-what-is-chosen",
    "no-conflict",
    "progress",
    "steady-leader",
    "nothing",
]
"""What goes wrong without a rule: an invariant (by its ID); "progress": somebody never learns a
decision; "steady-leader": a leader that could get things chosen loses its place; or nothing."""


@dataclass(frozen=True)
class Lesson:
    """A question to be answered before the run is seen."""

    question: str
    answers: tuple[str, ...]
    right: int
    """Which of the answers, counted from 0."""

    why: str


@dataclass(frozen=True)
class ExploreBounds:
    """How much the explorer must let happen to find the mutant. See `paxos.verify.Bounds`."""

    proposals: tuple[tuple[str, str], ...] = (("A", "a"), ("B", "b"))
    """Which node may be asked for which value."""

    ballots: int = 2
    crashes: int = 0
    restarts: bool = True
    """Whether a crashed node comes back. Who counts on everybody shows only if one does not."""

    timeouts: int = 0
    number: int | None = None
    """The highest number that anybody prepares. With 1, each proposer has one ballot."""

    hints: bool = False
    """Whether nacks and decisions are delivered. Most mutants show without them, and sooner."""

    members: tuple[str, ...] = ("A", "B", "C")
    proposers: tuple[str, ...] = ()
    """Nodes that propose and have no vote."""

    kind: str = "node"
    phase1: int | None = None
    phase2: int | None = None


@dataclass(frozen=True)
class Rule:
    """One rule of the algorithm, with its five faces."""

    id: str
    rule: str
    source: str
    """Paper and section; or, if the rule is ours, the contract in ARCHITECTURE.md or the reason."""

    story: str
    """What becomes of a cluster whose nodes drop it."""

    breaks: Outcome
    found_by: FoundBy
    test: str
    """The pytest node ID of a test that fails without the rule."""

    lesson: Lesson
    bounds: ExploreBounds | None = None
    """For what the explorer finds."""

    misconceptions: tuple[str, ...] = ()
    """Which beliefs about Paxos it contradicts: see `BELIEFS` in `rules`."""

    note: str = ""
    """What else is to be said; above all, what does not find the mutant, and why."""

    has_scenario: bool = True
    """False where no run of one cluster can show it; the note says why."""

    @property
    def mutant(self) -> str:
        """The class, or classes, without the rule."""
        return ", ".join(each.__name__ for each in MUTANTS[self.id].classes)

    @property
    def scenario(self) -> str | None:
        """The file, under `scenario/files`, in which it goes wrong."""
        return f"break-{self.id}.scenario" if self.has_scenario else None
