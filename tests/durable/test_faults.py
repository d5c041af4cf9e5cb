"""Whatever a disk does, it has a name that says what to do; and a failed save is final."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from durable.stores import FOLDER, OWNER, SLOTS, STATE, filling, reopened, store_with, torn_store
from paxos import durable
from paxos.sim.disk_state import DiskState
from paxos.sim.simulated_disk import SimulatedDisk, nth_call_fails

OLD, NEW, TORN = filling("o"), filling("n"), filling("t")

NAMES = {
    errno.EIO: durable.DiskError,
    errno.EINTR: durable.DiskError,
    errno.ENOSPC: durable.FullError,
    errno.EDQUOT: durable.FullError,
    errno.EACCES: durable.DeniedError,
    errno.EPERM: durable.DeniedError,
    errno.EROFS: durable.DeniedError,
    errno.ENOENT: durable.LostError,
    errno.ENOTDIR: durable.ForeignError,
    errno.EISDIR: durable.ForeignError,
}


def init(disk: SimulatedDisk) -> None:
    durable.init(FOLDER, OWNER, initial=OLD, disk=disk)


def open_and_close(disk: SimulatedDisk) -> None:
    durable.open(FOLDER, disk=disk).close()


def calls_of(state: DiskState, action: Callable[[SimulatedDisk], object]) -> int:
    """Return how many calls an action makes, if the disk is well."""
    disk = SimulatedDisk(state)
    with disk.recorded() as record:
        action(disk)
    return len(record.calls)


def disk_that_fails_once(state: DiskState, failing: int, error: int) -> SimulatedDisk:
    """Return a disk whose n-th call fails, counted from 0."""
    disk = SimulatedDisk(state)
    disk.fault = nth_call_fails(failing, error)
    return disk


def every_call_fails(
    state: DiskState, action: Callable[[SimulatedDisk], object], error: int
) -> list[SimulatedDisk]:
    """Do it once for each call that it makes, and let that one fail."""
    disks: list[SimulatedDisk] = []
    for failing in range(calls_of(state, action)):
        disk = disk_that_fails_once(state, failing, error)
        with pytest.raises(NAMES[error]):
            action(disk)
        assert disk.open_handles == 0
        disks.append(disk)
    return disks


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINTR, errno.EACCES])
def test_init_names_whatever_fails_and_can_be_called_again(error: int) -> None:
    for disk in every_call_fails(DiskState(), init, error):
        again = SimulatedDisk(disk.state)
        if durable.inspect(FOLDER, disk=again).answer is durable.Answer.LOST:
            init(again)
        assert reopened(again.state).state == OLD


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINTR, errno.EACCES])
def test_open_names_whatever_fails_and_loses_nothing(error: int) -> None:
    store = torn_store(OLD, torn=TORN).damage(STATE, SLOTS[1] + 600, b"rot")
    for disk in every_call_fails(store, open_and_close, error):
        assert reopened(disk.state).state == OLD


@pytest.mark.parametrize("method", ["write_at", "sync"])
@pytest.mark.parametrize("error", NAMES)
def test_save_names_whatever_fails(method: str, error: int) -> None:
    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = lambda called: error if called == method else None
    with pytest.raises(NAMES[error]) as caught:
        store.save(NEW)
    assert caught.value.path == STATE
    assert reopened(disk.state).state in {OLD, NEW}
    assert {reopened(state).state for state in disk.state.power_cuts()} <= {OLD, NEW}


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_inspect_raises_only_what_keeps_it_from_an_answer(error: int) -> None:
    state = store_with(OLD)
    disks = every_call_fails(state, lambda disk: durable.inspect(FOLDER, disk=disk), error)
    assert {disk.state for disk in disks} == {state}


def test_sync_failure_is_final() -> None:
    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = lambda method: errno.EIO if method == "sync" else None
    with pytest.raises(durable.DiskError) as first:
        store.save(NEW)
    disk.fault = None  # the disk is well again, and that changes nothing
    with disk.recorded() as record:
        for _ in range(2):
            with pytest.raises(durable.BrokenError, match="an earlier save failed") as later:
                store.save(OLD)
            assert later.value.__cause__ is first.value
        with pytest.raises(durable.BrokenError):
            _ = store.state
    assert not record.calls
    store.close()
    assert disk.open_handles == 0


def test_an_interrupted_save_breaks_the_store_too() -> None:
    def interrupt(method: str) -> None:
        if method == "sync":
            raise KeyboardInterrupt

    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.save(NEW)
    with pytest.raises(durable.BrokenError, match="KeyboardInterrupt"):
        store.save(NEW)


def test_a_write_that_takes_less_than_all_is_a_failure() -> None:
    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.taken_by_a_write = 1024
    with pytest.raises(durable.DiskError, match="write took 1024 of 4096 bytes at byte 8192"):
        store.save(NEW)
    with pytest.raises(durable.BrokenError):
        store.save(NEW)
    assert reopened(disk.state).state == OLD


def test_init_does_not_show_a_store_that_was_written_in_part() -> None:
    disk = SimulatedDisk()
    disk.taken_by_a_write = 4096
    with pytest.raises(durable.DiskError):
        init(disk)
    assert durable.inspect(FOLDER, disk=disk).answer is durable.Answer.LOST


def test_a_read_that_gives_less_than_the_file_has_is_a_failure() -> None:
    class ShortReads(SimulatedDisk):
        def read_at(self, file: int, offset: int, length: int) -> bytes:
            return super().read_at(file, offset, length - 1)

    with pytest.raises(durable.DiskError, match="read gave 12287 of 12288 bytes"):
        durable.open(FOLDER, disk=ShortReads(store_with(OLD)))


def test_a_failure_says_what_failed_where_why_and_what_to_do() -> None:
    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = lambda method: errno.ENOSPC
    with pytest.raises(durable.FullError) as caught:
        store.save(NEW)
    assert str(caught.value) == (
        "/store/state: write failed (No space left on device). Make room, then start again:"
        " what was acknowledged is still there."
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_a_failure_without_words_is_named_all_the_same() -> None:
    class Wordless(SimulatedDisk):
        def sync(self, file: int) -> None:
            raise OSError

    with pytest.raises(durable.DiskError, match=r"sync failed \(OSError\(\)\)"):
        durable.open(FOLDER, disk=Wordless(store_with(OLD)))


@pytest.mark.parametrize(
    "error",
    [
        durable.BrokenError,
        durable.CorruptError,
        durable.DeniedError,
        durable.DiskError,
        durable.ForeignError,
        durable.FullError,
        durable.LockedError,
        durable.LostError,
    ],
)
def test_every_error_of_the_storage_has_its_own_advice(error: type[durable.StorageError]) -> None:
    others = {each.advice for each in durable.StorageError.__subclasses__() if each is not error}
    assert error.advice not in others
