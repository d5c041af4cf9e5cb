"""Stores that each leave out one thing, and the test of the suite that notices it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from paxos import durable, slots
from paxos.disk import Disk, File
from testing.replacing_store import (
    NAME,
    UNFINISHED,
    ReplacingStore,
    StoreFaultError,
    faults_named,
)

BROKEN: list[tuple[type[ReplacingStore], str, str]] = []
"""Each with the name of the test that must fail, and with what it must say."""


def fails(test: str, says: str) -> Callable[[type[ReplacingStore]], type[ReplacingStore]]:
    def note(store: type[ReplacingStore]) -> type[ReplacingStore]:
        BROKEN.append((store, test, says))
        return store

    return note


# What never reaches the disk.


@fails(
    "test_a_save_that_returned_survives_a_power_cut",
    "save returned. Then the power was cut .*found a fault",
)
class NoSync(ReplacingStore):
    def sync(self, file: int) -> None:
        pass


@fails("test_a_save_that_returned_survives_a_power_cut", "lost: the name /store/state")
class NoFolderSync(ReplacingStore):
    def sync_names(self) -> None:
        pass


@fails("test_a_new_store_survives_a_power_cut", "lost: the name /store")
class NoSyncOfTheParentFolder(ReplacingStore):
    @classmethod
    def sync_parent(cls, disk: Disk, folder: Path) -> None:
        pass


@fails("test_a_save_that_returned_survives_a_power_cut", "acknowledged. But open gave b'i")
class AcknowledgesBeforeTheSync(ReplacingStore):
    """A background sync: the save before is brought to the disk by the next one."""

    def replace(self, state: bytes) -> None:
        self.disk.sync_folder(self.handle)
        self.write_file(UNFINISHED, self.encoded(state))
        self.disk.rename(self.folder / UNFINISHED, self.folder / NAME)


@fails(
    "test_a_save_that_returned_survives_a_power_cut",
    "save returned. Then the power was cut .*found a fault",
)
class SyncsTheWrongFile(ReplacingStore):
    """It opens the file by its old name once more, to sync it before the rename."""

    def sync(self, file: int) -> None:
        if self.exists():
            before = self.disk.open_file(self.folder / NAME, writable=True)
            self.disk.sync(before)
            self.disk.close(before)
        else:
            super().sync(file)


# What a crash finds half done.


@fails(
    "test_a_crash_during_a_save_leaves_the_old_state_or_the_new_one",
    "killed during save, at call .*found a fault",
)
class OverwritesTheOnlySlot(ReplacingStore):
    def replace(self, state: bytes) -> None:
        if self.exists():
            self.write_file(NAME, self.encoded(state))
        else:
            super().replace(state)


@fails(
    "test_a_crash_during_a_save_leaves_the_old_state_or_the_new_one",
    "survived: .*the name /store/state.*found a fault",
)
class RenamesBeforeTheSync(ReplacingStore):
    """All is on the disk when it returns; a crash may find the name, and nothing behind it."""

    def replace(self, state: bytes) -> None:
        file = self.disk.create_file(self.folder / UNFINISHED)
        try:
            self.write_all(file, self.encoded(state))
            self.disk.rename(self.folder / UNFINISHED, self.folder / NAME)
            self.disk.sync_folder(self.handle)
            self.disk.sync(file)
        finally:
            self.disk.close(file)


@fails(
    "test_a_crash_during_create_leaves_a_whole_store_or_none",
    "create was called again. It raised .*there is a store",
)
class InitIsNotAtomic(ReplacingStore):
    def write_first(self, state: bytes) -> None:
        self.write_file(NAME, self.encoded(state))
        self.disk.sync_folder(self.handle)


@fails(
    "test_a_crash_during_create_leaves_a_whole_store_or_none",
    "create was called again. It raised .*somebody is writing",
)
class StumblesOverAnUnfinishedFile(ReplacingStore):
    """It makes its new file as O_EXCL does: what a crash has left there stops it for ever."""

    def write_first(self, state: bytes) -> None:
        with suppress(FileNotFoundError):
            self.disk.close(self.disk.open_file(self.folder / UNFINISHED, writable=False))
            raise StoreFaultError("somebody is writing")
        self.replace(state)


@fails("test_opening_ends_with_a_write", "what open had given. But open gave b'o")
class NoFinalWriteOnOpen(ReplacingStore):
    def settle(self) -> None:
        pass


@fails(
    "test_opening_settles_what_a_failed_sync_left",
    "save raised .*what open had given. But open gave b'o",
)
class OnlySyncsOnOpen(ReplacingStore):
    def settle(self) -> None:
        file = self.disk.open_file(self.folder / NAME, writable=True)
        self.disk.sync(file)
        self.disk.close(file)
        self.sync_names()


@fails(
    "test_opening_settles_what_a_killed_create_left",
    "lost: the name /store/state",
)
class NoFolderSyncOnOpen(ReplacingStore):
    """The content is written anew, and the name is believed."""

    def settle(self) -> None:
        file = self.disk.open_file(self.folder / NAME, writable=True)
        self.write_all(file, self.encoded(self.state))
        self.sync(file)
        self.disk.close(file)


@fails(
    "test_a_second_crash_during_opening_costs_nothing_more",
    "during the opening that followed.*found a fault",
)
class OpensInPlace(ReplacingStore):
    """It is careful when it saves, and not when it opens."""

    def settle(self) -> None:
        self.write_file(NAME, self.encoded(self.state))


@fails("test_no_history_of_crashes_loses_what_was_acknowledged", "In the history of seed 0")
class SkipsEveryFifthSync(ReplacingStore):
    """For speed."""

    saves = 0

    def sync(self, file: int) -> None:
        type(self).saves += 1
        if self.saves % 5:
            self.disk.sync(file)


# What fails.


@fails("test_a_failed_sync_is_final", "sync /store/state.new, failed .* save raised no fault")
class RetriesAFailedSync(ReplacingStore):
    def sync(self, file: int) -> None:
        try:
            self.disk.sync(file)
        except OSError:
            self.disk.sync(file)


@fails("test_a_save_whose_disk_fails_is_done_or_raises_a_fault", "failed .* save returned")
class HidesAFailedWrite(ReplacingStore):
    def replace(self, state: bytes) -> None:
        with suppress(OSError):
            super().replace(state)


@fails(
    "test_a_save_whose_disk_fails_is_done_or_raises_a_fault",
    "raised OSError.*which is no StoreFaultError",
)
class NamesNoFaults(ReplacingStore):
    """It lets the operating system's errors through."""

    def save(self, state: bytes) -> None:
        self.replace(state)
        self.state = state


