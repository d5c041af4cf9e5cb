"""Damage to any byte is noticed, and is never confused with a torn write."""

from __future__ import annotations

import pytest

from durable.stores import (
    BLOCK_BYTES,
    FILE_BYTES,
    FOLDER,
    SECTOR_BYTES,
    SLOT_BYTES,
    STATE,
    filling,
    reopened,
    serials,
    store_with,
    torn_store,
)
from paxos import durable
from paxos.durable import Answer, Report
from paxos.sim.disk_state import DiskState, crash_states
from paxos.sim.simulated_disk import SimulatedDisk

OLD, NEW, TORN = filling("o"), filling("n"), filling("t")
STORE = store_with(OLD, NEW)
NEWEST = range(BLOCK_BYTES + SLOT_BYTES, FILE_BYTES)  # the second save is in slot 1
STALE = range(BLOCK_BYTES, BLOCK_BYTES + SLOT_BYTES)


def flip(state: DiskState, offset: int, bits: int) -> DiskState:
    return state.flip(STATE, offset, bits)


def inspected(state: DiskState) -> Report:
    return durable.inspect(FOLDER, disk=SimulatedDisk(state))


def sector_of(offset: int) -> int:
    return offset - offset % SECTOR_BYTES


@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_damage_to_the_newest_state_is_not_mistaken_for_a_torn_write(bits: int) -> None:
    for offset in NEWEST:
        report = inspected(flip(STORE, offset, bits))
        assert report.answer is Answer.CORRUPT
        assert report.bad == (sector_of(offset),)
        assert f"{STATE}: damaged at byte {sector_of(offset)}: " in report.what


@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_damage_to_the_header_is_not_mistaken_for_another_store(bits: int) -> None:
    for offset in range(BLOCK_BYTES):
        report = inspected(flip(STORE, offset, bits))
        assert report.answer is Answer.CORRUPT
        assert f"{STATE}: damaged at byte 0: " in report.what


@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_damage_beside_the_newest_state_is_noticed_and_costs_nothing(bits: int) -> None:
    for offset in STALE:
        report = inspected(flip(STORE, offset, bits))
        assert report.answer is Answer.SOUND
        assert report.bad == (sector_of(offset),)
        assert (report.state, report.torn) == (NEW, False)


@pytest.mark.parametrize("offset", range(BLOCK_BYTES, BLOCK_BYTES + SLOT_BYTES, 100))
def test_damage_beside_the_newest_state_is_mended_by_opening(offset: int) -> None:
    disk = SimulatedDisk(flip(STORE, offset, 0xFF))
    with durable.open(FOLDER, disk=disk) as store:
        assert store.state == NEW
        assert store.report.bad == (sector_of(offset),)
    report = inspected(disk.state)
    assert (report.answer, report.state, report.bad) == (Answer.SOUND, NEW, ())


@pytest.mark.parametrize("offset", [0, 4095, *range(NEWEST.start, NEWEST.stop, 500)])
def test_opening_a_corrupt_store_names_the_place_and_changes_nothing(offset: int) -> None:
    damaged = flip(STORE, offset, 0xFF)
    disk = SimulatedDisk(damaged)
    with pytest.raises(durable.CorruptError) as caught:
        durable.open(FOLDER, disk=disk)
    assert caught.value.path == STATE
    assert caught.value.offset == (0 if offset < BLOCK_BYTES else sector_of(offset))
    assert disk.state == damaged
    assert disk.open_handles == 0


def test_damage_after_a_torn_write_is_judged_by_what_was_acknowledged() -> None:
    torn = torn_store(OLD, NEW, torn=TORN)
    for offset in range(BLOCK_BYTES, FILE_BYTES):
        report = inspected(flip(torn, offset, 0xFF))
        assert report.bad == (sector_of(offset),)
        if offset in NEWEST:
            assert report.answer is Answer.CORRUPT
        else:
            assert (report.answer, report.state, report.torn) == (Answer.SOUND, NEW, True)


def test_a_torn_write_whose_last_old_sector_rots_could_have_been_acknowledged() -> None:
    almost_done = torn_store(OLD, NEW, torn=TORN, sectors=7)
    assert inspected(almost_done).answer is Answer.SOUND
    assert inspected(flip(almost_done, STALE.stop - 1, 0xFF)).answer is Answer.CORRUPT


def test_a_torn_write_whose_new_sectors_rot_is_sound_and_they_are_reported() -> None:
    begun = torn_store(OLD, NEW, torn=TORN, sectors=1)
    report = inspected(flip(begun, STALE.start, 0xFF))
    assert (report.answer, report.state) == (Answer.SOUND, NEW)
    assert report.bad == (STALE.start,)
    assert not report.torn  # nothing is left to tell it by


def test_every_place_of_rot_is_reported_and_the_first_is_named() -> None:
    damaged = flip(flip(STORE, NEWEST.start + 1000, 0xFF), STALE.start, 0xFF)
    report = inspected(damaged)
    assert report.bad == (STALE.start, NEWEST.start + 512)
    assert f"damaged at byte {STALE.start}: neither slot is whole" in report.what


def test_a_store_that_was_healed_still_knows_that_it_was_never_saved_to() -> None:
    healed = SimulatedDisk(flip(store_with(initial=OLD), BLOCK_BYTES, 0xFF))
    durable.open(FOLDER, disk=healed).close()
    assert max(serials(healed.state)) == 3
    assert inspected(healed.state).answer is Answer.FRESH


def test_the_report_of_a_corrupt_store_still_says_whose_it_is() -> None:
    report = inspected(flip(STORE, NEWEST.start, 0xFF))
    assert report.owner is not None
    assert report.owner.node_id == "a"
    assert report.state is None


def test_rot_while_a_store_is_open_is_found_by_the_next_opening() -> None:
    disk = SimulatedDisk(STORE)
    store = durable.open(FOLDER, disk=disk)
    disk.state = flip(disk.state, NEWEST.start, 0xFF)  # under the newest state
    moments = disk.moments_of(lambda: store.save(OLD))
    assert reopened(disk.state).state == OLD
    cut_off = {
        durable.inspect(FOLDER, disk=SimulatedDisk(s)).answer for s in crash_states(moments[1:-1])
    }
    assert Answer.CORRUPT in cut_off
