"""Who leads, as one node sees it: `Heartbeats`, one fact at a time. Times are in seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.cluster import A1, A2, B1, B2, C1, C2
from paxos import (
    NO_PROPOSAL,
    Heartbeat,
    HeartbeatAnswer,
    Heartbeats,
    ProposalID,
    Quorums,
    Timing,
)
from paxos.heartbeat import Reaction, Stance
from paxos.timing import NEVER

INTERVAL, WINDOW = 1.0, 6.0
TIMING = Timing(interval=INTERVAL, window=WINDOW, backoff=0.5)
ABC = Quorums.majority("ABC")
START = 100.0


def begun(quorums: Quorums = ABC) -> Heartbeats:
    """A, just started."""
    return Heartbeats.begin("A", quorums, TIMING, START)


def asking(quorums: Quorums = ABC) -> tuple[Heartbeats, float]:
    """A, in its first round of asking, and when that began."""
    idle = begun(quorums)
    return idle.tick(idle.deadline).heartbeats, idle.deadline


def says(
    state: Heartbeats, sender: str, follows: ProposalID, began: float, now: float | None = None
) -> Reaction:
    """What , arriving at its beginning if not told otherwise."""
    arrival = began if now is None else now
    return state.receive_answer(sender, HeartbeatAnswer(follows, began), arrival)


def challenging() -> tuple[Heartbeats, float]:
    """A, challenging with 1.A, and since when."""
    state, now = asking()
    state = says(state, "A", NO_PROPOSAL, now).heartbeats
    state = says(state, "B", NO_PROPOSAL, now).heartbeats
    return state.challenge_with(A1), now


def leading() -> tuple[Heartbeats, float]:
    """A, leading with 1.A, and since when."""
    state, now = challenging()
    return state.lead(now).heartbeats, now


def following() -> tuple[Heartbeats, float]:
    """A, following 1.B, and when it last heard of it."""
    return hears(begun(), B1, START).heartbeats, START


def hears(
    state: Heartbeats, leader: ProposalID, now: float, promised: ProposalID = NO_PROPOSAL
) -> Reaction:
    """What a round of this leader does, or for `NO_PROPOSAL`, of one who would like to lead."""
    return state.receive_heartbeat(Heartbeat(leader, 7.0), promised, now)


def followed_in_each_round(state: Heartbeats, now: float, until: float) -> Heartbeats:
    """A leader whom A and B answer at once, in each round until then."""
    while now < until:
        now = min(state.deadline, until)
        state = state.tick(now).heartbeats
        state = says(state, "A", A1, now).heartbeats
        state = says(state, "B", A1, now).heartbeats
    return state


# At the start.


def test_a_node_that_starts_follows_nobody() -> None:
    assert begun().follows(START) == NO_PROPOSAL


def test_a_node_that_starts_gives_a_leader_one_window_and_a_bit_to_be_heard() -> None:
    assert begun().deadline == START + WINDOW + TIMING.delay("A", 0)


def test_before_the_deadline_a_tick_does_nothing() -> None:
    assert begun().tick(begun().deadline - 0.01) == Reaction(begun())


def test_a_node_that_heard_no_leader_asks_everybody_before_it_challenges() -> None:
    idle = begun()
    beat = idle.tick(idle.deadline)
    assert beat.to_members == Heartbeat(NO_PROPOSAL, idle.deadline)
    assert (beat.heartbeats.stance, beat.challenge) == (Stance.ASKING, False)


# Asking.


def test_an_asker_asks_again_after_each_interval() -> None:
    state, now = asking()
    assert state.deadline == now + INTERVAL
    beat = state.tick(now + INTERVAL)
    assert (beat.to_members, beat.send_again) == (Heartbeat(NO_PROPOSAL, now + INTERVAL), False)


def test_an_asker_challenges_once_a_phase_1_quorum_hears_no_leader() -> None:
    state, now = asking()
    first = says(state, "B", NO_PROPOSAL, now)
    second = says(first.heartbeats, "C", NO_PROPOSAL, now)
    assert (first.challenge, second.challenge) == (False, True)
    assert second.heartbeats.stance is Stance.CHALLENGING


def test_it_challenges_once_only() -> None:
    state, now = challenging()
    assert says(state, "C", NO_PROPOSAL, now) == Reaction(state)


def test_the_same_member_twice_is_no_quorum() -> None:
    state, now = asking()
    state = says(state, "B", NO_PROPOSAL, now).heartbeats
    assert not says(state, "B", NO_PROPOSAL, now).challenge


def test_who_is_no_member_does_not_count_for_an_asker() -> None:
    state, now = asking()
    assert says(state, "X", NO_PROPOSAL, now) == Reaction(state)


def test_a_member_that_hears_a_leader_does_not_count_for_an_asker() -> None:
    state, now = asking()
    state = says(state, "B", NO_PROPOSAL, now).heartbeats
    assert not says(state, "C", B1, now).challenge


def test_a_member_that_has_come_to_hear_a_leader_takes_its_leave_back() -> None:
    state, now = asking()
    state = says(state, "B", NO_PROPOSAL, now).heartbeats
    state = says(state, "B", C1, now).heartbeats
    assert not says(state, "A", NO_PROPOSAL, now).challenge


def test_leave_counts_for_one_window_from_the_beginning_of_its_round() -> None:
    state, now = asking()
    state = says(state, "B", NO_PROPOSAL, now, now + WINDOW - 0.1).heartbeats
    just_now = now + WINDOW
    assert not says(state, "C", NO_PROPOSAL, just_now).challenge
    assert says(state, "C", NO_PROPOSAL, just_now - 0.1).challenge


@pytest.mark.parametrize("began", [-WINDOW, 0.01, float("nan"), NEVER, -NEVER])
def test_an_answer_to_a_round_too_long_ago_or_yet_to_come_does_not_count(began: float) -> None:
    state, now = asking()
    assert says(state, "B", NO_PROPOSAL, now + began, now) == Reaction(state)


def test_a_phase_1_quorum_is_what_the_quorums_say() -> None:
    state, now = asking(Quorums.weighted({"A": 1, "B": 3, "C": 1}))
    assert says(state, "B", NO_PROPOSAL, now).challenge


def test_leave_of_a_phase_2_quorum_is_not_enough_where_phase_1_needs_more() -> None:
    state, now = asking(Quorums.flexible("ABC", phase1=3, phase2=1))
    for member in "AB":
        state = says(state, member, NO_PROPOSAL, now).heartbeats
    assert state.stance is Stance.ASKING
    assert says(state, "C", NO_PROPOSAL, now).challenge


def test_an_asker_that_comes_to_hear_a_leader_follows_it() -> None:
    state, now = asking()
    state = hears(state, B1, now).heartbeats
    assert (state.stance, state.follows(now)) == (Stance.FOLLOWING, B1)


def test_an_asker_holds_back_when_another_begins_a_ballot() -> None:
    state, now = asking()
    state = state.receive_prepare(B1, now)
    assert state.stance is Stance.FOLLOWING
    assert state.deadline == now + WINDOW + TIMING.delay("A", 0)


def test_a_node_with_a_proposal_need_not_wait_before_it_asks() -> None:
    beat = begun().ask(START)
    assert (beat.heartbeats.stance, beat.to_members) == (
        Stance.ASKING,
        Heartbeat(NO_PROPOSAL, START),
    )


def test_a_node_that_hears_a_leader_does_not_ask() -> None:
    state, now = following()
    assert state.ask(now + WINDOW - 0.1) == Reaction(state)


def test_a_node_that_asks_challenges_or_leads_does_not_ask_anew() -> None:
    for state, now in (asking(), challenging(), leading()):
        assert state.ask(now) == Reaction(state)


def test_leave_to_challenge_is_used_once() -> None:
    """Neither by the ballot after the one that it was given for, nor after another leader."""
    state, now = asking()
    state = says(state, "B", NO_PROPOSAL, now).heartbeats
    assert hears(state, B1, now).heartbeats.answers == ()
    assert says(state, "A", NO_PROPOSAL, now).heartbeats.answers == ()


def test_a_node_whose_disk_hangs_does_not_ask() -> None:
    hung = begun().persist_began(START)
    beat = hung.ask(START + WINDOW)
    assert (beat.heartbeats.stance, beat.to_members) == (Stance.FOLLOWING, None)


def test_a_node_whose_disk_hangs_tries_again_a_window_later() -> None:
    hung = begun().persist_began(START).tick(begun().deadline).heartbeats
    assert hung.deadline == begun().deadline + WINDOW
    asks = hung.persist_ended().tick(hung.deadline)
    assert asks.heartbeats.stance is Stance.ASKING


# Challenging.


def test_a_challenger_sends_again_after_each_interval_and_asks_no_more() -> None:
    state, now = challenging()
    assert state.deadline == now + INTERVAL
    beat = state.tick(now + INTERVAL)
    assert (beat.send_again, beat.to_members) == (True, None)


def test_a_challenge_ends_if_no_quorum_promises_within_a_window() -> None:
    state, now = challenging()
    assert state.tick(now + WINDOW - 0.1).ended is None
    assert state.tick(now + WINDOW).ended == "no quorum promises"


def test_after_a_failed_challenge_a_node_holds_back_longer_each_time() -> None:
    state, now = challenging()
    for attempt in (1, 2, 3):
        state = state.end_ballot("for a test", now).heartbeats
        assert state.stance is Stance.FOLLOWING
        assert state.deadline == now + TIMING.delay("A", attempt)


def test_whoever_follows_a_leader_has_a_clean_slate() -> None:
    state, now = challenging()
    state = hears(state.end_ballot("for a test", now).heartbeats, B1, now).heartbeats
    assert state.attempt == 0


def test_whoever_leads_has_a_clean_slate() -> None:
    state, now = challenging()
    state = state.end_ballot("for a test", now).heartbeats
    assert state.challenge_with(A2).lead(now).heartbeats.attempt == 0


def test_a_challenger_is_not_put_off_when_another_begins_a_ballot() -> None:
    """One of the two will win; if both held back, none would."""
    state, now = challenging()
    assert state.receive_prepare(B1, now) == state


def test_a_challenger_gives_way_to_a_leader_of_a_higher_id() -> None:
    state, now = challenging()
    beat = hears(state, B1, now, promised=B1)
    assert beat.ended == "another node leads under a higher ID"
    assert (beat.heartbeats.follows(now), beat.heartbeats.ballot) == (B1, NO_PROPOSAL)


def test_a_challenger_does_not_follow_a_leader_below_its_own_promise() -> None:
    state, now = challenging()
    assert hears(state, A1, now, promised=B2).heartbeats == state


def test_a_challenger_does_not_follow_a_leader_below_its_own_ballot() -> None:
    """Else its Prepare, once on disk, ends the leader's ballot as well, and neither is left."""
    state, now = challenging()
    state = state.challenge_with(A2)  # and its acceptor has not heard of that yet
    assert hears(state, B1, now, promised=B1).heartbeats == state


