"""How far an exploration is, shown while it runs, and the limits at which it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from paxos.cli.now_and_then import NowAndThen
from paxos.verify import Progress

GIB = 1 << 30

SHARE_OF_MEMORY = 0.8
"""Of all that the machine has: more, and it would begin to swap."""


def memory_there() -> int | None:
    """How much of this machine's memory an exploration may take (bytes); None if nobody can say."""
    if not hasattr(os, "sysconf"):
        return None
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return int(SHARE_OF_MEMORY * pages * page)


@dataclass(frozen=True)
class Limits:
    """At what an exploration ends, even if there is more to see."""

    seconds: float | None = None
    states: int | None = None
    memory: int | None = field(default_factory=memory_there)
    """Bytes, of all processes together."""

    def reached_by(self, progress: Progress, seconds: float) -> str | None:
        """Which limit is reached, or None."""
        states, memory = progress.states, progress.bytes
        if self.states is not None and states >= self.states:
            return f"{states:,} states were seen, and {self.states:,} were asked for"
        if self.seconds is not None and seconds >= self.seconds:
            return f"{self.seconds:g} seconds were over"
        if self.memory is not None and memory >= self.memory:
            return f"{memory / GIB:.1f} GiB of memory were in use, and that is the limit"
        return None


class Watcher:
    """Is told how far a search is; shows it, and says when to stop."""

    def __init__(
        self,
        out: Console,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._limits = limits
        self._clock = clock
        self._began = clock()
        self._now_and_then = NowAndThen(out, clock)
        self._progress = Progress()
        self._before: int | None = None

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    def rate(self, states: int) -> float:
        """How many of these states were seen in a second."""
        return (states - (self._before or 0)) / max(self.seconds, 0.001)

    def __call__(self, progress: Progress) -> str | None:
        """Take notice; say why to stop, or None."""
        self._progress = progress
        if self._before is None:
            self._before = progress.states  # many, if it goes on from a checkpoint
        self._now_and_then.tell(self._line)
        return self._limits.reached_by(progress, self.seconds)

    def _line(self) -> str:
        return "  ".join(f"{name} {value}" for name, value in self.facts().items())

    def facts(self) -> dict[str, str]:
        """How far it is, in words and figures."""
        progress = self._progress
        return {
            "states": f"{progress.states:,}",
            "a second": f"{self.rate(progress.states):,.0f}",
            "frontier": f"{progress.frontier:,}",
            "depth": f"{progress.depth}",
            "memory": f"{progress.bytes / GIB:.2f} GiB",
            "time": f"{self.seconds:,.0f} s",
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
