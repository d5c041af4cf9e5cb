"""One node of a simulated cluster: its process, its clock, and its memory on a simulated disk.

The memory is the real one: `paxos.durable` over a disk in memory, with states in the format of
`paxos.codec`. So a crash leaves what it would leave to a user.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from paxos import durable
from paxos.codec import decode_state, encode_state
from paxos.errors import FaultError
from paxos.messages import NOTHING_ACCEPTED, Envelope, Identity, Message, Proposal
from paxos.node import DurableState
from paxos.scenario.breakage import UNBROKEN, AnyMachine, Breakage
from paxos.scenario.commands import Ending, Failure
from paxos.sim.clock import Clock
from paxos.sim.disk_state import SECTOR_BYTES, DiskState, Survivor, Torn, new, old
from paxos.sim.simulated_disk import CallFault, SimulatedDisk
from paxos.storage_errors import StorageError


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A persist that has begun and is not done."""

    state: DurableState[str]
    then_send: tuple[Envelope[Message[str]], ...]


@dataclass(slots=True)
class Process:
    """One run of a node, from a start to the next crash."""

    machine: AnyMachine
    store: durable.Store
    under_way: UnderWay | None = None
    """What is on its way to the disk."""

    def save(self, under_way: UnderWay) -> None:
        """Bring it to the disk; then nothing is under way. Raises `StorageError` if that fails."""
        self.under_way = None
        self.store.save(encode_state(_bytes(under_way.state)))


class Server:
    """One node: what is left of it if its process ends, and the process while it is up."""

    __slots__ = (
        "_breakage",
        "acknowledged",
        "clock",
        "disk",
        "hangs",
        "identity",
        "process",
        "why_down",
    )

    def __init__(self, identity: Identity, breakage: Breakage = UNBROKEN) -> None:
        """Take a node that has never run. It is down. A mutant may stand before its disk."""
        self._breakage = breakage
        self.identity = identity
        self.clock = Clock()
        self.disk = SimulatedDisk(_fresh_disk(identity))

        self.process: Process | None = None
        """None while it is down."""

        self.acknowledged: DurableState[str] = DurableState()
        """What is on its stable storage, and known to be."""

        self.hangs = False
        """Its persists are done only when somebody says so."""

        self.why_down = "it was never started"

    @property
    def node_id(self) -> str:
        """Its own ID."""
        return self.identity.node_id

    @property
    def is_up(self) -> bool:
        """Whether it has a process."""
        return self.process is not None

    @property
    def is_saving(self) -> bool:
        """Whether a persist is under way."""
        return self.process is not None and self.process.under_way is not None

    @property
    def can_be_torn(self) -> bool:
        """Whether something is unsynced: a persist under way, or what an earlier one has left."""
        return self.is_saving or not self.disk.state.is_settled

    @property
    def machine(self) -> AnyMachine | None:
        """The machine in its process; None while it is down."""
        return None if self.process is None else self.process.machine

    def open(self) -> durable.Store:
        """Open its memory, which ends with a write and a sync; from then on that is acknowledged.

        Raises `StorageError` or `MalformedError` if it cannot be trusted, or if the disk fails.
        """
        try:
            store, self.acknowledged = self._open()
        finally:
            self.mend()
        return store

    def crash_while_opening(self, ending: Ending, write: int, why: str) -> None:
        """Begin to open its memory. A crash falls into that write of it (from 1), or at its end.

        Raises `StorageError` or `MalformedError` if the memory cannot be trusted: then nothing is
        written.
        """
        with self._mended(), self.disk.recorded() as record:
            self._open()
        is_write = [method == "write_at" for method in record.methods]
        places = [place for place, yes in enumerate(is_write) if yes]
        if write <= len(places):
            calls = places[write - 1] + (ending is not Ending.KILL_UNWRITTEN)
            moments = zip(record.moments, record.after, strict=True)
            self.disk.state = [moment for moment, after in moments if after <= calls][-1]
        if ending.is_power_cut:
            self.disk.power_cut(_survivor(ending))
        self._lose_process(why)

    def save(self, process: Process, under_way: UnderWay) -> None:
        """Bring it to the disk. Raises `StorageError` if the disk fails."""
        try:
            process.save(under_way)
        finally:
            self.mend()
        self.acknowledged = under_way.state

    def end(self, ending: Ending, why: str) -> None:
        """End the process, and perhaps the power; the disk is left as that leaves it."""
        process = self.process
        if process is not None and process.under_way and ending is not Ending.KILL_UNWRITTEN:
            self._write_without_sync(process, process.under_way)
        if ending.is_power_cut:
            self.disk.power_cut(_survivor(ending))
        self._lose_process(why)

    def break_disk(self, failure: Failure) -> None:
        """Let the next use of the disk fail."""
        match failure:
            case Failure.IO:
                self.disk.fault = _fails_once("sync", errno.EIO)
            case Failure.FULL:
                self.disk.fault = _fails_once("write_at", errno.ENOSPC)
            case Failure.SHORT:
                self.disk.taken_by_a_write = SECTOR_BYTES

    def mend(self) -> None:
        """Let the disk be well."""
        self.disk.fault = None
        self.disk.taken_by_a_write = None

    def replace_disk(self, identity: Identity) -> None:
        """Lose the disk, and get a new one for another incarnation of the same node."""
        self.identity = identity
        self.disk = SimulatedDisk(_fresh_disk(identity))
        self.acknowledged = DurableState()

    def _open(self) -> tuple[durable.Store, DurableState[str]]:
        try:
            store = durable.open(
                _folder(self.node_id),
                cluster=self.identity.cluster,
                node_id=self.node_id,
                disk=self._breakage.disk(self.disk),
            )
            return store, _text(decode_state(store.state))
        except FaultError as error:
            self._lose_process(str(error))
            raise

    def _write_without_sync(self, process: Process, under_way: UnderWay) -> None:
        # Only mutants go on with a store that has failed, or write without a sync.
        with self._mended(), self.disk.recorded() as record, suppress(StorageError):
            process.save(under_way)
        is_synced = record.methods[-1:] == ["sync"]
        self.disk.state = record.moments[-2 if is_synced else -1]  # written, and not yet synced

    @contextmanager
    def _mended(self) -> Generator[None]:
        """Let the disk be well meanwhile: what is done with it is undone, as if never asked."""
        disk = self.disk
        newest, fault, taken = disk.newest, disk.fault, disk.taken_by_a_write
        self.mend()
        try:
            yield
        finally:
            disk.newest, disk.fault, disk.taken_by_a_write = newest, fault, taken

    def _lose_process(self, why: str) -> None:
        self.disk.kill()
        self.process = None
        self.why_down = why


