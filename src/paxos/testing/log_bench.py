"""The bench for a write-ahead log: what a tester gives, and a log that is looked at as a store.

A log whose newest batch is taken for a state is a store: so all of `StoreSuite` holds for it, and
`LogBench` makes one of the other. What a log owes beyond that is in `paxos.testing.log_suite`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Protocol

from paxos.durable import Disk
from paxos.sim.disk_state import DiskState
from paxos.sim.simulated_disk import SimulatedDisk
from paxos.testing.contract import ContractError, demand, short
from paxos.testing.store_bench import StoreBench


class LogUnderTest(Protocol):
    """What the suite asks of an open log."""

    @property
    def label(self) -> bytes:
        """What was given on creation, or by the last `trim`."""
        ...

    @property
    def batches(self) -> Sequence[bytes]:
        """All that it still holds, the oldest first: found on opening, or appended since."""
        ...

    def append(self, batch: bytes) -> None:
        """Return when this batch is on stable storage, behind all others."""
        ...

    def trim(self, keep: int, label: bytes) -> None:
        """Change the label, and forget old batches; of the newest, so many must stay."""
        ...

    def close(self) -> None:
        """Give everything back, the lock included."""
        ...


class NewestBatch:
    """A store on a log: its state is the newest batch, or the label if there is none."""

    def __init__(self, log: LogUnderTest) -> None:
        self._log = log

    @property
    def state(self) -> bytes:
        """See `StoreUnderTest`."""
        return self._log.batches[-1] if self._log.batches else self._log.label

    def save(self, state: bytes) -> None:
        """See `StoreUnderTest`."""
        self._log.append(state)

    def close(self) -> None:
        """See `StoreUnderTest`."""
        self._log.close()


class LogBench(StoreBench):
    """What a tester gives, and what the parts of the suite share."""

    batch_sizes: ClassVar[tuple[int, ...]] = (1, 600, 0, 3000, 40, 1500, 488, 489)
    """How large the appended batches are, in bytes, one after the other, and again."""

    def create_log(self, disk: Disk, label: bytes) -> None:
        """Make a log in `folder` that holds no batch, with this label."""
        raise NotImplementedError("a log's suite needs a method create_log(self, disk, label)")

    def open_log(self, disk: Disk) -> LogUnderTest:
        """Open the log in `folder`, for one process alone."""
        raise NotImplementedError("a log's suite needs a method open_log(self, disk)")

    def create(self, disk: Disk, initial: bytes) -> None:
        """Make a log that is a store with this initial state."""
        self.create_log(disk, initial)

    def open(self, disk: Disk) -> NewestBatch:
        """Open the log as a store."""
        return NewestBatch(self.open_log(disk))

    def batch(self, number: int) -> bytes:
        """Return a batch that says everywhere which one it is."""
        size = self.batch_sizes[number % len(self.batch_sizes)]
        return (b"%07d," % number * (size // 8 + 1))[:size]

    def log_with(self, count: int) -> SimulatedDisk:
        """Return a disk with a log of so many batches, which was closed."""
        disk = SimulatedDisk()
        self.create_log(disk, b"label")
        log = self.open_log(disk)
        for number in range(count):
            log.append(self.batch(number))
        log.close()
        return disk

    def look_at_log(self, state: DiskState, how: object) -> tuple[bytes, tuple[bytes, ...]] | None:
        """Return the label and the batches of the log on this disk; None if it is at fault."""
        found: list[tuple[bytes, tuple[bytes, ...]]] = []

        def look() -> None:
            log = self.open_log(SimulatedDisk(state))
            found.append((log.label, tuple(log.batches)))
            log.close()

        fault = self.attempt(f"{how}\nThen open", look)
        return None if fault is not None else found[0]

    def require_batches(
        self, state: DiskState, right: Sequence[int], how: object, *, or_fault: bool = False
    ) -> None:
        """Demand that the log on this disk holds the first so many batches: one of these counts."""
        found = self.look_at_log(state, how)
        if found is None:
            demand(or_fault, f"{how}\nBut open raised a fault")
            return
        _, batches = found
        wanted = tuple(map(self.batch, range(len(batches))))
        if len(batches) not in right or batches != wanted:
            differs = next(
                (n for n, batch in enumerate(batches) if batch != wanted[n]), len(batches)
            )
            gave = f"{len(batches)} batches"
            if differs < len(batches):
                gave += f", and number {differs} is {short(batches[differs])}"
            counts = " or ".join(map(str, right))
            raise ContractError(
                f"{how}\nRight would have been {counts} batches. But open gave {gave}."
            )

    def fault_of(self, log: LogUnderTest, batch: bytes) -> Exception | None:
        """Return the fault that an append ends with, or None if it returns."""
        return self.attempt("append", partial(log.append, batch))
