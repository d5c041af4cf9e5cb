"""The one door to the operating system that durable memory uses.

`Disk` is what has to come from outside: `PosixDisk` is the real one, tests and simulators bring
their own. Its methods fail with `OSError`, as the operating system does, and never retry. `Folder`
and `File` stand between: through them, every failure is a `StorageError` that names what failed,
where, and what to do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import ParamSpec, Protocol, Self, TypeVar

from paxos.errors import MisuseError
from paxos.storage_errors import (
    DeniedError,
    DiskError,
    ForeignError,
    FullError,
    LostError,
    StorageError,
)


class Disk(Protocol):
    """Folders and files, with reads and writes at byte offsets, and with syncs.

    A handle is a number that stands for an open file or folder until it is closed.
    """

    def make_folder(self, path: Path) -> None:
        """Make this folder, unless something of that name is there. Its parent must exist."""
        ...

    def open_folder(self, path: Path) -> int:
        """Return a handle, for `lock` and `sync_folder`. A file raises NotADirectoryError."""
        ...

    def lock(self, folder: int, *, shared: bool) -> bool:
        """Try to lock a folder until its handle is closed; say at once whether that worked."""
        ...

    def sync_folder(self, folder: int) -> None:
        """Return once the names in the folder are on stable storage."""
        ...

    def create_file(self, path: Path) -> int:
        """Make an empty file, in place of one that is there, and open it for writing."""
        ...

    def open_file(self, path: Path, *, writable: bool) -> int:
        """Open a file that exists."""
        ...

    def size(self, file: int) -> int:
        """Return the size in bytes."""
        ...

    def read_at(self, file: int, offset: int, length: int) -> bytes:
        """Return what stands there: fewer than `length` bytes only if the file ends earlier."""
        ...

    def write_at(self, file: int, offset: int, data: bytes) -> int:
        """Write once; return how many bytes were taken."""
        ...

    def sync(self, file: int) -> None:
        """Return once everything written to the file is on stable storage."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in the same folder."""
        ...

    def remove_file(self, path: Path) -> None:
        """Take a file's name away. What is open stays readable."""
        ...

    def names(self, path: Path) -> tuple[str, ...]:
        """Return the names in a folder, sorted."""
        ...

    def close(self, handle: int) -> None:
        """Give a handle back, and with it a lock that it holds."""
        ...


class PosixDisk:
    """The disk of Linux and its kin."""

    def make_folder(self, path: Path) -> None:
        """Make the folder, its mode given by the umask."""
        path.mkdir(exist_ok=True)

    def open_folder(self, path: Path) -> int:
        """Open it by O_DIRECTORY, which a file refuses."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def lock(self, folder: int, *, shared: bool) -> bool:
        """Lock by flock(2), which goes with the handle.

        POSIX record locks go with the process: closing any other handle of the file drops them.
        """
        import fcntl  # noqa: PLC0415 - Windows has none, and must be able to import this module

        try:
            fcntl.flock(folder, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def sync_folder(self, folder: int) -> None:
        """Sync by fsync(2): on Linux that is what makes a name last."""
        os.fsync(folder)

    def create_file(self, path: Path) -> int:
        """Create or empty it, its mode given by the umask."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)

    def open_file(self, path: Path, *, writable: bool) -> int:
        """Open without O_CREAT: what is missing stays missing."""
        return os.open(path, os.O_RDWR if writable else os.O_RDONLY)

    def size(self, file: int) -> int:
        """Return the size by fstat(2)."""
        return os.fstat(file).st_size

    def read_at(self, file: int, offset: int, length: int) -> bytes:
        """Read by pread(2)."""
        return os.pread(file, length, offset)

    def write_at(self, file: int, offset: int, data: bytes) -> int:
        """Write by pwrite(2)."""
        return os.pwrite(file, data, offset)

    def sync(self, file: int) -> None:
        """Sync by fdatasync(2), which leaves out times, but no size that a reader would need."""
        os.fdatasync(file)

    def rename(self, old: Path, new: Path) -> None:
        """Rename by rename(2), atomically."""
        old.rename(new)

    def remove_file(self, path: Path) -> None:
        """Remove by unlink(2), which refuses a folder."""
        path.unlink()

    def names(self, path: Path) -> tuple[str, ...]:
        """List by readdir(3)."""
        return tuple(sorted(os.listdir(path)))  # noqa: PTH208 - Path.iterdir makes paths of them

    def close(self, handle: int) -> None:
        """Close by close(2)."""
        os.close(handle)


def real_disk(platform: str = sys.platform) -> Disk:
    """Return this computer's disk. Raise MisuseError where nothing can be made durable."""
    if platform == "win32":
        raise MisuseError(
            "Windows cannot sync a folder, so a store could vanish after a power cut. Run this"
            " node on Linux or macOS, for instance under WSL 2; a simulated disk works anywhere."
        )
    if platform == "darwin":
        from paxos.disk_macos import MacDisk  # noqa: PLC0415 - only a Mac needs it

        return MacDisk()
    return PosixDisk()


