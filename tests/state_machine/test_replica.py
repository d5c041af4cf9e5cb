"""A replica applies what is chosen, in order, and stops where it cannot be trusted any more."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from paxos.errors import MisuseError
from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Member
from paxos.replica import OutdatedError, Replica
from paxos.sessions import ActivateVersion, Verdict, encode_request
from paxos.state_machine import MachineError, StateMachine
from state_machine.machines import Inventory, Journal, apply_next, asking, opening, plain

OLD = Configuration.of([Member("A", "1"), Member("B", "1"), Member("C", "1")])
NEW = Configuration.of([*OLD.members, Member("D", "1", "d.example:7001")])


def test_each_command_has_its_outcome_in_order() -> None:
    outcomes = Replica(Journal).apply(0, plain(b"x", b"no", b"y"))
    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.ANSWERED,
        Verdict.REJECTED,
        Verdict.ANSWERED,
    ]
    assert [outcome.answer for outcome in outcomes] == [b"1 x", b"no is no", b"2 y"]


@pytest.mark.parametrize("slot", [0, 2, 7])
def test_a_slot_that_is_not_the_next_is_refused(slot: int) -> None:
    replica = Replica(Journal)
    replica.apply(0, NO_OP)
    with pytest.raises(MisuseError, match="slot 1 comes next"):
        replica.apply(slot, NO_OP)
    replica.apply(1, NO_OP)


def test_a_no_op_changes_nothing_but_the_digest() -> None:
    replica = Replica(Journal)
    state, log = replica.state_digest(), replica.digest
    assert replica.apply(0, NO_OP) == []
    assert (replica.applied_below, replica.state_digest()) == (1, state)
    assert replica.digest != log


def test_a_change_of_members_is_remembered_for_the_slots_that_it_governs() -> None:
    replica = Replica(Journal, configurations=Configurations.fixed(OLD), window=4)
    replica.apply(0, Change(NEW))
    assert [replica.configurations.at(slot) for slot in (3, 4)] == [OLD, NEW]


def test_configurations_that_govern_nothing_any_more_are_forgotten() -> None:
    replica = Replica(Journal, configurations=Configurations.fixed(OLD), window=2)
    for slot in range(20):
        replica.apply(slot, Change(NEW if slot % 2 else OLD))
    assert len(replica.configurations.steps) <= 4


def test_a_change_needs_the_window_of_the_log() -> None:
    replica = Replica(Journal)
    with pytest.raises(MisuseError, match="the log's window"):
        replica.apply(0, Change(NEW))
    assert replica.applied_below == 0


def test_a_query_reads_and_leaves_no_trace() -> None:
    replica = Replica(Journal)
    replica.apply(0, plain(b"x"))
    before = replica.digest, replica.state_digest()
    assert replica.query(b"0").value() == b"x"
    assert (replica.digest, replica.state_digest()) == before


def test_a_query_that_fails_stops_nothing() -> None:
    replica = Replica(Journal)
    with pytest.raises(MachineError, match="a query failed: KeyError"):
        replica.query(b"bug")
    replica.apply(0, plain(b"x"))


def test_a_machine_without_queries_says_so() -> None:
    class Mute(Journal):
        query = StateMachine.query

    outcome = Replica(Mute).query(b"x")
    assert outcome.verdict is Verdict.UNKNOWN_COMMAND


def test_a_mistake_in_a_machine_stops_its_replica_for_good() -> None:
    replica = Replica(Journal)
    apply_next(replica, plain(b"x"))
    with pytest.raises(MachineError, match="slot 1, command 1: KeyError") as raised:
        apply_next(replica, plain(b"y", b"bug", b"z"))
    assert isinstance(raised.value.__cause__, KeyError)
    assert replica.applied_below == 1
    for call in (
        lambda: replica.apply(1, NO_OP),
        lambda: replica.query(b"0"),
        replica.snapshot,
        replica.state_digest,
    ):
        with pytest.raises(MachineError, match="slot 1, command 1"):
            call()


def test_a_mistake_within_a_session_stops_it_too() -> None:
    replica = Replica(Journal)
    (opened,) = apply_next(replica, opening(1))
    assert opened.session is not None
    with pytest.raises(MachineError):
        apply_next(replica, asking(opened.session, 0, b"bug"))


def test_an_interrupt_leaves_a_replica_that_nobody_can_use_by_mistake() -> None:
    class Interrupted(Journal):
        def apply(self, command: bytes) -> bytes:
            raise KeyboardInterrupt

    replica = Replica(Interrupted)
    with pytest.raises(KeyboardInterrupt):
        replica.apply(0, plain(b"x"))
    with pytest.raises(MachineError, match="KeyboardInterrupt"):
        replica.apply(0, plain(b"x"))


def test_an_answer_that_is_no_bytes_is_a_mistake() -> None:
    class Careless(Journal):
        def apply(self, command: bytes) -> bytes:
            return bytearray(b"x")  # type: ignore[return-value]  # that is the point

    with pytest.raises(MachineError, match="answers in bytes, not bytearray"):
        Replica(Careless).apply(0, plain(b"x"))


def test_code_that_is_too_old_for_the_log_stops_and_says_so() -> None:
    replica = Replica(Journal)
    entry = Commands((encode_request(ActivateVersion(2, 5)),))
    for _ in range(2):
        with pytest.raises(OutdatedError, match="version 2, and this node's code knows 1"):
            replica.apply(0, entry)
    assert replica.applied_below == 0


def test_nothing_is_applied_while_a_snapshot_is_being_taken() -> None:
    replica = Replica(Journal)
    apply_next(replica, plain(b"x"))
    taking = replica.snapshot()
    for call in (lambda: replica.apply(1, NO_OP), replica.snapshot, replica.state_digest):
        with pytest.raises(MisuseError, match="take it to its end, or close it"):
            call()
    assert replica.query(b"0").value() == b"x", "reading is possible"
    list(taking)
    replica.apply(1, NO_OP)


def test_a_generator_cannot_promise_a_snapshot_that_stays() -> None:
    class Late(Journal):
        snapshot_stays = True

    with pytest.raises(MisuseError, match="a generator begins too late"):
        Replica(Late)


def test_one_snapshot_is_taken_at_a_time() -> None:
    replica = Replica(Inventory)
    taking = replica.snapshot()
    replica.apply(0, NO_OP)
    with pytest.raises(MisuseError, match="take it to its end, or close it"):
        replica.snapshot()
    taking.close()
    replica.snapshot()


def test_a_snapshot_that_was_given_up_stops_nothing_and_never_seems_complete() -> None:
    replica = Replica(Journal)
    apply_next(replica, plain(b"x"))
    taking = replica.snapshot()
    taking.close()
    with pytest.raises(MisuseError, match="given up"):
        next(taking)
    with pytest.raises(MisuseError, match="comes last"):
        _ = taking.manifest
    replica.apply(1, NO_OP)


def test_a_complete_snapshot_has_its_manifest_also_when_it_was_closed() -> None:
    replica = Replica(Journal)
    taking = replica.snapshot()
    assert list(taking) == []
    taking.close()
    assert list(taking) == []
    assert taking.manifest.size == 0


class Shy(Journal):
    def snapshot(self) -> Iterable[bytes]:
        raise OSError("no")


class ShyLater(Journal):
    def snapshot(self) -> Iterable[bytes]:
        yield b"{}"
        raise OSError("no")


@pytest.mark.parametrize("make", [Shy, ShyLater])
def test_a_machine_that_fails_to_give_its_state_fails_the_snapshot_alone(
    make: type[Journal],
) -> None:
    replica = Replica(make)
    with pytest.raises(MachineError, match="snapshot failed: OSError: no"):
        list(replica.snapshot())
    apply_next(replica, plain(b"x"))
