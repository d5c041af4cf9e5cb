"""One server of a simulated log: its process, its clock, and its memory on a simulated disk.

All of it is what a user runs: the machine of a log, its store, and a replica. A crash leaves of the
disk what was there between any two of its calls, and a power cut any of its unsynced sectors.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from paxos.durable import Owner
from paxos.heartbeat import Heartbeats
from paxos.log.configurations import Configurations
from paxos.log.log import Log
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.reads import Reads
from paxos.log.state import LogState
from paxos.log_store import IncomingSnapshot, LogStore, create_log_store, open_log_store
from paxos.messages import Envelope, Identity
from paxos.replica import Replica
from paxos.scenario.breakage import Breakage
from paxos.sim.clock import Clock
from paxos.sim.disk_state import DiskState, Drawn, Survivor, new, old
from paxos.sim.log.key_value import KeyValueMachine
from paxos.sim.log.plan import LogPlan
from paxos.sim.simulated_disk import SimulatedDisk
from paxos.snapshot_files import SnapshotReader
from paxos.snapshots import CHUNK_BYTES, decode_manifest
from paxos.storage_errors import StorageError

T = TypeVar("T")

MANIFEST_BYTES = 4096
"""Of a slot of the log's manifest: room for the few members of a simulated cluster."""

PAGE_BYTES = 2048
"""Of what a server tells another from its log at once."""


@dataclass(slots=True)
class Wait:
    """Somebody waits here for a read."""

    number: int
    slot: int | None
    answer: Callable[[bytes | None], None]
    """Called with the answer of the query, or None if the read failed."""

    query: bytes


class Chore(NamedTuple):
    """Something to do with the disk, between two persists."""

    on_disk: Callable[[], bool]
    """Whether it was done."""

    then: Callable[[], None]


@dataclass(slots=True)
class Process:
    """One run of a server, from a start to the next crash."""

    machine: LogMachine[bytes]
    store: LogStore
    replica: Replica[KeyValueMachine]
    under_way: tuple[LogState[bytes], tuple[Envelope[Any], ...]] | None = None
    """What is on its way to the disk, and what leaves once it is there."""

    chores: deque[Chore] = field(default_factory=deque["Chore"])
    """What waits until the disk is free."""

    requests: dict[tuple[Any, int], Callable[[Any], None]] = field(
        default_factory=dict[tuple[Any, int], Callable[[Any], None]]
    )
    """Whom to tell of an outcome, by session and sequence."""

    reads: dict[int, Wait] = field(default_factory=dict[int, Wait])
    incoming: IncomingSnapshot | None = None
    incoming_at: float = 0.0
    """When its newest chunk came."""

    asked_at: float = float("-inf")
    """When the next one was asked for."""

    outgoing: dict[bytes, SnapshotReader] = field(default_factory=dict[bytes, SnapshotReader])
    """Snapshots that others are taking over, by their digests, the newest last."""

    snapshot_below: int = 0
    """A snapshot was taken, or begun, there."""


