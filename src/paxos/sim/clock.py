"""A node's own clock: it shows another time than the world's, and runs at another speed."""

from __future__ import annotations

import math


class Clock:
    """A monotonic clock. It is read at instants of the world (seconds), which never go back."""

    __slots__ = ("_reading", "_since", "rate")

    def __init__(self) -> None:
        self.rate = 1.0
        """Its seconds in one second of the world."""

        self._since = 0.0
        self._reading = 0.0

    def reading(self, now: float) -> float:
        """What it shows at this instant."""
        return self._reading + self.rate * (now - self._since)

    def instant_of(self, reading: float, now: float) -> float:
        """The first instant, not before `now`, at which it shows at least this."""
        instant = max(now, self._since + (reading - self._reading) / self.rate)
        while self.reading(instant) < reading:  # a float may be just too small
            instant = math.nextafter(instant, math.inf)
        return instant

    def set(self, now: float, *, rate: float | None = None, reading: float | None = None) -> None:
        """From this instant on, show another time, or run at another speed."""
        self._reading = self.reading(now) if reading is None else reading
        self._since = now
        self.rate = self.rate if rate is None else rate
