"""What crashes do to the two slots, beyond what any store must bear: see `test_contract`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from durable.stores import (
    FOLDER,
    OWNER,
    SLOT_BYTES,
    STATE,
    filling,
    reopened,
    serials,
    store_with,
    torn_store,
)
from paxos import durable
from paxos.sim.disk_state import DiskState, crash_states
from paxos.sim.simulated_disk import SimulatedDisk

pytestmark = pytest.mark.exhaustive

OLD, NEW, OTHER = filling("o"), filling("n"), filling("x")

BEFORE_A_SAVE = {
    "a fresh store": store_with(initial=OLD),
    "a store saved once": store_with(OLD),
    "a store saved twice": store_with(OTHER, OLD),
    "a store whose last write was torn": torn_store(OLD, torn=OTHER),
}


def states_of_a_save(before: DiskState) -> Iterator[tuple[DiskState, frozenset[bytes]]]:
    """Yield all that a crash during or after a save can leave, and what may be recovered then."""
    disk = SimulatedDisk(before)
    store = durable.open(FOLDER, disk=disk)
    assert store.state == OLD
    *during, after = disk.moments_of(lambda: store.save(NEW))
    for crashed in crash_states(during):
        yield crashed, frozenset({OLD, NEW})
    for crashed in crash_states([after]):
        yield crashed, frozenset({NEW})


def moments_of_opening(state: DiskState) -> tuple[list[DiskState], bytes]:
    """Open the store; return each moment of that, and what was recovered."""
    disk = SimulatedDisk(state)
    stores: list[durable.Store] = []
    moments = disk.moments_of(lambda: stores.append(durable.open(FOLDER, disk=disk)))
    return moments, stores[0].state


def test_a_second_crash_during_or_after_opening_costs_nothing_more() -> None:
    before = BEFORE_A_SAVE["a store whose last write was torn"]
    checked: set[tuple[DiskState, frozenset[bytes]]] = set()
    for crashed, acceptable in states_of_a_save(before):
        (*during, after), recovered = moments_of_opening(crashed)
        # Once it is open, what was recovered is known to the caller: there is no way back.
        for moments, demanded in ((during, acceptable), ([after], frozenset({recovered}))):
            for state in crash_states(moments):
                if (state, demanded) not in checked:
                    checked.add((state, demanded))
                    assert reopened(state).state in demanded
    assert len(checked) > 3**8  # a sector of the other slot: old, new, or what mends it


def test_the_serial_of_a_torn_write_is_never_used_again() -> None:
    crashed = torn_store(OLD, torn=OTHER)
    used = set(serials(crashed))
    disk = SimulatedDisk(crashed)
    store = durable.open(FOLDER, disk=disk)
    store.save(NEW)
    store.save(OLD)
    assert min(serials(disk.state)) > max(used)


@pytest.mark.parametrize("before", BEFORE_A_SAVE.values(), ids=BEFORE_A_SAVE)
def test_a_save_touches_only_the_slot_without_the_newest_state(before: DiskState) -> None:
    disk = SimulatedDisk(before)
    store = durable.open(FOLDER, disk=disk)
    for state in (NEW, OTHER, NEW):
        newest = max(serials(disk.state))
        moments = disk.moments_of(partial(store.save, state))
        assert all(serials(moment).count(newest) == 8 for moment in moments)


@pytest.mark.parametrize("sectors", range(8))
@pytest.mark.parametrize("stale_slot", [0, 1])
def test_a_power_cut_while_rot_is_mended_does_not_make_the_store_corrupt(
    sectors: int, stale_slot: int
) -> None:
    saves = [OTHER, OLD] if stale_slot == 0 else [OTHER, OTHER, OLD]
    place = 4096 + stale_slot * SLOT_BYTES + 512 * sectors
    stale = store_with(*saves).damage(STATE, place, b"rot")
    moments, recovered = moments_of_opening(stale)
    assert recovered == OLD
    for state in crash_states(moments):
        assert reopened(state).state == OLD


def test_an_init_cut_off_leaves_a_whole_store_or_none_and_can_be_called_again() -> None:
    disk = SimulatedDisk()
    moments = disk.moments_of(lambda: durable.init(FOLDER, OWNER, initial=OLD, disk=disk))
    answers: set[durable.Answer] = set()
    for state in crash_states(moments, unread={"state.new"}):
        report = durable.inspect(FOLDER, disk=SimulatedDisk(state))
        answers.add(report.answer)
        again = SimulatedDisk(state)
        if report.answer is durable.Answer.LOST:
            durable.init(FOLDER, OWNER, initial=NEW, disk=again)
            assert {reopened(left).state for left in crash_states([again.state])} == {NEW}
        else:
            assert report.state == OLD
            with pytest.raises(durable.StoreExistsError):
                durable.init(FOLDER, OWNER, initial=NEW, disk=again)
    assert answers == {durable.Answer.LOST, durable.Answer.FRESH}


def test_init_reads_nothing_of_an_unfinished_one() -> None:
    disk = SimulatedDisk()
    moments = disk.moments_of(lambda: durable.init(FOLDER, OWNER, initial=OLD, disk=disk))
    unfinished = next(
        state for state in moments if state.files and len(state.files[0].sectors) > 10
    )
    disk = SimulatedDisk(unfinished)
    with pytest.raises(durable.LostError):
        durable.open(FOLDER, disk=disk)
    with disk.recorded() as record:
        durable.init(FOLDER, OWNER, initial=NEW, disk=disk)
    assert "read_at" not in record.methods
    assert reopened(disk.state).state == NEW