# Leading.


def test_whoever_comes_to_lead_says_so_at_once() -> None:
    state, now = challenging()
    beat = state.lead(now)
    assert (beat.to_members, beat.send_again) == (Heartbeat(A1, now), False)
    assert (beat.heartbeats.stance, beat.heartbeats.follows(now)) == (Stance.LEADING, A1)


def test_only_a_leader_leads() -> None:
    assert leading()[0].leads
    assert not any(state.leads for state, _ in (asking(), challenging(), following()))


def test_a_leader_asks_for_loyalty_and_sends_again_in_each_round() -> None:
    state, now = leading()
    assert state.deadline == now + INTERVAL
    beat = state.tick(now + INTERVAL)
    assert (beat.to_members, beat.send_again) == (Heartbeat(A1, now + INTERVAL), True)


def test_a_leader_that_a_quorum_follows_goes_on() -> None:
    state, now = leading()
    state = followed_in_each_round(state, now, now + 50 * WINDOW)
    assert (state.stance, state.follows(now + 50 * WINDOW)) == (Stance.LEADING, A1)


def test_a_leader_that_nobody_follows_ends_after_a_window() -> None:
    state, now = leading()
    assert state.tick(now + WINDOW - 0.1).ended is None
    beat = state.tick(now + WINDOW)
    assert (beat.ended, beat.heartbeats.stance) == ("no quorum follows it", Stance.FOLLOWING)


