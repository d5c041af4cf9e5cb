"""A snapshot as a file: a stream of bytes, written beside what is there, read from any place.

It is a header of one sector, and the stream in blocks of 64 KiB, each behind a checksum. A file
that is being written has a name of its own. It gets the name of a snapshot only when it is synced,
and counts only when a manifest names it (see `paxos.write_ahead_log`), with its size and the digest
of the stream. So a snapshot is there as a whole, or not at all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from paxos.disk import File, Folder
from paxos.errors import MisuseError
from paxos.slots import SECTOR_BYTES, Owner
from paxos.storage_errors import CorruptError, ForeignError, LostError, StorageError

FORMAT_VERSION = 1
BLOCK_BYTES = 64 << 10
DIGEST_BYTES = 32
PREFIX = "snapshot-"

_MAGIC = b"PaxosSnp"
_CHECKSUM = struct.Struct(">I")
_HEADER = struct.Struct(">8sHxxIQ65p65p65p")  # magic, version, block size, number; the owner
_STRIDE = BLOCK_BYTES + _CHECKSUM.size


class SnapshotID(NamedTuple):
    """Which snapshot it is, how many bytes its stream has, and their BLAKE2b digest."""

    number: int = 0
    """0 if there is none."""

    size: int = 0
    digest: bytes = bytes(DIGEST_BYTES)


NO_SNAPSHOT = SnapshotID()


def snapshot_name(number: int) -> str:
    """Return the name of a snapshot's file."""
    return f"{PREFIX}{number:08d}"


def digest_of_stream() -> blake2b:
    """Return a digest to be fed with a snapshot's stream."""
    return blake2b(digest_size=DIGEST_BYTES)


def _header(owner: Owner, number: int) -> bytes:
    names = (owner.cluster.encode(), owner.node_id.encode(), owner.incarnation.encode())
    fields = _HEADER.pack(_MAGIC, FORMAT_VERSION, BLOCK_BYTES, number, *names)
    body = fields.ljust(SECTOR_BYTES - _CHECKSUM.size, b"\0")
    return _CHECKSUM.pack(crc32(body)) + body


def _place(block: int) -> int:
    return SECTOR_BYTES + block * _STRIDE


def _salt(header: bytes, block: int) -> int:
    return crc32(block.to_bytes(8, "big"), crc32(header))


class SnapshotWriter:
    """A snapshot that is being written. It is nothing yet, and may be given up at any time."""

    def __init__(self, folder: Folder, owner: Owner, number: int) -> None:
        self.number = number
        self.size = 0
        """How many bytes of the stream it has."""

        self._folder = folder
        self._name = f"{snapshot_name(number)}.new"
        self._file: File | None = folder.create(self._name)
        self._header = _header(owner, number)
        self._digest = digest_of_stream()
        self._rest = bytearray()

    def add(self, data: bytes) -> None:
        """Add what comes next in the stream. Raise FullError if there is no room for it.

        After any StorageError only `abandon` is left.
        """
        file = self._require_open()
        self._digest.update(data)
        self.size += len(data)
        self._rest += data
        while len(self._rest) >= BLOCK_BYTES:
            block = (self.size - len(self._rest)) // BLOCK_BYTES
            self._write(file, block, bytes(self._rest[:BLOCK_BYTES]))
            del self._rest[:BLOCK_BYTES]

    def finish(self) -> SnapshotID:
        """Return when the whole file is on stable storage, under its name; say what it holds."""
        file = self._require_open()
        if self._rest:
            self._write(file, self.size // BLOCK_BYTES, bytes(self._rest))
        file.write(0, self._header)
        file.sync()
        file.close()
        self._folder.rename(self._name, snapshot_name(self.number))
        self._file = None
        self._folder.sync()
        return SnapshotID(self.number, self.size, self._digest.digest())

    def digest(self) -> bytes:
        """Return the digest of the stream as far as it goes."""
        return self._digest.digest()

    def abandon(self) -> None:
        """Remove what was written, as far as that goes. A second call does nothing."""
        if self._file is not None:
            with suppress(StorageError):  # what stays is removed by the next opening
                self._file.close()
                self._folder.remove(self._name)
            self._file = None

    def _write(self, file: File, block: int, data: bytes) -> None:
        checksum = _CHECKSUM.pack(crc32(data, _salt(self._header, block)))
        file.write(_place(block), checksum + data)

    def _require_open(self) -> File:
        if self._file is None:
            raise MisuseError("this snapshot is finished or given up: begin another")
        return self._file


class SnapshotReader:
    """A snapshot on the disk. It stays readable when a newer one takes its place, until closed."""

    def __init__(self, folder: Folder, owner: Owner, snapshot: SnapshotID) -> None:
        """Open it. Raise CorruptError if it is missing, or is not what the manifest says."""
        self.size = snapshot.size
        self.digest = snapshot.digest
        name = snapshot_name(snapshot.number)
        try:
            self._file = folder.open(name)
        except LostError as error:
            raise CorruptError(folder.path / name, 0, "this snapshot is missing") from error
        self._header = _header(owner, snapshot.number)
        blocks = -(-self.size // BLOCK_BYTES)
        end = SECTOR_BYTES + self.size + blocks * _CHECKSUM.size
        try:
            self._require(end)
        except StorageError:
            self._file.close()
            raise

    def read(self, offset: int, length: int) -> bytes:
        """Return this part of the stream; less if it ends before. Raise CorruptError for rot."""
        end = min(offset + length, self.size)
        if offset < 0 or offset >= end:
            return b""
        first, last = offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        data = b"".join(map(self._block, range(first, last + 1)))
        return data[offset - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def chunks(self, length: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Yield the stream in pieces of this many bytes. Raise CorruptError for rot, at its place.

        Whoever must not take a part of a bad snapshot calls `check` first.
        """
        for offset in range(0, self.size, length):
            yield self.read(offset, length)

    def check(self) -> None:
        """Read all of it. Raise CorruptError unless it is whole."""
        digest = digest_of_stream()
        for chunk in self.chunks():
            digest.update(chunk)
        if digest.digest() != self.digest:
            raise CorruptError(self._file.path, 0, "the digest of the snapshot is another")

    def close(self) -> None:
        """Give the file back. A second call does nothing."""
        self._file.close()

    def _require(self, end: int) -> None:
        size = self._file.size
        if size != end:
            what = f"the snapshot should end at byte {end}"
            raise CorruptError(self._file.path, min(size, end), what)
        header = self._file.read_at(0, SECTOR_BYTES)
        if header != self._header:
            if _CHECKSUM.pack(crc32(header[_CHECKSUM.size :])) == header[: _CHECKSUM.size]:
                raise ForeignError(self._file.path, "this is another snapshot than it should be")
            raise CorruptError(self._file.path, 0, "the header is not what was written")

    def _block(self, block: int) -> bytes:
        wanted = min(BLOCK_BYTES, self.size - block * BLOCK_BYTES)
        data = self._file.read_at(_place(block), _CHECKSUM.size + wanted)
        body = data[_CHECKSUM.size :]
        if _CHECKSUM.pack(crc32(body, _salt(self._header, block))) != data[: _CHECKSUM.size]:
            raise CorruptError(self._file.path, _place(block), "a block of the snapshot has rotted")
        return body
