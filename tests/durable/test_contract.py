"""`paxos.durable` keeps the contract of a store: the suite that anybody may run, run on our own."""

from __future__ import annotations

from typing import ClassVar

import pytest

from durable.stores import CAPACITY, OWNER, SLOT_BYTES
from paxos import durable
from paxos.disk import Disk
from paxos.testing import StoreSuite


class TestDurable(StoreSuite):
    """A few states of each kind."""

    slot_bytes: ClassVar[int] = SLOT_BYTES

    def create(self, disk: Disk, initial: bytes) -> None:
        durable.init(self.folder, OWNER, initial=initial, slot_bytes=self.slot_bytes, disk=disk)

    def open(self, disk: Disk) -> durable.Store:
        return durable.open(self.folder, disk=disk)


@pytest.mark.exhaustive
class TestDurableWithLargeSlots(TestDurable):
    """More sectors than the smallest slot has."""

    slot_bytes = 4 * SLOT_BYTES
    state_bytes = 4 * CAPACITY
    power_cuts_at_most = 16


@pytest.mark.exhaustive
class TestDurableExhaustively(TestDurable):
    """Every subset of a slot's unsynced sectors, and whatever else is within reach."""

    state_bytes = CAPACITY
    power_cuts_at_most = 2**8
    flip_every = 5
    histories = 300
