"""`cluster.toml`: who the nodes are, where they listen, and how they agree.

    cluster = "shop"

    [nodes.A]
    address = "10.0.0.1:7000"     # where the others reach it
    bind = "0.0.0.0:7000"         # where it listens; without it, at its address
    weight = 1                    # of its vote

    [quorums]                     # without it: more than half of the weight, in both phases
    phase1 = 2
    phase2 = 2

    [timing]                      # seconds
    interval = 0.05
    window = 0.3
    backoff = 0.05

    [limits]
    value_bytes = 3000

For a log of decisions instead of a single one, add

    mode = "log"
    snapshot_entries = 10000      # under [limits]: a snapshot after so many entries

and for a node that joins later, and so has no vote in the log's first slots, `joins = true`.

Every node must have the same file, but for `bind`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from paxos.codec import STATE_OVERHEAD
from paxos.errors import MisuseError
from paxos.log.entries import Configuration, Member
from paxos.log.limits import Limits
from paxos.quorum import Quorums
from paxos.sessions import REQUEST_OVERHEAD
from paxos.slots import BLOCK_BYTES, MAX_SLOT_BYTES, capacity
from paxos.timing import Timing

MAX_FILE_BYTES = 1 << 20

DEFAULT_VALUE_BYTES = 3000
"""With this bound a durable state fits the smallest slot, so a save writes one block."""

LARGEST_VALUE_BYTES = capacity(MAX_SLOT_BYTES) - STATE_OVERHEAD
"""What still fits the largest slot."""

LARGEST_COMMAND_BYTES = 256 << 10
"""In a log: a vote is written and sent in one piece, and a heartbeat waits behind it."""

DEFAULT_SNAPSHOT_ENTRIES = 10_000
"""A start applies at most about so many entries: a fraction of a second."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,32})?")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def parse(cls, text: str) -> Address:
        """`host:port`, an IPv6 host in brackets. Raises `MisuseError` for anything else."""
        host, _, port = text.rpartition(":")
        form = _HOST
        if host.startswith("[") and host.endswith("]"):
            host, form = host[1:-1], _IPV6
        if not form.fullmatch(host) or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
            raise MisuseError(f"{text!r} is no address: write host:port, such as 127.0.0.1:7000")
        return cls(host, int(port))


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all nodes of a cluster have in common."""

    name: str
    addresses: dict[str, Address]
    """Where each node is reached, sorted by node."""

    quorums: Quorums
    binds: dict[str, Address] = field(default_factory=dict[str, Address])
    """Where a node listens if that differs from its address."""

    timing: Timing = Timing()
    value_bytes: int = DEFAULT_VALUE_BYTES
    """The largest value that may be proposed."""

    is_log: bool = False
    """Whether it decides again and again, and not once."""

    joining: frozenset[str] = frozenset()
    """In a log: nodes without a vote in its first slots."""

    snapshot_entries: int = DEFAULT_SNAPSHOT_ENTRIES
    """In a log: how many entries may follow a snapshot before the next one is taken."""

    @property
    def founding(self) -> Configuration:
        """In a log: who decides from its first slot on.

        Nobody knows yet which incarnations the others drew. A node learns them as it hears of them.
        """
        return Configuration(
            tuple(
                Member(node_id, "", str(address))
                for node_id, address in self.addresses.items()
                if node_id not in self.joining
            ),
            self.quorums.phase1,
            self.quorums.phase2,
        )

    @property
    def log_limits(self) -> Limits[bytes]:
        """In a log: what bounds it. Its window must never change."""
        return Limits(batch_weight=max(256 << 10, self.value_bytes + REQUEST_OVERHEAD))

    def bind(self, node_id: str) -> Address:
        """Where this node listens."""
        return self.binds.get(node_id, self.addresses[node_id])

    @property
    def slot_bytes(self) -> int:
        """The size of a store's slots that holds any state of this cluster."""
        needed, slot = self.value_bytes + STATE_OVERHEAD, BLOCK_BYTES
        while capacity(slot) < needed:
            slot += BLOCK_BYTES
        return slot

    def require_value(self, value: bytes) -> None:
        """Raises `MisuseError` if this is not bytes, or more of them than a value may have."""
        if type(value) is not bytes:
            raise MisuseError(f"a value is bytes, not {type(value).__name__}: encode it first")
        if len(value) > self.value_bytes:
            raise MisuseError(
                f"a value of {len(value)} bytes: this cluster allows {self.value_bytes}"
            )

    def require(self, node_id: str) -> str:
        """The node ID, if it is one of this cluster. Raises `MisuseError` otherwise."""
        if node_id not in self.addresses:
            raise MisuseError(
                f"{node_id!r} is no node of this cluster: {', '.join(self.addresses)}"
            )
        return node_id


class _Node(Struct, forbid_unknown_fields=True):
    address: str
    bind: str | None = None
    weight: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    joins: bool = False


class _Quorums(Struct, forbid_unknown_fields=True):
    phase1: int
    phase2: int


