"""What the commands for a cluster do: init, node, decide, status, inspect."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from paxos.cli.answer import FAILED, OK, Answer, UnknownOutcomeError, json_value
from paxos.cli.arguments import Run
from paxos.errors import FaultError, MisuseError
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


def init(options: argparse.Namespace, out: Console) -> Answer:
    """Make a node's memory."""
    cluster = read_cluster_file(options.cluster)
    owner = create_store(cluster, options.node, options.folder)
    out.print(f"{options.folder} is the memory of {owner.node_id} of {owner.cluster}")
    return OK, {"folder": str(options.folder), "owner": owner}


def node(options: argparse.Namespace, out: Console) -> Answer:
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


def decide(options: argparse.Namespace, out: Console) -> Answer:
    """Propose a value, and print what is chosen."""
    cluster = read_cluster_file(options.cluster)
    nodes = [options.node] if options.node else sorted(cluster.addresses)
    value = os.fsencode(options.value)
    outcome = asyncio.run(_decide_at(cluster, nodes, value, options.timeout))
    out.print(f"chosen: {text(outcome.value)}, under {outcome.number}.{outcome.node_id}")
    return OK, {
        "chosen": json_value(outcome.value),
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


def status(options: argparse.Namespace, out: Console) -> Answer:
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
        "chosen": None if chosen is None else json_value(chosen.value),
    }


def inspect(options: argparse.Namespace, out: Console) -> Answer:
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
        "accepted": accepted and {"id": str(accepted.id), "value": json_value(accepted.value)},
    }


COMMANDS: Mapping[str, Run] = MappingProxyType(
    {"init": init, "node": node, "decide": decide, "status": status, "inspect": inspect}
)
"""By their names on the command line."""
