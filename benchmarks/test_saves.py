"""How many durable saves a second, against a bare loop that overwrites as many bytes and syncs."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from paxos import durable

SLOT_BYTES = 4096

pytestmark = [
    pytest.mark.benchmark(group="saves to disk", min_rounds=2000, max_time=3, warmup=True),
    pytest.mark.skipif(sys.platform != "linux", reason="compares with fdatasync"),
]


def test_bare_overwrite_and_sync(benchmark: Any, tmp_path: Path) -> None:
    """Two preallocated blocks, written in turn, as a durable store has them."""
    benchmark.extra_info["is_baseline"] = True
    file = os.open(tmp_path / "bare", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, bytes(2 * SLOT_BYTES), 0)
    os.fsync(file)
    offsets = itertools.cycle((0, SLOT_BYTES))
    block = bytes(range(256)) * (SLOT_BYTES // 256)

    def save() -> None:
        os.pwrite(file, block, next(offsets))
        os.fdatasync(file)

    benchmark(save)
    os.close(file)


def test_durable_save(benchmark: Any, tmp_path: Path) -> None:
    benchmark.extra_info["wanted"] = 0.8
    owner = durable.Owner("benchmark", "A", "first")
    durable.init(tmp_path / "store", owner, initial=b"", slot_bytes=SLOT_BYTES)
    numbers = itertools.count()
    with durable.open(tmp_path / "store") as store:
        benchmark(lambda: store.save(b"%020d" % next(numbers) + bytes(180)))
