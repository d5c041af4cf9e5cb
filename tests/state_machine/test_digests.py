"""Digests: alike on all nodes that are alike, and different from the slot on where one is not."""

from __future__ import annotations

import pytest

from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Configuration, Entry, Member
from paxos.replica import Replica
from paxos.sessions import SessionLimits
from state_machine.machines import Journal, plain

MEMBERS = Configuration.of([Member("A", "1"), Member("B", "1")])


class Lucky(Journal):
    """Answers with something that is another on each node."""

    luck = 0

    def apply(self, command: bytes) -> bytes:
        answer = super().apply(command)
        return answer + b"%d" % self.luck if command == b"draw" else answer


class Luckier(Lucky):
    luck = 1


class Secretive(Journal):
    """Keeps something that is another on each node, and never speaks of it."""

    def apply(self, command: bytes) -> bytes:
        answer = super().apply(command)
        self.lines[-1] += " on this node"
        return answer


def test_an_answer_that_differs_shows_from_its_slot_on() -> None:
    one, other = Replica(Lucky), Replica(Luckier)
    alike = []
    for slot, command in enumerate((b"x", b"draw", b"x", b"x")):
        one.apply(slot, plain(command))
        other.apply(slot, plain(command))
        alike.append(one.digest == other.digest)
    assert alike == [True, False, False, False]


def test_a_state_that_differs_shows_in_the_digest_of_the_state_alone() -> None:
    one, other = Replica(Journal), Replica(Secretive)
    assert one.state_digest() == other.state_digest()
    one.apply(0, plain(b"x"))
    other.apply(0, plain(b"x"))
    assert one.digest == other.digest
    assert one.state_digest() != other.state_digest()


class Silent(Journal):
    """Answers everything alike."""

    def apply(self, command: bytes) -> bytes:
        super().apply(command)
        return b"ok"


ENTRIES: dict[str, Entry[bytes]] = {
    "nothing": NO_OP,
    "a command": plain(b"x"),
    "another command": plain(b"y"),
    "the same twice": plain(b"x", b"x"),
    "members": Change(MEMBERS),
    "other members": Change(Configuration.of([*MEMBERS.members, Member("C", "1")])),
    "another incarnation": Change(Configuration.of([Member("A", "2"), Member("B", "1")])),
    "another address": Change(Configuration.of([Member("A", "1", "host:1"), Member("B", "1")])),
    "other quorums": Change(Configuration(MEMBERS.members, phase1=1, phase2=2)),
}


def test_what_differs_in_a_slot_differs_in_the_digest() -> None:
    digests: dict[bytes, str] = {}
    for name, entry in ENTRIES.items():
        replica = Replica(Silent, configurations=Configurations.fixed(MEMBERS), window=1)
        replica.apply(0, entry)
        assert replica.digest not in digests, (name, digests[replica.digest])
        digests[replica.digest] = name


def test_other_limits_show_before_the_first_slot() -> None:
    assert Replica(Journal).digest != Replica(Journal, limits=SessionLimits(window=7)).digest


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_how_commands_are_batched_is_part_of_the_log(cut: int) -> None:
    whole, parted = Replica(Journal), Replica(Journal)
    commands = [b"a", b"b", b"c", b"d"]
    whole.apply(0, plain(*commands))
    parted.apply(0, plain(*commands[:cut]))
    parted.apply(1, plain(*commands[cut:]))
    assert whole.digest != parted.digest
    assert whole.state_digest() == parted.state_digest()
