"""The real disk does what `Disk` says, and is refused where it cannot."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from paxos.disk import PosixDisk, real_disk
from paxos.disk_macos import MacDisk
from paxos.errors import MisuseError


def test_a_file_is_written_read_and_renamed(tmp_path: Path) -> None:
    disk = PosixDisk()
    disk.make_folder(tmp_path / "folder")
    disk.make_folder(tmp_path / "folder")  # is there, and that is well
    folder = disk.open_folder(tmp_path / "folder")
    file = disk.create_file(tmp_path / "folder" / "old")
    assert disk.write_at(file, 2, b"data") == 4
    disk.sync(file)
    disk.rename(tmp_path / "folder" / "old", tmp_path / "folder" / "new")
    disk.sync_folder(folder)
    assert disk.size(file) == 6
    assert disk.read_at(file, 1, 4) == b"\0dat"
    assert disk.read_at(file, 4, 100) == b"ta"
    disk.close(file)
    disk.close(folder)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]


def test_creating_a_file_empties_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = PosixDisk()
    file = disk.create_file(tmp_path / "file")
    assert disk.size(file) == 0
    disk.close(file)


def test_a_file_opened_for_reading_refuses_a_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = PosixDisk()
    file = disk.open_file(tmp_path / "file", writable=False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        disk.write_at(file, 0, b"new")
    disk.close(file)


def test_opening_never_creates(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PosixDisk().open_file(tmp_path / "file", writable=True)
    with pytest.raises(FileNotFoundError):
        PosixDisk().open_folder(tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        PosixDisk().open_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("first", "second", "is_granted"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_only_shared_locks_go_together(
    tmp_path: Path, *, first: bool, second: bool, is_granted: bool
) -> None:
    disk = PosixDisk()
    one, two = disk.open_folder(tmp_path), disk.open_folder(tmp_path)
    assert disk.lock(one, shared=first)
    assert disk.lock(two, shared=second) is is_granted
    disk.close(one)
    assert disk.lock(two, shared=second)
    disk.close(two)


def test_a_sync_is_asked_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda handle, name=name: calls.append((name, handle)))
    disk = PosixDisk()
    disk.sync(3)
    disk.sync_folder(4)
    assert calls == [("fdatasync", 3), ("fsync", 4)]


def test_linux_has_a_real_disk() -> None:
    assert type(real_disk("linux")) is PosixDisk


def test_windows_has_none_and_says_why() -> None:
    with pytest.raises(MisuseError, match="Windows cannot sync a folder"):
        real_disk("win32")


def test_macos_empties_the_cache_of_the_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(fcntl, "fcntl", lambda handle, command: calls.append((handle, command)))
    disk = real_disk("darwin")
    assert isinstance(disk, MacDisk)
    disk.sync(3)
    disk.sync_folder(4)
    assert calls == [(3, 51), (4, 51)]


def test_a_new_file_is_no_program(tmp_path: Path) -> None:
    disk = PosixDisk()
    disk.close(disk.create_file(tmp_path / "file"))
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
