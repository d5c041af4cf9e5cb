"""Whatever a disk does, it has a name that says what to do; and a failed save is final."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from durable.crash_states import CrashDisk, DiskState
from durable.stores import FOLDER, OWNER, SLOTS, STATE, filling, reopened, store_with, torn_store
from paxos import durable

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


def init(disk: CrashDisk) -> None:
    durable.init(FOLDER, OWNER, initial=OLD, disk=disk)


def open_and_close(disk: CrashDisk) -> None:
    durable.open(FOLDER, disk=disk).close()


class DiskThatFailsOnce(CrashDisk):
    """Its n-th call fails, counted from 0."""

    def __init__(self, state: DiskState, failing: int, error: int) -> None:
        super().__init__(state)
        self.fault = lambda method: error if len(self.calls) == failing + 1 else None


def every_call_fails(
    state: DiskState, action: Callable[[CrashDisk], object], error: int
) -> list[CrashDisk]:
    """Do it once for each call that it makes, and let that one fail."""
    well = CrashDisk(state)
    action(well)
    disks: list[CrashDisk] = []
    for failing in range(len(well.calls)):
        disk = DiskThatFailsOnce(state, failing, error)
        with pytest.raises(NAMES[error]):
            action(disk)
        assert disk.open_handles == 0
        disks.append(disk)
    return disks


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINTR, errno.EACCES])
def test_init_names_whatever_fails_and_can_be_called_again(error: int) -> None:
    for disk in every_call_fails(DiskState(), init, error):
        again = CrashDisk(disk.state)
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
    disk = CrashDisk(store_with(OLD))
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
    disk = CrashDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = lambda method: errno.EIO if method == "sync" else None
    with pytest.raises(durable.DiskError) as first:
        store.save(NEW)
    disk.fault = lambda method: None  # the disk is well again, and that changes nothing
    calls = len(disk.calls)
    for _ in range(2):
        with pytest.raises(durable.BrokenError, match="an earlier save failed") as later:
            store.save(OLD)
        assert later.value.__cause__ is first.value
    with pytest.raises(durable.BrokenError):
        _ = store.state
    assert len(disk.calls) == calls
    store.close()
    assert disk.open_handles == 0


def test_an_interrupted_save_breaks_the_store_too() -> None:
    def interrupt(method: str) -> None:
        if method == "sync":
            raise KeyboardInterrupt

    disk = CrashDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.save(NEW)
    with pytest.raises(durable.BrokenError, match="KeyboardInterrupt"):
        store.save(NEW)


def test_a_write_that_takes_less_than_all_is_a_failure() -> None:
    disk = CrashDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.taken_by_a_write = 1024
    with pytest.raises(durable.DiskError, match="write took 1024 of 4096 bytes at byte 8192"):
        store.save(NEW)
    with pytest.raises(durable.BrokenError):
        store.save(NEW)
    assert reopened(disk.state).state == OLD


def test_init_does_not_show_a_store_that_was_written_in_part() -> None:
    disk = CrashDisk()
    disk.taken_by_a_write = 4096
    with pytest.raises(durable.DiskError):
        init(disk)
    assert durable.inspect(FOLDER, disk=disk).answer is durable.Answer.LOST


def test_a_read_that_gives_less_than_the_file_has_is_a_failure() -> None:
    class ShortReads(CrashDisk):
        def read_at(self, file: int, offset: int, length: int) -> bytes:
            return super().read_at(file, offset, length - 1)

    with pytest.raises(durable.DiskError, match="read gave 12287 of 12288 bytes"):
        durable.open(FOLDER, disk=ShortReads(store_with(OLD)))


def test_a_failure_says_what_failed_where_why_and_what_to_do() -> None:
    disk = CrashDisk(store_with(OLD))
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
    class Wordless(CrashDisk):
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
