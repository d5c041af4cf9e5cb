"""The format is frozen, and nothing that is out of place in it passes for good."""

from __future__ import annotations

import hashlib
from pathlib import Path
from zlib import crc32

import pytest

from durable.stores import (
    BLOCK_BYTES,
    FILE_BYTES,
    FOLDER,
    OWNER,
    SECTOR_BYTES,
    SLOTS,
    STATE,
    content,
    filling,
    store_with,
)
from paxos import durable
from paxos.durable import Answer
from paxos.sim.disk_state import DiskState
from paxos.sim.simulated_disk import SimulatedDisk

OLD, NEW = filling("o"), filling("n")
STORE = store_with(OLD, NEW)
NEWEST = SLOTS[1]


def summed(body: bytes) -> bytes:
    return crc32(body).to_bytes(4, "big") + body


def patched(offset: int, data: bytes, state: DiskState = STORE) -> DiskState:
    """Return a store in which this was changed, and the checksum fits again."""
    start, size = (0, BLOCK_BYTES) if offset < BLOCK_BYTES else (offset - offset % 512, 512)
    whole = bytearray(content(state))
    whole[offset : offset + len(data)] = data
    return state.damage(STATE, start, summed(bytes(whole[start + 4 : start + size])))


def inspected(state: DiskState) -> durable.Report:
    return durable.inspect(FOLDER, disk=SimulatedDisk(state))


def with_file(data: bytes) -> DiskState:
    """Return a disk whose state file has exactly these bytes."""
    return STORE.with_content(STATE, data)


def test_the_header_is_laid_out_as_documented() -> None:
    header = content(STORE)[:BLOCK_BYTES]
    assert header == summed(
        b"PaxosMem"  # magic
        b"\0\1"  # format version
        b"\0\0"
        b"\0\0\x10\0"  # bytes per slot
        + (b"\7cluster").ljust(65, b"\0")  # length, UTF-8
        + (b"\1a").ljust(65, b"\0")
        + (b"\nfirst life").ljust(65, b"\0")
        + bytes(BLOCK_BYTES - 4 - 8 - 2 - 2 - 4 - 3 * 65)
    )


def test_a_sector_is_laid_out_as_documented() -> None:
    last = content(STORE)[FILE_BYTES - SECTOR_BYTES :]
    assert last == summed(
        b"\0\1"  # format version
        b"\1"  # slot
        b"\1"  # saved, not initial
        b"\0\0\0\7"  # sector
        + len(NEW).to_bytes(4, "big")  # bytes of the whole state
        + b"\0\0\0\0\0\0\0\4"  # serial
        + b"n" * 488
    )


def test_the_whole_of_a_store_is_what_it_was_in_the_first_release() -> None:
    store = content(store_with(b"first", b"second"))
    assert hashlib.sha256(store).hexdigest() == (
        "d371adfb818fb83d3025648b21a288ce118ea1e85c14f067eac059fd3356ff49"
    )


def test_a_store_with_a_later_format_is_foreign() -> None:
    state = patched(12, b"\0\2")
    assert inspected(state).answer is Answer.FOREIGN
    with pytest.raises(durable.ForeignError, match="format 2, and we read 1"):
        durable.open(FOLDER, disk=SimulatedDisk(state))


def test_a_file_with_another_magic_is_foreign() -> None:
    assert inspected(patched(4, b"PaxosLog")).answer is Answer.FOREIGN


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (14, b"\0\1"),  # padding
        (16, b"\0\0\0\0"),  # no bytes per slot
        (16, b"\0\0\x10\1"),
        (16, b"\0\x20\0\0"),
        (20, b"\0"),  # an empty name
        (20, b"\xff"),
        (21, b"\xff"),  # no UTF-8
        (20 + 65 - 1, b"x"),  # behind the name
        (4095, b"x"),
    ],
)
def test_a_header_that_init_never_writes_is_damage(offset: int, data: bytes) -> None:
    report = inspected(patched(offset, data))
    assert report.answer is Answer.CORRUPT
    assert "damaged at byte 0" in report.what


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (4, b"\0\2"),  # a sector of another format version
        (6, b"\0"),  # of the other slot
        (7, b"\2"),  # neither saved nor initial
        (7, b"\0"),  # initial, among saved ones
        (8, b"\0\0\0\1"),  # of another place in its slot
        (12, b"\0\0\0\0"),  # of a state of another length
        (12, (8 * 488 + 1).to_bytes(4, "big")),  # of one that does not fit
        (16, bytes(8)),  # of no write
        (16, ((1 << 63) + 1).to_bytes(8, "big")),  # of one that never comes
    ],
)
@pytest.mark.parametrize("sector", [1536, 7 * 512])
def test_a_misplaced_sector_is_damage_though_its_checksum_fits(
    offset: int, data: bytes, sector: int
) -> None:
    report = inspected(patched(NEWEST + sector + offset, data))
    assert report.answer is Answer.CORRUPT
    assert report.bad == (NEWEST + sector,)


@pytest.mark.parametrize("fields", [b"\2", b"\1" + bytes(4) + (8 * 488 + 1).to_bytes(4, "big")])
def test_an_impossible_slot_is_damage_though_all_its_sectors_agree(fields: bytes) -> None:
    state = STORE
    for number in range(8):
        data = fields[:1] + number.to_bytes(4, "big") + fields[5:]
        state = patched(NEWEST + 512 * number + 7, data, state)
    report = inspected(state)
    assert report.answer is Answer.CORRUPT
    assert report.bad == tuple(range(NEWEST, FILE_BYTES, 512))


def test_one_serial_in_both_slots_is_explained_by_nothing() -> None:
    state = STORE
    for number in range(8):
        state = patched(SLOTS[0] + 512 * number + 16, (4).to_bytes(8, "big"), state)
    report = inspected(state)
    assert report.answer is Answer.CORRUPT
    assert report.bad == ()
    assert "contradict each other" in report.what


@pytest.mark.parametrize("size", [0, 3, 4, 8, 11, 12, 512, 4095])
def test_a_file_cut_short_in_its_header_is_damage(size: int) -> None:
    report = inspected(with_file(content(STORE)[:size]))
    assert report.answer is Answer.CORRUPT
    assert "damaged at byte 0" in report.what


@pytest.mark.parametrize("size", [4096, 5000, FILE_BYTES - 1])
def test_a_file_cut_short_in_its_slots_is_damage_at_its_end(size: int) -> None:
    report = inspected(with_file(content(STORE)[:size]))
    assert report.answer is Answer.CORRUPT
    assert f"damaged at byte {size}: the file should end at byte {FILE_BYTES}" in report.what


@pytest.mark.parametrize("more", [1, 4096, 3 << 20])
def test_a_file_that_is_too_long_is_damage_where_it_should_end(more: int) -> None:
    report = inspected(with_file(content(STORE) + bytes(more)))
    assert report.answer is Answer.CORRUPT
    assert f"damaged at byte {FILE_BYTES}" in report.what


def test_zeros_are_no_store() -> None:
    assert inspected(with_file(bytes(FILE_BYTES))).answer is Answer.FOREIGN


def test_the_store_of_another_life_is_told_by_its_incarnation(tmp_path: Path) -> None:
    for life in ("first", "second"):
        owner = durable.Owner("cluster", "a", life)
        durable.init(tmp_path / life, owner, initial=b"")
    first, second = (durable.inspect(tmp_path / life).owner for life in ("first", "second"))
    assert first != second
    assert OWNER.incarnation == "first life"