def test_a_leader_wants_a_tick_when_it_loses_its_quorum() -> None:
    state, now = leading()
    late_round = state.tick(now + WINDOW - 0.1).heartbeats
    assert late_round.deadline == now + WINDOW


def test_a_leader_ends_a_window_after_the_last_round_that_a_quorum_answered() -> None:
    state, now = leading()
    last = now + 10 * INTERVAL
    state = followed_in_each_round(state, now, last)
    assert state.tick(last + WINDOW - 0.1).ended is None
    assert state.tick(last + WINDOW).ended == "no quorum follows it"


def test_an_answer_come_late_proves_no_more_than_one_in_time() -> None:
    state, now = leading()
    for member in "AB":
        state = says(state, member, A1, now + 1, now + WINDOW).heartbeats
    assert state.tick(now + 1 + WINDOW).ended == "no quorum follows it"


def test_an_answer_come_twice_proves_no_more_than_once() -> None:
    state, now = leading()
    for arrival in (1.0, 2.0, 3.0, WINDOW, WINDOW + 0.9):
        for member in "AB":
            state = says(state, member, A1, now + 1, now + arrival).heartbeats
    assert state.tick(now + 1 + WINDOW).ended == "no quorum follows it"


def test_an_older_answer_come_last_takes_nothing_back() -> None:
    state, now = leading()
    for began in (3.0, 1.0):
        for member in "AB":
            state = says(state, member, A1, now + began, now + 4).heartbeats
    assert state.tick(now + 1 + WINDOW).ended is None


