"""Crash-safe memory for one small state: bytes go in, and the same bytes come out after a crash.

A store is a folder with one file, `state`. `paxos.slots` says how that file is laid out, what may
happen to it, and what it means after a crash; `paxos.disk` performs. Here is what is done in which
order:

- `init` alone makes a store, and shows it only when it is whole.
- `open` never makes one. It tells apart fresh, sound, corrupt, lost and foreign, and ends with a
  write (see `_settle`).
- `save` writes the slot that does not hold the newest state, and returns when that is on stable
  storage. A failure is final: what has reached the disk is unknown, and a second sync that
  succeeds would prove nothing, since the system may have dropped the data after the first.

A store knows bytes, not Paxos.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from paxos.disk import Disk, File, Folder, real_disk
from paxos.errors import MisuseError
from paxos.slots import (
    BLOCK_BYTES,
    MAX_SERIAL_FOUND,
    MAX_SLOT_BYTES,
    SECTOR_BYTES,
    Owner,
    Recovery,
    SlotReading,
    capacity,
    decode_header,
    decode_slot,
    encode_header,
    encode_slot,
    read_slot,
    recover,
)
from paxos.storage_errors import (
    CorruptError,
    DeniedError,
    DiskError,
    ForeignError,
    FullError,
    LockedError,
    LostError,
    StorageError,
)

__all__ = [
    "Answer",
    "BrokenError",
    "CorruptError",
    "DeniedError",
    "Disk",
    "DiskError",
    "ForeignError",
    "FullError",
    "LockedError",
    "LostError",
    "Owner",
    "Report",
    "StorageError",
    "Store",
    "StoreExistsError",
    "init",
    "inspect",
    "open",
]

STATE_FILE = "state"
UNFINISHED_FILE = "state.new"
"""What `init` renames when it is whole. `open` ignores it, and another `init` overwrites it."""


class BrokenError(StorageError):
    """An earlier save failed, so this store takes no more. `__cause__` is that failure."""

    advice = "Stop the node; opening the store again checks it all"


class StoreExistsError(MisuseError):
    """`init` found a store, and left it alone."""


class Answer(Enum):
    """What a folder holds."""

    FRESH = "fresh"  # a store that was never saved to
    SOUND = "sound"  # a store, with its newest acknowledged state
    CORRUPT = "corrupt"  # a store, but its newest acknowledged state may be lost
    LOST = "lost"  # nothing
    FOREIGN = "foreign"  # something else


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a folder, before anything was mended."""

    answer: Answer
    what: str
    """The answer in more words."""

    locked: bool = False
    """Another process has the store open. What it writes while we read may look like damage."""

    owner: Owner | None = None
    state: bytes | None = None
    """If the answer is fresh or sound."""

    torn: bool = False
    """A write was cut off. It was never acknowledged, and is rolled back."""

    bad: tuple[int, ...] = ()
    """Where the bad sectors begin, in bytes from the start of the file."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What stands in a state file that has a header."""

    path: Path
    owner: Owner
    slots: tuple[bytes, bytes]
    readings: tuple[SlotReading, SlotReading]
    recovery: Recovery

    @property
    def slot_bytes(self) -> int:
        return len(self.slots[0])

    @property
    def bad(self) -> tuple[int, ...]:
        return self.readings[0].bad + self.readings[1].bad

    def newest(self) -> int:
        """Return the slot with the newest acknowledged state, or raise CorruptError."""
        row, newest = self.recovery.row, self.recovery.newest
        if newest is None or not row.sound:
            raise CorruptError(self.path, min(self.bad, default=BLOCK_BYTES), row.what)
        if max(self.readings[0].serials | self.readings[1].serials) > MAX_SERIAL_FOUND:
            raise CorruptError(self.path, BLOCK_BYTES, "a serial that no store ever reaches")
        return newest

    def report(self, *, locked: bool) -> Report:
        """Return what was found."""
        try:
            state, saved = decode_slot(self.slots[self.newest()])
        except CorruptError as error:
            return Report(Answer.CORRUPT, str(error), locked, self.owner, bad=self.bad)
        return Report(
            Answer.SOUND if saved else Answer.FRESH,
            self.recovery.row.what,
            locked,
            self.owner,
            state,
            self.recovery.torn,
            self.bad,
        )


