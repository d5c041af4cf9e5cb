"""How batches of records lie in a segment, and what its end means after a crash. Bytes only.

The disk that we count on is that of `paxos.slots`: a sector of 512 bytes changes whole or not at
all, in any order until a sync returns, and rot yields neither its old nor its new content.

The format
    A segment is a file of a fixed size, a row of sectors. The first is its header: whose it is,
    its number, the serial of its first batch. All others are *free* at first: each holds the same
    bytes, `free_sector`. A batch fills the next free sectors, from a sector's beginning on. Each of
    them bears a checksum of its own, the serial of the batch, its place in it, and the batch's
    length and checksum. Serials rise by one from batch to batch, over all segments. All numbers are
    big-endian. Checksums are CRC-32: they are there against rot, not against malice, and cost a
    quarter of a microsecond a sector. Those of sectors begin with a salt that is different in each
    segment of each store, so a sector from elsewhere is a bad one.

The rule
    A batch is begun only when all before it are on stable storage. Each sector that it takes was
    free on stable storage. So at most one batch is unfinished, it is the last, and each of its
    sectors is the new one or free. Free sectors are not zeros, since zeros are what a drive or a
    file system gives for a sector that it has lost. A system call that takes less than all that
    it is given may leave a sector that begins as the new one and ends as the free one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

from paxos.slots import SECTOR_BYTES, Owner
from paxos.storage_errors import CorruptError, ForeignError

FORMAT_VERSION = 1

_MAGIC = b"PaxosSeg"
_CHECKSUM = struct.Struct(">I")  # CRC-32 of all that follows it in the sector
_HEADER = struct.Struct(">8sHxxIQQ65p65p65p")  # magic, version, size, number, serial; the owner
_SECTOR = struct.Struct(">IQIII")  # checksum; serial, place in the batch; bytes and CRC of it
_FIELDS = struct.Struct(">QIII")  # the same without the checksum

PAYLOAD_BYTES = SECTOR_BYTES - _SECTOR.size
"""How much of a batch a sector holds."""

_FREE_END_BYTES = 64
"""A sector that ends like a free one was never taken as a whole."""

Each: TypeAlias = Callable[[int, bytes], None]
"""Takes a whole batch: where it begins, in bytes from the segment's start, and its payload."""


def salt_of(owner: Owner, number: int) -> int:
    """Return what the checksums in this segment begin with."""
    names = "\0".join((owner.cluster, owner.node_id, owner.incarnation, str(number)))
    return crc32(names.encode())


def free_sector(owner: Owner, number: int) -> bytes:
    """Return what stands in each sector of this segment that no batch has taken.

    It is drawn from the owner's incarnation, which is random, so no command of a client holds it.
    """
    names = f"free: {owner.cluster}\0{owner.node_id}\0{owner.incarnation}\0{number}"
    return blake2b(names.encode(), digest_size=_FREE_END_BYTES).digest() * (
        SECTOR_BYTES // _FREE_END_BYTES
    )


def encode_header(owner: Owner, number: int, segment_bytes: int, serial: int) -> bytes:
    """Return a segment's first sector. `serial` is that of its first batch."""
    names = (owner.cluster.encode(), owner.node_id.encode(), owner.incarnation.encode())
    fields = _HEADER.pack(_MAGIC, FORMAT_VERSION, segment_bytes, number, serial, *names)
    body = fields.ljust(SECTOR_BYTES - _CHECKSUM.size, b"\0")
    return _CHECKSUM.pack(crc32(body)) + body


def decode_header(path: Path, sector: bytes, owner: Owner, number: int, segment_bytes: int) -> int:
    """Return the serial of the first batch.

    Raise ForeignError for a segment of another store or format, CorruptError for a damaged one.
    """
    body = sector[_CHECKSUM.size :]
    if len(sector) < SECTOR_BYTES or _CHECKSUM.pack(crc32(body)) != sector[: _CHECKSUM.size]:
        raise CorruptError(path, 0, "the header is not what was written")
    magic, version, _, _, serial, *_ = _HEADER.unpack_from(body)
    if magic != _MAGIC:
        raise ForeignError(path, "this is no segment of a log")
    if version != FORMAT_VERSION:
        raise ForeignError(path, f"this log has format {version}, and we read {FORMAT_VERSION}")
    if encode_header(owner, number, segment_bytes, serial) != sector:
        raise ForeignError(path, "this is another segment than the one of this name in this store")
    return int(serial)


