"""What the commands for a cluster do: init, node, decide, status, inspect."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from rich.console import Console

from paxos.cli.answer import FAILED, OK, Answer, UnknownOutcomeError, json_value
from paxos.cli.arguments import Run
from paxos.demo.key_values import KeyValues
from paxos.errors import FaultError, MisuseError
from paxos.messages import NOTHING_ACCEPTED
from paxos.proposal_id import ProposalID
from paxos.runtime import (
    Cluster,
    LogClient,
    RefusedError,
    UnreachableError,
    client,
    create_store,
    inspect_store,
    log_status,
    protocol,
    read_cluster_file,
    serve,
    serve_log,
)
from paxos.runtime import UnknownOutcomeError as LogUnknownError
from paxos.runtime.log_protocol import LogStatus
from paxos.runtime.protocol import text

R = TypeVar("R")


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
    if cluster.is_log:
        described = asyncio.run(_serve_log_until_signal(cluster, options.folder, out))
        return OK, {"node": described.node_id, **_plain_log(described)}
    status = asyncio.run(_serve_until_signal(cluster, options.folder, out))
    return OK, {"node": status.node_id, **_plain(status)}


async def _serve_until_signal(cluster: Cluster, folder: Path, out: Console) -> protocol.Status:
    stop = _stopped_by_signal()
    async with serve(cluster, folder) as server:
        await _until(stop, server.identity.node_id, cluster, out)
        return server.status()


async def _serve_log_until_signal(cluster: Cluster, folder: Path, out: Console) -> LogStatus:
    """Serve a log with a small machine of keys and values: `put` and `get` speak to it."""
    stop = _stopped_by_signal()
    async with serve_log(cluster, folder, KeyValues) as server:
        await _until(stop, server.identity.node_id, cluster, out)
        return server.status()


def _stopped_by_signal() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


async def _until(stop: asyncio.Event, own: str, cluster: Cluster, out: Console) -> None:
    out.print(f"{own} of {cluster.name} listens at {cluster.bind(own)}")
    await stop.wait()
    out.print(f"{own} stops")


def put(options: argparse.Namespace, out: Console) -> Answer:
    """Write a value under a key of a log's machine."""
    call = KeyValues.put.call(options.key, options.value)
    writes = asyncio.run(
        _ask_log(options, lambda client, patience: client.call(call, within=patience))
    )
    out.print(f"written, as number {writes}")
    return OK, {"writes": writes}


def get(options: argparse.Namespace, out: Console) -> Answer:
    """Print what stands under a key, once all that was acknowledged before is applied."""
    call = KeyValues.get.call(options.key)
    value = asyncio.run(
        _ask_log(options, lambda client, patience: client.ask(call, within=patience))
    )
    out.print("nothing" if value is None else value)
    return OK, {"value": value}


async def _ask_log(
    options: argparse.Namespace, ask: Callable[[LogClient, float], Awaitable[R]]
) -> R:
    cluster = _log_cluster(options)
    try:
        async with LogClient(cluster) as client:
            return await ask(client, options.timeout)
    except LogUnknownError as fault:
        raise UnknownOutcomeError(f"the outcome is unknown: {fault}") from fault


def _log_cluster(options: argparse.Namespace) -> Cluster:
    cluster = read_cluster_file(options.cluster)
    if not cluster.is_log:
        raise MisuseError(f"{options.cluster} is of a cluster for one decision: use paxos decide")
    return cluster


def decide(options: argparse.Namespace, out: Console) -> Answer:
    """Propose a value, and print what is chosen."""
    cluster = read_cluster_file(options.cluster)
    if cluster.is_log:
        raise MisuseError(f"{options.cluster} is of a log: use paxos put and paxos get")
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
        if isinstance(status, LogStatus):
            out.print(_line_of(status))
            continue
        chosen = text(status.chosen.value) if status.chosen else "not known"
        role = "leads" if status.leads else f"follows {status.leader}"
        out.print(
            f"{node_id}  {role}, promised {status.promised}, accepted {status.accepted}, "
            f"chosen {chosen}"
        )
    described = {node_id: _described(status) for node_id, status in statuses.items()}
    silent = [node_id for node_id, status in statuses.items() if isinstance(status, str)]
    if silent:
        return FAILED, {"nodes": described, "error": f"no answer from {', '.join(silent)}"}
    return OK, {"nodes": described}


Described: TypeAlias = protocol.Status | LogStatus | str
"""How a node is, or why it does not say."""


async def _statuses(cluster: Cluster, nodes: Sequence[str]) -> dict[str, Described]:
    async def ask(node_id: str) -> Described:
        try:
            if cluster.is_log:
                return await log_status(cluster, node_id)
            async with asyncio.timeout(client.CONNECT_PATIENCE):
                return await client.status(cluster, node_id)
        except FaultError as fault:
            return str(fault)
        except TimeoutError:
            return f"{node_id} is connected, but does not answer"

    return dict(zip(nodes, await asyncio.gather(*map(ask, nodes)), strict=True))


def _line_of(status: LogStatus) -> str:
    role = "leads" if status.leads else f"follows {status.leader or 'nobody'}"
    members = ", ".join(member[0] for member in status.members)
    return (
        f"{status.node_id}  {role}, promised {status.promised}, knows all below slot "
        f"{status.chosen_below}, has applied {status.applied_below}, members {members}"
    )


def _described(status: Described) -> dict[str, Any]:
    if isinstance(status, str):
        return {"error": status}
    return _plain_log(status) if isinstance(status, LogStatus) else _plain(status)


def _plain_log(status: LogStatus) -> dict[str, Any]:
    return {
        "incarnation": status.incarnation,
        "leads": status.leads,
        "follows": status.leader,
        "promised": status.promised,
        "chosen_below": status.chosen_below,
        "applied_below": status.applied_below,
        "snapshot_below": status.snapshot_below,
        "members": [member[0] for member in status.members],
        "digest": status.digest.hex(),
        "syncs": status.syncs,
    }


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
    {
        "init": init,
        "node": node,
        "decide": decide,
        "put": put,
        "get": get,
        "status": status,
        "inspect": inspect,
    }
)
"""By their names on the command line."""