class LogServer:
    """One node: what is left of it if its process ends, and the process while it is up."""

    def __init__(
        self, identity: Identity, initial: Configurations, plan: LogPlan, breakage: Breakage
    ) -> None:
        """Take a node that has never run."""
        self.identity = identity
        self.node_id = identity.node_id
        self.clock = Clock()
        self.process: Process | None = None
        self.acknowledged = LogState[bytes](configurations=initial)
        """What is on its stable storage, and known to be."""

        self.cut_off: LogState[bytes] | None = None
        """What was on its way to the disk when the process ended, until the next start."""

        self.is_lost = False
        """Its disk has decayed, or is gone, and so it never votes again."""

        self.may_be_damaged = False
        """Its disk has decayed, perhaps where it matters."""

        self.disk = SimulatedDisk(
            _fresh_disk(identity, initial, plan.limits.window, plan.segment_bytes)
        )
        self._initial = initial
        self._plan = plan
        self._breakage = breakage

    def start(self, now: float) -> Process:
        """Begin a process from what is on the disk. Raises `StorageError` if that is no good."""
        store = self._open()
        try:
            replica = self._replica(store)
        except StorageError:
            self.disk.kill()
            raise
        node = self._node(store.state, self.clock.reading(now))
        machine = self._breakage.part(LogMachine[bytes])(node, self.clock.reading(now))
        self.process = Process(machine, store, replica, snapshot_below=replica.applied_below)
        return self.process

    def end(self, rng: random.Random, power_cut: str = "") -> bool:
        """End the process at any moment of what is on its way to the disk; whether it was cut off.

        `power_cut` says what is left of unsynced sectors: "" for all, as after a kill, "old",
        "new", or "torn" for any of them.
        """
        process, self.process = self.process, None
        was_cut_off = process is not None and process.under_way is not None
        if process is not None and process.under_way is not None:
            state = process.under_way[0]
            self.cut_off = state
            if rng.random() < 0.8:
                self._amid(rng, lambda: process.store.save(state), whole=power_cut == "new")
        self._lose_power(rng, power_cut)
        return was_cut_off

    def end_amid(self, rng: random.Random, action: Callable[[], object], power_cut: str) -> None:
        """End the process at any moment of this action on its disk."""
        self._amid(rng, action)
        self.process = None
        self._lose_power(rng, power_cut)

    def end_while_opening(self, rng: random.Random, power_cut: str) -> None:
        """Begin to open the store, and end at any moment of that."""
        self._amid(rng, self._open)
        self.process = None
        self._lose_power(rng, power_cut)

    def mend(self) -> None:
        """Let the disk be well."""
        self.disk.fault = None
        self.disk.taken_by_a_write = None

    def _lose_power(self, rng: random.Random, power_cut: str) -> None:
        if power_cut:
            survivor: Survivor = {"old": old, "new": new}.get(power_cut) or Drawn(rng)
            self.disk.power_cut(survivor)
        self.disk.kill()

    def _amid(
        self, rng: random.Random, action: Callable[[], object], *, whole: bool = False
    ) -> None:
        """Leave the disk as it was at some moment of this action, drawn, or at its end."""
        fault, taken = self.disk.fault, self.disk.taken_by_a_write
        self.mend()
        with self.disk.recorded() as record:
            try:
                action()
            except StorageError:
                pass  # what it has done so far is done
            finally:
                self.disk.fault, self.disk.taken_by_a_write = fault, taken
        self.disk.state = record.moments[-1] if whole else rng.choice(record.moments)

    def _open(self) -> LogStore:
        return open_log_store(
            _folder(self.node_id),
            cluster=self.identity.cluster,
            node_id=self.node_id,
            disk=self._breakage.disk(self.disk),
        )

    def _replica(self, store: LogStore) -> Replica[KeyValueMachine]:
        """The state where the log stands: from the snapshot, and from there on."""
        replica = self._breakage.part(Replica[KeyValueMachine])(
            self._breakage.part(KeyValueMachine),
            limits=self._plan.sessions,
            configurations=self._initial,
            window=self._plan.limits.window,
        )
        info, reader = store.snapshot, store.open_snapshot()
        if info is not None and reader is not None:
            try:
                manifest = decode_manifest(info.manifest)
                replica.restore(manifest, list(reader.chunks(CHUNK_BYTES)))
            finally:
                reader.close()
        while replica.applied_below < store.chosen_below:
            for proposal in store.entries(replica.applied_below, PAGE_BYTES):
                replica.apply(replica.applied_below, proposal.value)
        return replica

    def _node(self, state: LogState[bytes], reading: float) -> LogNode[bytes]:
        limits, timing = self._plan.limits, self._plan.timing
        node = self._breakage.part(LogNode[bytes]).recover(
            self.identity, state, limits=limits, timing=timing, now=reading
        )
        return replace(
            node,
            log=self._made(Log[bytes], node.log),
            heartbeats=self._made(Heartbeats, node.heartbeats),
            reads=self._made(Reads, node.reads),
        )

    def _made(self, real: type[T], value: T) -> T:
        """The same value, of the class that stands in place of its own."""
        mutant: Any = self._breakage.part(real)
        if mutant is real:
            return value
        origin: Any = value
        made: T = mutant(**{f.name: getattr(origin, f.name) for f in fields(origin) if f.init})
        return made


def _folder(node_id: str) -> Path:
    return Path("/", node_id)


@lru_cache(maxsize=256)
def _fresh_disk(
    identity: Identity, initial: Configurations, window: int, segment_bytes: int
) -> DiskState:
    """The disk of a node that `init` has just made. A disk is a value, so it is made but once."""
    disk = SimulatedDisk()
    create_log_store(
        _folder(identity.node_id),
        Owner(identity.cluster, identity.node_id, identity.incarnation),
        initial,
        window=window,
        segment_bytes=segment_bytes,
        manifest_bytes=MANIFEST_BYTES,
        disk=disk,
    )
    return disk.state