def _read(file: File) -> _Content:
    """Read a state file. Raise ForeignError or CorruptError if its header is not one of ours."""
    data = file.read(BLOCK_BYTES + 2 * MAX_SLOT_BYTES + 1)
    owner, slot_bytes = decode_header(file.path, data)
    middle = BLOCK_BYTES + slot_bytes
    end = middle + slot_bytes
    if len(data) != end:
        raise CorruptError(file.path, min(len(data), end), f"the file should end at byte {end}")
    slots = (data[BLOCK_BYTES:middle], data[middle:])
    readings = (read_slot(slots[0], 0), read_slot(slots[1], 1))
    return _Content(file.path, owner, slots, readings, recover(*readings))


def _write_slot(file: File, slot: int, image: bytes) -> None:
    file.write(BLOCK_BYTES + slot * len(image), image)
    file.sync()


def _settle(file: File, content: _Content) -> tuple[int, int]:
    """End opening with a write; return the newest slot and its serial.

    What was read may never have reached the disk, so the newest slot is written anew: the same
    bytes under the same serial, so that a sector holds the same whether or not it was reached. (The
    other slot, if it is whole, was synced before the newest was begun.)

    If the other slot is not whole, it gets the same state under a serial above all in the file.
    Its bad sectors come first, with a sync of their own. Were they among the others, a power cut
    could leave them bad beside good sectors of the new serial alone, and that is what rot makes of
    an acknowledged write.
    """
    newest = content.newest()
    image, other = content.slots[newest], content.readings[1 - newest]
    _write_slot(file, newest, image)
    serial = max(content.readings[newest].serials | other.serials)
    if other.is_whole:
        return newest, serial
    state, saved = decode_slot(image)
    healed = encode_slot(1 - newest, len(image), serial + 1, state, saved=saved)
    start = BLOCK_BYTES + (1 - newest) * len(image)
    for at in other.bad:
        file.write(at, healed[at - start : at - start + SECTOR_BYTES])
    if other.bad:
        file.sync()
    _write_slot(file, 1 - newest, healed)
    return 1 - newest, serial + 1


