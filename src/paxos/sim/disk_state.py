"""All that is on a disk, as a value, and every state in which a crash can leave it.

What a crash may do:

- A *kill* may fall between any two calls, and between any two sectors of a write. The next process
  reads what was written, synced or not. Its writes and syncs go on from there, so that a kill is
  followed by a power cut in what comes later.
- A *power cut* leaves of each unsynced sector, of each unsynced name in a folder and of the size of
  each unsynced file any of the contents that it had since the last sync, independently of all
  others.
- A *sync that fails* leaves the unsynced contents readable, and the system forgets that it should
  write them: no later sync brings them to the disk, but they may be there. (So Linux does: Rebello
  and others, *Can Applications Recover from fsync Failures?*, USENIX ATC 2020.)
- *Rot* makes of a sector what it never was.

Nothing here is drawn at random, unless a `random.Random` is handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product
from math import prod
from pathlib import Path
from random import Random
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from paxos.errors import MisuseError

SECTOR_BYTES = 512
_ZEROS = bytes(SECTOR_BYTES)

T = TypeVar("T")


class Cell(NamedTuple, Generic[T]):
    """What changes whole or not at all: a sector's content, a file's size, a name's meaning."""

    cached: T
    """What a reader gets."""

    on_disk: tuple[T, ...]
    """What is there after a power cut: one of these, the oldest first."""

    dirty: bool = False
    """The next sync brings it to the disk."""

    def write(self, content: T) -> Cell[T]:
        """Change it, unsynced."""
        on_disk = self.on_disk if content in self.on_disk else (*self.on_disk, content)
        return Cell(content, on_disk, dirty=True)

    def sync(self, *, fails: bool = False) -> Cell[T]:
        """Bring it to the disk, if the system still means to; or make the system forget that."""
        if not self.dirty:
            return self
        return self._replace(dirty=False) if fails else settled(self.cached)

    @property
    def is_settled(self) -> bool:
        """Whether a power cut changes nothing about it."""
        return not self.dirty and len(self.on_disk) == 1 and self.on_disk[0] == self.cached

    def after(self, survivor: Survivor) -> Cell[T]:
        """Return what one power cut leaves."""
        return self if self.is_settled else settled(survivor(self))

    def afters(self) -> tuple[Cell[T], ...]:
        """Return all that a power cut can leave."""
        return (self,) if self.is_settled else tuple(map(settled, self.on_disk))


def settled(content: T) -> Cell[T]:
    """Return a cell whose content is on the disk."""
    return Cell(content, (content,))


class Survivor(Protocol):
    """Says what one power cut leaves of a cell. It is asked for each that is not settled."""

    def __call__(self, cell: Cell[T], /) -> T:
        """Return one of `cell.on_disk`."""
        ...


def old(cell: Cell[T], /) -> T:
    """Leave what was there before: nothing that was unsynced survives."""
    return cell.on_disk[0]


def new(cell: Cell[T], /) -> T:
    """Leave what readers got: all that was unsynced survives."""
    return cell.cached if cell.cached in cell.on_disk else cell.on_disk[-1]


class Mixture:
    """Leave the new content where this pattern says True, and the old one elsewhere.

    The cells are asked in a fixed order: first names, then file by file its size and its sectors.
    Behind its end, the pattern begins again.
    """

    def __init__(self, pattern: Sequence[bool]) -> None:
        self._pattern = pattern
        self._asked = 0

    def __call__(self, cell: Cell[T], /) -> T:
        """See `Survivor`."""
        takes_new = self._pattern[self._asked % len(self._pattern)]
        self._asked += 1
        return new(cell) if takes_new else old(cell)


class Torn(Mixture):
    """Leave a mixture: of the first, third, fifth ... cell what is new, of the others the old."""

    def __init__(self) -> None:
        super().__init__((True, False))


