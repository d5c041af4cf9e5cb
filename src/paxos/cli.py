"""The command `paxos`: demo, init, node, decide, status, inspect.

Every command takes `--json`: one JSON object on standard output, and nothing else. The exit code
is 0 only if what the command claims holds; 1 if it does not, with the reason on standard error;
2 for arguments that make no sense; 3 if the outcome is unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import secrets
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

import paxos
from paxos import demo
from paxos.errors import FaultError, MisuseError, PaxosError
from paxos.messages import NOTHING_ACCEPTED
from paxos.proposal_id import ProposalID
from paxos.runtime import (
    Cluster,
    RefusedError,
    UnreachableError,
    client,
    create_store,
    inspect_store,
    protocol,
    read_cluster_file,
    serve,
)
from paxos.runtime.protocol import text

OK, FAILED, UNKNOWN = 0, 1, 3

Answer = tuple[int, dict[str, Any]]
"""An exit code, and what `--json` prints."""


Command = Callable[[argparse.Namespace, Console], Answer]


class UnknownOutcomeError(FaultError):
    """The value may be chosen, now or later, or never."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    options = _parser().parse_args(arguments)
    code: int
    out = Console(highlight=False, soft_wrap=True, markup=False, quiet=options.json)
    try:
        code, answer = options.run(options, out)
    except PaxosError as error:
        code, answer = FAILED, {"error": str(error)}
        if isinstance(error, UnknownOutcomeError):
            code = UNKNOWN
    except KeyboardInterrupt:
        code, answer = UNKNOWN, {"error": "interrupted"}
    if "error" in answer:
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(
            f"paxos: {answer['error']}"
        )
    if options.json:
        sys.stdout.write(msgspec.json.encode({"ok": code == OK, **answer}).decode() + "\n")
    return code


def _demo(options: argparse.Namespace, out: Console) -> Answer:
    """Play the demo in a folder that goes away, unless it is to be kept."""
    if options.keep is None:
        with tempfile.TemporaryDirectory(prefix="paxos-demo-") as folder:
            return _play(options, out, Path(folder))
    try:
        options.keep.mkdir(parents=True)
    except OSError as error:
        raise MisuseError(
            f"cannot make {options.keep}: {error.strerror}. Name a new folder"
        ) from error
    answer = _play(options, out, options.keep)
    out.print(f"kept: {options.keep}")
    return answer


def _play(options: argparse.Namespace, out: Console, folder: Path) -> Answer:
    seed: int = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    values = [os.fsencode(value) for value in options.value or ("tea", "coffee")]
    if len(values) != 2:
        raise MisuseError("the demo has two proposers: give --value twice, or not at all")

    def show(entry: demo.Entry) -> None:
        if not out.is_terminal:
            out.print(str(entry))

    timeline = demo.Timeline(show)
    story = demo.Story.prepare(timeline, folder, options.nodes, values, seed)
    with demo.live_view(out, story) if out.is_terminal and not out.quiet else nullcontext():
        asyncio.run(story.play())
    checks = demo.check(story)
    demo.show_end(out, story, checks, with_timeline=out.is_terminal)
    wanted = "".join(f" --value {shlex.quote(value)}" for value in options.value or ())
    out.print(f"\nagain: paxos demo --nodes {options.nodes} --seed {seed}{wanted}")
    broken = [each.name for each in checks if not each.holds]
    answer = {
        "seed": seed,
        "seconds": round(timeline.seconds, 3),
        "value": None if story.value is None else _json_value(story.value),
        "checks": {each.name: each.holds for each in checks},
        "timeline": timeline.entries,
    }
    return (FAILED, answer | {"error": f"broken: {', '.join(broken)}"}) if broken else (OK, answer)


def _init(options: argparse.Namespace, out: Console) -> Answer:
    """Make a node's memory."""
    cluster = read_cluster_file(options.cluster)
    owner = create_store(cluster, options.node, options.folder)
    out.print(f"{options.folder} is the memory of {owner.node_id} of {owner.cluster}")
    return OK, {"folder": str(options.folder), "owner": owner}


