"""Members come and go by entries of the log, which take effect one window later."""

from __future__ import annotations

import itertools

import pytest

from log.by_hand import (
    A1,
    B1,
    after,
    change,
    chosen,
    commands,
    envelope,
    fixed,
    hear,
    identity,
    leading,
    new_log,
    page,
    proposed,
    said,
    vote,
)
from log.clients import grown
from log.log_world import SMALL, LogWorld, configuration
from paxos import Envelope, EnvelopeRefused, MisuseError, Proposal
from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Configuration, Entry, Member
from paxos.log.events import ChangeRefused, MembersChanged, Removed
from paxos.log.inputs import Append
from paxos.log.log import Log
from paxos.log.messages import AcceptIn, ChosenBelow, Decisions, Learn, PrepareFrom
from paxos.log.state import LogState

W = SMALL.window


def caught_up(log: Log[str], *newcomers: str) -> Log[str]:
    for node_id in newcomers:
        log = after(log, node_id, Learn(log.chosen_below))
    return log


def changed(log: Log[str], *members: str, voters: str = "AB") -> Log[str]:
    """The log once a change to these members is chosen in the next slot."""
    log = caught_up(log, *members)
    slot = log.next_slot
    log = log.change_members(configuration(*members)).node
    return chosen(log, slot, voters=voters)


def deciders(log: Log[str], slot: int) -> tuple[str, ...]:
    return log.node_at(slot).quorums.members


# When a change governs.


def test_a_change_chosen_in_a_slot_governs_one_window_later() -> None:
    log = changed(leading(), *"ABD")
    assert log.chosen_below == 1
    assert deciders(log, W - 1) == ("A", "B", "C")
    assert deciders(log, W) == ("A", "B", "D")


def test_the_application_is_told_from_which_slot_on_a_change_governs() -> None:
    log = caught_up(leading(), "D").change_members(configuration(*"ABD")).node
    step = vote(vote(log, "A", 0).node, "B", 0)
    assert MembersChanged(configuration(*"ABD"), W) in step.events


def test_while_a_change_waits_to_take_effect_an_idle_leader_fills_the_slots_before_it() -> None:
    log = caught_up(leading(), "D").change_members(configuration(*"ABD")).node
    step = vote(vote(log, "A", 0).node, "B", 0)
    assert proposed(step) == dict.fromkeys(range(1, W), NO_OP)


def test_commands_that_wait_go_before_no_ops() -> None:
    log = caught_up(leading(), "D").change_members(configuration(*"ABD")).node
    log = log.persist_began().append(("tea",)).node
    step = vote(vote(log, "A", 0).node, "B", 0)
    assert proposed(step) == {}
    assert proposed(step.node.persist_ended())[1] == commands("tea")


def test_nobody_proposes_under_a_change_before_those_who_decide_there_have_promised() -> None:
    log = changed(leading(), *"ADE")
    log = chosen(log, *range(1, W))
    assert log.chosen_below == log.next_slot == W
    assert proposed(log.append(("tea",))) == {}
    step = hear(log.append(("tea",)).node, "D", page(log, W))
    assert proposed(step) == {W: commands("tea")}


def test_new_members_are_asked_for_the_same_ballot_as_soon_as_the_change_is_chosen() -> None:
    log = caught_up(leading(), "D").change_members(configuration(*"ABD")).node
    step = vote(vote(log, "A", 0).node, "B", 0)
    assert said(step, PrepareFrom, to="D") == [PrepareFrom(log.ballot, 1)]


def test_what_new_members_accepted_is_adopted() -> None:
    """A leader of the new members may have come before, under a lower ballot."""
    log = changed(leading(), *"ADE")
    log = chosen(log, *range(1, W))
    tea = Proposal(A1._replace(number=0), commands("tea"))
    assert proposed(hear(log, "D", page(log, W, accepted={W: tea}))) == {W: commands("tea")}


def test_votes_of_old_members_do_not_count_under_a_change() -> None:
    log = changed(leading(promised_by="ABC"), *"ABD")
    log = chosen(log, *range(1, W))
    log = after(log, "D", page(log, W))
    log = log.append(("tea",)).node
    assert chosen(log, W, voters="AC").chosen_below == W
    assert chosen(log, W, voters="AD").chosen_below == W + 1


def test_a_promise_of_new_members_does_not_count_for_slots_of_older_ones() -> None:
    """{A}, then {A, B, C}, then {A, D}: D says nothing of the slots that B and C decide."""
    log = leading(new_log(members="A"), promised_by="A")
    log = changed(log, *"ABC", voters="A")
    log = changed(caught_up(log, "D"), *"AD", voters="A")
    slots = range(log.chosen_below, log.next_slot)
    log = chosen(log, *slots, voters="A")
    assert deciders(log, log.chosen_below) == ("A", "B", "C")
    log = after(log, "D", page(log, log.chosen_below))
    assert proposed(log.append(("tea",))) == {}
    assert proposed(hear(log.append(("tea",)).node, "B", page(log, W))) != {}


