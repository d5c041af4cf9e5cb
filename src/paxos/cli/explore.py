"""`paxos explore`: every order of events, within bounds."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from rich.console import Console

from paxos.cli import files
from paxos.cli.answer import Answer
from paxos.cli.arguments import Commands, add_count

KINDS = ("node", "heartbeat", "roles", "log")


def above_0(argument: str) -> float:
    """The type of an argument that is a number above 0, and finite."""
    try:
        number = float(argument)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{argument!r} is no number above 0, as 0.5 or 60 are")
    return number


def add(commands: Commands) -> None:
    """Add the command."""
    what = "try every order of messages, crashes and timeouts within bounds, with the real classes"
    example = "--break promise-refuses-lower"
    command = commands.add("explore", _explore, what, example)
    _add_cluster(command)
    _add_bounds(command)
    _add_log(command)
    _add_search(command)
    _add_outcome(command)


def _add_cluster(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("who plays")
    group.add_argument(
        "--kind",
        choices=KINDS,
        help="node: all roles in one (default); heartbeat: with timers; roles: standing apart; "
        "log: a log of decisions",
    )
    add_count(group, "--nodes", 1, "how many nodes (default: 3)")
    add_count(group, "--acceptors", 1, "how many, where roles stand apart (default: 3)")
    add_count(group, "--proposers", 1, "how many propose (default: 2; with roles, one a ballot)")
    add_count(group, "--values", 1, "different values (default: 2)")
    add_count(group, "--phase1", 1, "how many promises make a quorum (default: more than half)")
    add_count(group, "--phase2", 1, "how many votes make a quorum (default: more than half)")
    claims = group.add_mutually_exclusive_group()
    claims.add_argument(
        "--break",
        dest="breaks",
        metavar="RULE",
        help="without this rule, within its own bounds unless others are given",
    )
    claims.add_argument(
        "--like", metavar="RULE", help="within the bounds of this rule, but nothing is broken"
    )
    group.add_argument(
        "--spec",
        choices=["lamport"],
        help="count the states of Lamport's specification instead; with --break, compare counts",
    )


def _add_bounds(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how much may happen")
    add_count(group, "--ballots", 1, "ballots, all proposers together (default: 2)")
    add_count(group, "--crashes", 0, "kills and power cuts, anywhere (default: 0)")
    add_count(group, "--timeouts", 0, "timers that fire, with heartbeat (default: 2)")
    group.add_argument(
        "--slow-disks", action="store_true", help="a persist may be overdue, with heartbeat"
    )
    group.add_argument(
        "--hints",
        action=argparse.BooleanOptionalAction,
        help="whether nacks and decisions are delivered: without, there are fewer states",
    )


def _add_log(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group(
        "with --kind log", "--nodes have all roles in one; with --acceptors, proposers stand apart"
    )
    add_count(group, "--slots", 1, "how many slots there are (default: 2)")
    add_count(group, "--window", 1, "how many of them may be open at once (default: 2)")
    add_count(group, "--page", 1, "entries that one message tells of (default: 8)")
    group.add_argument(
        "--asked", metavar="NODES", help="who is asked for commands, as P+Q (default: proposers)"
    )
    group.add_argument(
        "--taught",
        metavar="NODES",
        help="nodes that are ever told what is chosen, as A+Q, or none (default: all)",
    )
    group.add_argument(
        "--change",
        metavar="NODES",
        action="append",
        help="a leader may be asked for these members, as A+B+D (more than once if need be)",
    )
    group.add_argument(
        "--again", action="store_true", help="proposers send again what is unanswered"
    )


def _add_search(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how to search")
    group.add_argument("--depth-first", action="store_true", help="less memory, no shortest way")
    group.add_argument(
        "--every-step", action="store_true", help="see states, too, that nobody can notice"
    )
    group.add_argument(
        "--no-symmetry", action="store_true", help="see states, too, that differ by names alone"
    )
    add_count(group, "--workers", 1, "processes, breadth-first (default: all cores)")
    group.add_argument("--memory", type=above_0, metavar="GIB", help="end at that much memory")
    add_count(group, "--max-states", 1, "end after that many")
    group.add_argument("--seconds", type=above_0, metavar="S", help="end after that long")
    group.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="write down there how far it is"
    )
    group.add_argument("--resume", type=Path, metavar="FILE", help="go on from a checkpoint")


def _add_outcome(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--save", type=Path, metavar="FILE", help="write a counterexample as a scenario"
    )
    files.add_diagrams(command)


def _explore(options: argparse.Namespace, out: Console) -> Answer:
    # A world is imported by who needs it.
    from paxos.cli import exploration, log_exploration  # noqa: PLC0415 - see above

    if options.kind == "log":
        return log_exploration.explore(options, out)
    log_exploration.demand_no_log(options)
    return exploration.explore(options, out)