def _node(options: argparse.Namespace, out: Console) -> Answer:
    """Run a node until SIGTERM or SIGINT, or until it fails."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    cluster = read_cluster_file(options.cluster)
    status = asyncio.run(_serve_until_signal(cluster, options.folder, out))
    return OK, {"node": status.node_id, **_plain(status)}


async def _serve_until_signal(cluster: Cluster, folder: Path, out: Console) -> protocol.Status:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with serve(cluster, folder) as server:
        own = server.identity.node_id
        out.print(f"{own} of {cluster.name} listens at {cluster.bind(own)}")
        await stop.wait()
        out.print(f"{own} stops")
        return server.status()


def _decide(options: argparse.Namespace, out: Console) -> Answer:
    """Propose a value, and print what is chosen."""
    cluster = read_cluster_file(options.cluster)
    nodes = [options.node] if options.node else sorted(cluster.addresses)
    value = os.fsencode(options.value)
    outcome = asyncio.run(_decide_at(cluster, nodes, value, options.timeout))
    out.print(f"chosen: {text(outcome.value)}, under {outcome.number}.{outcome.node_id}")
    return OK, {
        "chosen": _json_value(outcome.value),
        "yours": outcome.value == value,
        "id": str(ProposalID(outcome.number, outcome.node_id)),
    }


async def _decide_at(
    cluster: Cluster, nodes: Sequence[str], value: bytes, seconds: float
) -> protocol.Outcome:
    """Ask the first node that can be reached. To ask another after that would still be safe."""
    problems: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            for node_id in nodes:
                try:
                    return await client.decide(cluster, node_id, value)
                except UnreachableError as error:
                    problems.append(str(error))
    except TimeoutError:
        needed = f"{cluster.quorums.phase1} and {cluster.quorums.phase2}"
        raise UnknownOutcomeError(
            f"no answer within {seconds} seconds: the outcome is unknown. A decision needs votes "
            f"of weight {needed} out of {cluster.quorums.weight(cluster.quorums.members)}: are "
            "enough nodes running? Asking again is safe"
        ) from None
    except (MisuseError, RefusedError):
        raise
    except FaultError as fault:
        raise UnknownOutcomeError(
            f"the outcome is unknown: {fault}. Asking again is safe"
        ) from fault
    raise UnreachableError("nothing was proposed: " + "; ".join(problems))


def _status(options: argparse.Namespace, out: Console) -> Answer:
    """Ask nodes how they are. It claims that all of those asked answer."""
    cluster = read_cluster_file(options.cluster)
    nodes = [options.node] if options.node else sorted(cluster.addresses)
    statuses = asyncio.run(_statuses(cluster, nodes))
    for node_id, status in statuses.items():
        if isinstance(status, str):
            out.print(f"{node_id}  {status}")
            continue
        chosen = text(status.chosen.value) if status.chosen else "not known"
        role = "leads" if status.leads else f"follows {status.leader}"
        out.print(
            f"{node_id}  {role}, promised {status.promised}, accepted {status.accepted}, "
            f"chosen {chosen}"
        )
    described = {
        node_id: {"error": status} if isinstance(status, str) else _plain(status)
        for node_id, status in statuses.items()
    }
    silent = [node_id for node_id, status in statuses.items() if isinstance(status, str)]
    if silent:
        return FAILED, {"nodes": described, "error": f"no answer from {', '.join(silent)}"}
    return OK, {"nodes": described}


async def _statuses(cluster: Cluster, nodes: Sequence[str]) -> dict[str, protocol.Status | str]:
    async def ask(node_id: str) -> protocol.Status | str:
        try:
            async with asyncio.timeout(client.CONNECT_PATIENCE):
                return await client.status(cluster, node_id)
        except FaultError as fault:
            return str(fault)
        except TimeoutError:
            return f"{node_id} is connected, but does not answer"

    return dict(zip(nodes, await asyncio.gather(*map(ask, nodes)), strict=True))


def _plain(status: protocol.Status) -> dict[str, Any]:
    chosen = status.chosen
    return {
        "incarnation": status.incarnation,
        "leads": status.leads,
        "follows": status.leader,
        "promised": status.promised,
        "accepted": status.accepted,
        "chosen": None if chosen is None else _json_value(chosen.value),
    }


def _inspect(options: argparse.Namespace, out: Console) -> Answer:
    """Print what a folder holds. It claims that a node could start from it."""
    found = inspect_store(options.folder)
    report, state = found.report, found.state
    out.print(f"{report.answer.value}: {report.what}" + (" (in use)" if report.locked else ""))
    if report.owner is not None:
        who = report.owner
        out.print(f"node {who.node_id} of {who.cluster}, incarnation {who.incarnation}")
    answer: dict[str, Any] = {
        "answer": report.answer.value,
        "what": report.what,
        "in_use": report.locked,
        "owner": report.owner,
        "torn": report.torn,
        "bad_sectors": report.bad,
    }
    if state is None:
        return FAILED, answer | {"error": found.problem}
    accepted = None if state.accepted is NOTHING_ACCEPTED else state.accepted
    shown = "nothing" if accepted is None else f"{text(accepted.value)} under {accepted.id}"
    out.print(f"prepared up to {state.ballot}, promised {state.promised}, accepted {shown}")
    return OK, answer | {
        "ballot": state.ballot,
        "promised": str(state.promised),
        "accepted": accepted and {"id": str(accepted.id), "value": _json_value(accepted.value)},
    }


def _json_value(value: bytes) -> str | dict[str, str]:
    """A value for programs: a string if it is text, else an object with its hexadecimal form."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def _seconds(argument: str) -> float:
    seconds = float(argument)  # argparse makes a complaint of its ValueError, and of ours
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paxos", description="Plain Paxos: consensus to read, to learn from, to build on."
    )
    parser.add_argument("--version", action="version", version=f"paxos {paxos.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, what: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=what, description=what, epilog=f"example: paxos {name} {example}"
        )
        command.add_argument("--json", action="store_true", help="print one JSON object, no more")
        command.set_defaults(run=run)
        return command

    _demo_arguments(
        add("demo", _demo, "real processes agree while some are killed", "--nodes 5 --seed 7")
    )
    init = add("init", _init, "make the memory of a node that has never run", "--node A ./a")
    init.add_argument("folder", type=Path, metavar="DIR", help="to be made")
    init.add_argument("--node", required=True, metavar="ID", help="a node of the cluster")
    node = add("node", _node, "run the node whose memory is in DIR", "./a")
    node.add_argument("folder", type=Path, metavar="DIR", help="made by paxos init")
    decide = add("decide", _decide, "propose a value, and print what is chosen", "tea --node A")
    decide.add_argument("value", metavar="VALUE", help="text")
    decide.add_argument("--node", metavar="ID", help="ask this node, and no other")
    decide.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="then the outcome is unknown (default: 10)",
    )
    status = add("status", _status, "ask nodes how they are", "--node A")
    status.add_argument("--node", metavar="ID", help="ask this node alone")
    for command in (init, node, decide, status):
        command.add_argument(
            "--cluster",
            type=Path,
            default=Path("cluster.toml"),
            metavar="FILE",
            help="who the nodes are (default: cluster.toml)",
        )
    inspect = add("inspect", _inspect, "print what a node's memory holds", "./a")
    inspect.add_argument("folder", type=Path, metavar="DIR", help="made by paxos init")
    return parser


def _demo_arguments(command: argparse.ArgumentParser) -> None:
    nodes = f"{demo.MIN_NODES} to {demo.MAX_NODES} (default: 5)"
    command.add_argument("--nodes", type=int, default=5, metavar="N", help=nodes)
    command.add_argument("--seed", type=int, metavar="N", help="draws who is killed, and when")
    command.add_argument(
        "--value", action="append", metavar="TEXT", help="twice: what the two proposers want"
    )
    command.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave folders and logs in this new folder"
    )
