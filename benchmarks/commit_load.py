"""Clients that write as fast as they may, each with one connection and one write under way.

Usage: python benchmarks/commit_load.py bare|log HOST PORT CLIENTS CLUSTER. It says when it is
ready. Then each line on standard input is a number of writes; when they are acknowledged, a line of
JSON says how long it took. The
same process, and the same loop, loads the bare processes and the nodes; only the frames differ.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import msgspec

from paxos.runtime import log_protocol as wire
from paxos.runtime.protocol import frame
from paxos.sessions import ClientRequest, OpenSession, SessionID, encode_request

VALUE = b"x" * 100
_encode = msgspec.msgpack.Encoder().encode


class Load:
    """What all clients share."""

    def __init__(self) -> None:
        self.left = self.missing = self.written = 0
        self.times: list[float] = []
        self.done = asyncio.Event()

    def next_value(self) -> bytes | None:
        if not self.left:
            return None
        self.left -= 1
        self.written += 1
        return b"%016d" % self.written + VALUE

    def acknowledged(self, seconds: float) -> None:
        self.times.append(seconds)
        self.missing -= 1
        if not self.missing:
            self.done.set()


class Client(asyncio.Protocol):
    """One client."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def write(self) -> None:
        value = self.load.next_value()
        if value is not None:
            self.began = time.perf_counter()
            self.transport.write(self.framed(value))

    def acknowledged(self) -> None:
        self.load.acknowledged(time.perf_counter() - self.began)
        self.write()

    def connection_lost(self, exc: Exception | None) -> None:
        sys.exit(f"a connection was lost: {exc}")

    def framed(self, value: bytes) -> bytes:
        raise NotImplementedError


class BareClient(Client):
    """Of the bare processes."""

    def framed(self, value: bytes) -> bytes:
        return len(value).to_bytes(4) + value

    def data_received(self, data: bytes) -> None:
        self.rest += data
        if len(self.rest) >= 5:
            self.rest = b""
            self.acknowledged()


class LogClient(Client):
    """Of a log: it opens a session first."""

    def __init__(self, load: Load, cluster: str, number: int) -> None:
        super().__init__(load)
        self.session: SessionID | None = None
        self.sequence = 0
        self.cluster, self.number = cluster, number
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        request = encode_request(OpenSession(self.number))
        self.transport.write(
            wire.encode(wire.LogClientGreeting(self.cluster)) + wire.encode(wire.Submit(0, request))
        )

    def framed(self, value: bytes) -> bytes:
        sequence = self.sequence
        self.sequence += 1
        request = b"\1" + _encode(ClientRequest(self.session, sequence, sequence, value))
        return frame(_encode(wire.Submit(sequence, request)))

    def data_received(self, data: bytes) -> None:
        self.rest += data
        if len(self.rest) >= 5 and len(self.rest) >= 5 + int.from_bytes(self.rest[:4]):
            reply = wire.decode_reply(self.rest[5:])
            self.rest = b""
            if not isinstance(reply, wire.Answered):
                sys.exit(f"not acknowledged: {reply}")
            if self.session is None:
                self.session = reply.outcome.session
                self.opened.set_result(None)
            else:
                self.acknowledged()


async def main(kind: str, host: str, port: int, count: int, cluster: str) -> None:
    """Connect, and work off the lines of standard input."""
    loop, load = asyncio.get_running_loop(), Load()
    clients: list[Any] = []
    base = time.time_ns()
    for index in range(count):
        client: Client = (
            BareClient(load) if kind == "bare" else LogClient(load, cluster, base + index)
        )
        await loop.create_connection(lambda each=client: each, host, port)
        clients.append(client)
    if kind == "log":
        await asyncio.gather(*(client.opened for client in clients))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        load.left = load.missing = int(line)
        load.times, load.done = [], asyncio.Event()
        began = time.perf_counter()
        for client in clients:
            client.write()
        await load.done.wait()
        seconds, times = time.perf_counter() - began, sorted(load.times)
        told = {
            "seconds": seconds,
            "rate": len(times) / seconds,
            "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100],
            "cpu": time.process_time(),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    kind, host, port, count, cluster = sys.argv[1:]
    asyncio.run(main(kind, host, int(port), int(count), cluster))
