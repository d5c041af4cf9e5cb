"""New commands: known from the slot on that activates their version, on old and new code alike."""

from __future__ import annotations

from typing import ClassVar

import pytest

from paxos.log.entries import Commands
from paxos.replica import Replica
from paxos.sessions import ActivateVersion, Outcome, Verdict, encode_request
from paxos.state_machine import TypedStateMachine, command
from state_machine.machines import Inventory, apply_next, plain

NOTE_PAYLOAD = Inventory.note.call("bolt", "rusty").payload
NOTE = plain(NOTE_PAYLOAD)


def activate(version: int) -> Commands[bytes]:
    return Commands((encode_request(ActivateVersion(version, 5)),))


class FirstInventory(TypedStateMachine):
    """Inventory as it was before version 2."""

    version: ClassVar[int] = 1

    stock: dict[str, int]
    reserved: list[tuple[str, int]]
    moved: int = 0

    @command
    def put(self, item: str, count: int) -> int:
        self.stock[item] = self.stock.get(item, 0) + count
        self.moved += count
        return self.stock[item]


def test_a_command_is_unknown_before_its_version_is_active() -> None:
    replica = Replica(Inventory)
    assert apply_next(replica, NOTE)[0].verdict is Verdict.UNKNOWN_COMMAND
    assert apply_next(replica, activate(2)) == [Outcome(None, 5, Verdict.ACTIVATED)]
    assert apply_next(replica, NOTE)[0].verdict is Verdict.ANSWERED


def test_a_version_never_goes_back() -> None:
    replica = Replica(Inventory)
    for version in (2, 1):
        assert apply_next(replica, activate(version))[0].verdict is Verdict.ACTIVATED
    assert replica.machine.active_version == 2


def test_old_and_new_code_are_replicas_until_the_version_is_activated() -> None:
    old, new = Replica(FirstInventory), Replica(Inventory)
    for entry in (plain(Inventory.put.call("bolt", 1).payload), activate(1)):
        assert apply_next(old, entry) == apply_next(new, entry)
    assert (old.digest, old.state_digest()) == (new.digest, new.state_digest())


@pytest.mark.parametrize("payload", [NOTE_PAYLOAD, NOTE_PAYLOAD[:-1], b"\x92\xa4note\x01"])
def test_of_what_is_not_active_old_and_new_code_say_the_same(payload: bytes) -> None:
    old, new = Replica(FirstInventory), Replica(Inventory)
    outcomes = apply_next(new, plain(payload))
    assert outcomes == apply_next(old, plain(payload))
    assert outcomes[0].verdict is Verdict.UNKNOWN_COMMAND
    assert old.digest == new.digest


def test_new_code_restores_a_snapshot_of_old_code() -> None:
    old, new = Replica(FirstInventory), Replica(Inventory)
    apply_next(old, plain(Inventory.put.call("bolt", 1).payload))
    taking = old.snapshot()
    chunks = list(taking)
    new.restore(taking.manifest, chunks)
    assert new.machine.stock == {"bolt": 1}
    assert new.state_digest() == old.state_digest()


def test_the_active_version_is_in_the_snapshot() -> None:
    replica = Replica(Inventory)
    apply_next(replica, activate(2))
    apply_next(replica, NOTE)
    taking = replica.snapshot()
    chunks = list(taking)
    copy = Replica(Inventory)
    copy.restore(taking.manifest, chunks)
    assert (copy.machine.active_version, copy.machine.notes) == (2, {"bolt": "rusty"})