def test_slots_remembered_beyond_the_window_are_prepared_anew_when_their_members_change() -> None:
    """A laggard voted far ahead; then A and B promise under its old members, {A, B, C}."""
    far = W + 1
    log = after(new_log(), "A", AcceptIn(far, Proposal(A1._replace(number=0), NO_OP)))
    log = log.prepare().node
    old: dict[int, Proposal[Entry[str]]] = {
        0: Proposal(A1._replace(number=0), change(*"ABCDE")),
    }
    log = after(log, "B", page(log, accepted=old))
    log = after(log, "C", page(log, accepted=old))
    assert log.leads
    log = chosen(log, 0)
    assert deciders(log, far) == tuple("ABCDE")
    node = log.node_at(far)
    assert node.proposer.phase is not log.phase
    assert node.proposer.promised_by == ("B", "C")


def test_who_left_may_come_back_with_another_disk() -> None:
    log = changed(leading(promised_by="ABC"), *"AB")
    again = Envelope(identity("C", "second"), "A", Learn(0))
    assert isinstance(log.admit(again).events[0], EnvelopeRefused)
    log = chosen(log, *range(1, W))
    assert log.admit(again).events == ()
    log = log.handle(again.sender, Learn(W)).node
    members = Configuration.of([*configuration(*"AB").members, Member("C", "second")])
    assert log.change_members(members).events == ()


def test_the_promise_of_a_member_that_left_is_forgotten() -> None:
    """It may come back with another disk, which has promised nothing."""
    log = changed(leading(promised_by="ABC"), *"AB")
    assert "C" in [member for member, _, _ in log.promises.of]
    log = chosen(log, *range(1, W))
    assert [member for member, _, _ in log.promises.of] == ["A", "B"]


def test_several_changes_may_wait_in_one_window() -> None:
    log = leading(promised_by="ABC")
    for members in ("ABD", "ABE"):
        log = caught_up(log, *members).change_members(configuration(*members)).node
    log = chosen(log, 0, 1)
    assert [deciders(log, slot)[-1] for slot in (W - 1, W, W + 1)] == ["C", "D", "E"]


# Who may become a member.


def refusal(log: Log[str], members: Configuration) -> str:
    (event,) = log.change_members(members).events
    assert isinstance(event, ChangeRefused)
    return event.reason


def test_only_a_leader_changes_the_members() -> None:
    assert "lead" in refusal(new_log(), configuration(*"AB"))


def test_a_newcomer_that_nobody_has_heard_of_cannot_become_a_member() -> None:
    assert refusal(leading(), configuration(*"ABD")).startswith("D has not caught up")


def test_a_newcomer_that_is_more_than_a_window_behind_cannot_become_a_member() -> None:
    log = after(leading(), "D", Learn(0))
    for slot in range(W + 1):
        log = chosen(log.append((f"c{slot}",)).node, slot)
    assert refusal(log, configuration(*"ABD")).startswith("D has not caught up")
    assert caught_up(log, "D").change_members(configuration(*"ABD")).events == ()


def test_a_member_that_lost_its_disk_cannot_come_back_under_its_id() -> None:
    wiped = Configuration.of([Member("A", "first"), Member("B", "second")])
    assert refusal(leading(), wiped).startswith("B lost its disk")


def test_a_newcomer_counts_with_the_disk_that_it_was_heard_with() -> None:
    log = leading().handle(identity("D", "second"), Learn(0)).node
    assert refusal(log, configuration(*"ABD")).startswith("D has not caught up")
    second = Configuration.of([Member("A", "first"), Member("D", "second")])
    assert log.change_members(second).events == ()


def test_more_changes_than_a_window_holds_are_refused() -> None:
    log = leading().persist_began()
    for _ in range(2 * W):
        log = log.change_members(configuration(*"AB")).node
    assert "too many" in refusal(log, configuration(*"AB"))


def test_changes_that_wait_are_refused_when_leadership_ends() -> None:
    log = leading()
    for _ in range(W + 1):
        log = log.change_members(configuration(*"AB")).node
    (event,) = log.abandon().drop_queue().events
    assert event == ChangeRefused(configuration(*"AB"), "this node leads no more")


def test_a_replaced_disk_is_known_by_the_incarnation_in_the_configuration() -> None:
    log = new_log()
    assert log.unused.incarnations == (("A", "first"), ("B", "first"), ("C", "first"))
    assert configuration("A").incarnation_of("A") == "first"
    assert configuration("A").incarnation_of("B") is None


def test_a_member_without_a_known_disk_keeps_the_one_that_it_was_first_heard_with() -> None:
    members = Configuration.of([Member("A", "first"), Member("B", "")])
    log = new_log(state=LogState(configurations=Configurations.fixed(members)))
    log = log.admit(envelope("B", "A", Learn(0))).node
    assert log.unused.incarnations == (("A", "first"), ("B", "first"))
    second = Envelope(identity("B", "second"), "A", Learn(0))
    assert isinstance(log.admit(second).events[0], EnvelopeRefused)


def test_members_are_given_once_and_sorted() -> None:
    with pytest.raises(MisuseError):
        Configuration((Member("B", "first"), Member("A", "first")))


