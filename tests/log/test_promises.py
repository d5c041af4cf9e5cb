"""One Prepare for all slots, and promises in pages: each page is a promise for its own slots."""

from __future__ import annotations

from log.by_hand import (
    A1,
    B1,
    B2,
    B9,
    C1,
    after,
    chosen,
    commands,
    hear,
    leading,
    new_log,
    page,
    proposed,
    said,
)
from log.log_world import SMALL
from paxos import Nack, Proposal
from paxos.log.entries import NO_OP
from paxos.log.limits import Limits
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptIn,
    ChosenBelow,
    Decisions,
    Learn,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.promises import Promises
from paxos.node import Phase

TEA, MILK = Proposal(B1, commands("tea")), Proposal(C1, commands("milk"))


def accepted_in(*slots: int) -> list[AcceptIn[str]]:
    return [AcceptIn(slot, TEA) for slot in slots]


# Who promises.


def test_one_promise_without_a_vote_holds_for_every_slot() -> None:
    step = hear(new_log(), "B", PrepareFrom(B1, 0))
    assert said(step, PromiseFrom, to="B") == [PromiseFrom(B1, 0, EVERY_LATER_SLOT, 0)]


def test_a_promise_reports_the_votes_from_the_slot_asked_for_on() -> None:
    log = after(new_log(), "B", *accepted_in(0, 2))
    (promise,) = said(hear(log, "B", PrepareFrom(B2, 1)), PromiseFrom)
    assert (promise.slot, promise.accepted) == (1, ((2, TEA),))


def test_a_page_ends_where_the_next_vote_would_no_longer_fit() -> None:
    log = after(new_log(), "B", *accepted_in(0, 1, 3, 5))
    (promise,) = said(hear(log, "B", PrepareFrom(B2, 0)), PromiseFrom)
    assert [slot for slot, _ in promise.accepted] == [0, 1, 3]
    assert promise.end == 5


def test_a_page_is_bounded_by_weight_but_holds_one_vote_at_least() -> None:
    light = Limits[str](window=4, page_weight=1)
    log = after(new_log(limits=light), "B", *accepted_in(0, 1))
    (promise,) = said(hear(log, "B", PrepareFrom(B2, 0)), PromiseFrom)
    assert (promise.accepted, promise.end) == (((0, TEA),), 1)


def test_a_promise_begins_where_its_sender_no_longer_tells_votes() -> None:
    log = chosen(leading().append(("tea",)).node, 0)
    (promise,) = said(hear(log, "B", PrepareFrom(B2, 0)), PromiseFrom)
    assert (promise.slot, promise.chosen_below, promise.accepted) == (1, 1, ())


def test_an_equal_prepare_gets_the_identical_promise() -> None:
    one = hear(new_log(), "B", PrepareFrom(B1, 0))
    assert hear(one.node, "B", PrepareFrom(B1, 0)).messages == one.messages


def test_who_has_voted_under_an_id_is_silent_to_its_prepare() -> None:
    log = after(new_log(), "B", *accepted_in(1))
    assert hear(log, "B", PrepareFrom(B1, 0)).messages == ()
    assert said(hear(log, "B", PrepareFrom(B1, 2)), PromiseFrom) != []


def test_a_lower_prepare_is_refused() -> None:
    log = after(new_log(), "B", PrepareFrom(B2, 0))
    assert said(hear(log, "C", PrepareFrom(C1, 5)), Nack, to="C") == [Nack(C1, B2)]


# Who asks.


def test_a_leader_prepares_once_for_all_slots() -> None:
    step = new_log().prepare()
    assert said(step, PrepareFrom, to="B") == [PrepareFrom(A1, 0)]
    log = leading()
    for n in range(SMALL.window):
        step = log.append((f"c{n}",))
        assert said(step, PrepareFrom) == []
        log = step.node
    assert log.next_slot == SMALL.window


def test_a_leader_adopts_what_is_reported_in_each_slot() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    step = hear(log, "B", page(log, accepted={0: TEA, 2: MILK}))
    assert proposed(step) == {0: TEA.value, 1: NO_OP, 2: MILK.value}


def test_of_two_reports_in_a_slot_the_higher_one_is_adopted() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log, accepted={0: Proposal(A1, NO_OP)}))
    step = hear(log, "B", page(log, accepted={0: MILK}))
    assert proposed(step) == {0: MILK.value}


def test_a_first_page_is_enough_to_lead_in_its_slots_and_in_no_other() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    step = hear(log, "B", page(log, 0, 2, accepted={0: TEA, 1: TEA}))
    assert step.node.leads
    assert sorted(proposed(step)) == [0, 1]
    assert proposed(step.node.append(("own",))) == {}


def test_the_next_page_is_asked_for_at_once_and_goes_on_where_the_first_one_ended() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    step = hear(log, "B", page(log, 0, 2, accepted={0: TEA, 1: TEA}))
    assert said(step, PrepareFrom, to="B") == [PrepareFrom(log.ballot, 2)]
    step = hear(step.node, "B", page(log, 2, accepted={2: MILK}))
    assert proposed(step) == {2: MILK.value}


def test_two_first_pages_of_different_length_prepare_only_what_both_cover() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log, 0, 3, accepted={0: TEA}))
    step = hear(log, "B", page(log, 0, 1, accepted={0: TEA}))
    assert sorted(proposed(step)) == [0]


def test_a_late_promise_of_a_third_member_does_not_change_what_is_proposed() -> None:
    log = leading().append(("own",)).node
    log = after(log, "C", page(log, accepted={0: Proposal(B1, commands("other")), 2: TEA}))
    proposals = [node.proposer.proposal for node in log.window.nodes]
    assert proposals == [Proposal(log.ballot, commands("own"))]