@pytest.mark.parametrize("follows", [NO_PROPOSAL, B1, A2])
def test_who_follows_another_ballot_does_not_count_for_a_leader(follows: ProposalID) -> None:
    state, now = leading()
    for member in "ABC":
        state = says(state, member, follows, now + 3).heartbeats
    assert state.tick(now + WINDOW).ended == "no quorum follows it"


def test_who_follows_no_longer_counts_until_its_last_answer_lapses() -> None:
    state, now = leading()
    for member in "AB":
        state = says(state, member, A1, now + 1).heartbeats
    state = says(state, "B", C1, now + 2).heartbeats
    assert state.tick(now + 1 + WINDOW - 0.1).ended is None
    assert state.tick(now + 1 + WINDOW).ended == "no quorum follows it"


def test_who_is_no_member_does_not_count_for_a_leader() -> None:
    state, now = leading()
    state = says(says(state, "A", A1, now + 3).heartbeats, "X", A1, now + 3).heartbeats
    assert state.tick(now + WINDOW).ended == "no quorum follows it"


def test_a_leader_needs_a_phase_2_quorum() -> None:
    quorums = Quorums.flexible("ABC", phase1=3, phase2=1)
    state = begun(quorums).challenge_with(A1).lead(START).heartbeats
    state = says(state, "C", A1, START + 3).heartbeats
    assert state.tick(START + WINDOW).ended is None
    assert state.tick(START + 3 + WINDOW).ended == "no quorum follows it"