@fails(
    "test_after_a_save_that_failed_the_store_takes_no_more",
    "The disk is well again, and save raised no fault",
)
class TakesMoreAfterAFailure(ReplacingStore):
    def save(self, state: bytes) -> None:
        self.is_broken = False
        super().save(state)


@fails(
    "test_a_write_that_takes_less_than_all_is_noticed", "Each write took 512 bytes. save returned"
)
class BelievesThatAWriteTakesAll(ReplacingStore):
    def write_all(self, file: int, data: bytes) -> None:
        self.disk.write_at(file, 0, data)


@fails(
    "test_a_read_that_gives_less_than_all_is_noticed",
    "Each read gave 512 bytes. Then open gave another state",
)
class TakesAShortReadForTheEnd(ReplacingStore):
    def decoded(self, data: bytes) -> bytes:
        return data[8:]


@fails("test_an_opening_whose_disk_fails_loses_nothing", "open left files open")
class LeavesFilesOpenWhenOpeningFails(ReplacingStore):
    @classmethod
    def open(cls, disk: Disk, folder: Path) -> Self:
        with faults_named():
            store = cls(disk, folder)
            store.lock()
            store.state = store.decoded(store.read())
            store.settle()
            return store


@fails("test_a_create_whose_disk_fails_leaves_a_whole_store_or_none", "create left files open")
class LeavesFilesOpenWhenCreatingFails(ReplacingStore):
    def write_first(self, state: bytes) -> None:
        try:
            super().write_first(state)
        except OSError:
            self.opened.pop_all()
            raise


