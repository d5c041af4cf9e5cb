"""The commands for a cluster across machines: init, node, decide, put, get, status, inspect."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from paxos.cli.answer import Answer
from paxos.cli.arguments import Commands, seconds


def add(commands: Commands) -> None:
    """Add them all."""
    init = commands.add(
        "init", _run, "make the memory of a node that has never run", "--node A ./a"
    )
    init.add_argument("folder", type=Path, metavar="DIR", help="to be made")
    init.add_argument("--node", required=True, metavar="ID", help="a node of the cluster")
    node = commands.add("node", _run, "run the node whose memory is in DIR", "./a")
    node.add_argument("folder", type=Path, metavar="DIR", help="made by paxos init")
    decide = commands.add(
        "decide", _run, "propose a value, and print what is chosen", "tea --node A"
    )
    _decide_arguments(decide)
    status = commands.add("status", _run, "ask nodes how they are", "--node A")
    status.add_argument("--node", metavar="ID", help="ask this node alone")
    put = commands.add("put", _run, "write a value into a log's keys and values", "tea hot")
    put.add_argument("key", metavar="KEY", help="text")
    put.add_argument("value", metavar="VALUE", help="text")
    get = commands.add("get", _run, "read a value from a log's keys and values", "tea")
    get.add_argument("key", metavar="KEY", help="text")
    for command in (put, get):
        _add_timeout(command)
    for command in (init, node, decide, put, get, status):
        command.add_argument(
            "--cluster",
            type=Path,
            default=Path("cluster.toml"),
            metavar="FILE",
            help="who the nodes are (default: cluster.toml)",
        )
    inspect = commands.add("inspect", _run, "print what a node's memory holds", "./a")
    inspect.add_argument("folder", type=Path, metavar="DIR", help="made by paxos init")


def _decide_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("value", metavar="VALUE", help="text")
    command.add_argument("--node", metavar="ID", help="ask this node, and no other")
    _add_timeout(command)


def _add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="then the outcome is unknown (default: 10)",
    )


def _run(options: argparse.Namespace, out: Console) -> Answer:
    from paxos.cli import nodes  # noqa: PLC0415 - asyncio and sockets: half of `paxos --help`

    return nodes.COMMANDS[options.command](options, out)
