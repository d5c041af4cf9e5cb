"""What a node finds after a crash, and that every prefix of what it writes is a legal state."""

from __future__ import annotations

import pytest

from log.by_hand import (
    A1,
    A2,
    B1,
    B2,
    B9,
    after,
    change,
    chosen,
    commands,
    envelope,
    fixed,
    hear,
    leading,
    new_log,
    new_machine,
    page,
    proposed,
    said,
)
from log.log_disk import LogDisk
from log.log_world import SMALL, LogWorld, configuration
from paxos import NO_PROPOSAL, NOTHING_ACCEPTED, MisuseError, Proposal, ProposalID
from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Entry
from paxos.log.events import EntryChosen
from paxos.log.inputs import Append
from paxos.log.log import Log
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptIn,
    ChosenBelow,
    Decisions,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import (
    ChosenRecord,
    LogState,
    PromiseRecord,
    VoteRecord,
    records_since,
)
from paxos.node import Phase

W = SMALL.window
TEA, MILK = Proposal(B1, commands("tea")), Proposal(B1, commands("milk"))


def restarted(log: Log[str]) -> Log[str]:
    return new_log(log.node_id, state=log.durable)


def test_a_promise_survives() -> None:
    log = restarted(after(new_log(), "B", PrepareFrom(B9, 0)))
    assert log.promised == B9
    assert said(hear(log, "C", AcceptIn(3, TEA)), AcceptIn) == []
    assert hear(log, "C", AcceptIn(3, TEA)).node.durable.vote(3) is NOTHING_ACCEPTED


def test_votes_survive_behind_holes_too() -> None:
    log = restarted(after(new_log(), "B", AcceptIn(0, TEA), AcceptIn(2, MILK)))
    (promise,) = said(hear(log, "B", PrepareFrom(B9, 0)), PromiseFrom)
    assert promise.accepted == ((0, TEA), (2, MILK))


def test_every_ballot_ends_with_a_restart_and_its_number_is_not_used_again() -> None:
    log = restarted(leading())
    assert (log.phase, log.leads) == (Phase.IDLE, False)
    assert log.prepare().node.ballot == A2


def test_the_next_ballot_is_above_what_was_promised() -> None:
    log = restarted(after(new_log(), "B", PrepareFrom(B9, 0)))
    assert log.prepare().node.ballot == ProposalID(10, "A")


def test_a_vote_promises_though_the_record_of_the_promise_was_lost() -> None:
    log = new_log(state=LogState(votes=(NOTHING_ACCEPTED, TEA), configurations=fixed()))
    assert log.promised == B1


def test_what_is_kept_of_a_decision_promises_like_a_vote() -> None:
    """Else a restart would raise the promise to it, and the next one forget it with the slot."""
    log = after(new_log(), "B", Decisions(1, (Proposal(B9, NO_OP),), 0))
    assert log.promised == log.durable.promised == B9
    assert records_since(new_log().durable, log.durable)[0] == PromiseRecord(0, B9)


def test_what_a_leader_got_chosen_without_its_own_vote_promises_too() -> None:
    log = leading(promised_by="BC").append(("tea",)).node
    assert log.promised < A1
    assert chosen(log, 0, voters="BC").promised == A1


def test_what_was_chosen_is_learned_again_if_only_its_mark_was_lost() -> None:
    log = after(new_log("C"), "A", AcceptIn(0, Proposal(A1, commands("tea"))), ChosenBelow(A1, 1))
    assert log.chosen_below == 1
    log = new_log("C", state=LogState(votes=log.durable.votes, configurations=fixed()))
    assert log.chosen_below == 0
    step = hear(log, "A", ChosenBelow(A1, 1))
    assert step.events == (EntryChosen(0, Proposal(A1, commands("tea"))),)


def test_chosen_slots_on_the_disk_are_not_told_again() -> None:
    state = LogState[str](votes=(TEA, MILK), promised=B1, chosen_below=1, configurations=fixed())
    log = new_log(state=state)
    assert (log.window.first, log.window.end, log.chosen_below) == (1, 2, 1)
    assert log.durable.vote(1) == MILK


def test_a_new_leader_fills_the_holes_that_it_recovered() -> None:
    state = LogState[str](votes=(NOTHING_ACCEPTED, TEA), promised=B1, configurations=fixed())
    log = new_log(state=state).prepare().node
    log = after(log, "A", page(log, accepted={1: TEA}))
    assert proposed(hear(log, "C", page(log))) == {0: NO_OP, 1: commands("tea")}


def test_members_are_those_of_the_slots_that_are_still_open() -> None:
    configurations = fixed("AB").having_chosen(0, change(*"ACD"), W)
    log = new_log(state=LogState(chosen_below=W, first=W, configurations=configurations))
    assert log.unused.quorums.members == ("A", "C", "D")
    log = new_log(
        state=LogState(chosen_below=1, first=1, configurations=configurations, votes=(TEA,) * W)
    )
    assert log.names == ("A", "B", "C", "D")
    assert log.node_at(1).quorums.members == ("A", "B")
    assert log.node_at(W).quorums.members == ("A", "C", "D")


def test_a_log_without_members_is_misuse() -> None:
    with pytest.raises(MisuseError, match="who decides"):
        new_log(state=LogState())
    assert Configurations() == LogState().configurations


# Records.


def test_promises_are_written_first_then_votes_then_the_mark_of_what_is_chosen() -> None:
    log = after(
        new_log("C"), "A", AcceptIn(0, Proposal(A1, NO_OP)), AcceptIn(1, Proposal(A1, NO_OP))
    )
    log = after(log, "A", ChosenBelow(A1, 1))
    assert records_since(new_log("C").durable, log.durable) == (
        PromiseRecord(0, A1),
        VoteRecord(0, Proposal(A1, NO_OP)),
        VoteRecord(1, Proposal(A1, NO_OP)),
        ChosenRecord(1),
    )