# What is damaged.


@fails("test_no_damaged_byte_goes_unnoticed", "differs from that at byte")
class NoChecksum(ReplacingStore):
    def decoded(self, data: bytes) -> bytes:
        return data[8 : 8 + int.from_bytes(data[4:8], "big")]


@fails("test_no_damaged_sector_goes_unnoticed", "Rot took the sector .*But open gave b''")
class TakesZerosForNothing(ReplacingStore):
    """A sector of zeros was never written, so it thinks, and the state ends there."""

    def decoded(self, data: bytes) -> bytes:
        end = data.find(bytes(512))
        if end < 0:
            return super().decoded(data)
        return data[8:end]


@fails("test_a_file_of_another_length_gives_no_other_state", "of 3008 bytes became one of 3009")
class IgnoresTheLength(ReplacingStore):
    """Its checksum covers each byte that is there, and not how many there should be."""

    def encoded(self, state: bytes) -> bytes:
        return bytes([sum(state) % 251]) * 8 + state


@fails(
    "test_somebody_elses_files_are_a_fault_and_left_alone",
    "files of somebody else, and open took them",
)
class TakesAnEmptyFileForANewStore(ReplacingStore):
    def decoded(self, data: bytes) -> bytes:
        return super().decoded(data) if data else b""


@fails("test_a_lost_file_is_a_fault_or_costs_nothing", "All was lost, and open changed the disk")
class StartsAnewWithoutItsFolder(ReplacingStore):
    @classmethod
    def open(cls, disk: Disk, folder: Path) -> Self:
        try:
            return super().open(disk, folder)
        except StoreFaultError:
            disk.make_folder(folder)
            return super().open(disk, folder)


# What is wrong although the disk is well.


@fails("test_a_new_store_holds_the_initial_state", "the initial one. But open gave b''")
class ForgetsTheInitialState(ReplacingStore):
    def write_first(self, state: bytes) -> None:
        super().write_first(b"")


@fails("test_what_was_saved_last_is_there_when_it_is_opened_again", "Right would have been b'.x00'")
class DropsZerosAtTheEnd(ReplacingStore):
    def encoded(self, state: bytes) -> bytes:
        return super().encoded(state.rstrip(b"\0"))


@fails("test_many_saves_in_one_life_end_with_the_last", "But open gave b'39'")
class WearsOut(ReplacingStore):
    saves = 0

    def save(self, state: bytes) -> None:
        self.saves += 1
        if self.saves <= 40:
            super().save(state)


@fails("test_create_leaves_a_store_alone", "where there is a store, was not refused")
class CreatesOverAStore(ReplacingStore):
    def exists(self) -> bool:
        return False


@fails("test_open_never_creates", "where there is no store, raised no fault")
class OpenCreates(ReplacingStore):
    @classmethod
    def open(cls, disk: Disk, folder: Path) -> Self:
        try:
            return super().open(disk, folder)
        except StoreFaultError:
            cls.create(disk, folder, b"")
            return super().open(disk, folder)


@fails("test_only_one_process_has_the_store_open", "while the store is open, raised no fault")
class NoLock(ReplacingStore):
    def lock(self) -> None:
        pass


@fails("test_a_store_is_free_again_when_its_process_is_gone", "close left files open")
class KeepsTheLock(ReplacingStore):
    def close(self) -> None:
        self.is_closed = True


@fails("test_a_closed_store_takes_nothing", "on a closed store, raised OSError")
class SavesWhenClosed(ReplacingStore):
    def save(self, state: bytes) -> None:
        self.replace(state)


# `paxos.durable`, with one of its rules left out: what only two slots can get wrong.

Break = Callable[[pytest.MonkeyPatch], None]
BROKEN_DURABLE: list[tuple[Break, str, str]] = []


def breaks_durable(test: str, says: str) -> Callable[[Break], Break]:
    def note(broken: Break) -> Break:
        BROKEN_DURABLE.append((broken, test, says))
        return broken

    return note


