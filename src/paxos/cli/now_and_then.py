"""How far a long command is, where no terminal can show it all the time: a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

SECONDS_A_LINE = 10.0


class NowAndThen:
    """Prints a line when ten seconds have passed since the last one. On a terminal, nothing."""

    def __init__(self, out: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self._out = out
        self._clock = clock
        self._shown = clock()

    def tell(self, line: Callable[[], str]) -> None:
        """Print this line, if it is time for one."""
        if not self._out.is_terminal and self._clock() - self._shown >= SECONDS_A_LINE:
            self._shown = self._clock()
            self._out.print(line())
