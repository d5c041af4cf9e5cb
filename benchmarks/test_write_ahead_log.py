"""How fast the memory of a log is: saves, against bare writes and syncs of as many bytes; opening.

A save is all that a `Ready` wants persisted: here one vote for one slot, and the mark of what is
chosen.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paxos.disk import PosixDisk
from paxos.durable import Owner
from paxos.log.configurations import Configurations
from paxos.log.entries import Commands, Configuration, Member
from paxos.log_store import LogStore, create_log_store, open_log_store
from paxos.messages import Proposal
from paxos.proposal_id import ProposalID

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="compares with fdatasync")


def saves(count: int) -> pytest.MarkDecorator:
    """The group of saves of so many commands."""
    group = f"saves of {count} commands of 100 bytes"
    return pytest.mark.benchmark(group=group, min_rounds=2000, max_time=3, warmup=True)


BALLOT = ProposalID(1, "A")
THREE = Configurations.fixed(Configuration.of(Member(name, f"{name}1") for name in "ABC"))
PREALLOCATED = 64 << 20


class Unsynced(PosixDisk):
    """For what is prepared, and measured by nobody."""

    def sync(self, file: int) -> None:
        pass


def made(folder: Path, *, synced: bool = True) -> LogStore:
    owner = Owner("benchmark", "A", "first")
    create_log_store(folder, owner, THREE, window=64)
    return open_log_store(folder, disk=None if synced else Unsynced())


def saver(store: LogStore, commands: int) -> Callable[[], None]:
    """What saves one more slot, each time it is called."""
    state = replace(store.state, ballot=1, promised=BALLOT)
    slots = itertools.count(state.first)

    def save() -> None:
        nonlocal state
        slot = next(slots)
        batch = Commands(tuple([b"%020d" % n + bytes(80) for n in range(commands)]))
        vote = Proposal(BALLOT, batch)
        state = replace(state, first=slot, votes=(vote,), chosen_below=slot)
        store.save(state)

    return save


def bare(benchmark: Any, folder: Path, size: int) -> None:
    """Write so many bytes behind the last ones, in a file that is there as a whole, and sync."""
    benchmark.extra_info["is_baseline"] = True
    file = os.open(folder / "bare", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, bytes(PREALLOCATED), 0)
    os.fsync(file)
    offsets = itertools.cycle(range(0, PREALLOCATED - size, size))
    block = bytes(range(256)) * (size // 256)

    def save() -> None:
        os.pwrite(file, block, next(offsets))
        os.fdatasync(file)

    benchmark(save)
    os.close(file)


@saves(1)
def test_bare_write_of_a_sector_and_sync(benchmark: Any, tmp_path: Path) -> None:
    bare(benchmark, tmp_path, 512)


@saves(1)
def test_save_of_a_command(benchmark: Any, tmp_path: Path) -> None:
    benchmark.extra_info["wanted"] = 0.7
    with made(tmp_path / "log") as store:
        benchmark(saver(store, 1))


@saves(64)
def test_bare_write_of_14_sectors_and_sync(benchmark: Any, tmp_path: Path) -> None:
    bare(benchmark, tmp_path, 14 * 512)


@saves(64)
def test_save_of_64_commands(benchmark: Any, tmp_path: Path) -> None:
    benchmark.extra_info["wanted"] = 0.6
    with made(tmp_path / "log") as store:
        benchmark(saver(store, 64))


@pytest.mark.benchmark(group="saves without a sync, by the length of the log", min_rounds=3000)
@pytest.mark.parametrize("slots", [1_000, 100_000])
def test_save_to_a_long_log(benchmark: Any, tmp_path: Path, slots: int) -> None:
    benchmark.extra_info["is_baseline" if slots == 1_000 else "wanted"] = 0.8
    with made(tmp_path / "log", synced=False) as store:
        save = saver(store, 1)
        for _ in range(slots if benchmark.enabled else 100):
            save()
        benchmark(save)


@pytest.mark.benchmark(group="opening a log of 100,000 entries", min_rounds=5, warmup=True)
def test_entries_recovered(benchmark: Any, tmp_path: Path) -> None:
    count = 100_000 if benchmark.enabled else 100
    benchmark.extra_info["count"] = count
    benchmark.extra_info["wanted_rate"] = 100_000
    with made(tmp_path / "log", synced=False) as store:
        save = saver(store, 1)
        for _ in range(count):
            save()

    def open_and_close() -> None:
        with open_log_store(tmp_path / "log") as opened:
            assert opened.chosen_below == count - 1

    benchmark(open_and_close)
