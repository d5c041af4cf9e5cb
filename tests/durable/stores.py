"""The stores that these tests begin with, in the memory of a `SimulatedDisk`."""

from __future__ import annotations

from pathlib import Path

from paxos import durable
from paxos.sim.disk_state import DiskState
from paxos.sim.simulated_disk import SimulatedDisk

FOLDER = Path("/store")
STATE = FOLDER / "state"
OWNER = durable.Owner("cluster", "a", "first life")

SECTOR_BYTES = 512
BLOCK_BYTES = 4096
SLOT_BYTES = 4096
SLOTS = (BLOCK_BYTES, BLOCK_BYTES + SLOT_BYTES)
"""Where the two slots begin."""

FILE_BYTES = BLOCK_BYTES + 2 * SLOT_BYTES
CAPACITY = 8 * 488


def filling(letter: str) -> bytes:
    """Return a state that fills a slot, so that every sector of it tells whose it is."""
    return letter.encode() * CAPACITY


def store_with(*saves: bytes, initial: bytes = b"initial") -> DiskState:
    """Return the disk after `init` and these saves, all acknowledged."""
    disk = SimulatedDisk()
    durable.init(FOLDER, OWNER, initial=initial, disk=disk)
    with durable.open(FOLDER, disk=disk) as store:
        for state in saves:
            store.save(state)
    return disk.state


def torn_store(*saves: bytes, torn: bytes, sectors: int = 3) -> DiskState:
    """Return the same after one more save, of which only the first sectors reached the disk."""
    disk = SimulatedDisk(store_with(*saves))
    store = durable.open(FOLDER, disk=disk)
    return disk.moments_of(lambda: store.save(torn))[sectors].flush()


def content(state: DiskState) -> bytes:
    """Return what stands in the file of a store."""
    return state.content(STATE)


def reopened(state: DiskState) -> durable.Store:
    """Open the store on the disk that a crash has left."""
    return durable.open(FOLDER, disk=SimulatedDisk(state))


def serials(state: DiskState) -> list[int]:
    """Return the serial of every sector of both slots, whether it is good or not."""
    image = content(state)
    return [
        int.from_bytes(image[at + 16 : at + 24], "big")
        for at in range(BLOCK_BYTES, FILE_BYTES, SECTOR_BYTES)
    ]
