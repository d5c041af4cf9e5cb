"""`paxos sim`: runs by the thousand, each from one seed."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.console import Console

from paxos.cli.answer import Answer
from paxos.cli.arguments import Commands, whole_number

KINDS = ("node", "heartbeat", "log")


def add(commands: Commands) -> None:
    """Add the command."""
    what = "simulate clusters whose networks, disks, clocks and processes fail, by the thousand"
    command = commands.add("sim", _simulate, what, "--seeds 10000 --nodes 3..5 --faults all")
    _add_seeds(command)
    _add_runs(command)
    _add_campaign(command)


def _add_seeds(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("which runs")
    group.add_argument(
        "--seeds", type=whole_number(1), default=1000, metavar="N", help="how many (default: 1000)"
    )
    group.add_argument(
        "--first-seed", type=whole_number(0), default=0, metavar="N", help="(default: 0)"
    )
    group.add_argument(
        "--seed", type=whole_number(0), metavar="N", help="this one alone, and all about it"
    )


def _add_runs(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what may happen in them")
    group.add_argument(
        "--nodes",
        type=_nodes,
        default=(3, 5),
        metavar="N|N..M",
        help="how many members, drawn for each run (default: 3..5)",
    )
    group.add_argument(
        "--faults",
        default="all",
        metavar="LIST",
        help="all (default), none, or some, as in loss,kill,rot; --faults help tells them all",
    )
    group.add_argument(
        "--kind",
        choices=KINDS,
        help="one decision, with timers or without (default: both), or a whole log with clients",
    )
    group.add_argument(
        "--parts",
        type=_parts,
        metavar="LIST",
        help="of a log's seed: let only these parts go wrong, by number; a shrunk failure has them",
    )
    group.add_argument(
        "--break", dest="breaks", metavar="RULE", help="let all nodes drop this rule"
    )


def _add_campaign(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how to run them, and what to keep")
    group.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="processes (default: one a core)",
    )
    group.add_argument("--dask", metavar="ADDRESS", help="run them on this scheduler's cluster")
    group.add_argument(
        "--until-failure", action="store_true", help="end with the first failure, and shrink it"
    )
    group.add_argument(
        "--save", type=Path, metavar="DIR", help="write shrunk failures there, as scenarios"
    )


def _nodes(argument: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,3})(?:\.\.(\d{1,3}))?", argument)
    if found is None:
        raise argparse.ArgumentTypeError(f"{argument!r} is no number of nodes: write 3 or 3..5")
    return int(found[1]), int(found[2] or found[1])


def _parts(argument: str) -> tuple[int, ...]:
    if argument == "none":
        return ()
    if re.fullmatch(r"\d{1,6}(,\d{1,6})*", argument) is None:
        raise argparse.ArgumentTypeError(f"{argument!r} are no parts: write none, or 1,4,9")
    return tuple(map(int, argument.split(",")))


def _simulate(options: argparse.Namespace, out: Console) -> Answer:
    from paxos.cli import simulation  # noqa: PLC0415 - a world is imported by who needs it

    return simulation.run_sim(options, out)
