"""What happens, in words."""

from __future__ import annotations

import pytest

from paxos.errors import FaultError
from paxos.events import BallotLost
from paxos.messages import Envelope, Identity, Prepare
from paxos.node import DurableState
from paxos.proposal_id import ProposalID
from paxos.scenario.cluster import CLUSTER_NAME
from paxos.scenario.commands import Tick
from paxos.scenario.happenings import (
    Arrived,
    Asked,
    Broke,
    Commanded,
    Crashed,
    Damaged,
    Happening,
    Left,
    Lost,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Restarted,
    StayedDown,
    Ticked,
    TimePassed,
    Told,
)
from paxos.scenario.sentences import Narrator

A1, B2 = ProposalID(1, "A"), ProposalID(2, "B")
PREPARE = Envelope(Identity(CLUSTER_NAME, "A", "1"), "B", Prepare(A1))
PROMISED = DurableState[str](promised=A1)
PROMISED_MORE = DurableState[str](promised=B2)


def told(*happenings: Happening) -> list[str]:
    narrator = Narrator()
    for happening in happenings:
        narrator(happening)
    return narrator.take()


@pytest.mark.parametrize(
    ("happening", "line"),
    [
        (Left(PREPARE, PROMISED), "A>B prepare 1.A"),
        (Lost(PREPARE), "A>B prepare 1.A is lost"),
        (Told("A", BallotLost(A1, B2)), "A has lost its ballot 1.A: 2.B was promised"),
        (Crashed("B", "kill"), "B is down"),
        (Crashed("B", "opening 1 kill"), "B is down again, amid opening its store"),
        (Damaged("B", "rot"), "the newest state on the disk of B rots"),
        (Damaged("B", "wipe"), "the disk of B is lost, and a new one is made"),
        (Restarted("B", PROMISED), "B is up again; its disk held: promised 1.A"),
        (StayedDown("B", FaultError("no disk")), "B does not start: no disk"),
        (Broke("agreement", "x and y"), "BROKEN agreement: x and y"),
    ],
)
def test_each_happening_has_its_line(happening: Happening, line: str) -> None:
    assert told(happening) == [line]


def test_what_the_command_says_already_is_not_said_again() -> None:
    assert told(Commanded(Tick("A")), Ticked("A", 0.0), TimePassed(1.0)) == []
    assert told(Asked("A", "x"), Arrived(PREPARE)) == []


def test_a_persist_that_is_done_at_once_is_one_line() -> None:
    assert told(PersistBegan("B", PROMISED), PersistEnded("B", PROMISED)) == [
        "B saves: promised 1.A"
    ]


def test_a_persist_that_takes_its_time_is_two() -> None:
    narrator = Narrator()
    narrator(PersistBegan("B", PROMISED))
    assert narrator.take() == ["B begins to save: promised 1.A"]
    narrator(PersistEnded("B", PROMISED))
    assert narrator.take() == ["B has saved: promised 1.A"]


def test_two_persists_at_a_time_are_told_apart() -> None:
    assert told(
        PersistBegan("B", PROMISED), PersistBegan("C", PROMISED), PersistEnded("B", PROMISED)
    ) == [
        "B begins to save: promised 1.A",
        "C begins to save: promised 1.A",
        "B has saved: promised 1.A",
    ]


def test_a_persist_is_told_by_what_it_changes() -> None:
    narrator = Narrator()
    narrator(PersistBegan("B", PROMISED))
    narrator(PersistEnded("B", PROMISED))
    narrator.take()
    narrator(PersistBegan("B", DurableState(3, A1)))
    assert narrator.take() == ["B begins to save: prepared 3"]


def test_a_persist_that_fails_is_one_line_at_once_or_late() -> None:
    failed = PersistFailed("B", FaultError("full"))
    assert told(PersistBegan("B", PROMISED), failed) == ["B fails to save: promised 1.A"]


def test_a_crash_amid_a_persist_says_what_is_in_doubt() -> None:
    assert told(PersistBegan("B", PROMISED), Crashed("B", "power")) == [
        "B begins to save: promised 1.A",
        "B is down, amid saving: promised 1.A",
    ]


def test_a_new_disk_holds_nothing() -> None:
    narrator = Narrator()
    for happening in (
        Restarted("B", PROMISED),
        Damaged("B", "wipe"),
        Restarted("B", DurableState()),
        PersistBegan("B", PROMISED),
    ):
        narrator(happening)
    assert narrator.take()[2:] == [
        "B is up again; its disk held: nothing",
        "B begins to save: promised 1.A",
    ]