def test_a_leader_that_cannot_persist_within_a_window_ends() -> None:
    state, now = leading()
    state = followed_in_each_round(state.persist_began(now), now, now + WINDOW - 0.1)
    assert (state.stance, state.deadline) == (Stance.LEADING, now + WINDOW)
    assert state.tick(now + WINDOW).ended == "its disk takes too long"


def test_a_persist_that_ends_in_time_costs_no_leadership() -> None:
    state, now = leading()
    state = followed_in_each_round(state.persist_began(now), now, now + WINDOW - 0.1)
    state = followed_in_each_round(state.persist_ended(), now + WINDOW - 0.1, now + 3 * WINDOW)
    assert state.stance is Stance.LEADING


def test_a_leader_gives_way_to_a_leader_of_a_higher_id() -> None:
    state, now = leading()
    beat = hears(state, B1, now, promised=B1)
    assert beat.ended == "another node leads under a higher ID"
    assert beat.answer == HeartbeatAnswer(B1, 7.0)


def test_a_leader_does_not_give_way_to_a_leader_of_a_lower_id() -> None:
    state, now = leading()
    older = hears(state, ProposalID(1, "0"), now, promised=A1)
    assert older == Reaction(state, answer=HeartbeatAnswer(A1, 7.0))


def test_a_leader_follows_itself() -> None:
    state, now = leading()
    assert hears(state, A1, now, promised=A1) == Reaction(state, answer=HeartbeatAnswer(A1, 7.0))


def test_a_leader_whose_own_acceptor_promised_more_does_not_count_itself() -> None:
    state, now = leading()
    assert hears(state, A1, now, promised=C2).answer == HeartbeatAnswer(NO_PROPOSAL, 7.0)


def test_a_leader_is_not_put_off_when_another_begins_a_ballot() -> None:
    state, now = leading()
    assert state.receive_prepare(B2, now) == state


def test_a_leader_tells_whoever_asks_that_it_leads() -> None:
    state, now = leading()
    assert hears(state, NO_PROPOSAL, now) == Reaction(state, answer=HeartbeatAnswer(A1, 7.0))


# Following.


def test_a_leader_is_followed_for_one_window_after_it_was_heard() -> None:
    state, now = following()
    assert state.follows(now + WINDOW - 0.1) == B1
    assert state.follows(now + WINDOW) == NO_PROPOSAL


def test_a_follower_wants_a_tick_when_it_stops_hearing_its_leader() -> None:
    state, now = following()
    assert state.deadline == now + WINDOW
    assert state.tick(now + WINDOW - 0.1) == Reaction(state)
    assert state.tick(now + WINDOW).heartbeats.leader == NO_PROPOSAL


def test_a_follower_asks_a_bit_after_it_stopped_hearing_its_leader() -> None:
    state, now = following()
    state = state.tick(now + WINDOW).heartbeats
    assert state.stance is Stance.FOLLOWING
    assert state.deadline == now + WINDOW + TIMING.delay("A", 0)
    assert state.tick(state.deadline).heartbeats.stance is Stance.ASKING


def test_a_follower_woken_late_asks_at_once() -> None:
    state, now = following()
    assert state.tick(now + 9 * WINDOW).heartbeats.stance is Stance.ASKING


def test_each_round_renews_the_following() -> None:
    state, now = following()
    state = state.receive_heartbeat(Heartbeat(B1, 8.0), NO_PROPOSAL, now + 5).heartbeats
    assert state.follows(now + 5 + WINDOW - 0.1) == B1


def test_a_round_that_comes_twice_renews_nothing() -> None:
    """A network may repeat the heartbeats of a dead leader for ever."""
    state, now = following()
    again = Heartbeat(B1, state.heard_round)
    assert state.receive_heartbeat(again, NO_PROPOSAL, now + 5).heartbeats == state


def test_a_follower_changes_to_a_leader_of_a_higher_id() -> None:
    state, now = following()
    beat = hears(state, C1, now)
    assert (beat.heartbeats.follows(now), beat.ended) == (C1, None)


