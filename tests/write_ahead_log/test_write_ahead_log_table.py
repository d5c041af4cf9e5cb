"""What the end of a segment means: every row of the table, in every history that leads there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import pytest

from durable.stores import OWNER
from paxos.segment_files import place_of
from paxos.segments import (
    FORMAT_VERSION,
    PAYLOAD_BYTES,
    TABLE,
    Evidence,
    Tail,
    decode_header,
    encode_batch,
    encode_header,
    free_sector,
    judge_tail,
    read_batches,
    salt_of,
    sectors_for,
)

SECTOR = 512
SALT, FREE = salt_of(OWNER, 1), free_sector(OWNER, 1)
ROT = (b"\x55" * SECTOR, bytes(SECTOR), b"\xff" * SECTOR)
SIZES = (1, PAYLOAD_BYTES + 1, 2 * PAYLOAD_BYTES + 1)
"""Batches of one, two and three sectors."""


def batch(serial: int, size: int) -> list[bytes]:
    """The sectors of a batch."""
    image = encode_batch(bytes([serial]) * size, serial, SALT)
    return [image[at : at + SECTOR] for at in range(0, len(image), SECTOR)]


class History(NamedTuple):
    """What was done, and what it left: a row of sectors."""

    acknowledged: tuple[int, ...]
    """The sizes of the batches whose sync returned."""

    in_flight: int
    survived: tuple[bool, ...]
    """Which sectors of the batch that was in flight are on the disk."""

    sectors: tuple[bytes, ...]

    @property
    def acknowledged_sectors(self) -> int:
        return sum(map(sectors_for, self.acknowledged))

    def with_rot(self, places: tuple[int, ...], content: bytes) -> bytes:
        sectors = list(self.sectors)
        for place in places:
            sectors[place] = content
        return b"".join(sectors)


def histories(most: int = 2) -> Iterator[History]:
    """Every sequence of at most so many acknowledged batches, and every part of one more."""
    for count in range(most + 1):
        for acknowledged in product(SIZES, repeat=count):
            before = [s for n, size in enumerate(acknowledged, 1) for s in batch(n, size)]
            for in_flight in SIZES:
                after = batch(count + 1, in_flight)
                for survived in product((False, True), repeat=len(after)):
                    left = [
                        s if is_there else FREE for s, is_there in zip(after, survived, strict=True)
                    ]
                    sectors = (*before, *left, FREE, FREE)
                    yield History(acknowledged, in_flight, survived, sectors)


def recovered(image: bytes) -> tuple[int, Tail]:
    """How many batches are whole, and what stands behind them."""
    at, serial = read_batches(image, 0, 1, SALT, lambda at, payload: None)
    return serial - 1, judge_tail(image, at, serial, SALT, FREE)


def test_each_evidence_has_exactly_one_row() -> None:
    for values in product((False, True), repeat=len(astuple(Evidence(*[False] * 5)))):
        assert sum(row.when(Evidence(*values)) for row in TABLE) == 1


def test_without_rot_the_log_is_sound_and_ends_where_it_was_acknowledged() -> None:
    for history in histories():
        count, tail = recovered(b"".join(history.sectors))
        whole = all(history.survived)
        assert tail.row.sound
        assert count == len(history.acknowledged) + whole
        assert tail.torn == (any(history.survived) and not whole)
        assert not tail.bad


@pytest.mark.parametrize("how_many", [1, 2])
@pytest.mark.parametrize("content", ROT, ids=["text", "zeros", "ones"])
def test_whatever_rots_nothing_acknowledged_is_left_out(how_many: int, content: bytes) -> None:
    for history in histories():
        for places in combinations(range(len(history.sectors)), how_many):
            count, tail = recovered(history.with_rot(places, content))
            if tail.row.sound:
                least = len(history.acknowledged)
                assert least <= count <= least + all(history.survived)


def test_rot_behind_a_batch_that_is_surely_unfinished_costs_nothing() -> None:
    for history in histories():
        start = history.acknowledged_sectors
        if history.survived[0]:
            continue
        for place in range(start + 1, len(history.sectors)):
            count, tail = recovered(history.with_rot((place,), ROT[0]))
            assert tail.row.sound
            assert count == len(history.acknowledged)
            assert tail.bad == (place * SECTOR,)


def test_rot_in_the_last_acknowledged_batch_is_not_taken_for_a_torn_write() -> None:
    for history in histories():
        if history.acknowledged and not any(history.survived):
            last = sectors_for(history.acknowledged[-1])
            for place in range(history.acknowledged_sectors - last, history.acknowledged_sectors):
                _, tail = recovered(history.with_rot((place,), ROT[0]))
                assert not tail.row.sound


def test_damage_before_a_later_batch_says_that_it_was_acknowledged() -> None:
    sectors = [*batch(1, 1), *batch(2, SIZES[1]), *batch(3, 1), FREE]
    sectors[1] = FREE  # a lost write: outside the model, and noticed all the same
    _, tail = recovered(b"".join(sectors))
    assert tail.row.what == "a batch is damaged, and a later one is there"


@pytest.mark.parametrize(
    "sectors",
    [
        [*batch(1, 1), *batch(1, 1), FREE],
        [*batch(1, 1), FREE, *batch(2, SIZES[2])[:1]],
        [*batch(1, 1), batch(2, SIZES[2])[0], batch(2, SIZES[1])[1], FREE],
        [*batch(1, 1), batch(2, SIZES[2])[0]],
    ],
    ids=["an earlier serial", "another place", "two batches of one serial", "beyond the end"],
)
def test_what_no_crash_leaves_is_no_end_of_a_log(sectors: list[bytes]) -> None:
    _, tail = recovered(b"".join(sectors))
    assert tail.row.what == "sectors contradict each other, and no crash explains it"


def test_a_batch_that_goes_beyond_the_end_is_not_whole() -> None:
    count, tail = recovered(b"".join([*batch(1, 1), *batch(2, SIZES[2])[:2]]))
    assert (count, tail.row.sound) == (1, False)


def test_a_position_says_where_its_sector_is() -> None:
    assert place_of((3 << 32) + 5 * PAYLOAD_BYTES + 7) == ("segment-00000003", 5 * SECTOR)


def test_a_sector_that_was_taken_in_part_is_not_acknowledged() -> None:
    whole = batch(2, 1)[0]
    for taken in (1, 100, SECTOR - 64):
        part = whole[:taken] + FREE[taken:]
        count, tail = recovered(b"".join([*batch(1, 1), part, FREE]))
        assert (count, tail.row.sound, tail.bad) == (1, True, (SECTOR,))


def test_every_row_is_reached() -> None:
    seen: set[str] = set()
    for history in histories(most=1):
        for places in ((), *combinations(range(len(history.sectors)), 1)):
            seen.add(recovered(history.with_rot(places, ROT[0]))[1].row.what)
    sectors = [*batch(1, 1), FREE, *batch(3, 1), FREE]
    seen.add(recovered(b"".join(sectors))[1].row.what)
    seen.add(recovered(b"".join([*batch(1, 1), *batch(1, 1)]))[1].row.what)
    assert seen == {row.what for row in TABLE}


def test_a_segment_that_is_full_ends_with_its_last_batch() -> None:
    count, tail = recovered(b"".join(batch(1, SIZES[2])))
    assert (count, tail.row.what) == (1, "the log ends with its last batch")


def test_the_end_is_found_quickly_behind_many_free_sectors() -> None:
    _, tail = recovered(batch(1, 1)[0] + FREE * 10_000)
    assert tail.used == SECTOR
    image = b"".join([*batch(1, 1), FREE, batch(2, SIZES[1])[1]]) + FREE * 10_000
    _, tail = recovered(image)
    assert (tail.torn, tail.used) == (True, 3 * SECTOR)


HEADER = (
    "9688de815061786f7353656700010000000020000000000000000001000000000000000107636c7573746572"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000001610000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000a6669727374206c6966"
    "65"
)
"""The first sector of segment 1, of 8,192 bytes, whose first batch has serial 1."""

BATCH = "5ca4875700000000000000070000000000000005f80b52d46261746368"
"""A batch of the serial 7 in that segment: b"batch"."""

FREE_BEGINS = (
    "c0202ab3b79e16f5c163259c0a854d8aa788a6736273398ae97238ce3ee242822b85a9e7af1fee2146852f6b"
    "117fe5a05930cc108c865a73b19e264df2eb86a0"
)


def test_the_format_is_frozen() -> None:
    assert FORMAT_VERSION == 1
    header = bytes.fromhex(HEADER).ljust(SECTOR, b"\0")
    assert encode_header(OWNER, 1, 8192, 1) == header
    assert decode_header(Path("segment"), header, OWNER, 1, 8192) == 1
    sector = bytes.fromhex(BATCH).ljust(SECTOR, b"\0")
    assert encode_batch(b"batch", 7, SALT) == sector
    found: list[bytes] = []
    read_batches(sector, 0, 7, SALT, lambda at, payload: found.append(payload))
    assert found == [b"batch"]
    assert bytes.fromhex(FREE_BEGINS) * 8 == FREE
