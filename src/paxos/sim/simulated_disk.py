"""A disk in memory that does to the process on it whatever a disk may do.

    disk = SimulatedDisk()
    with disk.recorded() as record:
        store.save(b"new")
    for state in crash_states(record.moments):
        ...  # SimulatedDisk(state) is the disk that the next process finds

It answers as the real one does, and `paxos.sim.disk_state` says what a crash leaves of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeAlias

from paxos.errors import MisuseError
from paxos.sim.disk_state import FOLDER, SECTOR_BYTES, DiskState, File, Survivor, settled

CallFault: TypeAlias = Callable[[str], int | None]
"""Is asked before each call of a disk, given the method's name; returns an errno, or None."""


def nth_call_fails(nth: int, error: int) -> CallFault:
    """Return the fault that hits one call, and no other. They are counted from 0."""
    calls = count()
    return lambda method: error if next(calls) == nth else None


class Call(NamedTuple):
    """One call of a disk."""

    method: str
    path: Path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Record:
    """What was asked of a disk, and how it changed."""

    moments: list[DiskState]
    """Each state from before the first call to after the last one, also amid a write."""

    calls: list[Call] = field(default_factory=list[Call])
    """In order. One that failed is here, too."""

    after: list[int] = field(default_factory=lambda: [0])
    """For each moment, how many calls had begun. A write that the moment is amid counts."""

    @property
    def methods(self) -> list[str]:
        """The names of the methods that were called, in order."""
        return [call.method for call in self.calls]


class _Handle(NamedTuple):
    path: Path
    target: int
    writable: bool

    def is_of_the_same(self, other: _Handle) -> bool:
        """Whether both are open on one file or folder."""
        return self.target == other.target and (self.target != FOLDER or self.path == other.path)