def test_a_page_that_came_twice_counts_once() -> None:
    log = new_log().prepare().node
    log = after(log, "B", page(log, 0, 2, accepted={0: TEA}), page(log, 0, 2, accepted={0: TEA}))
    assert not log.leads
    assert log.promises.of == (("B", 0, 2),)


def test_a_page_of_another_ballot_does_not_count() -> None:
    log = new_log().prepare().node
    assert hear(log, "B", PromiseFrom(B9, 0, EVERY_LATER_SLOT, 0)).node is log


def test_a_page_after_the_ballot_was_lost_does_not_count() -> None:
    log = new_log().prepare().node
    log = after(log, "B", Nack(log.ballot, B9))
    log = after(log, "C", Nack(log.ballot, B9))
    assert log.phase is Phase.IDLE
    assert hear(log, "C", page(log)).node is log


def test_one_refusal_does_not_end_a_ballot() -> None:
    log = new_log().prepare().node
    assert after(log, "B", Nack(log.ballot, B9)).phase is Phase.PREPARING


def test_a_page_of_who_has_no_vote_in_any_slot_does_not_count() -> None:
    log = new_log().prepare().node
    assert hear(log, "X", page(log)).node is log


def test_a_page_is_cut_where_who_decides_is_not_known_yet() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    votes = {0: TEA, SMALL.window + 1: MILK}
    log = after(log, "B", page(log, accepted=votes))
    assert log.promises.of[1] == ("B", 0, SMALL.window + 1)
    assert log.window.end == 1


def test_what_was_cut_off_is_asked_for_once_the_log_has_come_so_far() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    beyond = dict.fromkeys(range(SMALL.window + 2), TEA)
    log = after(log, "B", page(log, accepted=beyond))
    log = chosen(log, 0)
    step = log.send_again()
    assert said(step, PrepareFrom, to="B") == [PrepareFrom(log.ballot, SMALL.window)]


def test_a_page_that_begins_beyond_the_window_only_says_how_far_its_sender_is() -> None:
    log = new_log().prepare().node
    late = page(log, 9, chosen_below=9, accepted={9: TEA})
    step = hear(log, "B", late)
    assert step.node.promises == Promises()
    assert said(step, Learn, to="B") == [Learn(0)]


def test_who_has_trimmed_a_slot_has_promised_nothing_there() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    step = hear(log, "B", page(log, 2, chosen_below=2))
    assert not step.node.leads
    assert said(step, Learn, to="B") == [Learn(0)]


def test_a_candidate_that_has_learned_what_was_trimmed_leads_at_once() -> None:
    log = new_log().observe(B9).prepare().node
    log = after(log, "A", page(log))
    log = after(log, "B", page(log, 2, chosen_below=2))
    step = hear(log, "B", Decisions(0, (TEA, TEA), 2))
    assert step.node.leads
    assert step.node.chosen_below == 2


def test_a_candidate_asks_again_to_learn_what_was_trimmed() -> None:
    log = new_log().prepare().node
    log = after(log, "A", page(log))
    log = after(log, "B", page(log, 2, chosen_below=2))
    assert said(log.send_again(), Learn, to="B") == [Learn(0)]


def test_a_leader_asks_again_to_learn_what_a_member_has_trimmed() -> None:
    """Else it would stand before that slot for ever, and all would follow it."""
    log = leading()
    log = after(log, "C", page(log, 2, chosen_below=2))
    assert log.leads
    assert said(log.send_again(), Learn, to="C") == [Learn(0)]


def test_a_leader_asks_who_has_not_promised_only_for_slots_in_which_it_proposed_nothing() -> None:
    """For those before, a quorum has promised; and who has voted there stays silent."""
    log = leading().append(("tea",)).node
    assert said(log.send_again(), PrepareFrom, to="C") == [PrepareFrom(log.ballot, 1)]


def test_nobody_is_asked_again_who_has_promised_for_the_whole_window() -> None:
    assert said(leading(promised_by="ABC").send_again(), PrepareFrom) == []


def test_a_candidate_learns_from_a_leader_of_a_higher_ballot_and_gives_up() -> None:
    log = new_log().prepare().node
    log = after(log, "B", AcceptIn(0, Proposal(B9, NO_OP)), ChosenBelow(B9, 1))
    assert log.phase is Phase.IDLE


def test_a_node_without_a_ballot_has_nothing_to_send_again() -> None:
    assert new_log().send_again().messages == ()


# The book of pages.


def test_pages_that_go_on_where_the_last_one_ended_are_one_promise() -> None:
    promises = Promises().with_page("B", 0, 3).with_page("B", 3, 5)
    assert promises.of == (("B", 0, 5),)
    assert promises.for_slot(4) == ("B",)
    assert promises.for_slot(5) == ()


def test_a_page_behind_a_gap_says_nothing_of_the_gap() -> None:
    promises = Promises().with_page("B", 0, 3).with_page("B", 5, 9)
    assert [slot for slot in range(10) if promises.for_slot(slot)] == [5, 6, 7, 8]


def test_pages_are_kept_by_member() -> None:
    promises = Promises().with_page("C", 0, 3).with_page("B", 1, EVERY_LATER_SLOT)
    assert [member for member, _, _ in promises.of] == ["B", "C"]
    assert promises.for_slot(0) == ("C",)
    assert promises.for_all_from(1) == ("B",)
    assert not promises.holds_for_all_from(1)
    assert promises.end_of("C", 0) == 3
    assert promises.end_of("X", 7) == 7
