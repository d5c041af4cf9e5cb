"""What a person gets of a failing seed: one line that replays it, and a short scenario."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from paxos.errors import MisuseError
from paxos.scenario.opening import Opening
from paxos.scenario.transcript import write
from paxos.sim.campaign import AnyWish, Failure, kind_of, known_faults
from paxos.sim.faults import format_faults
from paxos.sim.log.outcome import simulate_log
from paxos.sim.log.plan import LogWish, draw_log_plan
from paxos.sim.log.shrink import MOST_RUNS, shrink_log
from paxos.sim.outcome import simulate
from paxos.sim.player import play
from paxos.sim.shrink import MOST_REPLAYS, replay, shrink
from paxos.sim.swarm import Wish

WIDTH = 98
"""Of a comment in a scenario, in columns, without its mark."""


def replay_line(seed: int, wish: AnyWish) -> str:
    """The command that runs this seed again, exactly."""
    kind = kind_of(wish)
    words = ["paxos", "sim", "--seed", str(seed), "--nodes", f"{wish.fewest}..{wish.most}"]
    words += ["--faults", format_faults(wish.faults, known_faults(kind))]
    if kind is not None:
        words += ["--kind", kind]
    if wish.breaks is not None:
        words += ["--break", wish.breaks]
    if isinstance(wish, LogWish) and wish.parts is not None:
        words += ["--parts", ",".join(map(str, wish.parts)) or "none"]
    return " ".join(words)


@dataclass(frozen=True)
class Finding:
    """A failure, as a scenario that shows it; of a log, as the parts of a run that show it."""

    failure: Failure
    replay: str
    steps: int
    """Commands in the scenario; or parts."""

    was: int
    """Commands in the run; or parts."""

    text: str
    """The scenario file, with the output of its commands; or the parts in words."""


def find_in_log(seed: int, wish: LogWish, runs: int = MOST_RUNS) -> Finding:
    """Run a failing seed of a log again, and shrink it. Raises `MisuseError` if it is sound."""
    outcome = simulate_log(seed, wish)
    broken = outcome.broken
    if broken is None:
        raise MisuseError(f"seed {seed} breaks nothing: there is nothing to shrink")
    failure = Failure(seed, broken.invariant, broken.sentence, outcome.effects)
    smaller = shrink_log(seed, wish, broken.invariant, runs)
    plan, before = draw_log_plan(seed, smaller), outcome.plan
    parts = [*plan.spells[1:], *plan.strikes, *plan.turns]
    was = len(before.spells) + len(before.strikes) + len(before.turns) - 1
    again = simulate_log(seed, smaller).broken or broken
    lines = [f"{again.invariant} is broken: {again.sentence}."]
    lines += [f"Shrunk from {was} parts to {len(parts)} of: {replay_line(seed, smaller)}"]
    lines += [f"{plan.limits}", f"{plan.habits}", *(f"  {part}" for part in parts)]
    return Finding(failure, replay_line(seed, smaller), len(parts), was, "\n".join(lines) + "\n")


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
