"""What the witness of a log objects to, message by message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member
from paxos.log.events import EntryChosen
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    ChosenBelow,
    Decisions,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import LogState
from paxos.messages import Envelope, Identity, Proposal
from paxos.proposal_id import ProposalID
from paxos.scenario.happenings import Broke
from paxos.sim.log.ledger import Ledger
from paxos.sim.log.witness import Witness

TEA, MILK = Commands((b"tea",)), Commands((b"milk",))
FIRST, SECOND = ProposalID(1, "A"), ProposalID(2, "B")
WINDOW = 4


def members(*names: str) -> Configuration:
    return Configuration(tuple(Member(name, "1") for name in names))


class Told:
    """A witness, and what it said."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.witness = Witness(Configurations.fixed(members("A", "B", "C")), WINDOW, self.hear)

    def hear(self, broke: Broke) -> None:
        self.broken.append(broke.invariant)

    def says(
        self, sender: str, message: Any, disk: LogState[bytes] | None = None, disk_of: str = "1"
    ) -> None:
        """A message leaves; unless given, its sender's disk holds all that it says."""
        identity = Identity("simulated", sender, disk_of)
        envelope = Envelope(identity, "A", message)
        self.witness.leaves(envelope, full_disk(message) if disk is None else disk)

    def choose(self, slot: int, entry: Entry[bytes], id: ProposalID = FIRST) -> None:
        """A and B promise and vote."""
        for name in "AB":
            self.says(name, PromiseFrom(id, slot, EVERY_LATER_SLOT, 0))
        self.says(id.node_id, AcceptIn(slot, Proposal(id, entry)))
        for name in "AB":
            self.says(name, AcceptedIn(slot, id))


def full_disk(message: Any) -> LogState[bytes]:
    """A disk that holds whatever a message may rest on."""
    id = getattr(message, "id", FIRST)
    slot = getattr(message, "slot", 0)
    count = 10 if isinstance(slot, int) else 0
    votes: tuple[Any, ...] = (Proposal(id, NO_OP),) * count
    return LogState(ballot=id.number, promised=id, first=0, votes=votes)


@pytest.fixture
def told() -> Told:
    return Told()


def test_what_is_as_it_should_be_breaks_nothing(told: Told) -> None:
    told.choose(0, TEA)
    told.witness.learned("A", EntryChosen(0, Proposal(FIRST, TEA)))
    told.says("A", ChosenBelow(FIRST, 1))
    told.says("A", Decisions(0, (Proposal(FIRST, TEA),), 1))
    assert told.broken == []
    assert told.witness.chosen_below == 1


@pytest.mark.parametrize(
    "message",
    [PrepareFrom(FIRST, 0), PromiseFrom(FIRST, 0, EVERY_LATER_SLOT, 0)],
    ids=["Prepare", "Promise"],
)
def test_what_is_not_on_the_disk_must_not_be_said(told: Told, message: Any) -> None:
    told.says("A", message, LogState())
    assert told.broken == ["durable-first"]


def test_a_vote_must_be_on_the_disk_in_its_slot(told: Told) -> None:
    told.choose(0, TEA)
    other_slot = LogState[bytes](promised=FIRST, first=0, votes=(Proposal(FIRST, TEA),))
    told.says("A", AcceptIn(1, Proposal(FIRST, TEA)))
    told.says("C", AcceptedIn(1, FIRST), other_slot)
    assert told.broken == ["durable-first"]


def test_a_vote_below_a_promise_is_seen(told: Told) -> None:
    told.choose(0, TEA)
    told.says("C", PromiseFrom(SECOND, 0, EVERY_LATER_SLOT, 0))
    told.says("C", AcceptedIn(0, FIRST))
    assert told.broken == ["promises-are-kept"]


def test_a_vote_that_a_promise_hides_is_seen(told: Told) -> None:
    told.choose(0, TEA)
    told.says("A", PromiseFrom(SECOND, 0, EVERY_LATER_SLOT, 0))
    assert told.broken == ["promises-are-kept"]


def test_a_proposal_without_a_quorum_of_promises_for_its_slot_is_seen(told: Told) -> None:
    for name in "AB":
        told.says(name, PromiseFrom(FIRST, 0, 1, 0))  # a page, for slot 0 alone
    told.says("A", AcceptIn(1, Proposal(FIRST, TEA)))
    assert told.broken == ["one-value-an-id"]