class Store:
    """An open store: see `open`. As a context manager, it closes itself.

    It belongs to one thread at a time: while a save is under way, all else raises MisuseError.
    """

    def __init__(
        self, folder: Folder, file: File, content: _Content, newest: tuple[int, int]
    ) -> None:
        self.owner = content.owner
        """Whose store it is."""

        self.report = content.report(locked=False)
        """What `open` found."""

        self.capacity = capacity(content.slot_bytes)
        """How many bytes a state may have."""

        self._folder = folder
        self._file = file
        self._slot_bytes = content.slot_bytes
        self._slot, self._serial = newest
        self._state = decode_slot(content.slots[content.newest()])[0]
        self._failure: BaseException | None = None
        self._closed = False
        self._tokens = [None]

    @property
    def state(self) -> bytes:
        """The newest state on stable storage. After a failed save, raise BrokenError."""
        self._require_usable()
        return self._state

    def save(self, state: bytes) -> None:
        """Return when this state is on stable storage.

        Raise MisuseError if it is larger than `capacity`: nothing has happened, and the store goes
        on. Raise StorageError if the disk fails: nobody knows whether the state was saved, and all
        that follows raises BrokenError.
        """
        self._take_token()
        try:
            self._require_usable()
            slot, serial = 1 - self._slot, self._serial + 1
            image = encode_slot(slot, self._slot_bytes, serial, state, saved=True)
            try:
                _write_slot(self._file, slot, image)
                self._slot, self._serial, self._state = slot, serial, state
            except BaseException as failure:  # an interrupt, too, leaves things half done
                self._failure = failure
                raise
        finally:
            self._tokens.append(None)

    def close(self) -> None:
        """Give the files and the lock back. A second call does nothing."""
        self._take_token()
        try:
            self._closed = True
            self._folder.close()
        finally:
            self._tokens.append(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _require_usable(self) -> None:
        if self._closed:
            raise MisuseError("this store is closed: open it again")
        if self._failure is not None:
            what = f"an earlier save failed ({self._failure!r})"
            raise BrokenError(self._file.path, what) from self._failure

    def _take_token(self) -> None:
        # Taking the only token is atomic. Two saves at once would put two contents under one
        # serial; a close during a sync would give the file's handle to somebody else.
        try:
            self._tokens.pop()
        except IndexError:
            raise MisuseError("a save is under way: wait until it is done") from None


def init(
    folder: str | Path,
    owner: Owner,
    *,
    initial: bytes,
    slot_bytes: int = BLOCK_BYTES,
    disk: Disk | None = None,
) -> None:
    """Make a store that holds the state `initial`. The folder is made, too; its parent must exist.

    `slot_bytes` is a multiple of 4,096, and at most 1 MiB: it bounds the state (`capacity`).
    `disk` is the real one unless given.

    Raise StoreExistsError if there is a store, MisuseError if an argument is impossible; then
    nothing was changed. Raise StorageError if the disk fails: remove the folder, and begin again.
    After a crash, call it again.
    """
    header = encode_header(owner, slot_bytes)
    slots = [encode_slot(slot, slot_bytes, 1 + slot, initial, saved=False) for slot in (0, 1)]
    disk = real_disk() if disk is None else disk
    path = Path(folder)
    Folder.make(disk, path)
    with Folder(disk, path.parent) as parent:
        # Also if the folder was there: an earlier init may have been killed before its sync.
        parent.sync()
    with Folder(disk, path) as opened:
        _lock(opened)
        if opened.holds(STATE_FILE):
            raise StoreExistsError(f"{path} holds a store: open it, init another folder")
        file = opened.create(UNFINISHED_FILE)
        file.write(0, header + b"".join(slots))
        file.sync()
        opened.rename(UNFINISHED_FILE, STATE_FILE)
        opened.sync()


def open(  # noqa: A001 - one writes durable.open, as one writes gzip.open
    folder: str | Path,
    *,
    cluster: str | None = None,
    node_id: str | None = None,
    disk: Disk | None = None,
) -> Store:
    """Open the store in this folder, for this process alone, and recover its state.

    `cluster` and `node_id`, if given, are what its owner must say. `disk` is the real one unless
    given.

    Raise LostError, ForeignError or CorruptError if that is the answer, LockedError if a process
    has the store open, another StorageError if the disk fails. Until all has been judged sound,
    nothing is changed.
    """
    opened = Folder(real_disk() if disk is None else disk, Path(folder))
    with ExitStack() as on_failure:
        on_failure.callback(opened.close)
        _lock(opened)
        file = opened.open(STATE_FILE, writable=True)
        content = _read(file)
        _require_owner(content, cluster, node_id)
        newest = _settle(file, content)
        opened.sync()  # init may have been killed between rename and sync
        store = Store(opened, file, content, newest)
        on_failure.pop_all()
    return store


def inspect(folder: str | Path, *, disk: Disk | None = None) -> Report:
    """Say what the folder holds, and whether it is sound. Nothing is mended, no byte is changed.

    While it reads, it holds a shared lock if it can get one: an `open` at that moment raises
    LockedError. Raise StorageError if the disk fails. `disk` is the real one unless given.
    """
    locked = False
    try:
        with Folder(real_disk() if disk is None else disk, Path(folder)) as opened:
            locked = not opened.lock(shared=True)
            return _read(opened.open(STATE_FILE)).report(locked=locked)
    except LostError as error:
        return Report(Answer.LOST, str(error), locked)
    except ForeignError as error:
        return Report(Answer.FOREIGN, str(error), locked)
    except CorruptError as error:
        return Report(Answer.CORRUPT, str(error), locked)


def _lock(folder: Folder) -> None:
    if not folder.lock():
        raise LockedError(folder.path, "another process has this store open")


def _require_owner(content: _Content, cluster: str | None, node_id: str | None) -> None:
    found = content.owner
    for what, wanted, owner in (
        ("cluster", cluster, found.cluster),
        ("node", node_id, found.node_id),
    ):
        if wanted is not None and wanted != owner:
            raise ForeignError(content.path, f"it belongs to {what} {owner!r}, not to {wanted!r}")
