"""What happened when, as seen by the one process that watches them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    seconds: float
    """Since the demo began."""

    who: str
    """A node ID, or "demo"."""

    what: str

    def __str__(self) -> str:
        return f"{self.seconds:7.3f} s  {self.who:<5} {self.what}"


class Timeline:
    """Entries in the order in which they became known here."""

    def __init__(
        self, shown: Callable[[Entry], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin now. `shown` is called with each entry."""
        self.entries: list[Entry] = []
        self._shown = shown
        self._clock = clock
        self._began = clock()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    def add(self, who: str, what: str) -> None:
        """Note that something happened just now."""
        entry = Entry(self.seconds, who, what)
        self.entries.append(entry)
        self._shown(entry)
