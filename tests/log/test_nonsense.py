"""Well-formed messages that make no sense: they may stop a node, and never break it.

Whatever arrives raises nothing but a `FaultError`, which stops the machine and comes as an event;
and it makes no memory grow.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from log.by_hand import change, commands, envelope, identity, leading, new_log, new_machine
from log.log_world import SMALL, LogWorld
from paxos import Envelope, FaultError, Heartbeat, HeartbeatAnswer, Nack, Proposal, ProposalID
from paxos.events import EnvelopeRefused, Stopped
from paxos.log.entries import NO_OP
from paxos.log.log_node import LogMachine
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    AskToRead,
    ChosenBelow,
    Confirm,
    Confirmed,
    Decisions,
    Learn,
    PrepareFrom,
    PromiseFrom,
    ReadFrom,
    TakeOver,
)

SLOTS = (-(1 << 70), -7, -1, 0, 1, 2, 3, 5, 8, 13, 1 << 40, EVERY_LATER_SLOT, 1 << 70)
IDS = tuple(ProposalID(number, node_id) for number in (-1, 0, 1, 2, 1 << 70) for node_id in "ABCX")
ENTRIES = (commands("tea"), commands("milk"), commands(), NO_OP, change("A"), change(*"ABCD"))


def any_message(draw: random.Random) -> Any:
    def slot() -> int:
        return draw.choice(SLOTS)

    def id() -> ProposalID:
        return draw.choice(IDS)

    def proposal() -> Proposal[Any]:
        return Proposal(id(), draw.choice(ENTRIES))

    def votes() -> tuple[tuple[int, Proposal[Any]], ...]:
        return tuple((slot(), proposal()) for _ in range(draw.randint(0, 5)))

    makers: list[Callable[[], Any]] = [
        lambda: PrepareFrom(id(), slot(), id()),
        lambda: PromiseFrom(id(), slot(), slot(), slot(), votes()),
        lambda: AcceptIn(slot(), proposal()),
        lambda: AcceptedIn(slot(), id()),
        lambda: ChosenBelow(id(), slot()),
        lambda: Learn(slot()),
        lambda: Decisions(slot(), tuple(p for _, p in votes()), slot()),
        lambda: Confirm(id(), slot()),
        lambda: Confirmed(id(), slot()),
        lambda: AskToRead(slot()),
        lambda: ReadFrom(slot(), slot()),
        lambda: TakeOver(id()),
        lambda: Nack(id(), id()),
        lambda: Heartbeat(id(), draw.choice([-1.0, 0.0, 1e300])),
        lambda: HeartbeatAnswer(id(), draw.choice([-1.0, 0.0, 1e300])),
    ]
    return draw.choice(makers)()


def assert_small(machine: LogMachine[str]) -> None:
    log = machine.node.log
    assert len(log.window.nodes) <= 3 * SMALL.reach
    assert len(log.learners) <= SMALL.window
    assert len(log.promises.of) <= 4
    assert len(log.configurations.steps) <= 3 * SMALL.reach
    assert len(log.unused.incarnations) <= 4
    for node in log.window.nodes:
        assert len(node.learner.votes) <= 4


def storm_of_nonsense(machine: LogMachine[str], seed: int, count: int) -> bool:
    """Whether the machine still runs after it. Each persist is done at once, or after a while."""
    draw, now = random.Random(seed), 0.0
    for _ in range(count):
        sender = draw.choice("BCX")
        machine.receive(envelope(sender, "A", any_message(draw)), now)
        ready = machine.ready()
        for each in (*ready.send, *ready.send_after_persist):
            if each.recipient == "A" and machine.stopped is None:
                machine.receive(each, now)
        if machine.stopped is not None:
            assert any(
                isinstance(event, Stopped) for event in machine.ready().events + ready.events
            )
            return False
        if draw.random() < 0.5 and machine.snapshot().saving is not None:
            machine.persisted()
        assert_small(machine)
        now += 0.001
    return True


@pytest.mark.parametrize("seed", range(40))
def test_nonsense_raises_nothing_and_grows_nothing(seed: int) -> None:
    storm_of_nonsense(new_machine(), seed, 150)


def test_most_nonsense_does_not_even_stop_a_node_at_once() -> None:
    survived = sum(storm_of_nonsense(new_machine(), seed, 10) for seed in range(50))
    assert survived > 25


def test_nonsense_does_not_break_a_leader_or_a_candidate_either() -> None:
    for seed in range(40):
        draw = random.Random(seed)
        for begin in (leading(), new_log().prepare().node):
            log = begin
            for _ in range(60):
                sender = identity(draw.choice("BCX"))
                try:
                    log = log.handle(sender, any_message(draw)).node
                except FaultError:
                    break
                assert len(log.window.nodes) <= 3 * SMALL.reach


def test_a_message_of_another_kind_changes_nothing() -> None:
    log = new_log()
    assert log.handle(identity("B"), Confirm(IDS[0], 1)).node is log


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        (identity("B", "second"), "lost its disk"),
        (identity("A", "second"), "uses this node's ID"),
    ],
)
def test_an_envelope_that_cannot_be_genuine_is_refused_unread(sender: Any, reason: str) -> None:
    machine = new_machine()
    machine.receive(Envelope(sender, "A", PrepareFrom(ProposalID(9, "B"), 0)), 0.0)
    (event,) = machine.ready().events
    assert isinstance(event, EnvelopeRefused)
    assert reason in event.reason
    assert machine.node.log.promised == ProposalID(0, "")


def test_a_world_of_which_one_node_speaks_nonsense_keeps_its_memory_small() -> None:
    world = LogWorld("ABC", seed=1)
    leader = world.elect()
    draw = random.Random(1)
    for _ in range(300):
        message = Learn(draw.choice(SLOTS))
        world.hear(leader, draw.choice("XYZ"), message)
    world.append(leader, "tea")
    assert world.run(2, until=lambda: world.has_applied("tea", "ABC"))
