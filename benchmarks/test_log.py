"""How many commands a second a log's leader takes: its machine alone, without disk and network.

The followers vote at once, and every persist is done at once. Each command has 16 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from paxos import Envelope, Heartbeat, HeartbeatAnswer, Identity, Tick, Timing
from paxos.log.configurations import Configurations
from paxos.log.entries import Configuration, Member
from paxos.log.inputs import Append, Read
from paxos.log.limits import Limits
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    Confirm,
    Confirmed,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import LogState

IDENTITIES = {name: Identity("benchmark", name, "first") for name in "ABC"}
MEMBERS = Configuration.of(Member(name, "first") for name in "ABC")
BATCHES = 100

pytestmark = pytest.mark.benchmark(group="a log's leader, by commands", min_rounds=10)


class Leader:
    """The machine of A, and two followers that say yes to everything."""

    def __init__(self) -> None:
        state = LogState[bytes](configurations=Configurations.fixed(MEMBERS))
        node = LogNode[bytes].recover(
            IDENTITIES["A"], state, limits=Limits(), timing=Timing(), now=0.0
        )
        self.machine, self.now = LogMachine[bytes](node, 0.0), 0.0
        while not self.machine.node.heartbeats.leads:
            self.now += 0.1
            self.give(Tick())

    def give(self, *inputs: Any) -> None:
        """Let these come one after the other, and do all that follows from them."""
        for each in inputs:
            self.machine.receive(each, self.now)
        while not (ready := self.machine.ready()).is_empty:
            for envelope in ready.send:
                self._answer(envelope)
            if ready.persist is not None:
                self.machine.persisted()
            for envelope in ready.send_after_persist:
                self._answer(envelope)

    def _answer(self, envelope: Envelope[Any]) -> None:
        if envelope.recipient == "A":
            self.machine.receive(envelope, self.now)
            return
        match envelope.message:
            case AcceptIn(slot, proposal):
                answer: Any = AcceptedIn(slot, proposal.id)
            case Heartbeat(leading, round):
                answer = HeartbeatAnswer(leading, round)
            case PrepareFrom(id, slot):
                answer = PromiseFrom(id, slot, EVERY_LATER_SLOT, 0)
            case Confirm(id, round):
                answer = Confirmed(id, round)
            case _:
                return
        self.machine.receive(Envelope(IDENTITIES[envelope.recipient], "A", answer), self.now)


def commands(count: int) -> tuple[bytes, ...]:
    return tuple(b"command %08d" % n for n in range(count))


def test_one_command_at_a_time(benchmark: Any) -> None:
    benchmark.extra_info["is_baseline"] = True
    run(benchmark, [Append(commands(1))] * BATCHES, count=BATCHES)


def test_in_batches_of_64(benchmark: Any) -> None:
    benchmark.extra_info.update(wanted=20, wanted_rate=100_000)
    run(benchmark, [Append(commands(64))] * BATCHES, count=64 * BATCHES)


def test_in_batches_of_64_that_come_16_at_once(benchmark: Any) -> None:
    """The leader cuts them into batches of its own, and keeps several slots open."""
    benchmark.extra_info.update(wanted=20, wanted_rate=100_000)
    leader = Leader()
    appends = [Append(commands(64))] * 16
    benchmark.extra_info["count"] = 64 * 16
    benchmark(partial(leader.give, *appends))
    assert leader.machine.node.log.queue == ()


@pytest.mark.benchmark(group="a log's leader, by reads", min_rounds=10)
def test_reads_confirmed_one_by_one(benchmark: Any) -> None:
    benchmark.extra_info["is_baseline"] = True
    leader, numbers = Leader(), iter(range(1 << 40))
    benchmark(lambda: leader.give(Read(next(numbers))))


@pytest.mark.benchmark(group="a log's leader, by reads", min_rounds=10)
def test_reads_confirmed_64_at_once(benchmark: Any) -> None:
    benchmark.extra_info.update(count=64, wanted=4)
    leader, numbers = Leader(), iter(range(1 << 40))
    benchmark(lambda: leader.give(*(Read(next(numbers)) for _ in range(64))))


def run(benchmark: Any, appends: list[Append[bytes]], *, count: int) -> None:
    leader = Leader()
    benchmark.extra_info["count"] = count
    benchmark(_give_each(leader, appends))
    log = leader.machine.node.log
    assert log.chosen_below >= len(appends)
    assert log.queue == ()


def _give_each(leader: Leader, appends: list[Append[bytes]]) -> Callable[[], None]:
    def give() -> None:
        for append in appends:
            leader.give(append)

    return give
