"""The command `paxos`.

For a cluster: init, node, decide, put, get, status, inspect. To see it work: demo. To learn, and to
prove: rules, replay, sim, explore. To judge what clients saw: check.

Every command takes `--json`: one JSON object on standard output, and nothing else; `ok` in it says
whether the exit code is 0. (`rules` prints a list: it claims nothing.) The exit code is 0 only if
what the command claims holds; 1 if it does not, with the reason on standard error; 2 for arguments
that make no sense; 3 if the outcome is unknown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console

import paxos
from paxos.cli import check, cluster, demonstrate, explore, replay, rules, simulate
from paxos.cli.answer import FAILED, OK, UNKNOWN, Answer, UnknownOutcomeError
from paxos.cli.arguments import Commands
from paxos.errors import PaxosError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    options = _parser().parse_args(arguments)
    out = Console(highlight=False, soft_wrap=True, markup=False, quiet=options.json)
    code, answer = _answer(options, out)
    if isinstance(answer, dict):
        answer = {"ok": code == OK, **answer}
        if "error" in answer:
            Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(
                f"paxos: {answer['error']}"
            )
    if options.json:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return code


def _answer(options: argparse.Namespace, out: Console) -> Answer:
    """Run the command; an error of ours, or an interruption, is an answer too."""
    try:
        answer: Answer = options.run(options, out)
    except UnknownOutcomeError as error:
        return UNKNOWN, {"error": str(error)}
    except PaxosError as error:
        return FAILED, {"error": str(error)}
    except KeyboardInterrupt:
        return UNKNOWN, {"error": "interrupted"}
    return answer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paxos", description="Plain Paxos: consensus to read, to learn from, to build on."
    )
    parser.add_argument("--version", action="version", version=f"paxos {paxos.__version__}")
    commands = Commands(parser)
    for module in (demonstrate, cluster, rules, replay, simulate, explore, check):
        module.add(commands)
    return parser
