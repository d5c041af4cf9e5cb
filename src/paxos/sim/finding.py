"""What a person gets of a failing seed: one line that replays it, and a short scenario."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from paxos.errors import MisuseError
from paxos.scenario.opening import Opening
from paxos.scenario.transcript import write
from paxos.sim.campaign import Failure
from paxos.sim.faults import format_faults
from paxos.sim.outcome import simulate
from paxos.sim.player import play
from paxos.sim.shrink import MOST_REPLAYS, replay, shrink
from paxos.sim.swarm import Wish

WIDTH = 98
"""Of a comment in a scenario, in columns, without its mark."""


def replay_line(seed: int, wish: Wish) -> str:
    """The command that runs this seed again, exactly."""
    words = ["paxos", "sim", "--seed", str(seed), "--nodes", f"{wish.fewest}..{wish.most}"]
    words += ["--faults", format_faults(wish.faults)]
    if wish.kind is not None:
        words += ["--kind", wish.kind.value]
    if wish.breaks is not None:
        words += ["--break", wish.breaks]
    return " ".join(words)


@dataclass(frozen=True)
class Finding:
    """A failure, as a scenario that shows it."""

    failure: Failure
    replay: str
    steps: int
    """Commands in the scenario."""

    was: int
    """Commands in the run."""

    text: str
    """The scenario file, with the output of its commands."""


def find(seed: int, wish: Wish, replays: int = MOST_REPLAYS) -> Finding:
    """Run a failing seed again, and shrink it. Raises `MisuseError` if it does not fail."""
    outcome = simulate(seed, wish)
    broken, cluster, commands = outcome.broken, outcome.plan.cluster, outcome.commands
    if broken is None:
        raise MisuseError(f"seed {seed} breaks nothing: there is nothing to shrink")
    failure = Failure(seed, broken.invariant, broken.sentence, outcome.effects)
    line = replay_line(seed, wish)
    case = replay(cluster, commands, broken.invariant)
    if case is None:
        how = f"It shows only in time, so these are all {len(commands)} commands"
    else:
        case = shrink(case, replays)
        how = f"Shrunk from {len(commands)} commands"
        cluster, commands, broken = case.cluster, case.commands, case.broken
    text = write(
        Opening(cluster),
        commands,
        _wrapped(f"{broken.invariant} is broken: {broken.sentence}.", f"{how} of: {line}"),
    )
    return Finding(failure, line, len(commands), len(outcome.commands), play(text).text)


def _wrapped(*paragraphs: str) -> str:
    wrapped = (textwrap.wrap(each, WIDTH, break_on_hyphens=False) for each in paragraphs)
    return "\n".join(row for rows in wrapped for row in rows)
