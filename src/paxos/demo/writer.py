"""The demo's client: it writes as fast as it may, and notes what was acknowledged, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from paxos.demo.key_values import KeyValues
from paxos.errors import FaultError, MisuseError
from paxos.runtime import Cluster, LogClient, UnknownOutcomeError

AT_ONCE = 64
"""Writes under way at a time."""

PATIENCE = 5.0
"""Seconds for one write. A leader's death takes a fraction of one."""


class Writer:
    """Writes until it is told to stop."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._cluster = cluster
        self._clock = clock
        self._numbers = count(1)
        self._stops = asyncio.Event()
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        """Sent, and never answered: each may be there or not."""

        self.refused = 0
        """Surely not written."""

        self.times: list[float] = []
        """When each acknowledgement came."""

    def stop(self) -> None:
        """Begin no more writes."""
        self._stops.set()

    async def run(self) -> None:
        """Write until `stop`, and wait for what is under way."""
        async with LogClient(self._cluster) as client, asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._write(client))

    async def _write(self, client: LogClient) -> None:
        while not self._stops.is_set():
            key = f"key-{next(self._numbers)}"
            call = KeyValues.put.call(key, f"written as {key}")
            try:
                await client.call(call, within=PATIENCE)
            except UnknownOutcomeError:
                self.unknown.append(key)
            except (MisuseError, FaultError):  # refused: it was not written, and never will be
                self.refused += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await self._stops.wait()
            else:
                self.acknowledged.append(key)
                self.times.append(self._clock())

    @property
    def longest_gap(self) -> float:
        """Seconds between two acknowledgements, at most."""
        pairs = zip(self.times, self.times[1:], strict=False)
        return max((later - earlier for earlier, later in pairs), default=0.0)

    @property
    def rate(self) -> float:
        """Acknowledgements a second, over all."""
        return len(self.times) / (self.times[-1] - self.times[0]) if len(self.times) > 1 else 0.0