class SimulatedDisk:
    """A disk for `paxos.durable` in memory. It lives on when the process on it ends.

    What a disk does to the process on it is set from outside: `fault`, `taken_by_a_write`, `kill`,
    `power_cut`, `rot`; `state` may be read and replaced at any time.
    """

    def __init__(self, state: DiskState | None = None) -> None:
        self.state = DiskState() if state is None else state

        self.fault: CallFault | None = None
        """None if the disk is well."""

        self.taken_by_a_write: int | None = None
        """How many bytes a write takes at most; None if all."""

        self.taken_by_a_failing_write = 0
        """How many bytes a write takes before it fails with the errno of `fault`."""

        self.given_by_a_read: int | None = None
        """How many bytes a read gives at most; None if all."""

        self.newest: tuple[int, tuple[int, ...]] | None = None
        """What the last sync of a file brought to the disk: the file's number, and its sectors."""

        self._record: Record | None = None
        self._handles: dict[int, _Handle] = {}
        self._locks: dict[int, bool] = {}
        self._next_handle = 0

    @contextmanager
    def recorded(self) -> Generator[Record, None, None]:
        """Keep what is asked of the disk meanwhile, and each state that it goes through."""
        if self._record is not None:
            raise MisuseError("this disk is being recorded: end that record first")
        self._record = record = Record([self.state])
        try:
            yield record
        finally:
            self._record = None

    def moments_of(self, action: Callable[[], object]) -> list[DiskState]:
        """Return each state from before the action to after it."""
        with self.recorded() as record:
            action()
        return record.moments

    @property
    def open_handles(self) -> int:
        """How many files and folders are open."""
        return len(self._handles)

    def kill(self) -> None:
        """End the process: its handles and locks are gone, and the cache is read by the next."""
        self._handles.clear()
        self._locks.clear()

    def power_cut(self, survivor: Survivor) -> None:
        """End the process, and with it the cache: of what was unsynced, this survives."""
        self.kill()
        self.state = self.state.power_cut(survivor)

    def rot(self, nth: int = 0) -> None:
        """Damage a sector of what the last sync brought to the disk: the nth of them, modulo."""
        if self.newest is None:
            raise MisuseError("nothing was ever synced on this disk: save something first")
        number, brought = self.newest
        file = self.state.files[number] if number < len(self.state.files) else File()
        sectors = [sector for sector in brought if sector < len(file.sectors)]
        if not sectors:
            raise MisuseError("a crash took what was synced last: save something first")
        sector = sectors[nth % len(sectors)]
        cell = file.sectors[sector]
        content = next(
            content
            for bits in range(255, 0, -1)
            if (content := bytes([cell.cached[0] ^ bits]) + cell.cached[1:]) not in cell.on_disk
        )
        sectors_after = (*file.sectors[:sector], settled(content), *file.sectors[sector + 1 :])
        self._become(self.state.with_file(number, File(sectors_after, file.size)))

    def make_folder(self, path: Path) -> None:
        """See `paxos.disk.Disk`."""
        self._call("make_folder", path)
        self._require_folder(path.parent)
        target = self.state.lookup(path)
        if target is None:
            self._become(self.state.point(path, FOLDER))
        elif target != FOLDER:
            raise _os_error(errno.EEXIST)

    def open_folder(self, path: Path) -> int:
        """See `paxos.disk.Disk`."""
        self._call("open_folder", path)
        self._require_folder(path)
        return self._hold(_Handle(path, FOLDER, writable=False))

    def lock(self, folder: int, *, shared: bool) -> bool:
        """See `paxos.disk.Disk`."""
        handle = self._held(folder)
        self._call("lock", handle.path)
        self._locks.pop(folder, None)  # flock(2): to try for another kind of lock gives up the old
        for holder, is_shared in self._locks.items():
            if self._held(holder).is_of_the_same(handle) and not (shared and is_shared):
                return False
        self._locks[folder] = shared
        return True

    def sync_folder(self, folder: int) -> None:
        """See `paxos.disk.Disk`."""
        self._sync("sync_folder", self._held(folder))

    def create_file(self, path: Path) -> int:
        """See `paxos.disk.Disk`."""
        self._call("create_file", path)
        self._require_folder(path.parent)
        target = self.state.lookup(path)
        if target == FOLDER:
            raise _os_error(errno.EISDIR)
        if target is None:
            target = len(self.state.files)
            self._become(self.state.with_file(target, File()).point(path, target))
        else:
            self._become(self.state.with_file(target, self.state.files[target].truncate()))
        return self._hold(_Handle(path, target, writable=True))

    def open_file(self, path: Path, *, writable: bool) -> int:
        """See `paxos.disk.Disk`."""
        self._call("open_file", path)
        self._require_folder(path.parent)
        target = self._require(path)
        if target == FOLDER and writable:
            raise _os_error(errno.EISDIR)
        return self._hold(_Handle(path, target, writable))

    def size(self, file: int) -> int:
        """See `paxos.disk.Disk`."""
        handle = self._held(file)
        self._call("size", handle.path)
        return self._file(handle).size.cached

    def read_at(self, file: int, offset: int, length: int) -> bytes:
        """See `paxos.disk.Disk`."""
        handle = self._held(file)
        self._call("read_at", handle.path)
        return self._file(handle).content[offset : offset + length][: self.given_by_a_read]

    def write_at(self, file: int, offset: int, data: bytes) -> int:
        """See `paxos.disk.Disk`."""
        handle = self._held(file)
        try:
            self._call("write_at", handle.path)
        except OSError:
            self._write(handle, offset, data[: self.taken_by_a_failing_write])
            raise
        if not handle.writable:
            raise _os_error(errno.EBADF)
        data = data[: self.taken_by_a_write]
        self._write(handle, offset, data)
        return len(data)

    def sync(self, file: int) -> None:
        """See `paxos.disk.Disk`."""
        self._sync("sync", self._held(file))

    def rename(self, old: Path, new: Path) -> None:
        """See `paxos.disk.Disk`."""
        self._call("rename", old)
        target = self._require(old)
        if target == FOLDER or old.parent != new.parent:
            raise MisuseError(f"a disk renames a file within its folder: not {old} to {new}")
        if self.state.lookup(new) == FOLDER:
            raise _os_error(errno.EISDIR)
        if old != new:
            self._become(self.state.point(new, target).point(old, None))

    def remove_file(self, path: Path) -> None:
        """See `paxos.disk.Disk`."""
        self._call("remove_file", path)
        if self._require(path) == FOLDER:
            raise _os_error(errno.EISDIR)
        self._become(self.state.point(path, None))

    def names(self, path: Path) -> tuple[str, ...]:
        """See `paxos.disk.Disk`."""
        self._call("names", path)
        self._require_folder(path)
        return self.state.names_in(path)

    def close(self, handle: int) -> None:
        """See `paxos.disk.Disk`."""
        path = self._held(handle).path
        del self._handles[handle]
        self._locks.pop(handle, None)
        self._call("close", path)

    def _call(self, method: str, path: Path) -> None:
        if self._record is not None:
            self._record.calls.append(Call(method, path))
        if self.fault is not None:
            error = self.fault(method)
            if error is not None:
                raise _os_error(error)

    def _become(self, state: DiskState) -> None:
        self.state = state
        if self._record is not None:
            self._record.moments.append(state)
            self._record.after.append(len(self._record.calls))

    def _write(self, handle: _Handle, offset: int, data: bytes) -> None:
        before = self.state.files[handle.target]
        ends = [len(data)]
        if self._record is not None:  # a kill may fall between any two sectors
            ends[:0] = range(SECTOR_BYTES - offset % SECTOR_BYTES, len(data), SECTOR_BYTES)
        for end in ends:
            written = before.write(offset, data[:end])
            self._become(self.state.with_file(handle.target, written))

    def _sync(self, method: str, handle: _Handle) -> None:
        try:
            self._call(method, handle.path)
        except OSError:
            self._become(self._synced(handle, fails=True))
            raise
        if handle.target != FOLDER:
            sectors = self.state.files[handle.target].sectors
            brought = tuple([number for number, cell in enumerate(sectors) if cell.dirty])
            if brought:
                self.newest = handle.target, brought
        self._become(self._synced(handle, fails=False))

    def _synced(self, handle: _Handle, *, fails: bool) -> DiskState:
        if handle.target == FOLDER:
            return self.state.sync_names(handle.path, fails=fails)
        synced = self.state.files[handle.target].sync(fails=fails)
        return self.state.with_file(handle.target, synced)

    def _require(self, path: Path) -> int:
        target = self.state.lookup(path)
        if target is None:
            above = [self.state.lookup(parent) for parent in path.parents]
            is_below_a_file = any(each not in {None, FOLDER} for each in above)
            raise _os_error(errno.ENOTDIR if is_below_a_file else errno.ENOENT)
        return target

    def _require_folder(self, path: Path) -> None:
        if self._require(path) != FOLDER:
            raise _os_error(errno.ENOTDIR)

    def _hold(self, handle: _Handle) -> int:
        self._next_handle += 1
        self._handles[self._next_handle] = handle
        return self._next_handle

    def _held(self, handle: int) -> _Handle:
        try:
            return self._handles[handle]
        except KeyError:
            raise _os_error(errno.EBADF) from None

    def _file(self, handle: _Handle) -> File:
        if handle.target == FOLDER:
            raise _os_error(errno.EISDIR)
        return self.state.files[handle.target]


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