@breaks_durable(
    "test_no_damaged_byte_goes_unnoticed", "acknowledged, or a fault. But open gave b'o"
)
def takes_whatever_slot_is_whole(patch: pytest.MonkeyPatch) -> None:
    """A damaged slot is taken for a torn one: the state before it comes back."""
    sound = replace(slots.TABLE[0], when=lambda y: True)
    patch.setattr(slots, "TABLE", (sound,))


@breaks_durable(
    "test_damage_after_a_write_that_was_cut_off_brings_back_nothing_older",
    "A save was cut off, and rot changed byte",
)
def takes_a_slot_though_neither_is_whole(patch: pytest.MonkeyPatch) -> None:
    """A write was cut off in one, and rot is in the other: it makes the best of that."""
    recover = durable.recover

    def best(first: slots.SlotReading, second: slots.SlotReading) -> slots.Recovery:
        found = recover(first, second)
        return found if found.newest is not None else slots.Recovery(slots.TABLE[0], 0, torn=False)

    patch.setattr(durable, "recover", best)


@breaks_durable("test_a_crash_during_a_save_leaves_the_old_state_or_the_new_one", "found a fault")
def takes_a_torn_write_for_damage(patch: pytest.MonkeyPatch) -> None:
    """It refuses to start after any power cut."""
    damage = replace(slots.TABLE[1], sound=False)
    patch.setattr(slots, "TABLE", (slots.TABLE[0], damage, *slots.TABLE[2:]))


@breaks_durable("test_two_saves_that_were_cut_off_never_pass_for_one", "But open gave b'p")
def uses_a_serial_again(patch: pytest.MonkeyPatch) -> None:
    """After a torn write, the next one gets the serial that the torn one had."""
    patch.setattr(durable, "_settle", _settle_without_healing)


def _settle_without_healing(file: File, content: object) -> tuple[int, int]:
    newest = content.newest()  # type: ignore[attr-defined] - durable's own, and private
    image = content.slots[newest]  # type: ignore[attr-defined] - as above
    file.write(slots.BLOCK_BYTES + newest * len(image), image)
    file.sync()
    return newest, max(content.readings[newest].serials)  # type: ignore[attr-defined] - as above


@breaks_durable("test_no_misplaced_sector_goes_unnoticed", "was written to sector")
def believes_a_sector_wherever_it_is(patch: pytest.MonkeyPatch) -> None:
    """It looks at the checksum, and not at the place that the sector is made for."""

    def read_slot(image: bytes, _: int) -> slots.SlotReading:
        sectors = [image[at : at + 512] for at in range(0, len(image), 512)]
        serials = frozenset(int.from_bytes(sector[16:24], "big") for sector in sectors)
        return slots.SlotReading(serials, ())

    patch.setattr(durable, "read_slot", read_slot)


@breaks_durable(
    "test_a_crash_while_damage_is_mended_costs_nothing", "During the opening, .*found a fault"
)
def mends_all_in_one_write(patch: pytest.MonkeyPatch) -> None:
    """Good sectors of the new serial beside one that is bad still: that looks like rot."""
    whole_settle = durable._settle

    class OneWrite(File):
        def __init__(self, file: File) -> None:
            self._real = file
            self.path = file.path

        def write(self, offset: int, data: bytes) -> None:
            if len(data) > 512:
                self._real.write(offset, data)

        def sync(self) -> None:
            self._real.sync()

    patch.setattr(durable, "_settle", lambda file, content: whole_settle(OneWrite(file), content))


@breaks_durable(
    "test_what_was_found_sound_is_saved_to_as_before", "A save returned.*But open gave b'n"
)
def begins_with_serial_one_after_rot(patch: pytest.MonkeyPatch) -> None:
    """It heals what is bad, and then counts from the wrong number."""
    whole_settle = durable._settle

    def settle(file: File, content: object) -> tuple[int, int]:
        slot, serial = whole_settle(file, content)  # type: ignore[arg-type] - content is private
        return slot, 0 if content.bad else serial  # type: ignore[attr-defined] - as above

    patch.setattr(durable, "_settle", settle)
