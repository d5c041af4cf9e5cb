"""The segments of a log as files in a folder: which there are, what is in them, and new ones.

`paxos.segments` says what their bytes mean, and `paxos.write_ahead_log` what is done when.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

from paxos.disk import File, Folder
from paxos.segments import (
    PAYLOAD_BYTES,
    decode_header,
    free_sector,
    judge_tail,
    read_batches,
    salt_of,
)
from paxos.slots import SECTOR_BYTES, Owner
from paxos.snapshot_files import NO_SNAPSHOT, SnapshotID
from paxos.storage_errors import CorruptError, ForeignError, FullError, LostError, StorageError

FORMAT_VERSION = 1

MAX_BATCH_BYTES = 8 << 20
"""Of a batch's sectors. `open` wipes as much behind the last batch, for that may be unfinished."""

UNFINISHED = "segment.new"
PREFIX = "segment-"

_PIECE_BYTES = 1 << 20
_MAGIC = b"PaxosLog"
_MANIFEST = struct.Struct(">8sHxxIQQQQ32s")  # magic, version; segments, snapshot: see `Manifest`

Replay: TypeAlias = Callable[[int, bytes], None]
"""Takes each batch, in order: its position, and what was appended."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to a log: the segments from `first` to `last`, and one snapshot or none.

    Numbers begin with 1; 0 is none.
    """

    segment_bytes: int
    first: int = 1
    last: int = 0
    snapshot: SnapshotID = NO_SNAPSHOT
    label: bytes = b""

    def encode(self) -> bytes:
        """Return it as the state of a store."""
        segments = (self.segment_bytes, self.first, self.last)
        return _MANIFEST.pack(_MAGIC, FORMAT_VERSION, *segments, *self.snapshot) + self.label

    @classmethod
    def decode(cls, path: Path, data: bytes) -> Self:
        """Raise ForeignError if these bytes are another kind of state."""
        if len(data) < _MANIFEST.size or not data.startswith(_MAGIC):
            raise ForeignError(path, "this is a store, but not that of a log")
        _, version, segment_bytes, first, last, *snapshot = _MANIFEST.unpack_from(data)
        if version != FORMAT_VERSION:
            raise ForeignError(path, f"this log has format {version}, and we read {FORMAT_VERSION}")
        label = data[_MANIFEST.size :]
        return cls(segment_bytes, first, last, SnapshotID(*snapshot), label)


@dataclass(frozen=True, slots=True)
class Content:
    """What stands in the segments of a log that is sound."""

    what: str
    serial: int
    """That of the next batch."""

    batches: int
    torn: bool = False
    bad: tuple[int, ...] = ()

    end: int = 0
    """Where the last batch ends in the last segment, in bytes."""

    settle_at: int = 0
    settle: bytes = b""
    """What opening writes anew, and where: the last batch, and the free sectors behind it."""

    seen: bytes = b""
    """What stood there."""


NOTHING_READ = Content("a log without a batch", 1, 0)


def segment_name(number: int) -> str:
    """Return the name of a segment's file."""
    return f"{PREFIX}{number:08d}"


def position_of(number: int, at: int) -> int:
    """Where a batch's payload begins: the segment, and there, in bytes, as if all were payload."""
    return number << 32 | at // SECTOR_BYTES * PAYLOAD_BYTES


def place_of(position: int) -> tuple[str, int]:
    """Return the file in which a position is, and where in it the sector begins."""
    return segment_name(position >> 32), (position & 0xFFFF_FFFF) // PAYLOAD_BYTES * SECTOR_BYTES


def most_bytes(segment_bytes: int) -> int:
    """How many bytes the sectors of a batch may take."""
    return min(MAX_BATCH_BYTES, segment_bytes - SECTOR_BYTES)


