"""How many commits a second a log of three nodes makes, beside processes that do nothing else.

Values of 100 bytes; each client has one connection and one write under way; acknowledged when
synced on two of three. Both run in the same session on the same disk, under the same load.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for what the processes import, too

import commits
from commit_node import Values

from paxos.log_codec import Encoder
from paxos.runtime import Cluster, read_cluster_file
from paxos.runtime.log_server import Recovered, recover
from paxos.sessions import DEFAULT_LIMITS

LOADS = {1: 0.8, 16: 0.7, 64: 0.6, 256: 0.5}
"""Clients, and the part of what bare processes reach that we want."""

WRITES = {1: 1_500, 16: 15_000, 64: 30_000, 256: 40_000}
"""Writes in one round, by clients: a second or two."""

ROUNDS = 3
ENTRIES = 100_000
MEMORY_MIB = 70

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commits")


@pytest.fixture(scope="module")
def bare(root: Path) -> Generator[commits.Target]:
    with commits.bare(root) as target:
        yield target


@pytest.fixture(scope="module")
def log(root: Path) -> Generator[commits.Target]:
    with commits.nodes(root / "log") as target:
        yield target


def measure(benchmark: Any, target: commits.Target, clients: int) -> None:
    """Have so many clients write, a few times over."""
    count = 20 if benchmark.disabled else WRITES[clients]
    benchmark.group = f"commits, {clients} clients"
    medians: list[float] = []
    with commits.load(target, clients) as write:
        write(min(count, 2_000))  # until files are there and caches warm
        benchmark.pedantic(lambda: medians.append(write(count)["p50"]), rounds=ROUNDS, iterations=1)
    benchmark.extra_info["count"] = count
    benchmark.extra_info["p50_ms"] = round(sorted(medians)[len(medians) // 2] * 1000, 3)


@pytest.mark.parametrize("clients", LOADS)
def test_bare_processes(benchmark: Any, bare: commits.Target, clients: int) -> None:
    benchmark.extra_info["is_baseline"] = True
    measure(benchmark, bare, clients)


@pytest.mark.parametrize("clients", LOADS)
def test_log(benchmark: Any, log: commits.Target, clients: int) -> None:
    benchmark.extra_info["wanted"] = LOADS[clients]
    measure(benchmark, log, clients)


@pytest.fixture
def written(tmp_path: Path, benchmark: Any) -> tuple[Cluster, Path]:
    """The memory of a node that took part in so many writes."""
    count = 50 if benchmark.disabled else ENTRIES
    with commits.nodes(tmp_path / "log") as target:
        with commits.load(target, 64) as write:
            write(count)
        held = target.memory()
    benchmark.extra_info["count"] = count
    benchmark.extra_info["memory_mib"] = held
    return read_cluster_file(tmp_path / "log" / "cluster.toml"), tmp_path / "log" / "A"


@pytest.mark.benchmark(group="recovery of a node")
def test_recovery(benchmark: Any, written: tuple[Cluster, Path]) -> None:
    """100,000 writes are there again within a second; and no node needed much memory for them."""
    cluster, folder = written

    def reopen() -> Recovered:
        found = recover(folder, cluster, Values, DEFAULT_LIMITS)
        found.store.close()
        return found

    benchmark.extra_info["wanted_rate"] = ENTRIES
    found = benchmark.pedantic(reopen, rounds=ROUNDS, iterations=1)
    assert isinstance(found.encoder, Encoder)
    assert len(found.replica.machine.values) >= 0.9 * benchmark.extra_info["count"]
    assert max(benchmark.extra_info["memory_mib"]) < MEMORY_MIB
