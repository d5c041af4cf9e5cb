"""How a command is added to the program, and what its arguments may be."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from rich.console import Console

from paxos.cli.answer import Answer

Run: TypeAlias = Callable[[argparse.Namespace, Console], Answer]
"""Performs a command. The console is silent under `--json`."""


class Arguments(Protocol):
    """What arguments can be added to: a command, or a group of its arguments."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add one."""
        ...


def add_count(arguments: Arguments, name: str, least: int, what: str) -> None:
    """Add an argument that is a whole number, `least` or more."""
    arguments.add_argument(name, type=whole_number(least), metavar="N", help=what)


class Commands:
    """The commands of one program, each with `--json` and an example."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, what: str, example: str) -> argparse.ArgumentParser:
        """Add a command; return its parser, for its other arguments."""
        command = self._commands.add_parser(
            name, help=what, description=what, epilog=f"example: paxos {name} {example}"
        )
        command.add_argument("--json", action="store_true", help="print one JSON object, no more")
        command.set_defaults(run=run)
        return command


def seconds(argument: str) -> float:
    """A time to wait: above 0, and finite."""
    number = float(argument)  # argparse makes a complaint of its ValueError, and of ours
    if not 0 < number < math.inf:
        raise ValueError
    return number


def whole_number(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number, `least` or more."""

    def parse(argument: str) -> int:
        if not argument.isdecimal() or int(argument) < least:
            raise argparse.ArgumentTypeError(f"{argument!r} is no whole number from {least} on")
        return int(argument)

    return parse
