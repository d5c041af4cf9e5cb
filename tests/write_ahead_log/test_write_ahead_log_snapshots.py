"""Snapshots beside the log: written beside, switched in one step, read from any place."""

from __future__ import annotations

import errno
from random import Random

import pytest

from durable.stores import OWNER
from paxos.disk import Folder
from paxos.errors import MisuseError
from paxos.sim.disk_state import DiskState, Drawn
from paxos.sim.simulated_disk import SimulatedDisk, nth_call_fails
from paxos.snapshot_files import (
    BLOCK_BYTES,
    SnapshotID,
    SnapshotReader,
    SnapshotWriter,
    digest_of_stream,
)
from paxos.storage_errors import CorruptError, ForeignError, FullError, StorageError
from paxos.write_ahead_log import WriteAheadLog
from write_ahead_log.test_write_ahead_log import FOLDER, made, opened

STREAM = bytes(range(250)) * 600  # three blocks, the last one not full
OLD, NEW = b"old " * 300, b"new " * 400


def written(log: WriteAheadLog, stream: bytes, chunk: int = 10_000) -> SnapshotWriter:
    writer = log.write_snapshot()
    for at in range(0, len(stream), chunk):
        writer.add(stream[at : at + chunk])
    return writer


def read(log: WriteAheadLog) -> bytes | None:
    reader = log.snapshot()
    if reader is None:
        return None
    reader.check()
    content = b"".join(reader.chunks(999))
    reader.close()
    return content


def disk_with(stream: bytes) -> SimulatedDisk:
    disk = made()
    with opened(disk)[0] as log:
        log.append(b"one")
        log.commit(b"snapshot", snapshot=written(log, stream))
    return disk


def snapshot_file(state: DiskState) -> tuple[str, ...]:
    return tuple(path.name for path in state.paths if path.name.startswith("snapshot"))


def test_there_is_none_at_first() -> None:
    log, _ = opened(made())
    assert log.snapshot() is None


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_a_snapshot_comes_back_as_it_was(size: int) -> None:
    stream = (STREAM * 2)[:size]
    disk = disk_with(stream)
    log, _ = opened(disk)
    assert (log.label, read(log)) == (b"snapshot", stream)


def test_any_part_can_be_read() -> None:
    log, _ = opened(disk_with(STREAM))
    reader = log.snapshot()
    assert reader is not None
    assert (reader.size, reader.digest) == (len(STREAM), _digest(STREAM))
    for start, length in ((0, 5), (BLOCK_BYTES - 2, 4), (100, BLOCK_BYTES * 2), (149_999, 100)):
        assert reader.read(start, length) == STREAM[start : start + length]
    assert reader.read(len(STREAM), 1) == reader.read(-1, 1) == b""


def test_what_is_not_taken_on_is_nothing() -> None:
    disk = disk_with(OLD)
    log, _ = opened(disk)
    given_up, forgotten = written(log, NEW), written(log, NEW)
    given_up.abandon()
    given_up.abandon()
    with pytest.raises(MisuseError, match="finished or given up"):
        given_up.add(b"more")
    assert forgotten.size == len(NEW)
    log.close()
    log, _ = opened(disk)
    assert read(log) == OLD
    assert snapshot_file(disk.state) == ("snapshot-00000001",)


def test_a_reader_keeps_what_it_reads_when_a_newer_one_is_there() -> None:
    log, _ = opened(disk_with(OLD))
    reader = log.snapshot()
    assert reader is not None
    log.commit(b"newer", snapshot=written(log, NEW))
    assert b"".join(reader.chunks()) == OLD
    assert read(log) == NEW


def test_a_crash_amid_a_snapshot_leaves_the_old_one_or_the_new_one() -> None:
    disk = disk_with(OLD)
    log, _ = opened(disk)
    with disk.recorded() as record:
        log.commit(b"newer", snapshot=written(log, NEW))
    dice = Random(0)
    seen: set[bytes] = set()
    for number, moment in enumerate(record.moments):
        is_done = number == len(record.moments) - 1
        for state in (moment, *moment.some_power_cuts(20, dice)):
            after, found = opened(SimulatedDisk(state))
            assert list(found.values()) == [b"one"]
            stream = read(after)
            right = {b"newer": NEW, b"snapshot": OLD}
            assert stream == right[after.label]
            assert stream == NEW or not is_done
            seen.add(after.label)
    assert seen == {b"newer", b"snapshot"}


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_whatever_fails_the_old_snapshot_or_the_new_one_is_there(error: int) -> None:
    before = disk_with(OLD).state
    calls = 30
    for nth in range(calls):
        disk = SimulatedDisk(before)
        log, _ = opened(disk)
        disk.fault = nth_call_fails(nth, error)
        failed = False
        try:
            log.commit(b"newer", snapshot=written(log, NEW))
        except StorageError:
            failed = True
        disk.fault = None
        dice = Random(nth)
        for state in (disk.state, *(disk.state.power_cut(Drawn(dice)) for _ in range(5))):
            after, _ = opened(SimulatedDisk(state))
            assert read(after) in ({OLD, NEW} if failed else {NEW})
        log.close()
        if not failed:
            return
    raise AssertionError(f"more than {calls} calls")