def test_that_more_is_chosen_is_worth_no_write_of_its_own() -> None:
    log = after(new_log("C"), "A", AcceptIn(0, Proposal(A1, NO_OP)))
    later = after(log, "A", ChosenBelow(A1, 1))
    assert later.is_saved_by(log.durable)
    assert records_since(log.durable, later.durable) == ()


@pytest.mark.parametrize(
    "message", [PrepareFrom(B2, 0), AcceptIn(0, TEA), AcceptIn(3, TEA)], ids=str
)
def test_promises_and_votes_must_be_saved(message: PrepareFrom | AcceptIn[str]) -> None:
    before = new_log()
    log = after(before, "B", message)
    assert not log.is_saved_by(before.durable)
    assert log.is_saved_by(log.durable)
    assert records_since(log.durable, log.durable) == ()


def test_a_number_must_be_saved_before_it_is_prepared() -> None:
    assert not new_log().prepare().node.is_saved_by(new_log().durable)


def test_every_prefix_of_what_is_written_is_a_state_to_start_from() -> None:
    """A crash during a persist leaves any of them.

    Promises hold, and nothing is called chosen that was not voted for.
    """
    before = after(new_log("C"), "A", AcceptIn(0, Proposal(A1, NO_OP)))
    log = after(before, "B", *(AcceptIn(slot, Proposal(B2, NO_OP)) for slot in range(W)))
    log = after(log, "B", ChosenBelow(B2, W))
    records = records_since(before.durable, log.durable)
    assert len(records) == 1 + W + 1
    for count in range(len(records) + 1):
        disk = LogDisk(fixed(), W)
        disk.write(records_since(new_log("C").durable, before.durable))
        disk.write(records[:count])
        found = new_log("C", state=disk.state())
        assert found.promised >= before.promised
        votes: list[Proposal[Entry[str]]] = [
            vote for vote in disk.state().votes if vote is not NOTHING_ACCEPTED
        ]
        assert found.promised >= max((vote.id for vote in votes), default=NO_PROPOSAL)
        assert found.chosen_below in (0, W)
        assert hear(found, "B", ChosenBelow(B2, W)).node.chosen_below <= W


def test_the_machine_offers_one_persist_for_all_that_came_meanwhile() -> None:
    machine = new_machine()
    for slot in range(3):
        machine.receive(envelope("B", "A", AcceptIn(slot, TEA if slot else MILK)), 0.0)
    ready = machine.ready()
    assert ready.persist is not None
    assert len(ready.send_after_persist) == 3
    machine.receive(envelope("B", "A", AcceptIn(3, TEA)), 0.0)
    assert machine.ready().persist is None
    machine.persisted()
    assert len(machine.ready().send_after_persist) == 1


# Snapshots.


def test_after_a_snapshot_the_log_goes_on_behind_it() -> None:
    log = after(new_log(), "B", AcceptIn(1, TEA), AcceptIn(5, MILK))
    step = log.install(5, fixed())
    assert step.events == ()
    assert (step.node.chosen_below, step.node.window.first) == (5, 5)
    assert step.node.durable.vote(5) == MILK


def test_an_older_snapshot_changes_nothing() -> None:
    log = chosen(leading().append(("tea",)).node, 0)
    assert log.install(1, fixed()).node is log


def test_slots_behind_a_snapshot_are_decided_by_those_whom_it_names() -> None:
    log = after(new_log(), "B", AcceptIn(W + 1, TEA))
    members = fixed().having_chosen(0, change(*"ADE"), W).from_slot(2)
    log = log.install(2, members).node
    assert log.node_at(W + 1).quorums == configuration(*"ADE").quorums
    assert log.node_at(W - 1).quorums == configuration(*"ABC").quorums


def test_a_leader_that_installs_a_snapshot_leads_no_more() -> None:
    """It does not know under which ballot those slots were chosen.

    So its word on them proves nothing to those who voted under its own.
    """
    log = leading().append(("tea",)).node.install(2, fixed()).node
    assert not log.leads
    assert said(hear(log, "C", AcceptIn(0, TEA)), ChosenBelow) == [ChosenBelow(NO_PROPOSAL, 2)]


def test_a_candidate_that_installs_a_snapshot_may_lead_behind_it() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    log = after(log, "B", PromiseFrom(log.ballot, 5, EVERY_LATER_SLOT, 5))
    assert not log.leads
    assert log.install(5, fixed()).node.leads


def test_a_snapshot_may_come_while_a_persist_is_under_way() -> None:
    log = after(new_log(), "B", AcceptIn(0, TEA)).persist_began()
    log = log.install(3, fixed()).node.persist_ended().node
    assert (log.window.first, log.chosen_below) == (3, 3)


def test_a_node_that_is_far_behind_gets_a_snapshot_and_goes_on() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    away = next(node_id for node_id in "ABC" if node_id != leader)
    world.crash(away)
    for n in range(50):
        world.ask(leader, Append((f"c{n}",)))
        world.run(0.1)
    for node_id in world.up:
        world.trim(node_id)
    world.start(away)
    world.append(leader, "last")
    assert world.run(3, until=lambda: "last" in world.commands(away))


def test_a_cluster_that_stops_as_a_whole_goes_on_with_its_log() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    for n in range(20):
        world.append(leader, f"c{n}")
        world.run(0.1)
    for node_id in "ABC":
        world.crash(node_id)
    for node_id in "ABC":
        world.start(node_id)
    world.append(world.elect(), "last")
    assert world.run(3, until=lambda: world.has_applied("last", "ABC"))
    assert world.commands("A")[:-1] == [f"c{n}" for n in range(20)]
