"""A failing run of a log with less in it: what goes wrong is left out, part by part.

A plan's parts are its spells but for the first, its strikes and the administrator's turns; they are
numbered. Whatever is left out changes the luck of all that comes after, so not each seed shrinks as
far as a scenario would: but what is left is still one line to replay.
"""

from __future__ import annotations

from dataclasses import replace

from paxos.sim.log.outcome import LogOutcome, simulate_log
from paxos.sim.log.plan import LogWish, parts_of

MOST_RUNS = 60
"""Of the shrunk seed: a minute or less."""


def shrink_log(seed: int, wish: LogWish, broken: str, runs: int = MOST_RUNS) -> LogWish:
    """Leave out whatever is not needed to break this claim."""
    best, left = wish, runs
    kept = parts_of(seed, wish)
    size = len(kept)
    while size and left > 0:
        place = len(kept)
        while place > 0 and left > 0:
            fewer = kept[: max(0, place - size)] + kept[place:]
            left -= 1
            if breaks_too(simulate_log(seed, replace(wish, parts=fewer)), broken):
                kept, best = fewer, replace(wish, parts=fewer)
            place = min(place - size, len(kept))
        size //= 2
    return best


def breaks_too(outcome: LogOutcome, broken: str) -> bool:
    """Whether this breaks the same claim."""
    return outcome.broken is not None and outcome.broken.invariant == broken
