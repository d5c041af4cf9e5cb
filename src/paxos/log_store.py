"""The memory of a node of a log: its records in a write-ahead log, and a snapshot beside them.

What a `Ready` wants persisted is one `LogState`. `save` appends what is new in it, in one write and
one sync, and `open_log_store` makes a `LogState` of what is there again (`paxos.log_recovery`).
Slots that are chosen are forgotten by the machine; here they stay, for whoever has missed them,
until a snapshot holds them and `trim` drops them.

What is chosen below a slot is known here from three sides: a mark in the log, the snapshot, and the
last state that was saved, which may have come without a mark. For each slot from `first_kept` up to
there, the newest vote in the log is what was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from paxos import write_ahead_log
from paxos.durable import Disk, FullError, Owner
from paxos.errors import FaultError, MisuseError
from paxos.log.configurations import Configurations
from paxos.log.entries import Entry
from paxos.log.state import ChosenRecord, LogState, PromiseRecord, Record, VoteRecord, records_since
from paxos.log_anchor import Anchor, SnapshotInfo, decode_anchor, encode_anchor
from paxos.log_codec import MAX_PAGE, RECORD_HEADER_BYTES, Encoder, decode_proposal
from paxos.log_recovery import Found, recovered
from paxos.messages import Proposal
from paxos.snapshot_files import SnapshotReader, SnapshotWriter
from paxos.write_ahead_log import SEGMENT_BYTES, WriteAheadLog

__all__ = [
    "IncomingSnapshot",
    "LogStore",
    "SnapshotInfo",
    "SnapshotRefusedError",
    "create_log_store",
    "open_log_store",
]

MANIFEST_BYTES = 64 << 10
"""Room for some hundred members in all configurations that wait to govern. It is written once for
each segment."""


_MAX_HEAD_BYTES = 320
"""Of a promise and a mark: two headers, a number, and a name of 64 characters."""


class SnapshotRefusedError(FaultError):
    """These bytes are not the snapshot that was announced. All of them are refused."""


class IncomingSnapshot:
    """A snapshot on its way in: it is written as it comes, and is nothing until it is installed."""

    def __init__(self, info: SnapshotInfo, writer: SnapshotWriter) -> None:
        self.info = info
        self.writer = writer

    @property
    def wanted(self) -> int:
        """From which byte on the next chunk must begin."""
        return self.writer.size

    @property
    def is_whole(self) -> bool:
        """Whether all its bytes have come."""
        return self.writer.size == self.info.size

    def add(self, offset: int, data: bytes) -> int:
        """Take a chunk, if it is the next one; return from which byte on the next must begin.

        Raise SnapshotRefusedError if there is more than was announced, FullError if there is no
        room: then all that came is given up.
        """
        if offset != self.wanted:
            return self.wanted  # a repetition, or one that overtook another
        if offset + len(data) > self.info.size:
            self.writer.abandon()
            raise SnapshotRefusedError(f"more than the {self.info.size} bytes that were announced")
        try:
            self.writer.add(data)
        except BaseException:
            self.writer.abandon()
            raise
        return self.wanted

    def give_up(self) -> None:
        """Remove what has come. A second call does nothing."""
        self.writer.abandon()


class LogStore:
    """An open store: see `open_log_store`. As a context manager, it closes itself.

    All calls block, and belong to one thread at a time. What raises a StorageError other than
    FullError is final, as in `paxos.write_ahead_log`.
    """

    def __init__(self, log: WriteAheadLog, found: Found, encoder: Encoder) -> None:
        self.owner = log.owner
        """Whose store it is."""

        self.report = log.report
        """What opening found."""

        self.state: LogState[bytes] = found.state
        """What is on stable storage: what was recovered, or saved since."""

        self._log = log
        self._anchor = found.anchor
        self._index = found.index
        self._encoder = encoder
        self._chosen_below = found.state.chosen_below  # known here; the mark on disk may lag
        self._marked_below = found.marked_below
        self._promise = PromiseRecord(found.state.ballot, found.state.promised)  # newest on disk

    @property
    def window(self) -> int:
        """How many slots after a change of the members it takes effect. It never changes."""
        return self._anchor.window

    @property
    def first_kept(self) -> int:
        """The trim point: below it the log has no entries any more."""
        return self._anchor.first_kept

    @property
    def chosen_below(self) -> int:
        """Below it, and from `first_kept` on, `entries` gives what was chosen."""
        return self._chosen_below

    @property
    def snapshot(self) -> SnapshotInfo | None:
        """The newest snapshot, if there is one."""
        return self._anchor.snapshot

    @property
    def sync_count(self) -> int:
        """How many syncs were asked of the disk since it was opened."""
        return self._log.sync_count

    @property
    def full(self) -> FullError | None:
        """Why there is only the reserve left, or None."""
        return self._log.full

    @property
    def segments(self) -> int:
        """How many segments the log has."""
        return len(self._log.segments)

    def save(self, state: LogState[bytes]) -> None:
        """Return when this state is on stable storage. If nothing in it is new, write nothing.

        Raise FullError if the disk is full: the state is not saved, perhaps a part of its records;
        the store goes on, and `close` has the reserve to stop in order.
        """
        records = records_since(self.state, state)
        if records:
            self._append(records, from_reserve=False)
            self.state = state
        self._chosen_below = max(self._chosen_below, state.chosen_below)

    def entries(
        self, slot: int, max_bytes: int, *, at_most: int = MAX_PAGE
    ) -> tuple[Proposal[Entry[bytes]], ...]:
        """What was chosen in this slot and those after it: a page of so many bytes, at least one.

        None if nothing is known to be chosen there. `at_most` bounds the number of entries.

        Raise MisuseError for a slot below `first_kept`: who needs it needs the snapshot. Raise
        CorruptError for rot.
        """
        if slot < self.first_kept:
            raise MisuseError(f"slot {slot} is trimmed: send the snapshot")
        page: list[Proposal[Entry[bytes]]] = []
        for number in range(slot, min(slot + at_most, self._chosen_below)):
            position, length = self._index.place(number)
            max_bytes -= length
            if page and max_bytes < 0:
                break
            page.append(decode_proposal(self._log.read(position, length)))
        return tuple(page)

    def save_snapshot(
        self,
        chosen_below: int,
        configurations: Configurations,
        chunks: Iterable[bytes],
        *,
        digest: bytes | None = None,
        manifest: bytes = b"",
    ) -> SnapshotInfo:
        """Write a snapshot that holds all slots below `chosen_below`, and take it on.

        `manifest` is whatever else belongs to it. Raise SnapshotRefusedError if the chunks have
        another digest (BLAKE2b, 32 bytes) than this one. Raises as `install` does.
        """
        writer = self._log.write_snapshot()
        try:
            for chunk in chunks:
                writer.add(chunk)
        except BaseException:
            writer.abandon()
            raise
        own = writer.digest() if digest is None else digest
        info = SnapshotInfo(chosen_below, configurations, writer.size, own, manifest)
        self.install(IncomingSnapshot(info, writer))
        return info

    def receive_snapshot(self, info: SnapshotInfo) -> IncomingSnapshot:
        """Begin to take another node's snapshot. Add its chunks, then `install` it."""
        return IncomingSnapshot(info, self._log.write_snapshot())

    def install(self, incoming: IncomingSnapshot) -> None:
        """Take on a snapshot, in the place of the one that is there: all of it, or nothing.

        If it is ahead of the log, the log's entries below it are void. Raise SnapshotRefusedError
        if it is not whole, or not what was announced; FullError if there is no room; MisuseError
        if the one that is there holds more. Then all that came is given up.
        """
        info = incoming.info
        try:
            self._require_installable(incoming)
            is_ahead = info.chosen_below > self._chosen_below
            first_kept = info.chosen_below if is_ahead else self.first_kept
            anchor = replace(self._anchor, snapshot=info, first_kept=first_kept)
            self._log.commit(encode_anchor(anchor), snapshot=incoming.writer)
        except BaseException:
            incoming.give_up()
            raise
        self._anchor = anchor
        self._index.forget_below(first_kept)
        if is_ahead:
            self._chosen_below = info.chosen_below
            self.state = ahead(self.state, info)

    def open_snapshot(self) -> SnapshotReader | None:
        """Open the newest snapshot, to be read from any place; whoever asks closes it.

        It stays readable when a newer one is installed. `check` says whether it is whole.
        """
        return self._log.snapshot()

    def trim(self, keep: int = 0) -> int:
        """Drop old segments that hold nothing but what the snapshot holds, too; return how many.

        Of the slots below the snapshot the newest `keep` stay, for the slow.
        """
        snapshot = self.snapshot
        if snapshot is None:
            return 0
        numbers = self._log.segments
        first = self._index.first_needed(numbers, snapshot.chosen_below - keep)
        if first == numbers.start:
            return 0
        first_kept = max(self.first_kept, self._index.highest_before(first) + 1)
        anchor = replace(self._anchor, first_kept=first_kept)
        self._log.commit(encode_anchor(anchor), first=first)
        self._anchor = anchor
        self._index.forget_below(first_kept)
        self._index.forget_segments_before(first)
        return first - numbers.start

    def close(self, state: LogState[bytes] | None = None) -> None:
        """Write what this state has beyond the last one that was saved, and give all back.

        It may use the reserve of a full disk. Without a state, the mark of what is chosen is
        written alone, if it lags. A second call does nothing.
        """
        try:
            if not self._log.is_usable:
                return
            state = self.state if state is None else state
            records = [*records_since(self.state, state)]
            below = max(self._chosen_below, state.chosen_below)
            if below > self._marked_below and not any(isinstance(r, ChosenRecord) for r in records):
                records.append(ChosenRecord(below))
            if records:
                with suppress(FullError):  # then nothing of it was ever promised to anybody
                    self._append(tuple(records), from_reserve=True)
        finally:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, records: tuple[Record[bytes], ...], *, from_reserve: bool) -> None:
        """Append records in as few batches as hold them: one, unless they are very large."""
        room = self._log.capacity - _MAX_HEAD_BYTES
        batch: list[tuple[Record[bytes], bytes]] = []
        size = 0
        for record in records:
            data = self._encoder.record(record)
            if batch and size + len(data) > room:
                self._append_batch(batch, from_reserve=from_reserve)
                batch, size = [], 0
            batch.append((record, data))
            size += len(data)
        self._append_batch(batch, from_reserve=from_reserve)

    def _append_batch(
        self, batch: list[tuple[Record[bytes], bytes]], *, from_reserve: bool
    ) -> None:
        payload = b"".join([data for _, data in batch])
        at = self._log.append(payload, self._head(), from_reserve=from_reserve)
        for record, data in batch:
            match record:
                case VoteRecord(slot):
                    length = len(data) - RECORD_HEADER_BYTES
                    self._index.put(slot, at + RECORD_HEADER_BYTES, length)
                case PromiseRecord():
                    self._promise = record
                case ChosenRecord(below):
                    self._marked_below = max(self._marked_below, below)
            at += len(data)

    def _head(self) -> bytes:
        """What a segment begins with, so that the newest promise and mark outlive all trimming."""
        mark = ChosenRecord(self._chosen_below)
        return self._encoder.record(self._promise) + self._encoder.record(mark)

    def _require_installable(self, incoming: IncomingSnapshot) -> None:
        info = incoming.info
        if not incoming.is_whole or incoming.writer.digest() != info.digest:
            raise SnapshotRefusedError(
                f"{incoming.wanted} bytes that are not the snapshot of {info.size} bytes announced"
            )
        if self.snapshot is not None and info.chosen_below < self.snapshot.chosen_below:
            raise MisuseError(
                f"a snapshot of the slots below {info.chosen_below}, but the one that is there has"
                f" those below {self.snapshot.chosen_below}: keep it"
            )


