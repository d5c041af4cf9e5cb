"""The stage performs one command at a time, on the machines that users run."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.events import EnvelopeRefused, LeadershipAcquired, Stopped, ValueChosen
from paxos.messages import NOTHING_ACCEPTED, Accept, Prepare, Promise, Proposal
from paxos.node import DurableState
from paxos.proposal_id import ProposalID
from paxos.scenario.commands import Command, parse
from paxos.scenario.happenings import (
    Arrived,
    Asked,
    Commanded,
    Crashed,
    Damaged,
    Left,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Restarted,
    Ticked,
    TimePassed,
    Told,
)
from paxos.storage_errors import DiskError, FullError
from sim.theatre import Theatre

A1, B1 = ProposalID(1, "A"), ProposalID(1, "B")
X = Proposal(A1, "x")


def test_all_nodes_are_up_at_first_and_nothing_has_happened() -> None:
    theatre = Theatre("cluster node A B C proposers=P")
    assert [n for n, server in theatre.stage.servers.items() if server.is_up] == list("ABCP")
    assert theatre.seen == []
    assert theatre.stage.effects == 0


def test_a_proposal_is_told_of_step_by_step() -> None:
    theatre = Theatre("cluster node A B")
    theatre.play("propose A x")
    state = DurableState[str](ballot=1)
    assert theatre.seen == [
        Commanded(parse("propose A x")),
        Asked("A", "x"),
        PersistBegan("A", state),
        PersistEnded("A", state),
        Left(theatre.envelope("A>A prepare 1.A"), state),
        Left(theatre.envelope("A>B prepare 1.A"), state),
    ]


def test_an_effect_is_an_input_a_departure_a_persist_begun_or_done_a_crash_a_restart() -> None:
    theatre = Theatre("cluster node A B")
    theatre.play("propose A x")  # handled, begun, done, two departures
    assert theatre.stage.effects == 5
    theatre.play("crash B kill", "restart B", "at 1.0", "hang A")
    assert theatre.stage.effects == 7


def test_a_message_arrives_any_number_of_times_or_never() -> None:
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x")
    for _ in range(3):
        theatre.play("deliver A>B prepare 1.A")
    arrived = theatre.of(Arrived)
    assert [a.envelope.message for a in arrived] == [Prepare(A1)] * 3
    promises = [h for h in theatre.of(Left) if isinstance(h.envelope.message, Promise)]
    assert len(promises) == 3


def test_what_leaves_is_told_with_what_was_on_disk_then() -> None:
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "deliver A>B prepare 1.A")
    (promise,) = (h for h in theatre.of(Left) if isinstance(h.envelope.message, Promise))
    assert promise.disk == DurableState(0, A1)


def test_nodes_tell_their_applications() -> None:
    theatre = Theatre("cluster node A")
    theatre.play("propose A x", "deliver A>A prepare 1.A", "deliver A>A promise 1.A nothing")
    theatre.play("deliver A>A accept 1.A=x", "deliver A>A accepted 1.A=x")
    assert theatre.of(Told) == [Told("A", ValueChosen(X))]


def test_a_node_that_is_no_member_proposes_and_learns() -> None:
    theatre = Theatre("cluster node A proposers=P")
    theatre.play("propose P x", "deliver P>A prepare 1.P", "deliver A>P promise 1.P nothing")
    theatre.play("deliver P>A accept 1.P=x", "deliver A>P accepted 1.P=x")
    assert [told.node_id for told in theatre.of(Told)] == ["P"]


# Time.


def test_time_passes_only_when_told() -> None:
    theatre = Theatre("cluster heartbeat A B C")
    theatre.play("at 1.5")
    assert theatre.stage.now == 1.5
    assert theatre.seen == [Commanded(parse("at 1.5")), TimePassed(1.5)]


def test_a_tick_comes_with_the_time_on_the_nodes_own_clock() -> None:
    theatre = Theatre("cluster heartbeat A B C")
    theatre.play("clock A 2.0", "at 0.1", "tick A", "tick B", "clock A 1.0 10.0", "tick A")
    assert theatre.of(Ticked) == [Ticked("A", 0.2), Ticked("B", 0.1), Ticked("A", 10.1)]


def test_a_timeout_is_a_jump_of_the_clock_to_the_nodes_deadline() -> None:
    theatre = Theatre("cluster heartbeat A")
    theatre.play("timeout A")
    (ticked,) = theatre.of(Ticked)
    assert ticked.now > 0.3
    assert theatre.stage.now == 0.0
    assert theatre.stage.servers["A"].clock.reading(0.0) == ticked.now
    theatre.play(f"deliver A>A heartbeat none round {ticked.now!r}")
    theatre.play(f"deliver A>A answer none round {ticked.now!r}", "deliver A>A prepare 1.A")
    theatre.play("deliver A>A promise 1.A nothing")
    assert Told("A", LeadershipAcquired(A1)) in theatre.of(Told)


def test_a_timeout_that_is_overdue_leaves_the_clock_alone() -> None:
    theatre = Theatre("cluster heartbeat A")
    theatre.play("at 5.0", "timeout A")
    assert theatre.of(Ticked) == [Ticked("A", 5.0)]


def test_the_clock_of_a_node_that_is_down_may_be_set_back() -> None:
    theatre = Theatre("cluster heartbeat A")
    theatre.play("at 5.0", "crash A power", "clock A 1.0 -5.0", "restart A", "tick A")
    assert theatre.of(Ticked) == [Ticked("A", 0.0)]


def test_where_time_is_abstract_timers_fire_by_name() -> None:
    theatre = Theatre("cluster heartbeat A B C time=abstract")
    theatre.play("timer A challenge")
    assert theatre.of(Ticked) == [Ticked("A", 0.0)]
    assert [str(h.envelope.recipient) for h in theatre.of(Left)] == list("ABC")
    theatre.play("deliver A>B heartbeat none round 0.0")
    machine = theatre.stage.servers["A"].machine
    assert machine is not None
    assert machine.node.heartbeats.round_at == 1.0


# The disk.


def test_with_a_hung_disk_nothing_leaves_until_the_persist_is_done() -> None:
    theatre = Theatre("cluster node A B")
    theatre.play("hang A", "propose A x")
    assert theatre.of(PersistBegan) != []
    assert theatre.of(Left) == []
    assert theatre.stage.servers["A"].is_saving
    theatre.play("persist A")
    assert len(theatre.of(Left)) == 2
    assert not theatre.stage.servers["A"].is_saving


def test_what_comes_while_the_disk_hangs_is_in_the_next_persist() -> None:
    theatre = Theatre("cluster node A B")
    theatre.play("hang A", "propose A x", "propose B y", "deliver B>A prepare 1.B", "persist A")
    began = [h.state for h in theatre.of(PersistBegan) if h.node_id == "A"]
    assert began == [DurableState(1), DurableState(1, B1)]
    theatre.play("persist A")
    assert theatre.of(Left)[-1].envelope.message == Promise(B1, NOTHING_ACCEPTED)


def test_a_free_disk_is_done_at_once_also_with_what_had_hung() -> None:
    theatre = Theatre("cluster node A B")
    theatre.play("hang A", "propose A x", "propose B y", "deliver B>A prepare 1.B", "free A")
    ended = [h.state for h in theatre.of(PersistEnded) if h.node_id == "A"]
    assert ended == [DurableState(1), DurableState(1, B1)]
    theatre.play("hang A", "free A")


@pytest.mark.parametrize(
    ("how", "error"), [("io", DiskError), ("full", FullError), ("short", DiskError)]
)
@pytest.mark.parametrize("hangs", [True, False], ids=["under-way", "the-next"])
def test_a_disk_that_fails_stops_its_node(how: str, error: type[Exception], *, hangs: bool) -> None:
    theatre = Theatre("cluster node A B")
    if hangs:
        theatre.play("hang A", "propose A x", f"fail A {how}")
    else:
        theatre.play(f"fail A {how}", "propose A x")
    (failed,) = theatre.of(PersistFailed)
    assert type(failed.error) is error
    assert theatre.of(Told) == [Told("A", Stopped(failed.error))]
    assert theatre.of(Left) == []
    server = theatre.stage.servers["A"]
    assert not server.is_up
    assert "it has stopped" in server.why_down


def test_a_disk_fails_but_once() -> None:
    theatre = Theatre("cluster node A B")
    theatre.play("fail A io", "propose A x", "restart A", "propose A x")
    assert len(theatre.of(Restarted)) == 1
    assert theatre.stage.servers["A"].is_up


# Wiped disks.


def test_a_wiped_node_has_another_incarnation_and_an_empty_disk() -> None:
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "deliver A>B prepare 1.A", "wipe B")
    assert theatre.of(Crashed) == [Crashed("B", "kill unwritten")]
    assert theatre.of(Damaged) == [Damaged("B", "wipe")]
    theatre.play("restart B")
    assert theatre.of(Restarted) == [Restarted("B", DurableState())]
    assert theatre.stage.servers["B"].identity.incarnation == "2"


def test_a_wiped_node_is_not_listened_to_by_those_who_knew_it() -> None:
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "deliver A>B prepare 1.A", "deliver B>A promise 1.A nothing")
    theatre.play("wipe B", "restart B", "deliver A>B prepare 1.A")
    theatre.play("deliver B:2>A promise 1.A nothing")
    (told,) = theatre.of(Told)
    assert isinstance(told.event, EnvelopeRefused)


def test_a_node_that_is_down_can_be_wiped_too() -> None:
    theatre = Theatre("cluster node A")
    theatre.play("crash A kill", "wipe A", "wipe A", "restart A")
    assert theatre.stage.servers["A"].identity.incarnation == "3"


def test_a_node_that_finds_proof_of_damage_stops() -> None:
    """Two wiped acceptors promise anew, so a second value comes under another ID, and is told."""
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "deliver A>A prepare 1.A", "deliver A>B prepare 1.A")
    theatre.play("deliver A>A promise 1.A nothing", "deliver B>A promise 1.A nothing")
    theatre.play("deliver A>A accept 1.A=x", "deliver A>B accept 1.A=x")
    theatre.play("deliver A>A accepted 1.A=x", "deliver B>A accepted 1.A=x")
    theatre.play("wipe B", "restart B", "propose C z", "deliver C>C prepare 1.C")
    theatre.play("deliver C>B prepare 1.C", "deliver C>C promise 1.C nothing")
    theatre.play("deliver B:2>C promise 1.C nothing", "deliver C>B accept 1.C=z")
    theatre.play("deliver C>C accept 1.C=z", "deliver C>C accepted 1.C=z")
    theatre.play("hang A", "deliver B:2>C accepted 1.C=z", "deliver C>A chosen 1.C=z")
    stopped = [told.node_id for told in theatre.of(Told) if isinstance(told.event, Stopped)]
    assert stopped == ["A"]
    assert not theatre.stage.servers["A"].is_up


# What is impossible.


@pytest.mark.parametrize(
    ("before", "command", "complaint"),
    [
        ("", "propose D x", "there is no node D: there are A, B, C"),
        ("crash A kill", "propose A x", r"A is down \(crash A kill\): restart it first"),
        ("crash A kill", "tick A", "A is down"),
        ("crash A kill", "crash A kill", "A is down already"),
        ("crash A kill", "persist A", "A is down"),
        ("", "restart A", "A is up: crash it first"),
        ("", "deliver A>B prepare 1.A", "'A>B prepare 1.A' was never sent"),
        ("", "persist A", "nothing is on its way to the disk of A: hang it first"),
        ("", "crash A power torn", "nothing on the disk of A is unsynced"),
        ("", "timeout A", "A waits for no instant"),
        ("", "timer A round", "here time passes: write timeout NODE"),
        ("at 2.0", "at 1.0", "it is 2.0 already"),
        ("at 2.0", "clock A 1.0 -1.0", "a monotonic clock never goes back"),
        ("wipe A", "rot A", "nothing was ever synced"),
    ],
)
def test_what_is_impossible_is_refused_and_nothing_happens(
    before: str, command: str, complaint: str
) -> None:
    theatre = Theatre("cluster node A B C")
    if before:
        theatre.play(before)
    seen, effects = len(theatre.seen), theatre.stage.effects
    with pytest.raises(MisuseError, match=complaint):
        theatre.play(command)
    assert len(theatre.seen) == seen
    assert theatre.stage.effects == effects


def test_a_message_to_a_node_that_is_down_cannot_be_delivered() -> None:
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "crash B kill")
    with pytest.raises(MisuseError, match="B is down"):
        theatre.play("deliver A>B prepare 1.A")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("at 1.0", "leave out at"),
        ("clock A 2.0", "leave out clock"),
        ("timeout A", "write timer NODE NAME"),
        ("timer A tea", r"A has no timer 'tea': it has \('challenge',"),
    ],
)
def test_where_time_is_abstract_no_instant_has_a_number(command: str, complaint: str) -> None:
    theatre = Theatre("cluster heartbeat A B C time=abstract")
    with pytest.raises(MisuseError, match=complaint):
        theatre.play(command)


def test_a_node_without_heartbeats_has_no_timers() -> None:
    theatre = Theatre("cluster node A time=abstract")
    with pytest.raises(MisuseError, match=r"A has no timer 'round': it has \(\)"):
        theatre.play("timer A round")
    theatre.play("tick A")


def test_a_decided_node_waits_for_no_instant() -> None:
    theatre = Theatre("cluster heartbeat A")
    theatre.play("propose A x", "deliver A>A heartbeat none round 0.0")
    theatre.play("deliver A>A answer none round 0.0", "deliver A>A prepare 1.A")
    theatre.play("deliver A>A promise 1.A nothing", "deliver A>A accept 1.A=x")
    theatre.play("deliver A>A accepted 1.A=x")
    with pytest.raises(MisuseError, match="A waits for no instant"):
        theatre.play("timeout A")


def test_the_same_commands_make_the_same_run() -> None:
    lines = ("hang B", "propose A x", "deliver A>B prepare 1.A", "crash B kill", "restart B")
    first, second = Theatre("cluster node A B C"), Theatre("cluster node A B C")
    first.play(*lines)
    second.play(*lines)
    assert first.seen == second.seen


def test_an_accept_leaves_before_its_sender_has_voted() -> None:
    """It needs nothing saved beyond the number of its ballot."""
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "deliver A>B prepare 1.A", "deliver A>C prepare 1.A", "hang A")
    theatre.play("deliver B>A promise 1.A nothing", "deliver C>A promise 1.A nothing")
    assert [type(h.envelope.message) for h in theatre.of(Left)[-3:]] == [Accept] * 3


def test_commands_are_what_a_stage_takes() -> None:
    command: Command = parse("tick A")
    theatre = Theatre("cluster node A")
    theatre.stage.perform(command)
    assert theatre.of(Commanded) == [Commanded(command)]
