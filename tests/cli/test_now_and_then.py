"""Where there is no terminal, a long command says now and then how far it is."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from paxos.cli.now_and_then import SECONDS_A_LINE, NowAndThen


def told(*, force_terminal: bool) -> str:
    """What is printed by six times of asking, each half of the interval after the other."""
    out, now = StringIO(), 0.0
    lines = NowAndThen(Console(file=out, force_terminal=force_terminal), lambda: now)
    for number in range(6):
        lines.tell(lambda number=number: f"line {number}")
        now += SECONDS_A_LINE / 2
    return out.getvalue()


def test_a_line_is_printed_when_the_last_one_is_old() -> None:
    assert told(force_terminal=False) == "line 2\nline 4\n"


def test_on_a_terminal_no_line_is_printed() -> None:
    assert not told(force_terminal=True)
