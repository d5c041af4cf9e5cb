"""The limit: what three asyncio processes reach that do nothing but gather, sync and replicate.

No elections, no ballots, no recovery. The first process takes values from clients; while one batch
is being synced the next one gathers. A batch goes to both others and to the own disk at once, and
its clients are answered when two of three have it synced. Records bear a checksum, and every
process keeps the values in a dict, as a replica would.

Usage: python benchmarks/bare.py NUMBER FOLDER PORT PORT PORT, where NUMBER is 0, 1 or 2.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

KEY_BYTES = 16

_LENGTH = struct.Struct(">I")
_RECORD = struct.Struct(">IIQ")  # length, checksum, index
_INDEX = struct.Struct(">Q")
_DONE = _LENGTH.pack(1) + b"1"


class Framed(asyncio.Protocol):
    """A connection that carries frames: a length, and as many bytes."""

    def __init__(self) -> None:
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def frames(self, data: bytes) -> Iterator[bytes]:
        data = self.rest + data
        at, end = 0, len(data)
        while end - at >= _LENGTH.size:
            after = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
            if after > end:
                break
            yield data[at + _LENGTH.size : after]
            at = after
        self.rest = data[at:]


class Journal:
    """A file to append to, on a thread of its own; and the values that are in it."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        self.at = 0
        self.values: dict[bytes, bytes] = {}
        self.thread = ThreadPoolExecutor(1)

    async def append(self, batch: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(self.thread, self._write, batch)

    def apply(self, payload: bytes) -> None:
        self.values[payload[:KEY_BYTES]] = payload[KEY_BYTES:]

    def _write(self, batch: bytes) -> None:
        os.pwrite(self.file, batch, self.at)
        self.at += len(batch)
        os.fdatasync(self.file)


class Follower(Framed):
    """Takes batches from the leader: checks, applies and syncs them, and says how far it is."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.waiting: list[bytes] = []
        self.is_busy = False

    def data_received(self, data: bytes) -> None:
        self.waiting.extend(self.frames(data))
        if self.waiting and not self.is_busy:
            self.is_busy = True
            self.task = asyncio.ensure_future(self.work())

    async def work(self) -> None:
        while self.waiting:
            batches, self.waiting = self.waiting, []
            last = max(map(self.check, batches))
            await self.journal.append(b"".join(batches))
            self.transport.write(_INDEX.pack(last))
        self.is_busy = False

    def check(self, batch: bytes) -> int:
        at = index = 0
        while at < len(batch):
            length, checksum, index = _RECORD.unpack_from(batch, at)
            at += _RECORD.size
            payload = batch[at : at + length]
            if zlib.crc32(payload) != checksum:
                raise ValueError("a damaged record")
            self.journal.apply(payload)
            at += length
        return index


class Leader:
    """Gathers values, replicates them, and answers when two of three have them."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.links: list[Link] = []
        self.gathered: list[tuple[bytes, Client]] = []
        self.unanswered: deque[tuple[int, bytes, Client]] = deque()
        self.index = self.synced = 0
        self.is_syncing = self.is_called = False

    def propose(self, payload: bytes, client: Client) -> None:
        self.gathered.append((payload, client))
        if not self.is_called and not self.is_syncing:
            self.is_called = True
            asyncio.get_running_loop().call_soon(self.go)

    def go(self) -> None:
        self.is_called = False
        if self.gathered and not self.is_syncing:
            self.is_syncing = True
            self.task = asyncio.ensure_future(self.replicate())

    async def replicate(self) -> None:
        gathered, self.gathered = self.gathered, []
        pieces: list[bytes] = []
        for payload, client in gathered:
            self.index += 1
            pieces += (_RECORD.pack(len(payload), zlib.crc32(payload), self.index), payload)
            self.unanswered.append((self.index, payload, client))
        last, batch = self.index, b"".join(pieces)
        for link in self.links:
            link.transport.write(_LENGTH.pack(len(batch)) + batch)
        await self.journal.append(batch)
        self.synced, self.is_syncing = last, False
        self.answer()
        self.go()

    def answer(self) -> None:
        below = sorted([self.synced, *(link.synced for link in self.links)])[1]
        while self.unanswered and self.unanswered[0][0] <= below:
            _, payload, client = self.unanswered.popleft()
            self.journal.apply(payload)
            client.transport.write(_DONE)


class Link(asyncio.Protocol):
    """The leader's way to a follower."""

    def __init__(self, leader: Leader) -> None:
        self.leader = leader
        self.rest = b""
        self.synced = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        whole = len(data) // _INDEX.size * _INDEX.size
        self.rest = data[whole:]
        if whole:
            (self.synced,) = _INDEX.unpack_from(data, whole - _INDEX.size)
            self.leader.answer()


class Client(Framed):
    """A client's connection: each frame is a value."""

    def __init__(self, leader: Leader) -> None:
        super().__init__()
        self.leader = leader

    def data_received(self, data: bytes) -> None:
        for payload in self.frames(data):
            self.leader.propose(payload, self)


async def main(number: int, folder: Path, ports: list[int]) -> None:
    """Run one of the three processes, for ever."""
    loop = asyncio.get_running_loop()
    journal = Journal(folder / f"bare-{number}")
    if number:
        server = await loop.create_server(lambda: Follower(journal), "127.0.0.1", ports[number])
    else:
        leader = Leader(journal)
        for port in ports[1:]:
            _, link = await loop.create_connection(lambda: Link(leader), "127.0.0.1", port)
            leader.links.append(link)
        server = await loop.create_server(lambda: Client(leader), "127.0.0.1", ports[0])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
