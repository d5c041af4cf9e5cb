"""A small store of another design than `paxos.durable`: each save replaces the file.

It is right; the classes that derive from it in `broken_stores` are not. It raises errors of its
own, as anybody's store may.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from zlib import crc32

from paxos.disk import Disk

NAME, UNFINISHED = "state", "state.new"


class StoreFaultError(Exception):
    """The disk or a file is at fault."""


class StoreMisuseError(Exception):
    """The caller is."""


@contextmanager
def faults_named() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFaultError(str(error)) from error


class ReplacingStore:
    """A file with a checksum, a length and a state; a new one is written, and renamed over it."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self.disk = disk
        self.folder = folder
        self.state = b""
        self.is_closed = False
        self.is_broken = False
        self.opened = ExitStack()
        self.handle = self.hold(disk.open_folder(folder))

    def hold(self, handle: int) -> int:
        """Close it when the store is closed."""
        self.opened.callback(self.disk.close, handle)
        return handle

    @classmethod
    def create(cls, disk: Disk, folder: Path, initial: bytes) -> None:
        with faults_named():
            disk.make_folder(folder)
            cls.sync_parent(disk, folder)
            store = cls(disk, folder)
            with store.opened:
                store.lock()
                if store.exists():
                    raise StoreMisuseError("there is a store")
                store.write_first(initial)

    @classmethod
    def open(cls, disk: Disk, folder: Path) -> Self:
        with faults_named():
            store = cls(disk, folder)
            with ExitStack() as on_failure:
                on_failure.push(store.opened)
                store.lock()
                store.state = store.decoded(store.read())
                store.settle()
                on_failure.pop_all()
            return store

    def save(self, state: bytes) -> None:
        if self.is_closed:
            raise StoreMisuseError("it is closed")
        if self.is_broken:
            raise StoreFaultError("a save has failed")
        self.is_broken = True
        with faults_named():
            self.replace(state)
        self.is_broken = False
        self.state = state

    def close(self) -> None:
        self.is_closed = True
        with faults_named():
            self.opened.close()

    # The steps. A broken store breaks one of them.

    @classmethod
    def sync_parent(cls, disk: Disk, folder: Path) -> None:
        parent = disk.open_folder(folder.parent)
        try:
            disk.sync_folder(parent)
        finally:
            disk.close(parent)

    def lock(self) -> None:
        if not self.disk.lock(self.handle, shared=False):
            raise StoreFaultError("somebody has it open")

    def exists(self) -> bool:
        try:
            self.disk.close(self.disk.open_file(self.folder / NAME, writable=False))
        except FileNotFoundError:
            return False
        return True

    def write_first(self, state: bytes) -> None:
        self.replace(state)

    def settle(self) -> None:
        self.replace(self.state)

    def replace(self, state: bytes) -> None:
        self.write_file(UNFINISHED, self.encoded(state))
        self.disk.rename(self.folder / UNFINISHED, self.folder / NAME)
        self.sync_names()

    def sync_names(self) -> None:
        self.disk.sync_folder(self.handle)

    def write_file(self, name: str, data: bytes) -> None:
        file = self.disk.create_file(self.folder / name)
        try:
            self.write_all(file, data)
            self.sync(file)
        finally:
            self.disk.close(file)

    def write_all(self, file: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            at += self.disk.write_at(file, at, data[at:])

    def sync(self, file: int) -> None:
        self.disk.sync(file)

    def read(self) -> bytes:
        file = self.disk.open_file(self.folder / NAME, writable=False)
        try:
            return self.disk.read_at(file, 0, self.disk.size(file))
        finally:
            self.disk.close(file)

    def encoded(self, state: bytes) -> bytes:
        body = len(state).to_bytes(4, "big") + state
        return crc32(body).to_bytes(4, "big") + body

    def decoded(self, data: bytes) -> bytes:
        if len(data) < 8 or self.encoded(data[8:]) != data:
            raise StoreFaultError("damaged")
        return data[8:]
