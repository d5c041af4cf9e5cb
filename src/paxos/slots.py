"""How a state lies in a file, and what the file says after a crash. Only bytes in, values out.

The disk that we count on
    A sector of 512 bytes changes whole or not at all, in any order, until a sync returns. A *kill*
    of the process reads back what was not synced; after a *power cut* any subset of the unsynced
    sectors survives. *Rot* turns a sector into neither its old nor its new content. Rot that
    restores old content (a lost write, or a copy put back from a backup) is outside this model:
    nothing here can notice it.

The format
    A header block of 4,096 bytes, written once, tells whose store it is. Two slots follow, in
    blocks of their own. A slot is a row of sectors, and each sector bears its own checksum and the
    serial of the write that it came with. So a bad sector is rot, and good sectors of different
    serials are a torn write. The two must not be confused: a torn write was never acknowledged,
    and what rots may have been. All numbers are big-endian.

The rule
    A write fills the whole of a slot, under a serial of its own. No serial ever stands for two
    contents: else sectors of two attempts could pass for one write.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from paxos.errors import MisuseError
from paxos.storage_errors import CorruptError, ForeignError

FORMAT_VERSION = 1
SECTOR_BYTES = 512
BLOCK_BYTES = 4096
MAX_SLOT_BYTES = 1 << 20
"""A save writes a whole slot. For more than 1 MiB, a log is the better form of memory."""

MAX_NAME_BYTES = 64
MAX_SERIAL = 1 << 63
"""A sector with a greater serial is damage."""

MAX_SERIAL_FOUND = 1 << 62
"""Not reached in a million years of saving: a store that is found with a greater one is damaged.
From here on an open store has another million years until `MAX_SERIAL`."""

_MAGIC = b"PaxosMem"
_CHECKSUM = struct.Struct(">I")  # CRC-32 of all that follows it in the block or sector
_HEADER = struct.Struct(">8sHxxI65p65p65p")  # magic, version, slot size; cluster, node, incarnation
_SECTOR = struct.Struct(">HBBIIQ")  # version, slot, saved?, sector, bytes of the state, serial
_PAYLOAD_BYTES = SECTOR_BYTES - _CHECKSUM.size - _SECTOR.size


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose store it is. Each of the three is 1 to 64 bytes of UTF-8; else MisuseError.

    The incarnation is drawn at random by the caller of `init`: it tells a wiped node that was
    initialised again from the node that it was.
    """

    cluster: str
    node_id: str
    incarnation: str

    def __post_init__(self) -> None:
        for name in (self.cluster, self.node_id, self.incarnation):
            try:
                size = len(name.encode())
            except UnicodeEncodeError:
                size = 0
            if not 1 <= size <= MAX_NAME_BYTES:
                raise MisuseError(f"a name has 1 to {MAX_NAME_BYTES} bytes of UTF-8: not {name!r}")


def _summed(body: bytes) -> bytes:
    return _CHECKSUM.pack(crc32(body)) + body


def _is_good(summed: bytes) -> bool:
    return _summed(summed[_CHECKSUM.size :]) == summed


def encode_header(owner: Owner, slot_bytes: int) -> bytes:
    """Return the header block. Magic, version and checksum stay where they are in all formats."""
    if slot_bytes % BLOCK_BYTES or not BLOCK_BYTES <= slot_bytes <= MAX_SLOT_BYTES:
        raise MisuseError(
            f"a slot has a multiple of {BLOCK_BYTES} bytes, at most {MAX_SLOT_BYTES}:"
            f" not {slot_bytes}"
        )
    names = (owner.cluster, owner.node_id, owner.incarnation)
    fields = _HEADER.pack(_MAGIC, FORMAT_VERSION, slot_bytes, *(name.encode() for name in names))
    return _summed(fields.ljust(BLOCK_BYTES - _CHECKSUM.size, b"\0"))


def decode_header(path: Path, file: bytes) -> tuple[Owner, int]:
    """Return whose store it is, and how many bytes a slot has."""
    block = file[:BLOCK_BYTES]
    if len(block) < BLOCK_BYTES or not _is_good(block):
        # Ours nevertheless, if it begins like ours, or has a good sector where ours begin.
        first_sector = file[BLOCK_BYTES : BLOCK_BYTES + SECTOR_BYTES]
        if _MAGIC.startswith(block[_CHECKSUM.size :][: len(_MAGIC)]) or _is_good(first_sector):
            raise CorruptError(path, 0, "the header is not what init wrote")
        raise ForeignError(path, "this is no store, or nothing of it is left")
    magic, version, slot_bytes, *names = _HEADER.unpack_from(block, _CHECKSUM.size)
    if magic != _MAGIC:
        raise ForeignError(path, "this is no store")
    if version != FORMAT_VERSION:
        raise ForeignError(path, f"this store has format {version}, and we read {FORMAT_VERSION}")
    try:
        owner = Owner(*(name.decode() for name in names))
        if encode_header(owner, slot_bytes) == block:
            return owner, slot_bytes
    except (UnicodeDecodeError, MisuseError):
        pass
    raise CorruptError(path, 0, "the header is none that init writes")


def capacity(slot_bytes: int) -> int:
    """Return how many bytes of state a slot of this size holds."""
    return slot_bytes // SECTOR_BYTES * _PAYLOAD_BYTES


