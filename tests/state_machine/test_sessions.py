"""Sessions: what is asked again is answered again, and what is kept has a bound."""

from __future__ import annotations

import pytest

from paxos.codec import MalformedError
from paxos.errors import MisuseError
from paxos.log.entries import Commands
from paxos.replica import Replica
from paxos.sessions import (
    ANSWER_OVERHEAD,
    CloseSession,
    OpenSession,
    Outcome,
    SessionExpiredError,
    SessionID,
    SessionLimits,
    Sessions,
    Verdict,
    encode_request,
)
from paxos.state_machine import CommandError, MalformedCommandError
from state_machine.machines import Inventory, Journal, apply_next, asking, opening, plain

SMALL = SessionLimits(
    sessions=3, window=4, answer_bytes=100, kept_bytes=4 * (100 + ANSWER_OVERHEAD)
)


def replica_with_sessions(count: int) -> tuple[Replica[Journal], list[SessionID]]:
    replica = Replica(Journal, limits=SMALL)
    outcomes = apply_next(replica, opening(*range(100, 100 + count)))
    return replica, [outcome.session for outcome in outcomes if outcome.session is not None]


def ask(
    replica: Replica[Journal], session: SessionID, sequence: int, command: bytes, below: int = 0
) -> Outcome:
    (outcome,) = apply_next(replica, asking(session, sequence, command, below))
    return outcome


def test_a_session_is_named_after_the_place_in_the_log_where_it_was_opened() -> None:
    replica = Replica(Journal, limits=SMALL)
    apply_next(replica, plain(b"first"))
    outcomes = apply_next(replica, opening(7, 8))
    assert outcomes == [
        Outcome(SessionID(1, 0), 7, Verdict.OPENED),
        Outcome(SessionID(1, 1), 8, Verdict.OPENED),
    ]


def test_the_same_number_opens_one_session_only() -> None:
    replica, (session,) = replica_with_sessions(1)
    assert apply_next(replica, opening(100)) == [
        Outcome(session, 100, Verdict.OPENED, repeated=True)
    ]
    assert replica.sessions == 1


def test_a_repeated_request_is_applied_once_and_gets_the_first_answer() -> None:
    replica, (session,) = replica_with_sessions(1)
    first = ask(replica, session, 0, b"x")
    again = ask(replica, session, 0, b"x")
    assert replica.machine.lines == ["x"]
    assert (first.answer, first.repeated) == (b"1 x", False)
    assert (again.answer, again.repeated) == (b"1 x", True)


def test_a_repetition_in_the_same_entry_is_noticed_as_well() -> None:
    replica, (session,) = replica_with_sessions(1)
    (request,) = asking(session, 0, b"x").commands
    outcomes = apply_next(replica, Commands((request, request)))
    assert [outcome.repeated for outcome in outcomes] == [False, True]


def test_a_rejection_is_an_answer_and_is_repeated_like_one() -> None:
    replica, (session,) = replica_with_sessions(1)
    for _ in range(2):
        outcome = ask(replica, session, 0, b"no")
        assert outcome.verdict is Verdict.REJECTED
        with pytest.raises(CommandError, match="no is no"):
            outcome.value()


def test_requests_may_come_in_any_order_within_the_window() -> None:
    replica, (session,) = replica_with_sessions(1)
    for sequence in (3, 0, 2, 1):
        assert ask(replica, session, sequence, b"x").verdict is Verdict.ANSWERED


def test_a_request_beyond_the_window_is_not_applied_until_the_client_acknowledges() -> None:
    replica, (session,) = replica_with_sessions(1)
    assert ask(replica, session, 4, b"x").verdict is Verdict.TOO_FAR_AHEAD
    assert replica.machine.lines == []
    assert ask(replica, session, 4, b"x", below=1).verdict is Verdict.ANSWERED


def test_what_was_given_up_is_never_applied_later() -> None:
    replica, (session,) = replica_with_sessions(1)
    ask(replica, session, 1, b"later", below=1)
    assert ask(replica, session, 0, b"given up").verdict is Verdict.FORGOTTEN
    assert replica.machine.lines == ["later"]


def test_acknowledging_far_ahead_costs_no_time() -> None:
    replica, (session,) = replica_with_sessions(1)
    ask(replica, session, 0, b"x")
    far = 1 << 62
    assert ask(replica, session, far, b"y", below=far).verdict is Verdict.ANSWERED
    assert ask(replica, session, 0, b"x").verdict is Verdict.FORGOTTEN