def _folder(node_id: str) -> Path:
    return Path("/", node_id)


@lru_cache(maxsize=1024)
def _fresh_disk(identity: Identity) -> DiskState:
    """The disk of a node that `init` has just made. A disk is a value, so it is made but once."""
    disk = SimulatedDisk()
    owner = durable.Owner(identity.cluster, identity.node_id, identity.incarnation)
    initial = encode_state(DurableState())
    durable.init(_folder(identity.node_id), owner, initial=initial, disk=disk)
    return disk.state


def _survivor(ending: Ending) -> Survivor:
    return {Ending.POWER_OLD: old, Ending.POWER_NEW: new}.get(ending) or Torn()


def _fails_once(method: str, error: int) -> CallFault:
    """The fault that hits the next call of this method, and no other: a second sync may succeed."""
    errors = iter([error])
    return lambda called: next(errors, None) if called == method else None


def _bytes(state: DurableState[str]) -> DurableState[bytes]:
    """With the value as bytes: the format knows no other."""
    accepted = state.accepted
    if accepted is NOTHING_ACCEPTED:
        return cast("DurableState[bytes]", state)
    proposal = Proposal(accepted.id, accepted.value.encode())
    return DurableState(state.ballot, state.promised, proposal)


def _text(state: DurableState[bytes]) -> DurableState[str]:
    """With the value as text again."""
    accepted = state.accepted
    if accepted is NOTHING_ACCEPTED:
        return cast("DurableState[str]", state)
    proposal = Proposal(accepted.id, accepted.value.decode())
    return DurableState(state.ballot, state.promised, proposal)