class _Timing(Struct, forbid_unknown_fields=True):
    interval: float = Timing().interval
    window: float = Timing().window
    backoff: float = Timing().backoff


class _Limits(Struct, forbid_unknown_fields=True):
    value_bytes: Annotated[int, Meta(ge=0, le=LARGEST_VALUE_BYTES)] = DEFAULT_VALUE_BYTES
    snapshot_entries: Annotated[int, Meta(ge=1)] = DEFAULT_SNAPSHOT_ENTRIES


class _File(Struct, forbid_unknown_fields=True):
    cluster: str
    nodes: dict[str, _Node]
    mode: Literal["decision", "log"] = "decision"
    quorums: _Quorums | None = None
    timing: _Timing = msgspec.field(default_factory=_Timing)
    limits: _Limits = msgspec.field(default_factory=_Limits)


def read_cluster_file(path: Path) -> Cluster:
    """Read `cluster.toml`. Raises `MisuseError`, with what to mend, if it is not in order."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MisuseError(
            f"cannot read {path}: {error.strerror}. Name your cluster.toml"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise MisuseError(f"{path} is larger than {MAX_FILE_BYTES} bytes: is it a cluster.toml?")
    try:
        return _parse(data)
    except MisuseError as error:
        raise MisuseError(f"{path}: {error}") from error


def write_cluster_file(path: Path, cluster: Cluster) -> None:
    """Write a `cluster.toml` that reads as this cluster.

    Raises `MisuseError` if the file could not say all of it, and writes nothing then.
    """
    weights, named = dict(cluster.quorums.weights), cluster.addresses.keys()
    if weights.keys() | cluster.joining != named or not cluster.binds.keys() <= named:
        raise MisuseError("a cluster.toml has a vote and an address for each node, and no others")
    document = {
        "cluster": cluster.name,
        "mode": "log" if cluster.is_log else "decision",
        "nodes": {
            node_id: {"address": str(address), "weight": weights.get(node_id, 1)}
            | ({"bind": str(cluster.binds[node_id])} if node_id in cluster.binds else {})
            | ({"joins": True} if node_id in cluster.joining else {})
            for node_id, address in cluster.addresses.items()
        },
        "quorums": {"phase1": cluster.quorums.phase1, "phase2": cluster.quorums.phase2},
        "timing": {
            "interval": cluster.timing.interval,
            "window": cluster.timing.window,
            "backoff": cluster.timing.backoff,
        },
        "limits": {
            "value_bytes": cluster.value_bytes,
            "snapshot_entries": cluster.snapshot_entries,
        },
    }
    data = msgspec.toml.encode(document)
    if _parse(data) != cluster:
        raise MisuseError("a cluster.toml cannot say all of this: it has no seed, for instance")
    path.write_bytes(data)


def _parse(data: bytes) -> Cluster:
    try:
        return _cluster(msgspec.toml.decode(data, type=_File))
    except RecursionError as error:
        raise MisuseError("it is nested too deeply") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise MisuseError(str(error)) from error


def _cluster(file: _File) -> Cluster:
    for name in (file.cluster, *file.nodes):
        if not _NAME.fullmatch(name):
            raise MisuseError(f"{name!r} is no name: use 1 to 64 of the letters A-Z a-z 0-9 _ . -")
    if not file.nodes:
        raise MisuseError("there are no nodes: add [nodes.A] with an address")
    nodes = dict(sorted(file.nodes.items()))
    addresses = {node_id: Address.parse(node.address) for node_id, node in nodes.items()}
    if len(set(addresses.values())) < len(addresses):
        raise MisuseError("two nodes have the same address")
    is_log = file.mode == "log"
    joining = frozenset(node_id for node_id, node in nodes.items() if node.joins)
    _check_mode(file, joining)
    return Cluster(
        file.cluster,
        addresses,
        Quorums.weighted(
            {node_id: node.weight for node_id, node in nodes.items() if node_id not in joining},
            phase1=None if file.quorums is None else file.quorums.phase1,
            phase2=None if file.quorums is None else file.quorums.phase2,
        ),
        {n: Address.parse(node.bind) for n, node in nodes.items() if node.bind is not None},
        Timing(file.timing.interval, file.timing.window, file.timing.backoff),
        file.limits.value_bytes,
        is_log,
        joining,
        file.limits.snapshot_entries,
    )


def _check_mode(file: _File, joining: frozenset[str]) -> None:
    if file.mode == "decision":
        if joining:
            raise MisuseError('nobody joins a single decision: remove joins, or say mode = "log"')
        return
    if len(joining) == len(file.nodes):
        raise MisuseError("somebody must have a vote from the beginning: a node without joins")
    if any(node.weight != 1 for node in file.nodes.values()):
        raise MisuseError("in a log every member has one vote: remove weight")
    if file.limits.value_bytes > LARGEST_COMMAND_BYTES:
        raise MisuseError(f"in a log value_bytes is at most {LARGEST_COMMAND_BYTES}")
