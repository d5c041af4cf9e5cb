"""A disk in memory, and every state in which a crash can leave it.

    disk = CrashDisk()
    moments = disk.moments_of(lambda: store.save(b"new"))
    for state in crash_states(moments):
        ...  # CrashDisk(state) is the disk that the next process finds

What a crash may do:

- A *kill* may fall between any two calls, and between any two sectors of a write. The next process
  reads what was written, synced or not. Its writes and syncs go on from there, so that a kill is
  followed by a power cut in what comes later.
- A *power cut* leaves of each unsynced sector, and of each unsynced name in a folder, any of the
  contents that it had since the last sync, independently of all others.
- A *sync that fails* leaves the unsynced contents readable, and the system forgets that it should
  write them: no later sync brings them to the disk, but they may be there. (So Linux does.)
- *Rot* makes of a sector what it never was.

All is enumerated, nothing is drawn at random.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Generic, NamedTuple, TypeAlias, TypeVar

SECTOR_BYTES = 512

T = TypeVar("T")


class Cell(NamedTuple, Generic[T]):
    """What changes whole or not at all: the content of a sector, or what a name stands for."""

    cached: T
    """What a reader gets."""

    on_disk: tuple[T, ...]
    """What is there after a power cut: one of these."""

    dirty: bool = False
    """The next sync brings it to the disk."""

    def write(self, content: T) -> Cell[T]:
        """Change it, unsynced."""
        on_disk = self.on_disk if content in self.on_disk else (*self.on_disk, content)
        return Cell(content, on_disk, dirty=True)

    def sync(self) -> Cell[T]:
        """Bring it to the disk, if the system still means to."""
        return settled(self.cached) if self.dirty else self

    def fail_to_sync(self) -> Cell[T]:
        """Make the system forget that it should."""
        return self._replace(dirty=False)


def settled(content: T) -> Cell[T]:
    """Return a cell whose content is on the disk."""
    return Cell(content, (content,))


Sectors: TypeAlias = tuple[Cell[bytes], ...]

FOLDER = -1
"""What the name of a folder stands for. That of a file stands for the file's number."""


class DiskState(NamedTuple):
    """All that is on a disk, and in the system's cache of it. A value: it never changes."""

    files: tuple[Sectors, ...] = ()
    """By number. A file that has lost its name is still there."""

    names: tuple[tuple[Path, Cell[int | None]], ...] = ((Path("/"), settled(FOLDER)),)
    """What each name stands for, or None."""

    def lookup(self, path: Path) -> int | None:
        """Return what a name stands for."""
        return dict(self.names).get(path, settled(None)).cached

    def point(self, path: Path, target: int | None) -> DiskState:
        """Let a name stand for something else, unsynced."""
        names = dict(self.names)
        names[path] = names.get(path, settled(None)).write(target)
        return self._replace(names=tuple(names.items()))

    def sync_names(self, folder: Path, *, fails: bool = False) -> DiskState:
        """Sync the names in one folder."""
        return self._replace(
            names=tuple(
                (path, _synced(cell, fails) if path.parent == folder else cell)
                for path, cell in self.names
            ),
        )

    def content(self, file: int) -> bytes:
        """Return what a reader of the file gets."""
        return b"".join(sector.cached for sector in self.files[file])

    def with_file(self, file: int, sectors: Sectors) -> DiskState:
        """Change one file, or add the next one."""
        return self._replace(files=(*self.files[:file], sectors, *self.files[file + 1 :]))

    def write(self, file: int, sector: int, content: bytes) -> DiskState:
        """Write one sector, unsynced; the file may grow by it."""
        sectors = self.files[file]
        old = sectors[sector] if sector < len(sectors) else settled(bytes(SECTOR_BYTES))
        return self.with_file(file, (*sectors[:sector], old.write(content), *sectors[sector + 1 :]))

    def sync_file(self, file: int, *, fails: bool = False) -> DiskState:
        """Sync one file's content."""
        return self.with_file(file, tuple(_synced(cell, fails) for cell in self.files[file]))

    def power_cuts(self, unread: Collection[str] = ()) -> Iterator[DiskState]:
        """Yield all that a power cut can leave.

        Of a file that nobody reads, it matters little which sectors are left: one whose only name
        is in `unread` keeps all.
        """
        for targets in product(*(_after_power_cut(cell) for _, cell in self.names)):
            named = [(path, cell) for (path, _), cell in zip(self.names, targets, strict=True)]
            there = {path for path, cell in named if cell.cached is not None}
            names = tuple(
                (path, cell) for path, cell in named if there.issuperset((path, *path.parents))
            )
            read = {cell.cached for path, cell in names if path.name not in unread}
            sectors = (
                [
                    _after_power_cut(cell) if number in read else (settled(cell.cached),)
                    for cell in file
                ]
                for number, file in enumerate(self.files)
            )
            for files in product(*(product(*choices) for choices in sectors)):
                yield DiskState(files, names)

    def flush(self) -> DiskState:
        """Let all that a reader gets be on the disk, too, as it is after some quiet seconds."""
        return DiskState(
            tuple(tuple(settled(cell.cached) for cell in file) for file in self.files),
            tuple((path, settled(cell.cached)) for path, cell in self.names),
        )

    def damage(self, path: Path, offset: int, data: bytes) -> DiskState:
        """Let rot put these bytes at this offset of a file, on the disk and for readers."""
        file = self.lookup(path)
        assert file is not None
        sectors = list(self.files[file])
        for at, byte in enumerate(data, start=offset):
            sector, within = divmod(at, SECTOR_BYTES)
            content = sectors[sector].cached
            sectors[sector] = settled(content[:within] + bytes([byte]) + content[within + 1 :])
        return self.with_file(file, tuple(sectors))


