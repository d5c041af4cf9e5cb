"""The part of the store's suite in which calls of the disk fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pytest

from paxos.sim.disk_state import SECTOR_BYTES, DiskState
from paxos.sim.simulated_disk import Call, SimulatedDisk, nth_call_fails
from paxos.testing.contract import demand
from paxos.testing.store_bench import StoreBench, StoreUnderTest

each_error = pytest.mark.parametrize(
    "error", [errno.EIO, errno.ENOSPC, errno.EINTR], ids=["EIO", "ENOSPC", "EINTR"]
)


class Failed(NamedTuple):
    """What became of something of which one call failed. The disk is well again."""

    call: Call
    how: str
    disk: SimulatedDisk
    fault: Exception | None
    """What it raised; None if it returned."""


class StoreFaults(StoreBench):
    """Each call fails in turn. What returns is done; what fails says so, and nothing is lost."""

    @each_error
    def test_a_save_whose_disk_fails_is_done_or_raises_a_fault(self, error: int) -> None:
        """It is done if it returns; else nobody knows, and the old state or the new one is there.

        A write that fails may have written something all the same.
        """
        for written in (0, SECTOR_BYTES, self.state_bytes // 2):
            for _, failed in self._failing_saves(error, written):
                self._require_done_or_fault(failed.disk, failed.fault, failed.how)

    def test_a_failed_sync_is_final(self) -> None:
        """The system may have dropped the data: a second sync that succeeds would prove nothing."""
        for _, failed in self._failing_saves(errno.EIO):
            if failed.call.method in {"sync", "sync_folder"}:
                demand(failed.fault is not None, f"{failed.how} save raised no fault")

    def test_after_a_save_that_failed_the_store_takes_no_more(self) -> None:
        """Though the disk is well again. What is on it is unknown until it is opened anew."""
        for store, failed in self._failing_saves(errno.EIO):
            if failed.fault is None:
                continue
            before = failed.disk.state
            what = f"{failed.how} The disk is well again, and save"
            self.require_fault(what, partial(store.save, self.filled("x")))
            demand(failed.disk.state == before, f"{what} changed the disk")
            store.close()
            demand(failed.disk.open_handles == 0, f"{failed.how} Then close left files open")

    @pytest.mark.parametrize("taken", [SECTOR_BYTES, 100], ids=["512-bytes", "100-bytes"])
    def test_a_write_that_takes_less_than_all_is_noticed(self, taken: int) -> None:
        """The rest is written, too, or there is a fault; in a save as in a create."""
        how = f"Each write took {taken} bytes."
        disk = self.disk_with("o")
        store = self.open(disk)
        disk.taken_by_a_write = taken
        fault = self.attempt(f"{how} save", lambda: store.save(self.filled("n")))
        self._require_done_or_fault(disk, fault, how)

        disk = SimulatedDisk()
        disk.taken_by_a_write = taken
        fault = self.attempt(f"{how} create", lambda: self.create(disk, self.filled("i")))
        disk.taken_by_a_write = None
        self._require_created_or_fault(disk, fault, how)

    @pytest.mark.parametrize("given", [SECTOR_BYTES, 100, 0])
    def test_a_read_that_gives_less_than_all_is_noticed(self, given: int) -> None:
        """The rest is read, too, or the opening raises a fault."""
        disk = self.disk_with("x", "o")
        disk.given_by_a_read = given
        how = f"Each read gave {given} bytes."
        opened: list[StoreUnderTest] = []
        fault = self.attempt(f"{how} open", lambda: opened.append(self.open(disk)))
        if fault is None:
            demand(opened[0].state == self.filled("o"), f"{how} Then open gave another state")
        else:
            demand(disk.open_handles == 0, f"{how} open raised {fault!r}, and left files open")

    @each_error
    def test_an_opening_whose_disk_fails_loses_nothing(self, error: int) -> None:
        """It gives the state or raises a fault, and gives all back."""
        held = {self.filled("o"): "acknowledged"}
        before = self.disk_with("x", "o").state
        for failed in self._failing(before, lambda disk: self.open(disk).close(), error):
            if failed.fault is not None:
                demand(failed.disk.open_handles == 0, f"{failed.how} Then open left files open")
            self.require(failed.disk.state, held, failed.how)
            self.require_after_power_cuts(failed.disk.state, held, failed.how)

    @each_error
    def test_a_create_whose_disk_fails_leaves_a_whole_store_or_none(self, error: int) -> None:
        """It is done if it returns; else it can be called again, unless the store is there."""
        for failed in self._failing(SimulatedDisk().state, self._create, error):
            self._require_created_or_fault(failed.disk, failed.fault, failed.how)

    def _create(self, disk: SimulatedDisk) -> None:
        self.create(disk, self.filled("i"))

    def _failing_saves(
        self, error: int, written: int = 0
    ) -> Iterator[tuple[StoreUnderTest, Failed]]:
        """Save to a store, once for each call that this takes, and let that one fail."""
        before = self.disk_with("o").state
        stores: list[StoreUnderTest] = []

        def opened(disk: SimulatedDisk) -> None:
            stores.append(self.open(disk))
            disk.taken_by_a_failing_write = written

        for failed in self._failing(
            before, lambda _: stores[-1].save(self.filled("n")), error, first=opened
        ):
            yield stores[-1], failed

    def _failing(
        self,
        before: DiskState,
        action: Callable[[SimulatedDisk], object],
        error: int,
        *,
        first: Callable[[SimulatedDisk], object] = lambda disk: None,
    ) -> Iterator[Failed]:
        """Do something once for each call that it takes, and let that one fail."""
        well = SimulatedDisk(before)
        first(well)
        with well.recorded() as record:
            action(well)
        for nth, call in enumerate(record.calls):
            disk = SimulatedDisk(before)
            first(disk)
            disk.fault = nth_call_fails(nth, error)
            how = f"Call {nth + 1} of {len(record.calls)}, {call}, failed ({os.strerror(error)})."
            fault = self.attempt(f"{how} Then it", partial(action, disk))
            disk.fault = None
            yield Failed(call, how, disk, fault)

    def _require_done_or_fault(
        self, disk: SimulatedDisk, fault: Exception | None, how: str
    ) -> None:
        acceptable = {self.filled("n"): "being saved"}
        if fault is None:
            how += " save returned."
        else:
            how += f" save raised {fault!r}."
            acceptable[self.filled("o")] = "acknowledged"
        self.require(disk.state, acceptable, how)
        self.require_after_power_cuts(disk.state, acceptable, how)

    def _require_created_or_fault(
        self, disk: SimulatedDisk, fault: Exception | None, how: str
    ) -> None:
        demand(disk.open_handles == 0, f"{how} Then create left files open")
        initial = {self.filled("i"): "the initial one"}
        if fault is None:
            self.require_after_power_cuts(disk.state, initial, f"{how} create returned.")
        elif self.require(disk.state, initial, how, or_fault=True) is None:
            self._create(disk)
            self.require(disk.state, initial, f"{how} Then it was created again.")