def test_no_room_for_a_snapshot_does_not_touch_the_log() -> None:
    disk = disk_with(OLD)
    log, _ = opened(disk)
    writer = log.write_snapshot()
    disk.fault = lambda method: errno.ENOSPC if method == "write_at" else None
    with pytest.raises(FullError):
        writer.add(bytes(BLOCK_BYTES))
    disk.fault = None
    writer.abandon()
    log.append(b"two")
    assert read(log) == OLD
    assert snapshot_file(disk.state) == ("snapshot-00000001",)


def test_no_room_to_finish_a_snapshot_does_not_touch_the_log_either() -> None:
    disk = disk_with(OLD)
    log, _ = opened(disk)
    writer = written(log, NEW)
    disk.fault = lambda method: errno.ENOSPC if method == "write_at" else None
    with pytest.raises(FullError):
        log.commit(b"newer", snapshot=writer)
    disk.fault = None
    writer.abandon()
    log.append(b"two")
    assert (log.label, read(log)) == (b"snapshot", OLD)
    assert snapshot_file(disk.state) == ("snapshot-00000001",)


@pytest.mark.parametrize("bits", [0xFF, 1])
def test_no_damaged_byte_goes_unnoticed(bits: int) -> None:
    state = disk_with(OLD).state
    path = FOLDER / "snapshot-00000001"
    for offset in range(0, len(state.content(path)), 13):
        disk = SimulatedDisk(state.flip(path, offset, bits))
        with pytest.raises(CorruptError) as caught:
            read(opened(disk)[0])
        assert caught.value.path == path
        assert caught.value.offset == (0 if offset < 512 else 512)


def test_a_snapshot_that_is_missing_or_of_another_length_is_damage() -> None:
    state = disk_with(OLD).state
    path = FOLDER / "snapshot-00000001"
    content = state.content(path)
    for other in (b"", content[:-1], content + b"x"):
        with pytest.raises(CorruptError, match="should end at byte"):
            opened(SimulatedDisk(state.with_content(path, other)))
    with pytest.raises(CorruptError, match="this snapshot is missing"):
        opened(SimulatedDisk(state.without(path)))


def test_another_snapshot_under_its_name_is_foreign() -> None:
    disk = disk_with(OLD)
    first = disk.state.content(FOLDER / "snapshot-00000001")
    log, _ = opened(disk)
    log.commit(b"newer", snapshot=written(log, NEW[: len(OLD)]))
    log.close()
    state = disk.state.with_content(FOLDER / "snapshot-00000002", first)
    with pytest.raises(ForeignError, match="another snapshot"):
        opened(SimulatedDisk(state))


def test_a_damaged_segment_or_file_of_an_older_try_is_no_trouble() -> None:
    disk = disk_with(OLD)
    log, _ = opened(disk)
    written(log, NEW)  # neither finished nor given up
    disk.kill()
    leftover = FOLDER / "snapshot-00000002.new"
    assert leftover in disk.state.paths
    disk.create_file(FOLDER / "snapshot-00000003.new")
    log, _ = opened(disk)
    assert leftover not in disk.state.paths
    log.commit(b"newer", snapshot=written(log, NEW))
    assert read(log) == NEW


def test_blocks_that_are_whole_and_another_stream_are_damage() -> None:
    disk = disk_with(OLD)
    with Folder(disk, FOLDER) as folder:
        reader = SnapshotReader(folder, OWNER, SnapshotID(1, len(OLD), bytes(32)))
        assert reader.read(0, len(OLD)) == OLD
        with pytest.raises(CorruptError, match="the digest of the snapshot is another"):
            reader.check()


def test_a_stream_of_other_bytes_has_another_digest() -> None:
    log, _ = opened(made())
    writer = written(log, OLD)
    assert writer.digest() == _digest(OLD) != _digest(NEW)


def _digest(stream: bytes) -> bytes:
    digest = digest_of_stream()
    digest.update(stream)
    return digest.digest()