class Drawn:
    """Leave of each cell what the dice say."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __call__(self, cell: Cell[T], /) -> T:
        """See `Survivor`."""
        return self._random.choice(cell.on_disk)


class File(NamedTuple):
    """A file: its sectors, the last of them filled up with zeros, and its size in bytes."""

    sectors: tuple[Cell[bytes], ...] = ()
    size: Cell[int] = settled(0)

    @property
    def content(self) -> bytes:
        """What a reader gets."""
        return b"".join(sector.cached for sector in self.sectors)[: self.size.cached]

    def write(self, offset: int, data: bytes) -> File:
        """Write at this offset in bytes, unsynced. The file may grow by it."""
        if not data:
            return self
        sectors, end = list(self.sectors), offset + len(data)
        sectors.extend([settled(_ZEROS)] * (-(-end // SECTOR_BYTES) - len(sectors)))
        at = offset
        while at < end:
            number, within = divmod(at, SECTOR_BYTES)
            piece = data[at - offset : at - offset + SECTOR_BYTES - within]
            cell = sectors[number]
            at += len(piece)
            if len(piece) < SECTOR_BYTES:
                before = cell.cached
                piece = before[:within] + piece + before[within + len(piece) :]
            sectors[number] = cell.write(piece)
        size = self.size if end <= self.size.cached else self.size.write(end)
        return File(tuple(sectors), size)

    def truncate(self) -> File:
        """Empty it, unsynced: what stood there may survive, and may show when it grows again."""
        return File(tuple(cell.write(_ZEROS) for cell in self.sectors), self.size.write(0))

    def sync(self, *, fails: bool = False) -> File:
        """Bring it to the disk; or make the system forget that it should."""
        sectors = [cell.sync(fails=fails) if cell.dirty else cell for cell in self.sectors]
        return File(tuple(sectors), self.size.sync(fails=fails))

    def power_cut(self, survivor: Survivor) -> File:
        """Return what one power cut leaves."""
        size = self.size.after(survivor)
        return _with_size([cell.after(survivor) for cell in self.sectors], size)

    def power_cuts(self) -> Iterator[File]:
        """Yield all that a power cut can leave."""
        for size in self.size.afters():
            kept = self.sectors[: -(-size.cached // SECTOR_BYTES)]
            for sectors in product(*(cell.afters() for cell in kept)):
                yield _with_size(sectors, size)


def _with_size(sectors: Sequence[Cell[bytes]], size: Cell[int]) -> File:
    """Return a file of this size. What stood behind its end is zeros when it grows again."""
    whole, within = divmod(size.cached, SECTOR_BYTES)
    kept = tuple(sectors[:whole])
    if within:
        last = sectors[whole].cached[:within].ljust(SECTOR_BYTES, b"\0")
        kept += (settled(last),)
    return File(kept, size)


def file_of(content: bytes) -> File:
    """Return a file with this content, all of it on the disk."""
    sectors = (content[at : at + SECTOR_BYTES] for at in range(0, len(content), SECTOR_BYTES))
    padded = (sector.ljust(SECTOR_BYTES, b"\0") for sector in sectors)
    return File(tuple(map(settled, padded)), settled(len(content)))


FOLDER = -1
"""What the name of a folder stands for. That of a file stands for the file's number."""

Names: TypeAlias = tuple[tuple[Path, Cell[int | None]], ...]


def _reachable(names: Iterable[tuple[Path, Cell[int | None]]]) -> Names:
    """Drop the names that stand for nothing, and all that is in a folder which is not there."""
    named = [(path, cell) for path, cell in names if cell.cached is not None]
    there = {path for path, _ in named}
    return tuple((path, cell) for path, cell in named if there.issuperset(path.parents))


