"""The same inputs give the same outputs in every process, whatever its hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core import random_walk

TESTS = Path(random_walk.__file__).parents[1]


STEPS, SEEDS = 600, range(10)


def walk_in_process_with(hash_seed: str) -> str:
    """The digests of all outputs of ten random walks, in a process of its own."""
    return subprocess.run(
        [sys.executable, random_walk.__file__, str(STEPS), *map(str, SEEDS)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def test_every_hash_seed_gives_the_same_outputs_in_the_same_order() -> None:
    outputs = {hash_seed: walk_in_process_with(hash_seed) for hash_seed in ("0", "1", "4242")}
    assert len(set(outputs.values())) == 1, outputs


def test_on_these_walks_something_happens() -> None:
    walks = [random_walk.Walk(seed) for seed in SEEDS]
    for walk in walks:
        walk.go(STEPS)
    assert any(walk.cluster.chosen() for walk in walks)
    assert all(any(walk.happened[name] for walk in walks) for name in random_walk.WEIGHTS)
    assert len({walk.digest for walk in walks}) == len(walks), "each walk is another one"
