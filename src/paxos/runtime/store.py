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
    owner = durable.Owner(cluster.name, cluster.require(node_id), draw())
    initial = encode_state(DurableState())
    durable.init(folder, owner, initial=initial, slot_bytes=cluster.slot_bytes)
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
