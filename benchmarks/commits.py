"""Bare processes and nodes of a log side by side, and clients that load them.

    python benchmarks/commits.py --clients 1,16,64,256 --folder /path/on/the/disk

prints commits a second, the median time of one, and the ratio to the bare processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from paxos import Quorums
from paxos.demo.processes import free_addresses
from paxos.runtime import (
    Address,
    Cluster,
    LogClient,
    create_store,
    write_cluster_file,
)

HERE = Path(__file__).parent
NAMES = ("A", "B", "C")


@dataclass
class Target:
    """Something to load."""

    kind: str
    address: Callable[[], Address]
    """Where it takes writes just now."""

    processes: Sequence[subprocess.Popen[bytes]]
    folder: Path

    def memory(self) -> list[float]:
        """MiB that each process holds."""
        return [_memory(process.pid) for process in self.processes]


def _memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def bare(folder: Path) -> Generator[Target]:
    """Three bare processes."""
    addresses = free_addresses(3)
    ports = [str(each.port) for each in addresses]
    with _processes() as processes:
        for number in (1, 2, 0):
            command = [sys.executable, str(HERE / "bare.py"), str(number), str(folder), *ports]
            processes.append(subprocess.Popen(command))
            _wait_for(addresses[number])
        yield Target("bare", lambda: addresses[0], processes, folder)


@contextmanager
def nodes(folder: Path) -> Generator[Target]:
    """Three nodes of a log; the target is the one that leads."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(
        "commits",
        dict(zip(NAMES, free_addresses(3), strict=True)),
        Quorums.majority(NAMES),
        is_log=True,
    )
    write_cluster_file(folder / "cluster.toml", cluster)
    with _processes() as processes:
        for name in NAMES:
            create_store(cluster, name, folder / name)
            processes.append(start_node(folder, name))

        def leader() -> Address:
            return cluster.addresses[asyncio.run(find_leader(cluster))]

        yield Target("log", leader, processes, folder)


def start_node(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """One node as a process."""
    script = str(HERE / "commit_node.py")
    return subprocess.Popen(
        [sys.executable, script, str(folder / name), str(folder / "cluster.toml")]
    )


async def find_leader(cluster: Cluster) -> str:
    """Who leads, once somebody does."""
    while True:
        for name in cluster.addresses:
            async with LogClient(cluster, node_id=name) as client:
                if (await client.status()).leads:
                    return name
        await asyncio.sleep(0.05)


@contextmanager
def load(target: Target, clients: int) -> Generator[Callable[[int], dict[str, float]]]:
    """A process with so many clients: gives a function that has them write."""
    while True:
        address = target.address()
        where = (address.host, str(address.port), str(clients), "commits")
        process = subprocess.Popen(
            [sys.executable, str(HERE / "commit_load.py"), target.kind, *where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout, process.stdin:
            if process.stdout.readline():  # else the leader has changed meanwhile
                yield partial(_write, process.stdin, process.stdout)
                process.stdin.close()
                process.wait(10)
                return
        process.wait(10)


def _write(to: IO[str], told: IO[str], count: int) -> dict[str, float]:
    to.write(f"{count}\n")
    to.flush()
    measured: dict[str, float] = json.loads(told.readline())
    return measured


@contextmanager
def _processes() -> Generator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(address: Address) -> None:
    while True:
        try:
            socket.create_connection((address.host, address.port), 0.2).close()
        except OSError:
            time.sleep(0.01)
        else:
            return


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", default="1,16,64,256")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", default="bare,log", help="of bare and log")
    options = parser.parse_args()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        targets: list[Target] = []
        if "bare" in options.only:
            targets.append(stack.enter_context(bare(root)))
        if "log" in options.only:
            targets.append(stack.enter_context(nodes(root / "log")))
        for count in map(int, options.clients.split(",")):
            base = None
            for target in targets:
                with load(target, count) as write:
                    warm = write(max(20 * count, 200))
                    before = [cpu(process.pid) for process in target.processes]
                    told = write(max(int(warm["rate"] * options.seconds), 200))
                    used = [cpu(p.pid) - b for p, b in zip(target.processes, before, strict=True)]
                base = base or told["rate"]
                sys.stdout.write(
                    f"{target.kind:<5}{count:>4} clients {told['rate']:>9,.0f} commits/s"
                    f"   p50 {told['p50'] * 1000:7.2f} ms   p99 {told['p99'] * 1000:7.2f} ms"
                    f"   x {told['rate'] / base:.2f}   cpu s"
                    f" {' '.join(f'{each:.2f}' for each in used)} of {told['seconds']:.2f}\n"
                )
                sys.stdout.flush()
        for target in targets:
            sys.stdout.write(f"{target.kind:<5}memory {target.memory()} MiB\n")


if __name__ == "__main__":
    main()