def encode_slot(slot: int, slot_bytes: int, serial: int, state: bytes, *, saved: bool) -> bytes:
    """Return a slot's bytes. `saved` is False for the state that `init` was given."""
    if len(state) > capacity(slot_bytes):
        raise MisuseError(
            f"the state has {len(state)} bytes, and a slot of {slot_bytes} bytes holds"
            f" {capacity(slot_bytes)}: save less, or init a store with larger slots"
        )
    sectors: list[bytes] = []
    for number in range(slot_bytes // SECTOR_BYTES):
        payload = state[number * _PAYLOAD_BYTES : (number + 1) * _PAYLOAD_BYTES]
        fields = _SECTOR.pack(FORMAT_VERSION, slot, saved, number, len(state), serial)
        sectors.append(_summed(fields + payload.ljust(_PAYLOAD_BYTES, b"\0")))
    return b"".join(sectors)


def decode_slot(image: bytes) -> tuple[bytes, bool]:
    """Return the state in a whole slot, and whether it was ever saved."""
    ends = range(SECTOR_BYTES, len(image) + 1, SECTOR_BYTES)
    payload = b"".join(image[end - _PAYLOAD_BYTES : end] for end in ends)
    _, _, saved, _, length, _ = _SECTOR.unpack_from(image, _CHECKSUM.size)
    return payload[:length], bool(saved)


@dataclass(frozen=True, slots=True)
class SlotReading:
    """What the sectors of one slot say."""

    serials: frozenset[int]
    """Of the good ones."""

    bad: tuple[int, ...]
    """Where the others begin, in bytes from the start of the file."""

    @property
    def is_whole(self) -> bool:
        """All of one write is there."""
        return not self.bad and len(self.serials) == 1


def read_slot(image: bytes, slot: int) -> SlotReading:
    """Read a slot. A good checksum on a misplaced or impossible sector is damage, too."""
    seen: dict[int, tuple[int, int]] = {}  # serial -> what all its sectors must agree about
    bad: list[int] = []
    for number, at in enumerate(range(0, len(image), SECTOR_BYTES)):
        sector = image[at : at + SECTOR_BYTES]
        fields = _SECTOR.unpack_from(sector, _CHECKSUM.size)
        version, in_slot, saved, in_row, length, serial = fields
        if not (
            _is_good(sector)
            and (version, in_slot, in_row) == (FORMAT_VERSION, slot, number)
            and (saved <= 1 and length <= capacity(len(image)) and 1 <= serial <= MAX_SERIAL)
            and seen.setdefault(serial, (saved, length)) == (saved, length)
        ):
            bad.append(BLOCK_BYTES + slot * len(image) + at)
    return SlotReading(frozenset(seen), tuple(bad))


@dataclass(frozen=True, slots=True)
class Evidence:
    """The other slot, seen from the newest whole one, whose serial is s."""

    same: bool
    """Serial s stands here, too."""

    stale: int
    """How many different serials below s stand here."""

    later: int
    """How many different serials above s stand here."""

    rot: bool
    """Bad sectors are here."""

    @property
    def explained(self) -> bool:
        """Whether saves, crashes and rot can leave this: see the last row of the table."""
        return not self.same and self.stale <= 1


@dataclass(frozen=True, slots=True)
class Row:
    """One case of recovery. If it is sound, the newest whole slot is the answer."""

    what: str
    sound: bool
    when: Callable[[Evidence], bool]


# Let X be the newest whole slot, s its serial, and Y the other slot. A write to a slot begins only
# when the other is whole on stable storage, and takes a serial above all in the file. Once it
# completes, it has left no sector of an earlier write. So the question is always the same: was the
# last write to Y acknowledged, and later than s? If that can be ruled out, X is the answer.
NOTHING_WHOLE = Row("neither slot is whole", sound=False, when=lambda y: False)
TABLE = (
    # It was earlier than s.
    Row(
        "both slots are whole",
        sound=True,
        when=lambda y: y.explained and (y.stale, y.later, y.rot) == (1, 0, False),
    ),
    # It was cut off: sectors of an earlier write are still there, or Y would be whole, and newest.
    Row(
        "a write was cut off before it was acknowledged",
        sound=True,
        when=lambda y: y.explained and y.later >= 1 and not y.rot,
    ),
    # It was earlier than s or cut off, as above: whatever the bad sectors held, the good ones
    # prove it.
    Row(
        "rot, but only beside the newest state",
        sound=True,
        when=lambda y: y.explained and (y.stale == 1 or y.later >= 2) and y.rot,
    ),
    # It may have been acknowledged, and have rotted since: nothing good in Y speaks against it.
    Row(
        "rot where the newest state may have been",
        sound=False,
        when=lambda y: y.explained and y.stale == 0 and y.later <= 1 and y.rot,
    ),
    # No crash and no rot leaves this: when s was written, Y held one serial, and that was below s;
    # each later one is above. So something happened that we do not know.
    Row(
        "the slots contradict each other, and no crash explains it",
        sound=False,
        when=lambda y: not y.explained,
    ),
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """The row that holds, and the newest whole slot: 0 or 1, or None if neither is whole."""

    row: Row
    newest: int | None
    torn: bool
    """A later write than the newest whole one was cut off."""


def recover(first: SlotReading, second: SlotReading) -> Recovery:
    """Decide by the table what the two slots mean."""
    readings = (first, second)
    whole = [slot for slot in (0, 1) if readings[slot].is_whole]
    if not whole:
        return Recovery(NOTHING_WHOLE, None, torn=False)
    newest = max(whole, key=lambda slot: max(readings[slot].serials))
    (serial,) = readings[newest].serials
    other = readings[1 - newest]
    evidence = Evidence(
        same=serial in other.serials,
        stale=sum(each < serial for each in other.serials),
        later=sum(each > serial for each in other.serials),
        rot=bool(other.bad),
    )
    row = next(row for row in TABLE if row.when(evidence))
    return Recovery(row, newest, torn=row.sound and evidence.later > 0)
