"""A node of a log whose machine does what the bare processes do: it keeps values in a dict.

Usage: python benchmarks/commit_node.py FOLDER CLUSTER_FILE
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import signal
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from bare import KEY_BYTES

from paxos.runtime import read_cluster_file, serve_log
from paxos.state_machine import StateMachine

ITEMS_A_CHUNK = 1000


class Values(StateMachine):
    """Keys of 16 bytes, and what was written last under each."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def apply(self, command: bytes) -> bytes:
        self.values[command[:KEY_BYTES]] = command[KEY_BYTES:]
        return b""

    def snapshot(self) -> Iterable[bytes]:
        items = iter(self.values.items())
        while chunk := list(islice(items, ITEMS_A_CHUNK)):
            yield b"".join(
                part for key, value in chunk for part in (key, len(value).to_bytes(4), value)
            )

    def restore(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            at = 0
            while at < len(chunk):
                key, size = chunk[at : at + KEY_BYTES], chunk[at + KEY_BYTES : at + KEY_BYTES + 4]
                at += KEY_BYTES + 4 + int.from_bytes(size)
                self.values[key] = chunk[at - int.from_bytes(size) : at]


async def main(folder: Path, cluster_file: Path) -> None:
    """Run the node until it is told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve_log(read_cluster_file(cluster_file), folder, Values):
        await stop.wait()


if __name__ == "__main__":
    folder, cluster_file = sys.argv[1:]
    running = main(Path(folder), Path(cluster_file))
    if "PROFILE" in os.environ:  # a file for each node, for pstats
        cProfile.run("asyncio.run(running)", f"{os.environ['PROFILE']}-{Path(folder).name}")
    else:
        asyncio.run(running)
