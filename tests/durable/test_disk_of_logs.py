"""What a log asks of a disk beyond what a store does: the simulated disk and the real one agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.stores import OWNER
from paxos import write_ahead_log
from paxos.disk import Disk, Folder, PosixDisk
from paxos.sim.disk_state import new, old
from paxos.sim.simulated_disk import SimulatedDisk
from paxos.storage_errors import ForeignError, LostError


@pytest.fixture(params=["simulated", "real"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, Path]:
    """A disk, and a folder on it."""
    disk: Disk = SimulatedDisk() if request.param == "simulated" else PosixDisk()
    folder = Path("/log") if request.param == "simulated" else tmp_path / "log"
    disk.make_folder(folder)
    return disk, folder


def test_the_names_in_a_folder_are_listed_in_order(place: tuple[Disk, Path]) -> None:
    disk, path = place
    with Folder(disk, path) as folder:
        for name in ("b", "a", "c"):
            folder.create(name)
        folder.remove("c")
        assert folder.names() == ("a", "b")


def test_a_removed_file_is_readable_while_it_is_open(place: tuple[Disk, Path]) -> None:
    disk, path = place
    with Folder(disk, path) as folder:
        file = folder.create("file")
        file.write(0, b"content")
        folder.remove("file")
        assert file.read_at(3, 4) == b"tent"
        with pytest.raises(LostError):
            folder.open("file")


def test_a_file_is_made_anew_after_it_was_removed(place: tuple[Disk, Path]) -> None:
    disk, path = place
    with Folder(disk, path) as folder:
        folder.create("file").write(0, b"content")
        folder.remove("file")
        assert folder.create("file").size == 0


def test_what_is_not_there_cannot_be_removed_or_listed(place: tuple[Disk, Path]) -> None:
    disk, path = place
    with Folder(disk, path) as folder, pytest.raises(LostError):
        folder.remove("file")
    with pytest.raises(FileNotFoundError):
        disk.names(path / "folder")


def test_a_folder_is_not_removed(place: tuple[Disk, Path]) -> None:
    disk, path = place
    disk.make_folder(path / "folder")
    with Folder(disk, path) as folder, pytest.raises((ForeignError, PermissionError)):
        folder.remove("folder")


def test_a_file_closes_once_and_before_its_folder(place: tuple[Disk, Path]) -> None:
    disk, path = place
    with Folder(disk, path) as folder:
        file = folder.create("file")
        file.close()
        file.close()
    folder.close()
    if isinstance(disk, SimulatedDisk):
        assert disk.open_handles == 0


def test_a_removal_that_is_not_synced_may_be_undone() -> None:
    for survivor, names in ((old, ("file",)), (new, ())):
        disk = SimulatedDisk()
        disk.make_folder(Path("/log"))
        folder = disk.open_folder(Path("/log"))
        disk.create_file(Path("/log/file"))
        disk.sync_folder(disk.open_folder(Path("/")))
        disk.sync_folder(folder)
        disk.remove_file(Path("/log/file"))
        disk.power_cut(survivor)
        assert disk.names(Path("/log")) == names


def test_a_log_lives_on_the_real_disk(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    write_ahead_log.init(folder, OWNER, label=b"label", segment_bytes=16 * 512)
    for life in range(3):
        found: list[bytes] = []
        with write_ahead_log.open(
            folder, replay=lambda at, payload, found=found: found.append(payload)
        ) as log:
            assert len(found) == 4 * life
            positions = [log.append(bytes([life]) * 3000, b"head") for _ in range(4)]
            assert log.read(positions[-1], 3000) == bytes([life]) * 3000
    with write_ahead_log.open(folder) as log:
        snapshot = log.write_snapshot()
        snapshot.add(b"stream")
        log.commit(b"new", first=log.segments.stop - 1, snapshot=snapshot)
    report = write_ahead_log.inspect(folder)
    assert (report.label, report.segments) == (b"new", 1)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"segment-{log.segments.start:08d}",
        f"segment-{log.segments.stop:08d}",
        "snapshot-00000001",
        "state",
    ]
