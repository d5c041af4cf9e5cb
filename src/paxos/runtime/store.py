"""The memory of a node: a durable store that holds its durable state as bytes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paxos import durable
from paxos.codec import STATE_OVERHEAD, MalformedError, decode_state, encode_state
from paxos.errors import MisuseError
from paxos.log.configurations import Configurations
from paxos.log_codec import Encoder
from paxos.log_store import LogStore, create_log_store, open_log_store
from paxos.messages import NOTHING_ACCEPTED
from paxos.node import DurableState
from paxos.runtime.cluster_file import Cluster


def create_store(
    cluster: Cluster,
    node_id: str,
    folder: Path,
    *,
    draw: Callable[[], str] = lambda: secrets.token_hex(8),
) -> durable.Owner:
    """Make the memory of a node that has never run. Nothing else ever makes one.

    Do this once for each node. A node whose folder is lost has broken its promises: it must not
    come back under its old ID. `draw` gives the incarnation. Raises what `durable.init` raises.
    """
    if cluster.is_log:
        return _create_log_store(cluster, node_id, folder, draw)
    owner = durable.Owner(cluster.name, cluster.require(node_id), draw())
    initial = encode_state(DurableState())
    durable.init(folder, owner, initial=initial, slot_bytes=cluster.slot_bytes)
    return owner


def _create_log_store(
    cluster: Cluster, node_id: str, folder: Path, draw: Callable[[], str]
) -> durable.Owner:
    """The same for a node of a log."""
    owner = durable.Owner(cluster.name, cluster.require(node_id), draw())
    configurations = Configurations.fixed(cluster.founding)
    create_log_store(folder, owner, configurations, window=cluster.log_limits.window)
    return owner


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a folder holds: the report of its store, and the durable state in it."""

    report: durable.Report
    state: DurableState[bytes] | None
    problem: str | None
    """Why the state cannot be read although the store is sound, or None."""

    @property
    def is_sound(self) -> bool:
        """Whether a node could start from this folder and keep its promises."""
        return self.state is not None


def inspect_store(folder: Path) -> Inspection:
    """Look at a node's memory without changing a byte of it.

    While its node runs, it may change under the reader's eyes; `report.locked` says so.
    """
    report = durable.inspect(folder)
    if report.state is None:
        return Inspection(report, None, report.what)
    try:
        return Inspection(report, decode_state(report.state), None)
    except MalformedError as fault:
        return Inspection(report, None, str(fault))


def open_store(folder: Path, cluster: Cluster) -> durable.Store:
    """Open the memory of a node of this cluster.

    Raises what `durable.open` raises, and `MisuseError` for a store of another cluster or of a
    node that this cluster does not have.
    """
    store = durable.open(folder)
    owner = store.owner
    try:
        if owner.cluster != cluster.name:
            raise MisuseError(
                f"{folder} belongs to cluster {owner.cluster}, not {cluster.name}: name another"
            )
        cluster.require(owner.node_id)
        _require_room(store, folder, cluster)
    except MisuseError:
        store.close()
        raise
    return store


def open_log_memory(folder: Path, cluster: Cluster, encoder: Encoder) -> LogStore:
    """Open the memory of a node of a log.

    Raises what `open_log_store` raises, and `MisuseError` for a store of another cluster, of a node
    that this one does not have, or of another window.
    """
    if not cluster.is_log:
        raise MisuseError('this cluster makes one decision: say mode = "log" in a cluster.toml')
    store = open_log_store(folder, cluster=cluster.name, encoder=encoder)
    try:
        cluster.require(store.owner.node_id)
        if store.window != cluster.log_limits.window:
            raise MisuseError(f"{folder} has a window of {store.window}: it can never change")
    except MisuseError:
        store.close()
        raise
    return store


def _require_room(store: durable.Store, folder: Path, cluster: Cluster) -> None:
    """Else the node would end, or be hung up on, when the first such value comes."""
    if store.capacity < cluster.value_bytes + STATE_OVERHEAD:
        raise MisuseError(
            f"{folder} has no room for values of {cluster.value_bytes} bytes: keep value_bytes"
        )
    with suppress(MalformedError):  # which is for whoever needs the state
        accepted = decode_state(store.state).accepted
        if accepted is not NOTHING_ACCEPTED and len(accepted.value) > cluster.value_bytes:
            raise MisuseError(
                f"{folder} holds a value of {len(accepted.value)} bytes, and this cluster allows"
                f" {cluster.value_bytes}: do not lower value_bytes"
            )
