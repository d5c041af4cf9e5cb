"""How far an exploration is, shown while it runs, and the limits at which it ends."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from paxos.verify import Progress

GIB = 1 << 30
SECONDS_A_LINE = 10.0
"""Without a terminal, how long it is from one line to the next."""

SHARE_OF_MEMORY = 0.8
"""Of all that the machine has: more, and it would begin to swap."""


def memory_used() -> int:
    """The most memory that this process has had so far (bytes)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # Linux counts in KiB


def memory_there() -> int:
    """How much of this machine's memory an exploration may take (bytes)."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return int(SHARE_OF_MEMORY * pages * page)


@dataclass(frozen=True)
class Limits:
    """At what an exploration ends, even if there is more to see."""

    seconds: float | None = None
    states: int | None = None
    memory: int = field(default_factory=memory_there)
    """Bytes."""

    def reached_by(self, states: int, seconds: float, memory: int) -> str | None:
        """Which limit is reached, or None."""
        if self.states is not None and states >= self.states:
            return f"{states:,} states were seen, and {self.states:,} were asked for"
        if self.seconds is not None and seconds >= self.seconds:
            return f"{self.seconds:g} seconds were over"
        if memory >= self.memory:
            return f"{memory / GIB:.1f} GiB of memory were in use, and that is the limit"
        return None


class Watcher:
    """Is told how far a search is; shows it, and says when to stop."""

    def __init__(
        self,
        out: Console,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] = memory_used,
    ) -> None:
        self._out = out
        self._limits = limits
        self._clock = clock
        self._memory = memory
        self._began = self._shown = clock()
        self._progress = Progress()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    def __call__(self, progress: Progress) -> str | None:
        """Take notice; say why to stop, or None."""
        self._progress = progress
        if not self._out.is_terminal and self._clock() - self._shown >= SECONDS_A_LINE:
            self._shown = self._clock()
            self._out.print("  ".join(f"{name} {value}" for name, value in self.facts().items()))
        return self._limits.reached_by(progress.states, self.seconds, self._memory())

    def facts(self) -> dict[str, str]:
        """How far it is, in words and figures."""
        progress, seconds = self._progress, self.seconds
        return {
            "states": f"{progress.states:,}",
            "a second": f"{progress.states / max(seconds, 0.001):,.0f}",
            "frontier": f"{progress.frontier:,}",
            "depth": f"{progress.depth}",
            "memory": f"{self._memory() / GIB:.2f} GiB",
            "time": f"{seconds:,.0f} s",
        }

    @contextmanager
    def shown(self) -> Generator[None]:
        """On a terminal, show all that until the block ends."""
        if not self._out.is_terminal or self._out.quiet:
            yield
            return
        with Live(
            get_renderable=self._table,
            console=self._out,
            refresh_per_second=4,
            transient=True,
        ):
            yield

    def _table(self) -> Table:
        facts = self.facts()
        table = Table(*facts)
        table.add_row(*facts.values())
        return table
