"""Node processes on this machine: start, watch, kill."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from paxos.errors import FaultError
from paxos.runtime import Address, Cluster, UnreachableError, client, log_status

START_PATIENCE = 10.0
"""Seconds in which a process must answer. A Python process takes a fraction of one."""

POLL = 0.02
"""Seconds between two attempts to reach a process that is starting."""


class NodeProcess:
    """One node in a process of its own, with its own folder."""

    def __init__(self, cluster: Cluster, cluster_file: Path, node_id: str, folder: Path) -> None:
        """Name the node; `start` starts it."""
        self.cluster = cluster
        self.node_id = node_id
        self.folder = folder
        self.starts = 0
        self._cluster_file = cluster_file
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log_file(self) -> Path:
        """Where the process writes what it has to say, one start after the other."""
        return self.folder.with_suffix(".log")

    @property
    def is_running(self) -> bool:
        """Whether there is a process that nobody has killed and that has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; return once the node answers. Raises `FaultError` if it never does."""
        self.starts += 1
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "paxos", "node", str(self.folder), "--cluster", str(self._cluster_file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(START_PATIENCE):
                await self._until_it_answers()
        except TimeoutError:
            raise FaultError(f"{self.node_id} does not answer: see {self.log_file}") from None

    async def kill(self) -> None:
        """End the process by SIGKILL: no warning, no clean-up. Return when it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        """Ask the process to stop (SIGTERM); return its exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    async def _until_it_answers(self) -> None:
        while self.is_running:
            try:
                if self.cluster.is_log:
                    await log_status(self.cluster, self.node_id, within=POLL * 10)
                else:
                    await client.status(self.cluster, self.node_id)
            except UnreachableError:
                await asyncio.sleep(POLL)
            else:
                return
        raise FaultError(f"{self.node_id} ended while starting: see {self.log_file}")


def free_addresses(count: int) -> list[Address]:
    """Addresses on loopback whose ports were free a moment ago, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [Address("127.0.0.1", each.getsockname()[1]) for each in sockets]