_BY_ERRNO: dict[int | None, type[StorageError]] = {
    errno.ENOENT: LostError,
    errno.ENOTDIR: ForeignError,  # a file where the folder should be ...
    errno.EEXIST: ForeignError,
    errno.EISDIR: ForeignError,  # ... and the other way round
    errno.EACCES: DeniedError,
    errno.EPERM: DeniedError,
    errno.EROFS: DeniedError,
    errno.ENOSPC: FullError,
    errno.EDQUOT: FullError,
}

P = ParamSpec("P")
R = TypeVar("R")


def _call(path: Path, what: str, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a disk's method. Whatever it fails with gets its name here."""
    try:
        return method(*args, **kwargs)
    except OSError as error:
        named = _BY_ERRNO.get(error.errno, DiskError)
        raise named(path, f"{what} failed ({error.strerror or repr(error)})") from error


class File:
    """An open file of a store."""

    def __init__(self, disk: Disk, path: Path, handle: int, close: Callable[[int], None]) -> None:
        self.path = path
        self._disk = disk
        self._handle = handle
        self._close = close

    @property
    def size(self) -> int:
        """The size in bytes."""
        return _call(self.path, "size", self._disk.size, self._handle)

    def read(self, limit: int) -> bytes:
        """Return the whole file, or its first `limit` bytes."""
        return self.read_at(0, min(self.size, limit))

    def read_at(self, offset: int, wanted: int) -> bytes:
        """Return exactly so many bytes from this offset on. They must be there."""
        data = _call(self.path, "read", self._disk.read_at, self._handle, offset, wanted)
        if len(data) != wanted:
            raise DiskError(self.path, f"read gave {len(data)} of {wanted} bytes")
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Write at this offset (bytes). It is not yet on stable storage."""
        taken = _call(self.path, "write", self._disk.write_at, self._handle, offset, data)
        if taken != len(data):
            raise DiskError(self.path, f"write took {taken} of {len(data)} bytes at byte {offset}")

    def sync(self) -> None:
        """Return once all that was written is on stable storage."""
        _call(self.path, "sync", self._disk.sync, self._handle)

    def close(self) -> None:
        """Close it before its folder is closed. A second call does nothing."""
        self._close(self._handle)


class Folder:
    """An open folder, and the files that were opened in it. It closes them with itself."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.path = path
        self._disk = disk
        self._open: dict[int, Path] = {}
        self._handle = self._hold(path, _call(path, "open", disk.open_folder, path))

    @staticmethod
    def make(disk: Disk, path: Path) -> None:
        """Make a folder, unless it is there."""
        _call(path, "make", disk.make_folder, path)

    def _hold(self, path: Path, handle: int) -> int:
        self._open[handle] = path
        return handle

    def _close(self, handle: int) -> None:
        path = self._open.pop(handle, None)
        if path is not None:
            _call(path, "close", self._disk.close, handle)

    def lock(self, *, shared: bool = False) -> bool:
        """Try to lock the folder until it is closed; say at once whether that worked."""
        return _call(self.path, "lock", self._disk.lock, self._handle, shared=shared)

    def sync(self) -> None:
        """Return once the names in the folder are on stable storage."""
        _call(self.path, "sync", self._disk.sync_folder, self._handle)

    def create(self, name: str) -> File:
        """Make an empty file, in place of one that is there."""
        path = self.path / name
        handle = _call(path, "create", self._disk.create_file, path)
        return File(self._disk, path, self._hold(path, handle), self._close)

    def open(self, name: str, *, writable: bool = False) -> File:
        """Open a file that exists."""
        path = self.path / name
        handle = _call(path, "open", self._disk.open_file, path, writable=writable)
        return File(self._disk, path, self._hold(path, handle), self._close)

    def holds(self, name: str) -> bool:
        """Tell whether there is a file, or anything else, of this name."""
        try:
            self.open(name)
        except LostError:
            return False
        return True

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        path = self.path / old
        _call(path, "rename", self._disk.rename, path, self.path / new)

    def remove(self, name: str) -> None:
        """Take a file's name away."""
        path = self.path / name
        _call(path, "remove", self._disk.remove_file, path)

    def names(self) -> tuple[str, ...]:
        """Return the names in the folder, sorted."""
        return _call(self.path, "list", self._disk.names, self.path)

    def close(self) -> None:
        """Close all, the newest first, and drop the lock. One that fails keeps no other open."""
        with ExitStack() as all_of_them:
            for handle in self._open:
                all_of_them.callback(self._close, handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
