"""`paxos.write_ahead_log` keeps the contract of a log: the suite that anybody may run, on it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from durable.stores import OWNER
from paxos import write_ahead_log
from paxos.disk import Disk
from paxos.testing import WriteAheadLogSuite
from paxos.write_ahead_log import WriteAheadLog


class Kept:
    """A log, and all that is in it."""

    def __init__(self, log: WriteAheadLog, found: dict[int, bytes]) -> None:
        self.log = log
        self.found = found

    @property
    def label(self) -> bytes:
        return self.log.label

    @property
    def batches(self) -> list[bytes]:
        return [self.log.read(position, len(b)) for position, b in self.found.items()]

    def append(self, batch: bytes) -> None:
        self.found[self.log.append(batch)] = batch

    def trim(self, keep: int, label: bytes) -> None:
        kept = list(self.found)[-keep:] if keep else []
        first = min([position >> 32 for position in kept], default=self.log.segments.stop - 1)
        self.log.commit(label, first=first)
        self.found = {p: batch for p, batch in self.found.items() if p >> 32 >= first}

    def close(self) -> None:
        self.log.close()


class TestWriteAheadLog(WriteAheadLogSuite):
    """A few batches in each segment."""

    segment_bytes: ClassVar[int] = 24 * 512

    def create_log(self, disk: Disk, label: bytes) -> None:
        write_ahead_log.init(
            self.folder,
            OWNER,
            label=label,
            segment_bytes=self.segment_bytes,
            manifest_bytes=4096,
            disk=disk,
        )

    def open_log(self, disk: Disk) -> Kept:
        found: dict[int, bytes] = {}
        log = write_ahead_log.open(self.folder, replay=found.__setitem__, disk=disk)
        return Kept(log, found)


class TestWriteAheadLogOfSmallSegments(TestWriteAheadLog):
    """Nearly each batch begins a segment."""

    segment_bytes = 8 * 512


@pytest.mark.long
class TestWriteAheadLogExhaustively(TestWriteAheadLog):
    """Every subset of a batch's unsynced sectors, and whatever else is within reach."""

    power_cuts_at_most = 2**7
    flip_every = 23
    histories = 30
