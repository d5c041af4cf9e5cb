"""The simulated disk answers as the real one does, and fails, ends and damages as it is told."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from paxos import MisuseError, durable
from paxos.disk import Disk, PosixDisk
from paxos.sim.disk_state import SECTOR_BYTES, DiskState, Drawn, Torn, new, old
from paxos.sim.simulated_disk import Call, SimulatedDisk, nth_call_fails

FILE = Path("/file")
OLD, NEW = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES


def with_file(content: bytes = OLD) -> SimulatedDisk:
    """A disk with a file that is on it for good, content and name."""
    disk = SimulatedDisk()
    disk.create_file(FILE)
    return SimulatedDisk(disk.state.flush().with_content(FILE, content))


def answer(call: Callable[[], object]) -> object:
    """What a call returns, or the errno that it fails with."""
    try:
        return call()
    except OSError as error:
        return f"errno {error.errno}"


NO_HANDLE = (999_999, 999_999)


class Both:
    """The simulated disk and the real one, of which the same is asked."""

    def __init__(self, root: Path, random: Random) -> None:
        self.disks: tuple[tuple[Disk, Path], ...] = (
            (SimulatedDisk(), Path("/")),
            (PosixDisk(), root),
        )
        self.random = random
        self.handles: list[tuple[int, int]] = []

    def ask(self, what: Callable[[Disk, Path, int], object], handle: tuple[int, int]) -> None:
        """Demand the same answer of both."""
        answers = [
            answer(lambda: what(disk, root, number))  # noqa: B023 - called at once
            for (disk, root), number in zip(self.disks, handle, strict=True)
        ]
        assert answers[0] == answers[1]

    def open(self, what: Callable[[Disk, Path], int]) -> None:
        """Demand that both open it, or both fail in the same way."""
        answers = [answer(lambda: what(disk, root)) for disk, root in self.disks]  # noqa: B023 - as above
        if any(isinstance(each, str) for each in answers):
            assert answers[0] == answers[1]
        else:
            self.handles.append((answers[0], answers[1]))  # type: ignore[arg-type] - no str here

    def step(self) -> None:
        """Ask something at random."""
        draw = self.random
        name = draw.choice(["a", "b", "folder", "folder/a", "folder/b", "a/x/y", "nowhere/a"])
        folder = draw.choice(["folder", "folder", "a/x/y", "nowhere/a"])
        file = draw.choice(["a", "b", "folder/a", "a/x"])
        other = str(Path(file).parent / draw.choice(["a", "b", "c", "folder"]))
        flag, offset, length = draw.random() < 0.5, draw.randrange(1500), draw.randrange(1200)
        data = draw.randbytes(length)
        on_handles: list[Callable[[Disk, int], object]] = [
            lambda disk, handle: disk.write_at(handle, offset, data),
            lambda disk, handle: disk.read_at(handle, offset, length),
            lambda disk, handle: disk.lock(handle, shared=flag),
            lambda disk, handle: disk.sync(handle),
            lambda disk, handle: disk.sync_folder(handle),
        ]
        on_names: list[Callable[[Disk, Path], object]] = [
            lambda disk, root: disk.make_folder(root / folder),
            lambda disk, root: disk.rename(root / file, root / other),
        ]
        opening: list[Callable[[Disk, Path], int]] = [
            lambda disk, root: disk.open_folder(root / name),
            lambda disk, root: disk.create_file(root / name),
            lambda disk, root: disk.open_file(root / name, writable=flag),
        ]
        match draw.randrange(5):
            case 0 | 1:
                handle = draw.choice([*self.handles, NO_HANDLE])
                what = draw.choice(on_handles)
                self.ask(lambda disk, _, number: what(disk, number), handle)
            case 2:
                act = draw.choice(on_names)
                self.ask(lambda disk, root, _: act(disk, root), NO_HANDLE)
            case 3:
                self.open(draw.choice(opening))
            case _:
                self.close_one()

    def close_one(self) -> None:
        """Close one handle, and try to close it again."""
        if self.handles:
            handle = self.handles.pop(self.random.randrange(len(self.handles)))
            for _ in range(2):
                self.ask(lambda disk, _, number: disk.close(number), handle)

    def compare_files(self) -> None:
        """Demand that both hold the same files of the same content."""
        (simulated, _), (_, root) = self.disks
        assert isinstance(simulated, SimulatedDisk)
        real = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
        assert [path.relative_to("/") for path in simulated.state.paths] == sorted(real)
        for name, path in real.items():
            assert simulated.state.content(Path("/") / name) == path.read_bytes()


@pytest.mark.parametrize("seed", range(40))
def test_it_answers_as_the_real_disk_does(tmp_path: Path, seed: int) -> None:
    both = Both(tmp_path, Random(seed))
    for _ in range(300):
        both.step()
    both.compare_files()
    while both.handles:
        both.close_one()


def test_it_knows_the_size_of_a_file() -> None:
    disk = with_file(b"1234567")
    assert disk.size(disk.open_file(FILE, writable=False)) == 7


def test_a_folder_has_no_size_and_no_content() -> None:
    disk = SimulatedDisk()
    with pytest.raises(IsADirectoryError):
        disk.size(disk.open_folder(Path("/")))


def test_only_files_are_renamed_and_within_their_folder() -> None:
    disk = with_file()
    disk.make_folder(Path("/folder"))
    for before, after in ((Path("/folder"), Path("/other")), (FILE, Path("/folder/file"))):
        with pytest.raises(MisuseError, match="within its folder"):
            disk.rename(before, after)


def test_a_kill_gives_back_what_the_process_held_and_keeps_what_it_wrote() -> None:
    disk = with_file()
    file = disk.open_file(FILE, writable=True)
    folder = disk.open_folder(Path("/"))
    assert disk.lock(folder, shared=False)
    disk.write_at(file, 0, NEW)
    disk.kill()
    assert disk.open_handles == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        disk.sync(file)
    assert disk.lock(disk.open_folder(Path("/")), shared=False)
    assert disk.state.content(FILE) == NEW


@pytest.mark.parametrize(("survivor", "left"), [(old, OLD), (new, NEW), (Torn(), NEW)])
def test_a_power_cut_leaves_of_the_unsynced_what_it_is_told(survivor: object, left: bytes) -> None:
    disk = with_file()
    disk.write_at(disk.open_file(FILE, writable=True), 0, NEW)
    disk.power_cut(survivor)  # type: ignore[arg-type] - pytest's parameters have no types
    assert disk.state.content(FILE) == left
    assert disk.open_handles == 0


def test_a_power_cut_leaves_what_was_synced() -> None:
    disk = with_file()
    file = disk.open_file(FILE, writable=True)
    disk.write_at(file, 0, NEW)
    disk.sync(file)
    disk.power_cut(old)
    assert disk.state.content(FILE) == NEW


def test_the_same_dice_cut_the_power_in_the_same_way() -> None:
    disk = with_file(OLD * 50)
    disk.write_at(disk.open_file(FILE, writable=True), 0, NEW * 50)
    cuts = [disk.state.power_cut(Drawn(Random(seed))) for seed in (1, 1, 2)]
    assert cuts[0] == cuts[1] != cuts[2]


def test_a_fault_comes_before_the_call_and_a_failed_sync_is_not_made_good() -> None:
    disk = with_file()
    file = disk.open_file(FILE, writable=True)
    disk.write_at(file, 0, NEW)
    disk.fault = nth_call_fails(0, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync(file)
    disk.sync(file)  # succeeds, and brings nothing to the disk
    assert {state.content(FILE) for state in disk.state.power_cuts()} == {OLD, NEW}


def test_names_whose_sync_failed_are_not_made_good_either() -> None:
    disk = SimulatedDisk()
    folder = disk.open_folder(Path("/"))
    disk.create_file(FILE)
    disk.fault = nth_call_fails(0, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_folder(folder)
    disk.sync_folder(folder)
    assert {state.lookup(FILE) for state in disk.state.power_cuts()} == {None, 0}


def test_a_write_may_take_less_and_a_read_give_less() -> None:
    disk = with_file()
    file = disk.open_file(FILE, writable=True)
    disk.taken_by_a_write = 2
    assert disk.write_at(file, 0, b"1234") == 2
    assert disk.read_at(file, 0, 4) == b"12oo"
    disk.given_by_a_read = 3
    assert disk.read_at(file, 0, 4) == b"12o"


def test_a_write_that_fails_may_have_written_something() -> None:
    disk = with_file()
    file = disk.open_file(FILE, writable=True)
    disk.fault = nth_call_fails(0, errno.ENOSPC)
    disk.taken_by_a_failing_write = 2
    with pytest.raises(OSError, match="No space"):
        disk.write_at(file, 0, b"1234")
    assert disk.read_at(file, 0, 4) == b"12oo"


def test_only_one_call_fails_and_each_is_counted() -> None:
    fault = nth_call_fails(2, errno.EIO)
    assert [fault("sync") for _ in range(5)] == [None, None, errno.EIO, None, None]


def test_rot_hits_what_was_synced_last_and_leaves_nothing_that_ever_was() -> None:
    disk = with_file(OLD * 3)
    file = disk.open_file(FILE, writable=True)
    disk.write_at(file, SECTOR_BYTES, NEW * 2)
    disk.sync(file)
    disk.write_at(file, SECTOR_BYTES, b"x" * SECTOR_BYTES)
    disk.rot(2)  # of two sectors, this is the first again
    content = disk.state.content(FILE)
    assert content[:SECTOR_BYTES] == OLD
    assert content[2 * SECTOR_BYTES :] == NEW
    assert content[SECTOR_BYTES : 2 * SECTOR_BYTES] not in {OLD, NEW, b"x" * SECTOR_BYTES}
    assert len(list(disk.state.power_cuts())) == 1


def test_rot_needs_something_that_was_synced() -> None:
    with pytest.raises(MisuseError, match="nothing was ever synced"):
        SimulatedDisk().rot()


def test_a_store_notices_rot() -> None:
    disk = SimulatedDisk()
    folder = Path("/store")
    durable.init(folder, durable.Owner("c", "n", "i"), initial=b"", disk=disk)
    with durable.open(folder, disk=disk) as store:
        store.save(b"a")
    disk.rot()
    with pytest.raises(durable.CorruptError):
        durable.open(folder, disk=disk)


def test_a_record_has_the_calls_and_each_moment_also_amid_a_write() -> None:
    disk = with_file(OLD * 3)
    file = disk.open_file(FILE, writable=True)
    with disk.recorded() as record:
        disk.write_at(file, 500, b"n" * 600)
        disk.sync(file)
    assert record.calls == [Call("write_at", FILE), Call("sync", FILE)]
    assert [str(call) for call in record.calls] == ["write_at /file", "sync /file"]
    assert record.methods == ["write_at", "sync"]
    assert [state.content(FILE).count(b"n") for state in record.moments] == [0, 12, 524, 600, 600]
    assert record.after == [0, 1, 1, 1, 2]


def test_only_what_is_asked_for_is_recorded() -> None:
    disk = with_file()
    with disk.recorded() as first, pytest.raises(MisuseError, match="being recorded"):
        disk.moments_of(lambda: None)
    disk.open_folder(Path("/"))
    assert not first.calls
    assert disk.moments_of(lambda: None) == [disk.state]


def test_recording_changes_nothing() -> None:
    def states(*, recorded: bool) -> DiskState:
        disk = with_file()
        file = disk.open_file(FILE, writable=True)

        def write() -> None:
            disk.write_at(file, 700, b"n" * 900)

        if recorded:
            disk.moments_of(write)
        else:
            write()
        return disk.state

    assert states(recorded=True) == states(recorded=False)