def sectors_for(length: int) -> int:
    """Return how many sectors a batch of so many bytes takes: at least one."""
    return max(1, -(-length // PAYLOAD_BYTES))


def encode_batch(payload: bytes, serial: int, salt: int) -> bytes:
    """Return the sectors of a batch."""
    length, whole = len(payload), crc32(payload)
    sectors: list[bytes] = []
    for place in range(sectors_for(length)):
        piece = payload[place * PAYLOAD_BYTES : (place + 1) * PAYLOAD_BYTES]
        body = _FIELDS.pack(serial, place, length, whole) + piece.ljust(PAYLOAD_BYTES, b"\0")
        sectors += (_CHECKSUM.pack(crc32(body, salt)), body)
    return b"".join(sectors)


def read_batches(
    image: bytes, at: int, serial: int, salt: int, each: Each, *, until: int | None = None
) -> tuple[int, int]:
    """Hand over one whole batch after the other, from this place and serial on.

    `until` is the serial to stop before. Return the place and the serial of the first batch that
    is not whole, or not there.
    """
    last = len(image) - SECTOR_BYTES
    while at <= last and serial != until:
        checksum, found, place, length, _ = _SECTOR.unpack_from(image, at)
        if found != serial or place or checksum != crc32(image[at + 4 : at + SECTOR_BYTES], salt):
            break
        if length <= PAYLOAD_BYTES:  # most batches are small: the short way for them
            start = at + _SECTOR.size
            each(at, image[start : start + length])
            at += SECTOR_BYTES
        else:
            payload = _payload(image, at, serial, length, salt)
            if payload is None:
                break
            each(at, payload)
            at += sectors_for(length) * SECTOR_BYTES
        serial += 1
    return at, serial


def _payload(image: bytes, at: int, serial: int, length: int, salt: int) -> bytes | None:
    """Return what stands in a batch of several sectors, or None if it is not whole."""
    count = sectors_for(length)
    if at + count * SECTOR_BYTES > len(image):
        return None
    pieces: list[bytes] = []
    whole = _SECTOR.unpack_from(image, at)[4]
    for place in range(count):
        start = at + place * SECTOR_BYTES
        checksum, *fields = _SECTOR.unpack_from(image, start)
        is_good = checksum == crc32(image[start + 4 : start + SECTOR_BYTES], salt)
        if not is_good or fields != [serial, place, length, whole]:
            return None
        pieces.append(image[start + _SECTOR.size : start + SECTOR_BYTES])
    payload = b"".join(pieces)[:length]
    return payload if crc32(payload) == whole else None


def piece_of(sectors: bytes, salt: int, offset: int, length: int) -> tuple[bytes, int | None]:
    """Return a part of a batch's payload, and where the first bad sector begins, or None.

    `sectors` are those that hold it; `offset` is that of the part, in the payload of the first.
    """
    pieces: list[bytes] = []
    serial = _SECTOR.unpack_from(sectors)[1]
    for at in range(0, len(sectors), SECTOR_BYTES):
        checksum, found, *_ = _SECTOR.unpack_from(sectors, at)
        if found != serial or checksum != crc32(sectors[at + 4 : at + SECTOR_BYTES], salt):
            return b"", at
        pieces.append(sectors[at + _SECTOR.size : at + SECTOR_BYTES])
    return b"".join(pieces)[offset : offset + length], None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind the last whole batch. The next one would have serial n."""

    begun: bool
    """Good sectors of batch n are there."""

    unfinished: bool
    """One of the sectors of batch n is free, if n was ever begun: the first one, or one that its
    good sectors tell of. A batch that was acknowledged has none, and rot makes none."""

    bad: bool
    """Bad sectors are there: neither free nor good. Those that end like a free one count as free
    above, and as bad here."""

    later: bool
    """Good sectors of batches after n are there."""

    strange: bool
    """Good sectors are there that no batch left: an earlier serial, or another place."""


@dataclass(frozen=True, slots=True)
class Row:
    """One case of recovery. If it is sound, all batches before n are the answer."""

    what: str
    sound: bool
    when: Callable[[Evidence], bool]


# The question is always the same: was batch n acknowledged? If that can be ruled out, the log ends
# before it.
TABLE = (
    Row(
        "sectors contradict each other, and no crash explains it",
        sound=False,
        when=lambda tail: tail.strange,
    ),
    # Batch n + 1 was begun, so n was synced: "a good record after a gap proves rot".
    Row(
        "a batch is damaged, and a later one is there",
        sound=False,
        when=lambda tail: not tail.strange and tail.later,
    ),
    Row(
        "the log ends with its last batch",
        sound=True,
        when=lambda tail: not (tail.strange or tail.later or tail.begun or tail.bad),
    ),
    # No sector is bad, so one of n's is free, or n would be whole.
    Row(
        "a write was cut off before it was acknowledged",
        sound=True,
        when=lambda tail: not (tail.strange or tail.later or tail.bad) and tail.begun,
    ),
    Row(
        "damage, but only behind the last acknowledged batch",
        sound=True,
        when=lambda tail: not (tail.strange or tail.later) and tail.bad and tail.unfinished,
    ),
    # Whatever is bad may have been a sector of n, and then n had all of its sectors.
    Row(
        "rot where the newest batch may have been",
        sound=False,
        when=lambda tail: not (tail.strange or tail.later) and tail.bad and not tail.unfinished,
    ),
)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of the last segment: the row that holds, and what has to be mended."""

    row: Row
    torn: bool
    """A batch was cut off."""

    bad: tuple[int, ...]
    """Where the bad sectors begin, in bytes from the segment's start."""

    used: int
    """Behind this place all is free."""


def judge_tail(image: bytes, at: int, serial: int, salt: int, free: bytes) -> Tail:
    """Decide by the table what stands behind the last whole batch. `serial` is that of the next.

    `free` is what a free sector holds.
    """
    bad: list[int] = []
    claims: set[tuple[int, int]] = set()  # what good sectors say of the batch's length and checksum
    taken: set[int] = set()  # which places of the next batch are not free
    good: set[int] = set()
    later = strange = False
    used = at
    for start in range(at, _end_of_used(image, at, free), SECTOR_BYTES):
        sector = image[start : start + SECTOR_BYTES]
        if sector == free:
            continue
        used = start + SECTOR_BYTES
        place_here = (start - at) // SECTOR_BYTES
        checksum, found, place, length, whole = _SECTOR.unpack_from(sector)
        if checksum != crc32(sector[_CHECKSUM.size :], salt):
            bad.append(start)
            if not sector.endswith(free[-_FREE_END_BYTES:]):
                taken.add(place_here)
        elif found == serial and place == place_here:
            good.add(place)
            claims.add((length, whole))
        else:
            later |= found > serial
            strange |= found <= serial
    count = max((sectors_for(length) for length, _ in claims), default=1)
    missing = not taken.union(good).issuperset(range(count))
    strange |= len(claims) > 1 or max(good, default=0) >= count
    strange |= bool(claims) and at + count * SECTOR_BYTES > len(image)
    strange |= bool(good) and not missing and not bad  # all is there, and yet it is not whole
    evidence = Evidence(bool(good), missing, bool(bad), later, strange)
    row = next(row for row in TABLE if row.when(evidence))
    return Tail(row, row.sound and bool(good), tuple(bad), used)


def _end_of_used(image: bytes, at: int, free: bytes) -> int:
    """Return where the free sectors begin that reach to the end. Quick where all are free."""
    end = len(image)
    many = free * 4096
    while end - len(many) >= at and image[end - len(many) : end] == many:
        end -= len(many)
    while end > at and image[end - SECTOR_BYTES : end] == free:
        end -= SECTOR_BYTES
    return end
