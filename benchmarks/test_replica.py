"""How many commands a second one replica applies, in entries of 64; and how fast snapshots are.

All small: eight bytes in, two bytes out. Requests are decoded, outcomes and entries are digested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from paxos.log.entries import Commands, Entry
from paxos.replica import Replica
from paxos.sessions import (
    ClientRequest,
    OpenSession,
    SessionID,
    Verdict,
    encode_request,
)
from paxos.state_machine import StateMachine, TypedStateMachine, command

BATCH = 64
SLOTS = 300
ITEMS = 200_000

applied = pytest.mark.benchmark(group="commands applied", min_rounds=5)
snapshots = pytest.mark.benchmark(group="bytes of snapshots", min_rounds=3)


class Counter(StateMachine):
    """Does as little as a machine can."""

    def __init__(self) -> None:
        self.count = 0

    def apply(self, command: bytes) -> bytes:
        self.count += 1
        return b"ok"

    def snapshot(self) -> Iterator[bytes]:
        yield b"%d" % self.count

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.count = int(b"".join(chunks))


class Inventory(TypedStateMachine):
    """A small typed machine."""

    stock: dict[str, int]

    @command
    def put(self, item: str, count: int) -> int:
        self.stock[item] = left = self.stock.get(item, 0) + count
        return left


def batch(requests: Iterable[ClientRequest | OpenSession]) -> Entry[bytes]:
    return Commands(tuple(encode_request(request) for request in requests))


def without_sessions(command: bytes) -> list[Entry[bytes]]:
    return [
        batch(ClientRequest(None, place, 0, command) for place in range(BATCH))
        for _ in range(SLOTS)
    ]


def with_sessions(command: bytes) -> list[Entry[bytes]]:
    """As many clients as commands in an entry; each acknowledges all that came before."""
    return [
        batch(OpenSession(number) for number in range(BATCH)),
        *(
            batch(
                ClientRequest(SessionID(0, place), sequence, sequence, command)
                for place in range(BATCH)
            )
            for sequence in range(SLOTS)
        ),
    ]


PUT = Inventory.put.call("bolt", 1).payload

KINDS: dict[str, tuple[type[StateMachine], list[Entry[bytes]], int | None]] = {
    "without sessions": (Counter, without_sessions(b"8 bytes!"), 200_000),
    "with sessions": (Counter, with_sessions(b"8 bytes!"), 100_000),
    "typed, without sessions": (Inventory, without_sessions(PUT), None),
    "typed, with sessions": (Inventory, with_sessions(PUT), 100_000),
}


@applied
@pytest.mark.parametrize("kind", KINDS)
def test_apply(benchmark: Any, kind: str) -> None:
    make, entries, wanted = KINDS[kind]

    def run() -> Replica[StateMachine]:
        replica = Replica(make)
        for slot, entry in enumerate(entries):
            outcomes = replica.apply(slot, entry)
        assert {outcome.verdict for outcome in outcomes} <= {Verdict.ANSWERED}
        return replica

    replica = benchmark(run)
    assert replica.applied_below == len(entries)
    benchmark.extra_info["count"] = SLOTS * BATCH
    if wanted is not None:
        benchmark.extra_info["wanted_rate"] = wanted


def full() -> Replica[Inventory]:
    replica = Replica(Inventory)
    for number in range(ITEMS):
        replica.machine.put(f"item number {number}", number)
    return replica


@snapshots
def test_take(benchmark: Any) -> None:
    replica = full()
    size = benchmark(lambda: sum(len(chunk) for chunk in replica.snapshot()))
    benchmark.extra_info["count"] = size


@snapshots
def test_restore(benchmark: Any) -> None:
    taking = full().snapshot()
    chunks = list(taking)
    manifest = taking.manifest

    def run() -> Replica[Inventory]:
        replica = Replica(Inventory)
        replica.restore(manifest, chunks)
        return replica

    assert len(benchmark(run).machine.stock) == ITEMS
    benchmark.extra_info["count"] = manifest.size


@snapshots
def test_longest_wait_for_a_chunk(benchmark: Any) -> None:
    """How long a node is busy with one chunk: rate of chunks of 256 KiB."""
    replica = full()
    taking = replica.snapshot()

    def run() -> bytes:
        nonlocal taking
        chunk = next(taking, None)
        if chunk is None:
            taking = replica.snapshot()
            chunk = next(taking)
        return chunk

    assert benchmark(run)