def open_segment(
    folder: Folder, number: int, segment_bytes: int, *, writable: bool = False
) -> File:
    """Open a segment that must be there."""
    try:
        file = folder.open(segment_name(number), writable=writable)
    except LostError as error:
        what = "this segment of the log is missing"
        raise CorruptError(folder.path / segment_name(number), 0, what) from error
    if file.size != segment_bytes:
        at = min(file.size, segment_bytes)
        raise CorruptError(file.path, at, f"the segment should end at byte {segment_bytes}")
    return file


def read_segments(folder: Folder, owner: Owner, manifest: Manifest, replay: Replay) -> Content:
    """Read all segments. Raise CorruptError if what was acknowledged may be lost."""
    size, content = manifest.segment_bytes, NOTHING_READ
    begins: list[int] = []
    for number in range(manifest.first, manifest.last + 1):
        file = open_segment(folder, number, size)
        header = file.read_at(0, SECTOR_BYTES)
        begins.append(decode_header(file.path, header, owner, number, size))
        file.close()
    for index, serial in enumerate(begins):
        file = open_segment(folder, manifest.first + index, size)
        until = begins[index + 1] if index + 1 < len(begins) else None
        content = _read_segment(file, owner, manifest.first + index, serial, until, replay)
        file.close()
    return replace(content, batches=content.serial - begins[0]) if begins else content


def _read_segment(
    file: File, owner: Owner, number: int, first: int, until: int | None, replay: Replay
) -> Content:
    """Read one segment. `until` is the serial with which the next one begins, if there is one."""
    image = file.read_at(0, file.size)
    salt, free = salt_of(owner, number), free_sector(owner, number)
    newest = [SECTOR_BYTES]

    def each(at: int, payload: bytes) -> None:
        newest[0] = at
        replay(position_of(number, at), payload)

    at, serial = read_batches(image, SECTOR_BYTES, first, salt, each, until=until)
    if until is not None or serial == first:
        if serial != until:
            raise CorruptError(file.path, at, "a batch is damaged that was acknowledged")
        return Content("more segments follow", serial, 0)
    tail = judge_tail(image, at, serial, salt, free)
    if not tail.row.sound:
        raise CorruptError(file.path, min(tail.bad, default=at), tail.row.what)
    wiped = min(max(tail.used, at + most_bytes(len(image))), len(image))
    settle = image[newest[0] : at] + free * ((wiped - at) // SECTOR_BYTES)
    seen = image[newest[0] : wiped]
    return Content(tail.row.what, serial, 0, tail.torn, tail.bad, at, newest[0], settle, seen)


def make_spare(folder: Folder, owner: Owner, number: int, segment_bytes: int) -> File:
    """Make the segment of this number, all free. It gets its name when that is on the disk."""
    if UNFINISHED in folder.names():
        folder.remove(UNFINISHED)  # never overwritten: after a crash it may be a segment, too
    file, free = folder.create(UNFINISHED), free_sector(owner, number)
    try:
        for at in range(0, segment_bytes, _PIECE_BYTES):
            piece = min(_PIECE_BYTES, segment_bytes - at)
            file.write(at, free * (piece // SECTOR_BYTES))
        file.sync()  # here a file system that allocates late finds that it is full
    except FullError:
        with suppress(StorageError):  # what it took is given back, if that goes
            file.close()
            folder.remove(UNFINISHED)
        raise
    file.close()
    folder.rename(UNFINISHED, segment_name(number))
    folder.sync()
    return folder.open(segment_name(number), writable=True)


def find_spare(folder: Folder, owner: Owner, number: int, segment_bytes: int) -> File:
    """Return the spare that is there, if it is whole and free; else make one."""
    if segment_name(number) in folder.names():
        file = folder.open(segment_name(number), writable=True)
        whole = free_sector(owner, number) * (segment_bytes // SECTOR_BYTES)
        if file.size == segment_bytes and file.read_at(0, segment_bytes) == whole:
            # Its name is written anew, too: the sync of the folder may have failed at that time.
            folder.rename(segment_name(number), UNFINISHED)
            folder.rename(UNFINISHED, segment_name(number))
            folder.sync()
            return file
        file.close()
        folder.remove(segment_name(number))
    return make_spare(folder, owner, number, segment_bytes)
