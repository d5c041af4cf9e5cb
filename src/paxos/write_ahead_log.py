"""A write-ahead log: batches of bytes are appended, and after a crash the same batches come out.

A log is a folder with a store of `paxos.durable`, whose small state is the *manifest*: which
segments belong to the log, and a *label*, bytes that whoever uses the log may change with it. A
segment is a file; `paxos.segments` says how it is laid out, and what its end means after a crash.
Here is what is done in which order:

- `init` alone makes a log. `open` never makes one, and ends with a write, as that of `durable`.
- `append` writes a batch behind the last one, syncs once, and returns. A failure is final.
- A segment is made ahead of its time, as the *spare*: filled with free sectors, synced, and only
  then given its name. When a batch does not fit any more, it begins the spare, behind a *head*
  that its caller gives: what must not be lost with the segments before. That is synced before the
  manifest names the segment. So a segment that the manifest names has a whole first batch.
- Then the next spare is made. If the disk is full, there is none, and all of the segment that was
  just begun is a reserve: `append` takes only what is allowed to use it (see `FullError` there).
- A snapshot is written beside all this, and synced. `commit` takes it on, changes the label, and
  drops old segments, in one step: that of the manifest. What was dropped is removed after.

A log knows bytes, not Paxos.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from paxos import durable
from paxos.disk import Disk, File, Folder, real_disk
from paxos.durable import Answer, BrokenError, CorruptError, ForeignError, Owner
from paxos.errors import MisuseError
from paxos.segment_files import (
    NOTHING_READ,
    PREFIX,
    Content,
    Manifest,
    Replay,
    find_spare,
    make_spare,
    most_bytes,
    open_segment,
    position_of,
    read_segments,
    segment_name,
)
from paxos.segments import (
    PAYLOAD_BYTES,
    encode_batch,
    encode_header,
    piece_of,
    salt_of,
    sectors_for,
)
from paxos.slots import BLOCK_BYTES, SECTOR_BYTES
from paxos.snapshot_files import PREFIX as SNAPSHOT_PREFIX
from paxos.snapshot_files import SnapshotID, SnapshotReader, SnapshotWriter, snapshot_name
from paxos.storage_errors import FullError, LockedError

__all__ = ["Replay", "Report", "WriteAheadLog", "init", "inspect", "open"]

SEGMENT_BYTES = 16 << 20
"""By default. Larger ones are trimmed later, smaller ones rolled over more often."""

MAX_SEGMENT_BYTES = 1 << 30
MANIFEST_BYTES = 32 << 10
"""Of a slot of the manifest, by default: room for a label of some 31,000 bytes."""

_MAX_OPEN_SEGMENTS = 16


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a folder, before anything was mended."""

    answer: Answer
    what: str
    """The answer in more words."""

    locked: bool = False
    """Another process has the log open. What it writes while we read may look like damage."""

    owner: Owner | None = None
    label: bytes | None = None
    batches: int = 0
    segments: int = 0

    torn: bool = False
    """A batch was cut off. It was never acknowledged, and is left out."""

    bad: tuple[int, ...] = ()
    """Where bad sectors begin behind the last batch, in bytes from the start of its segment."""