def ahead(state: LogState[bytes], snapshot: SnapshotInfo) -> LogState[bytes]:
    """The state once a snapshot is installed that is ahead of it."""
    first = max(state.first, snapshot.chosen_below)
    return replace(
        state,
        first=first,
        votes=state.votes[first - state.first :],
        chosen_below=snapshot.chosen_below,
        configurations=snapshot.configurations,
    )


def create_log_store(
    folder: str | Path,
    owner: Owner,
    configurations: Configurations,
    *,
    window: int,
    segment_bytes: int = SEGMENT_BYTES,
    manifest_bytes: int = MANIFEST_BYTES,
    disk: Disk | None = None,
) -> None:
    """Make the memory of a node that has never run. Nothing else ever makes one.

    `configurations` say who decides from slot 0 on, and `window` how many slots after a change it
    takes effect; both are kept. A segment must hold the largest entry and some more; the default
    holds any. Raises what `write_ahead_log.init` raises.
    """
    anchor = Anchor(window, configurations, 0, None)
    write_ahead_log.init(
        folder,
        owner,
        label=encode_anchor(anchor),
        segment_bytes=segment_bytes,
        manifest_bytes=manifest_bytes,
        disk=disk,
    )


def open_log_store(
    folder: str | Path,
    *,
    cluster: str | None = None,
    node_id: str | None = None,
    encoder: Encoder | None = None,
    disk: Disk | None = None,
) -> LogStore:
    """Open the memory of a node, for this process alone, and recover its state.

    `encoder` may be that of the network, so that a proposal is encoded once for both. Raises what
    `write_ahead_log.open` raises, and CorruptError for records that no node of a log ever wrote.
    """
    path = Path(folder)
    found = Found(path)
    log = write_ahead_log.open(
        path, cluster=cluster, node_id=node_id, replay=found.replay, disk=disk
    )
    try:
        recovered(found, decode_anchor(path, log.label), log.read)
        return LogStore(log, found, Encoder() if encoder is None else encoder)
    except BaseException:
        log.close()
        raise