class DiskState(NamedTuple):
    """All that is on a disk, and in the system's cache of it. A value: it never changes."""

    files: tuple[File, ...] = ()
    """By number. A file that has lost its name is still there."""

    names: Names = ((Path("/"), settled(FOLDER)),)
    """What each name stands for, or None."""

    def lookup(self, path: Path) -> int | None:
        """Return what a name stands for."""
        for name, cell in self.names:
            if name == path:
                return cell.cached
        return None

    def point(self, path: Path, target: int | None) -> DiskState:
        """Let a name stand for something else, unsynced."""
        names = dict(self.names)
        names[path] = names.get(path, settled(None)).write(target)
        return self._replace(names=tuple(names.items()))

    def sync_names(self, folder: Path, *, fails: bool = False) -> DiskState:
        """Sync the names in one folder."""
        names = tuple(
            (path, cell.sync(fails=fails) if path.parent == folder else cell)
            for path, cell in self.names
        )
        return self._replace(names=names)

    @property
    def is_settled(self) -> bool:
        """Whether a power cut changes nothing about it."""
        return all(cell.is_settled for cell in self._cells())

    @property
    def paths(self) -> tuple[Path, ...]:
        """The names of the files that a process finds, sorted."""
        there = (path for path, cell in self.names if cell.cached not in {None, FOLDER})
        return tuple(sorted(there))

    def names_in(self, folder: Path) -> tuple[str, ...]:
        """The names that a process finds in a folder, sorted."""
        there = (path for path, cell in self.names if cell.cached is not None)
        return tuple(sorted(path.name for path in there if path.parent == folder != path))

    def content(self, path: Path) -> bytes:
        """Return what a reader of the file gets. Raise MisuseError if it is not there."""
        return self.files[self._number(path)].content

    def with_file(self, number: int, file: File) -> DiskState:
        """Change one file, or add the next one."""
        return DiskState((*self.files[:number], file, *self.files[number + 1 :]), self.names)

    def with_content(self, path: Path, content: bytes) -> DiskState:
        """Let a file have exactly these bytes, all on the disk. It must be there."""
        return self.with_file(self._number(path), file_of(content))

    def without(self, path: Path) -> DiskState:
        """Lose a name, and if it is a folder's, all that is in it."""
        nothing: Cell[int | None] = settled(None)
        names = ((name, nothing if name == path else cell) for name, cell in self.names)
        return self._replace(names=_reachable(names))

    def power_cut(self, survivor: Survivor) -> DiskState:
        """Return what one power cut leaves."""
        names = self.names
        if not all(cell.is_settled for _, cell in names):
            names = _reachable([(path, cell.after(survivor)) for path, cell in names])
        return DiskState(tuple([file.power_cut(survivor) for file in self.files]), names)

    def power_cuts(self, unread: Collection[str] = ()) -> Iterator[DiskState]:
        """Yield all that a power cut can leave.

        Of a file that nobody reads, it matters little which sectors are left: one whose only name
        is in `unread` keeps all.
        """
        for cells in product(*(cell.afters() for _, cell in self.names)):
            names = _reachable(zip((path for path, _ in self.names), cells, strict=True))
            read = {cell.cached for path, cell in names if path.name not in unread}
            left = (
                file.power_cuts() if number in read else [file.power_cut(new)]
                for number, file in enumerate(self.files)
            )
            for files in product(*left):
                yield DiskState(files, names)

    def some_power_cuts(self, at_most: int, random: Random) -> Iterator[DiskState]:
        """Yield all that a power cut can leave; or, if there is more than that, so many of them.

        Those are the likeliest to matter, with the unsynced cells in the order that they have on
        the disk: none, all, all but one, only one, those up to one, those from one on; the rest is
        drawn, and may repeat itself.
        """
        open_cells = [cell for cell in self._cells() if not cell.is_settled]
        if prod(len(cell.on_disk) for cell in open_cells) <= at_most:
            yield from self.power_cuts()
            return
        count = len(open_cells)
        patterns = [[False] * count, [True] * count]
        for n in range(count):
            patterns += [[i != n for i in range(count)], [i == n for i in range(count)]]
            patterns += [[i <= n for i in range(count)], [i >= n for i in range(count)]]
        for pattern in patterns[:at_most]:
            yield self.power_cut(Mixture(pattern))
        for _ in range(at_most - len(patterns)):
            yield self.power_cut(Drawn(random))

    def flush(self) -> DiskState:
        """Let all that a reader gets be on the disk, too, as it is after some quiet seconds."""
        files = tuple(file_of(file.content) for file in self.files)
        return DiskState(files, tuple((path, settled(cell.cached)) for path, cell in self.names))

    def damage(self, path: Path, offset: int, data: bytes) -> DiskState:
        """Let rot put these bytes at this offset of a file, on the disk and for readers."""
        number = self._number(path)
        file = self.files[number]
        end = offset + len(data)
        if not 0 <= offset <= end <= file.size.cached:
            raise MisuseError(f"{path} has {file.size.cached} bytes: rot falls within them")
        rotten = file.write(offset, data)
        sectors = list(file.sectors)
        for sector in range(offset // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            sectors[sector] = settled(rotten.sectors[sector].cached)
        return self.with_file(number, File(tuple(sectors), file.size))

    def flip(self, path: Path, offset: int, bits: int = 0xFF) -> DiskState:
        """Let rot flip these bits of one byte of a file."""
        byte = self.content(path)[offset : offset + 1] or b"\0"  # behind the end: refused below
        return self.damage(path, offset, bytes([byte[0] ^ bits]))

    def _cells(self) -> Iterator[Cell[int | None] | Cell[int] | Cell[bytes]]:
        for _, cell in self.names:
            yield cell
        for file in self.files:
            yield file.size
            yield from file.sectors

    def _number(self, path: Path) -> int:
        number = self.lookup(path)
        if number is None or number == FOLDER:
            raise MisuseError(f"there is no file {path} on this disk: name one that is there")
        return number


def crash_states(moments: Iterable[DiskState], unread: Collection[str] = ()) -> Iterator[DiskState]:
    """Yield, each once, all that the next process can find if a crash falls at these moments."""
    seen: set[DiskState] = set()
    for moment in moments:
        for state in (moment, *moment.power_cuts(unread)):
            if state not in seen:
                seen.add(state)
                yield state
