"""The order of effects: what leaves when, and what happens when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Chosen,
    ConflictError,
    DurableState,
    Envelope,
    Event,
    FaultError,
    Heartbeat,
    HeartbeatAnswer,
    HeartbeatNode,
    Identity,
    Machine,
    Message,
    MisuseError,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Propose,
    Quorums,
    Stopped,
    Tick,
    Timing,
    ValueChosen,
)
from paxos.codec import MAX_NUMBER, encode_state
from paxos.machine import Step
from paxos.runtime.driver import Driver, NodeMachine
from runtime.event_loop import in_event_loop, until
from runtime.slow_store import DISK_FAILED

B1, C2 = ProposalID(1, "B"), ProposalID(2, "C")
PATIENT = Timing(interval=1000.0, window=3000.0, backoff=1000.0)
"""No timer comes due during a test."""

Done = Callable[[BaseException | None], None]


class StubDisk:
    """A disk that saves when the test says so, one state at a time."""

    def __init__(self) -> None:
        self.saved: list[DurableState[bytes]] = []
        self._under_way: tuple[DurableState[bytes], Done] | None = None

    def save(self, state: DurableState[bytes], done: Done) -> None:
        assert self._under_way is None, "two saves at once"
        encode_state(state)
        self._under_way = state, done

    @property
    def is_saving(self) -> bool:
        return self._under_way is not None

    def finish(self, error: BaseException | None = None) -> None:
        """End the save under way, with this error or well."""
        assert self._under_way is not None, "nothing is being saved"
        (state, done), self._under_way = self._under_way, None
        if error is None:
            self.saved.append(state)
        done(error)


class World:
    """Node A with its driver; everything around it is a list."""

    def __init__(self, members: str = "ABC", timing: Timing = PATIENT) -> None:
        now = asyncio.get_running_loop().time()
        self.disk = StubDisk()
        self.sent: list[Envelope[Any]] = []
        self.events: list[Event[bytes]] = []
        node = HeartbeatNode[bytes].recover(
            Identity("shop", "A", "first"), Quorums.majority(members), timing=timing, now=now
        )
        self.machine: NodeMachine = Machine(node, now)
        self.driver = Driver(self.machine, self.disk.save, self.sent.extend, self.events.extend)
        self.driver.start()

    def hear(self, sender: str, message: Message[bytes]) -> None:
        self.driver.feed(Envelope(Identity("shop", sender, "first"), "A", message))

    def take_sent(self) -> list[tuple[str, Message[bytes]]]:
        """To whom and what has left since this was last asked."""
        taken = [(each.recipient, each.message) for each in self.sent]
        self.sent.clear()
        return taken


@in_event_loop
async def test_a_promise_leaves_only_when_it_is_saved() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    assert world.disk.is_saving
    assert world.take_sent() == []
    world.disk.finish()
    assert world.disk.saved == [DurableState(0, B1)]
    assert world.take_sent() == [("B", Promise(B1, NOTHING_ACCEPTED))]
    world.driver.close()


@in_event_loop
async def test_a_vote_leaves_only_when_it_is_saved() -> None:
    world = World()
    proposal = Proposal(B1, b"")
    world.hear("B", Accept(proposal))
    assert world.take_sent() == []
    world.disk.finish()
    assert world.take_sent() == [("B", Accepted(proposal))]
    world.driver.close()


@in_event_loop
async def test_what_comes_during_a_save_waits_for_the_next_one() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.hear("C", Prepare(C2))
    world.hear("B", Prepare(B1))  # a duplicate, which must not be answered before its original
    assert world.take_sent() == [("B", Nack(B1, C2))]
    world.disk.finish()
    assert world.take_sent() == [("B", Promise(B1, NOTHING_ACCEPTED))]
    assert world.disk.is_saving
    world.disk.finish()
    assert world.take_sent() == [("C", Promise(C2, NOTHING_ACCEPTED))]
    world.driver.close()


@in_event_loop
async def test_a_slow_disk_does_not_silence_the_node() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.hear("B", Heartbeat(NO_PROPOSAL, 0.5))
    assert world.take_sent() == [("B", HeartbeatAnswer(NO_PROPOSAL, 0.5))]
    world.driver.close()


@in_event_loop
async def test_a_node_alone_talks_to_itself_and_counts_only_what_is_saved() -> None:
    world = World("A")
    world.driver.feed(Propose(b"a value"))
    saves = 0
    while world.disk.is_saving:
        assert world.driver.node.chosen is NOTHING_CHOSEN
        world.disk.finish()
        saves += 1
    assert isinstance(world.events[-1], ValueChosen)
    assert world.events[-1].proposal.value == b"a value"
    assert world.disk.saved[-1].accepted == world.events[-1].proposal
    assert saves >= 2  # the ballot, then the vote
    assert world.take_sent() == []
    world.driver.close()


@in_event_loop
async def test_nothing_to_save_means_no_save() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.disk.finish()
    world.take_sent()
    world.hear("B", Prepare(B1))
    assert not world.disk.is_saving
    assert world.take_sent() == [("B", Promise(B1, NOTHING_ACCEPTED))]
    world.driver.close()


@in_event_loop
async def test_a_save_that_fails_stops_the_node_and_says_why() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.disk.finish(DISK_FAILED)
    assert world.events[-1] == Stopped(DISK_FAILED)
    assert world.driver.failure.exception() is DISK_FAILED
    world.hear("C", Prepare(C2))
    assert not world.disk.is_saving
    assert world.take_sent() == []


@pytest.mark.parametrize("error", [MisuseError("too large"), MemoryError()], ids=repr)
@in_event_loop
async def test_a_save_that_ends_in_a_bug_ends_the_node_too(error: Exception) -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.disk.finish(error)
    assert world.driver.failure.exception() is error
    world.hear("C", Prepare(C2))
    assert not world.disk.is_saving
    assert world.take_sent() == []


@in_event_loop
async def test_a_proof_of_damage_stops_the_node() -> None:
    world = World()
    world.hear("B", Chosen(Proposal(B1, b"one")))
    world.hear("B", Chosen(Proposal(B1, b"other")))
    assert isinstance(world.driver.failure.exception(), ConflictError)
    assert isinstance(world.events[-1], Stopped)


@in_event_loop
async def test_what_comes_together_with_a_proof_of_damage_changes_nothing() -> None:
    world = World()
    sender = Identity("shop", "B", "first")
    values = (b"one", b"other", b"third")
    world.driver.feed(*[Envelope(sender, "A", Chosen(Proposal(B1, value))) for value in values])
    assert isinstance(world.driver.failure.exception(), ConflictError)


@in_event_loop
async def test_a_proof_of_damage_during_a_save_lets_nothing_leave() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.hear("B", Chosen(Proposal(B1, b"one")))
    world.hear("B", Chosen(Proposal(B1, b"other")))
    world.disk.finish()
    assert world.take_sent() == []
    assert isinstance(world.driver.failure.exception(), ConflictError)


@in_event_loop
async def test_a_bug_on_the_way_comes_out_of_the_driver() -> None:
    world = World()
    bug = ZeroDivisionError("a bug")

    def publish(_: object) -> None:
        raise bug

    driver = Driver(world.machine, world.disk.save, world.sent.extend, publish)
    world.driver.close()
    driver.feed(Envelope(Identity("shop", "B", "first"), "A", Chosen(Proposal(B1, b"a value"))))
    assert driver.failure.exception() is bug
    driver.feed(Envelope(Identity("shop", "B", "first"), "A", Prepare(B1)))
    assert not world.disk.is_saving


@in_event_loop
async def test_after_closing_a_save_may_end_and_nothing_leaves() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.driver.close()
    world.disk.finish()
    world.hear("C", Prepare(C2))
    assert world.take_sent() == []
    assert not world.disk.is_saving
    assert world.driver.failure.cancelled()


@in_event_loop
async def test_time_alone_makes_a_node_ask_for_leadership() -> None:
    world = World(timing=Timing(interval=0.001, window=0.002, backoff=0.001))
    await until(lambda: world.sent)
    assert {message for _, message in world.take_sent() if isinstance(message, Heartbeat)}
    world.driver.close()


@in_event_loop
async def test_a_step_that_raises_comes_out_of_the_driver() -> None:
    world = World()
    world.machine.receive(Tick(), 1e18)  # from here on, time runs back
    world.hear("B", Prepare(B1))
    assert isinstance(world.driver.failure.exception(), MisuseError)


@in_event_loop
async def test_a_closed_driver_has_no_timer_left() -> None:
    world = World(timing=Timing(interval=0.001, window=0.002, backoff=0.001))
    world.driver.close()
    loop, passed = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(0.01, passed.set)  # timers fire in order, so the driver's would be first
    await passed.wait()
    assert world.sent == []


@in_event_loop
async def test_a_number_with_none_above_it_ends_the_node_as_the_fault_of_a_peer() -> None:
    """No honest cluster comes that far: see `MAX_NUMBER`."""
    world = World(timing=Timing(interval=1.0, window=1000.0, backoff=1.0))
    world.hear("B", Prepare(ProposalID(MAX_NUMBER, "B")))
    world.disk.finish()
    world.driver.feed(Propose(b"a value"))
    now = asyncio.get_running_loop().time()
    for member in "BC":
        world.hear(member, HeartbeatAnswer(NO_PROPOSAL, now))
    with pytest.raises(FaultError, match="a peer led this node where it cannot go on"):
        await world.driver.failure


@in_event_loop
async def test_what_fails_after_nobody_waits_any_more_is_not_lost() -> None:
    world = World()
    world.hear("B", Prepare(B1))
    world.driver.failure.cancel()  # as a task group does that is ending for another reason
    world.disk.finish(DISK_FAILED)
    assert world.driver.late_failure is DISK_FAILED


@dataclass(frozen=True)
class Chatty:
    """A node that answers each input with two thousand messages."""

    node_id: str = "A"
    durable: int = 0
    deadline: float | None = None

    def is_saved_by(self, saved: int) -> bool:
        return True

    def step(self, input: Any, now: float) -> Step[Chatty, Any]:
        refusal = Envelope(Identity("shop", "A", "first"), "B", Nack(B1, C2))
        return Step(self, (refusal,) * 2000)


@in_event_loop
async def test_inputs_that_come_together_do_not_drown_the_machine_in_its_outputs() -> None:
    sent: list[Envelope[Any]] = []
    driver: Driver[Chatty, int] = Driver(
        Machine(Chatty(), 0.0), lambda state, done: None, sent.extend, lambda events: None
    )
    driver.start()
    driver.feed(*[Tick()] * 10)
    assert len(sent) == 20_000
    assert not driver.is_closed
    driver.close()
