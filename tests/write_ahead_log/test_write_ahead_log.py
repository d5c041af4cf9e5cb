"""What our log does beyond the contract: segments, spares, a reserve, and words for all trouble."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from durable.stores import OWNER
from paxos import durable, write_ahead_log
from paxos.durable import Answer, BrokenError, CorruptError, ForeignError, FullError, LockedError
from paxos.errors import MisuseError
from paxos.segments import PAYLOAD_BYTES
from paxos.sim.disk_state import DiskState, old
from paxos.sim.simulated_disk import SimulatedDisk
from paxos.write_ahead_log import WriteAheadLog

FOLDER = Path("/log")
SECTOR = 512
SEGMENT_BYTES = 16 * SECTOR
FULL_BATCH = bytes(15 * PAYLOAD_BYTES)


def segment(number: int) -> Path:
    return FOLDER / f"segment-{number:08d}"


def made(label: bytes = b"label") -> SimulatedDisk:
    """A disk with a log that was never appended to."""
    disk = SimulatedDisk()
    write_ahead_log.init(
        FOLDER, OWNER, label=label, segment_bytes=SEGMENT_BYTES, manifest_bytes=4096, disk=disk
    )
    return disk


def opened(disk: SimulatedDisk) -> tuple[WriteAheadLog, dict[int, bytes]]:
    """Open the log, and return it with all that it holds, by position."""
    found: dict[int, bytes] = {}
    return write_ahead_log.open(FOLDER, replay=found.__setitem__, disk=disk), found


def log_with(*batches: bytes) -> SimulatedDisk:
    """A disk with a log of these batches."""
    disk = made()
    with opened(disk)[0] as log:
        for batch in batches:
            log.append(batch)
    return disk


def found_in(disk: SimulatedDisk) -> list[bytes]:
    log, found = opened(disk)
    log.close()
    return list(found.values())


def full(method: str) -> int | None:
    """The fault of a disk on which nothing new has room."""
    return errno.ENOSPC if method == "create_file" else None


def test_an_append_is_one_write_and_one_sync() -> None:
    disk = log_with(b"first")
    log, _ = opened(disk)
    before = log.sync_count
    with disk.recorded() as record:
        log.append(b"x" * 3000)
    assert record.methods == ["write_at", "sync"]
    assert log.sync_count == before + 1


def test_a_batch_is_read_back_in_part() -> None:
    disk = log_with()
    log, _ = opened(disk)
    content = bytes(range(256)) * 12
    position = log.append(content)
    for start, length in ((0, 1), (487, 3), (488, 488), (100, 2000), (len(content) - 1, 1)):
        assert log.read(position + start, length) == content[start : start + length]


def test_a_batch_that_begins_a_segment_stands_behind_the_head() -> None:
    disk = made()
    log, _ = opened(disk)
    positions = [log.append(bytes([n]) * 4000, b"head %d" % n) for n in range(3)]
    assert log.segments == range(1, 4)
    assert [log.read(position, 4000)[0] for position in positions] == [0, 1, 2]
    log.close()
    assert [batch[:6] for batch in found_in(disk)] == [b"head 0", b"head 1", b"head 2"]


def test_a_head_is_written_only_where_a_segment_begins() -> None:
    disk = made()
    with opened(disk)[0] as log:
        for number in range(3):
            log.append(b"%d" % number, b"head ")
    assert found_in(disk) == [b"head 0", b"1", b"2"]


def test_a_segment_can_be_begun_before_the_last_one_is_full() -> None:
    disk = log_with(b"one")
    log, _ = opened(disk)
    log.begin_segment(b"head")
    log.append(b"two")
    log.commit(b"new label", first=2)
    assert (log.segments, log.label) == (range(2, 3), b"new label")
    log.close()
    assert segment(1) not in disk.state.paths
    assert found_in(disk) == [b"head", b"two"]


@pytest.mark.parametrize("first", [0, 3])
def test_only_what_is_there_can_be_dropped(first: int) -> None:
    log, _ = opened(log_with(b"one"))
    with pytest.raises(MisuseError, match="none that the log can begin with"):
        log.commit(b"", first=first)
    log.append(b"two")


def test_a_label_has_a_bound_and_nothing_happens_beyond_it() -> None:
    disk = log_with(b"one")
    log, _ = opened(disk)
    with pytest.raises(MisuseError, match="init the log with more room"):
        log.commit(bytes(4096))
    log.append(b"two")
    assert log.label == b"label"


def test_a_batch_has_a_bound_and_nothing_happens_beyond_it() -> None:
    disk = log_with(b"one")
    log, _ = opened(disk)
    assert log.capacity == len(FULL_BATCH)
    with pytest.raises(MisuseError, match="Append less at a time"):
        log.append(FULL_BATCH, b"head")
    log.append(FULL_BATCH)
    log.close()
    assert found_in(disk) == [b"one", FULL_BATCH]


@pytest.mark.parametrize("segment_bytes", [4096 - 512, 4096 + 1, 1 << 31])
def test_a_segment_has_a_sensible_size(segment_bytes: int) -> None:
    with pytest.raises(MisuseError, match="a segment has a multiple of 512 bytes"):
        write_ahead_log.init(FOLDER, OWNER, segment_bytes=segment_bytes, disk=SimulatedDisk())


def test_what_does_not_belong_to_the_log_cannot_be_read() -> None:
    log, _ = opened(log_with(b"one"))
    with pytest.raises(MisuseError, match="does not belong to the log"):
        log.read(9 << 32, 1)


def test_few_segments_are_kept_open_for_reading() -> None:
    disk = made()
    log, _ = opened(disk)
    positions = [log.append(FULL_BATCH) for _ in range(40)]
    before = disk.open_handles
    for position in positions + positions:
        assert log.read(position, 1) == b"\0"
    assert disk.open_handles <= before + 16
    log.commit(b"", first=40)
    log.close()
    assert disk.open_handles == 0


def test_rot_is_found_by_whoever_reads() -> None:
    disk = log_with(b"one")
    log, found = opened(disk)
    disk.state = disk.state.flip(segment(1), SECTOR + 100)
    with pytest.raises(CorruptError, match="a sector has rotted") as caught:
        log.read(next(iter(found)), 1)
    assert (caught.value.path, caught.value.offset) == (segment(1), SECTOR)


# A full disk


def test_without_room_for_a_spare_only_the_reserve_is_left() -> None:
    disk = made()
    log, _ = opened(disk)
    disk.fault = full
    log.append(b"begins the spare, and no other can be made")
    assert isinstance(log.full, FullError)
    before = disk.state
    with pytest.raises(FullError):
        log.append(b"refused")
    assert disk.state == before
    log.append(b"from the reserve", from_reserve=True)
    log.close()
    disk.fault = None
    assert found_in(disk)[1:] == [b"from the reserve"]


def test_a_disk_that_says_only_at_the_sync_that_it_is_full_leaves_the_reserve_too() -> None:
    disk = made()
    log, _ = opened(disk)
    unfinished = FOLDER / "segment.new"
    disk.fault = lambda method: (
        errno.ENOSPC if method == "sync" and unfinished in disk.state.paths else None
    )
    log.append(b"one")
    assert log.full is not None
    log.append(b"from the reserve", from_reserve=True)
    log.close()
    disk.fault = None
    assert found_in(disk) == [b"one", b"from the reserve"]


def test_the_reserve_ends_where_the_segment_ends() -> None:
    disk = made()
    log, _ = opened(disk)
    disk.fault = full
    log.append(FULL_BATCH)
    with pytest.raises(FullError):
        log.append(b"x", from_reserve=True)
    with pytest.raises(FullError):
        log.begin_segment(b"head")


def test_when_there_is_room_again_the_log_goes_on() -> None:
    disk = made()
    log, _ = opened(disk)
    disk.fault = full
    log.append(FULL_BATCH)
    with pytest.raises(FullError):
        log.append(b"refused")
    disk.fault = None
    log.append(b"taken")
    assert log.full is None
    log.close()
    assert found_in(disk) == [FULL_BATCH, b"taken"]


def test_a_spare_that_did_not_fit_is_removed() -> None:
    disk = made()
    log, _ = opened(disk)
    written = [0]

    def fills_up(method: str) -> int | None:
        written[0] += method == "write_at"
        return errno.ENOSPC if written[0] > 2 and method == "write_at" else None

    disk.fault = fills_up
    log.append(FULL_BATCH)
    assert log.full is not None
    assert FOLDER / "segment.new" not in disk.state.paths


def test_a_full_disk_does_not_keep_the_log_from_opening() -> None:
    disk = made()
    log, _ = opened(disk)
    disk.fault = full
    log.append(b"one")
    log.close()
    log, found = opened(disk)
    assert list(found.values()) == [b"one"]
    assert log.full is not None
    disk.fault = None
    log.append(b"two")


# What opening finds


def test_a_log_that_was_never_appended_to_is_fresh() -> None:
    report = write_ahead_log.inspect(FOLDER, disk=made())
    assert (report.answer, report.label, report.batches) == (Answer.FRESH, b"label", 0)
    log, _ = opened(made())
    assert log.report.answer is Answer.FRESH


def test_inspect_says_what_is_there_and_changes_nothing() -> None:
    disk = log_with(FULL_BATCH, b"two")
    before = disk.state
    report = write_ahead_log.inspect(FOLDER, disk=disk)
    assert (report.answer, report.batches, report.segments) == (Answer.SOUND, 2, 2)
    assert report.owner == OWNER
    assert disk.state == before


def test_inspect_says_what_is_lost_corrupt_or_foreign() -> None:
    assert write_ahead_log.inspect(FOLDER, disk=SimulatedDisk()).answer is Answer.LOST
    disk = log_with(b"one")
    rotten = SimulatedDisk(disk.state.flip(segment(1), SECTOR))
    report = write_ahead_log.inspect(FOLDER, disk=rotten)
    assert report.answer is Answer.CORRUPT
    assert f"{segment(1)}: damaged at byte 512" in report.what
    store = SimulatedDisk()
    durable.init(FOLDER, OWNER, initial=b"a state", disk=store)
    assert write_ahead_log.inspect(FOLDER, disk=store).answer is Answer.FOREIGN


def test_a_store_that_is_no_log_is_left_alone() -> None:
    disk = SimulatedDisk()
    durable.init(FOLDER, OWNER, initial=b"a state", disk=disk)
    before = disk.state
    with pytest.raises(ForeignError, match="not that of a log"):
        opened(disk)
    assert disk.state == before


def test_a_log_of_another_format_says_which() -> None:
    disk = SimulatedDisk()
    state = b"PaxosLog" + (2).to_bytes(2, "big") + bytes(100)
    durable.init(FOLDER, OWNER, initial=state, disk=disk)
    with pytest.raises(ForeignError, match="has format 2, and we read 1"):
        opened(disk)


def other_log(*batches: bytes) -> DiskState:
    """A log of the same node before it lost its disk."""
    disk = SimulatedDisk()
    owner = durable.Owner(OWNER.cluster, OWNER.node_id, "an earlier life")
    write_ahead_log.init(FOLDER, owner, segment_bytes=SEGMENT_BYTES, disk=disk)
    with write_ahead_log.open(FOLDER, disk=disk) as log:
        for batch in batches:
            log.append(batch)
    return disk.state


def test_a_segment_of_another_log_is_foreign() -> None:
    other = other_log(b"one").content(segment(1))
    disk = SimulatedDisk(log_with(b"one").state.with_content(segment(1), other))
    with pytest.raises(ForeignError, match="another segment than the one of this name"):
        opened(disk)


def test_a_sector_of_another_log_is_damage() -> None:
    other = other_log(b"one").content(segment(1))[SECTOR : 2 * SECTOR]
    disk = SimulatedDisk(log_with(b"one").state.damage(segment(1), SECTOR, other))
    with pytest.raises(CorruptError):
        opened(disk)


@pytest.mark.parametrize("number", [1, 2])
def test_a_segment_that_is_missing_is_damage(number: int) -> None:
    disk = SimulatedDisk(log_with(FULL_BATCH, b"two").state.without(segment(number)))
    with pytest.raises(CorruptError, match="this segment of the log is missing"):
        opened(disk)


def test_a_segment_header_that_says_something_else_is_foreign() -> None:
    state = log_with(b"one").state
    for start, what in ((4, "no segment of a log"), (12, "has format 9")):
        sector = bytearray(state.content(segment(1))[:SECTOR])
        sector[start : start + 2] = b"\0\x09"
        sector[:4] = __import__("zlib").crc32(bytes(sector[4:])).to_bytes(4, "big")
        disk = SimulatedDisk(state.damage(segment(1), 0, bytes(sector)))
        with pytest.raises(ForeignError, match=what):
            opened(disk)


def test_what_a_crash_left_behind_is_removed() -> None:
    disk = log_with(FULL_BATCH, FULL_BATCH, b"three")
    log, _ = opened(disk)
    with disk.recorded() as record:
        log.commit(b"", first=3)
    committed = next(
        state
        for state, after in zip(record.moments, record.after, strict=True)
        if after == 2  # of the manifest: written, synced; of the segments: nothing removed
    )
    disk = SimulatedDisk(committed.flush())
    assert segment(1) in disk.state.paths
    assert found_in(disk) == [b"three"]
    assert segment(1) not in disk.state.paths
    assert segment(2) not in disk.state.paths


def test_a_spare_that_is_damaged_is_made_anew() -> None:
    disk = log_with(b"one")
    for offset in (0, SEGMENT_BYTES - 1):
        disk = SimulatedDisk(disk.state.flip(segment(2), offset))
        log, _ = opened(disk)
        log.append(FULL_BATCH)
        log.close()
        assert found_in(disk)[-1] == FULL_BATCH
        disk = log_with(b"one")


def test_a_spare_whose_name_was_never_synced_gets_it_anew() -> None:
    disk = made()
    disk.fault = lambda method: (
        errno.EIO if method == "sync_folder" and segment(1) in disk.state.paths else None
    )
    with pytest.raises(durable.DiskError):
        opened(disk)
    disk.fault = None
    disk.kill()
    assert segment(1) in disk.state.paths  # as long as the power is on
    log, _ = opened(disk)
    log.append(b"acknowledged")
    disk.power_cut(old)
    assert found_in(disk) == [b"acknowledged"]


def test_a_torn_batch_is_reported_and_left_out() -> None:
    disk = log_with(b"one")
    log, _ = opened(disk)
    torn = disk.moments_of(lambda: log.append(bytes(3000)))[2].flush()
    report = write_ahead_log.inspect(FOLDER, disk=SimulatedDisk(torn))
    assert (report.torn, report.batches) == (True, 1)
    assert report.what == "a write was cut off before it was acknowledged"


def test_damage_behind_the_last_batch_is_reported_and_mended() -> None:
    place = 10 * SECTOR
    disk = SimulatedDisk(log_with(b"one").state.flip(segment(1), place))
    log, _ = opened(disk)
    assert log.report.bad == (place,)
    log.close()
    assert write_ahead_log.inspect(FOLDER, disk=disk).bad == ()


# Trouble


def test_a_failed_sync_is_final() -> None:
    disk = log_with(b"one")
    log, _ = opened(disk)
    disk.fault = lambda method: errno.EIO if method == "sync" else None
    with pytest.raises(durable.DiskError):
        log.append(b"two")
    disk.fault = None
    calls: list[Callable[[], object]] = [
        lambda: log.append(b"two"),
        lambda: log.begin_segment(b""),
        lambda: log.commit(b""),
        lambda: log.read(1 << 32, 1),
        log.write_snapshot,
        log.snapshot,
    ]
    with disk.recorded() as record:
        for call in calls:
            with pytest.raises(BrokenError, match="an earlier call failed"):
                call()
    assert not record.calls
    assert not log.is_usable
    log.close()
    assert disk.open_handles == 0


def test_a_closed_log_takes_nothing_and_closes_again() -> None:
    log, _ = opened(log_with(b"one"))
    log.close()
    log.close()
    with pytest.raises(MisuseError, match="this log is closed"):
        log.append(b"two")


def test_two_calls_at_once_are_refused() -> None:
    class Reentrant(SimulatedDisk):
        log: WriteAheadLog | None = None

        def sync(self, file: int) -> None:
            if self.log is not None:
                with pytest.raises(MisuseError, match="under way"):
                    self.log.append(b"second")
                with pytest.raises(MisuseError, match="under way"):
                    self.log.close()
            super().sync(file)

    disk = Reentrant(log_with(b"one").state)
    log, _ = opened(disk)
    disk.log = log
    log.append(b"first")


def test_a_log_that_is_open_elsewhere_is_locked() -> None:
    disk = log_with(b"one")
    log, _ = opened(disk)
    with pytest.raises(LockedError, match="another process has this log open"):
        opened(disk)
    assert write_ahead_log.inspect(FOLDER, disk=disk).locked
    log.close()


@pytest.mark.parametrize("batch", [b"two", FULL_BATCH], ids=["an append", "a segment"])
def test_a_log_that_changed_between_judging_and_locking_is_locked(batch: bytes) -> None:
    class Raced(SimulatedDisk):
        """Another process appends between our look at the log and our lock on it."""

        looked = 0

        def lock(self, folder: int, *, shared: bool) -> bool:
            self.looked += 1
            if self.looked == 2:
                other = SimulatedDisk(self.state)
                with opened(other)[0] as log:
                    log.append(batch)
                self.state = other.state
            return super().lock(folder, shared=shared)

    disk = Raced(log_with(b"one").state)
    with pytest.raises(LockedError, match="has just written to this log"):
        opened(disk)
    assert disk.open_handles == 0
    assert found_in(SimulatedDisk(disk.state)) == [b"one", batch]
