"""The contract of the shell, one sentence at a time, around a node that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest

from core.cluster import A1, B1, B2, C1, envelope, identity, new_node
from paxos import (
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    BallotLost,
    Chosen,
    ConflictError,
    DurableState,
    Envelope,
    Event,
    FaultError,
    Heartbeat,
    HeartbeatAnswer,
    Machine,
    Message,
    MisuseError,
    Nack,
    Node,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Propose,
    Quorums,
    Request,
    Step,
    Stopped,
    Tick,
    ValueChosen,
)
from paxos.machine import MAX_QUEUED, Input, PersistBegan, PersistEnded, PersistFailed

AnyEnvelope: TypeAlias = Envelope[Message[Any]]

DISK_FULL = FaultError("no space left")
HINT = envelope("A", "B", Nack(A1, B1))
FACT: Event[Any] = BallotLost(A1, B1)


def promise(number: int, recipient: str = "B") -> AnyEnvelope:
    return envelope("A", recipient, Promise(ProposalID(number, recipient), NOTHING_ACCEPTED))


@dataclass(frozen=True)
class Order:
    """What a `Scripted` node is to do with one input."""

    durable: int | None = None
    """Its next durable state; None leaves it as it is."""

    messages: tuple[AnyEnvelope, ...] = ()
    events: tuple[Event[Any], ...] = ()
    fault: Exception | None = None


@dataclass(frozen=True)
class Scripted:
    """A node that does as it is told, by proposals, and remembers what the shell told it."""

    durable: int = 0
    deadline: float | None = None
    heard: tuple[tuple[Input[Any], float], ...] = ()

    def is_saved_by(self, saved: int) -> bool:
        return self.durable == saved

    def step(self, input: Input[Any], now: float) -> Step[Scripted, Any]:
        if not isinstance(input, Propose):
            return Step(replace(self, heard=(*self.heard, (input, now))))
        order: Order = input.value
        if order.fault is not None:
            raise order.fault
        durable = self.durable if order.durable is None else order.durable
        return Step(replace(self, durable=durable), order.messages, order.events)


ScriptedMachine: TypeAlias = Machine[Scripted, int, Any]
PaxosMachine: TypeAlias = Machine[Node[Any], DurableState[Any], Any]


@pytest.fixture
def machine() -> ScriptedMachine:
    return Machine(Scripted())


def tell(
    machine: ScriptedMachine,
    durable: int | None = None,
    *messages: AnyEnvelope,
    event: Event[Any] | None = None,
    now: float = 0.0,
) -> None:
    events = () if event is None else (event,)
    machine.receive(Propose(Order(durable, messages, events)), now)


# At most one persist is in flight.


def test_changed_state_is_offered_for_persisting_once(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    assert machine.ready().persist == 1
    assert machine.ready().persist is None


def test_unchanged_state_is_not_offered_for_persisting(machine: ScriptedMachine) -> None:
    tell(machine, 0)
    assert machine.ready().persist is None


def test_at_most_one_persist_is_in_flight(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, 2)
    assert machine.ready().persist is None


def test_the_next_persist_covers_all_that_came_meanwhile(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, 2, promise(2))
    tell(machine, 3, promise(3))
    machine.persisted()
    ready = machine.ready()
    assert (ready.persist, ready.send_after_persist) == (3, (promise(2), promise(3)))


def test_what_needs_the_disk_leaves_with_the_persist_that_covers_it(
    machine: ScriptedMachine,
) -> None:
    tell(machine, 1, promise(1))
    ready = machine.ready()
    assert (ready.persist, ready.send, ready.send_after_persist) == (1, (), (promise(1),))


def test_what_needs_the_disk_waits_while_a_persist_is_in_flight(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, 2, promise(2))
    assert machine.ready().send_after_persist == ()


def test_it_waits_even_if_the_state_did_not_change_for_it(machine: ScriptedMachine) -> None:
    """It may stand on what is on its way to the disk just now."""
    tell(machine, 1)
    machine.ready()
    tell(machine, None, promise(1))
    assert machine.ready().is_empty


def test_after_the_persist_it_may_leave_at_once_if_nothing_changed(
    machine: ScriptedMachine,
) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, None, promise(1))
    machine.persisted()
    ready = machine.ready()
    assert (ready.persist, ready.send_after_persist) == (None, (promise(1),))


def test_with_nothing_in_flight_and_nothing_changed_it_may_leave_at_once(
    machine: ScriptedMachine,
) -> None:
    tell(machine, None, promise(1))
    ready = machine.ready()
    assert (ready.persist, ready.send_after_persist) == (None, (promise(1),))


def test_state_that_fell_back_to_what_is_in_flight_needs_no_second_persist(
    machine: ScriptedMachine,
) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, 2)
    tell(machine, 1)
    machine.persisted()
    assert machine.ready().is_empty


def test_hints_and_events_still_leave_while_a_persist_is_in_flight(
    machine: ScriptedMachine,
) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, 2, HINT, event=FACT)
    ready = machine.ready()
    assert (ready.send, ready.events) == ((HINT,), (FACT,))


def test_inputs_are_handled_while_a_persist_is_in_flight(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, 2)
    assert machine.node.durable == 2


def test_a_duplicate_is_not_answered_before_its_original_is_safe() -> None:
    acceptor: PaxosMachine = Machine(new_node("B"))
    prepare = envelope("A", "B", Prepare(A1))
    acceptor.receive(prepare, 0.0)
    assert acceptor.ready().persist == DurableState(0, A1)
    acceptor.receive(prepare, 0.0)
    assert acceptor.ready().is_empty
    acceptor.persisted()
    assert [e.message for e in acceptor.ready().send_after_persist] == [
        Promise(A1, NOTHING_ACCEPTED)
    ]


def test_an_answer_that_waits_already_does_not_wait_twice(machine: ScriptedMachine) -> None:
    tell(machine, 1, promise(1), promise(1))
    tell(machine, 1, promise(1))
    assert machine.ready().send_after_persist == (promise(1),)


def test_a_second_ready_has_nothing_to_do(machine: ScriptedMachine) -> None:
    tell(machine, 1, HINT, promise(1), event=FACT)
    assert not machine.ready().is_empty
    assert machine.ready().is_empty


def test_a_new_machine_has_nothing_to_do(machine: ScriptedMachine) -> None:
    assert machine.ready().is_empty


def test_messages_and_events_keep_their_order(machine: ScriptedMachine) -> None:
    other, later = envelope("A", "C", Nack(A1, B1)), BallotLost(A1, C1)
    tell(machine, None, HINT, promise(2), other, promise(1), event=FACT)
    tell(machine, None, event=later)
    ready = machine.ready()
    assert ready.send == (HINT, other)
    assert ready.send_after_persist == (promise(2), promise(1))
    assert ready.events == (FACT, later)


# Types keep the lists apart.

PROPOSAL = Proposal(A1, "value")
WAITING = [Prepare(A1), Promise(A1, NOTHING_ACCEPTED), Accepted(PROPOSAL)]
FREE = [
    Accept(PROPOSAL),
    Nack(A1, B1),
    Chosen(PROPOSAL),
    Request("value"),
    Heartbeat(A1, 0.0),
    HeartbeatAnswer(A1, 0.0),
]


@pytest.mark.parametrize("message", WAITING, ids=lambda message: type(message).__name__)
def test_this_leaves_only_after_a_persist(machine: ScriptedMachine, message: Any) -> None:
    tell(machine, 1, envelope("A", "B", message))
    ready = machine.ready()
    assert (len(ready.send), len(ready.send_after_persist)) == (0, 1)


@pytest.mark.parametrize("message", FREE, ids=lambda message: type(message).__name__)
def test_this_may_leave_at_once(machine: ScriptedMachine, message: Any) -> None:
    tell(machine, 1, envelope("A", "B", message))
    ready = machine.ready()
    assert (len(ready.send), len(ready.send_after_persist)) == (1, 0)


# A node talks to itself as to others.


def test_what_a_node_says_to_itself_is_in_the_lists_like_everything_else() -> None:
    leader: PaxosMachine = Machine(new_node("A"))
    leader.receive(Propose("value"), 0.0)
    assert [e.recipient for e in leader.ready().send_after_persist] == ["A", "B", "C"]


def test_in_a_cluster_of_one_the_own_vote_counts_only_when_it_is_durable() -> None:
    """Counting it at once acknowledged writes that a crash then lost: etcd issue 14370."""
    alone: PaxosMachine = Machine(new_node("A", Quorums.majority(["A"])))
    alone.receive(Propose("value"), 0.0)
    hear_itself(alone)  # its Prepare
    hear_itself(alone)  # its Promise, and then its Accept
    voted = alone.ready()
    assert voted.persist == DurableState(1, A1, PROPOSAL)
    assert voted.events == alone.ready().events == ()
    assert alone.node.chosen is NOTHING_CHOSEN
    alone.persisted()
    alone.receive(voted.send_after_persist[0], 0.0)
    assert alone.ready().events == (ValueChosen(PROPOSAL),)


def hear_itself(alone: PaxosMachine) -> None:
    """Persist what there is to persist, and let the node hear what it says to itself."""
    ready = alone.ready()
    assert ready.persist is not None
    alone.persisted()
    for heard in ready.send_after_persist:
        alone.receive(heard, 0.0)
    for accept in alone.snapshot().send:
        alone.ready()
        alone.receive(accept, 0.0)


# Bounds.


def test_at_most_so_many_answers_wait_for_a_hung_disk(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    for number in range(3 * MAX_QUEUED):
        tell(machine, None, promise(number))
    assert len(machine.snapshot().waiting) <= MAX_QUEUED


def test_a_full_queue_drops_the_oldest_answers(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    for number in range(MAX_QUEUED + 1):
        tell(machine, None, promise(number))
    machine.persisted()
    left = machine.ready().send_after_persist
    assert left == tuple(promise(n) for n in range(MAX_QUEUED // 2, MAX_QUEUED + 1))


def test_a_full_queue_drops_nothing_that_the_node_says_to_itself(
    machine: ScriptedMachine,
) -> None:
    tell(machine, 1)
    machine.ready()
    tell(machine, None, promise(1, recipient="A"))
    for number in range(3 * MAX_QUEUED):
        tell(machine, None, promise(number))
    machine.persisted()
    assert machine.ready().send_after_persist[0] == promise(1, recipient="A")


def test_a_flood_of_ballots_under_a_hung_disk_takes_no_memory() -> None:
    acceptor: PaxosMachine = Machine(new_node("B"))
    acceptor.receive(envelope("A", "B", Prepare(A1)), 0.0)
    acceptor.ready()
    for number in range(2, 2 * MAX_QUEUED):
        acceptor.receive(envelope("A", "B", Prepare(ProposalID(number, "A"))), 0.0)
        assert acceptor.ready().is_empty
    assert len(acceptor.snapshot().waiting) <= MAX_QUEUED


@pytest.mark.parametrize("what", [{"event": FACT}, {"hint": HINT}], ids=["events", "messages"])
def test_outputs_that_nobody_takes_raise(machine: ScriptedMachine, what: dict[str, Any]) -> None:
    hints = [what["hint"]] if "hint" in what else []
    for _ in range(MAX_QUEUED):
        tell(machine, None, *hints, event=what.get("event"))
    with pytest.raises(MisuseError, match=r"ready\(\)"):
        tell(machine, 1)
    machine.ready()
    tell(machine, 1)
    assert machine.node.durable == 1


# Time.


@pytest.mark.parametrize("earlier", [0.999, float("-inf"), float("nan")])
def test_time_that_runs_back_raises_and_changes_nothing(
    machine: ScriptedMachine, earlier: float
) -> None:
    tell(machine, 1, now=1.0)
    before = machine.snapshot()
    with pytest.raises(MisuseError, match="monotonic"):
        tell(machine, 2, now=earlier)
    assert machine.snapshot() == before


def test_time_may_not_run_back_behind_the_start() -> None:
    with pytest.raises(MisuseError, match="monotonic"):
        tell(Machine(Scripted(), now=1.0), 1, now=0.5)


def test_time_may_stand_still(machine: ScriptedMachine) -> None:
    tell(machine, 1, now=1.0)
    tell(machine, 2, now=1.0)
    assert machine.node.durable == 2


def test_the_deadline_is_the_nodes() -> None:
    assert Machine(Scripted(deadline=7.0)).deadline == 7.0


# Persists, as the node hears of them.


def test_the_node_hears_when_a_persist_begins_and_ends(machine: ScriptedMachine) -> None:
    tell(machine, 1, now=2.0)
    machine.ready()
    machine.persisted()
    assert machine.node.heard == ((PersistBegan(), 2.0), (PersistEnded(), 2.0))


def test_persisted_without_a_persist_raises(machine: ScriptedMachine) -> None:
    with pytest.raises(MisuseError, match="nothing is being persisted"):
        machine.persisted()


def test_persisted_twice_raises(machine: ScriptedMachine) -> None:
    tell(machine, 1)
    machine.ready()
    machine.persisted()
    with pytest.raises(MisuseError, match="once for each persist"):
        machine.persisted()


# The end: a persist that failed.


@pytest.fixture
def failed() -> ScriptedMachine:
    """A machine whose persist failed, with outputs of every kind not taken yet."""
    machine: ScriptedMachine = Machine(Scripted(deadline=7.0))
    tell(machine, 1)
    machine.ready()
    tell(machine, 2, HINT, promise(2), event=FACT)
    machine.failed(DISK_FULL)
    return machine


def test_after_a_failure_nothing_leaves(failed: ScriptedMachine) -> None:
    ready = failed.ready()
    assert (ready.persist, ready.send, ready.send_after_persist) == (None, (), ())


def test_a_failure_is_told_after_all_earlier_events(failed: ScriptedMachine) -> None:
    assert failed.ready().events == (FACT, Stopped(DISK_FULL))


def test_a_failure_is_told_once(failed: ScriptedMachine) -> None:
    failed.failed(FaultError("again"))
    failed.ready()
    assert failed.ready().is_empty
    assert failed.stopped is DISK_FULL


def test_after_a_failure_receive_raises_and_says_why(failed: ScriptedMachine) -> None:
    with pytest.raises(MisuseError, match=r"stopped \(no space left\): open its store anew"):
        failed.receive(Tick(), 0.0)


def test_after_a_failure_there_is_no_deadline(failed: ScriptedMachine) -> None:
    assert failed.deadline is None


def test_a_persist_that_ends_after_a_failure_changes_nothing(failed: ScriptedMachine) -> None:
    failed.ready()
    failed.persisted()
    assert failed.ready().is_empty


def test_the_node_hears_of_a_failure_last(failed: ScriptedMachine) -> None:
    assert failed.node.heard[-1] == (PersistFailed(), 0.0)


def test_storage_may_fail_with_no_persist_in_flight(machine: ScriptedMachine) -> None:
    machine.failed(DISK_FULL)
    assert machine.stopped is DISK_FULL


# The end: proof of damage.


def damage(machine: PaxosMachine) -> None:
    """Two values under one ID."""
    machine.receive(envelope("A", "B", Accept(Proposal(A1, "one"))), 0.0)
    machine.receive(envelope("A", "B", Accept(Proposal(A1, "two"))), 0.0)


def test_two_values_under_one_id_stop_the_machine_with_an_event() -> None:
    machine: PaxosMachine = Machine(new_node("B"))
    damage(machine)
    (event,) = machine.ready().events
    assert isinstance(event, Stopped)
    assert isinstance(event.error, ConflictError)


def test_after_proof_of_damage_nothing_leaves() -> None:
    machine: PaxosMachine = Machine(new_node("B"))
    damage(machine)
    ready = machine.ready()
    assert (ready.persist, ready.send, ready.send_after_persist) == (None, (), ())
    assert machine.deadline is None


def test_a_persist_that_ends_after_proof_of_damage_changes_nothing() -> None:
    machine: PaxosMachine = Machine(new_node("B"))
    machine.receive(envelope("A", "B", Prepare(A1)), 0.0)
    machine.ready()
    damage(machine)
    machine.ready()
    machine.persisted()
    assert machine.ready().is_empty


def test_an_error_that_is_no_fault_is_raised_and_changes_nothing(
    machine: ScriptedMachine,
) -> None:
    with pytest.raises(ZeroDivisionError):
        machine.receive(Propose(Order(1, fault=ZeroDivisionError())), 0.0)
    assert (machine.node.durable, machine.stopped) == (0, None)
    tell(machine, 2)
    assert machine.node.durable == 2


# One thread, one call at a time.

CALLS: dict[str, Callable[[ScriptedMachine], object]] = {
    "receive": lambda machine: machine.receive(Tick(), 0.0),
    "ready": lambda machine: machine.ready(),
    "persisted": lambda machine: machine.persisted(),
    "failed": lambda machine: machine.failed(DISK_FULL),
}


@dataclass(frozen=True)
class Interrupted(Scripted):
    """A node in whose step something else happens."""

    meanwhile: Callable[[], object] = lambda: None

    def step(self, input: Input[Any], now: float) -> Step[Scripted, Any]:
        self.meanwhile()
        return Step(self)


@pytest.mark.parametrize("call", CALLS)
def test_a_machine_cannot_be_called_while_it_handles_a_call(call: str) -> None:
    machine: ScriptedMachine
    machine = Machine(Interrupted(meanwhile=lambda: CALLS[call](machine)))
    with pytest.raises(MisuseError, match="one call at a time"):
        machine.receive(Tick(), 0.0)


@pytest.mark.parametrize("call", CALLS)
def test_a_second_thread_cannot_enter(call: str) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def meanwhile() -> None:
        entered.set()
        assert go_on.wait(timeout=30)

    machine: ScriptedMachine = Machine(Interrupted(meanwhile=meanwhile))
    first = threading.Thread(target=machine.receive, args=(Tick(), 0.0))
    first.start()
    try:
        assert entered.wait(timeout=30)
        with pytest.raises(MisuseError, match="belongs to one thread"):
            CALLS[call](machine)
    finally:
        go_on.set()
        first.join(timeout=30)
    tell(machine, 1)  # and the first thread left in good order


# Recovery, as far as the shell goes, and what newcomers write.


def test_what_a_node_read_from_its_disk_needs_no_persist() -> None:
    node = Node[Any].recover(identity("A"), Quorums.majority("ABC"), DurableState(1, B2))
    machine: PaxosMachine = Machine(node)
    assert machine.ready().is_empty


def test_a_propose_may_be_written_with_its_type() -> None:
    assert Propose[str]("value") == Propose("value")