def test_a_follower_names_the_leader_of_the_higher_id_to_one_of_a_lower() -> None:
    state, now = following()
    assert hears(state, A1, now) == Reaction(state, answer=HeartbeatAnswer(B1, 7.0))


def test_a_leader_below_what_was_promised_is_not_followed() -> None:
    assert hears(begun(), B1, START, promised=C1) == Reaction(
        begun(), answer=HeartbeatAnswer(NO_PROPOSAL, 7.0)
    )


def test_a_leader_below_what_was_promised_since_is_followed_no_longer() -> None:
    state, now = following()
    beat = hears(state, B1, now + 5, promised=C1)
    assert beat.answer == HeartbeatAnswer(NO_PROPOSAL, 7.0)
    assert beat.heartbeats.follows(now + WINDOW) == NO_PROPOSAL


def test_whoever_asks_is_told_of_the_leader_that_is_heard() -> None:
    state, now = following()
    assert hears(state, NO_PROPOSAL, now + WINDOW - 0.1).answer == HeartbeatAnswer(B1, 7.0)


def test_whoever_asks_is_told_if_no_leader_is_heard_any_more() -> None:
    state, now = following()
    assert hears(state, NO_PROPOSAL, now + WINDOW).answer == HeartbeatAnswer(NO_PROPOSAL, 7.0)


@pytest.mark.parametrize("leader", [NO_PROPOSAL, B1], ids=["asker", "leader"])
def test_a_node_whose_disk_hangs_answers_nobody(leader: ProposalID) -> None:
    hung = begun().persist_began(START)
    assert hears(hung, leader, START + WINDOW - 0.1).answer is not None
    assert hears(hung, leader, START + WINDOW) == Reaction(hung)


def test_a_node_answers_again_once_its_disk_has_caught_up() -> None:
    caught_up = begun().persist_began(START).persist_ended()
    assert hears(caught_up, B1, START + 2 * WINDOW).answer == HeartbeatAnswer(B1, 7.0)


def test_a_node_gives_whoever_begins_a_ballot_a_window_and_a_bit() -> None:
    now = begun().deadline - 0.1
    held = begun().receive_prepare(B1, now)
    assert held.deadline == now + WINDOW + TIMING.delay("A", 0)


def test_a_ballot_of_another_never_shortens_the_wait() -> None:
    far = replace(begun(), challenge_at=START + 99)
    assert far.receive_prepare(B1, START).deadline == START + 99


def test_the_ballot_of_a_node_itself_does_not_hold_it_back() -> None:
    assert begun().receive_prepare(A1, START + 1) == begun()


def test_only_askers_and_leaders_count_answers() -> None:
    for state, now in ((begun(), START), following(), challenging()):
        assert says(state, "B", NO_PROPOSAL, now) == Reaction(state)


def test_a_node_does_not_follow_a_ballot_that_it_has_ended_itself() -> None:
    """What it said to itself as leader may still be on the way when it stops leading."""
    state, now = leading()
    ended = state.end_ballot("a quorum refuses it", now + 1).heartbeats
    assert hears(ended, A1, now + 1, promised=A1).heartbeats.follows(now + 1) == NO_PROPOSAL


def test_a_follower_to_whom_the_leader_hands_over_begins_a_ballot_without_asking() -> None:
    state, now = following()
    reaction = state.take_over(now)
    assert reaction.challenge
    assert reaction.to_members is None
    assert reaction.heartbeats.stance is Stance.CHALLENGING
    assert reaction.heartbeats.leader == NO_PROPOSAL


def test_who_leads_already_takes_nothing_over() -> None:
    state, now = leading()
    assert state.take_over(now) == Reaction(state)


def test_who_cannot_persist_takes_nothing_over() -> None:
    state, now = following()
    state = state.persist_began(now - WINDOW)
    assert state.take_over(now) == Reaction(state)
