"""Every event says in a sentence what it means."""

from __future__ import annotations

import pytest

from log.by_hand import A1, commands
from log.log_world import configuration
from paxos import Proposal
from paxos.log.events import (
    ChangeRefused,
    CommandsRefused,
    EntriesWanted,
    EntryChosen,
    LogEvent,
    MembersChanged,
    ReadFailed,
    ReadReady,
    Removed,
)

SENTENCES: list[tuple[LogEvent[str], str]] = [
    (CommandsRefused(("a", "b"), "overloaded"), "refuses 2 commands: overloaded"),
    (ChangeRefused(configuration("A"), "too early"), "refuses to change the members: too early"),
    (
        MembersChanged(configuration("A", "B"), 7),
        "knows that A, B decide from slot 7 on",
    ),
    (Removed(), "is no member any more"),
    (ReadReady(3, 7), "may answer read 3 once all below slot 7 is applied"),
    (ReadFailed(3, "overloaded"), "cannot answer read 3: overloaded"),
    (EntriesWanted("B", 7), "is asked by B for what is chosen from slot 7 on"),
]


@pytest.mark.parametrize(("event", "sentence"), SENTENCES)
def test_an_event_is_a_sentence(event: LogEvent[str], sentence: str) -> None:
    assert str(event) == sentence


def test_a_chosen_entry_is_named_with_its_slot_and_its_id() -> None:
    sentence = str(EntryChosen(7, Proposal(A1, commands("tea"))))
    assert sentence.startswith("knows slot 7: ")
    assert sentence.endswith("under 1.A")
