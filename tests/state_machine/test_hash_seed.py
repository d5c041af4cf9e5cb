"""The same log gives the same digests in every process, whatever its hash seed; and for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from state_machine import long_life

TESTS = Path(long_life.__file__).parents[1]
SEEDS = range(6)


def digests_in_process_with(hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, long_life.__file__, *map(str, SEEDS)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def test_every_hash_seed_gives_the_same_digests() -> None:
    digests = {hash_seed: digests_in_process_with(hash_seed) for hash_seed in ("0", "1", "4242")}
    assert len(set(digests.values())) == 1, digests
    assert len(digests["0"].splitlines()) == len(SEEDS)


def test_in_these_lives_something_happens() -> None:
    lives = [long_life.live(seed) for seed in SEEDS]
    assert len({life.digest for life in lives}) == len(lives), "each is another one"
    assert all(life.machine.stock and life.machine.reserved for life in lives)
    assert any(life.machine.notes for life in lives)
    assert any(life.sessions == long_life.LIMITS.sessions for life in lives)