def test_quorums_of_a_configuration_may_have_sizes_of_their_own() -> None:
    flexible = Configuration(configuration(*"ABCD").members, phase1=3, phase2=2)
    assert (flexible.quorums.phase1, flexible.quorums.phase2) == (3, 2)


def test_configurations_that_govern_no_later_slot_are_dropped() -> None:
    configurations = fixed("AB").having_chosen(3, change("B"), W).having_chosen(4, change("C"), W)
    assert [at for at, _ in configurations.from_slot(3 + W).steps] == [3 + W, 4 + W]
    assert configurations.newest == configuration("C")
    between = configurations.between(4 + W - 1, 5 + W)
    assert [member.node_id for member in between] == ["B", "C"]
    assert Configurations().steps == ()


# In a world.


def test_a_newcomer_learns_by_asking_and_then_votes() -> None:
    world = LogWorld("ABC", newcomers="D")
    world.append(world.elect(), "tea")
    assert world.run(5, until=lambda: "tea" in world.commands("D"))
    leader = world.leader
    other, _ = (node_id for node_id in "ABC" if node_id != leader)
    grown(world, *sorted([leader, other, "D"]))
    world.crash(other)
    world.append(leader, "milk")
    assert world.run(3, until=lambda: "milk" in world.commands("D"))


@pytest.mark.parametrize("seed", range(4))
def test_a_log_grows_from_one_node_to_five_and_shrinks_to_two(seed: int) -> None:
    world = LogWorld("A", newcomers="BCDE", seed=seed)
    grown(world, *"ABC")
    grown(world, *"ABCDE")
    grown(world, *"BDE")
    grown(world, *"DE")
    world.append(world.elect(), "tea")
    assert world.run(4, until=lambda: world.has_applied("tea", "DE"))


@pytest.mark.parametrize("seed", range(4))
def test_all_members_may_be_replaced_at_once(seed: int) -> None:
    world = LogWorld("ABC", newcomers="DEF", seed=seed)
    grown(world, *"DEF")
    for node_id in "ABC":
        world.crash(node_id)
    world.append(world.elect(), "tea")
    assert world.run(4, until=lambda: world.has_applied("tea", "DEF"))


def test_a_removed_leader_leads_until_its_last_slot_is_chosen_and_then_stops() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    others = tuple(node_id for node_id in "ABC" if node_id != leader)
    world.change(leader, *others)
    assert world.run(3, until=lambda: leader not in world.leaders)
    assert (leader, Removed()) in world.told(Removed)
    assert world.run(5, until=lambda: world.leader in others)


def test_a_removed_follower_is_told_at_once() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    removed = next(node_id for node_id in "ABC" if node_id != leader)
    world.change(leader, *sorted(set("ABC") - {removed}))
    assert world.run(0.5, until=lambda: bool(world.told(Removed)))
    assert world.told(Removed) == [(removed, Removed())]


def test_a_node_that_was_removed_while_it_was_away_finds_out() -> None:
    """No leader speaks to it any more: it asks to lead, and learns from whoever refuses."""
    world = LogWorld("ABC")
    leader = world.elect()
    removed = next(node_id for node_id in "ABC" if node_id != leader)
    world.crash(removed)
    grown(world, *sorted(set("ABC") - {removed}))
    world.start(removed)
    assert world.run(4, until=lambda: bool(world.told(Removed)))
    assert world.told(Removed) == [(removed, Removed())]
    assert world.leader == leader


def test_a_removed_node_goes_on_learning() -> None:
    world = LogWorld("ABC")
    leader = world.elect()
    removed = next(node_id for node_id in "ABC" if node_id != leader)
    grown(world, *sorted(set("ABC") - {removed}))
    world.append(leader, "tea")
    assert world.run(4, until=lambda: "tea" in world.commands(removed))


def test_commands_are_chosen_all_the_while_members_change() -> None:
    world = LogWorld("ABC", newcomers="DE", seed=3)
    world.elect()
    count = itertools.count()
    for members in ("ABCDE", "ADE", "ABD", "ABC"):
        for _ in range(30):
            if world.leader:
                world.ask(world.leader, Append((f"c{next(count)}",)))
                world.change(world.leader, *members)
            world.run(0.2)
    assert len(world.slot_of) > 60


def test_a_follower_takes_a_decision_for_a_member_that_left_from_its_leader() -> None:
    log = after(new_log("C"), "A", AcceptIn(0, Proposal(A1, change(*"AB"))))
    votes = [AcceptIn(slot, Proposal(A1, NO_OP)) for slot in range(1, W)]
    log = after(log, "A", *votes, ChosenBelow(A1, W))
    assert log.names == ("A", "B")
    assert not log.is_member


def test_who_learns_a_change_from_another_counts_by_it() -> None:
    log = after(new_log(), "B", Decisions(0, (Proposal(B1, change(*"ABDE")),), 1))
    assert deciders(log, W - 1) == ("A", "B", "C")
    assert deciders(log, W) == ("A", "B", "D", "E")