def test_a_proposal_that_ignores_what_was_promised_is_seen(told: Told) -> None:
    told.choose(0, TEA)
    for name in "BC":
        accepted: Any = ((0, Proposal(FIRST, TEA)),) if name == "B" else ()
        told.says(name, PromiseFrom(SECOND, 0, EVERY_LATER_SLOT, 0, accepted))
    told.says("B", AcceptIn(0, Proposal(SECOND, MILK)))
    assert told.broken == ["one-value-an-id"]


def test_two_values_under_one_id_are_seen(told: Told) -> None:
    told.choose(0, TEA)
    told.says("A", AcceptIn(0, Proposal(FIRST, MILK)))
    assert told.broken == ["one-value-an-id"]


def test_a_proposal_beyond_the_window_is_seen(told: Told) -> None:
    told.says("A", AcceptIn(WINDOW, Proposal(FIRST, TEA)))
    assert told.broken == ["within-the-window"]


def test_who_calls_chosen_what_is_not_is_seen(told: Told) -> None:
    told.choose(0, TEA)
    told.witness.learned("C", EntryChosen(0, Proposal(FIRST, MILK)))
    told.says("A", ChosenBelow(FIRST, 2))
    assert told.broken == ["chosen-is-chosen"] * 2


def test_a_change_governs_from_the_window_on(told: Told) -> None:
    told.choose(0, Change(members("C", "D", "E")))
    assert told.witness.configurations.at(WINDOW - 1) == members("A", "B", "C")
    assert told.witness.configurations.at(WINDOW) == members("C", "D", "E")


def test_votes_of_old_members_count_no_more_where_a_change_governs(told: Told) -> None:
    told.choose(0, Change(members("C", "D", "E")))
    for slot in range(1, WINDOW):
        told.choose(slot, TEA)
    told.choose(WINDOW, TEA)
    assert told.witness.chosen_below == WINDOW
    assert told.broken == ["one-value-an-id"]  # nor do their promises


def test_a_node_on_another_disk_has_no_vote(told: Told) -> None:
    for name in "AB":
        told.says(name, PromiseFrom(FIRST, 0, EVERY_LATER_SLOT, 0))
    told.says("A", AcceptIn(0, Proposal(FIRST, TEA)))
    told.says("A", AcceptedIn(0, FIRST))
    told.says("B", AcceptedIn(0, FIRST), disk_of="2")
    assert told.witness.chosen_below == 0


@pytest.fixture
def ledger() -> tuple[Ledger, list[str]]:
    broken: list[str] = []
    return Ledger(lambda broke: broken.append(broke.invariant)), broken


def test_a_command_in_more_slots_than_it_was_asked_for_is_seen(
    ledger: tuple[Ledger, list[str]],
) -> None:
    book, broken = ledger
    book.asked(b"tea")
    for slot in range(2):
        book.applied("A", slot, TEA, [], b"%d" % slot)
    assert broken == ["exactly-once"]


def test_a_command_that_was_refused_must_not_be_chosen(ledger: tuple[Ledger, list[str]]) -> None:
    book, broken = ledger
    book.asked(b"tea")
    book.refused((b"tea",))
    book.applied("A", 0, TEA, [], b"")
    assert broken == ["refused-is-refused"]


def test_nodes_that_differ_are_seen(ledger: tuple[Ledger, list[str]]) -> None:
    book, broken = ledger
    book.applied("A", 0, NO_OP, [], b"one")
    book.applied("B", 0, NO_OP, [], b"another")
    assert broken == ["same-state"]


def test_a_read_of_the_past_is_seen(ledger: tuple[Ledger, list[str]]) -> None:
    book, broken = ledger
    book.applied("A", 0, NO_OP, [], b"")
    book.read_asked(1)
    book.read_ready("B", 1, 0)
    assert broken == ["reads-are-fresh"]


def test_disks_that_hold_more_than_was_said_are_sound(told: Told) -> None:
    disk = replace(full_disk(PrepareFrom(SECOND, 0)), ballot=9)
    told.says("B", PrepareFrom(SECOND, 0), disk)
    assert told.broken == []
