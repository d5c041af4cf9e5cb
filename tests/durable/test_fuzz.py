"""Whatever stands in the file of a store, nothing but a fault of the file comes out."""

from __future__ import annotations

from zlib import crc32

from hypothesis import example, given
from hypothesis import strategies as st

from durable.stores import (
    BLOCK_BYTES,
    FILE_BYTES,
    FOLDER,
    SECTOR_BYTES,
    STATE,
    content,
    store_with,
)
from paxos import durable
from paxos.durable import Answer
from paxos.errors import FaultError
from paxos.sim.simulated_disk import SimulatedDisk

STORE = store_with(b"first", b"second")
GOOD = content(STORE)


def open_or_fault(data: bytes) -> None:
    """Open a store whose file has these bytes: it opens for good, or a fault says why not."""
    disk = SimulatedDisk(STORE.with_content(STATE, data))
    report = durable.inspect(FOLDER, disk=disk)
    try:
        store = durable.open(FOLDER, disk=disk)
    except FaultError:
        assert report.answer in {Answer.CORRUPT, Answer.FOREIGN}
        return
    assert report.answer in {Answer.FRESH, Answer.SOUND}
    assert store.state == report.state
    store.save(b"third")
    store.close()
    assert durable.inspect(FOLDER, disk=disk).state == b"third"


def summed(body: bytes) -> bytes:
    return crc32(body).to_bytes(4, "big") + body


@given(st.binary(max_size=2 * SECTOR_BYTES))
def test_any_bytes(data: bytes) -> None:
    open_or_fault(data)


@given(st.integers(0, FILE_BYTES), st.binary(max_size=2 * BLOCK_BYTES))
def test_any_bytes_within_a_store(offset: int, data: bytes) -> None:
    open_or_fault(GOOD[:offset] + data + GOOD[offset + len(data) :])


@given(st.binary(max_size=BLOCK_BYTES - 4))
def test_any_header_with_a_good_checksum(header: bytes) -> None:
    body = header + GOOD[4 + len(header) : BLOCK_BYTES]
    open_or_fault(summed(body) + GOOD[BLOCK_BYTES:])


@given(
    st.dictionaries(
        keys=st.integers(8, 23),  # the sectors of both slots
        values=st.tuples(
            st.sampled_from([0, 1, 2, 0xFFFF]),
            st.integers(0, 2),
            st.integers(0, 2),
            st.sampled_from([*range(8), 0xFFFFFFFF]),
            st.sampled_from([0, 5, 6, 3904, 3905, 0xFFFFFFFF]),
            st.sampled_from([0, 1, 2, 3, 4, 5, 1 << 63, (1 << 64) - 1]),
        ),
    )
)
@example({8: (0, 0, 0, 0, 0, 0), 11: (1, 0, 0, 3, 0, 1 << 63)})  # once: saved, and not whole
def test_any_sectors_with_good_checksums(
    changed: dict[int, tuple[int, int, int, int, int, int]],
) -> None:
    sectors = [GOOD[at : at + SECTOR_BYTES] for at in range(0, FILE_BYTES, SECTOR_BYTES)]
    for number, fields in changed.items():
        sizes = (2, 1, 1, 4, 4, 8)
        head = b"".join(
            value.to_bytes(size, "big") for value, size in zip(fields, sizes, strict=True)
        )
        sectors[number] = summed(head + sectors[number][4 + len(head) :])
    open_or_fault(b"".join(sectors))


@given(st.permutations(range(24)))
def test_any_order_of_the_sectors(order: list[int]) -> None:
    open_or_fault(b"".join(GOOD[n * SECTOR_BYTES : (n + 1) * SECTOR_BYTES] for n in order))