def test_one_session_too_many_ends_the_one_that_was_used_longest_ago() -> None:
    replica, (a, b, c) = replica_with_sessions(3)
    ask(replica, a, 0, b"x")  # so b is the oldest now
    apply_next(replica, opening(999))
    assert replica.sessions == 3
    assert ask(replica, a, 1, b"x").verdict is Verdict.ANSWERED
    assert ask(replica, c, 0, b"x").verdict is Verdict.ANSWERED
    outcome = ask(replica, b, 0, b"x")
    assert outcome.verdict is Verdict.SESSION_EXPIRED
    with pytest.raises(SessionExpiredError, match="session expired"):
        outcome.value()


def test_a_repetition_counts_as_use() -> None:
    replica, (a, b, _) = replica_with_sessions(3)
    for session in (a, b, a):
        ask(replica, session, 0, b"x")
    apply_next(replica, opening(998, 999))
    assert ask(replica, a, 1, b"x").verdict is Verdict.ANSWERED


def test_to_open_once_more_counts_as_use() -> None:
    replica, (a, b, _) = replica_with_sessions(3)
    apply_next(replica, opening(100, 999))
    assert ask(replica, a, 0, b"x").verdict is Verdict.ANSWERED
    assert ask(replica, b, 0, b"x").verdict is Verdict.SESSION_EXPIRED


def test_too_many_bytes_of_answers_end_the_oldest_session_and_never_the_one_in_use() -> None:
    replica, (a, b, c) = replica_with_sessions(3)
    ask(replica, a, 0, b"x" * 90)
    ask(replica, c, 0, b"x")
    for sequence in range(4):
        assert ask(replica, b, sequence, b"x" * 20).verdict is Verdict.ANSWERED
    assert ask(replica, a, 0, b"x").verdict is Verdict.SESSION_EXPIRED
    assert ask(replica, b, 0, b"x").repeated
    assert ask(replica, c, 0, b"x").repeated


def test_a_closed_session_is_gone_and_its_number_may_open_another() -> None:
    replica, (session,) = replica_with_sessions(1)
    close = Commands((encode_request(CloseSession(session)),))
    assert apply_next(replica, close)[0].verdict is Verdict.CLOSED
    assert apply_next(replica, close)[0].verdict is Verdict.SESSION_EXPIRED
    assert ask(replica, session, 0, b"x").verdict is Verdict.SESSION_EXPIRED
    (outcome,) = apply_next(replica, Commands((encode_request(OpenSession(100)),)))
    assert outcome.session not in {None, session}
    assert not outcome.repeated


def test_too_large_an_answer_is_not_kept_and_the_caller_learns_that_it_was_done() -> None:
    replica, (session,) = replica_with_sessions(1)
    outcome = ask(replica, session, 0, b"x" * 200)
    assert outcome.verdict is Verdict.TOO_LARGE
    assert outcome.answer == b"done, but the answer has 202 bytes, of 100 allowed"
    assert len(replica.machine.lines) == 1


def test_without_a_session_a_repetition_is_applied_again() -> None:
    replica = Replica(Journal, limits=SMALL)
    for _ in range(2):
        (outcome,) = apply_next(replica, plain(b"x", number=77))
        assert (outcome.session, outcome.sequence) == (None, 77)
    assert replica.machine.lines == ["x", "x"]


@pytest.mark.parametrize(
    "limits", [{"sessions": 0}, {"window": 0}, {"answer_bytes": 0}, {"kept_bytes": 1000}]
)
def test_limits_that_cannot_be_kept_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(MisuseError):
        SessionLimits(**limits)


def test_arguments_that_do_not_fit_are_an_answer_and_are_kept_like_one() -> None:
    replica = Replica(Inventory, limits=SMALL)
    (opened,) = apply_next(replica, opening(1))
    assert opened.session is not None
    for repeated in (False, True):
        (outcome,) = apply_next(replica, asking(opened.session, 0, b"\x92\xa3put\x01"))
        assert (outcome.verdict, outcome.repeated) == (Verdict.MALFORMED, repeated)
        with pytest.raises(MalformedCommandError, match="the arguments of put do not fit"):
            outcome.value()


@pytest.mark.parametrize("part", [b"", b"\x91\x01", b"\x91\x95\x92\x00\x00\xff\x00\x80\x00"])
def test_bytes_that_hold_no_sessions_are_malformed(part: bytes) -> None:
    with pytest.raises(MalformedError, match="no sessions"):
        Sessions.of_parts([part], SMALL)
