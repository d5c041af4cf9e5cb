"""What errors and reports say: a person reads it at three in the morning, so each word is held."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

import pytest

from durable.stores import (
    BLOCK_BYTES,
    FOLDER,
    OWNER,
    SLOT_BYTES,
    STATE,
    content,
    filling,
    store_with,
)
from durable.test_faults import calls_of, disk_that_fails_once, init, open_and_close
from durable.test_format import patched, with_file
from paxos import MisuseError, durable
from paxos.disk import real_disk
from paxos.durable import Answer
from paxos.sim.disk_state import DiskState
from paxos.sim.simulated_disk import SimulatedDisk

OLD, NEW = filling("o"), filling("n")


def failures(state: DiskState, action: Callable[[SimulatedDisk], object]) -> list[tuple[str, str]]:
    """For each call that an action makes: the path and the first words of what its failure says."""
    told: list[tuple[str, str]] = []
    for failing in range(calls_of(state, action)):
        with pytest.raises(durable.DiskError) as caught:
            action(disk_that_fails_once(state, failing, errno.EIO))
        words = str(caught.value).removeprefix(f"{caught.value.path}: ").split(" (")[0]
        told.append((str(caught.value.path), words))
    return told


def test_what_fails_in_init_is_named_with_its_path() -> None:
    assert failures(DiskState(), init) == [
        ("/store", "make failed"),
        ("/", "open failed"),
        ("/", "sync failed"),
        ("/", "close failed"),
        ("/store", "open failed"),
        ("/store", "lock failed"),
        ("/store/state", "open failed"),
        ("/store/state.new", "create failed"),
        ("/store/state.new", "write failed"),
        ("/store/state.new", "sync failed"),
        ("/store/state.new", "rename failed"),
        ("/store", "sync failed"),
        ("/store/state.new", "close failed"),
        ("/store", "close failed"),
    ]


def test_what_fails_in_open_is_named_with_its_path() -> None:
    assert failures(store_with(OLD), open_and_close) == [
        ("/store", "open failed"),
        ("/store", "lock failed"),
        ("/store/state", "open failed"),
        ("/store/state", "size failed"),
        ("/store/state", "read failed"),
        ("/store/state", "write failed"),
        ("/store/state", "sync failed"),
        ("/store", "sync failed"),
        ("/store/state", "close failed"),
        ("/store", "close failed"),
    ]


def test_a_write_or_read_in_part_is_named_with_its_path() -> None:
    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.taken_by_a_write = 512
    with pytest.raises(durable.DiskError) as caught:
        store.save(NEW)
    assert caught.value.path == STATE
    assert f"{STATE}: write took 512 of {SLOT_BYTES} bytes at byte " in str(caught.value)

    class ShortReads(SimulatedDisk):
        def read_at(self, file: int, offset: int, length: int) -> bytes:
            return super().read_at(file, offset, length - 1)

    with pytest.raises(durable.DiskError) as caught:
        durable.open(FOLDER, disk=ShortReads(store_with(OLD)))
    assert caught.value.path == STATE


def test_a_broken_store_names_its_file() -> None:
    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = lambda method: errno.EIO
    with pytest.raises(durable.DiskError):
        store.save(NEW)
    with pytest.raises(durable.BrokenError) as caught:
        store.save(NEW)
    assert caught.value.path == STATE


def test_another_owner_is_named_with_the_file() -> None:
    with pytest.raises(durable.ForeignError) as caught:
        durable.open(FOLDER, node_id="Z", disk=SimulatedDisk(store_with(OLD)))
    assert caught.value.path == STATE
    assert "not to 'Z'" in str(caught.value)


def header(data: bytes) -> DiskState:
    return store_with(OLD).damage(STATE, 0, data)


@pytest.mark.parametrize(
    ("state", "answer", "what"),
    [
        (DiskState(), Answer.LOST, "/store: open failed (No such file or directory). Is this"),
        (
            header(b"\xff" * 4),
            Answer.CORRUPT,
            "/store/state: damaged at byte 0: the header is not what init wrote. This node",
        ),
        (
            header(bytes(BLOCK_BYTES)).damage(STATE, BLOCK_BYTES, bytes(512)),
            Answer.FOREIGN,
            "/store/state: this is no store, or nothing of it is left. Nothing was changed",
        ),
    ],
    ids=["lost", "corrupt", "foreign"],
)
@pytest.mark.parametrize("locked", [False, True], ids=["free", "in-use"])
def test_a_report_says_what_is_there_and_whether_it_is_in_use(
    state: DiskState, answer: Answer, what: str, locked: bool
) -> None:
    disk = SimulatedDisk(state)
    if locked and answer is not Answer.LOST:
        assert disk.lock(disk.open_folder(FOLDER), shared=False)
    report = durable.inspect(FOLDER, disk=disk)
    assert (report.answer, report.locked) == (answer, locked and answer is not Answer.LOST)
    assert report.what.startswith(what)


def test_a_corrupt_slot_in_use_is_reported_as_in_use() -> None:
    state = store_with(OLD, NEW).damage(STATE, BLOCK_BYTES + SLOT_BYTES, b"rot")
    disk = SimulatedDisk(state)
    assert disk.lock(disk.open_folder(FOLDER), shared=False)
    report = durable.inspect(FOLDER, disk=disk)
    assert (report.answer, report.locked) == (Answer.CORRUPT, True)


def test_slots_that_contradict_each_other_without_rot_are_placed_at_the_first() -> None:
    """Both slots hold the serial 2: no crash explains it."""
    store = store_with(OLD)
    from paxos.slots import encode_slot

    image = encode_slot(0, SLOT_BYTES, 2, OLD, saved=True)
    report = durable.inspect(FOLDER, disk=SimulatedDisk(store.damage(STATE, BLOCK_BYTES, image)))
    assert f"damaged at byte {BLOCK_BYTES}: the slots contradict each other" in report.what


def test_an_open_store_is_not_reported_as_in_use_by_another() -> None:
    with durable.open(FOLDER, disk=SimulatedDisk(store_with(OLD))) as store:
        assert store.report.locked is False


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: closed_store().save(NEW), "this store is closed: open it again"),
        (
            lambda: real_disk("win32"),
            "Windows cannot sync a folder, so a store could vanish after a power cut. Run this",
        ),
        (
            lambda: durable.init(FOLDER, OWNER, initial=OLD, disk=SimulatedDisk(store_with(OLD))),
            "/store holds a store: open it, init another folder",
        ),
    ],
    ids=["closed", "windows", "init-twice"],
)
def test_a_misuse_says_what_to_do_instead(misuse: object, words: str) -> None:
    assert callable(misuse)
    with pytest.raises(MisuseError, match="^" + re.escape(words)):
        misuse()


def closed_store() -> durable.Store:
    store = durable.open(FOLDER, disk=SimulatedDisk(store_with(OLD)))
    store.close()
    return store


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (patched(4, b"PaxosLog"), "this is no store. Nothing"),
        (patched(12, b"\0\2"), "this store has format 2, and we read 1. Nothing"),
        (
            patched(20, b"\0"),
            "damaged at byte 0: the header is none that init writes. This node",
        ),
        (with_file(content(store_with(OLD))[:-512]), "damaged at byte 11776: the file should end"),
    ],
    ids=["another-magic", "a-later-format", "no-header-of-ours", "too-short"],
)
def test_what_is_wrong_with_a_file_is_named_with_its_path(state: DiskState, words: str) -> None:
    with pytest.raises(durable.StorageError) as caught:
        durable.open(FOLDER, disk=SimulatedDisk(state))
    assert caught.value.path == STATE
    assert str(caught.value).startswith(f"{STATE}: {words}")


def test_a_store_in_use_is_named_with_its_folder() -> None:
    disk = SimulatedDisk(store_with(OLD))
    assert disk.lock(disk.open_folder(FOLDER), shared=False)
    with pytest.raises(durable.LockedError) as caught:
        durable.open(FOLDER, disk=disk)
    assert caught.value.path == FOLDER
    assert str(caught.value).startswith(f"{FOLDER}: another process has this store open. Stop")


def test_an_init_under_way_is_reported_as_a_store_that_is_not_there_yet_and_in_use() -> None:
    disk = SimulatedDisk()
    disk.make_folder(FOLDER)
    assert disk.lock(disk.open_folder(FOLDER), shared=False)
    report = durable.inspect(FOLDER, disk=disk)
    assert (report.answer, report.locked) == (Answer.LOST, True)