class WriteAheadLog:
    """An open log: see `open`. As a context manager, it closes itself.

    It belongs to one thread at a time: while a call is under way, all else raises MisuseError.
    """

    def __init__(
        self, store: durable.Store, folder: Folder, manifest: Manifest, content: Content
    ) -> None:
        self.owner = store.owner
        """Whose log it is."""

        self.report = Report(
            Answer.SOUND if manifest.last else Answer.FRESH,
            content.what,
            owner=store.owner,
            label=manifest.label,
            batches=content.batches,
            segments=manifest.last - manifest.first + 1,
            torn=content.torn,
            bad=content.bad,
        )
        """What `open` found."""

        self.sync_count = 0
        """How many syncs it has asked of the disk since it was opened."""

        self.full: FullError | None = None
        """Why there is no spare segment. As long as that is so, only the reserve is left."""

        self._store = store
        self._folder = folder
        self._manifest = manifest
        self._serial = content.serial
        self._end = content.end
        self._file: File | None = None
        self._salt = salt_of(self.owner, manifest.last)
        self._spare: File | None = None
        self._readers: dict[int, File] = {}
        self._snapshots = manifest.snapshot.number
        self._failure: BaseException | None = None
        self._closed = False
        self._tokens = [None]
        self._settle(content)

    @property
    def label(self) -> bytes:
        """What was committed last."""
        return self._manifest.label

    @property
    def segments(self) -> range:
        """The numbers of the segments that belong to the log."""
        return range(self._manifest.first, self._manifest.last + 1)

    @property
    def capacity(self) -> int:
        """How many bytes a batch may have, its head included."""
        return most_bytes(self._manifest.segment_bytes) // SECTOR_BYTES * PAYLOAD_BYTES

    @property
    def is_usable(self) -> bool:
        """Whether it takes batches: it is open, and nothing has failed."""
        return not self._closed and self._failure is None

    def append(self, payload: bytes, head: bytes = b"", *, from_reserve: bool = False) -> int:
        """Return when this batch is on stable storage: the position at which it begins.

        If it begins a new segment, `head` stands there before it; the position is still that of
        the payload's first byte.

        Raise FullError if there is no room for a spare segment, unless the batch may be taken
        `from_reserve` and fits there; raise MisuseError if it is larger than `capacity`. In both
        cases nothing has happened, and the log goes on. Raise another StorageError if the disk
        fails: nobody knows whether the batch is there, and all that follows raises BrokenError.
        """
        if len(payload) + len(head) > self.capacity:
            raise MisuseError(
                f"a batch of {len(payload)} bytes and a head of {len(head)}: this log takes"
                f" {self.capacity} together. Append less at a time"
            )
        with self._turn():
            room = self._manifest.segment_bytes - self._end if self._file is not None else 0
            fits = sectors_for(len(payload)) * SECTOR_BYTES <= room
            if not (fits and from_reserve):
                self._require_spare()
            with self._final():
                return self._append(payload) if fits else self._begin_segment(payload, head)

    def begin_segment(self, head: bytes) -> int:
        """Begin a new segment with this head, so that all before it can be dropped.

        Return and raise as `append` does, with an empty batch.
        """
        with self._turn():
            self._require_spare()
            with self._final():
                return self._begin_segment(b"", head)

    def read(self, position: int, length: int) -> bytes:
        """Return so many bytes of a batch, from this position on.

        Raise CorruptError if they have rotted.
        """
        number, offset = position >> 32, position & 0xFFFF_FFFF
        with self._turn():
            file = self._reader(number)
            sector, within = divmod(offset, PAYLOAD_BYTES)
            count = sectors_for(within + length)
            sectors = file.read_at(sector * SECTOR_BYTES, count * SECTOR_BYTES)
            piece, bad = piece_of(sectors, salt_of(self.owner, number), within, length)
        if bad is not None:
            raise CorruptError(file.path, sector * SECTOR_BYTES + bad, "a sector has rotted")
        return piece

    def write_snapshot(self) -> SnapshotWriter:
        """Begin to write a snapshot beside the one that is there. `commit` takes it on.

        A failure here, or of what is returned, does not touch the log.
        """
        with self._turn():
            self._snapshots += 1
            return SnapshotWriter(self._folder, self.owner, self._snapshots)

    def snapshot(self) -> SnapshotReader | None:
        """Open the snapshot that belongs to the log, if there is one. Whoever asks closes it."""
        with self._turn():
            if not self._manifest.snapshot.number:
                return None
            return SnapshotReader(self._folder, self.owner, self._manifest.snapshot)

    def commit(
        self, label: bytes, *, first: int | None = None, snapshot: SnapshotWriter | None = None
    ) -> None:
        """Change the label, drop all segments before `first`, take on a snapshot: all, or nothing.

        Return when that is on stable storage. The newest segment cannot be dropped.
        Raise MisuseError if the label is too long or `first` impossible, FullError if there is no
        room to finish the snapshot: nothing has happened. Raise another StorageError if the disk
        fails, as `append` does.
        """
        first = self._manifest.first if first is None else first
        with self._turn():
            if not self._manifest.first <= first <= max(self._manifest.last, 1):
                raise MisuseError(f"segment {first} is none that the log can begin with")
            manifest = replace(self._manifest, first=first, label=label)
            if len(manifest.encode()) > self._store.capacity:
                raise MisuseError(f"a label of {len(label)} bytes: init the log with more room")
            if snapshot is not None:
                manifest = replace(manifest, snapshot=self._finished(snapshot))
            old = self._manifest
            with self._final():
                self._save(manifest)
                if 0 < old.snapshot.number < manifest.snapshot.number:
                    self._folder.remove(snapshot_name(old.snapshot.number))
                for number in range(old.first, first):
                    self._drop(number)

    def _finished(self, snapshot: SnapshotWriter) -> SnapshotID:
        """Finish a snapshot. No room for it does the log no harm; any other failure is final."""
        try:
            finished = snapshot.finish()
        except FullError:
            raise
        except BaseException as failure:
            self._failure = failure
            raise
        self.sync_count += 2
        return finished

    def close(self) -> None:
        """Give the files and the lock back. A second call does nothing."""
        self._take_token()
        try:
            self._closed = True
            with ExitStack() as both:
                both.callback(self._store.close)
                both.callback(self._folder.close)
        finally:
            self._tokens.append(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _settle(self, content: Content) -> None:
        """End opening with a write: what was read may never have reached the disk.

        Each batch was synced before the next was begun, so it is enough to write the last one
        anew, and free sectors wherever an unfinished one may have left something. They are
        written whether or not they are free now: what an earlier opening wiped may still be on the
        disk, if its sync failed.
        """
        if self._manifest.last:
            self._file = open_segment(
                self._folder, self._manifest.last, self._manifest.segment_bytes, writable=True
            )
            seen = self._file.read_at(content.settle_at, len(content.seen))
            if seen != content.seen:
                raise LockedError(self._file.path, "another process has just written to this log")
            self._file.write(content.settle_at, content.settle)
            self._sync(self._file)
        wanted = {segment_name(number) for number in (*self.segments, self._manifest.last + 1)}
        wanted.add(snapshot_name(self._manifest.snapshot.number))
        for name in self._folder.names():
            if name.startswith((PREFIX, SNAPSHOT_PREFIX)) and name not in wanted:
                self._folder.remove(name)
        self._take_spare(find_spare)
        self._folder.sync()

    def _require_spare(self) -> None:
        """Raise FullError if there is no spare segment, and no room to make one."""
        if self._spare is None:
            with self._final():
                self._take_spare(make_spare)
            if self.full is not None:
                raise self.full

    def _take_spare(self, make: Callable[[Folder, Owner, int, int], File]) -> None:
        number = self._manifest.last + 1
        try:
            self._spare = make(self._folder, self.owner, number, self._manifest.segment_bytes)
            self.full = None
            self.sync_count += 2
        except FullError as error:
            self.full = error

    def _append(self, payload: bytes) -> int:
        """Write a batch behind the last one."""
        file = self._file
        assert file is not None  # noqa: S101 - what does not fit anywhere begins a segment
        image = encode_batch(payload, self._serial, self._salt)
        file.write(self._end, image)
        self._sync(file)
        position = position_of(self._manifest.last, self._end)
        self._end += len(image)
        self._serial += 1
        return position

    def _begin_segment(self, payload: bytes, head: bytes) -> int:
        """Begin the spare segment with a batch, and make the next spare."""
        file, number = self._spare, self._manifest.last + 1
        assert file is not None  # noqa: S101 - whoever comes here has looked for it
        salt, size = salt_of(self.owner, number), self._manifest.segment_bytes
        header = encode_header(self.owner, number, size, self._serial)
        image = header + encode_batch(head + payload, self._serial, salt)
        file.write(0, image)
        self._sync(file)
        self._save(replace(self._manifest, last=number))
        if self._file is not None:
            self._file.close()
        self._file, self._salt, self._end, self._spare = file, salt, len(image), None
        self._serial += 1
        self._take_spare(make_spare)
        return position_of(number, SECTOR_BYTES) + len(head)

    def _save(self, manifest: Manifest) -> None:
        self._store.save(manifest.encode())
        self.sync_count += 1
        self._manifest = manifest

    def _sync(self, file: File) -> None:
        file.sync()
        self.sync_count += 1

    def _reader(self, number: int) -> File:
        """Return an open segment. Few are kept open, the ones asked for last."""
        if number not in self.segments:
            raise MisuseError(f"segment {number} does not belong to the log (any more)")
        file = self._readers.pop(number, None)
        if file is None:
            if len(self._readers) >= _MAX_OPEN_SEGMENTS:
                self._readers.pop(next(iter(self._readers))).close()
            file = open_segment(self._folder, number, self._manifest.segment_bytes)
        self._readers[number] = file
        return file

    def _drop(self, number: int) -> None:
        if number in self._readers:
            self._readers.pop(number).close()
        self._folder.remove(segment_name(number))

    @contextmanager
    def _turn(self) -> Generator[None, None, None]:
        """Keep all other calls out."""
        self._take_token()
        try:
            self._require_usable()
            yield
        finally:
            self._tokens.append(None)

    @contextmanager
    def _final(self) -> Generator[None, None, None]:
        """Let a failure be the last: an interrupt, too, leaves things half done."""
        try:
            yield
        except BaseException as failure:
            self._failure = failure
            raise

    def _require_usable(self) -> None:
        if self._closed:
            raise MisuseError("this log is closed: open it again")
        if self._failure is not None:
            what = f"an earlier call failed ({self._failure!r})"
            raise BrokenError(self._folder.path, what) from self._failure

    def _take_token(self) -> None:
        # See `durable.Store`: two appends at once would put two contents in one place.
        try:
            self._tokens.pop()
        except IndexError:
            raise MisuseError("a call to this log is under way: wait until it is done") from None


def init(
    folder: str | Path,
    owner: Owner,
    *,
    label: bytes = b"",
    segment_bytes: int = SEGMENT_BYTES,
    manifest_bytes: int = MANIFEST_BYTES,
    disk: Disk | None = None,
) -> None:
    """Make a log without a batch, with this label. The folder is made; its parent must exist.

    `segment_bytes` is a multiple of 512; `manifest_bytes`, as the slots of `durable.init`, one of
    4,096: it bounds the label. `disk` is the real one unless given. Raises as `durable.init` does.
    """
    if segment_bytes % SECTOR_BYTES or not BLOCK_BYTES <= segment_bytes <= MAX_SEGMENT_BYTES:
        raise MisuseError(
            f"a segment has a multiple of {SECTOR_BYTES} bytes, {BLOCK_BYTES} to"
            f" {MAX_SEGMENT_BYTES}: not {segment_bytes}"
        )
    initial = Manifest(segment_bytes, label=label).encode()
    durable.init(folder, owner, initial=initial, slot_bytes=manifest_bytes, disk=disk)


def open(  # noqa: A001 - as `durable.open` has it
    folder: str | Path,
    *,
    cluster: str | None = None,
    node_id: str | None = None,
    replay: Replay = lambda position, payload: None,
    disk: Disk | None = None,
) -> WriteAheadLog:
    """Open the log in this folder, for this process alone, and hand each batch to `replay`.

    Raises what `durable.open` does. If it raises, all that `replay` got is void, and no segment
    was changed. A full disk does not keep it from opening: see `WriteAheadLog.full`.
    """
    disk, path = real_disk() if disk is None else disk, Path(folder)
    # All is judged first, since opening the manifest may mend it. Only then is the log locked; so
    # what was judged is compared with what is there once it is.
    found = durable.inspect(path, disk=disk)
    if found.locked:
        raise LockedError(path, "another process has this log open")
    content = NOTHING_READ
    if found.owner is not None and found.state is not None:
        with Folder(disk, path) as opened:
            manifest = Manifest.decode(path, found.state)
            content = _read(opened, found.owner, manifest, replay)
    store = durable.open(path, cluster=cluster, node_id=node_id, disk=disk)
    with ExitStack() as on_failure:
        on_failure.callback(store.close)
        if store.state != found.state:
            raise LockedError(path, "another process has just written to this log")
        opened = on_failure.enter_context(Folder(disk, path))
        log = WriteAheadLog(store, opened, Manifest.decode(path, store.state), content)
        on_failure.pop_all()
    return log


def _read(folder: Folder, owner: Owner, manifest: Manifest, replay: Replay) -> Content:
    """Read all that the manifest names. Of a snapshot only that it is there: see its `check`."""
    if manifest.snapshot.number:
        SnapshotReader(folder, owner, manifest.snapshot).close()
    return read_segments(folder, owner, manifest, replay)


def inspect(folder: str | Path, *, disk: Disk | None = None) -> Report:
    """Say what the folder holds, and whether it is sound. Nothing is mended, no byte is changed.

    While the log is open elsewhere, what is written meanwhile may look like damage. Raise
    StorageError if the disk fails. `disk` is the real one unless given.
    """
    disk = real_disk() if disk is None else disk
    found = durable.inspect(folder, disk=disk)
    if found.state is None:
        return Report(found.answer, found.what, found.locked, found.owner, bad=found.bad)
    assert found.owner is not None  # noqa: S101 - a state has an owner beside it
    try:
        manifest = Manifest.decode(Path(folder), found.state)
        with Folder(disk, Path(folder)) as opened:
            content = _read(opened, found.owner, manifest, lambda position, payload: None)
    except (ForeignError, CorruptError) as error:
        answer = Answer.CORRUPT if isinstance(error, CorruptError) else Answer.FOREIGN
        return Report(answer, str(error), found.locked, found.owner)
    return Report(
        Answer.SOUND if manifest.last else Answer.FRESH,
        content.what,
        found.locked,
        found.owner,
        manifest.label,
        content.batches,
        manifest.last - manifest.first + 1,
        content.torn,
        content.bad,
    )