def _synced(cell: Cell[T], fails: bool) -> Cell[T]:
    return cell.fail_to_sync() if fails else cell.sync()


def _after_power_cut(cell: Cell[T]) -> tuple[Cell[T], ...]:
    return (cell,) if cell == settled(cell.cached) else tuple(map(settled, cell.on_disk))


def crash_states(moments: Iterable[DiskState], unread: Collection[str] = ()) -> Iterator[DiskState]:
    """Yield, each once, all that the next process can find if a crash falls at these moments."""
    seen: set[DiskState] = set()
    for moment in moments:
        for state in (moment, *moment.power_cuts(unread)):
            if state not in seen:
                seen.add(state)
                yield state


class CrashDisk:
    """A disk for `paxos.durable` that remembers all its states. One for each life of a process.

    Files are written by whole sectors. A call can be made to fail: set `fault`.
    """

    def __init__(self, state: DiskState | None = None) -> None:
        self.state = DiskState() if state is None else state
        self.calls: list[str] = []
        """The methods that were called, in order."""

        self.fault: Callable[[str], int | None] = lambda method: None
        """Is asked before each call, given the method's name; returns an errno, or None."""

        self.taken_by_a_write: int | None = None
        """How many bytes a write takes at most."""

        self._moments = [self.state]
        self._handles: dict[int, tuple[Path, int]] = {}
        self._locks: dict[int, bool] = {}
        self._next_handle = 0

    def moments_of(self, action: Callable[[], object]) -> list[DiskState]:
        """Return each state from before the action to after it."""
        first = len(self._moments) - 1
        action()
        return self._moments[first:]

    @property
    def open_handles(self) -> int:
        """How many files and folders are open."""
        return len(self._handles)

    def make_folder(self, path: Path) -> None:
        self._call("make_folder")
        self._require(path.parent)
        if self.state.lookup(path) is None:
            self._become(self.state.point(path, FOLDER))

    def open_folder(self, path: Path) -> int:
        self._call("open_folder")
        if self._require(path) != FOLDER:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return self._hold(path, FOLDER)

    def lock(self, folder: int, *, shared: bool) -> bool:
        self._call("lock")
        path, _ = self._handles[folder]
        for holder, is_shared in self._locks.items():
            if self._handles[holder][0] == path and not (shared and is_shared):
                return False
        self._locks[folder] = shared
        return True

    def sync_folder(self, folder: int) -> None:
        path, _ = self._handles[folder]
        try:
            self._call("sync_folder")
        except OSError:
            self._become(self.state.sync_names(path, fails=True))
            raise
        self._become(self.state.sync_names(path))

    def create_file(self, path: Path) -> int:
        self._call("create_file")
        self._require(path.parent)
        file = len(self.state.files)
        self._become(self.state.with_file(file, ()).point(path, file))
        return self._hold(path, file)

    def open_file(self, path: Path, *, writable: bool) -> int:
        self._call("open_file")
        return self._hold(path, self._require(path))

    def size(self, file: int) -> int:
        self._call("size")
        return len(self.state.content(self._handles[file][1]))

    def read_at(self, file: int, offset: int, length: int) -> bytes:
        self._call("read_at")
        return self.state.content(self._handles[file][1])[offset : offset + length]

    def write_at(self, file: int, offset: int, data: bytes) -> int:
        self._call("write_at")
        assert offset % SECTOR_BYTES == len(data) % SECTOR_BYTES == 0
        data = data[: self.taken_by_a_write]
        for at in range(0, len(data), SECTOR_BYTES):
            sector = (offset + at) // SECTOR_BYTES
            content = data[at : at + SECTOR_BYTES]
            self._become(self.state.write(self._handles[file][1], sector, content))
        return len(data)

    def sync(self, file: int) -> None:
        _, number = self._handles[file]
        try:
            self._call("sync")
        except OSError:
            self._become(self.state.sync_file(number, fails=True))
            raise
        self._become(self.state.sync_file(number))

    def rename(self, old: Path, new: Path) -> None:
        self._call("rename")
        self._become(self.state.point(new, self._require(old)).point(old, None))

    def close(self, handle: int) -> None:
        del self._handles[handle]
        self._locks.pop(handle, None)
        self._call("close")

    def _call(self, method: str) -> None:
        self.calls.append(method)
        error = self.fault(method)
        if error is not None:
            raise OSError(error, os.strerror(error))

    def _become(self, state: DiskState) -> None:
        self.state = state
        self._moments.append(state)

    def _require(self, path: Path) -> int:
        target = self.state.lookup(path)
        if target is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return target

    def _hold(self, path: Path, target: int) -> int:
        self._next_handle += 1
        self._handles[self._next_handle] = (path, target)
        return self._next_handle
